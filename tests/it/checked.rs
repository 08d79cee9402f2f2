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

/// Texts whose columns Microsoft's language service, or another way to name or type them, would have otherwise.
const COLUMNS: &[&str] = &[
    "union kind=inner (print a=1, b='x', c=1.5), (print a=2, b=3, c=2.5)",
    "union (print x=1, x_long=1), (print x='a')",
    "print ceiling(int(5)), ceiling(5.5), floor(int(5), 2), abs(int(-5)), bin(int(5), 2)",
    "print jaccard_index(dynamic([1, 2]), dynamic([1]))",
    "traces | getschema",
    "traces | extend strlen(message) + 1 | extend 2",
    "let f = () { traces | project strlen(message) + 1 }; f | union f | extend 2",
    "search 'x'",
    "search in (traces, requests) 'x'",
    "find in (traces, requests) where message has 'x'",
    "traces | search 'x' | search 'y'",
    "traces | parse message with * 'a' message:long",
    "traces | project message | extend tostring(message), tolower(message)",
    "traces | sort by timestamp asc | scan with (step s: true;)",
    "traces | sort by timestamp asc | scan with_match_id=m with (step s: true;)",
    "traces | summarize percentiles(itemCount, 5, 50), take_any(*)",
    "traces | make-series percentiles(itemCount, 5, 50) on timestamp step 1d",
    "traces | reduce kind=source by message",
    "traces | extend (a, b) = series_fit_line(customDimensions)",
    "traces | join kind=inner (requests) on operation_Id",
    "traces | fork (count) (take 1)",
    "traces | partition by appName (where itemCount > 1 | count)",
    "traces | mv-apply x = customDimensions on (where x.a == 'b' | summarize count(), max(tolong(x.c)))",
    "range x from 1 to 2 step 1 | extend x = 'a', x + 1",
    "union withsource=S traces, requests",
    "traces | evaluate pivot(appName)",
    "traces | project customDimensions | evaluate bag_unpack(customDimensions) | summarize count() by eventId",
    "AppTraces | summarize count() by Message, bin(TimeGenerated, 1d)",
];

#[test]
fn check_lists_the_columns_of_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let texts = TEXTS[..TEXTS.len() - 1].iter().filter(|(_, place)| place.is_none()).map(|(text, _)| text);
    for text in texts.chain(COLUMNS) {
        let check = run_with(dir.path(), &["check", "-f", "json", "-"], text.as_bytes());
        let report: serde_json::Value = serde_json::from_str(&check.out).unwrap();
        let query = run_in(dir.path(), &["query", "-f", "kusto", text]);
        assert_eq!(query.status, 0, "{text}: {}", query.err);
        let answer: serde_json::Value = serde_json::from_str(&query.out).unwrap();
        let columns = |columns: &serde_json::Value, name: &str, ty: &str| {
            let columns = columns.as_array().unwrap().iter();
            columns.map(|c| format!("{}:{}", c[name].as_str().unwrap(), c[ty].as_str().unwrap())).collect::<Vec<_>>().join(", ")
        };
        let last = answer["Tables"].as_array().unwrap().last().unwrap();
        let (checked, answered) =
            (columns(&report[0]["columns"], "name", "type"), columns(&last["Columns"], "ColumnName", "ColumnType"));
        assert_eq!(checked, answered, "{text}");
    }
}
