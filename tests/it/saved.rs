//! Every saved query on the sample data's lake, against its reviewed answer in `tests/saved/`.

use super::support::{csv_rows, project, run_in, same_text, sample_lake};

#[test]
fn saved_queries_give_their_reviewed_answers() {
    let dir = sample_lake();
    let folder = project().join("tests/saved");
    let mut failures = Vec::new();
    let mut names: Vec<String> = std::fs::read_dir(project().join("sql"))
        .expect("sql")
        .map(|e| e.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in names {
        let Ok(expected) = std::fs::read_to_string(folder.join(format!("{name}.csv"))) else {
            failures.push(format!("{name}: no reviewed answer"));
            continue;
        };
        let params = std::fs::read_to_string(folder.join(format!("{name}.params"))).unwrap_or_default();
        let mut args = vec!["--now", "2026-01-12T03:00:00Z", "--lake", "lake", "run", &name, "-f", "csv"];
        for param in params.lines().filter(|l| !l.trim().is_empty()) {
            args.extend(["--param", param]);
        }
        let run = run_in(dir.path(), &args);
        if run.status != 0 {
            failures.push(format!("{name}: status {}\n{}", run.status, run.err));
            continue;
        }
        failures.extend(difference(&csv_rows(&expected), &csv_rows(&run.out)).map(|why| format!("{name}: {why}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn difference(expected: &[Vec<String>], found: &[Vec<String>]) -> Option<String> {
    let same = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_text(a, b));
    let lines = expected.len().max(found.len());
    let empty = Vec::new();
    for line in 0..lines {
        let (a, b) = (expected.get(line).unwrap_or(&empty), found.get(line).unwrap_or(&empty));
        if !same(a, b) {
            return Some(format!(
                "{} rows expected, {} found; line {}:\n  expected {a:?}\n  found    {b:?}",
                expected.len(),
                found.len(),
                line + 1
            ));
        }
    }
    None
}

#[test]
fn a_pattern_takes_each_row_once() {
    let dir = sample_lake();
    let tables = |pattern: &str| {
        let query = format!("union withsource=T {pattern} | summarize n=count() by T | order by T asc");
        run_in(dir.path(), &["--lake", "lake", "query", &query]).exits(0).out
    };
    // AppTraces shows the rows of traces, and both end alike.
    let traces = tables("traces");
    assert!(traces.lines().count() == 2, "{traces}");
    assert_eq!(tables("*races"), traces);
    // A pattern that only the view fits, and the view's name, take the view.
    assert_eq!(tables("AppTr*"), traces.replace("traces", "AppTraces"));
    assert_eq!(tables("AppTraces, traces").lines().count(), 3);
}
