use super::*;

const CLASSIC: &str = r#"{"timestamp":"2026-01-05T07:23:07.1234567Z","message":"m","severityLevel":2,"itemType":"trace","operation_Id":"o","session_Id":"s","user_Id":"u","appName":"bc","customDimensions":{"eventId":"RT0005","executionTime":"00:00:01.2530000"},"itemCount":1}"#;
const WORKSPACE: &str = r#"{"time":"2026-01-05T07:23:07.1234567Z","resourceId":"/X","Type":"AppTraces","OperationId":"o","SessionId":"s","UserId":"u","_BilledSize":803,"Properties":{"executionTime":"00:00:01.2530000","eventId":"RT0005"},"Message":"m","SeverityLevel":"2","ItemCount":1}"#;

fn flat(text: &str) -> Row<'_> {
    let mut members = Members::parse(text).unwrap();
    assert!(AppInsights::is_flat(&members));
    AppInsights::default().flat(&mut members).unwrap()
}

#[test]
fn classic_workspace_answer_and_csv_are_one_record() {
    let classic = flat(CLASSIC);
    let workspace = flat(WORKSPACE);
    assert_eq!(classic.table.name, "traces");
    assert_eq!(classic.get("itemType"), &Cell::text("trace"));
    for column in ["timestamp", "message", "severityLevel", "operation_Id", "session_Id", "itemId", "itemCount", "itemType"] {
        assert_eq!(classic.get(column), workspace.get(column), "{column}");
    }
    let names =
        ["timestamp [UTC]", "message", "severityLevel", "itemType", "customDimensions", "operation_Id", "session_Id", "user_Id"]
            .map(str::to_owned);
    let columns = Columns::recognise(&names, "").unwrap();
    let answer = [
        r#""2026-01-05T07:23:07.1234567Z""#,
        r#""m""#,
        "2",
        r#""trace""#,
        r#""{\"eventId\":\"RT0005\",\"executionTime\":\"00:00:01.2530000\"}""#,
        r#""o""#,
        r#""s""#,
        r#""u""#,
    ];
    let answer = AppInsights::default().ordered(&columns, &mut answer.into_iter().map(SourceValue::Json)).unwrap();
    assert_eq!(answer.get("itemId"), classic.get("itemId"));
    let csv = [
        "1/5/2026, 7:23:07.1234567 AM",
        "m",
        "2",
        "trace",
        r#"{"eventId": "RT0005", "executionTime": "00:00:01.2530000"}"#,
        "o",
        "s",
        "u",
    ];
    let csv = AppInsights::default().ordered(&columns, &mut csv.into_iter().map(SourceValue::Field)).unwrap();
    assert_eq!(csv.get("itemId"), classic.get("itemId"));
}

#[test]
fn types_of_rows_and_of_tables_are_told_apart() {
    let dependency = flat(
        r#"{"TimeGenerated":"2026-01-05T07:23:07Z","Type":"AppDependencies","DependencyType":"SQL","Name":"n","Success":true,"DurationMs":12.5,"Target":"t"}"#,
    );
    assert_eq!(dependency.get("type"), &Cell::text("SQL"));
    assert_eq!(dependency.get("success"), &Cell::text("True"));
    assert_eq!(dependency.get("duration"), &Cell::Real(12.5));
    let exception = flat(
        r#"{"timestamp":"2026-01-05T07:23:07Z","itemType":"exception","type":"E","problemId":"p","severityLevel":"Error","itemId":"i1"}"#,
    );
    assert_eq!(
        (exception.get("type"), exception.get("severityLevel"), exception.get("itemId")),
        (&Cell::text("E"), &Cell::Int(3), &Cell::text("i1"))
    );
}

