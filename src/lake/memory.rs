//! The memory that the operators of a query, or of a compaction, share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size};

/// A pool that lets whatever can spill finish, however little memory there is.
///
/// Operators that spill get an even share each, of what the others left. That alone is DataFusion's `FairSpillPool`, under
/// which a large sort fails: the merge of one partition's spilled runs does not count as spilling and takes all there is,
/// other partitions then cannot hold a single batch, and the merge above them fails after rows have been returned. So:
///
/// - Who holds next to nothing gets what it asks for. Operators ask for the memory of batches that they hold already, and with
///   one of them they can continue, or spill.
/// - The merge of spilled runs has a share like the sort that it belongs to, which holds nothing by then. With less memory it
///   reads fewer runs at a time, in more passes.
/// - A sorter that has begun to sort what it collected cannot spill any more, and its copies may be larger than the batches
///   were: columns that share buffers count once before, and each for itself afterwards. It may have twice its share then.
///   It reserved twice the bytes of its batches, so that this stays near the limit.
/// - The merge of sorted streams is never refused. It holds two batches a stream at most.
///
/// What goes beyond the limit is some batches for each operator and partition; sessions choose the size of batches so that
/// this is a small part of the limit.
#[derive(Debug)]
pub struct SharedPool {
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
    /// Sorters by their ids.
    sorters: HashMap<usize, Sorter>,
    /// The sorters of merges, by the ids of both.
    merges: HashMap<usize, usize>,
    /// The sorter that a thread made last, until the merge that belongs to it is there: a sorter makes both at once.
    newest: HashMap<ThreadId, usize>,
}

/// What is known of one sorter.
#[derive(Debug, Default)]
struct Sorter {
    /// Bytes that it holds.
    held: usize,
    /// Bytes that it held when it began to sort; `None` while it collects batches, and can spill.
    collected: Option<usize>,
}

/// What a consumer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// What it asks for.
    All,
    /// An even share.
    Share,
    /// What is left.
    Rest,
}

// A consumer of memory has a name, and nothing else says which operator it belongs to. These are the names of DataFusion 55.2; a
// test runs the operators, so that an update that names them otherwise is seen.

/// What the name of a sorter begins with.
const SORTER: &str = "ExternalSorter[";
/// What the name of a sorter's merge of spilled runs begins with.
const SORTER_MERGE: &str = "ExternalSorterMerge[";
/// What the name of a merge of sorted partitions begins with.
const PARTITIONS_MERGE: &str = "SortPreservingMergeExec[";
/// What the name of a merge holds that keeps the order of repartitioned rows.
const REPARTITION_MERGE: &str = "[Merge ";

impl Claim {
    fn of(consumer: &MemoryConsumer) -> Claim {
        let name = consumer.name();
        if name.starts_with(PARTITIONS_MERGE) || name.contains(REPARTITION_MERGE) {
            Claim::All
        } else if consumer.can_spill() || name.starts_with(SORTER_MERGE) {
            Claim::Share
        } else {
            Claim::Rest
        }
    }
}

/// What sorters must reserve for their merge (`sort_spill_reservation_bytes`). The pool lets every merge begin, so that nothing
/// has to be kept for it: this byte says in which phase a sorter is. It holds it while it collects batches, and gives it back
/// before it sorts them.
pub const SORT_RESERVATION: usize = 1;

/// A request so many times larger than what its reservation holds comes from one that holds next to nothing.
const NEXT_TO_NOTHING: usize = 8;
/// Where others hold everything, spilling operators still share this part of the limit.
const LEAST_PART: usize = 8;

impl SharedPool {
    /// A pool of so many bytes.
    pub fn new(limit: usize) -> SharedPool {
        SharedPool { limit, used: Mutex::default() }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // The numbers are consistent at every instant, whichever thread panicked.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn bytes(&mut self, claim: Claim) -> &mut usize {
        if claim == Claim::Share { &mut self.shared } else { &mut self.fixed }
    }

    /// The sorter of a consumer that is the merge of one.
    fn sorter_of_merge(&mut self, consumer: &MemoryConsumer) -> Option<&mut Sorter> {
        let sorter = self.merges.get(&consumer.id())?;
        self.sorters.get_mut(sorter)
    }

    /// Notes bytes that a consumer has from now on.
    fn add(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        *self.bytes(Claim::of(consumer)) += bytes;
        if let Some(sorter) = self.sorters.get_mut(&consumer.id()) {
            sorter.held += bytes;
        } else if bytes == SORT_RESERVATION
            && let Some(sorter) = self.sorter_of_merge(consumer)
        {
            sorter.collected = None;
        }
    }

