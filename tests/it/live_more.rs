//! Parts of sections that are off unless they are asked for, against a simulated tenant: details of messages, messages of channels,
//! the queue of notifications.

use std::collections::BTreeSet;

use kqlake_simulate::{Settings, SimulatorOptions, Table};

use super::simulated::Simulated;
use super::support::{Run, csv_rows};

const NOW: &str = "2026-01-12T12:00:00Z";

/// A tenant whose time stands still, with more in its configuration.
fn tenant(scale: f64, more: &str) -> Simulated {
    let settings = Settings { quotas: false, ..Settings::default() };
    let clock = NOW.parse().expect("an instant");
    let of = Simulated::start(SimulatorOptions { seed: 5, scale, clock, settings, ..SimulatorOptions::default() });
    of.write("kqlake.toml", &format!("{}\n{more}\n", of.simulator().toml()));
    of
}

/// Imports a section; waits pass a hundred times as fast.
fn import(of: &Simulated, section: &str, variables: &[(&str, &str)]) -> Run {
    import_at(of, NOW, section, variables)
}

/// The same at an instant: the ledger goes by time, so that of imports one after the other must not go back.
fn import_at(of: &Simulated, now: &str, section: &str, variables: &[(&str, &str)]) -> Run {
    let clock = format!("{now}x100");
    let run = of.run_with(&["import", section], &[[("KQLAKE_NOW", clock.as_str())].as_slice(), variables].concat());
    assert!(!run.err.contains("panicked"), "{}", run.err);
    run
}

fn truth(of: &Simulated, table: &str) -> Table {
    let tables = of.simulator().manifest().tables;
    tables.into_iter().find(|truth| truth.table == table).expect("a table of the manifest")
}

/// The rows of a query, without its heading, their values joined.
fn rows(of: &Simulated, query: &str) -> Vec<String> {
    let run = of.run(&["query", query, "-f", "csv"]).exits(0);
    csv_rows(&run.out).into_iter().skip(1).map(|row| row.join("|")).collect()
}

#[test]
fn details_of_messages_come_within_what_a_run_may_ask_for_and_are_pending_until_then() {
    let of = tenant(
        0.5,
        "[tenants.contoso.message_trace]\nmax_historic_date_cutoff_days_back = 3\n\
         details = [\"failed\", \"quarantined\"]\ndetails_per_run = 8",
    );
    let asked = "MessageTraceDetail | distinct messageTraceId, recipientAddress";
    let pending = "ImportLedger | where unit has '/details/' \
                   | summarize listed = countif(state == 'listed'), done = countif(state == 'done') by unit \
                   | where listed > 0 and done == 0 | count";
    import(&of, "MessageTrace", &[]).exits(0);
    assert_eq!(rows(&of, asked).len(), 8);
    assert_ne!(rows(&of, pending), ["0"]);
    for quarter in 1..20 {
        let now = format!("2026-01-12T{}:{:02}:00Z", 12 + quarter / 4, quarter % 4 * 15);
        import_at(&of, &now, "MessageTrace", &[]).exits(0);
        if rows(&of, pending) == ["0"] {
            break;
        }
    }
    let wanted = |status: &Option<String>| status.as_deref().is_some_and(|status| ["failed", "quarantined"].contains(&status));
    let traces = truth(&of, "MessageTrace");
    let expected: BTreeSet<String> =
        traces.rows.iter().filter(|(_, status)| wanted(status)).map(|(key, _)| key.clone()).collect();
    assert!(expected.len() > 8, "{}", expected.len());
    assert_eq!(rows(&of, asked).into_iter().collect::<BTreeSet<_>>(), expected);
    // Each way begins where the message was received, and says how it ended.
    let ends = "MessageTraceDetail | summarize began = countif(event == 'Receive'), ended = countif(event in ('Fail', 'Spam')) \
                by messageTraceId, recipientAddress | where began != 1 or ended != 1";
    assert_eq!(rows(&of, ends), Vec::<String>::new());
    // Nothing is asked for twice.
    let tries = "ImportLedger | where unit has '/details/' and state == 'done' | summarize n = count() by unit | where n > 1";
    assert_eq!(rows(&of, tries), Vec::<String>::new());
}

