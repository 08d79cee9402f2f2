//! What makes records the same: cases by themselves.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn identical_records_of_one_answer_are_as_many_rows_however_often_they_come() {
    let dir = tempfile::tempdir().expect("a folder");
    let record = |content: u8, copies: usize| Records { table: 0, day: 0, content, copies };
    let whole = file(0, &[record(0, 3), record(1, 1)], 4);
    let part = file(1, &[record(0, 3), record(2, 2)], 4);
    let more = file(2, &[record(0, 4)], 4);
    let ids = file(3, &[record(0, 2)], 0);
    let files = [whole.clone(), part, ("again.json".to_owned(), whole.1), more, ids];
    let mut counts = Vec::new();
    for at in 0..files.len() {
        let found = import_all(dir.path(), &files, &[(vec![at], None)]).await;
        counts.push(found["traces"].len());
    }
    assert_eq!(counts, [4, 6, 6, 7, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_on_two_days_is_two_records_in_one_file_and_in_two() {
    let record = |day: &str| format!(r#"{{"timestamp":"{day}T07:00:00Z","message":"m","itemType":"trace","itemId":"one"}}"#);
    let (first, second) = (record("2026-02-26"), record("2026-02-27"));
    let files =
        [("both.ndjson".to_owned(), format!("{first}\n{second}\n")), ("a.ndjson".into(), first), ("b.ndjson".into(), second)];
    let (together, apart) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let one = import_all(together.path(), &files, &[(vec![0], None)]).await;
    let two = import_all(apart.path(), &files, &[(vec![2], None), (vec![1], None), (vec![0], None)]).await;
    assert_eq!(one["traces"].len(), 2);
    assert_eq!(one["traces"], two["traces"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_richer_shape_replaces_and_the_same_one_writes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let line =
        |more: &str| format!(r#"{{"timestamp":"2026-02-26T07:00:00Z","message":"m","itemType":"trace","itemId":"one"{more}}}"#);
    let files = [
        ("poor.ndjson".to_owned(), line("")),
        ("rich.ndjson".to_owned(), line(r#","appName":"app","customDimensions":{"a":1}"#)),
    ];
    let commits = || {
        let log = dir.path().join("lake/traces/_delta_log");
        fs::read_dir(log).expect("a log").count()
    };
    import_all(dir.path(), &files, &[(vec![0], None)]).await;
    let rich = import_all(dir.path(), &files, &[(vec![1], None)]).await;
    assert!(rich["traces"].len() == 1 && rich["traces"][0].contains("appName=app"), "{:?}", rich["traces"]);
    // Each import adds a commit of its own log lines.
    let before = commits();
    fs::rename(dir.path().join("in/poor.ndjson"), dir.path().join("in/again.ndjson")).expect("renamed");
    let files = [("again.ndjson".to_owned(), files[0].1.clone()), ("twice.ndjson".to_owned(), files[1].1.clone())];
    let again = import_all(dir.path(), &files, &[(vec![0], None), (vec![1], None)]).await;
    assert_eq!((again["traces"].clone(), commits()), (rich["traces"].clone(), before + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_of_two_instances_are_two_rows() {
    let dir = tempfile::tempdir().expect("a folder");
    let line = |instance: u8| {
        format!(
            r#"{{"TimeGenerated":"2026-02-26T07:00:00Z","Type":"AppPerformanceCounters","Category":"Processor","Counter":"% Time","Instance":"{instance}","Value":1.5}}"#
        )
    };
    let files = [("both.ndjson".to_owned(), format!("{}\n{}\n", line(0), line(1))), ("one.ndjson".to_owned(), line(1))];
    let found = import_all(dir.path(), &files, &[(vec![0], None), (vec![1], None)]).await;
    assert_eq!(found["performanceCounters"].len(), 2);
    assert_eq!(def("performanceCounters").span, KeySpan::Day);
}

/// The traces of a lake but its own, as a query writes them; in SQL with all columns.
async fn written(root: &Path, format: Format, all_columns: bool) -> String {
    let clock = Arc::new(FixedClock::at_micros(DAY + 60 * 24 * HOUR));
    let engine = Engine::new(Lake::new(&root.join("lake")), EngineOptions::default(), clock);
    let answer = if all_columns {
        engine.sql("select * from traces where cloud_RoleName is null").await
    } else {
        engine.kql("query", "traces | where isempty(cloud_RoleName)", &BTreeMap::new()).await
    };
    let answer = answer.expect("an answer");
    let mut bytes = Vec::new();
    let mut sink = sink(format, &mut bytes, 1, TableStyle::default());
    for table in &answer.tables {
        let mut rows = table.run().await.expect("rows");
        sink.start(&table.name, &table.columns).expect("a start");
        while let Some(batch) = rows.next().await.expect("a batch") {
            sink.rows(&batch).expect("rows");
        }
        sink.end().expect("an end");
    }
    sink.finish().expect("a result");
    drop(sink);
    String::from_utf8(bytes).expect("a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_out_of_a_lake_is_the_same_records_when_it_comes_back() {
    let line = |second: u8, more: &str| {
        format!(r#"{{"timestamp":"2026-02-26T07:00:0{second}.1234567Z","itemType":"trace","severityLevel":2,{more}}}"#)
    };
    let bag = r#""message":"m","customDimensions":{"eventId":"RT0005","n":26.0,"t":"26.0"},"customMeasurements":{"x":1.50}"#;
    let source = [
        line(1, bag),
        line(1, bag),
        line(2, r#""message":"True","other":"x","extra":{"a":1}"#),
        line(3, r#""message":" a\n\"b\",c ","customDimensions":"plain","itemCount":3"#),
        line(4, r#""message":"m","itemId":"own""#),
    ];
    let source = ("source.ndjson".to_owned(), source.join("\n"));
    let dir = tempfile::tempdir().expect("a folder");
    let first = import_all(dir.path(), std::slice::from_ref(&source), &[(vec![0], None)]).await;
    assert_eq!(first["traces"].len(), 5);
    assert!(first["traces"].iter().any(|row| row.contains(r#"_extra={"other":"x","extra":{"a":1}}"#)), "{:?}", first["traces"]);
    let cases = [("a.ndjson", Format::Ndjson), ("b.csv", Format::Csv), ("c.json", Format::Json), ("d.ndjson", Format::Ndjson)];
    for (name, format) in cases {
        let export = (name.to_owned(), written(dir.path(), format, name == "d.ndjson").await);
        let files = [source.clone(), export];
        for order in [[0, 1, 1], [1, 0, 1]] {
            let again = tempfile::tempdir().expect("a folder");
            let groups = order.map(|at| (vec![at], None));
            let found = import_all(again.path(), &files, &groups).await;
            assert_eq!(found["traces"], first["traces"], "{name} {order:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_equal_as_numbers_are_records_of_their_own() {
    let line = |value: &str| {
        format!(
            r#"{{"timestamp":"2026-02-26T07:00:00Z","message":"m","itemType":"trace","customDimensions":{{"version":{value}}}}}"#
        )
    };
    let texts = [r#""26.0""#, r#""26""#, r#""26.00""#, r#""1e2""#, r#""100""#, r#""-0""#, r#""0""#, r#""true""#, r#""True""#];
    let file = |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(|v| line(v) + "\n").collect::<String>());
    let files = [file("texts.ndjson", &texts), file("values.ndjson", &["26.0", "1e2", "true"])];
    let dir = tempfile::tempdir().expect("a folder");
    let found = import_all(dir.path(), &files, &[(vec![0], None), (vec![1], None)]).await;
    assert_eq!(found["traces"].len(), texts.len(), "{:#?}", found["traces"]);
}

/// A record of each kind of the retired continuous export, and the same record as workspaces give it, without an id.
fn continuous_and_workspace() -> Vec<(&'static str, String, String)> {
    let duration = json!({"value": 41_250_000.0, "count": 1.0, "min": 41_250_000.0, "max": 41_250_000.0, "stdDev": 0.0, "sampledValue": 41_250_000.0});
    let address = json!({"base": "/p", "host": "contoso.com", "hashTag": "", "protocol": "https"});
    let metric = json!({"value": 8.0, "count": 2.0, "min": 3.0, "max": 5.0, "stdDev": 1.0, "sampledValue": 8.0, "sum": 8.0});
    let kinds = [
        (
            "traces",
            "message",
            json!({"raw": "m", "loggerName": "l", "severityLevel": "Information", "count": 1}),
            json!({"Message": "m", "SeverityLevel": 1}),
        ),
        ("customEvents", "event", json!({"name": "n", "count": 1}), json!({"Name": "n"})),
        (
            "pageViews",
            "view",
            json!({"name": "n", "count": 1, "durationMetric": duration, "url": "u", "urlData": address}),
            json!({"Name": "n", "Url": "u", "DurationMs": 4125.0}),
        ),
        (
            "requests",
            "request",
            json!({"id": "r", "name": "n", "count": 2, "responseCode": 202, "success": true, "url": "u", "urlData": address, "durationMetric": duration, "userAgent": "a"}),
            json!({"Id": "r", "Name": "n", "ResultCode": "202", "Success": true, "Url": "u", "DurationMs": 4125.0}),
        ),
        (
            "dependencies",
            "remoteDependency",
            json!({"id": "d", "name": "x", "baseName": "n", "commandName": "c", "remoteDependencyName": "t", "dependencyTypeName": "Http", "resultCode": "200", "success": true, "count": 2, "durationMetric": duration}),
            json!({"Id": "d", "Name": "x", "Data": "c", "Target": "t", "DependencyType": "Http", "ResultCode": "200", "Success": true, "DurationMs": 4125.0}),
        ),
        (
            "exceptions",
            "basicException",
            json!({"id": "5", "method": "f", "assembly": "a", "exceptionType": "T", "outerExceptionType": "T", "outerExceptionMessage": "m", "message": "m", "typeName": "T", "problemIdHash": "-42", "failedUserCodeMethod": "f", "severityLevel": "Error", "count": 1, "hasFullStack": true}),
            json!({"Method": "f", "Assembly": "a", "ExceptionType": "T", "OuterType": "T", "OuterMessage": "m", "Message": "m", "SeverityLevel": 3}),
        ),
        (
            "availabilityResults",
            "availability",
            json!({"testRunId": "i", "testTimestamp": "2026-02-26T07:00:00.123Z", "testName": "n", "runLocation": "West Europe", "durationMetric": duration, "result": "Pass", "count": 1, "availabilityMetric": metric, "message": "Passed", "dataSize": metric}),
            json!({"Id": "i", "Name": "n", "Location": "West Europe", "Success": true, "Message": "Passed", "Size": 8.0, "DurationMs": 4125.0}),
        ),
        (
            "browserTimings",
            "clientPerformance",
            json!({"name": "n", "url": "u", "urlData": address, "total": duration, "networkConnection": duration, "count": 1}),
            json!({"Name": "n", "Url": "u", "TotalDurationMs": 4125.0, "NetworkDurationMs": 4125.0}),
        ),
        ("customMetrics", "metric", json!(null), json!({"Name": "k", "Sum": 8.0, "Min": 3.0, "Max": 5.0, "ItemCount": 2})),
        (
            "performanceCounters",
            "performanceCounter",
            json!({"categoryName": "c", "counterName": "p", "instanceName": "i", "value": 1.5, "count": 1}),
            json!({"Category": "c", "Counter": "p", "Instance": "i", "Value": 1.5}),
        ),
    ];
    let views = [
        "AppTraces",
        "AppEvents",
        "AppPageViews",
        "AppRequests",
        "AppDependencies",
        "AppExceptions",
        "AppAvailabilityResults",
        "AppBrowserTimings",
        "AppMetrics",
        "AppPerformanceCounters",
    ];
    let records = kinds.into_iter().zip(views).map(|((table, member, own, workspace), view)| {
        let items = if own.is_null() { json!([]) } else { json!([own]) };
        let metrics = if own.is_null() { json!([{"k": metric}]) } else { json!([]) };
        let continuous = json!({
            member: items,
            "internal": {"data": {"id": format!("11111111-1111-4111-8111-{table:0>12.12}"), "documentVersion": "1.61"}},
            "context": {
                "data": {"eventTime": "2026-02-26T07:00:00.123Z", "isSynthetic": false, "samplingRate": 50.0},
                "device": {"id": "d", "type": "PC", "deviceName": "Other", "roleName": "r", "screenResolution": {"value": "8x8"}},
                "session": {"id": "s", "isFirst": false}, "user": {"isAuthenticated": false},
                "operation": {"id": "o", "parentId": "o"}, "location": {"clientip": "0.0.0.0", "continent": "Europe"},
                "custom": {"dimensions": [{"eventId": "RT0003"}], "metrics": metrics}
            }
        });
        let mut flat = json!({
            "TimeGenerated": "2026-02-26T07:00:00.123Z", "Type": view, "ClientType": "PC", "ClientIP": "0.0.0.0", "AppRoleName": "r",
            "SessionId": "s", "OperationId": "o", "ParentId": "o", "Properties": {"eventId": "RT0003"}, "_BilledSize": 500
        });
        if let (Value::Object(flat), Value::Object(own)) = (&mut flat, workspace) {
            flat.extend(own);
        }
        (table, continuous.to_string(), flat.to_string())
    });
    records.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_continuous_export_meet_those_of_workspaces() {
    let records = continuous_and_workspace();
    let bare = |line: &str| line.replace(r#""documentVersion":"1.61","#, "").replace(r#""isSynthetic":false,"#, "");
    let without_id = |line: &str| {
        let mut record: Value = serde_json::from_str(line).expect("a record");
        record["internal"]["data"].as_object_mut().expect("an object").remove("id");
        record.to_string()
    };
    let changes: [&dyn Fn(&str) -> String; 3] = [&str::to_owned, &bare, &without_id];
    let lines = |lines: &mut dyn Iterator<Item = String>| lines.map(|line| line + "\n").collect::<String>();
    let flat = lines(&mut records.iter().map(|(_, _, flat)| flat.clone()));
    for change in changes {
        let export = lines(&mut records.iter().map(|(_, continuous, _)| change(continuous)));
        let files = [("c.blob".to_owned(), export), ("w.json".to_owned(), flat.clone())];
        let mut lakes = Vec::new();
        for order in [[0, 1, 0], [1, 0, 1]] {
            let dir = tempfile::tempdir().expect("a folder");
            let found = import_all(dir.path(), &files, &order.map(|at| (vec![at], None))).await;
            for (table, ..) in &records {
                assert_eq!(found[table].len(), 1, "{order:?}: {:#?}", found[table]);
                // What the export alone says stays.
                assert!(found[table][0].contains(r#""continent":"Europe""#), "{:?}", found[table]);
            }
            lakes.push(found);
        }
        assert_eq!(lakes[0], lakes[1]);
    }
}
