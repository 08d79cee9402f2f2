//! How the columns of a file are encoded and compressed: by what their definitions say, and by what their first values show
//! (benches/README.md has the figures). Only encodings are used that Spark's vectorized reader knows as well.

use std::collections::HashSet;
use std::path::PathBuf;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh64::xxh64;

use super::Effort;
use crate::data::columns::ROW_GROUP_ROWS;
use crate::data::rows::bytes_of;
use crate::error::LakeError;
use crate::tables::{KeySpan, TableDef};
use kqlake_value::Type;
use kqlake_value::hashed::BuildKeyHasher;
use kqlake_value::splitmix64::spread;

/// Bytes of a row group: it is in memory until it is written.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Rows of a page: what is skipped inside a row group, so that a day of one event is found in a month of it.
const PAGE_ROWS: usize = 8 * 1024;
/// Bytes of a page.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of a page of bags in a compacted file: the more of them lie together, the more repeats itself, and the more whoever wants one
/// of them reads.
const BAG_PAGE_BYTES: usize = 3 << 19;
/// The same of runs, of which many are read side by side, a page of each column.
const RUN_PAGE_ROWS: usize = 1024;
const RUN_PAGE_BYTES: usize = 32 << 10;
/// Bytes of a row group of a run.
const RUN_GROUP_BYTES: usize = 8 << 20;

/// Bytes of a column's values, all of them, below which they are not compressed: each compressed column needs working memory of its
/// own, when it is written and when it is read, which takes longer than all else of a file of a few rows.
const COMPRESSED_BYTES: usize = 4 << 10;

/// The level of compression of what is to be there soon.
const FAST: i32 = 1;
/// That of columns of a compacted file.
const THOROUGH: i32 = 6;
/// That of their bags, which are most of the bytes and repeat themselves far apart.
const BAGS: i32 = 11;

/// Values that are looked at, at least, before a column is said to repeat few of them.
const FEW: usize = 64;
/// Values after which a column that repeats half of them is known to.
const ENOUGH: usize = 512;
/// The longest mean of texts, in bytes, that are taken for ids: hexadecimal digits, in which nothing is found however one looks.
const ID_BYTES: usize = 64;

