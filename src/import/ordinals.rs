//! The ordinals of records without an id: how many records of the same content came before in the unit.
//!
//! A content takes 9 bytes of memory in a table that grows to 38 MB; then it goes to a sorted temporary file, of which 1.3 bytes
//! a content stay in memory. A content that came twice takes 17 bytes more.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use arrow::array::{Array as _, AsArray as _, StringBuilder};
use arrow::record_batch::RecordBatch;

use super::row::{Cell, Row, Unnumbered};

use kqlake_durable::ScratchFolder;
use kqlake_value::hashed::BuildKeyHasher;

/// Contents that are kept in memory: as many as fit into a hash table of 2^22 places.
const IN_MEMORY: usize = (1 << 22) / 8 * 7;
/// Contents of a block of a temporary file.
const BLOCK: usize = 512;
/// Bits of a filter for each content, and how many of them it sets.
const FILTER_BITS: u64 = 10;
const FILTER_HASHES: u64 = 7;

/// Counts records of one content within a unit.
#[derive(Debug)]
pub(crate) struct Ordinals {
    seen: HashSet<u64, BuildKeyHasher>,
    /// The next ordinal of contents that came more than once.
    repeated: HashMap<u64, u32, BuildKeyHasher>,
    /// The numbers of whole records that are about the same as an earlier one.
    numbers: HashMap<u64, u32, BuildKeyHasher>,
    runs: Vec<Run>,
    limit: usize,
    scratch: ScratchFolder,
}

impl Ordinals {
    /// Nothing was counted yet. Temporary files will be in `scratch`.
    pub(crate) fn new(scratch: ScratchFolder) -> Self {
        let (seen, repeated, numbers, runs) = Default::default();
        Self { seen, repeated, numbers, runs, limit: IN_MEMORY, scratch }
    }

    /// Gives the next row of the unit its id, where it has none of its own.
    ///
    /// # Errors
    /// As for [`Ordinals::next`].
    pub(crate) fn number(&mut self, row: &mut Row<'_>) -> io::Result<()> {
        if let Some(unnumbered) = row.unnumbered.take() {
            let ordinal = self.of(unnumbered)?;
            if ordinal > 0 {
                row.cells[unnumbered.column] = Cell::Text(unnumbered.id(ordinal).into());
            }
        }
        Ok(())
    }

    /// Gives the next rows of the unit their ids, of which some, in ascending order, have none of their own but that of the first
    /// record of their content.
    ///
    /// # Errors
    /// As for [`Ordinals::next`]; the rows have no such column.
    pub(crate) fn number_batch(&mut self, rows: RecordBatch, unnumbered: &[(usize, Unnumbered)]) -> io::Result<RecordBatch> {
        let (mut column, mut others) = (0, Vec::new());
        for (row, unnumbered) in unnumbered {
            let ordinal = self.of(*unnumbered)?;
            if ordinal > 0 {
                column = unnumbered.column;
                others.push((*row, unnumbered.id(ordinal)));
            }
        }
        let ids = rows.columns().get(column).and_then(|ids| ids.as_string_opt::<i32>());
        let Some(ids) = ids.filter(|_| !others.is_empty()) else { return Ok(rows) };
        let mut numbered = StringBuilder::with_capacity(ids.len(), ids.value_data().len());
        let mut others = others.into_iter().peekable();
        for row in 0..ids.len() {
            match others.next_if(|(at, _)| *at == row) {
                Some((_, id)) => numbered.append_value(id),
                None => numbered.append_option(ids.is_valid(row).then(|| ids.value(row))),
            }
        }
        let mut columns = rows.columns().to_vec();
        columns[column] = std::sync::Arc::new(numbered.finish());
        RecordBatch::try_new(rows.schema(), columns).map_err(io::Error::other)
    }

    /// The ordinal of the next record.
    fn of(&mut self, unnumbered: Unnumbered) -> io::Result<u32> {
        let Some(whole) = unnumbered.whole.map(|whole| unnumbered.content.then(whole).0) else {
            return self.next(unnumbered.content.0);
        };
        if self.next(whole)? > 0 {
            return Ok(self.numbers.get(&whole).copied().unwrap_or(0));
        }
        let ordinal = self.next(unnumbered.content.0)?;
        if ordinal > 0 {
            self.numbers.insert(whole, ordinal);
        }
        Ok(ordinal)
    }

    /// The ordinal of the next record of a content.
    ///
    /// # Errors
    /// A temporary file cannot be written or read.
    pub(crate) fn next(&mut self, content: u64) -> io::Result<u32> {
        if let Some(next) = self.repeated.get_mut(&content) {
            let ordinal = *next;
            *next = next.saturating_add(1);
            return Ok(ordinal);
        }
        let mut known = self.seen.contains(&content);
        for run in &mut self.runs {
            known = known || run.has(content)?;
        }
        if known {
            self.repeated.insert(content, 2);
            return Ok(1);
        }
        self.seen.insert(content);
        if self.seen.len() >= self.limit {
            let mut contents: Vec<u64> = self.seen.drain().collect();
            contents.sort_unstable();
            self.runs.push(Run::write(&contents, self.scratch.file()?)?);
        }
        Ok(0)
    }
}

