//! Records of a unit on several threads: whoever reads the unit cuts it into records and gathers these in blocks, helpers map a
//! block each, and what came of the blocks is taken in their order.
//!
//! What depends on the records before is left to the taking: which ordinal a record without an id gets, and how many refused
//! records of a kind are quarantined.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::record_batch::RecordBatch;

use super::ImportError;
use super::batches::{BATCH_ROWS, misfit};
use super::files::csv::CsvRecord;
use super::files::documents::{AnswerHeading, Dates, Heading, Item, Page, Place, Reason, Sink, Stop};
use super::row::{Row, Unnumbered};
use super::unit::{Counts, Facts, Mappings, Output, RowContext, SAMPLE, UnitMapper};
use kqlake_lake::RowBuilder;
use kqlake_lake::tables::TableDef;

/// Bytes of the texts of a block; a block may be larger by one record.
const BLOCK_BYTES: usize = 2 << 20;
/// Bytes of a block's rows in a batch: mostly all that it has.
const BLOCK_BATCH_BYTES: usize = 2 * BLOCK_BYTES;
/// Records of a block.
const BLOCK_RECORDS: usize = 8_192;
/// Blocks of a unit that are with helpers beside those that these work at.
const AHEAD: usize = 1;

/// What follows a record's place.
enum Kind {
    /// A JSON object, with its page's place in the block.
    Object(usize),
    /// A row of an answer, with the answer's place in the block.
    AnswerRow(usize),
    /// A row of a CSV file.
    CsvRow(CsvRecord),
    /// Something that cannot be read, why, and its text.
    Bad(Reason, Vec<u8>),
}

/// Records that follow one another.
#[derive(Default)]
struct Block {
    text: String,
    records: Vec<(Place, Range<usize>, Kind)>,
    /// Bytes of records that are not in the text.
    other_bytes: usize,
    pages: Vec<Page>,
    answers: Vec<AnswerHeading>,
    heading: Heading,
}

impl Block {
    fn bytes(&self) -> usize {
        self.text.len() + self.other_bytes
    }

    /// The block without its records: the next ones find the room that these had.
    fn cleared(mut self) -> Self {
        let Block { text, records, other_bytes, pages, answers, heading } = &mut self;
        text.clear();
        // A large record is rare.
        text.shrink_to(2 * BLOCK_BYTES);
        records.clear();
        *other_bytes = 0;
        pages.clear();
        answers.clear();
        *heading = Heading::default();
        self
    }

    fn is_full(&self) -> bool {
        self.bytes() >= BLOCK_BYTES || self.records.len() >= BLOCK_RECORDS
    }

    fn push(&mut self, item: Item<'_>, place: Place) {
        let start = self.text.len();
        let kind = match item {
            Item::Object { text, page } => {
                self.text.push_str(text);
                Kind::Object(place_of(&mut self.pages, page))
            }
            Item::AnswerRow { answer, text } => {
                self.text.push_str(text);
                Kind::AnswerRow(place_of(&mut self.answers, answer))
            }
            Item::CsvRow { heading, record } => {
                if self.heading != *heading {
                    self.heading = heading.clone();
                }
                self.other_bytes += 2 * record.raw.len();
                Kind::CsvRow(record.clone())
            }
            Item::Bad { reason, text } => {
                self.other_bytes += text.len();
                Kind::Bad(reason, text.to_vec())
            }
        };
        self.records.push((place, start..self.text.len(), kind));
    }

    /// Maps the records, one after the other.
    fn map(&self, mapper: &mut UnitMapper<'_>) -> Result<(), Stop> {
        for (place, range, kind) in &self.records {
            let text = &self.text[range.clone()];
            let item = match kind {
                Kind::Object(page) => Item::Object { text, page: &self.pages[*page] },
                Kind::AnswerRow(answer) => Item::AnswerRow { answer: &self.answers[*answer], text },
                Kind::CsvRow(record) => Item::CsvRow { heading: &self.heading, record },
                Kind::Bad(reason, text) => Item::Bad { reason: reason.clone(), text },
            };
            mapper.item(item, *place)?;
        }
        Ok(())
    }
}

