//! One row on its way into the lake, and the reading of source values as column types.

use std::borrow::Cow;

use super::convert::{self, DateOrder};
use super::json_text::{compact, string_literal, unescape};
use kqlake_lake::RowBuilder;
use kqlake_lake::identity::{ContentValue, RecordHash, RowContent, derived_id};
use kqlake_lake::tables::{IMPORT_ID, TableDef};
use kqlake_value::Type;
use kqlake_value::json::checked::{Members, Raw};
use kqlake_value::json::replace_lone_surrogates;

/// A value of a row. Its kind agrees with its column's type.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Cell<'a> {
    /// No value.
    #[default]
    Null,
    /// bool
    Bool(bool),
    /// int and long
    Int(i64),
    /// real and decimal
    Real(f64),
    /// string and guid
    Text(Cow<'a, str>),
    /// datetime: microseconds since 1970-01-01 UTC
    Time(i64),
    /// timespan: ticks of 100 ns
    Span(i64),
    /// dynamic: valid JSON text, never the text `null`
    Json(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    /// JSON as it came, in a form that every JSON reader takes.
    pub(crate) fn raw_json(text: &str) -> Cell<'static> {
        Cell::Json(Cow::Owned(compact(&replace_lone_surrogates(text)).into_owned()))
    }

    /// A text cell; empty text is no value.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if text.is_empty() { Cell::Null } else { Cell::Text(text) }
    }

    /// The text of a text cell.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value with its own copy of what it borrowed.
    pub(crate) fn into_owned(self) -> Cell<'static> {
        match self {
            Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Cell::Json(text) => Cell::Json(Cow::Owned(text.into_owned())),
            Cell::Null => Cell::Null,
            Cell::Bool(v) => Cell::Bool(v),
            Cell::Int(v) => Cell::Int(v),
            Cell::Real(v) => Cell::Real(v),
            Cell::Time(v) => Cell::Time(v),
            Cell::Span(v) => Cell::Span(v),
        }
    }

    /// True for a missing value.
    pub(crate) fn is_null(&self) -> bool {
        *self == Cell::Null
    }

    /// The value as a row's content is made of it.
    fn value(&self) -> ContentValue<'_> {
        match self {
            Cell::Null => ContentValue::Null,
            Cell::Bool(v) => ContentValue::Bool(*v),
            Cell::Int(v) | Cell::Span(v) => ContentValue::Int(*v),
            Cell::Real(v) => ContentValue::Real(*v),
            Cell::Text(v) => ContentValue::Text(v),
            Cell::Time(v) => ContentValue::Time(*v),
            Cell::Json(v) => ContentValue::Json(v),
        }
    }
}

