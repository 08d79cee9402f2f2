//! Promoted columns: typed copies of the dimensions that queries use most, filled from their bag when a file is written.
//!
//! A file lists a promoted column as complete when the column alone can answer for the bag: the column is null exactly
//! where the bag has no such key, and every value was a JSON string that reads the same as the column's value does in KQL.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Builder, StringArray, StringBuilder};
use arrow::datatypes::DataType;

use super::nulls::Nulls;
use crate::tables::TableDef;
use kqlake_value::Type;
use kqlake_value::format::write_timespan;
use kqlake_value::json::checked::{Raw, each_member};
use kqlake_value::json::unescape;
use kqlake_value::parse::timespans;

/// The promoted columns of a batch of rows.
#[derive(Debug)]
pub(crate) struct Promotion {
    /// The columns in the order of [`Promoter::names`].
    pub columns: Vec<ArrayRef>,
    /// Whether each column alone can answer for these rows.
    pub complete: Vec<bool>,
}

/// Fills a table's promoted columns.
#[derive(Debug)]
pub(crate) struct Promoter {
    names: Vec<&'static str>,
    types: Vec<Type>,
    bags: Vec<Bag>,
    /// Bytes of text that each column had in the batch before.
    rooms: Vec<usize>,
    nulls: Nulls,
}

/// One dynamic column and the keys that are promoted out of it.
#[derive(Debug)]
struct Bag {
    source: &'static str,
    slots: HashMap<&'static str, usize>,
    /// The keys of the row before, in order, with their slots: rows of one kind have their keys in the same order.
    last: Vec<(Box<str>, Option<usize>)>,
}

/// Keys remembered of a row.
const REMEMBERED: usize = 256;

impl Promoter {
    /// A promoter for a table.
    pub(crate) fn new(def: &TableDef) -> Self {
        let (names, types, bags, rooms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut promoter = Promoter { names, types, bags, rooms, nulls: Nulls::default() };
        for column in &def.columns {
            let Some(promoted) = column.promoted else { continue };
            let slot = promoter.names.len();
            promoter.names.push(column.name);
            promoter.rooms.push(0);
            promoter.types.push(column.ty);
            match promoter.bags.iter_mut().find(|b| b.source == promoted.source) {
                Some(bag) => {
                    bag.slots.insert(promoted.key, slot);
                }
                None => promoter.bags.push(Bag {
                    source: promoted.source,
                    slots: HashMap::from([(promoted.key, slot)]),
                    last: Vec::new(),
                }),
            }
        }
        promoter
    }

    /// Names of the promoted columns.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Fills the columns for a batch; `bag` gives the JSON texts of a dynamic column.
    pub(crate) fn run<'a>(&mut self, rows: usize, bag: impl Fn(&str) -> Option<&'a StringArray>) -> Promotion {
        let mut slots: Vec<Slot> = self.types.iter().zip(&self.rooms).map(|(ty, room)| Slot::new(*ty, rows, *room)).collect();
        for source in &mut self.bags {
            let Some(texts) = bag(source.source) else { continue };
            for row in 0..rows {
                if texts.is_valid(row) {
                    read_bag(source, texts.value(row), row, &mut slots);
                }
            }
        }
        let complete = slots.iter().map(|s| s.complete).collect();
        self.rooms.iter_mut().zip(&slots).for_each(|(room, slot)| *room = slot.text_bytes());
        let columns = slots.into_iter().map(|slot| slot.finish(rows, &mut self.nulls)).collect();
        Promotion { columns, complete }
    }
}

/// Reads one bag into the slots. Text that is no JSON object has no keys.
fn read_bag(bag: &mut Bag, text: &str, row: usize, slots: &mut [Slot]) {
    let whole = bag.read(text, |slot, value| slots[slot].set(row, value.get()));
    if !whole {
        // What was read of a broken bag is not what reading the bag itself gives.
        for slot in slots.iter_mut().filter(|s| s.len() > row) {
            slot.complete = false;
        }
    }
}

impl Bag {
    /// The slot of a row's key, the `at`th of its bag.
    fn slot(&mut self, key: &str, at: usize) -> Option<usize> {
        if let Some((known, slot)) = self.last.get(at)
            && **known == *key
        {
            return *slot;
        }
        let slot = self.slots.get(key).copied();
        if at < REMEMBERED {
            self.last.truncate(at);
            self.last.push((key.into(), slot));
        }
        slot
    }

    /// Gives the wanted slots of a bag's text with their values. False for text that is no whole JSON object: what is before
    /// the fault was given.
    fn read<'a>(&mut self, text: &'a str, value: impl FnMut(usize, Raw<'a>)) -> bool {
        let mut at = 0;
        let key = |key: Cow<'_, str>| {
            at += 1;
            self.slot(&key, at - 1)
        };
        each_member(text, key, value).is_ok()
    }
}

/// One promoted column in the making.
#[derive(Debug)]
struct Slot {
    values: Values,
    complete: bool,
    /// Room for canonical texts.
    scratch: String,
    /// Rows and bytes of text that there will be, about.
    room: (usize, usize),
}

#[derive(Debug)]
enum Values {
    /// Nothing yet: most columns of a batch stay empty.
    Empty(Type),
    Text(StringBuilder),
    Long(Int64Builder),
    Span(Int64Builder),
}

impl Slot {
    fn new(ty: Type, rows: usize, bytes: usize) -> Self {
        Slot { values: Values::Empty(ty), complete: true, scratch: String::new(), room: (rows, bytes + bytes / 16) }
    }