/// Sorted contents in a temporary file that has no name, so that nothing of it stays whatever happens.
#[derive(Debug)]
struct Run {
    file: File,
    /// The first content of each block.
    firsts: Vec<u64>,
    /// The number of contents.
    len: usize,
    filter: Vec<u64>,
}

impl Run {
    fn write(contents: &[u64], file: File) -> io::Result<Self> {
        let bits = (contents.len() as u64 * FILTER_BITS).max(64);
        let mut run = Run {
            file,
            firsts: contents.iter().step_by(BLOCK).copied().collect(),
            len: contents.len(),
            filter: vec![0; usize::try_from(bits.div_ceil(64)).unwrap_or(1)],
        };
        let mut out = BufWriter::new(&run.file);
        for content in contents {
            out.write_all(&content.to_le_bytes())?;
        }
        out.flush()?;
        drop(out);
        for content in contents {
            for (word, bit) in places(*content, run.filter.len()) {
                run.filter[word] |= bit;
            }
        }
        Ok(run)
    }

    fn has(&mut self, content: u64) -> io::Result<bool> {
        if places(content, self.filter.len()).any(|(word, bit)| self.filter[word] & bit == 0) {
            return Ok(false);
        }
        let Some(block) = self.firsts.partition_point(|first| *first <= content).checked_sub(1) else { return Ok(false) };
        let first = block * BLOCK;
        let mut bytes = vec![0; BLOCK.min(self.len - first) * 8];
        self.file.seek(SeekFrom::Start(first as u64 * 8))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes.chunks_exact(8).any(|chunk| chunk == content.to_le_bytes()))
    }
}

/// The words and bits of a content in a filter.
fn places(content: u64, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let bits = words as u64 * 64;
    let step = content.rotate_left(32) | 1;
    (0..FILTER_HASHES).map(move |n| {
        let bit = content.wrapping_add(n.wrapping_mul(step)) % bits;
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contents spread as hashes are.
    fn content(n: u64) -> u64 {
        kqlake_lake::identity::RecordHash::of(&n.to_le_bytes()).0
    }

    #[test]
    fn ordinals_count_records_of_one_content_whether_in_memory_or_not() {
        let mut ordinals = Ordinals { limit: 1_000, ..Ordinals::new(ScratchFolder::default()) };
        for round in 0..3 {
            for n in 0..10_500 {
                assert_eq!(ordinals.next(content(n)).expect("an ordinal"), round, "{n}");
            }
        }
        assert_eq!(ordinals.runs.len(), 10);
    }

    #[test]
    fn rows_of_a_batch_get_the_ids_that_they_get_one_by_one() {
        use kqlake_lake::identity::RecordHash;
        let def = kqlake_lake::tables::find("traces").expect("a table");
        let at = |name: &str| def.index_of(name).expect("a column");
        let of = |content: u64, whole: Option<u64>| {
            let whole = whole.map(|whole| RecordHash(whole, 0));
            Some(Unnumbered { column: at("itemId"), content: RecordHash(content, 0), whole })
        };
        let ids = |rows: &[Option<Unnumbered>]| {
            let mut builder = kqlake_lake::RowBuilder::new(def);
            let mut alone = Ordinals::new(ScratchFolder::default());
            let (mut unnumbered, mut one_by_one) = (Vec::new(), Vec::new());
            for (row, this) in rows.iter().enumerate() {
                let id = this.map_or_else(|| format!("own {row}"), |this| this.id(0));
                builder.set_str(at("itemId"), &id);
                builder.set_datetime_us(at("timestamp"), 0);
                builder.end_row();
                unnumbered.extend(this.map(|this| (row, this)));
                let mut cells = Row::new(def);
                cells.set("itemId", Cell::text(id));
                cells.unnumbered = *this;
                alone.number(&mut cells).expect("numbered");
                one_by_one.push(cells.get("itemId").as_text().expect("an id").to_owned());
            }
            let batch = builder.finish().expect("rows");
            let numbered = Ordinals::new(ScratchFolder::default()).number_batch(batch, &unnumbered).expect("numbered");
            let column = numbered.column(at("itemId")).as_string::<i32>();
            assert_eq!(column.iter().flatten().collect::<Vec<_>>(), one_by_one);
            one_by_one
        };
        let id = |content, ordinal| of(content, None).expect("no id").id(ordinal);
        let found = ids(&[None, of(1, None), of(2, None), of(1, None), None, of(1, None)]);
        assert_eq!(found, ["own 0".to_owned(), id(1, 0), id(2, 0), id(1, 1), "own 4".to_owned(), id(1, 2)]);
        assert_eq!(ids(&[None, of(1, None)]), ["own 0".to_owned(), id(1, 0)]);
        // The same record once more is no further one.
        let found = ids(&[of(1, Some(5)), of(1, Some(6)), of(1, Some(5)), of(1, Some(6)), of(1, Some(7)), of(2, Some(5))]);
        assert_eq!(found, [id(1, 0), id(1, 1), id(1, 0), id(1, 1), id(1, 2), id(2, 0)]);
    }

    #[test]
    fn temporary_files_are_in_the_given_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let scratch = ScratchFolder::new(Some(&place.path().join("missing")));
        let mut ordinals = Ordinals { limit: 10, ..Ordinals::new(scratch) };
        let error = (0..10).find_map(|n| ordinals.next(content(n)).err()).expect("a folder that is missing takes no file");
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
