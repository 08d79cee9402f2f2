//! Keys of report rows: one row has one key, whether it comes from CSV or from JSON.
//!
//! Lakes hold these keys. A key of another form would land all rows a second time, so each has a version, and the tests pin one
//! of each for every report.

use crate::convert;
use crate::fields::plain_name;
use crate::row::{Cell, Row, SourceValue};
use kqlake_lake::identity::RecordHash;

/// Columns that identify what a report row is about, the surest first. Names for people are none: two groups may have one name,
/// and an owner may have many sites.
const IDS: [&str; 6] = ["userPrincipalName", "siteId", "groupId", "teamId", "userId", "siteUrl"];
/// What tells rows of one entity, or rows without one, apart.
const PARTS: [&str; 4] = ["reportRefreshDate", "reportDate", "siteType", "productType"];

/// Names for people alone.
const NAMES: [&str; 3] = ["groupDisplayName", "teamName", "displayName"];

/// True for what is in the place of a name that is withheld or not known: `(Unknown)`, `--`, an id of zeros.
fn names_nobody(text: &str) -> bool {
    let plain = plain_name(text);
    plain.bytes().all(|b| b == b'0') || ["unknown", "na", "none", "null", "anonymous"].contains(&plain.as_str())
}

/// The period that a row is about, in days where it says so: CSV has `7`, JSON `7` or `D7`.
fn period(row: &Row<'_>) -> String {
    let said = row.get("reportPeriod");
    let text = part(said);
    match said {
        Cell::Text(_) => text.trim_start_matches('d').to_owned(),
        _ => text,
    }
}

/// The text of a value that takes part in a key: the same from every shape.
fn part(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) | Cell::Time(value) | Cell::Span(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Text(text) | Cell::Json(text) => text.trim().to_lowercase(),
    }
}

/// True for the text of what is as if absent: nothing, or a JSON array or object of nothing.
fn is_nothing(text: &str) -> bool {
    let mut inner = text.bytes().filter(|b| !b.is_ascii_whitespace());
    match inner.next() {
        None => true,
        Some(b'[') => inner.eq(*b"]"),
        Some(b'{') => inner.eq(*b"}"),
        Some(_) => false,
    }
}

/// The ticks of a duration of ISO 8601, which may be written in several ways: `PT1H`, `PT1H0M`.
fn duration(text: &str) -> Option<String> {
    let ticks = text.starts_with("pt").then(|| convert::timespan(text))??;
    Some(format!("pt{ticks}"))
}

/// The key of a row that says what it is about, version 1: the report, [`PARTS`], the period, the id's column and the id. A row
/// about something deleted is another one: its name may be in use again. In a whole report, as a service gives it, such rows are told
/// apart by their number, so that an entity stays the same when it is deleted. `None` for a row about someone whose name is withheld.
pub(super) fn named_key(row: &Row<'_>, is_given: bool) -> Option<RecordHash> {
    let mut hash = RecordHash::of(row.table.name.as_bytes());
    let mut add = |text: &str| hash = hash.then(RecordHash::of(text.to_lowercase().as_bytes()));
    PARTS.iter().for_each(|name| add(&part(row.get(name))));
    add(&period(row));
    let id = IDS.iter().find_map(|name| row.get(name).as_text().filter(|id| !names_nobody(id)).map(|id| (*name, id)));
    match id {
        Some((name, id)) => {
            add(name);
            add(id.trim());
            if !is_given && *row.get("isDeleted") == Cell::Bool(true) {
                add("deleted");
                add(&part(row.get("deletedDate")));
            }
        }
        None if row.table.name.ends_with("Detail") => return None,
        None => {}
    }
    Some(hash)
}

/// The key of a row that does not say what it is about, version 2: all its content. `others` is of what has no column.
pub(super) fn content_key(row: &Row<'_>, others: RecordHash) -> RecordHash {
    let mut sum = others;
    for (column, cell) in row.table.columns.iter().zip(&row.cells).filter(|(_, cell)| !cell.is_null()) {
        let text = if column.name == "reportPeriod" { period(row) } else { part(cell) };
        if is_nothing(&text) {
            continue;
        }
        let text = duration(&text).unwrap_or(text);
        sum = sum.plus(RecordHash::of(format!("{}={text}", plain_name(column.name)).as_bytes()));
    }
    RecordHash::of(format!("report row 2:{}", row.table.name).as_bytes()).then(sum)
}