    fn text_bytes(&self) -> usize {
        match &self.values {
            Values::Text(b) => b.values_slice().len(),
            _ => 0,
        }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder as _;
        match &self.values {
            Values::Empty(_) => 0,
            Values::Text(b) => b.len(),
            Values::Long(b) | Values::Span(b) => b.len(),
        }
    }

    /// Takes the JSON text of a row's value.
    fn set(&mut self, row: usize, json: &str) {
        if self.len() > row {
            // The key is twice in the bag: the bag decides which one counts.
            self.complete = false;
            return;
        }
        if let Values::Empty(ty) = self.values {
            self.values = match ty {
                Type::TimeSpan => Values::Span(Int64Builder::with_capacity(self.room.0)),
                Type::Long => Values::Long(Int64Builder::with_capacity(self.room.0)),
                _ => Values::Text(StringBuilder::with_capacity(self.room.0, self.room.1)),
            };
        }
        let missing = row - self.len();
        let unescaped;
        let (text, is_string) = match json.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
            Some(plain) if !plain.contains('\\') => (plain, true),
            Some(escaped) => {
                unescaped = match escaped.contains("\\u") {
                    false => unescape(escaped),
                    // Half of a surrogate pair is an error, and no text.
                    true => serde_json::from_str::<String>(json).unwrap_or_default().into(),
                };
                (&*unescaped, true)
            }
            None => (json, false),
        };
        self.complete &= is_string;
        let null = json == "null";
        match &mut self.values {
            Values::Empty(_) => {}
            Values::Text(b) => {
                b.append_nulls(missing);
                if null { b.append_null() } else { b.append_value(text) }
            }
            Values::Long(b) => {
                b.append_nulls(missing);
                let value = text.parse::<i64>().ok();
                b.append_option(value);
                self.complete &= value.is_some() && canonical_long(text);
            }
            Values::Span(b) => {
                b.append_nulls(missing);
                let value = timespans::read(text, &timespans::PROMOTED);
                b.append_option(value);
                self.scratch.clear();
                if let Some(ticks) = value {
                    write_timespan(&mut self.scratch, ticks);
                }
                self.complete &= value.is_some() && self.scratch == text;
            }
        }
    }

    fn finish(self, rows: usize, nulls: &mut Nulls) -> ArrayRef {
        let missing = rows - self.len();
        match self.values {
            Values::Empty(Type::TimeSpan | Type::Long) => nulls.of(&DataType::Int64, rows),
            Values::Empty(_) => nulls.of(&DataType::Utf8, rows),
            Values::Text(mut b) => {
                b.append_nulls(missing);
                Arc::new(b.finish())
            }
            Values::Long(mut b) | Values::Span(mut b) => {
                b.append_nulls(missing);
                Arc::new(b.finish())
            }
        }
    }
}

/// True when a number's text is the one that `tostring` gives for it.
fn canonical_long(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.as_bytes() {
        [b'0'] => !text.starts_with('-'),
        [b'1'..=b'9', ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::tables;

    fn promote(bags: &[Option<&str>]) -> (Promoter, Promotion) {
        let mut promoter = Promoter::new(tables::find("traces").expect("traces"));
        let texts = StringArray::from(bags.to_vec());
        let promotion = promoter.run(bags.len(), |name| (name == "customDimensions").then_some(&texts));
        (promoter, promotion)
    }

    fn column<'a>(of: &'a (Promoter, Promotion), key: &str) -> (&'a ArrayRef, bool) {
        let at = of.0.names().iter().position(|n| *n == format!("customDimensions_{key}")).expect(key);
        (&of.1.columns[at], of.1.complete[at])
    }

    #[test]
    fn values_come_typed_and_complete() {
        let out = promote(&[
            Some(r#"{"eventId":"RT0005","executionTime":"00:00:01.2530000","sqlRowsRead":"12"}"#),
            None,
            Some(r#"{"eventId":"a \"b\"","other":[1,{"eventId":"no"}]}"#),
            Some("[]"),
        ]);
        let (ids, complete) = column(&out, "eventId");
        assert_eq!(ids.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("RT0005"), None, Some("a \"b\""), None]);
        assert!(complete);
        let (spans, complete) = column(&out, "executionTime");
        assert_eq!(spans.as_primitive::<Int64Type>().iter().next(), Some(Some(12_530_000)));
        assert!(complete);
        assert_eq!(column(&out, "sqlRowsRead").0.as_primitive::<Int64Type>().value(0), 12);
        let (empty, complete) = column(&out, "clientType");
        assert!(empty.null_count() == 4 && complete);
    }

    #[test]
    fn what_the_column_cannot_answer_makes_it_incomplete() {
        for bag in [
            r#"{"eventId":1}"#,
            r#"{"eventId":null}"#,
            r#"{"eventId":"x","eventId":"y"}"#,
            r#"{"eventId":"x""#,
            r#"{"eventId":"x"} trailing"#,
        ] {
            assert!(!column(&promote(&[Some(bag)]), "eventId").1, "{bag}");
        }
        for (key, value) in
            [("executionTime", "1:2:3"), ("executionTime", "00:00:01.5"), ("executionTime", "x"), ("sqlRowsRead", "007")]
        {
            let bag = format!(r#"{{"{key}":"{value}"}}"#);
            assert!(!column(&promote(&[Some(&bag)]), key).1, "{bag}");
        }
    }
}
