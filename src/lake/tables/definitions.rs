//! The definitions' texts, of which each is read when its table is first asked for: a query names one table or two of ninety.

use std::sync::{LazyLock, OnceLock};

use super::{ColumnDef, EVENT_MONTH, IMPORT_ID, IS_WHOLE, KeySpan, Promoted, TAKEN_AT, TableDef};
use kqlake_value::Type;

const SOURCES: [&str; 5] = [
    include_str!("app_insights.tsv"),
    include_str!("audit.tsv"),
    include_str!("graph.tsv"),
    include_str!("reports.tsv"),
    include_str!("ledger.tsv"),
];
const PROMOTED: &str = include_str!("promoted.tsv");
const CLUSTERING: &str = include_str!("clustering.tsv");

/// A table's part of the texts, and what it says once it was read.
struct Written {
    name: &'static str,
    text: &'static str,
    def: OnceLock<TableDef>,
}

static WRITTEN: LazyLock<Vec<Written>> = LazyLock::new(|| {
    let written = |text| Written { name: first_word(text), text, def: OnceLock::new() };
    SOURCES.iter().flat_map(|source| parts(source)).map(written).collect()
});

impl Written {
    fn def(&'static self) -> &'static TableDef {
        self.def.get_or_init(|| match read(self.text) {
            Ok(def) => def,
            // The data is part of the program and the tests of this module read it: it cannot be malformed at run time.
            Err(line) => unreachable!("built-in table definition: {line}"),
        })
    }
}

/// Every table of the lake, in a fixed order.
pub fn all() -> impl Iterator<Item = &'static TableDef> + Clone {
    WRITTEN.iter().map(Written::def)
}

/// The names of all tables, in the order of [`all`].
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    WRITTEN.iter().map(|written| written.name)
}

/// A table by its exact name.
pub fn find(name: &str) -> Option<&'static TableDef> {
    WRITTEN.iter().find(|written| written.name == name).map(Written::def)
}

/// The parts of a text that begin with lines `@…`, without that sign.
fn parts(text: &'static str) -> impl Iterator<Item = &'static str> {
    let before_the_first = usize::from(!text.starts_with('@'));
    text.split("\n@").skip(before_the_first).map(|part| part.strip_prefix('@').unwrap_or(part))
}

fn first_word(text: &'static str) -> &'static str {
    text.split(['\t', '\n']).next().unwrap_or(text)
}

/// Lines that are neither empty nor comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The words of a table's identity.
struct Identity {
    span: KeySpan,
    versions: Vec<&'static str>,
    content: Option<&'static str>,
    group: Option<&'static str>,
    tenant: Option<&'static str>,
}

fn read_identity(text: &'static str) -> Option<Identity> {
    let mut words = text.split(' ');
    let span = match words.next()? {
        "day" => KeySpan::Day,
        "table" => KeySpan::Table,
        _ => return None,
    };
    let mut read = Identity { span, versions: Vec::new(), content: None, group: None, tenant: None };
    while let (Some(word), columns) = (words.next(), words.next()) {
        match word {
            "newest" => read.versions = columns?.split(',').collect(),
            "content" => read.content = Some(columns?),
            "group" => read.group = Some(columns?),
            "tenant" => read.tenant = Some(columns?),
            _ => return None,
        }
    }
    Some(read)
}

/// A table's first line, without its columns.
fn read_table(line: &'static str) -> Option<TableDef> {
    let mut parts = line.split('\t');
    let (name, time, key, identity, about) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let Identity { span, versions, content, group, tenant } = read_identity(identity)?;
    let (columns, clustering, later_promoted, arrow) = Default::default();
    let key = key.split(',').collect();
    let def =
        TableDef { name, about, columns, time, clustering, key, span, versions, content, tenant, group, later_promoted, arrow };
    parts.next().is_none().then_some(def)
}

/// A column's line.
fn read_column(line: &'static str) -> Option<ColumnDef> {
    let (name, rest) = line.split_once('\t')?;
    let (ty, flags) = rest.split_once('\t').unwrap_or((rest, ""));
    let mut column = ColumnDef { name, ty: Type::parse(ty)?, hidden: false, beside: false, promoted: None };
    for flag in flags.split(',').filter(|_| !flags.is_empty()) {
        match flag {
            "hidden" => column.hidden = true,
            "beside" => column.beside = true,
            _ => return None,
        }
    }
    Some(column)
}

/// A promoted column's line, and the number of its set where it is younger than the first.
fn read_promoted(line: &'static str, source: &'static str) -> Option<(ColumnDef, Option<u32>)> {
    let mut parts = line.split('\t');
    let (key, ty, name) = (parts.next()?, Type::parse(parts.next()?)?, parts.next()?);
    let set = parts.next().map(str::parse).transpose().ok()?;
    let column = ColumnDef { name, ty, hidden: true, beside: true, promoted: Some(Promoted { source, key }) };
    parts.next().is_none().then_some((column, set))
}

/// A table's definition; a line of it that is malformed is the error.
fn read(text: &'static str) -> Result<TableDef, &'static str> {
    let mut written = lines(text);
    let mut table = written.next().and_then(read_table).ok_or(text)?;
    for line in written {
        table.columns.push(read_column(line).ok_or(line)?);
    }
    for part in parts(PROMOTED).filter(|part| first_word(part) == table.name) {
        let mut written = lines(part);
        let (_, source) = written.next().and_then(|line| line.split_once('\t')).ok_or(part)?;
        for line in written {
            let (column, set) = read_promoted(line, source).ok_or(line)?;
            table.later_promoted.extend(set.map(|set| (column.name, set)));
            table.columns.push(column);
        }
    }
    if let Some(line) = lines(CLUSTERING).find(|line| first_word(line) == table.name) {
        let (_, columns) = line.split_once('\t').ok_or(line)?;
        table.clustering = columns.split(',').collect();
    }
    let own = |name, ty, hidden| ColumnDef { name, ty, hidden, beside: true, promoted: None };
    if table.versions.contains(&TAKEN_AT) {
        table.columns.push(own(TAKEN_AT, Type::DateTime, true));
    }
    if let Some(tenant) = table.tenant {
        table.columns.push(own(tenant, Type::String, true));
    }
    if table.group.is_some() {
        table.columns.push(own(IS_WHOLE, Type::Bool, true));
    }
    table.columns.push(own(IMPORT_ID, Type::String, false));
    table.columns.push(own(EVENT_MONTH, Type::DateTime, true));
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_tables_beside_their_columns_is_of_tables() {
        for name in parts(PROMOTED).map(first_word).chain(lines(CLUSTERING).map(first_word)) {
            assert!(find(name).is_some(), "{name}");
        }
        let headings = SOURCES.iter().flat_map(|source| source.lines()).filter(|line| line.starts_with('@'));
        assert!(headings.map(|line| first_word(&line[1..])).eq(names()));
        for source in SOURCES.into_iter().chain([PROMOTED]) {
            let before = source.split("\n@").next().expect("a part");
            assert!(source.starts_with('@') || lines(before).next().is_none(), "{before}");
        }
    }
}