/// The place of something among what was seen; it mostly is what was seen last.
fn place_of<T: PartialEq + Clone>(seen: &mut Vec<T>, one: &T) -> usize {
    if seen.last() != Some(one) {
        seen.push(one.clone());
    }
    seen.len() - 1
}

/// Rows of a table, and which of them have no id yet that is certain.
pub(crate) struct Rows {
    /// The table.
    pub table: &'static TableDef,
    /// The rows.
    pub batch: RecordBatch,
    /// By row: what is to be numbered.
    pub unnumbered: Vec<(usize, Unnumbered)>,
}

/// A record that could not be read.
pub(crate) struct Refused {
    /// Where it stands.
    pub place: Place,
    /// Why.
    pub reason: Reason,
    /// Its text; `None` when enough of its kind are quarantined.
    pub text: Option<Vec<u8>>,
    /// True for those of the kinds of which only a sample is quarantined.
    pub is_sampled: bool,
}

/// What came of a block.
#[derive(Default)]
pub(crate) struct MappedBlock {
    /// Its rows, or why they do not fit their table.
    pub rows: Vec<Result<Rows, ImportError>>,
    /// Its refused records.
    pub refused: Vec<Refused>,
    counts: Counts,
    first_unknown: Option<String>,
    /// The block, of which nothing is needed any more.
    block: Block,
}

/// Takes what came of records, in their order.
pub(crate) trait Taker: Output {
    /// Takes what came of a block.
    fn outcome(&mut self, rows: Vec<Result<Rows, ImportError>>, refused: Vec<Refused>) -> Result<(), Stop>;

    /// Takes a failure that no unit can get over.
    fn broken(&mut self, error: ImportError);
}

/// A block on its way to a helper.
struct Job {
    block: Block,
    facts: Arc<Facts>,
    said: Arc<RowContext>,
    done: Sender<MappedBlock>,
}

/// The way to the helpers of a run. They end when all of its clones are gone.
#[derive(Clone)]
pub(crate) struct Helpers {
    jobs: Sender<Job>,
    /// How many there are.
    count: usize,
}

/// Maps blocks.
pub(crate) struct Helper {
    jobs: Arc<Mutex<Receiver<Job>>>,
    mappings: Mappings,
    builders: BTreeMap<&'static str, RowBuilder>,
    import_id: String,
    dry_run: bool,
}

/// So many helpers, each for a thread of its own, and the way to them. The rows carry the run's name; in a dry run they are only
/// counted.
pub(crate) fn helpers(count: usize, import_id: &str, dry_run: bool) -> (Helpers, Vec<Helper>) {
    let (jobs, waiting) = channel();
    let waiting = Arc::new(Mutex::new(waiting));
    let helper = |_| Helper {
        jobs: Arc::clone(&waiting),
        mappings: Mappings::default(),
        builders: BTreeMap::new(),
        import_id: import_id.to_owned(),
        dry_run,
    };
    (Helpers { jobs, count }, (0..count).map(helper).collect())
}

impl Helper {
    /// Maps blocks until nobody has any more.
    pub(crate) fn work(mut self) {
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { block, facts, said, done }) = job else { return };
            let mut outcome = self.map(&block, &facts, &said);
            outcome.block = block.cleared();
            // Nobody listens any more when the import ends early.
            let _ = done.send(outcome);
        }
    }

    fn map(&mut self, block: &Block, facts: &Facts, said: &RowContext) -> MappedBlock {
        let mut output = BlockOutput {
            builders: &mut self.builders,
            unnumbered: BTreeMap::new(),
            import_id: &self.import_id,
            dry_run: self.dry_run,
            sampled: 0,
            outcome: MappedBlock::default(),
        };
        let mut mapper = UnitMapper::new(&mut self.mappings, &mut output, facts, said);
        // This output never asks to stop.
        let _ = block.map(&mut mapper);
        let (counts, first_unknown) = (mem::take(&mut mapper.counts), mapper.first_unknown.take());
        drop(mapper);
        output.finish(counts, first_unknown)
    }
}

