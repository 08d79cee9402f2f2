//! Searches for rows of a landing among those at rest: a landed file is read as far as its times and bloom filters say that it
//! may hold some, a batch at a time, and nothing of it stays.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::keys::{Keyer, Rank, Ranker, RowKey};
use super::standing::{Standing, standings};
use crate::data::file::CHUNK_ROWS;
use crate::data::layout::Layout;
use crate::data::measured::Measured;
use crate::day::day_of;
use crate::error::LakeError;
use crate::tables::{KeySpan, TableDef};

/// Rows that are asked for by bloom filter, at most: with more, one of them passes by chance nearly always. Where keys count in
/// all of the table the filters are finer, since nothing else leaves a file out.
pub(crate) fn most_asked(def: &TableDef) -> usize {
    match def.span {
        KeySpan::Day => 64,
        KeySpan::Table => 4_096,
    }
}

/// What is searched for.
pub(crate) struct Wanted<'w> {
    /// Whether a row of this key is.
    pub key: &'w dyn Fn(u128) -> bool,
    /// Whether rows of this content are.
    pub content: &'w dyn Fn(i64) -> bool,
    /// Whether rows of this group are.
    pub group: &'w dyn Fn(u128) -> bool,
    /// The days of the rows, where keys count within a day.
    pub days: &'w BTreeSet<i32>,
    /// The rows one by one, where they are few.
    pub rows: Option<&'w [ProbeRequest]>,
}

/// A row that is asked for by bloom filter.
#[derive(Debug)]
pub(crate) struct ProbeRequest {
    /// Its day.
    pub day: i32,
    /// Its content.
    pub content: i64,
    /// The texts of its key, in the order of the definition's columns; `None` for values of other types, and of all columns but
    /// that of the group in tables with groups.
    pub key: Vec<Option<String>>,
}

/// A landed row that was searched for.
#[derive(Debug)]
pub(crate) struct Hit {
    /// What identifies it.
    pub row: RowKey,
    /// Its rank, when its key was searched for: then it is a row of the same identity. Without one it has the same content alone, or
    /// is of the same group.
    pub rank: Option<Rank>,
    /// Where it stands in its group, in tables with groups.
    pub standing: Option<Standing>,
}

/// How much was read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Files that were opened.
    pub files: u64,
    /// Row groups of which rows were read.
    pub groups: u64,
    /// Rows whose keys were read.
    pub rows: u64,
    /// Rows that were read whole.
    pub whole: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

impl Looked {
    /// Adds what another look read.
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.groups += other.groups;
        self.rows += other.rows;
        self.whole += other.whole;
        self.bytes += other.bytes;
    }
}

/// Searches for rows in one file. The file must be there as the log says.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn probe(layout: &Layout, path: &Path, wanted: &Wanted<'_>, hit: &mut dyn FnMut(Hit)) -> Result<Looked, LakeError> {
    let mut looked = Looked { files: 1, ..Looked::default() };
    let probe = Probe::open(layout, path)?;
    for group in 0..probe.metadata().num_row_groups() {
        let ranges = probe.ranges(group, wanted)?;
        if ranges.is_empty() {
            continue;
        }
        looked.groups += 1;
        let mut found: Vec<Found> = Vec::new();
        let rows = probe.keys(group, &ranges, &mut |at, row, standing| {
            if (wanted.key)(row.key) {
                found.push((at, row, standing));
            } else if probe_content(layout, wanted, &row) || standing.is_some_and(|standing| (wanted.group)(standing.group)) {
                hit(Hit { row, rank: None, standing });
            }
        })?;
        looked.rows += rows;
        looked.whole += found.len() as u64;
        probe.ranks(group, &found, &mut |row, rank, standing| hit(Hit { row, rank: Some(rank), standing }))?;
    }
    looked.bytes = probe.file.bytes();
    Ok(looked)
}

/// A row whose key is searched for, with its place in the row group.
type Found = (usize, RowKey, Option<Standing>);

