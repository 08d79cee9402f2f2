//! Usage reports of several tenants in one lake: none takes the places of another's, and those of the lake's own tenant are the rows
//! that files have as well.

use std::path::Path;
use std::sync::Arc;

use kqlake_import::{Body, ImportOptions, ListedUnit, Opened, Reply, Source, UnitPage, import_from, import_paths};
use kqlake_lake::{Lake, Landed};
use kqlake_value::clock::FixedClock;
use serde_json::Value;

use super::lake::{DAY, HOUR, texts};

const TABLE: &str = "Office365ActiveUserCounts";

/// A service that gives a report of a tenant, with its number of users.
#[derive(Debug)]
struct Reports {
    tenant: &'static str,
    users: u32,
    taken_at: i64,
}

impl Reports {
    fn text(&self) -> String {
        format!(
            r#"{{"value":[{{"reportRefreshDate":"2026-01-05","office365":{0},"exchange":{0},"oneDrive":0,"sharePoint":0,"skypeForBusiness":0,"yammer":0,"teams":0,"reportDate":"2026-01-04","reportPeriod":"7"}}]}}"#,
            self.users
        )
    }
}

impl Source for Reports {
    fn stream(&self) -> &str {
        self.tenant
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        let name = format!("{}/reports/getOffice365ActiveUserCounts/D7", self.tenant);
        let unit = ListedUnit { name, stamp: Some(format!("{} {}", self.users, self.taken_at)), ..ListedUnit::default() };
        Box::pin(async move { Ok(UnitPage { units: vec![unit], ..UnitPage::default() }) })
    }

    fn open<'s>(&'s self, _unit: &'s ListedUnit) -> Reply<'s, Opened> {
        let body = Body::Stream(Box::new(std::io::Cursor::new(self.text())));
        Box::pin(async move { Ok(Opened { body, taken_at: Some(self.taken_at) }) })
    }
}

fn options(other_tenant: Option<&str>) -> ImportOptions {
    ImportOptions {
        clock: Arc::new(FixedClock::at_micros(DAY + 60 * 24 * HOUR)),
        other_tenant: other_tenant.map(Into::into),
        ..ImportOptions::default()
    }
}

/// Imports a tenant's report, which is the lake's own or another one.
async fn import(root: &Path, tenant: &'static str, users: u32, hour: i64, other: Option<&str>) -> Landed {
    let source: Arc<dyn Source> = Arc::new(Reports { tenant, users, taken_at: DAY + hour * HOUR });
    let summary = import_from(&Lake::new(root), &[source], &options(other), &()).await.expect("an import");
    summary.tables.get(TABLE).cloned().unwrap_or_default()
}

async fn rows(root: &Path) -> Vec<String> {
    let sql = format!(r#"select coalesce("_tenantId", '-') || ' ' || office365 from "{TABLE}" order by 1"#);
    texts(&Lake::new(root), TABLE, &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_two_tenants_are_rows_of_both() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = dir.path().join("lake");
    let counts = |landed: Landed| (landed.new, landed.duplicates, landed.replaced);
    assert_eq!(counts(import(&lake, "contoso", 3, 1, None).await), (1, 0, 0));
    assert_eq!(counts(import(&lake, "fabrikam", 5, 1, Some("f")).await), (1, 0, 0));
    assert_eq!(counts(import(&lake, "adatum", 3, 1, Some("a")).await), (1, 0, 0));
    assert_eq!(rows(&lake).await, ["- 3", "a 3", "f 5"]);
    // A report that is asked for again and is as it was writes nothing.
    let again = import(&lake, "fabrikam", 5, 2, Some("f")).await;
    assert_eq!((counts(again.clone()), again.version), ((0, 1, 0), None));
    // Each has its own later state.
    assert_eq!(counts(import(&lake, "fabrikam", 6, 3, Some("f")).await), (0, 0, 1));
    assert_eq!(counts(import(&lake, "contoso", 4, 2, None).await), (0, 0, 1));
    assert_eq!(rows(&lake).await, ["- 4", "a 3", "f 6"]);
    // A file is of the lake's own tenant, and says less than its service.
    let file = dir.path().join("Office365ActiveUserCounts.json");
    std::fs::write(&file, Reports { tenant: "", users: 9, taken_at: 0 }.text()).expect("a file");
    let summary = import_paths(&Lake::new(&lake), &[file], &options(None), &()).await.expect("an import");
    assert_eq!(counts(summary.tables[TABLE].clone()), (0, 1, 0));
    assert_eq!(rows(&lake).await, ["- 4", "a 3", "f 6"]);
}
