//! Memory of what runs while a query is bound: the rows that plugins are given, and what they make of them.
//!
//! Plugins are plain functions over rows in memory, and run inside of the binder. What they hold they take here, from the memory
//! pool of the query, whose limit it counts against: [`with_room`] says which pool that is, for the thread that binds.

use std::cell::RefCell;

use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::memory_pool::MemoryReservation;

/// Bytes of text that the constants of a query may have that are computed when it is bound.
pub(crate) const MAX_CONSTANTS: usize = 64 << 20;

/// What the thread that binds may take.
struct Room {
    memory: MemoryReservation,
    /// The first request that was refused.
    refused: Option<DataFusionError>,
}

thread_local! {
    static ROOM: RefCell<Option<Room>> = const { RefCell::new(None) };
}

/// Runs `work`, whose [`Held`] memory counts as that of the consumer of `memory`. Gives what is still held at its end as well: it is
/// that of the rows in its result.
///
/// # Errors
/// Something was refused, whatever `work` made of that.
pub(crate) fn with_room<T>(memory: &MemoryReservation, work: impl FnOnce() -> T) -> DfResult<(T, MemoryReservation)> {
    struct Outer(Option<Room>);
    impl Drop for Outer {
        fn drop(&mut self) {
            ROOM.set(self.0.take());
        }
    }
    let memory = memory.new_empty();
    // Pools grant what a reservation without anything asks for first.
    memory.try_grow(1)?;
    let outer = Outer(ROOM.replace(Some(Room { memory, refused: None })));
    let made = work();
    let room = ROOM.take();
    drop(outer);
    match room {
        Some(Room { refused: Some(refused), .. }) => Err(refused),
        Some(Room { memory, refused: None }) => Ok((made, memory)),
        None => Err(DataFusionError::Internal("the memory of what runs while a query is bound is lost".to_owned())),
    }
}

/// Memory that is given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held(usize);

impl Held {
    /// Takes so many bytes.
    ///
    /// # Errors
    /// As [`Held::grow`].
    pub(crate) fn of(bytes: usize) -> Result<Held, String> {
        let mut held = Held::default();
        held.grow(bytes)?;
        Ok(held)
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    /// The pool does not have them, or did not have what was asked for before. [`with_room`] then reports that instead of what the
    /// work says.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), String> {
        ROOM.with_borrow_mut(|room| {
            let Some(room) = room else { return Ok(()) };
            if room.refused.is_none() {
                room.refused = room.memory.try_grow(bytes).err();
            }
            match &room.refused {
                Some(refused) => Err(refused.strip_backtrace()),
                None => {
                    self.0 += bytes;
                    Ok(())
                }
            }
        })
    }

    /// Leaves the memory with the result of the work.
    pub(crate) fn keep(mut self) {
        self.0 = 0;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        ROOM.with_borrow_mut(|room| {
            if let Some(room) = room {
                room.memory.shrink(self.0.min(room.memory.size()));
            }
        });
    }
}

/// A list whose memory counts.
#[derive(Debug)]
pub(crate) struct CountedVec<T> {
    items: Vec<T>,
    memory: Held,
}

impl<T> Default for CountedVec<T> {
    fn default() -> Self {
        CountedVec { items: Vec::new(), memory: Held::default() }
    }
}

impl<T> CountedVec<T> {
    /// Appends an item.
    ///
    /// # Errors
    /// There is no memory for more.
    pub(crate) fn push(&mut self, item: T) -> Result<(), String> {
        self.room_for(1)?;
        self.items.push(item);
        Ok(())
    }

    /// Appends all these items.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(crate) fn append(&mut self, items: &[T]) -> Result<(), String>
    where
        T: Clone,
    {
        self.room_for(items.len())?;
        self.items.extend_from_slice(items);
        Ok(())
    }

    fn room_for(&mut self, more: usize) -> Result<(), String> {
        let needed = self.items.len() + more;
        if needed > self.items.capacity() {
            let capacity = needed.max(2 * self.items.capacity()).max(4);
            // Both are there until all is copied.
            let memory = Held::of(capacity * size_of::<T>())?;
            self.items.reserve_exact(capacity - self.items.len());
            self.memory = memory;
        }
        Ok(())
    }
}

impl<T> std::ops::Deref for CountedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> std::ops::DerefMut for CountedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

/// Bytes of a hash table of so many entries of a type, with those of the one that it grows out of.
pub(crate) fn table_bytes<E>(entries: usize) -> usize {
    // Tables are seven eighths full at most, and have a byte more a slot.
    (entries * 8 / 7).next_power_of_two() * (size_of::<E>() + 1) * 3 / 2
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::*;

    #[test]
    fn what_is_held_counts_until_it_is_dropped_and_a_refusal_is_the_result() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let memory = MemoryConsumer::new("rows").register(&pool);
        let (kept, held) = with_room(&memory, || {
            let first = Held::of(40).unwrap();
            Held::of(30).unwrap().keep();
            drop(first);
            pool.reserved()
        })
        .unwrap();
        assert_eq!((kept, held.size(), pool.reserved()), (31, 31, 31));
        drop(held);
        let refused = with_room(&memory, || {
            let mut held = Held::of(90).unwrap();
            (held.grow(20).is_err(), Held::of(1).is_err())
        });
        assert!(matches!(refused, Err(DataFusionError::ResourcesExhausted(_))), "{refused:?}");
        assert_eq!(pool.reserved(), 0);
        let list = with_room(&memory, || {
            let mut list = CountedVec::default();
            (0..4u64).for_each(|n| list.push(n).unwrap());
            (pool.reserved(), list.iter().sum::<u64>())
        });
        assert_eq!(list.unwrap().0, (33, 6));
        let list = with_room(&memory, || {
            let mut list = CountedVec::default();
            list.append(&[0u64; 4]).unwrap();
            // Nine numbers would take 72 bytes beside the 32 that are there.
            (list.append(&[4; 5]).is_err(), list.len())
        });
        assert!(matches!(list, Err(DataFusionError::ResourcesExhausted(_))), "{list:?}");
        assert_eq!(pool.reserved(), 0);
        // Elsewhere nothing is counted.
        assert!(Held::of(1 << 40).is_ok());
    }
}