    /// Notes bytes that a consumer gave back.
    fn subtract(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        let all = self.bytes(Claim::of(consumer));
        *all = all.saturating_sub(bytes);
        if let Some(sorter) = self.sorters.get_mut(&consumer.id()) {
            sorter.held = sorter.held.saturating_sub(bytes);
        } else if bytes == SORT_RESERVATION
            && let Some(sorter) = self.sorter_of_merge(consumer)
        {
            sorter.collected = Some(sorter.held);
        }
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let mut used = self.used();
        if consumer.can_spill() {
            used.spillers += 1;
        }
        if consumer.name().starts_with(SORTER) {
            used.sorters.insert(consumer.id(), Sorter::default());
            used.newest.insert(thread::current().id(), consumer.id());
        } else if consumer.name().starts_with(SORTER_MERGE)
            && let Some(sorter) = used.newest.remove(&thread::current().id())
        {
            used.merges.insert(consumer.id(), sorter);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut used = self.used();
        if consumer.can_spill() {
            used.spillers = used.spillers.saturating_sub(1);
        }
        used.sorters.remove(&consumer.id());
        used.merges.remove(&consumer.id());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used().add(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used().subtract(reservation.consumer(), shrink);
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
                let share = all / used.spillers.max(1);
                match used.sorters.get(&reservation.consumer().id()) {
                    Some(Sorter { held, collected: Some(collected) }) => {
                        share.max(*collected).saturating_mul(2).saturating_sub(*held)
                    }
                    _ => share.saturating_sub(held),
                }
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
        used.add(reservation.consumer(), additional);
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

    use arrow::array::{Int64Array, RecordBatch};
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::execution::TaskContext;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
    use datafusion::physical_plan::repartition::RepartitionExec;
    use datafusion::physical_plan::sorts::sort::SortExec;
    use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
    use datafusion::physical_plan::{Partitioning, collect};

    use super::*;

    /// Notes who registers.
    #[derive(Debug)]
    struct Noting {
        pool: SharedPool,
        claims: Mutex<Vec<(String, Claim)>>,
    }

    impl fmt::Display for Noting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.pool.fmt(f)
        }
    }

    impl MemoryPool for Noting {
        fn name(&self) -> &str {
            "noting"
        }

        fn register(&self, consumer: &MemoryConsumer) {
            self.claims.lock().unwrap().push((consumer.name().to_owned(), Claim::of(consumer)));
            self.pool.register(consumer);
            let used = self.pool.used();
            if used.sorters.contains_key(&consumer.id()) {
                self.claims.lock().unwrap().push(("a sorter".to_owned(), Claim::Share));
            } else if used.merges.contains_key(&consumer.id()) {
                self.claims.lock().unwrap().push(("its merge".to_owned(), Claim::Share));
            }
        }

        fn unregister(&self, consumer: &MemoryConsumer) {
            self.pool.unregister(consumer);
        }

        fn grow(&self, reservation: &MemoryReservation, additional: usize) {
            self.pool.grow(reservation, additional);
        }

        fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
            self.pool.shrink(reservation, shrink);
        }

        fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
            self.pool.try_grow(reservation, additional)
        }

        fn reserved(&self) -> usize {
            self.pool.reserved()
        }
    }

    #[tokio::test]
    async fn operators_of_the_library_are_known_by_their_names() {
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![2, 1, 3])) as _)]).unwrap();
        let schema = batch.schema();
        let key = || col("a", &schema).unwrap();
        let order = || LexOrdering::new([PhysicalSortExpr::new_default(key())]).unwrap();
        let rows = MemorySourceConfig::try_new_exec(&[vec![batch.clone()], vec![batch.clone()]], schema.clone(), None).unwrap();
        let sorted = Arc::new(SortExec::new(order(), rows).with_preserve_partitioning(true));
        let divided = RepartitionExec::try_new(sorted, Partitioning::Hash(vec![key()], 2)).unwrap().with_preserve_order();
        let merged = Arc::new(SortPreservingMergeExec::new(order(), Arc::new(divided)));
        let pool = Arc::new(Noting { pool: SharedPool::new(1 << 20), claims: Mutex::default() });
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool.clone()).build_arc().unwrap();
        let batches = collect(merged, Arc::new(TaskContext::default().with_runtime(runtime))).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 6);
        let claims = pool.claims.lock().unwrap();
        let count = |found: &dyn Fn(&str, Claim) -> bool| claims.iter().filter(|(name, claim)| found(name, *claim)).count();
        assert_eq!(count(&|name, claim| claim == Claim::All && name.starts_with(PARTITIONS_MERGE)), 1, "{claims:?}");
        assert_eq!(count(&|name, claim| claim == Claim::All && name.contains(REPARTITION_MERGE)), 2, "{claims:?}");
        assert_eq!((count(&|name, _| name == "a sorter"), count(&|name, _| name == "its merge")), (2, 2), "{claims:?}");
    }

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

    #[test]
    fn a_sorter_that_cannot_spill_any_more_gets_room_for_copies() {
        let pool = pool(200);
        let (sorter, merge) = (consumer(&pool, "ExternalSorter[0]", true), consumer(&pool, "ExternalSorterMerge[0]", false));
        let _other = (consumer(&pool, "ExternalSorter[0]", true), consumer(&pool, "ExternalSorterMerge[0]", false));
        merge.try_resize(SORT_RESERVATION).unwrap();
        sorter.try_grow(60).unwrap();
        sorter.try_grow(40).unwrap();
        // It can spill.
        assert!(sorter.try_grow(30).is_err());
        merge.free();
        let run = sorter.split(50);
        run.try_resize(80).unwrap();
        sorter.try_resize(100).unwrap();
        assert!(sorter.try_grow(50).is_err());
        // Merging needs memory as well, and does not mean that batches are collected.
        merge.try_grow(20).unwrap();
        merge.shrink(10);
        run.try_resize(90).unwrap();
        drop(run);
        sorter.free();
        merge.free();
        // Batches are collected again.
        merge.try_resize(SORT_RESERVATION).unwrap();
        sorter.try_grow(90).unwrap();
        assert!(sorter.try_grow(30).is_err());
    }
}
