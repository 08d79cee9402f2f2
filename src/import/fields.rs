//! Which column a source's field goes to: names are matched without regard to case, blanks and signs, and by alias.

use std::collections::HashMap;

use super::convert::DateOrder;
use super::json_text::{string_literal, unescape};
use super::row::{Cell, Row, SourceValue, source_columns};
use kqlake_lake::tables::{ColumnDef, TableDef};
use kqlake_value::Type;
use kqlake_value::format::write_json_string;
use kqlake_value::json::checked::Members;
use kqlake_value::parse::datetimes::zone;

/// Names whose column was looked up once are remembered, up to this many.
const REMEMBERED: usize = 4_096;
/// Names whose order is remembered.
const EXPECTED: usize = 64;

/// A name as it is compared: its letters and digits in lower case.
pub(crate) fn plain_name(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A portal's heading without the zone or unit that it appends in brackets (`timestamp [UTC]`), or a zone in parentheses.
pub(crate) fn bare_name(name: &str) -> &str {
    if let Some((front, _)) = name.split_once('[').filter(|_| name.ends_with(']')) {
        return front.trim_end();
    }
    let zoned = name.strip_suffix(')').and_then(|name| name.split_once('(')).filter(|(_, inner)| zone(inner).is_some());
    zoned.map_or(name, |(front, _)| front.trim_end())
}

/// The columns of one table by the names that sources use.
#[derive(Debug)]
pub(crate) struct FieldMap {
    /// The table.
    pub table: &'static TableDef,
    /// Columns that sources fill.
    pub columns: usize,
    by_name: HashMap<String, usize>,
    seen: HashMap<String, Option<usize>>,
    /// Names in the order in which records have them, with their columns, and the place of the one that is expected next.
    order: Vec<(Box<str>, Option<usize>)>,
    next: usize,
}

impl FieldMap {
    /// A map of the table's own names and of aliases, each a source's name and the column's.
    pub(crate) fn new(table: &'static TableDef, aliases: &[(&str, &str)]) -> Self {
        let columns = source_columns(table);
        // Columns of the lake's own (`_extra`, `_contentHash`) take no field: a source's `extra` is another column.
        let own = |(_, column): &(usize, &ColumnDef)| !column.name.starts_with('_');
        let fields = table.columns[..columns].iter().enumerate().filter(own);
        let mut by_name: HashMap<String, usize> = fields.map(|(i, c)| (plain_name(c.name), i)).collect();
        for (alias, column) in aliases {
            if let Some(index) = table.index_of(column) {
                by_name.entry(plain_name(alias)).or_insert(index);
            }
        }
        Self { table, columns, by_name, seen: HashMap::new(), order: Vec::new(), next: 0 }
    }

    /// The column of a source's field. Records of one kind have their fields in the same order, so the next one is mostly known.
    pub(crate) fn column(&mut self, name: &str) -> Option<usize> {
        if let Some((known, column)) = self.order.get(self.next).or_else(|| self.order.first())
            && **known == *name
        {
            self.next = if self.next < self.order.len() { self.next + 1 } else { 1 };
            return *column;
        }
        let column = self.look_up(name);
        self.next = match self.order.iter().position(|(known, _)| **known == *name) {
            Some(place) => place + 1,
            None => {
                if self.order.len() < EXPECTED {
                    self.order.push((name.into(), column));
                }
                self.order.len()
            }
        };
        column
    }

    fn look_up(&mut self, name: &str) -> Option<usize> {
        if let Some(known) = self.seen.get(name) {
            return *known;
        }
        let found = self.by_name.get(&plain_name(name)).copied();
        if self.seen.len() < REMEMBERED {
            self.seen.insert(name.to_owned(), found);
        }
        found
    }

    /// The column's type.
    pub(crate) fn ty(&self, column: usize) -> Type {
        self.table.columns[column].ty
    }

    /// A row of the members that have columns. The names of members without a column, or whose value its column cannot
    /// take, go to `left`.
    pub(crate) fn row<'a>(&mut self, members: &Members<'a>, order: DateOrder, left: &mut dyn FnMut(&str, &'a str)) -> Row<'a> {
        let mut row = Row::with_columns(self.table, self.columns);
        for (name, value) in &members.0 {
            let text = value.get();
            match self.column(name) {
                Some(column) => match SourceValue::of(*value).read(self.table.columns[column].ty, order) {
                    Some(Cell::Null) => {}
                    Some(cell) => row.cells[column] = cell,
                    None => left(name, text),
                },
                None => left(name, text),
            }
        }
        row
    }
}

/// The text of a member of a nested object, found along a path of names in any letter case.
pub(crate) fn nested_text<'a>(json: &'a str, path: &[&str]) -> Option<String> {
    let mut text: &'a str = json;
    for name in path {
        if !text.starts_with('{') {
            return None;
        }
        text = Members::parse(text).ok()?.get_any_case(name)?;
    }
    match text.as_bytes().first()? {
        b'"' => Some(unescape(text).into_owned()).filter(|t| !t.is_empty()),
        b'{' | b'[' => None,
        _ => Some(text.to_owned()),
    }
}

/// The JSON text of a member of a nested object, found along a path of names in any letter case.
pub(crate) fn nested<'a>(json: &'a str, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(json, |text, name| if text.starts_with('{') { Members::parse(text).ok()?.get_any_case(name) } else { None })
}

/// The JSON text of an object without some of its members.
pub(crate) fn without(members: &Members<'_>, names: &[&str]) -> String {
    let mut out = String::from("{");
    for (name, value) in members.0.iter().filter(|(name, _)| !names.contains(&name.as_ref())) {
        push_member(&mut out, name, value.get());
    }
    out.push('}');
    out
}

/// Appends a member to the text of an open JSON object.
pub(crate) fn push_member(out: &mut String, name: &str, json: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    write_json_string(out, name);
    out.push(':');
    out.push_str(json);
}

/// Appends a member that no column takes. A number beyond the doubles becomes a text: with it as a number, readers of JSON
/// refuse all of the object.
pub(crate) fn push_left(out: &mut String, name: &str, json: &str) {
    let is_number = json.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number && json.parse::<f64>().is_ok_and(f64::is_infinite) {
        push_member(out, name, &string_literal(json));
    } else {
        push_member(out, name, json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_every_spelling() {
        for name in ["User Principal Name", "userPrincipalName", "USER_PRINCIPAL-NAME"] {
            assert_eq!(plain_name(name), "userprincipalname");
        }
        let mut map = FieldMap::new(
            kqlake_lake::tables::find("traces").unwrap(),
            &[("TimeGenerated", "timestamp"), ("Properties", "customDimensions")],
        );
        assert_eq!(map.column("timegenerated"), Some(0));
        assert_eq!(map.column("Properties"), map.column("customDimensions"));
        assert_eq!(map.column("OperationId"), map.table.index_of("operation_Id"));
        assert_eq!(map.column("nothing of ours"), None);
    }

    #[test]
    fn nested_members() {
        let json = r#"{"A":{"b":[1],"C":"x\"y","n":5}}"#;
        assert_eq!(nested_text(json, &["a", "c"]).as_deref(), Some("x\"y"));
        assert_eq!(nested_text(json, &["a", "n"]).as_deref(), Some("5"));
        assert_eq!(nested_text(json, &["a", "z", "c"]), None);
        assert_eq!(nested(json, &["A", "B"]), Some("[1]"));
        assert_eq!(without(&Members::parse(r#"{"a":1,"b\"":2,"c":3}"#).unwrap(), &["a"]), r#"{"b\"":2,"c":3}"#);
    }
}