#[test]
fn messages_of_channels_land_without_their_text_and_their_newest_state_stays() {
    let of = tenant(0.1, "[tenants.contoso.teams_messages]\nenabled = true");
    let keys = "ChannelMessages | project teamId, channelId, id | order by teamId asc, channelId asc, id asc";
    let expected = |of: &Simulated| truth(of, "ChannelMessages").rows.into_keys().collect::<Vec<_>>();
    import(&of, "GraphTeams", &[]).exits(0);
    let first = rows(&of, keys);
    assert!(first.len() > 20, "{}", first.len());
    assert_eq!(first, expected(&of));
    let kinds = "ChannelMessages \
                 | summarize replies = countif(isReply), deleted = countif(isDeleted), reacted = countif(reactionCount > 0), \
                 english = countif(language == 'en' and isnotnull(sentiment)), \
                 other = countif(language != 'en' and isnotnull(sentiment)), told = countif(isnotempty(authorId)), \
                 texts = countif(isnotempty(text) or isnotempty(subject)), n = count() \
                 | project replies > 0, deleted > 0, reacted > 0, english > 0, other, told == n, texts";
    assert_eq!(rows(&of, kinds), ["true|true|true|true|0|true|0"]);
    // Nothing of the texts is in what is written out, but for key phrases.
    let written = of.run(&["query", "ChannelMessages | project-away keywords", "-f", "csv"]).exits(0).out;
    for text in ["warehouse", "Lunch at twelve", "verschoben", "Weekly", "sharepoint.com/sites/a"] {
        assert!(!written.contains(text), "{text}");
    }
    // The next run reads on: what was edited, deleted or answered since takes the place of what was there.
    import(&of, "GraphTeams", &[]).exits(0);
    assert_eq!(rows(&of, keys), first);
    let changed = "ChannelMessages | where lastModifiedDateTime > createdDateTime | count";
    let before = rows(&of, changed);
    of.simulator().set_clock("2026-01-14T12:00:00Z".parse().expect("an instant"));
    let later = [("KQLAKE_NOW", "2026-01-14T12:00:00Zx100")];
    let run = of.run_with(&["import", "GraphTeams"], &later);
    assert_eq!(run.status, 0, "{}", run.err);
    let second = rows(&of, keys);
    assert!(second.len() > first.len());
    assert_eq!(second, expected(&of));
    assert_ne!(rows(&of, changed), before);
}

#[test]
fn texts_of_messages_are_there_where_they_are_kept() {
    let of = tenant(0.02, "[tenants.contoso.teams_messages]\nenabled = true\nkeep_text = true");
    import(&of, "GraphTeams", &[]).exits(0);
    let kept = rows(&of, "ChannelMessages | where isempty(text) and not(isDeleted) | count");
    assert_eq!(kept, ["0"]);
    let markup = "ChannelMessages | where text contains '<' or text contains '&amp;' | count";
    assert_eq!(rows(&of, markup), ["0"]);
    assert_ne!(rows(&of, "ChannelMessages | where isnotempty(text) | count"), ["0"]);
}

#[test]
fn a_queue_of_notifications_is_emptied_and_what_cannot_be_read_is_quarantined() {
    let queue = "service_bus = { namespace = \"contoso\", queue = \"graphcalls\", policy = \"RootManageSharedAccessKey\", \
                 key = { env = \"QUEUE_KEY\" } }";
    let of = tenant(0.1, &format!("[tenants.contoso.calls]\nbackfill_days = 3\n{queue}"));
    let key = of.simulator().queue_key().to_owned();
    let variables = [("QUEUE_KEY", key.as_str())];
    import(&of, "Calls", &variables).exits(0);
    let call = truth(&of, "CallRecords").rows.into_keys().next().expect("a call");
    of.simulator().enqueue(&format!("{{\"value\":[{{\"resource\":\"communications/callRecords/{call}\"}}]}}"));
    of.simulator().enqueue("{\"nothing\": \"that is known\"}");
    of.simulator().enqueue("no JSON, but the only copy\n");
    of.simulator().enqueue(&call);
    // Who only looks takes nothing.
    let clock = format!("{NOW}x100");
    let looked = of.run_with(&["import", "Calls", "--dry-run"], &[("KQLAKE_NOW", &clock), ("QUEUE_KEY", &key)]);
    assert_eq!(looked.status, 0, "{}", looked.err);
    assert_eq!(of.simulator().manifest().notes.get("messages of the queue completed"), None);
    // What cannot be read is a new failure, once.
    import(&of, "Calls", &variables).exits(5);
    let notes = of.simulator().manifest().notes;
    assert_eq!(notes.get("messages of the queue completed"), Some(&4), "{notes:?}");
    let aside = of.run(&["quarantine", "show", "-f", "json"]).exits(0).out;
    assert!(aside.contains("that is known") && aside.contains("no JSON, but the only copy"), "{aside}");
    let units = rows(&of, "ImportLedger | where unit has '/notified/' | summarize by unit | count");
    assert_eq!(units, ["2"], "the messages that cannot be read; the call is known by its version");
    import(&of, "Calls", &variables).exits(0);
    // A key that is wrong keeps no call from being fetched.
    import(&of, "Calls", &[("QUEUE_KEY", "canary-wrong")]).exits(5);
    let doctor = of.run_with(&["doctor", "-f", "csv"], &[("QUEUE_KEY", "canary-wrong")]);
    let found = csv_rows(&doctor.out);
    let row = found.iter().find(|row| row[0] == "contoso/service_bus/graphcalls").expect("a finding");
    assert!(row[1] == "failed" && row[3].contains("policy RootManageSharedAccessKey"), "{row:?}");
    let doctor = of.run_with(&["doctor", "-f", "csv"], &variables);
    assert!(doctor.out.contains("contoso/service_bus/graphcalls,ok,"), "{}", doctor.out);
}

#[test]
fn reports_of_copilot_are_fetched() {
    let of = tenant(0.05, "");
    let run = import(&of, "GraphUsageReports", &[]);
    assert_eq!(run.status, 0, "{}", run.err);
    for table in
        ["Microsoft365CopilotUsageUserDetail", "Microsoft365CopilotUserCountSummary", "Microsoft365CopilotUserCountTrend"]
    {
        let expected = truth(&of, table).count;
        assert!(expected > 0, "{table}");
        assert_eq!(rows(&of, &format!("{table} | count")), [expected.to_string()], "{table}");
    }
}
