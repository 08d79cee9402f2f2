//! The content of a row, and the id that replaces one that its source did not give.

use super::hash::{RecordHash, canonical_hash, canonical_members, members_hash, truth};
use crate::tables::{ColumnDef, TableDef};
use kqlake_value::json::checked::Members;

/// The column for fields of a source that have no column of their own.
pub const EXTRA: &str = "_extra";

/// The version of what contents are made of: part of every content hash.
const VERSION: &[u8] = b"content 2";

/// Fields that the service or the way of export adds around a record, in lower case and without signs: some shapes of the same
/// record carry them and others do not.
const ENVELOPE: [&str; 17] = [
    "resourceid",
    "subscriptionid",
    "resourcegroup",
    "resource",
    "billedsize",
    "isbillable",
    "tenantid",
    "sourcesystem",
    "mg",
    "managementgroupname",
    "timereceived",
    "internalworkspaceresourceid",
    "referenceditemid",
    "referencedtype",
    "type",
    "category",
    "level",
];

/// Objects of a record of the retired continuous export that its `context` has (Azure Monitor documentation, "Application Insights
/// export data model").
const CONTEXT: [&str; 9] = ["application", "cloud", "custom", "data", "device", "location", "operation", "session", "user"];

/// The column of texts that are truth values: shapes have a JSON value there, or its text in either letter case.
const SUCCESS: &str = "success";

/// A value of a row, as contents are made of it.
#[derive(Debug, Clone, Copy)]
pub enum ContentValue<'a> {
    /// None.
    Null,
    /// bool
    Bool(bool),
    /// int, long, and timespan as ticks
    Int(i64),
    /// real
    Real(f64),
    /// decimal, scaled by 10^18
    Decimal(i128),
    /// datetime: microseconds since 1970
    Time(i64),
    /// string and guid
    Text(&'a str),
    /// dynamic
    Json(&'a str),
}

/// What of a table's rows is their content: all that distinguishes records, in a form that every shape of a record gives alike.
/// Times count to the millisecond, JSON by its value, and what is empty as absent.
#[derive(Debug, Clone)]
pub struct RowContent {
    start: RecordHash,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    column: usize,
    name: RecordHash,
    is_extra: bool,
    is_truth: bool,
}

impl RowContent {
    /// The content of a table's rows; `None` for tables whose rows keep none.
    pub fn of(def: &TableDef) -> Option<Self> {
        def.content?;
        let counts = |column: &(usize, &ColumnDef)| column.1.is_content();
        let part = |(column, def): (usize, &ColumnDef)| Part {
            column,
            name: RecordHash::of(def.name.as_bytes()),
            is_extra: def.name == EXTRA,
            is_truth: def.name == SUCCESS,
        };
        let parts = def.columns.iter().enumerate().filter(counts).map(part).collect();
        Some(RowContent { start: RecordHash::of(VERSION).then(RecordHash::of(def.name.as_bytes())), parts })
    }

    /// The same without fields that have no column: the content of records whose shape names these as no other shape does.
    #[must_use]
    pub fn of_columns(mut self) -> Self {
        self.parts.retain(|part| !part.is_extra);
        self
    }

    /// The hash of a row's content, of its values by position in the definition. `repeats` becomes true when a JSON value has an
    /// object with a name twice.
    pub fn hash<'v>(&self, value: impl FnMut(usize) -> ContentValue<'v>, repeats: &mut bool) -> RecordHash {
        self.hash_known(value, |_| None, repeats)
    }

    /// The same where the members of some JSON values are known: of objects that are not nested too deep.
    pub fn hash_known<'v, 'm: 'v>(
        &self,
        mut value: impl FnMut(usize) -> ContentValue<'v>,
        members: impl Fn(usize) -> Option<&'v Members<'m>>,
        repeats: &mut bool,
    ) -> RecordHash {
        let mut sum = RecordHash::default();
        for part in &self.parts {
            if let Some(members) = members(part.column).filter(|_| !part.is_extra) {
                if let Some(hash) = members_hash(members, repeats) {
                    sum = sum.plus(part.name.then(hash));
                }
                continue;
            }
            let hash = match value(part.column) {
                ContentValue::Json(json) if part.is_extra && is_nested_export(json) => None,
                ContentValue::Json(json) if part.is_extra => canonical_members(json, |name| !is_envelope(name), repeats),
                ContentValue::Text(text) if part.is_truth && text.eq_ignore_ascii_case("true") => Some(truth(true)),
                ContentValue::Text(text) if part.is_truth && text.eq_ignore_ascii_case("false") => Some(truth(false)),
                value => hash_of(value, repeats),
            };
            if let Some(hash) = hash {
                sum = sum.plus(part.name.then(hash));
            }
        }
        self.start.then(sum)
    }
}

