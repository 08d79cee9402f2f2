//! `check` refuses what `query` refuses, with a place, and accepts what it runs.

use super::support::{run_in, run_with};

/// A text, and the place of the first error: line and column. None where it runs.
const TEXTS: &[(&str, Option<(u64, u64)>)] = &[
    ("traces | take 1", None),
    ("traces | where message matches regex @'[[]'", None),
    // Found when a call is lowered.
    ("traces\n| where message matches regex '('", Some((2, 31))),
    ("traces | extend a = extract('(', 0, message)", Some((1, 21))),
    // The same where columns follow from rows.
    ("traces | evaluate bag_unpack(customDimensions)\n| where message matches regex '('", Some((2, 31))),
    (
        "traces | evaluate bag_unpack(customDimensions)\n| join kind=inner (traces | where message matches regex '(') on message",
        Some((2, 57)),
    ),
    ("traces | evaluate bag_unpack(customDimensions) | extend a = replace_regex(message, '(', '')", Some((1, 61))),
    ("traces | evaluate bag_unpack(customDimensions) | extend a = toupper(message)", None),
    // Microsoft's language service lets these pass, its engine does not.
    ("traces | where customDimensions.a == customDimensions.b", Some((1, 16))),
    ("traces | extend n = row_number()", Some((1, 21))),
    ("traces | extend a = replace_string(customDimensions.a, 'x', 'y')", Some((1, 36))),
    ("print a = current_principal()", Some((1, 11))),
    // Names of generated columns are counted anew with each operator.
    ("traces | project strlen(message) + 1 | extend 2 | project-away Column1 | extend 3 | project Column3", Some((1, 93))),
    // What is known only from rows is no mistake.
    (
        "let n = toscalar(traces | summarize max(timestamp)); traces | make-series count() on timestamp from n - 1d to n step 1h",
        None,
    ),
    ("traces | where message in ((traces | project message)) | evaluate pivot(appName)", None),
    // What Microsoft's language service takes for wrong, and its engine does not.
    ("datatable(t:datetime)[datetime(2020-01-01)] | extend startofday(t), format_datetime(t, 'yyyy') | project t, t1", None),
    ("datatable(x:long, Column1:string)[5, 'a'] | summarize count() by x + 1, Column1 | where Column1 has 'a'", None),
    ("union (print a=1, a_long='z'), (print a='x') | extend q = strlen(a_long)", None),
    ("print x = jaccard_index(dynamic([1]), dynamic([1])) | where x > 0.5 | summarize max(x)", None),
    ("traces | getschema | join kind=inner (print ColumnOrdinal=int(0)) on ColumnOrdinal", None),
    ("datatable(a:long, b:bool)[1, true, 2, false] | evaluate rows_near(b, 1) | where b", None),
    ("traces | partition by appName (getschema)", Some((1, 32))),
    ("range x from 1 to 100000000000 step 1 | as r | where x == toscalar(r | summarize max(x)) | take 1", None),
];

#[test]
fn check_says_what_query_would() {
    let dir = tempfile::tempdir().unwrap();
    for &(text, place) in TEXTS {
        let check = run_with(dir.path(), &["check", "-f", "json", "-"], text.as_bytes());
        let report: serde_json::Value = serde_json::from_str(&check.out).unwrap();
        let errors: Vec<&serde_json::Value> =
            report[0]["diagnostics"].as_array().unwrap().iter().filter(|d| d["severity"] == "error").collect();
        let found = errors.first().map(|d| (d["line"].as_u64().unwrap(), d["column"].as_u64().unwrap()));
        assert_eq!(found, place, "{text}: {report}");
        assert_eq!(check.status, if place.is_some() { 3 } else { 0 }, "{text}");
    }
    // The last one would run for hours.
    for &(text, place) in &TEXTS[..TEXTS.len() - 1] {
        let query = run_in(dir.path(), &["query", text]);
        assert_eq!(query.status, if place.is_some() { 3 } else { 0 }, "{text}: {}", query.err);
    }
}
