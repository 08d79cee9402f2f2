//! Reading records: what is refused where it is read, what decides about a whole file, and shapes that carry the same records.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::support::{Run, project, run_in, run_with};

/// A folder of a test with files, and a lake in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    fn import(&self, args: &[&str]) -> Run {
        run_in(self.path(), &[&["--lake", "lake", "import"], args].concat())
    }

    /// The cells of a query's answer, rows joined by `;` and columns by `|`.
    #[track_caller]
    fn query(&self, kql: &str) -> String {
        let run = run_in(self.path(), &["--lake", "lake", "query", "-f", "csv", kql]).exits(0);
        let rows = crate::support::csv_rows(&run.out);
        rows.into_iter().skip(1).map(|row| row.join("|")).collect::<Vec<_>>().join(";")
    }
}

fn trace(id: &str, timestamp: &str) -> String {
    format!(
        r#"{{"timestamp":"{timestamp}","message":"m {id}","itemType":"trace","itemId":"{id}","customDimensions":{{"eventId":"RT0005"}}}}"#
    )
}

#[test]
fn pages_may_be_inside_of_pages_to_a_bound() {
    for (open, close) in [(r#"{"body":"#, "}"), (r#"{"value":["#, "]}")] {
        let nested =
            |id: &str, deep: usize| format!("{}{}{}", open.repeat(deep), trace(id, "2026-01-05T00:00:00Z"), close.repeat(deep));
        let place = Place::new();
        place.file("pages.json", format!("{}\n{}\n{}\n", nested("a", 0), nested("b", 5), nested("c", 6)));
        place
            .import(&["--from", "pages.json"])
            .exits(5)
            .says("1 of 3 records refused")
            .says("pages inside pages, more than 5 deep");
        assert_eq!(place.query("traces | where message startswith 'm ' | project itemId | order by itemId asc"), "a;b");
    }
}

#[test]
fn a_record_that_cannot_land_is_refused_where_it_is_read() {
    let place = Place::new();
    let good = trace("good", "2026-01-05T00:00:00Z");
    let bad = [
        trace("a", "0001-01-01T00:00:00+01:00"),
        trace("b", "9999-12-31T23:59:59-01:00"),
        trace("c", "/Date(253402300800000)/"),
        trace("d", "soon"),
        r#"{"CreationTime":"2026-01-05T00:00:00","Operation":"x","RecordType":1,"Workload":"w"}"#.to_owned(),
        r#"{"CreationTime":"0001-01-01T00:00:00+01:00","Id":"i","Operation":"x","RecordType":1}"#.to_owned(),
        r#"{"id":"m","recipientAddress":"","receivedDateTime":"2026-01-05T00:00:00Z","status":"delivered"}"#.to_owned(),
        r#"{"id":"m","recipientAddress":"a@b","receivedDateTime":"9999-12-31T23:59:59-01:00","status":"failed"}"#.to_owned(),
        r#"{"reportRefreshDate":"soon","userPrincipalName":"a@b","lastActivityDate":null,"reportPeriod":"7"}"#.to_owned(),
        r#"{"id":"call","version":1,"startDateTime":"0001-01-01T00:00:00+01:00","modalities":["audio"]}"#.to_owned(),
        r##"{"@odata.type":"#microsoft.graph.user","id":"","userPrincipalName":"a@b"}"##.to_owned(),
    ];
    let mut lines = good.clone() + "\n";
    bad.iter().for_each(|line| lines += &(line.clone() + "\n"));
    lines += &trace("last", "2026-01-06T00:00:00Z");
    place.file("2026-01-05.ndjson", lines);
    let run = place.import(&["--from", "2026-01-05.ndjson"]).exits(5);
    assert!(run.err.contains("line 2"), "{}", run.err);
    assert_eq!(place.query("traces | where cloud_RoleName != 'kqlake' | order by timestamp asc | project itemId"), "good;last");
    for table in ["AuditRecords", "MessageTrace", "CallRecords", "Users"] {
        let run = run_in(place.path(), &["--lake", "lake", "query", "-f", "csv", &format!("{table} | count")]);
        assert!(run.status != 0 || run.out.ends_with("\n0\n"), "{table}: {}", run.out);
    }
    assert_eq!(
        place.query(&format!("ImportLedger | where unit has 'ndjson' and quarantined == {} | count", bad.len())),
        "1",
        "{}",
        place.query("ImportLedger | project unit, quarantined, reason")
    );
}

#[test]
fn records_of_no_known_type_do_not_decide_about_those_behind_them() {
    let place = Place::new();
    let mut lines = String::new();
    for n in 0..1_000 {
        writeln!(lines, r#"{{"time":"2026-01-05T00:00:00Z","Type":"HeartBeat","n":{n}}}"#).expect("a text");
    }
    for n in 0..3_000 {
        lines += &(trace(&format!("t{n}"), "2026-01-05T00:00:00Z") + "\n");
    }
    place.file("mixed.ndjson", &lines);
    place.import(&["--from", "mixed.ndjson"]).exits(5).says("1000 of 4000 records refused");
    assert_eq!(place.query("traces | where cloud_RoleName != 'kqlake' | count"), "3000");
    assert_eq!(place.query("ImportLedger | where unit has 'mixed' | project quarantined"), "1000");

    // A remark before records, half a record, documents among lines: each costs itself at most.
    let pretty = "{\n  \"timestamp\": \"2026-01-05T00:00:00Z\",\n  \"itemType\": \"trace\",\n  \"itemId\": \"p1\"\n}\n";
    let text = format!("# exported\n{}\n{pretty}{}\n", trace("p0", "2026-01-05T00:00:00Z"), trace("p2", "2026-01-05T00:00:00Z"));
    place.file("pieces.json", text);
    place.import(&["--from", "pieces.json"]).exits(5).says("1 of 4 records refused");
    assert_eq!(
        place.query("traces | where itemId startswith 'p' | summarize make_set(itemId) | project array_length(set_itemId)"),
        "3"
    );
}

/// A message trace of PowerShell with dates on a 24-hour clock.
fn message_trace(dates: &[String]) -> String {
    let mut text = String::from("Received,SenderAddress,RecipientAddress,Subject,Status,Size,MessageId,MessageTraceId\r\n");
    for (n, date) in dates.iter().enumerate() {
        write!(text, "{date},a@x,b@y,s,Delivered,1,<m{n}@x>,00000000-0000-4000-8000-{n:012}\r\n").expect("a text");
    }
    text
}

/// A folder in which no file can be made shows that a temporary one was to be there.
#[cfg(target_os = "linux")]
#[test]
fn temporary_files_of_an_import_are_where_the_configuration_says() {
    let mut dates = vec!["02/03/2026 10:00:00".to_owned(); 20_000];
    dates.push("02/13/2026 10:00:00".to_owned());
    let place = Place::new();
    place.file("mt.csv", message_trace(&dates));
    place.file("kqlake.toml", "spill_dir = \"/proc\"\n");
    place.import(&["--from", "mt.csv"]).exits(6).says("a temporary file").says("/proc: ").says("spill_dir");
    place.file("kqlake.toml", "");
    place.import(&["--from", "mt.csv"]).exits(0);
    assert_eq!(place.query("MessageTrace | count"), "20001");
}

#[test]
fn all_dates_of_a_file_decide_about_their_order() {
    let two = ["02/03/2026 10:00:00", "02/12/2026 11:00:00"].map(str::to_owned);
    let days = "MessageTrace | order by receivedDateTime asc | project format_datetime(receivedDateTime, 'MM-dd')";
    // Nothing decides.
    let place = Place::new();
    place.file("mt.csv", message_trace(&two));
    place.import(&["--from", "mt.csv"]).exits(5).says("'02/03/2026 10:00:00' in line 2").says("--date-order");
    assert_eq!(place.query("MessageTrace | count"), "0");
    place.import(&["--from", "mt.csv", "--date-order", "month-first"]).exits(0);
    assert_eq!(place.query(days), "02-03;02-12");
    let place = Place::new();
    place.file("mt.csv", message_trace(&two));
    place.import(&["--from", "mt.csv", "--date-order", "day-first"]).exits(0);
    assert_eq!(place.query(days), "03-02;12-02");

    // The last of many rows decides, wherever the file comes from; what was said otherwise does not matter then.
    let mut many: Vec<String> = (0..20_000).map(|n| format!("02/{:02}/2026 10:00:00", n % 12 + 1)).collect();
    many.push("02/13/2026 10:00:00".to_owned());
    let text = message_trace(&many);
    let counts = "MessageTrace | summarize count() by month = getmonth(receivedDateTime)";
    for (args, input) in
        [(vec!["--from", "mt.csv"], None), (vec!["--from", "-", "--date-order", "day-first"], Some(text.as_bytes()))]
    {
        let place = Place::new();
        match input {
            None => {
                place.file("mt.csv", &text);
                place.import(&args).exits(0);
            }
            Some(input) => {
                run_with(place.path(), &[&["--lake", "lake", "import"], args.as_slice()].concat(), input).exits(0);
            }
        }
        assert_eq!(place.query(counts), "2|20001");
    }

    // Two orders in one file.
    let place = Place::new();
    place.file("mt.csv", message_trace(&["13/02/2026 10:00".to_owned(), "02/13/2026 10:00".to_owned()]));
    place.import(&["--from", "mt.csv", "--date-order", "day-first"]).exits(5).says("two orders");

    // Forms of one language only.
    for (dates, expected) in [
        (["1/2/2026 6:00:00 AM", "1/3/2026 6:00:00 PM"], "01-02;01-03"),
        (["2/01/2026 6:00:00 am", "3/01/2026 6:00:00 pm"], "01-02;01-03"),
        (["02.01.2026 06:00", "03.01.2026 18:00"], "01-02;01-03"),
    ] {
        let place = Place::new();
        place.file("mt.csv", message_trace(&dates.map(str::to_owned)));
        place.import(&["--from", "mt.csv"]).exits(0);
        assert_eq!(place.query(days), expected, "{dates:?}");
    }

    // In JSON each record stands for itself.
    let place = Place::new();
    place.file(
        "mt.ndjson",
        r#"{"MessageTraceId":"m1","Received":"02/03/2026 10:00:00","RecipientAddress":"b@y","Status":"Delivered"}
{"MessageTraceId":"m2","Received":"2026-02-04T10:00:00","RecipientAddress":"b@y","Status":"Delivered"}"#,
    );
    place.import(&["--from", "mt.ndjson"]).exits(5).says("--date-order");
    assert_eq!(place.query(days), "02-04");
    place.import(&["--from", "mt.ndjson", "--again", "--date-order", "month-first"]).exits(0);
    assert_eq!(place.query(days), "02-03;02-04");
}

const EMAIL: &str = "Report Refresh Date,User Principal Name,Display Name,Is Deleted,Deleted Date,Last Activity Date,Send Count,Receive Count,Read Count,Meeting Created Count,Meeting Interacted Count,Assigned Products,Report Period";

fn email_json(name: &str, send: u32) -> String {
    format!(
        r#"{{"reportRefreshDate":"2026-01-05","userPrincipalName":"{name}","displayName":"{name}","isDeleted":false,"deletedDate":null,"lastActivityDate":"2026-01-04","sendCount":{send},"receiveCount":1,"readCount":0,"meetingCreatedCount":0,"meetingInteractedCount":0,"assignedProducts":["E5","POWER BI"],"reportPeriod":"7"}}"#
    )
}

fn email_csv(name: &str, send: u32) -> String {
    format!("2026-01-05,{name},{name},False,,2026-01-04,{send},1,0,0,0,E5+POWER BI,7\r\n")
}

#[test]
fn report_rows_whose_names_are_withheld_all_land_once() {
    for name in ["(Unknown)", "--", "", "00000000-0000-0000-0000-000000000000", "amy@contoso.com"] {
        let place = Place::new();
        let counts = [3, 4, 4];
        let csv: String = counts.iter().map(|send| email_csv(name, *send)).collect();
        let json: Vec<String> = counts.iter().map(|send| email_json(name, *send)).collect();
        place.file("getEmailActivityUserDetail.csv", format!("{EMAIL}\r\n{csv}"));
        place.file("email.json", format!(r#"{{"value":[{}]}}"#, json.join(",")));
        let expected = if name.contains('@') { "1|3" } else { "3|11" };
        for file in ["getEmailActivityUserDetail.csv", "email.json", "getEmailActivityUserDetail.csv"] {
            place.import(&["--from", file, "--again"]).exits(0);
            let sums = place.query("EmailActivityUserDetail | summarize count(), sum(sendCount)");
            assert!(sums == expected || (name.contains('@') && sums == "1|4"), "{name} after {file}: {sums}");
        }
    }
    // Sites whose ids are zeros have URLs.
    let place = Place::new();
    let row = |url: &str| {
        format!(
            r#"{{"reportRefreshDate":"2026-01-05","siteId":"00000000-0000-0000-0000-000000000000","siteUrl":"{url}","ownerDisplayName":"o","ownerPrincipalName":"o@x","isDeleted":false,"lastActivityDate":"2026-01-04","fileCount":1,"activeFileCount":1,"pageViewCount":1,"visitedPageCount":1,"storageUsedInBytes":1,"storageAllocatedInBytes":1,"rootWebTemplate":"Group","reportPeriod":"7"}}"#
        )
    };
    place.file("sites.json", format!(r#"{{"value":[{},{},{},{}]}}"#, row("https://a"), row("https://b"), row(""), row("")));
    place.import(&["--from", "sites.json"]).exits(0);
    assert_eq!(place.query("SharePointSiteUsageDetail | count"), "4");
}

#[test]
fn copilot_reports_have_tables() {
    let place = Place::new();
    let from = project().join("fixtures/reports");
    for file in [
        "copilot-usage.json",
        "getMicrosoft365CopilotUsageUserDetail.csv",
        "copilot-user-count-summary.json",
        "copilot-user-count-trend.json",
    ] {
        place.import(&["--from", from.join(file).to_str().expect("a path of characters")]).exits(0);
    }
    assert_eq!(
        place.query("Microsoft365CopilotUsageUserDetail | order by userPrincipalName asc, reportPeriod asc | project userPrincipalName, reportPeriod, format_datetime(copilotChatLastActivityDate, 'yyyy-MM-dd')"),
        "amy@contoso.com|30|2026-01-08;amy@contoso.com|7|2026-01-08;bob@contoso.com|7|"
    );
    assert_eq!(
        place.query("Microsoft365CopilotUserCountSummary | order by reportPeriod asc | project reportPeriod, anyAppEnabledUsers, copilotChatActiveUsers"),
        "30|40|55;7|20|35"
    );
    assert_eq!(
        place.query("Microsoft365CopilotUserCountTrend | order by reportDate asc | project anyAppEnabledUsers, reportPeriod"),
        "22|7;20|7"
    );
}

#[test]
fn a_snapshot_has_the_day_of_its_name_or_of_the_caller_and_never_of_its_file() {
    let users = r##"{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#users","value":[{"id":"u1","userPrincipalName":"amy@x"},{"id":"u2","userPrincipalName":"bob@x"}]}"##;
    let days = "Users | summarize count() by day = format_datetime(snapshotDate, 'yyyy-MM-dd') | order by day asc";
    let place = Place::new();
    place.file("users.json", users);
    place.import(&["--from", "users.json"]).exits(5).says("--snapshot-date").says("users-2026-01-05.json");
    assert_eq!(place.query("Users | count"), "0");
    place.import(&["--from", "users.json", "--again", "--snapshot-date", "2026-01-05"]).exits(0);
    place.file("copy of users.json", users);
    place.import(&["--from", "copy of users.json", "--snapshot-date", "2026-01-05"]).exits(0);
    assert_eq!(place.query(days), "2026-01-05|2");
    place.file("users-2026-01-07.json", users);
    place.import(&["--from", "users-2026-01-07.json"]).exits(0);
    assert_eq!(place.query(days), "2026-01-05|2;2026-01-07|2");
    // Records of other kinds beside it land.
    place.file("both.ndjson", format!("{users}\n{}\n", trace("t1", "2026-01-05T00:00:00Z")));
    place.import(&["--from", "both.ndjson"]).exits(5).says("2 of 3 records refused");
    assert_eq!(place.query("traces | where itemId == 't1' | count"), "1");
}

#[test]
fn shapes_of_other_tools_carry_the_same_records() {
    let at = |path: &str| project().join("fixtures").join(path).to_str().expect("a path of characters").to_owned();
    // Each alone: its rows land, typed.
    let audit = "AuditRecords | summarize count(), countif(isnotempty(UserId) and isnotnull(RecordType) and isnotempty(Workload) and isnotempty(UserTypeName))";
    for (path, rows) in [
        ("audit/sentinel/query_data-officeactivity.csv", "2|2"),
        ("audit/sentinel/officeactivity-query.json", "2|2"),
        ("audit/extractor/UAL-20260111090000.csv", "2|2"),
        ("audit/wrapped/wazuh-alerts.json", "2|2"),
        ("audit/wrapped/elastic-search.json", "2|2"),
    ] {
        let place = Place::new();
        place.import(&["--from", &at(path)]).exits(0);
        assert_eq!(place.query(audit), rows, "{path}");
        let office =
            "OfficeActivity | where isnotempty(OfficeId) and isnotempty(Operation) and isnotempty(OfficeWorkload) | count";
        assert_eq!(place.query(office), "2", "{path}");
    }
    let place = Place::new();
    place.import(&["--from", &at("app-insights/events-api")]).exits(0);
    assert_eq!(
        place.query("traces | where cloud_RoleName != 'kqlake' | summarize count(), countif(isnotempty(message) and isnotempty(customDimensions.eventId) and client_Type == 'PC' and isnotempty(operation_Id))"),
        "2|2"
    );
    assert_eq!(place.query("requests | project name, resultCode, duration"), "POST CallRecordWebhook/Post|200|12.5");

    // After and before the records themselves: nothing twice.
    let contents = [at("audit/content"), at("app-insights/query-api")];
    let others = [at("audit/sentinel"), at("audit/extractor"), at("audit/wrapped"), at("app-insights/events-api")];
    let count = "union (AuditRecords | project t = 'audit'), (traces | where cloud_RoleName != 'kqlake' | project t = 'traces'), (requests | project t = 'requests') | summarize count() by t | order by t asc";
    let alone = Place::new();
    let from: Vec<&str> = ["--from"].into_iter().chain(contents.iter().map(String::as_str)).collect();
    alone.import(&from).exits(0);
    for order in [[&contents[..], &others[..]].concat(), [&others[..], &contents[..]].concat()] {
        let place = Place::new();
        for path in &order {
            place.import(&["--from", path]).exits(0);
        }
        assert_eq!(place.query(count), alone.query(count), "{order:?}");
    }
}

#[test]
fn a_record_that_would_become_many_times_its_size_is_refused() {
    let place = Place::new();
    let recipients: String = (0..4_000).map(|n| format!("user{n}@contoso.example##Receive, Deliver;")).collect();
    let heading =
        "origin_timestamp_utc,sender_address,recipient_status,message_subject,total_bytes,message_id,network_message_id";
    let row = |id: u32, recipients: &str| format!("2026-01-11T12:00:00Z,a@x,\"{recipients}\",s,1,<{id}@x>,{id}\n");
    place.file("mt.csv", format!("{heading}\n{}{}", row(1, &recipients), row(2, "b@y##Receive, Deliver")));
    place.import(&["--from", "mt.csv"]).exits(5).says("would become 4000 rows");
    assert_eq!(place.query("MessageTrace | count"), "1");
}

#[test]
fn what_is_given_for_files_has_them_read_again() {
    let place = Place::new();
    let users = r##"{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#users","value":[{"id":"u1","userPrincipalName":"amy@x"},{"id":"u2","userPrincipalName":"bob@x"}]}"##;
    place.file("copy of users.json", users);
    let at = |day| ["--from", "copy of users.json", "--snapshot-date", day];
    place.import(&at("2026-01-05")).exits(0);
    let said = |args: &[&str]| place.import(args).exits(0).out;
    assert!(said(&["--from", "copy of users.json"]).contains("unchanged"));
    let days = "Users | summarize count() by day = format_datetime(snapshotDate, 'yyyy-MM-dd') | order by day asc";
    assert_eq!(place.query(days), "2026-01-05|2");
    // Another day is not that of the file as it is known.
    place.import(&at("2026-01-06")).exits(0).says("with --snapshot-date the files were read");
    assert_eq!(place.query(days), "2026-01-05|2;2026-01-06|2");
    assert!(said(&at("2026-01-06")).contains("2 there already"));
    assert_eq!(place.query(days), "2026-01-05|2;2026-01-06|2");
    place.file("t.ndjson", trace("t1", "2026-01-05T00:00:00Z"));
    assert!(said(&["--from", "t.ndjson"]).contains("1 new"));
    assert!(said(&["--from", "t.ndjson", "--date-order", "day-first"]).contains("1 there already"));
    assert_eq!(place.query("traces | where itemId == 't1' | count"), "1");
}

#[test]
fn a_year_before_the_first_is_no_year() {
    let place = Place::new();
    let times =
        ["2026-01-05T08:00:00Z", "-2026-01-05T08:00:00Z", "-0001-01-01T00:00:00Z", "+2026-01-05T08:00:00Z", "2026/01/05 -08:00"];
    let lines: Vec<String> = times.iter().enumerate().map(|(n, time)| trace(&format!("t{n}"), time)).collect();
    place.file("years.ndjson", lines.join("\n"));
    place.import(&["--from", "years.ndjson"]).exits(5).says("4 of 5 records refused").says("line 2").says("line 4");
    assert_eq!(place.query("traces | where cloud_RoleName != 'kqlake' | project itemId"), "t0");
}

#[test]
fn a_heading_says_in_which_zone_its_times_are() {
    let place = Place::new();
    let file = |zone: &str, id: &str| {
        format!(
            "timestamp {zone},message,severityLevel,itemType,itemId,operation_Id\n\
             2026-01-05 08:00:00,m,1,trace,{id}a,o\n2026-01-05T08:00:00Z,m,1,trace,{id}b,o\n"
        )
    };
    for (id, zone) in [("1", ""), ("2", "[UTC]"), ("3", "(UTC)"), ("4", "[UTC+01:00]"), ("5", "[UTC+1]"), ("6", "(UTC-03:30)")] {
        place.file(&format!("{id}.csv"), file(zone, id));
        place.import(&["--from", &format!("{id}.csv")]).exits(0);
    }
    let times = "traces | where isnotempty(itemId) and cloud_RoleName != 'kqlake' | order by itemId asc \
                 | summarize ids = strcat_array(make_list(itemId), ' ') by time = format_datetime(timestamp, 'HH:mm') | order by time asc";
    assert_eq!(place.query(times), "07:00|4a 5a;08:00|1a 1b 2a 2b 3a 3b 4b 5b 6b;11:30|6a");
    for zone in ["[Local Time]", "[CET]"] {
        place.file("other.csv", file(zone, "7"));
        place.import(&["--from", "other.csv"]).exits(5).says(zone).says("export the file with times in UTC");
    }
    let answer = r#"{"tables":[{"name":"PrimaryResult","columns":[{"name":"timestamp [UTC+1]"},{"name":"message"},{"name":"itemType"}],"rows":[["2026-01-05 08:00:00","m","trace"]]}]}"#;
    place.file("answer.json", answer);
    place.import(&["--from", "answer.json"]).exits(5).says("'timestamp [UTC+1]' are not in UTC");
    assert_eq!(place.query("traces | where cloud_RoleName != 'kqlake' | count"), "12");
}

#[test]
fn rows_that_name_their_table_need_no_columns_that_tell_it() {
    let place = Place::new();
    let answer = |rows: &str| {
        format!(
            r#"{{"tables":[{{"name":"PrimaryResult","columns":[{{"name":"TimeGenerated"}},{{"name":"Name"}},{{"name":"Category"}},{{"name":"Instance"}},{{"name":"Value"}},{{"name":"Type"}}],"rows":[{rows}]}}]}}"#
        )
    };
    let row = |instance: u8, table: &str| format!(r#"["2026-01-05T00:00:00Z","% CPU","Processor","{instance}",1.5,"{table}"]"#);
    let known = [row(0, "AppPerformanceCounters"), row(1, "AppPerformanceCounters")].join(",");
    place.file("known.json", answer(&known));
    place.import(&["--from", "known.json"]).exits(0);
    place.file("known.csv", "TimeGenerated,Name,Value,Type\n2026-01-05T00:00:00Z,% CPU,2.5,AppPerformanceCounters\n");
    place.import(&["--from", "known.csv"]).exits(0);
    let values = "performanceCounters | order by value asc, instance asc | project name, category, instance, value";
    assert_eq!(place.query(values), "% CPU|Processor|0|1.5;% CPU|Processor|1|1.5;% CPU|||2.5");
    place.file("other.json", answer(&row(0, "Heartbeat")));
    place.import(&["--from", "other.json"]).exits(5).says("no known shape: no table takes records of the type 'Heartbeat'");
}

#[test]
fn a_performance_counter_that_counts_as_one_is_the_one_without_a_count() {
    let place = Place::new();
    place.file(
        "events.json",
        r#"{"@odata.context":"https://api.applicationinsights.io/v1/apps/x/events/$metadata#$all","value":[{"id":"a","count":1,"type":"performanceCounter","timestamp":"2026-01-05T06:00:00Z","customDimensions":null,"performanceCounter":{"name":"% CPU","category":"Process","counter":"% CPU","instance":"w3wp","value":3.5},"cloud":{"roleName":"web","roleInstance":"r1"}}]}"#,
    );
    place.file(
        "blob.json",
        r#"{"time":"2026-01-05T06:00:00.0000000Z","Type":"AppPerformanceCounters","Name":"% CPU","Category":"Process","Counter":"% CPU","Instance":"w3wp","Value":3.5,"AppRoleName":"web","AppRoleInstance":"r1"}"#,
    );
    place.import(&["--from", "blob.json"]).exits(0);
    place.import(&["--from", "events.json"]).exits(0);
    assert_eq!(place.query("performanceCounters | project itemId, value"), "a|3.5");
}

#[test]
fn a_time_that_cannot_be_read_is_shown() {
    let place = Place::new();
    let long = "so\\u001bon ".repeat(20);
    place.file("times.ndjson", [trace("a", "2026-01-05T00:00:00Z"), trace("b", &long)].join("\n"));
    let run = place.import(&["--from", "times.ndjson", "--dry-run"]).exits(5).says(r"(timestamp is 'so\u{1b}on ").says("…'");
    assert!(run.out.contains("1 recognised") && !run.out.contains("new"), "{}", run.out);
    assert!(!place.path().join("lake").exists());
}

#[test]
fn a_page_with_a_record_a_line_is_one_document_however_it_comes() {
    let members = |team: &str, count: usize| {
        let context = format!("https://graph.microsoft.com/v1.0/$metadata#teams('{team}')/members");
        let records: Vec<String> = (0..count)
            .map(|n| {
                format!(
                    r#"{{"id":"m{n}","roles":["owner"],"displayName":"User {n}","userId":"u-{n}","email":"{}"}}"#,
                    "x".repeat(60)
                )
            })
            .collect();
        format!("{{\"@odata.context\":\"{context}\",\"value\":[\n{}\n]}}\n", records.join(",\n"))
    };
    for count in [1, 14, 15, 40, 4_000] {
        // Two pages behind one another, and lines of records before them.
        let lines = "{\"id\":\"a\",\"userPrincipalName\":\"a@b\"}\n{\"id\":\"b\",\"userPrincipalName\":\"b@b\"}\n";
        let text = format!("{lines}{}{}", members("t1", count), members("t2", count));
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, text.as_bytes()).expect("compressed");
        let gz = gz.finish().expect("compressed");
        for (form, bytes) in [("x.json", text.as_bytes()), ("x.json.gz", &gz), ("-", &gz)] {
            let place = Place::new();
            let args = ["--lake", "lake", "import", "--snapshot-date", "2026-01-05", "--from", form];
            let run = if form == "-" {
                run_with(place.path(), &args, bytes)
            } else {
                place.file(form, bytes);
                run_in(place.path(), &args)
            };
            let run = run.exits(0);
            assert!(!run.err.contains("refused"), "{}", run.err);
            let found = place.query("TeamMembers | summarize count() by teamId | order by teamId asc");
            assert_eq!(found, format!("t1|{count};t2|{count}"), "{form}");
            assert_eq!(place.query("Users | count"), "2", "{form}");
        }
    }
}

#[test]
fn what_a_page_says_holds_behind_a_broken_record_too() {
    let place = Place::new();
    let record = |n: usize| format!(r#"{{"id":"m{n}","roles":[],"userId":"u-{n}"}}"#);
    let text = format!(
        "{{\"@odata.context\":\"https://x/$metadata#teams('t1')/members\",\"value\":[\n{},\n{{\"id\":]broken,\n{},\n{}\n]}}\n",
        record(1),
        record(2),
        record(3)
    );
    place.file("members-2026-01-05.json", text);
    place.import(&["--from", "members-2026-01-05.json"]).exits(5);
    assert_eq!(place.query("TeamMembers | summarize count() by teamId"), "t1|3");
}