fn hash_of(value: ContentValue<'_>, repeats: &mut bool) -> Option<RecordHash> {
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() };
    Some(match value {
        ContentValue::Null => return None,
        ContentValue::Bool(v) => truth(v),
        ContentValue::Int(v) => RecordHash::of(&v.to_le_bytes()),
        ContentValue::Time(v) => RecordHash::of(&v.div_euclid(1000).to_le_bytes()),
        ContentValue::Real(v) => RecordHash::of(&bits(v).to_le_bytes()),
        ContentValue::Decimal(v) => RecordHash::of(&v.to_le_bytes()),
        ContentValue::Text("") => return None,
        ContentValue::Text(v) => RecordHash::of(v.as_bytes()),
        ContentValue::Json(v) => return canonical_hash(v, repeats),
    })
}

fn is_envelope(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    ENVELOPE.contains(&plain.as_str())
}

/// True for what is left of a record of the continuous export beside its columns: the export's own nested objects, and fields that no
/// other shape names so. It is no content, since the same record in another shape has none of it.
fn is_nested_export(json: &str) -> bool {
    // Most rows have neither; a search is cheaper than to read the object.
    if !(json.contains("\"context\"") || json.contains("\"internal\"")) {
        return false;
    }
    let Ok(members) = Members::parse(json.trim()) else { return false };
    let has_object = |name: &str, inner: &[&str]| {
        let object = members.get(name).filter(|object| object.starts_with('{')).and_then(|object| Members::parse(object).ok());
        object.is_some_and(|object| inner.iter().any(|inner| object.get(inner).is_some_and(|inner| inner.starts_with('{'))))
    };
    has_object("context", &CONTEXT) || has_object("internal", &["data"])
}

/// A content's hash as its column keeps it.
pub fn content_id(content: RecordHash) -> i64 {
    content.0.cast_signed()
}

/// The id of a record that has none of its own: 32 hexadecimal digits, 16 of its content, 8 of `ordinal`, and 8 that check both.
/// `ordinal` numbers the records of one unit that have the same content, from 0.
pub fn derived_id(content: RecordHash, ordinal: u32) -> String {
    format!("{:016x}{ordinal:08x}{:08x}", content.0, check_of(content.0, ordinal))
}

/// The content's hash, as its column keeps it, of an id that [`derived_id`] made; `None` for any other id. Records that come back
/// out of a lake have such ids, perhaps without all of what they were derived from.
pub fn derived_content(id: &str) -> Option<i64> {
    let (content, ordinal, check) = parts(id)?;
    (check == check_of(content, ordinal)).then_some(content.cast_signed())
}

/// The three numbers of an id of 32 hexadecimal digits.
fn parts(id: &str) -> Option<(u64, u32, u32)> {
    if id.len() != 32 || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let short = |range: std::ops::Range<usize>| u32::from_str_radix(id.get(range)?, 16).ok();
    Some((u64::from_str_radix(id.get(..16)?, 16).ok()?, short(16..24)?, short(24..32)?))
}

/// What distinguishes a derived id from any other.
fn check_of(content: u64, ordinal: u32) -> u32 {
    let mixed = RecordHash(content, 0).then(RecordHash(u64::from(ordinal), 0));
    (mixed.0 >> 32) as u32
}

