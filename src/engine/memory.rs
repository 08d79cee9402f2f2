//! The memory that the operators of a query share.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size};

/// A pool that lets whatever can spill finish, however little memory there is.
///
/// Operators that spill get an even share each, of what the others left. That alone is DataFusion's `FairSpillPool`, under
/// which a large sort fails: the merge of one partition's spilled runs does not count as spilling and takes all there is,
/// other partitions then cannot hold a single batch, and the merge above them fails after rows have been handed out. So:
///
/// - Who holds next to nothing gets what it asks for. Operators ask for batches that they have in their hands already, and with
///   one of them they can go on, or spill.
/// - The merge of spilled runs has a share like the sort that it belongs to, which holds nothing by then. With less memory it
///   reads fewer runs at a time, in more passes.
/// - The merge of sorted streams is never refused. It holds two batches a stream at most.
///
/// What goes beyond the limit is some batches for each operator and partition; sessions choose the size of batches so that
/// this is a small part of the limit.
#[derive(Debug)]
pub(super) struct SharedPool {
    limit: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// Operators that can spill.
    spillers: usize,
    /// Bytes of those and of their merges.
    shared: usize,
    /// Bytes of all others.
    fixed: usize,
}

/// What a consumer may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// What it asks for.
    All,
    /// An even share.
    Share,
    /// What is left.
    Rest,
}

impl Claim {
    /// Merges are told by the names under which DataFusion's operators register.
    fn of(consumer: &MemoryConsumer) -> Claim {
        let name = consumer.name();
        if name.starts_with("SortPreservingMergeExec") || name.contains("[Merge ") {
            Claim::All
        } else if consumer.can_spill() || name.starts_with("ExternalSorterMerge") {
            Claim::Share
        } else {
            Claim::Rest
        }
    }
}

/// A request so many times larger than what its reservation holds comes from one that holds next to nothing.
const NEXT_TO_NOTHING: usize = 8;
/// Where others hold everything, spilling operators still share this part of the limit.
const LEAST_PART: usize = 8;

impl SharedPool {
    /// A pool of so many bytes.
    pub(super) fn new(limit: usize) -> SharedPool {
        SharedPool { limit, used: Mutex::default() }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // The numbers are whole at every instant, whoever panicked.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn bytes(&mut self, claim: Claim) -> &mut usize {
        if claim == Claim::Share { &mut self.shared } else { &mut self.fixed }
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.used().spillers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut used = self.used();
            used.spillers = used.spillers.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.used().bytes(Claim::of(reservation.consumer())) += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut used = self.used();
        let bytes = used.bytes(Claim::of(reservation.consumer()));
        *bytes = bytes.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let claim = Claim::of(reservation.consumer());
        let held = reservation.size();
        let mut used = self.used();
        let left = match claim {
            Claim::All => usize::MAX,
            Claim::Share if held.saturating_mul(NEXT_TO_NOTHING) <= additional => usize::MAX,
            Claim::Share => {
                let all = self.limit.saturating_sub(used.fixed).max(self.limit / LEAST_PART);
                (all / used.spillers.max(1)).saturating_sub(held)
            }
            Claim::Rest if held == 0 => usize::MAX,
            Claim::Rest => self.limit.saturating_sub(used.fixed.saturating_add(used.shared)),
        };
        if additional > left {
            return Err(resources_datafusion_err!(
                "{} of {} more for {}, which holds {}",
                human_readable_size(left),
                human_readable_size(additional),
                reservation.consumer().name(),
                human_readable_size(held)
            ));
        }
        *used.bytes(claim) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        let used = self.used();
        used.shared.saturating_add(used.fixed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(limit: {})", self.name(), human_readable_size(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pool(limit: usize) -> Arc<dyn MemoryPool> {
        Arc::new(SharedPool::new(limit))
    }

    fn consumer(pool: &Arc<dyn MemoryPool>, name: &str, spills: bool) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(spills).register(pool)
    }

    #[test]
    fn one_partitions_merge_leaves_the_others_their_share() {
        let pool = pool(100);
        let sorters = [consumer(&pool, "ExternalSorter[0]", true), consumer(&pool, "ExternalSorter[1]", true)];
        let merge = consumer(&pool, "ExternalSorterMerge[0]", false);
        merge.try_grow(10).unwrap();
        merge.try_grow(40).unwrap();
        assert!(merge.try_grow(1).is_err());
        sorters[1].try_grow(10).unwrap();
        sorters[1].try_grow(40).unwrap();
        assert!(sorters[1].try_grow(1).is_err());
        // Above them the sorted streams are merged.
        let above = consumer(&pool, "SortPreservingMergeExec[0]", false);
        above.try_grow(30).unwrap();
        above.try_grow(30).unwrap();
        assert_eq!(pool.reserved(), 160);
        drop((sorters, merge, above));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn one_batch_is_always_granted() {
        let pool = pool(100);
        let table = consumer(&pool, "HashJoinInput", false);
        table.try_grow(99).unwrap();
        assert!(table.try_grow(2).is_err());
        let sorter = consumer(&pool, "ExternalSorter[0]", true);
        sorter.try_grow(500).unwrap();
        assert!(sorter.try_grow(500).is_err());
        sorter.shrink(499);
        sorter.try_grow(8).unwrap();
        // An eighth of the limit stays for those that spill.
        sorter.try_grow(3).unwrap();
        assert!(sorter.try_grow(1).is_err());
        let other = consumer(&pool, "CrossJoinExec", false);
        other.try_grow(500).unwrap();
        assert!(other.try_grow(1).is_err());
    }
}