#[test]
fn success_has_one_text_in_each_table_whichever_shape_it_came_in() {
    for (kind, table, no, yes) in [
        ("request", "AppRequests", "False", "True"),
        ("dependency", "AppDependencies", "False", "True"),
        ("availabilityResult", "AppAvailabilityResults", "0", "1"),
    ] {
        for (values, expected) in [(["false", "\"False\"", "\"0\"", "0"], no), (["true", "\"true\"", "\"1\"", "1"], yes)] {
            let mut contents = std::collections::BTreeSet::new();
            for value in values {
                let classic =
                    format!(r#"{{"timestamp":"2026-01-05T07:23:07Z","itemType":"{kind}","name":"n","success":{value}}}"#);
                let workspace =
                    format!(r#"{{"TimeGenerated":"2026-01-05T07:23:07Z","Type":"{table}","Name":"n","Success":{value}}}"#);
                for text in [classic, workspace] {
                    let row = flat(&text);
                    assert_eq!(row.get("success"), &Cell::text(expected), "{text}");
                    contents.insert(format!("{:?}", row.get("itemId")));
                }
            }
            assert_eq!(contents.len(), 1, "{contents:?}");
        }
    }
    let odd = flat(r#"{"timestamp":"2026-01-05T07:23:07Z","itemType":"request","name":"n","success":"maybe"}"#);
    assert_eq!(odd.get("success"), &Cell::text("maybe"));
}

#[test]
fn a_record_without_time_or_table_is_refused() {
    let mut mapping = AppInsights::default();
    let mut bad = Members::parse(r#"{"timestamp":"soon","message":"m","itemType":"trace"}"#).unwrap();
    assert!(mapping.flat(&mut bad).unwrap_err().contains("no time"));
    for text in [r#"{"timestamp":null,"message":"m","itemType":"trace"}"#, r#"{"Type":"AppTraces","Message":"m"}"#] {
        let mut bad = Members::parse(text).unwrap();
        assert!(AppInsights::names_a_table(&bad) && mapping.flat(&mut bad).unwrap_err().contains("no time"), "{text}");
    }
    assert!(!AppInsights::is_flat(&Members::parse(r#"{"time":"2026-01-05","a":1}"#).unwrap()));
}

#[test]
fn continuous_export_is_flattened() {
    let text = r#"{"view":[{"name":"Home","count":1,"durationMetric":{"value":41250000.0},"url":"https://x/Home"}],
      "internal":{"data":{"id":"c1a2b3d4","documentVersion":"1.61"}},
      "context":{"data":{"eventTime":"2026-01-05T16:42:45.445Z","samplingRate":50.0},"device":{"type":"Browser","osVersion":"Windows 10","browserVersion":"Chrome 66.0"},
        "user":{"anonId":"u8","authId":"amy@contoso.com"},"session":{"id":"q"},"operation":{"id":"z","name":"op"},"location":{"clientip":"0.0.0.0","country":"Spain"},
        "custom":{"dimensions":[{"a":"1"},{"b":"2"}],"metrics":[{"m1":{"value":5.0}}]}}}"#;
    let members = Members::parse(text).unwrap();
    assert!(AppInsights::is_continuous(&members));
    let rows = AppInsights::default().continuous(&members).unwrap();
    let row = &rows[0];
    assert_eq!((rows.len(), row.table.name), (1, "pageViews"));
    assert_eq!(row.get("duration"), &Cell::Real(4125.0));
    assert_eq!(row.get("itemId"), &Cell::text("c1a2b3d4"));
    assert_eq!(row.get("itemCount"), &Cell::Int(2));
    assert_eq!(row.get("customDimensions"), &Cell::Json(r#"{"a":"1","b":"2"}"#.into()));
    assert_eq!(row.get("customMeasurements"), &Cell::Json(r#"{"m1":5.0}"#.into()));
    assert_eq!(row.get("client_CountryOrRegion"), &Cell::text("Spain"));
    assert_eq!(row.get("user_AuthenticatedId"), &Cell::text("amy@contoso.com"));
}

#[test]
fn nothing_of_a_continuous_export_is_dropped() {
    let one = |text: &str| {
        let members = Members::parse(text).unwrap();
        assert!(AppInsights::is_continuous(&members));
        AppInsights::default().continuous(&members).unwrap().remove(0)
    };
    let extra = |row: &Row<'_>| {
        let Cell::Json(text) = row.get("_extra") else { panic!("nothing is left") };
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    };
    let timing = one(
        r#"{"clientPerformance":[{"name":"n","url":"u","total":{"value":100000.0},"networkConnection":{"value":20000.0}}],
            "internal":{"data":{"id":"x","documentVersion":"1.61"}},
            "context":{"data":{"eventTime":"2026-01-05T16:42:45Z","isSynthetic":false},"device":{"id":"d","type":"PC"},"session":{}}}"#,
    );
    assert_eq!((timing.get("totalDuration"), timing.get("networkDuration")), (&Cell::Real(10.0), &Cell::Real(2.0)));
    assert_eq!((timing.get("itemId"), timing.get("client_Type")), (&Cell::text("x"), &Cell::text("PC")));
    assert_eq!(
        extra(&timing),
        serde_json::json!({
            "context": {"data": {"isSynthetic": false}, "device": {"id": "d"}},
            "internal": {"data": {"documentVersion": "1.61"}}
        })
    );
    for size in ["dataSizeMetric", "dataSize"] {
        let text = format!(
            r#"{{"availability":[{{"testName":"t","result":"Pass","{size}":{{"value":5.0}},"availabilityMetric":{{"value":1.0}}}}],
            "internal":{{"data":{{"id":"y"}}}},"context":{{"data":{{"eventTime":"2026-01-05T16:42:45Z"}}}},"more":[1]}}"#
        );
        let test = one(&text);
        assert_eq!((test.get("size"), test.get("success")), (&Cell::Real(5.0), &Cell::text("1")), "{size}");
        let left = serde_json::json!({"availability": {"availabilityMetric": {"value": 1.0}}, "more": [1]});
        assert_eq!(extra(&test), left, "{size}");
    }
    let metric = one(r#"{"metric":[],"internal":{"data":{"id":"z"}},"context":{"data":{"eventTime":"2026-01-05T16:42:45Z"},
            "custom":{"metrics":[{"m":{"value":3.0,"count":2.0,"sampledValue":3.0}}]}}}"#);
    let of_metric = ["name", "value", "valueSum"].map(|column| metric.get(column));
    assert_eq!(of_metric, [&Cell::text("m"), &Cell::Real(3.0), &Cell::Real(3.0)]);
    assert_eq!(extra(&metric), serde_json::json!({"metric": {"sampledValue": 3.0}}));
}

#[test]
fn a_context_alone_makes_no_continuous_export() {
    let is_continuous = |text: &str| AppInsights::is_continuous(&Members::parse(text).unwrap());
    assert!(is_continuous(r#"{"context":{"data":{}},"internal":{}}"#) && is_continuous(r#"{"context":{},"view":[]}"#));
    for text in [r#"{"context":{"data":{}}}"#, r#"{"internal":{}}"#, r#"{"view":[]}"#, r#"{"context":"a","internal":{}}"#] {
        assert!(!is_continuous(text), "{text}");
    }
}

#[test]
fn a_count_of_one_says_nothing_where_there_is_no_column_for_it_and_all_else_is_kept() {
    let counter = |member: &str| {
        let text = format!(
            r#"{{"timestamp":"2026-01-05T07:23:07Z","itemType":"performanceCounter","name":"n","counter":"c","value":2{member}}}"#
        );
        flat(&text).get("_extra").clone().into_owned()
    };
    assert_eq!(counter(r#","itemCount":1"#), Cell::Null);
    for member in [r#""itemCount":3"#, r#""other":1"#] {
        assert_eq!(counter(&format!(",{member}")), Cell::Json(format!("{{{member}}}").into()), "{member}");
    }
}

#[test]
fn a_count_that_does_not_stand_for_the_sampling_is_kept_beside_the_one_that_does() {
    let counts = |member: &str| {
        let text = format!(
            r#"{{"view":[{{"name":"n"{member}}}],"internal":{{"data":{{"id":"x"}}}},
               "context":{{"data":{{"eventTime":"2026-01-05T16:42:45Z","samplingRate":50.0}}}}}}"#
        );
        let members = Members::parse(&text).unwrap();
        let row = AppInsights::default().continuous(&members).unwrap().remove(0);
        let Cell::Json(extra) = row.get("_extra") else { panic!("nothing is left") };
        let extra: serde_json::Value = serde_json::from_str(extra).unwrap();
        (row.get("itemCount").clone(), extra.pointer("/view/count").and_then(serde_json::Value::as_i64))
    };
    assert_eq!(counts(""), (Cell::Int(2), None));
    for count in [2, 3] {
        assert_eq!(counts(&format!(r#","count":{count}"#)), (Cell::Int(count), None));
    }
    assert_eq!(counts(r#","count":1"#), (Cell::Int(2), Some(1)));
}