/// The ordinal of an id that is derived from the content with this id; `None` for an id of the source's own. Ids of the first form
/// have no ordinal, and check nothing.
pub(crate) fn ordinal_of(id: &str, content: i64) -> Option<u32> {
    let (own, ordinal, check) = parts(id).filter(|(own, ..)| own.cast_signed() == content)?;
    Some(if check == check_of(own, ordinal) { ordinal } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{self, find};
    use kqlake_value::Type;

    #[test]
    fn derived_ids_are_told_from_own_ones() {
        let content = RecordHash::of(b"record");
        let id = content_id(content);
        for ordinal in [0, 1, 2, 255, 70_000, u32::MAX] {
            assert_eq!(ordinal_of(&derived_id(content, ordinal), id), Some(ordinal));
            assert_eq!(derived_content(&derived_id(content, ordinal)), Some(id));
        }
        assert_eq!(ordinal_of(&content.hex(), id), Some(0));
        for own in [content.hex().as_str(), "19aedcf0-ef3a-5254-8c49-12e3d177ade7", "", &"0".repeat(32), &"é".repeat(16)] {
            assert_eq!(derived_content(own), None);
        }
        assert_eq!(ordinal_of(&RecordHash::of(b"other").hex(), id), None);
        assert_eq!(ordinal_of("19aedcf0-ef3a-5254-8c49-12e3d177ade7", id), None);
        assert_eq!(ordinal_of("", id), None);
        assert_eq!(derived_id(content, 1), "e5c37ab8f29acc7100000001fe945fa0");
    }

    /// A value of each content column, made of its name.
    fn sample(table: &TableDef, but: Option<usize>) -> RecordHash {
        let content = RowContent::of(table).expect("a table with contents");
        let value = |at: usize| {
            let column = &table.columns[at];
            if but == Some(at) {
                return ContentValue::Null;
            }
            match column.ty {
                Type::DateTime => ContentValue::Time(1_767_597_787_123_456),
                Type::Long | Type::Int | Type::TimeSpan => ContentValue::Int(at as i64),
                Type::Real => ContentValue::Real(at as f64 + 0.5),
                Type::Dynamic => ContentValue::Json(r#"{"a":1,"b":["x",null],"_BilledSize":5}"#),
                _ => ContentValue::Text(column.name),
            }
        };
        content.hash(value, &mut false)
    }

    #[test]
    fn contents_are_those_that_lakes_hold() {
        let found: Vec<String> =
            tables::all().filter(|t| t.content.is_some()).map(|t| format!("{} {}", t.name, sample(t, None).hex())).collect();
        assert_eq!(found, PINNED);
    }

    #[test]
    fn every_column_that_all_shapes_carry_is_part_of_the_content() {
        for table in tables::all().filter(|t| t.content.is_some()) {
            let whole = sample(table, None);
            let parts: Vec<usize> = RowContent::of(table).expect("contents").parts.iter().map(|part| part.column).collect();
            for at in 0..table.columns.len() {
                assert_eq!(sample(table, Some(at)) != whole, parts.contains(&at), "{}.{}", table.name, table.columns[at].name);
            }
        }
        let counters = find("performanceCounters").expect("a table");
        assert_ne!(sample(counters, counters.index_of("instance")), sample(counters, None));
    }

    #[test]
    fn contents_do_not_depend_on_spelling() {
        let traces = find("traces").expect("traces");
        let content = RowContent::of(traces).expect("contents");
        let at = |name: &str| traces.index_of(name).expect("a column");
        let hash = |time: i64, message: &str, extra: &str| {
            let value = |column: usize| match column {
                c if c == at("timestamp") => ContentValue::Time(time),
                c if c == at("message") => ContentValue::Text(message),
                c if c == at(EXTRA) => ContentValue::Json(extra),
                _ => ContentValue::Null,
            };
            content.hash(value, &mut false)
        };
        let plain = hash(1_000, "true", "{}");
        assert_ne!(hash(1_000, "True", "{}"), plain);
        assert_eq!(hash(1_999, "true", r#"{"_ResourceId":"x","resourceId":5}"#), plain);
        assert_ne!(hash(2_000, "true", "{}"), plain);
        assert_ne!(hash(1_000, "true", r#"{"Field":1}"#), plain);
        // What only the continuous export says around a record, and fields of other shapes that are called as its parts are.
        for extra in
            [r#"{"context":{"data":{"isSynthetic":false}},"loggerName":"l"}"#, r#"{"internal":{"data":{"documentVersion":"1"}}}"#]
        {
            assert_eq!(hash(1_000, "true", extra), plain, "{extra}");
        }
        for extra in [
            r#"{"context":{"a":{"b":1}}}"#,
            r#"{"context":"data"}"#,
            r#"{"internal":{"data":1}}"#,
            r#"{"a":{"context":{"data":{}}},"b":1}"#,
        ] {
            assert_ne!(hash(1_000, "true", extra), plain, "{extra}");
        }
    }

    /// Another hash would land records without an id a second time.
    const PINNED: [&str; 10] = [
        "traces 029db5dd3ee3e8f8ffe369be2532739f",
        "customEvents 376a27a194062fa0422082b88637fa51",
        "pageViews bbf82815a22158ce75072f177d4e9d10",
        "requests 2478eca370a6cccf777831c2d9247b5c",
        "dependencies 4d910c8d553956d812b245464f146116",
        "exceptions 54852460f3a225b3cc79d340c745b9bf",
        "availabilityResults 574bb0f132614f935132d4a2456d6adb",
        "browserTimings 113cc610d5bada786109479d41fab99a",
        "customMetrics 8563cc67883d74af78a2806ad9f9ffc6",
        "performanceCounters 58db8c4aa4eb70e6c70195c99f8d2ac6",
    ];
}