/// The key of a row that does not say what it is about, where a service gave the whole report, version 3: what all such rows of the
/// report have in common, and the names for people that it has. Rows of one key are numbered, so that those of a later state of the
/// report take the places of those of an earlier one.
pub(super) fn given_key(row: &Row<'_>) -> RecordHash {
    let mut hash = RecordHash::of(format!("report row 3:{}", row.table.name).as_bytes());
    let mut add = |text: &str| hash = hash.then(RecordHash::of(text.to_lowercase().as_bytes()));
    PARTS.iter().for_each(|name| add(&part(row.get(name))));
    add(&period(row));
    NAMES.iter().for_each(|name| add(&part(row.get(name))));
    hash
}

/// The part in a key of something that has no column, by its name as it is compared.
pub(super) fn other_content(name: &str, value: SourceValue<'_>) -> RecordHash {
    let text = value.text().trim().to_lowercase();
    if name.is_empty() || name.starts_with("odata") || value.is_empty() || is_nothing(&text) {
        return RecordHash::default();
    }
    let text = duration(&text).unwrap_or(text);
    RecordHash::of(format!("{name}={text}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_lake::tables;

    #[test]
    fn keys_are_those_that_lakes_hold() {
        let mut keys = String::new();
        for table in tables::all().filter(|table| table.key == ["rowKey"] && table.time == "reportRefreshDate") {
            let mut row: Row<'static> = Row::new(table);
            row.set("reportRefreshDate", Cell::Time(1_767_571_200_000_000));
            let named = IDS.iter().map(|id| (*id, "Amy")).chain([("reportPeriod", "D7")]);
            for (name, text) in named.filter(|(name, _)| table.index_of(name).is_some()) {
                row.set(name, Cell::text(text));
            }
            // Groups of Yammer have a name for people alone.
            let named = named_key(&row, false).map_or_else(|| "-".to_owned(), RecordHash::hex);
            let content = content_key(&row, other_content("more", SourceValue::Json("5"))).hex();
            keys.push_str(&format!("{}\t{named}\t{content}\n", table.name));
        }
        assert_eq!(keys, include_str!("report_keys.tsv"));
    }

    #[test]
    fn what_is_empty_is_absent_and_durations_are_one_in_every_form() {
        let key = |products: Cell<'static>, audio: &'static str, more: &str| {
            let mut row: Row<'static> = Row::new(tables::find("TeamsUserActivityUserDetail").expect("a table"));
            row.set("reportRefreshDate", Cell::Time(1_767_571_200_000_000));
            row.set("assignedProducts", products);
            row.set("audioDuration", Cell::text(audio));
            content_key(&row, other_content("more", SourceValue::Json(more)))
        };
        let plain = key(Cell::Null, "PT1H", "null");
        for (products, audio, more) in [("[]", "PT1H0M", "[ ]"), ("{}", "PT60M", "{}"), ("[ ]", "PT1H0M0S", r#"" ""#)] {
            assert_eq!(key(Cell::Json(products.into()), audio, more), plain, "{products} {audio} {more}");
        }
        assert_ne!(key(Cell::Json(r#"["E5"]"#.into()), "PT1H", "null"), plain);
        assert_ne!(key(Cell::Null, "PT1H1S", "null"), plain);
        assert_ne!(key(Cell::Null, "PT1H", "5"), plain);
    }

    #[test]
    fn values_that_name_nobody() {
        for text in ["(Unknown)", "--", "", " ", "00000000-0000-0000-0000-000000000000", "0", "N/A", "null"] {
            assert!(names_nobody(text), "{text}");
        }
        for text in ["amy@contoso.com", "F7C8A1", "0b5c4d3e-0000-4000-8000-00000000000a", "unknown@contoso.com"] {
            assert!(!names_nobody(text), "{text}");
        }
    }
}