/// Takes what comes of a block.
struct BlockOutput<'h> {
    builders: &'h mut BTreeMap<&'static str, RowBuilder>,
    unnumbered: BTreeMap<&'static str, Vec<(usize, Unnumbered)>>,
    import_id: &'h str,
    dry_run: bool,
    sampled: u64,
    outcome: MappedBlock,
}

impl Output for BlockOutput<'_> {
    fn row(&mut self, row: &mut Row<'_>) -> Result<(), Stop> {
        if self.dry_run {
            return Ok(());
        }
        let table = row.table;
        let builder = self.builders.entry(table.name).or_insert_with(|| RowBuilder::new(table));
        if let Some(unnumbered) = row.unnumbered {
            self.unnumbered.entry(table.name).or_default().push((builder.rows(), unnumbered));
        }
        row.append_to(builder, self.import_id);
        if builder.rows() >= BATCH_ROWS || builder.bytes() >= BLOCK_BATCH_BYTES {
            self.end_batch(table.name);
        }
        Ok(())
    }

    fn refused(&mut self, place: Place, reason: &Reason, text: &[u8]) -> Result<(), Stop> {
        let refused = Refused { place, reason: reason.clone(), text: Some(text.to_vec()), is_sampled: false };
        self.outcome.refused.push(refused);
        Ok(())
    }

    fn sampled(&mut self, place: Place, reason: &Reason, text: &[u8]) -> Result<(), Stop> {
        self.sampled += 1;
        let text = (self.sampled <= SAMPLE).then(|| text.to_vec());
        self.outcome.refused.push(Refused { place, reason: reason.clone(), text, is_sampled: true });
        Ok(())
    }
}

impl BlockOutput<'_> {
    fn end_batch(&mut self, table: &'static str) {
        let Some(builder) = self.builders.get_mut(table).filter(|builder| builder.rows() > 0) else { return };
        let (def, unnumbered) = (builder.def(), self.unnumbered.remove(table).unwrap_or_default());
        let batch = builder.finish().map_err(|source| misfit(table, &source));
        self.outcome.rows.push(batch.map(|batch| Rows { table: def, batch, unnumbered }));
    }

    fn finish(mut self, counts: Counts, first_unknown: Option<String>) -> MappedBlock {
        let tables: Vec<&'static str> = self.builders.keys().copied().collect();
        tables.into_iter().for_each(|table| self.end_batch(table));
        MappedBlock { counts, first_unknown, ..self.outcome }
    }
}

/// The records of one unit.
pub(crate) struct Blocks<'u> {
    facts: Arc<Facts>,
    said: Arc<RowContext>,
    /// What holds for the records that come from now on, where it is something else.
    next_said: Option<Arc<RowContext>>,
    mappings: &'u mut Mappings,
    taker: &'u mut dyn Taker,
    helpers: Option<&'u Helpers>,
    block: Block,
    /// Blocks without records, for the next ones.
    spare: Vec<Block>,
    /// Blocks that are with helpers, in order, with their bytes.
    waiting: VecDeque<(usize, Receiver<MappedBlock>)>,
    /// What came of the records so far.
    pub counts: Counts,
    /// The first reason for which a record was of no known shape.
    pub first_unknown: Option<String>,
}

impl<'u> Blocks<'u> {
    /// The records of a unit of which these facts are known.
    pub(crate) fn new(facts: Facts, mappings: &'u mut Mappings, taker: &'u mut dyn Taker, helpers: Option<&'u Helpers>) -> Self {
        let said = Arc::new(RowContext::new(&facts));
        Self {
            facts: Arc::new(facts),
            said,
            next_said: None,
            mappings,
            taker,
            helpers,
            block: Block::default(),
            spare: Vec::new(),
            waiting: VecDeque::new(),
            counts: Counts::default(),
            first_unknown: None,
        }
    }