/// A source value before its column's type is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SourceValue<'a> {
    /// JSON text of a value.
    Json(&'a str),
    /// JSON text of a string that is known to have no escapes.
    Plain(&'a str),
    /// A CSV field.
    Field(&'a str),
}

impl<'a> SourceValue<'a> {
    /// A member's value.
    pub(crate) fn of(value: Raw<'a>) -> Self {
        if value.plain_string().is_some() { SourceValue::Plain(value.get()) } else { SourceValue::Json(value.get()) }
    }

    /// The value as plain text: a JSON string unescaped, anything else as it is.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match self {
            SourceValue::Json(json) if json.starts_with('"') => unescape(json),
            SourceValue::Plain(json) => Cow::Borrowed(json.get(1..json.len().saturating_sub(1)).unwrap_or_default()),
            SourceValue::Json(text) | SourceValue::Field(text) => Cow::Borrowed(text),
        }
    }

    /// True for JSON null, an empty text, and an empty field.
    pub(crate) fn is_empty(self) -> bool {
        match self {
            SourceValue::Json(text) | SourceValue::Plain(text) => text == "null" || text == "\"\"",
            SourceValue::Field(text) => text.is_empty(),
        }
    }

    /// The value as a column of the given type takes it: `Some(Null)` for an empty value, `None` where it cannot be read.
    ///
    /// Numbers may arrive as text and text as numbers; both are read.
    pub(crate) fn read(self, ty: Type, order: DateOrder) -> Option<Cell<'a>> {
        if self.is_empty() {
            return Some(Cell::Null);
        }
        match ty {
            Type::String => Some(Cell::text(match self {
                // The classic tables show booleans as these words.
                SourceValue::Json("true") => Cow::Borrowed("True"),
                SourceValue::Json("false") => Cow::Borrowed("False"),
                other => other.text(),
            })),
            Type::Dynamic => self.dynamic(),
            _ => {
                let text = self.text();
                let text = text.trim();
                if text.is_empty() {
                    return Some(Cell::Null);
                }
                match ty {
                    Type::DateTime => convert::datetime(text, order).map(Cell::Time),
                    Type::Long => convert::integer(text).map(Cell::Int),
                    Type::Int => convert::integer(text).filter(|v| i32::try_from(*v).is_ok()).map(Cell::Int),
                    Type::Real | Type::Decimal => convert::real(text).map(Cell::Real),
                    Type::Bool => convert::boolean(text).map(Cell::Bool),
                    Type::TimeSpan => convert::timespan(text).map(Cell::Span),
                    _ => convert::guid(text).map(|v| Cell::Text(v.into())),
                }
            }
        }
    }

    /// A dynamic value: an object or array as it came; JSON inside a string is taken out of it, as the query API and CSV
    /// files carry dynamic columns.
    fn dynamic(self) -> Option<Cell<'a>> {
        let inner = match self {
            SourceValue::Json(json) if !json.starts_with('"') => return Some(Cell::Json(well_formed(Cow::Borrowed(json)))),
            other => other.text(),
        };
        let trimmed = inner.trim();
        if trimmed.is_empty() || trimmed == "null" {
            return Some(Cell::Null);
        }
        if trimmed.starts_with(['{', '[']) {
            let whole = trimmed.len() == inner.len();
            let text = if whole { inner } else { Cow::Owned(trimmed.to_owned()) };
            let text = repaired(text);
            if serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok() {
                return Some(Cell::Json(well_formed(text)));
            }
            // Broken JSON stays what it is: a text.
            return Some(Cell::Json(Cow::Owned(string_literal(&text))));
        }
        Some(Cell::Json(Cow::Owned(string_literal(&inner))))
    }
}

fn repaired(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => replace_lone_surrogates(text),
        Cow::Owned(text) => Cow::Owned(replace_lone_surrogates(&text).into_owned()),
    }
}

/// JSON as the lake keeps it: compact, and readable by every JSON reader.
fn well_formed(text: Cow<'_, str>) -> Cow<'_, str> {
    match repaired(text) {
        Cow::Borrowed(text) => compact(text),
        Cow::Owned(text) => match compact(&text) {
            Cow::Borrowed(_) => Cow::Owned(text),
            Cow::Owned(compacted) => Cow::Owned(compacted),
        },
    }
}

/// The number of a table's columns that a source fills: all before the promoted ones and our own.
pub(crate) fn source_columns(table: &TableDef) -> usize {
    table.columns.iter().take_while(|c| c.promoted.is_none() && c.name != IMPORT_ID).count()
}

/// The id of a record that has none of its own, as far as the record alone says it: the other part is its ordinal among the
/// records of its content in the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unnumbered {
    /// The place of the id's column.
    pub column: usize,
    /// The record's content.
    pub content: RecordHash,
    /// Where `content` is only what records are about: all of the record. The same once more in a unit is no further record.
    pub whole: Option<RecordHash>,
}

impl Unnumbered {
    /// The id.
    pub(crate) fn id(self, ordinal: u32) -> String {
        derived_id(self.content, ordinal)
    }
}

