//! Landings that are given up before their commit: nothing of them stays.

use std::fs;
use std::path::Path;

use kqlake_lake::Lake;

use crate::lake::{DAY, def, land, number, traces};

/// The files of rows in a table's folder, those of landings that are under way included.
fn files(root: &Path) -> usize {
    let folders = fs::read_dir(root.join("traces")).unwrap().map(|entry| entry.unwrap().path());
    let of_rows = folders.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("event_month="));
    of_rows.map(|folder| fs::read_dir(folder).unwrap().count()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_landing_wrote_is_deleted_when_it_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::new(dir.path());
    land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.unwrap();
    let before = files(dir.path());

    let batch = traces(&[("b", DAY + 1)]);
    assert!(!lake.land(def("traces")).await.unwrap().is_filled_by(&batch));
    let mut landing = lake.land(def("traces")).await.unwrap().with_buffer(1);
    assert!(landing.is_filled_by(&batch));
    landing.write(batch).await.unwrap();
    landing.write(traces(&[("c", DAY + 2)])).await.unwrap();
    // The second batch waited until the first was written.
    assert!(files(dir.path()) > before);
    landing.abort().await;
    assert_eq!(files(dir.path()), before);
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 1);
}