    /// Ends the unit: all that came of its records is taken.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub(crate) fn finish(&mut self) -> Result<(), Stop> {
        self.end_block()?;
        while !self.waiting.is_empty() {
            self.take_first()?;
        }
        Ok(())
    }

    /// Maps a block: here when it is the unit's only one, or there is nobody else.
    fn end_block(&mut self) -> Result<(), Stop> {
        let block = mem::replace(&mut self.block, self.spare.pop().unwrap_or_default());
        if block.records.is_empty() {
            return Ok(());
        }
        match self.helpers.filter(|_| block.is_full() || !self.waiting.is_empty()) {
            Some(helpers) => self.hand_over(helpers, block),
            None => {
                let mapped = self.map_here(&block);
                self.spare.push(block.cleared());
                mapped
            }
        }
    }

    fn hand_over(&mut self, helpers: &Helpers, block: Block) -> Result<(), Stop> {
        let bytes = block.bytes();
        let most = (helpers.count + AHEAD) * BLOCK_BYTES;
        // A full block is larger than it need be, by a part of its last record.
        while self.waiting.iter().map(|(bytes, _)| bytes).sum::<usize>() >= most {
            self.take_first()?;
        }
        let (done, outcome) = channel();
        let job = Job { block, facts: Arc::clone(&self.facts), said: Arc::clone(&self.said), done };
        match helpers.jobs.send(job) {
            Ok(()) => self.waiting.push_back((bytes, outcome)),
            Err(lost) => self.map_here(&lost.0.block)?,
        }
        Ok(())
    }

    fn take_first(&mut self) -> Result<(), Stop> {
        let Some((_, outcome)) = self.waiting.pop_front() else { return Ok(()) };
        let Ok(MappedBlock { rows, refused, counts, first_unknown, block }) = outcome.recv() else {
            self.taker.broken(ImportError::Reader("a thread that maps records ended before its time".to_owned()));
            return Err(Stop);
        };
        self.spare.push(block);
        self.counts.add(&counts);
        self.first_unknown = self.first_unknown.take().or(first_unknown);
        self.taker.outcome(rows, refused)
    }

    fn map_here(&mut self, block: &Block) -> Result<(), Stop> {
        while !self.waiting.is_empty() {
            self.take_first()?;
        }
        let mut mapper = UnitMapper::new(self.mappings, self.taker, &self.facts, &self.said);
        let mapped = block.map(&mut mapper);
        let (counts, first_unknown) = (mem::take(&mut mapper.counts), mapper.first_unknown.take());
        self.counts.add(&counts);
        self.first_unknown = self.first_unknown.take().or(first_unknown);
        mapped
    }
}