/// A row of a table: one cell for each column that a source fills.
#[derive(Debug, Clone)]
pub(crate) struct Row<'a> {
    /// The table.
    pub table: &'static TableDef,
    /// Values in column order.
    pub cells: Vec<Cell<'a>>,
    /// The members of objects in dynamic columns, by the place of the column, where they were found on the way.
    bags: Vec<(usize, Members<'a>)>,
    /// Where the id is that of the first record of its content, and may be another one's.
    pub unnumbered: Option<Unnumbered>,
}

impl<'a> Row<'a> {
    /// A row without values.
    pub(crate) fn new(table: &'static TableDef) -> Self {
        Self::with_columns(table, source_columns(table))
    }

    /// A row without values of a table whose [`source_columns`] were counted before.
    pub(crate) fn with_columns(table: &'static TableDef, count: usize) -> Self {
        // Made where they are: a clone of each would be a call.
        let cells = (0..count).map(|_| Cell::Null).collect();
        Self { table, cells, bags: Vec::new(), unnumbered: None }
    }

    /// The row with its own copy of what it borrowed.
    pub(crate) fn into_owned(self) -> Row<'static> {
        let cells = self.cells.into_iter().map(Cell::into_owned).collect();
        Row { table: self.table, cells, bags: Vec::new(), unnumbered: self.unnumbered }
    }

    /// Gives the row the id of the first record of its content.
    pub(crate) fn derive_id(&mut self, column: usize, content: RecordHash) {
        let unnumbered = Unnumbered { column, content, whole: None };
        self.cells[column] = Cell::Text(Cow::Owned(unnumbered.id(0)));
        self.unnumbered = Some(unnumbered);
    }

    /// Gives the row an id that it has where no other record of the unit is about the same and came before, and else a number.
    pub(crate) fn number_among(&mut self, column: usize, id: String, about: RecordHash, whole: RecordHash) {
        self.cells[column] = Cell::Text(Cow::Owned(id));
        self.unnumbered = Some(Unnumbered { column, content: about, whole: Some(whole) });
    }

    /// Appends the row to a builder of its table.
    pub(crate) fn append_to(&self, builder: &mut RowBuilder, import_id: &str) {
        for (column, cell) in self.cells.iter().enumerate() {
            match cell {
                Cell::Null => {}
                Cell::Bool(v) => builder.set_bool(column, *v),
                Cell::Int(v) => builder.set_i64(column, *v),
                Cell::Real(v) => builder.set_f64(column, *v),
                Cell::Text(v) => builder.set_str(column, v),
                Cell::Time(v) => builder.set_datetime_us(column, *v),
                Cell::Span(v) => builder.set_ticks(column, *v),
                Cell::Json(v) => match self.bag(column) {
                    Some(members) => builder.set_bag(column, v, members),
                    None => builder.set_dynamic_valid(column, v),
                },
            }
        }
        // Next to last in every table; looking it up by name would cost more than all the rest of a row.
        builder.set_str(self.table.columns.len().saturating_sub(2), import_id);
        builder.end_row();
    }

    /// Sets the value of a dynamic column: an object, by its members, in a plain text of a record that is not nested too deep.
    pub(crate) fn set_bag(&mut self, column: usize, text: &'a str, members: Members<'a>) {
        self.cells[column] = Cell::Json(Cow::Borrowed(text));
        self.bags.push((column, members));
    }

    /// The members of the object in a dynamic column, where they are known.
    pub(crate) fn bag(&self, column: usize) -> Option<&Members<'a>> {
        self.bags.iter().find(|(at, _)| *at == column).map(|(_, members)| members)
    }

    /// Changes the JSON texts of the row.
    pub(crate) fn rewrite_json(&mut self, rewritten: impl Fn(&str) -> String) {
        self.bags.clear();
        for cell in &mut self.cells {
            if let Cell::Json(json) = cell {
                *json = Cow::Owned(rewritten(json));
            }
        }
    }

    /// Sets a value by column name. Names come from the code and not from input: one that the table has not is misspelt, and stops
    /// tests and debug builds; other builds skip it.
    pub(crate) fn set(&mut self, column: &str, cell: Cell<'a>) {
        debug_assert!(self.table.index_of(column).is_some(), "{} has no column {column}", self.table.name);
        if let Some(slot) = self.table.index_of(column).and_then(|i| self.cells.get_mut(i)) {
            *slot = cell;
        }
    }

    /// The value of a column; `Null` where the table has no such column.
    pub(crate) fn get(&self, column: &str) -> &Cell<'a> {
        self.table.index_of(column).and_then(|i| self.cells.get(i)).unwrap_or(&Cell::Null)
    }

    /// The hash of the row's content. `repeats` becomes true when one of its dynamic values has an object with a name twice.
    pub(crate) fn content(&self, content: &RowContent, repeats: &mut bool) -> RecordHash {
        content.hash_known(
            |column| self.cells.get(column).map_or(ContentValue::Null, Cell::value),
            |column| self.bag(column),
            repeats,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, ty: Type) -> Option<Cell<'_>> {
        SourceValue::Json(json).read(ty, DateOrder::Unknown)
    }

    #[test]
    fn numbers_and_texts_change_places() {
        assert_eq!(read("\"42\"", Type::Int), Some(Cell::Int(42)));
        assert_eq!(read("42", Type::String), Some(Cell::text("42")));
        assert_eq!(read("true", Type::String), Some(Cell::text("True")));
        assert_eq!(read("\"1\"", Type::Bool), Some(Cell::Bool(true)));
        assert_eq!(read("\"NaN\"", Type::Real).map(|c| matches!(c, Cell::Real(v) if v.is_nan())), Some(true));
        assert_eq!(read("99999999999", Type::Int), None);
        assert_eq!(read("null", Type::Long), Some(Cell::Null));
        assert_eq!(read("\" \"", Type::DateTime), Some(Cell::Null));
    }

    #[test]
    fn strings_that_are_known_to_be_plain_are_read_as_others_are() {
        let texts = [
            r#""""#,
            r#""a""#,
            r#""true""#,
            r#""null""#,
            r#""42""#,
            r#"" 4.5 ""#,
            r#""{\"a\":1}""#,
            r#""[1]""#,
            r#""2026-01-05""#,
        ];
        for text in texts {
            let record = format!(r#"{{"k":{text}}}"#);
            let members = Members::parse(&record).unwrap();
            let value = SourceValue::of(members.0[0].1);
            assert_eq!(matches!(value, SourceValue::Plain(_)), !text.contains('\\'), "{text}");
            assert_eq!((value.text(), value.is_empty()), (SourceValue::Json(text).text(), SourceValue::Json(text).is_empty()));
            for ty in
                [Type::String, Type::Dynamic, Type::Long, Type::Real, Type::Bool, Type::DateTime, Type::TimeSpan, Type::Guid]
            {
                assert_eq!(value.read(ty, DateOrder::Unknown), read(text, ty), "{text} {ty:?}");
            }
        }
    }

    #[test]
    fn dynamic_is_taken_out_of_text() {
        let expected = Some(Cell::Json(Cow::Borrowed(r#"{"a":"b"}"#)));
        assert_eq!(read(r#"{"a":"b"}"#, Type::Dynamic), expected);
        assert_eq!(read(r#""{\"a\":\"b\"}""#, Type::Dynamic), expected);
        assert_eq!(read(r#"{ "a": "b" }"#, Type::Dynamic), expected);
        assert_eq!(SourceValue::Field("{\"a\": \"b\"}").read(Type::Dynamic, DateOrder::Unknown), expected);
        assert_eq!(read(r#""plain""#, Type::Dynamic), Some(Cell::Json(Cow::Borrowed(r#""plain""#))));
        assert_eq!(read(r#""{broken""#, Type::Dynamic), Some(Cell::Json(Cow::Borrowed(r#""{broken""#))));
        assert_eq!(read(r#""""#, Type::Dynamic), Some(Cell::Null));
    }
}
