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
use kqlake_value::json::checked::{Members, Raw, each_member};
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

/// Fills a table's promoted columns, a row after the other.
#[derive(Debug)]
pub(crate) struct Promoter {
    names: Vec<&'static str>,
    bags: Vec<Bag>,
    slots: Vec<Slot>,
    nulls: Nulls,
}

/// One dynamic column and the keys that are promoted out of it.
#[derive(Debug)]
struct Bag {
    source: &'static str,
    slots: HashMap<&'static str, usize>,
    /// Keys that came, with what they are followed by: rows of one kind have their keys in the same order.
    keys: Vec<Key>,
    places: HashMap<Box<str>, usize>,
    /// The place of the key that came last.
    last: usize,
}

/// A key that came.
#[derive(Debug)]
struct Key {
    name: Box<str>,
    slot: Option<usize>,
    /// The place of the key that came behind it the last time.
    next: usize,
}

/// Keys that are remembered, and the bytes of one.
const REMEMBERED: usize = 4_096;
const REMEMBERED_BYTES: usize = 256;

impl Promoter {
    /// A promoter for a table.
    pub(crate) fn new(def: &TableDef) -> Self {
        let mut promoter = Promoter { names: Vec::new(), bags: Vec::new(), slots: Vec::new(), nulls: Nulls::default() };
        for column in &def.columns {
            let Some(promoted) = column.promoted else { continue };
            let slot = promoter.names.len();
            promoter.names.push(column.name);
            promoter.slots.push(Slot::new(column.ty));
            match promoter.bags.iter_mut().find(|b| b.source == promoted.source) {
                Some(bag) => {
                    bag.slots.insert(promoted.key, slot);
                }
                None => promoter.bags.push(Bag::new(promoted.source, promoted.key, slot)),
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
        for place in 0..self.bags.len() {
            let Some(texts) = bag(self.bags[place].source) else { continue };
            for row in 0..rows {
                if texts.is_valid(row) {
                    self.read(place, row, texts.value(row));
                }
            }
        }
        self.finish(rows)
    }

    /// The place of a dynamic column among those that columns are promoted out of.
    pub(crate) fn bag(&self, column: &str) -> Option<usize> {
        self.bags.iter().position(|bag| bag.source == column)
    }

    /// Reads the bag of a row, which is no row before the last one. Text that is no JSON object has no keys.
    pub(crate) fn read(&mut self, bag: usize, row: usize, text: &str) {
        let Promoter { bags, slots, .. } = self;
        let whole = bags[bag].read(text, |slot, value| slots[slot].set(row, value));
        if !whole {
            // What was read of a broken bag is not what reading the bag itself gives.
            for slot in slots.iter_mut().filter(|s| s.len() > row) {
                slot.complete = false;
            }
        }
    }

    /// Takes the bag of a row, which is no row before the last one, by its members, none of which was there twice.
    pub(crate) fn take(&mut self, bag: usize, row: usize, members: &Members<'_>) {
        let Promoter { bags, slots, .. } = self;
        for (name, value) in &members.0 {
            if let Some(slot) = bags[bag].slot(name) {
                slots[slot].set(row, *value);
            }
        }
    }

    /// The columns of so many rows; the next row is the first of other ones.
    pub(crate) fn finish(&mut self, rows: usize) -> Promotion {
        let complete = self.slots.iter().map(|s| s.complete).collect();
        let columns = self.slots.iter_mut().map(|slot| slot.finish(rows, &mut self.nulls)).collect();
        Promotion { columns, complete }
    }
}

impl Bag {
    fn new(source: &'static str, key: &'static str, slot: usize) -> Self {
        Bag { source, slots: HashMap::from([(key, slot)]), keys: Vec::new(), places: HashMap::new(), last: 0 }
    }

    /// The slot of the next key.
    #[inline]
    fn slot(&mut self, name: &str) -> Option<usize> {
        let next = self.keys.get(self.last).map_or(0, |last| last.next);
        match self.keys.get(next) {
            Some(key) if *key.name == *name => {
                self.last = next;
                key.slot
            }
            _ => self.look_up(name),
        }
    }

    fn look_up(&mut self, name: &str) -> Option<usize> {
        let at = match self.places.get(name) {
            Some(at) => *at,
            None => {
                let slot = self.slots.get(name).copied();
                if self.keys.len() >= REMEMBERED || name.len() > REMEMBERED_BYTES {
                    return slot;
                }
                self.places.insert(name.into(), self.keys.len());
                self.keys.push(Key { name: name.into(), slot, next: 0 });
                self.keys.len() - 1
            }
        };
        if let Some(last) = self.keys.get_mut(self.last) {
            last.next = at;
        }
        self.last = at;
        self.keys[at].slot
    }

    /// Gives the wanted slots of a bag's text with their values. False for text that is no whole JSON object: what is before
    /// the fault was given.
    fn read<'a>(&mut self, text: &'a str, value: impl FnMut(usize, Raw<'a>)) -> bool {
        each_member(text, |key: Cow<'_, str>| self.slot(&key), value).is_ok()
    }
}

/// One promoted column in the making.
#[derive(Debug)]
struct Slot {
    values: Values,
    complete: bool,
    /// Room for canonical texts.
    scratch: String,
    ty: Type,
    /// Rows and bytes of text that there will be, about: as many as there were before.
    room: (usize, usize),
}

#[derive(Debug)]
enum Values {
    /// Nothing yet: most columns of a batch stay empty.
    Empty,
    Text(StringBuilder),
    Long(Int64Builder),
    Span(Int64Builder),
}

impl Slot {
    fn new(ty: Type) -> Self {
        Slot { values: Values::Empty, complete: true, scratch: String::new(), ty, room: (0, 0) }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder as _;
        match &self.values {
            Values::Empty => 0,
            Values::Text(b) => b.len(),
            Values::Long(b) | Values::Span(b) => b.len(),
        }
    }

    /// Takes a row's value.
    fn set(&mut self, row: usize, value: Raw<'_>) {
        if self.len() > row {
            // The key is twice in the bag: the bag decides which one counts.
            self.complete = false;
            return;
        }
        if let Values::Empty = self.values {
            self.values = match self.ty {
                Type::TimeSpan => Values::Span(Int64Builder::with_capacity(self.room.0)),
                Type::Long => Values::Long(Int64Builder::with_capacity(self.room.0)),
                _ => Values::Text(StringBuilder::with_capacity(self.room.0, self.room.1)),
            };
        }
        let missing = row - self.len();
        let json = value.get();
        let (text, is_string) = match value.plain_string() {
            Some(text) => (Cow::Borrowed(text), true),
            None => match json.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                // Half of a surrogate pair is an error, and no text.
                Some(_) if json.contains("\\u") => (Cow::Owned(serde_json::from_str::<String>(json).unwrap_or_default()), true),
                Some(inner) => (unescape(inner), true),
                None => (Cow::Borrowed(json), false),
            },
        };
        let text = &*text;
        self.complete &= is_string;
        let null = !is_string && json == "null";
        match &mut self.values {
            Values::Empty => {}
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

    fn finish(&mut self, rows: usize, nulls: &mut Nulls) -> ArrayRef {
        let missing = rows - self.len();
        self.complete = true;
        match std::mem::replace(&mut self.values, Values::Empty) {
            Values::Empty => {
                let ty = if matches!(self.ty, Type::TimeSpan | Type::Long) { DataType::Int64 } else { DataType::Utf8 };
                nulls.of(&ty, rows)
            }
            Values::Text(mut b) => {
                b.append_nulls(missing);
                let bytes = b.values_slice().len();
                self.room = (rows, bytes + bytes / 16);
                Arc::new(b.finish())
            }
            Values::Long(mut b) | Values::Span(mut b) => {
                b.append_nulls(missing);
                self.room = (rows, 0);
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
    fn members_give_what_the_text_gives() {
        let bags = [
            r#"{"eventId":"RT0005","executionTime":"00:00:01.2530000","sqlRowsRead":"12","unknown":{"eventId":"x"}}"#,
            r#"{"clientType":"Web","eventId":"a \"b\" \ud83d\ude00 \ud83d","sqlRowsRead":"007"}"#,
            r#"{"sqlRowsRead":12,"executionTime":null,"alObjectId":null}"#,
            "{}",
        ];
        let by_text = promote(&bags.map(Some)).1;
        let mut promoter = Promoter::new(tables::find("traces").expect("traces"));
        let place = promoter.bag("customDimensions").expect("a bag");
        // Twice, since a finished batch leaves nothing behind.
        for _ in 0..2 {
            for (row, bag) in bags.iter().enumerate() {
                promoter.take(place, row, &Members::parse(bag).expect("an object"));
            }
            let by_members = promoter.finish(bags.len());
            assert_eq!((&by_members.columns, &by_members.complete), (&by_text.columns, &by_text.complete));
        }
        assert!(promoter.finish(1).complete.into_iter().all(|complete| complete));
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
