//! Numbers for distinct tuples of values.

use std::hash::{BuildHasher, RandomState};

use super::codec::{Decoder, write_value};
use crate::room::{CountedVec, Held};
use kqlake_value::ValueRef;

/// Numbers distinct tuples of values in the order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    /// The values of all tuples as bytes, one behind the other.
    values: CountedVec<u8>,
    /// Where each tuple ends.
    ends: CountedVec<usize>,
    /// Numbers of tuples by their hashes, with an open slot behind each run of them; [`OPEN`] where there is none.
    slots: Vec<u32>,
    slots_memory: Held,
    hasher: RandomState,
    key: Vec<u8>,
}

/// A slot without a tuple.
const OPEN: u32 = u32::MAX;

impl Interner {
    /// The number of a tuple. Reals that are equal as keys are one.
    ///
    /// # Errors
    /// There is no memory for one more.
    pub(crate) fn number<'a>(&mut self, tuple: impl IntoIterator<Item = ValueRef<'a>>) -> Result<u32, String> {
        self.key.clear();
        for value in tuple {
            write_value(&mut self.key, value.key());
        }
        // Half of the slots at least are open.
        if 2 * (self.ends.len() + 1) > self.slots.len() {
            self.grow()?;
        }
        let slot = self.slot_of(&self.key);
        if self.slots[slot] == OPEN {
            let number = u32::try_from(self.ends.len()).ok().filter(|n| *n != OPEN);
            let number = number.ok_or("there are more than four billion different values")?;
            self.values.append(&self.key)?;
            self.ends.push(self.values.len())?;
            self.slots[slot] = number;
        }
        Ok(self.slots[slot])
    }

    /// The slot of a tuple, or the open one where it belongs.
    fn slot_of(&self, key: &[u8]) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(key) as usize & last;
        while self.slots[slot] != OPEN && self.bytes(self.slots[slot]) != key {
            slot = (slot + 1) & last;
        }
        slot
    }

    /// Twice as many slots.
    fn grow(&mut self) -> Result<(), String> {
        let slots = (2 * self.slots.len()).max(16);
        let memory = Held::of(slots * size_of::<u32>())?;
        self.slots = vec![OPEN; slots];
        self.slots_memory = memory;
        for number in 0..self.ends.len() as u32 {
            let slot = self.slot_of(self.bytes(number));
            self.slots[slot] = number;
        }
        Ok(())
    }

    fn bytes(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.values[start..self.ends[number]]
    }

    /// The values of a numbered tuple.
    pub(crate) fn tuple(&self, number: u32) -> impl Iterator<Item = ValueRef<'_>> {
        let mut values = Decoder::new(self.bytes(number));
        std::iter::from_fn(move || values.value())
    }

    /// How many tuples there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_numbered_as_they_appear_and_read_back() {
        let mut tuples = Interner::default();
        let text = |n: i64| format!("t{}", n % 1_000);
        for n in 0..5_000 {
            let text = text(n);
            let number = tuples.number([ValueRef::Long(n % 1_000), ValueRef::String(&text)]).unwrap();
            assert_eq!(i64::from(number), n % 1_000);
        }
        assert_eq!(tuples.len(), 1_000);
        let values: Vec<ValueRef<'_>> = tuples.tuple(7).collect();
        assert_eq!(values, [ValueRef::Long(7), ValueRef::String("t7")]);
        // Of no values there is one tuple, which differs from that of a null.
        let mut tuples = Interner::default();
        assert_eq!(tuples.number([]).unwrap(), 0);
        assert_eq!(tuples.number([ValueRef::Null]).unwrap(), 1);
        assert_eq!(tuples.number([]).unwrap(), 0);
        assert_eq!(tuples.tuple(0).count(), 0);
    }
}
