//! Memory of what runs while a query is bound: the rows that plugins are given, and what they make of them.
//!
//! Plugins are plain functions over rows in memory, and run inside of the binder. What they hold they take here, from the memory
//! pool of the query, whose limit it counts against: [`with_room`] says which pool that is, for the thread that binds.

use std::cell::RefCell;

use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::memory_pool::MemoryReservation;

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
        // Elsewhere nothing is counted.
        assert!(Held::of(1 << 40).is_ok());
    }
}