impl Sink for Blocks<'_> {
    fn item(&mut self, item: Item<'_>, place: Place) -> Result<(), Stop> {
        if let Some(next) = self.next_said.take() {
            self.end_block()?;
            self.said = next;
        }
        self.block.push(item, place);
        if self.block.is_full() { self.end_block() } else { Ok(()) }
    }

    fn heading(&mut self, heading: &Heading) -> Result<Vec<usize>, String> {
        let said = self.next_said.as_ref().unwrap_or(&self.said).below(heading, &self.facts, self.mappings)?;
        let dates = said.date_places();
        self.next_said = Some(Arc::new(said));
        Ok(dates)
    }

    fn date_columns(&self, heading: &Heading) -> Result<Vec<usize>, String> {
        let said = self.next_said.as_ref().unwrap_or(&self.said);
        Ok(said.below(heading, &self.facts, self.mappings)?.date_places())
    }

    fn dates(&mut self, dates: &Dates) -> Result<(), String> {
        let said = self.next_said.as_ref().unwrap_or(&self.said).dated(dates, &self.facts)?;
        self.next_said = Some(Arc::new(said));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::DateOrder;
    use crate::unit::Filter;

    /// Notes the numbers of refused records.
    #[derive(Default)]
    struct Log(Vec<u64>);

    impl Output for Log {
        fn row(&mut self, _: &mut Row<'_>) -> Result<(), Stop> {
            Ok(())
        }

        fn refused(&mut self, place: Place, _: &Reason, _: &[u8]) -> Result<(), Stop> {
            self.0.push(place.record);
            Ok(())
        }

        fn sampled(&mut self, place: Place, reason: &Reason, text: &[u8]) -> Result<(), Stop> {
            self.refused(place, reason, text)
        }
    }

    impl Taker for Log {
        fn outcome(&mut self, _: Vec<Result<Rows, ImportError>>, refused: Vec<Refused>) -> Result<(), Stop> {
            self.0.extend(refused.iter().map(|refused| refused.place.record));
            Ok(())
        }

        fn broken(&mut self, error: ImportError) {
            panic!("{error}");
        }
    }

    fn facts() -> Facts {
        let (filter, order) = (Arc::new(Filter::default()), DateOrder::Unknown);
        Facts { filter, name: "u".into(), day: None, taken: None, order, tenant: None }
    }

    #[test]
    fn blocks_go_to_as_many_helpers_as_there_are_and_what_came_of_them_is_taken_in_order() {
        let (way, all) = helpers(2, "run", true);
        let all: Vec<_> = all.into_iter().map(|helper| thread::spawn(move || helper.work())).collect();
        let (mut mappings, mut log) = (Mappings::default(), Log::default());
        let mut blocks = Blocks::new(facts(), &mut mappings, &mut log, Some(&way));
        // A text and something that is none, of both of which a block has its bytes.
        let (object, other) = (format!("{{\"some\":\"{}\"}}", "x".repeat(70_000)), vec![b'x'; 70_000]);
        let mut number = 0;
        let mut push = |blocks: &mut Blocks<'_>, is_object: bool| {
            number += 1;
            let place = Place { record: number, ..Place::default() };
            let page = Page::default();
            let item = match is_object {
                true => Item::Object { text: &object, page: &page },
                false => Item::Bad { reason: "odd".into(), text: &other },
            };
            blocks.item(item, place).expect("taken");
        };
        for block in 1..=6 {
            for item in 0..BLOCK_BYTES.div_ceil(70_011) {
                push(&mut blocks, item % 2 == 0);
            }
            // Each helper has one, and one is ahead.
            let Block { records, .. } = &blocks.block;
            assert_eq!((blocks.waiting.len(), records.len(), blocks.block.bytes()), (block.min(3), 0, 0));
        }
        push(&mut blocks, true);
        blocks.finish().expect("taken");
        assert_eq!((blocks.waiting.len(), blocks.counts.records), (0, number));
        assert!(blocks.first_unknown.is_some());
        drop(blocks);
        assert_eq!(log.0, (1..=number).collect::<Vec<_>>());
        drop(way);
        all.into_iter().for_each(|helper| helper.join().expect("it ended"));
    }

    #[test]
    fn a_unit_of_less_than_a_block_is_mapped_by_its_own_thread() {
        // Nobody works: what is handed over would never come back.
        let (way, all) = helpers(1, "run", true);
        let (mut mappings, mut log) = (Mappings::default(), Log::default());
        let mut blocks = Blocks::new(facts(), &mut mappings, &mut log, Some(&way));
        let small = |blocks: &mut Blocks<'_>| blocks.item(Item::Bad { reason: "odd".into(), text: b"x" }, Place::default());
        (0..BLOCK_RECORDS - 1).for_each(|_| small(&mut blocks).expect("taken"));
        blocks.finish().expect("taken");
        assert_eq!((blocks.waiting.len(), blocks.counts.refused), (0, BLOCK_RECORDS as u64 - 1));
        // Many records are a block, however short they are.
        (0..BLOCK_RECORDS).for_each(|_| small(&mut blocks).expect("taken"));
        assert_eq!(blocks.waiting.len(), 1);
        drop(all);
    }
}
