//! Any text is bound or refused, without running anything.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use kqlake_kql::bind_only;
use kqlake_kql::catalog::{Catalog, TableSchema};
use kqlake_value::{Column, Type};
use libfuzzer_sys::fuzz_target;

/// Two tables: `T` and `U`, with a column of every type, named by its first letters.
struct Tables(Arc<TableSchema>);

impl Catalog for Tables {
    fn names(&self) -> Vec<String> {
        vec!["T".into(), "U".into()]
    }

    fn table(&self, name: &str) -> Option<Arc<TableSchema>> {
        matches!(name, "T" | "U").then(|| Arc::clone(&self.0))
    }
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let columns = Type::ALL.iter().map(|ty| Column::new(&ty.name()[..1], *ty)).collect();
    Tables(Arc::new(TableSchema { columns, ..TableSchema::default() }))
});

fuzz_target!(|text: &str| {
    let bound = bind_only(text, &*TABLES, &BTreeMap::new(), 1_700_000_000_000_000);
    for diagnostic in &bound.diagnostics {
        assert!(text.get(diagnostic.span.start as usize..diagnostic.span.end as usize).is_some());
    }
});