fn probe_content(layout: &Layout, wanted: &Wanted<'_>, row: &RowKey) -> bool {
    layout.def.content.is_some() && (wanted.content)(row.content)
}

/// An open file.
struct Probe<'p> {
    layout: &'p Layout,
    path: &'p Path,
    file: Measured,
    reader: ArrowReaderMetadata,
    keyer: Keyer,
    /// Position of the time column among the file's leaves.
    time: Option<usize>,
}

impl<'p> Probe<'p> {
    fn open(layout: &'p Layout, path: &'p Path) -> Result<Self, LakeError> {
        let table = layout.def.name;
        let file = Measured::open(path).map_err(|e| LakeError::of_file(table, path, &e))?;
        // Pages are distinguished by time alone.
        let pages = if layout.def.span == KeySpan::Day { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let options = ArrowReaderOptions::new().with_page_index_policy(pages);
        let reader = ArrowReaderMetadata::load(&file, options).map_err(|e| LakeError::of_file(table, path, &e))?;
        let time = reader.parquet_schema().columns().iter().position(|c| c.name() == layout.def.time);
        Ok(Probe { layout, path, file, keyer: Keyer::new(layout.def), time, reader })
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.reader.metadata()
    }

    fn leaf(&self, name: &str) -> Option<usize> {
        self.reader.parquet_schema().columns().iter().position(|c| c.name() == name)
    }

    /// The rows of a row group that can be among those that are searched for.
    fn ranges(&self, group: usize, wanted: &Wanted<'_>) -> Result<Vec<Range<usize>>, LakeError> {
        let rows = usize::try_from(self.metadata().row_group(group).num_rows()).unwrap_or(0);
        if rows == 0 {
            return Ok(Vec::new());
        }
        let by_day = self.layout.def.span == KeySpan::Day;
        let days = if by_day { self.days(group) } else { None };
        if let Some((first, last)) = days
            && wanted.days.range(first..=last).next().is_none()
        {
            return Ok(Vec::new());
        }
        if let Some(asked) = wanted.rows
            && !self.may_hold(group, asked, days)?
        {
            return Ok(Vec::new());
        }
        Ok(if by_day { self.pages(group, rows, wanted) } else { std::iter::once(0..rows).collect() })
    }

    /// The days of a row group's rows, by its statistics.
    fn days(&self, group: usize) -> Option<(i32, i32)> {
        match self.metadata().row_group(group).column(self.time?).statistics()? {
            Statistics::Int64(times) => Some((day_of(*times.min_opt()?), day_of(*times.max_opt()?))),
            _ => None,
        }
    }

    /// Whether one of the rows can be in a row group, by its bloom filters.
    fn may_hold(&self, group: usize, asked: &[ProbeRequest], days: Option<(i32, i32)>) -> Result<bool, LakeError> {
        let near = |row: &&ProbeRequest| days.is_none_or(|(first, last)| (first..=last).contains(&row.day));
        let mut asked: Vec<&ProbeRequest> = asked.iter().filter(near).collect();
        let def = self.layout.def;
        // Rows of the same content are matched under other keys.
        if let Some(name) = def.content {
            // Rows without their content's hash are in no filter.
            if !self.keeps_contents(group) {
                return Ok(true);
            }
            let Some(filter) = self.filter(group, name)? else { return Ok(true) };
            if asked.iter().any(|row| filter.check(&row.content)) {
                return Ok(true);
            }
        }
        for (at, name) in def.key.iter().enumerate() {
            if asked.is_empty() {
                break;
            }
            if asked.iter().all(|row| row.key.get(at).is_none_or(Option::is_none)) {
                continue;
            }
            if let Some(filter) = self.filter(group, name)? {
                asked.retain(|row| row.key.get(at).and_then(Option::as_ref).is_none_or(|text| filter.check(text.as_str())));
            }
        }
        Ok(!asked.is_empty())
    }

    fn filter(&self, group: usize, column: &str) -> Result<Option<Sbbf>, LakeError> {
        let Some(leaf) = self.leaf(column) else { return Ok(None) };
        let failed = |e: &(dyn std::error::Error + 'static)| LakeError::of_file(self.layout.def.name, self.path, e);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.reader.clone());
        reader.get_row_group_column_bloom_filter(group, leaf).map_err(|e| failed(&e))
    }

    /// The rows of the pages whose times are of the days that are searched for.
    fn pages(&self, group: usize, rows: usize, wanted: &Wanted<'_>) -> Vec<Range<usize>> {
        let index = self.time.and_then(|time| {
            let column = self.metadata().column_index()?.get(group)?.get(time)?;
            let offsets = self.metadata().offset_index()?.get(group)?.get(time)?;
            match column {
                ColumnIndexMetaData::INT64(column) => Some((column, offsets.page_locations())),
                _ => None,
            }
        });
        let Some((times, pages)) = index else { return std::iter::once(0..rows).collect() };
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (at, page) in pages.iter().enumerate() {
            let first = usize::try_from(page.first_row_index).unwrap_or(0);
            let end = pages.get(at + 1).and_then(|next| usize::try_from(next.first_row_index).ok()).unwrap_or(rows);
            let apart = match (times.min_value(at), times.max_value(at)) {
                (Some(least), Some(greatest)) => wanted.days.range(day_of(*least)..=day_of(*greatest)).next().is_none(),
                _ => false,
            };
            match ranges.last_mut() {
                _ if apart => {}
                Some(last) if last.end == first => last.end = end,
                _ => ranges.push(first..end),
            }
        }
        ranges
    }

    /// Reads some rows of a row group.
    fn read(&self, group: usize, mask: ProjectionMask, ranges: &[Range<usize>]) -> Result<ParquetRecordBatchReader, LakeError> {
        let failed = |e: &(dyn std::error::Error + 'static)| LakeError::of_file(self.layout.def.name, self.path, e);
        let rows = usize::try_from(self.metadata().row_group(group).num_rows()).unwrap_or(0);
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.reader.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_row_selection(RowSelection::from_consecutive_ranges(ranges.iter().cloned(), rows))
            .with_batch_size(CHUNK_ROWS)
            .build()
            .map_err(|e| failed(&e))
    }

    fn batch(&self, batch: Result<RecordBatch, arrow::error::ArrowError>) -> Result<RecordBatch, LakeError> {
        batch.map_err(|e| LakeError::of_file(self.layout.def.name, self.path, &e))
    }

    /// Gives the keys of some rows of a row group with their places in it, and where they stand in their groups. Gives how many rows
    /// were read.
    fn keys(
        &self,
        group: usize,
        ranges: &[Range<usize>],
        visit: &mut dyn FnMut(usize, RowKey, Option<Standing>),
    ) -> Result<u64, LakeError> {
        let whole = self.keyer.has_contents() && !self.keeps_contents(group);
        let mask = if whole {
            ProjectionMask::all()
        } else {
            ProjectionMask::columns(self.reader.parquet_schema(), self.keyer.columns())
        };
        let mut places = ranges.iter().cloned().flatten();
        let mut rows = 0;
        for batch in self.read(group, mask, ranges)? {
            let batch = self.batch(batch)?;
            let batch = if whole { self.layout.core_of_file(&batch)? } else { batch };
            rows += batch.num_rows() as u64;
            let mut standings = standings(self.layout.def, &batch)?.map(Vec::into_iter);
            for (row, at) in self.keyer.keys(&batch, false)?.into_iter().zip(&mut places) {
                visit(at, row, standings.as_mut().and_then(Iterator::next));
            }
        }
        Ok(rows)
    }

    /// Whether all rows of a row group have their content's hash.
    fn keeps_contents(&self, group: usize) -> bool {
        let leaf = self.layout.def.content.and_then(|name| self.leaf(name));
        let nulls = leaf.and_then(|leaf| self.metadata().row_group(group).column(leaf).statistics()?.null_count_opt());
        nulls == Some(0)
    }

    /// Gives the ranks of rows of a row group, which are in order.
    fn ranks(
        &self,
        group: usize,
        found: &[Found],
        visit: &mut dyn FnMut(RowKey, Rank, Option<Standing>),
    ) -> Result<(), LakeError> {
        if found.is_empty() {
            return Ok(());
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (at, ..) in found {
            match ranges.last_mut() {
                Some(last) if last.end == *at => last.end += 1,
                _ => ranges.push(*at..at + 1),
            }
        }
        let mut found = found.iter();
        let mut scratch = Vec::new();
        for batch in self.read(group, ProjectionMask::all(), &ranges)? {
            let core = self.layout.core_of_file(&self.batch(batch)?)?;
            let ranker = Ranker::new(self.layout.def, &core);
            for (row, (_, key, standing)) in (0..core.num_rows()).zip(&mut found) {
                visit(*key, ranker.rank(row, &mut scratch), *standing);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::writer::{Effort, FileWriter};
    use crate::partition::{Partition, Partitioning};
    use crate::tables::find;
    use crate::write::rows::RowBuilder;
    use kqlake_value::US_PER_DAY;

    /// Rows of each day of the file.
    const ROWS: i64 = 25_000;

    #[test]
    fn only_what_can_hold_a_row_is_read() {
        let def = find("traces").expect("traces");
        let layout = Arc::new(Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("layout"));
        let dir = tempfile::tempdir().expect("dir");
        let month = Partition::of(Partitioning::Month, 0).expect("a month");
        let mut rows = RowBuilder::new(def);
        let at = |name: &str| def.index_of(name).expect("a column");
        for n in 0..3 * ROWS {
            rows.set_datetime_us(at("timestamp"), n / ROWS * US_PER_DAY + n % ROWS);
            rows.set_str(at("itemId"), &format!("id {n}"));
            rows.end_row();
        }
        let keyer = Keyer::new(def);
        let core = layout.core_of_landed(&rows.finish().expect("rows")).expect("core");
        let core = keyer.with_contents(core).expect("contents");
        let keys = keyer.keys(&core, true).expect("keys");
        let mut file = FileWriter::create(&layout, dir.path(), month, &layout.all_columns(), Effort::Landing).expect("file");
        file.write(&core).expect("written");
        let file = dir.path().join(file.finish().expect("finished").path);
        let look = |n: i64, day: i32, rows: Option<&[ProbeRequest]>| {
            let key = usize::try_from(n).ok().and_then(|n| keys.get(n)).map(|row| row.key);
            let days = BTreeSet::from([day]);
            let wanted = Wanted { key: &|asked| Some(asked) == key, content: &|_| false, group: &|_| false, days: &days, rows };
            let mut hits = Vec::new();
            let looked = probe(&layout, &file, &wanted, &mut |hit| hits.push(hit)).expect("looked");
            assert!(hits.iter().all(|hit| Some(hit.row.key) == key && hit.rank.is_some()));
            (hits.len(), looked)
        };
        // By time: the pages of a day, no row group of another one.
        let (hits, looked) = look(ROWS + 5, 1, None);
        assert!(hits == 1 && looked.whole == 1 && looked.rows < 3 * ROWS as u64 * 2 / 3, "{looked:?}");
        // Of others the footer alone, or with the filters.
        let nothing = |(hits, looked): (usize, Looked)| {
            assert!(hits == 0 && looked.bytes > 0 && looked == Looked { files: 1, bytes: looked.bytes, ..Looked::default() });
            looked.bytes
        };
        let footer = nothing(look(ROWS + 5, 400, None));
        assert!(footer < looked.bytes);
        // By bloom filter.
        let asked = |id: &str, content: i64| [ProbeRequest { day: 1, content, key: vec![Some(id.to_owned())] }];
        assert!(footer < nothing(look(-1, 1, Some(&asked("absent", 1)))));
        let id = format!("id {}", ROWS + 5);
        assert_eq!(look(ROWS + 5, 1, Some(&asked(&id, 1))).0, 1);
        assert_eq!(look(ROWS + 5, 1, Some(&asked("absent", keys[ROWS as usize + 5].content))).0, 1);
    }
}