/// The properties of a file for what it is written for, whose first rows are given, and how many it will have where that is known.
///
/// # Errors
/// A level of compression is none of the library's.
pub(super) fn properties(
    def: &TableDef,
    first: &RecordBatch,
    expected: Option<usize>,
    effort: Effort,
) -> Result<WriterProperties, LakeError> {
    let failed = |source: ParquetError| LakeError::Parquet { table: def.name, path: PathBuf::new(), source };
    let zstd = |level| ZstdLevel::try_new(level).map(Compression::ZSTD).map_err(failed);
    let is_compacted = effort == Effort::Compaction;
    let schema = first.schema();
    // A column that the file lacks is null in every row, and orders nothing.
    let sorting = |name| {
        let column_idx = i32::try_from(schema.index_of(name).ok()?).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: true })
    };
    let order: Vec<SortingColumn> = def.order().filter_map(sorting).collect();
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("kqlake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(zstd(if is_compacted { THOROUGH } else { FAST })?)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(if effort == Effort::Run { RUN_GROUP_BYTES } else { ROW_GROUP_BYTES }))
        .set_data_page_row_count_limit(if effort == Effort::Run { RUN_PAGE_ROWS } else { PAGE_ROWS })
        .set_data_page_size_limit(if effort == Effort::Run { RUN_PAGE_BYTES } else { PAGE_BYTES })
        .set_dictionary_page_size_limit(if effort == Effort::Run { RUN_PAGE_BYTES } else { PAGE_BYTES })
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(matches!(effort, Effort::Landing | Effort::Compaction).then_some(order));
    let is_whole = expected == Some(first.num_rows());
    // Pages of version 2 are compressed from where their values were encoded; those of version 1 are copied, and compressed into room
    // that is copied once more. Each keeps the room that it was compressed into until its row group is written, so that these are
    // for files of rows that are in memory anyway.
    if effort == Effort::Landing && expected.is_some() {
        properties = properties.set_writer_version(WriterVersion::PARQUET_2_0);
    }
    for (field, values) in schema.fields().iter().zip(first.columns()) {
        let path = || ColumnPath::new(vec![field.name().clone()]);
        let column = def.columns.iter().find(|column| column.name == field.name());
        let is = |ty| column.is_some_and(|column| column.ty == ty);
        if is_whole && bytes_of(values) < COMPRESSED_BYTES {
            properties = properties.set_column_compression(path(), Compression::UNCOMPRESSED);
        }
        if is(Type::Dynamic) {
            // Large and seldom equal: neither a dictionary nor a least and greatest value is of use.
            properties = properties
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::PLAIN)
                .set_column_statistics_enabled(path(), EnabledStatistics::None);
            if is_compacted {
                properties = properties
                    .set_column_compression(path(), zstd(BAGS)?)
                    .set_column_data_page_size_limit(path(), BAG_PAGE_BYTES);
            }
            continue;
        }
        let is_key = def.key.as_slice() == [field.name().as_str()];
        let shown = seen(values);
        let is_distinct = is_key || shown.is_distinct;
        match values.data_type() {
            DataType::Utf8 | DataType::Utf8View => {
                // Also what a dictionary is given up for.
                properties = properties.set_column_encoding(path(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
                if is_distinct {
                    properties = properties.set_column_dictionary_enabled(path(), false);
                }
                if is_compacted && is_distinct && shown.is_short {
                    properties = properties.set_column_compression(path(), zstd(FAST)?);
                }
                if shown.has_giants {
                    // The writer keeps copies of the least and the greatest text of a page and of all of them.
                    properties = properties.set_column_statistics_enabled(path(), EnabledStatistics::None);
                }
            }
            DataType::Int64 if def.content == Some(field.name().as_str()) => {
                // Hashes are as they are.
                properties = properties.set_column_dictionary_enabled(path(), false).set_column_encoding(path(), Encoding::PLAIN);
            }
            DataType::Int64 | DataType::Timestamp(..) => {
                properties = properties.set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
                // Durations are as fine as their clock, and rows lie by time.
                if is_distinct || is(Type::TimeSpan) || field.name() == def.time {
                    properties = properties.set_column_dictionary_enabled(path(), false);
                }
            }
            // What is usual depends on the version of pages.
            _ => properties = properties.set_column_encoding(path(), Encoding::PLAIN),
        }
        let is_sought = def.sought_columns().any(|name| name == field.name()) && (is(Type::String) || is(Type::Long));
        if is_sought && effort != Effort::Run {
            // At the usual one in twenty, a look for a few rows would read a part of the row groups that have none of them.
            let by_chance = if def.span == KeySpan::Day { 0.01 } else { 0.000_1 };
            properties = properties.set_column_bloom_filter_enabled(path(), true).set_column_bloom_filter_fpp(path(), by_chance);
            if let Some(rows) = expected {
                properties = properties.set_column_bloom_filter_max_ndv(path(), rows.clamp(1, ROW_GROUP_ROWS) as u64);
            }
        }
    }
    Ok(properties.build())
}

/// What the first values of a column show.
struct Seen {
    /// Nearly each of them is another one.
    is_distinct: bool,
    /// Texts are no longer than ids.
    is_short: bool,
    /// A text alone fills a page.
    has_giants: bool,
}

fn seen(values: &dyn Array) -> Seen {
    if let Some(texts) = values.as_string_opt::<i32>() {
        return seen_texts(|| texts.iter().flatten());
    }
    if let Some(texts) = values.as_string_view_opt() {
        return seen_texts(|| texts.iter().flatten());
    }
    let hash = |number: i64| spread(number.cast_unsigned());
    let numbers = values.as_primitive_opt::<Int64Type>().map(|numbers| are_distinct(numbers.iter().flatten().map(hash)));
    let times = values.as_primitive_opt::<TimestampMicrosecondType>();
    let times = times.map(|times| are_distinct(times.iter().flatten().map(hash)));
    Seen { is_distinct: numbers.or(times).unwrap_or(false), is_short: true, has_giants: false }
}

fn seen_texts<'a, I: Iterator<Item = &'a str>>(texts: impl Fn() -> I) -> Seen {
    let (count, bytes, longest) = texts().fold((0_usize, 0_usize, 0_usize), |(count, bytes, longest), text| {
        (count + 1, bytes + text.len(), longest.max(text.len()))
    });
    let is_distinct = are_distinct(texts().map(|text| xxh64(text.as_bytes(), 0)));
    Seen { is_distinct, is_short: bytes <= ID_BYTES * count.max(1), has_giants: longest >= PAGE_BYTES }
}

/// True when nineteen of twenty values, by their hashes, are new ones: a dictionary would hold nearly all of them, and say each
/// again. What repeats itself more than that does so the more, the more rows there are.
fn are_distinct(values: impl Iterator<Item = u64>) -> bool {
    let (mut all, mut found) = (0_usize, HashSet::<u64, BuildKeyHasher>::default());
    for value in values {
        all += 1;
        found.insert(value);
        if all >= ENOUGH && found.len() * 2 < all {
            return false;
        }
    }
    all >= FEW && found.len() * 20 >= all * 19
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    #[test]
    fn only_what_nearly_never_repeats_itself_is_distinct() {
        let texts = |count: usize, different: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter((0..count).map(|n| (n % 3 > 0).then(|| format!("{:032x}", n % different)))))
        };
        let is_distinct = |array: &ArrayRef| seen(array).is_distinct;
        assert!(is_distinct(&texts(8192, 8192)));
        assert!(!is_distinct(&texts(8192, 4096)) && !is_distinct(&texts(8192, 10)));
        assert!(!is_distinct(&texts(60, 60)), "too few to tell");
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        assert!(is_distinct(&numbers) && seen(&texts(100, 100)).is_short);
        let long: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|n| format!("{n:0100}"))));
        assert!(is_distinct(&long) && !seen(&long).is_short);
    }

    #[test]
    fn a_column_is_encoded_by_what_its_first_rows_show() {
        let def = crate::tables::find("traces").expect("traces");
        let mut rows = crate::write::rows::RowBuilder::new(def);
        let at = |name: &str| def.index_of(name).expect("a column");
        for n in 0..200_u32 {
            rows.set_datetime_us(at(def.time), i64::from(n));
            rows.set_str(at("itemId"), &n.to_string());
            rows.set_str(at("operation_Id"), &format!("{n:032x}"));
            rows.set_str(at("session_Id"), &format!("{:032x}", n / 10));
            rows.end_row();
        }
        let batch = rows.finish().expect("batch");
        let made = |effort| properties(def, &batch, None, effort).expect("properties");
        let landing = made(Effort::Landing);
        let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
        let encoded = |name: &str| (landing.dictionary_enabled(&path(name)), landing.encoding(&path(name)));
        assert_eq!(encoded("operation_Id"), (false, Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)));
        assert_eq!(encoded("session_Id"), (true, Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)));
        assert_eq!(encoded("timestamp"), (false, Some(Encoding::DELTA_BINARY_PACKED)));
        assert_eq!(encoded("customDimensions_totalTime"), (false, Some(Encoding::DELTA_BINARY_PACKED)));
        assert_eq!(encoded("_contentHash"), (false, Some(Encoding::PLAIN)));
        assert_eq!(encoded("customDimensions"), (false, Some(Encoding::PLAIN)));
        assert_eq!(encoded("severityLevel").1, Some(Encoding::PLAIN));
        // Rows that are in memory anyway get pages of version 2, in whatever encoding those of version 1 have.
        let with = |effort, expected| properties(def, &batch, expected, effort).expect("properties").writer_version();
        let [one, two] = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
        assert_eq!([with(Effort::Landing, Some(200)), with(Effort::Landing, None)], [two, one]);
        assert_eq!([with(Effort::Compaction, Some(200)), with(Effort::Rewrite, Some(200)), with(Effort::Run, None)], [one; 3]);
        let level = |effort, name: &str| made(effort).compression(&path(name));
        let zstd = |level| Compression::ZSTD(ZstdLevel::try_new(level).expect("a level"));
        for (name, compacted) in
            [("message", THOROUGH), ("operation_Id", FAST), ("session_Id", THOROUGH), ("customDimensions", BAGS)]
        {
            assert_eq!((level(Effort::Landing, name), level(Effort::Compaction, name)), (zstd(FAST), zstd(compacted)), "{name}");
        }
        // Of a file that has no more rows, columns with few bytes are not compressed.
        let small = |expected| properties(def, &batch, expected, Effort::Landing).expect("properties");
        let levels =
            |made: &WriterProperties| ["operation_Id", "timestamp", "customDimensions"].map(|n| made.compression(&path(n)));
        assert_eq!(levels(&small(Some(200))), [zstd(FAST), Compression::UNCOMPRESSED, Compression::UNCOMPRESSED]);
        assert_eq!(levels(&small(Some(201))), [zstd(FAST); 3]);
        let room = |expected| small(expected).bloom_filter_properties(&path("itemId")).map(|filter| filter.ndv());
        assert_eq!((room(Some(200)), room(Some(1 << 20))), (Some(200), Some(ROW_GROUP_ROWS as u64)));
    }

    #[test]
    fn texts_that_fill_pages_have_no_bounds() {
        let def = crate::tables::find("traces").expect("traces");
        let of = |longest: usize| {
            let mut rows = crate::write::rows::RowBuilder::new(def);
            for text in ["a".repeat(longest), "b".to_owned()] {
                rows.set_datetime_us(def.index_of(def.time).expect("a column"), 0);
                rows.set_str(def.index_of("itemId").expect("a column"), &text[..1]);
                rows.set_str(def.index_of("message").expect("a column"), &text);
                rows.end_row();
            }
            let made = properties(def, &rows.finish().expect("batch"), Some(2), Effort::Landing).expect("properties");
            ["message", "itemId"].map(|name| made.statistics_enabled(&ColumnPath::new(vec![name.to_owned()])))
        };
        assert_eq!(of(PAGE_BYTES), [EnabledStatistics::None, EnabledStatistics::Page]);
        assert_eq!(of(PAGE_BYTES - 1), [EnabledStatistics::Page; 2]);
    }
}
