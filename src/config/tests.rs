use super::environment::check_name;
use super::secrets::SecretSource;
use super::tenants::CredentialSource;
use super::*;

fn none(_: &str) -> Option<OsString> {
    None
}

#[test]
fn empty_and_mistyped_variables_are_refused() {
    for name in VARIABLES {
        let env = |asked: &str| (asked == *name).then(OsString::new);
        let err = Config::load(&Flags { lake: Some("x".into()), ..Flags::default() }, &env).unwrap_err();
        assert_eq!(err.status(), 2);
        assert!(err.to_string().contains(name), "{err}");
    }
    assert!(check_name("KQLAKE_LAEK".as_ref()).is_err_and(|err| err.advice().is_some_and(|a| a.contains("KQLAKE_LAKE"))));
    for other in ["KQLAKE_LAKE", "KQLAKE_SOMETHING_OF_SOMEBODY", "LAKE"] {
        assert!(check_name(other.as_ref()).is_ok(), "{other}");
    }
}

#[test]
fn numbers_have_bounds() {
    for threads in [0, MAX_THREADS + 1] {
        let err = Config::load(&Flags { threads: Some(threads), ..Flags::default() }, &none).unwrap_err();
        assert!(err.status() == 2 && err.to_string().contains(&threads.to_string()), "{err}");
    }
    let err = Config::load(&Flags { memory_limit: Some("1".into()), ..Flags::default() }, &none).unwrap_err();
    assert!(err.status() == 2 && err.to_string().contains("1 bytes"), "{err}");
    for wrong in ["-1s", "NaN", "1e300", "inf", "", "99999999999999999999h"] {
        assert!(parse_duration(wrong).is_err_and(|err| err.status() == 2), "{wrong}");
    }
    for wrong in ["", "-1", "NaN", "1e3", "99999999999TB", "0"] {
        assert!(parse_bytes(wrong).is_err_and(|err| err.status() == 2), "{wrong}");
    }
}

#[test]
fn only_a_file_of_reasonable_size_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let err = Config::load(&Flags { config: Some(dir.path().into()), ..Flags::default() }, &none).unwrap_err();
    assert!(err.status() == 2 && err.to_string().contains("folder"), "{err}");
    let file = dir.path().join("x.toml");
    std::fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
    let err = Config::load(&Flags { config: Some(file), ..Flags::default() }, &none).unwrap_err();
    assert!(err.status() == 2 && err.to_string().contains("more than"), "{err}");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("my.toml");
    std::fs::write(&file, "lake = \"lake-of-file\"\ntimeout = \"5s\"\nthreads = 3\nquarantine_keep = \"0\"\n").unwrap();
    let flags = Flags { config: Some(file), threads: Some(7), ..Flags::default() };
    let env = |name: &str| (name == "KQLAKE_TIMEOUT").then(|| "2m".into());
    let config = Config::load(&flags, &env).unwrap();
    assert_eq!(config.lake, dir.path().join("lake-of-file"));
    assert_eq!(config.timeout, Some(Duration::from_secs(120)));
    assert_eq!(config.threads, Some(7));
    assert_eq!(config.memory_limit, DEFAULT_MEMORY);
    assert_eq!((config.quarantine_keep, config.quarantine_size), (None, DEFAULT_QUARANTINE_SIZE));
}

#[test]
fn empty_values_of_the_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kqlake.toml");
    let load = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Config::load(&Flags { config: Some(file.clone()), lake: Some("x".into()), ..Flags::default() }, &none)
    };
    for (key, value) in [
        ("lake", "\"\""),
        ("export", "\"\""),
        ("spill_dir", "\"\""),
        ("import_job_settings", "\"\""),
        ("memory_limit", "\"\""),
        ("timeout", "\"\""),
        ("quarantine_keep", "\"\""),
        ("quarantine_size", "\"\""),
        ("date_order", "\"\""),
        ("from", "[\"a\", \"\"]"),
        ("external_data", "[\"\"]"),
        ("watchlists", "\"\""),
        ("ip_locations", "\"\""),
        ("external_locations", "{ \"https://x\" = \"\" }"),
        ("external_locations", "{ \"\" = \"x\" }"),
    ] {
        let err = load(&format!("{key} = {value}\n")).unwrap_err();
        assert_eq!(err.status(), 2, "{key}");
        assert!(err.to_string().contains(key) && err.to_string().contains("is empty"), "{err}");
    }
    // A parameter may be an empty text, and a list may have no entries.
    assert!(load("from = []\n[params]\nname = \"\"\n").is_ok());
}

#[test]
fn a_mistyped_key_names_its_line_and_the_nearest_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kqlake.toml");
    std::fs::write(&file, "\nmemory_limits = \"1GB\"\n").unwrap();
    let err = Config::load(&Flags { config: Some(file), ..Flags::default() }, &none).unwrap_err();
    assert_eq!(err.status(), 2);
    assert!(err.to_string().contains(":2: unknown field"), "{err}");
    assert_eq!(err.advice(), Some("did you mean `memory_limit`?"));
}

#[test]
fn amounts_and_lengths_are_read_with_their_units() {
    assert_eq!(parse_bytes("512MB").unwrap(), 512 << 20);
    assert_eq!(parse_bytes("1.5 GiB").unwrap(), 3 << 29);
    assert!(parse_bytes("many").is_err());
    assert_eq!(parse_duration("250ms").unwrap(), Some(Duration::from_millis(250)));
    assert_eq!(parse_duration("0").unwrap(), None);
    assert_eq!(parse_duration("90d").unwrap(), Some(DEFAULT_QUARANTINE_KEEP));
    assert!(parse_duration("soon").is_err());
}

const TENANT: &str = r#"
[tenants.contoso]
id = "11111111-2222-3333-4444-555555555555"
client_id = "AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee"
client_secret = { env = "CONTOSO_SECRET" }
"#;

/// Reads a file with one tenant and what follows.
fn with(more: &str) -> Result<Config> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kqlake.toml");
    std::fs::write(&file, format!("{TENANT}{more}")).unwrap();
    Config::load(&Flags { config: Some(file), ..Flags::default() }, &none)
}

#[test]
fn a_tenant_is_read_with_the_defaults_of_what_is_left_out() {
    let config = with("").unwrap();
    let [tenant] = config.tenants.as_slice() else { panic!("one tenant: {:?}", config.tenants) };
    assert_eq!((tenant.name.as_str(), tenant.client_id.as_str()), ("contoso", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"));
    assert_eq!(tenant.credential, CredentialSource::Secret(SecretSource::Environment("CONTOSO_SECRET".into())));
    assert_eq!(tenant.message_trace, kqlake_remote::settings::MessageTraceSettings::default());
    assert_eq!(tenant.message_trace.request_period_in_seconds, 60);
    assert_eq!(tenant.message_trace.max_historic_date_cutoff_days_back, 10);
    // Nothing of Application Insights is configured, so nothing of it is expected.
    assert_eq!(tenant.jobs.len(), 7);
    assert!(config.import_job_settings.is_some_and(|text| text.contains("WebTraffic=False") && text.contains("Calls=True")));
}

#[test]
fn everything_that_can_be_said_is_read() {
    let config = with(
        r#"
import_job_settings = "Calls=True;**ActivityLog**=true;WebTraffic=False"
cloud = "gcc-high"
[tenants.contoso.hosts]
login = "http://127.0.0.1:8700/login"
management = "http://127.0.0.1:8700/management"
graph = "https://graph.example.com:8443/v"
reporting = "http://localhost:1"
app_insights = "http://[::1]:1"
log_analytics = "http://127.0.0.1:8700/loganalytics"
[tenants.contoso.audit]
org_urls = ["https://contoso.sharepoint.com"]
content_types = ["Audit.General", "DLP.All"]
requests_per_minute = 1_000
[tenants.contoso.calls]
backfill_days = 3
notification_url = "https://hooks.example.com/calls"
client_state = { file = "state" }
listen = "127.0.0.1:8780"
[tenants.contoso.message_trace]
api = "reporting"
request_period_in_seconds = 300
override_time_delay_in_seconds = 90_000
max_historic_date_cutoff_days_back = 5
max_historic_date_margin_seconds = 120
requests_per_second = 2
reset_persistence_auth = "2026-01-05"
details = false
[tenants.contoso.teams_messages]
enabled = false
keep_text = false
[[tenants.contoso.app_insights]]
app_id = "11111111-2222-3333-4444-000000000001"
api_key = { credential = "insights" }
tables = ["traces"]
[[tenants.contoso.app_insights]]
app_id = "11111111-2222-3333-4444-000000000002"
lookback_days = 90
[[tenants.contoso.log_analytics]]
workspace_id = "11111111-2222-3333-4444-000000000003"
[tenants."fabrikam.com"]
id = "11111111-2222-3333-4444-555555555556"
managed_identity = true
[tenants.northwind]
id = "11111111-2222-3333-4444-555555555557"
client_id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
certificate = { file = "northwind.pem", password = { env = "PASSWORD" } }
[tenants.tailspin]
id = "11111111-2222-3333-4444-555555555558"
client_id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
workload_identity = { file = "token" }
"#,
    )
    .unwrap();
    let base = config.file.as_deref().and_then(Path::parent).unwrap();
    let names: Vec<&str> = config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(names, ["contoso", "fabrikam.com", "northwind", "tailspin"]);
    let contoso = &config.tenants[0];
    assert_eq!(contoso.jobs.iter().map(|job| job.setting()).collect::<Vec<_>>(), ["ActivityLog", "Calls"]);
    assert_eq!(contoso.hosts.graph.as_ref().unwrap().as_str(), "https://graph.example.com:8443/v");
    assert_eq!(contoso.message_trace.override_time_delay_in_seconds, Some(90_000));
    assert_eq!(contoso.message_trace.reset_persistence_auth.as_deref(), Some("2026-01-05"));
    assert_eq!(contoso.client_state, Some(SecretSource::File(base.join("state"))));
    assert_eq!(contoso.app_insights[0].1, Some(SecretSource::Credential("insights".into())));
    assert_eq!((contoso.app_insights[0].0.tables.len(), contoso.app_insights[1].0.lookback_days), (1, 90));
    assert_eq!(contoso.log_analytics[0].tables, ["AppTraces", "AppEvents", "AppPageViews"]);
    assert_eq!(config.tenants[1].credential, CredentialSource::ManagedIdentity);
    assert!(config.tenants[1].client_id.is_empty());
    let password = Some(SecretSource::Environment("PASSWORD".into()));
    assert_eq!(
        config.tenants[2].credential,
        CredentialSource::Certificate(SecretSource::File(base.join("northwind.pem")), password)
    );
    assert_eq!(config.tenants[3].credential, CredentialSource::WorkloadIdentity(Some(base.join("token"))));
}

#[test]
fn a_misspelt_key_is_told_before_the_one_that_is_missing() {
    let text = "[tenants.contoso]\nid = \"11111111-2222-3333-4444-555555555555\"\n\
        client_id = \"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\"\nclient_secert = { env = \"SECRET\" }\n";
    let problems = mistakes(Path::new("kqlake.toml"), text);
    let found: Vec<(&str, &str)> = problems.iter().map(|problem| (problem.message.as_str(), problem.solution.as_str())).collect();
    assert_eq!(found[0], ("unknown key `client_secert` in tenants.contoso", "did you mean `client_secret`?"), "{found:?}");
    assert!(found[1].0.starts_with("tenants.contoso.client_secret is missing"), "{found:?}");
}

#[test]
fn mistakes_say_key_value_and_what_to_do() {
    for (text, message, advice) in [
        ("cloud = \"mars\"", "unknown cloud `mars`", "commercial"),
        ("clouds = \"gcc\"", ":6: unknown key `clouds` in tenants.contoso", "did you mean `cloud`?"),
        ("tenant_id = \"x\"", "unknown key `tenant_id`", "did you mean `id`?"),
        ("[tenants.contoso.hosts]\nlogon = \"x\"", ":7: unknown key `logon` in tenants.contoso.hosts", "did you mean `login`?"),
        (
            "[tenants.contoso.hosts]\ngraph = \"http://graph.microsoft.com\"",
            "tenants.contoso.hosts.graph is an address that must",
            "https://",
        ),
        (
            "[tenants.contoso.message_trace]\nrequest_period_in_second = 1",
            "request_period_in_second",
            "did you mean `request_period_in_seconds`?",
        ),
        (
            "[tenants.contoso.message_trace]\noverride_time_delay_in_seconds = 172801",
            "override_time_delay_in_seconds is 172801, a whole number from 1 to 172800 was expected (InitVariablesError 20",
            "1 to 172800",
        ),
        ("[tenants.contoso.message_trace]\noverride_time_delay_in_seconds = \"1\"", "(InitVariablesError 19", "whole number"),
        ("[tenants.contoso.message_trace]\nreset_persistence_auth = 2026-01-05", "(InitVariablesError 18", "text in quotes"),
        ("[tenants.contoso.message_trace]\nreset_persistence_auth = \"05.01.2026\"", "YYYY-MM-DD", "in quotes"),
        (
            "[tenants.contoso.message_trace]\nmax_historic_date_cutoff_days_back = 0",
            "is 0, a whole number from 1 to 1000000",
            "1000000",
        ),
        (
            "[tenants.contoso.message_trace]\nmax_historic_date_margin_seconds = 86_400_000_001",
            "from 1 to 86400000000",
            "86400000000",
        ),
        ("[tenants.contoso.message_trace]\nrequests_per_second = -1", "is -1, a whole number from 1", "whole number"),
        ("[tenants.contoso.message_trace]\nrequest_period_in_seconds = 99999999999999999999", "whole number from 1 on", ""),
        ("import_job_settings = \"Call=True\"", "import_job_settings names `Call`", "did you mean `Calls`?"),
        ("[tenants.contoso.audit]\norg_urls = \"https://x\"", "org_urls is a text, a list", "list"),
        ("[tenants.contoso.audit]\norg_urls = [\"contoso\"]", "has `contoso`, which is no address", "sharepoint.com"),
        ("[tenants.contoso.audit]\ncontent_types = [\"Audit.All\"]", "`Audit.All`", "Audit.General"),
        ("managed_identity = true", "has client_secret and managed_identity", "leave one"),
        ("app_insights = [{ app_id = \"1\" }]", "tenants.contoso.app_insights[0].app_id is `1`, which is no GUID", "API Access"),
        ("[[tenants.contoso.app_insights]]\ntables = [\"a b\"]", "app_id is missing", "API Access"),
        ("[tenants.contoso.calls]\nservice_bus = { namespace = \"x\" }", "calls.service_bus.queue is missing", "queue"),
        (
            "[tenants.contoso.calls]\nservice_bus = { namespace = \"x\", queue = \"y\", policy = \"p\" }",
            "calls.service_bus.key is missing",
            "shared access policy",
        ),
        ("[tenants.contoso.calls]\nservice_bus = { namespace = \"x.y\", queue = \"y\" }", "is no namespace", "first part"),
        ("[tenants.contoso.message_trace]\ndetails = [\"pending\"]", "details has `pending`", "known are delivered"),
        ("[tenants.contoso.calls]\nnotification_url = \"https://x.example\"", "client_state is missing", "random"),
        ("[tenants.\"a/b\"]\nid = \"x\"", "is no name of a tenant", "letters"),
        ("[tenants.x]\nid = \"\"", "tenants.x.id is missing or empty (InitVariablesError 2: tenant_id", "Directory (tenant) ID"),
        ("[tenants.x]\nid = 5", "(InitVariablesError 3: tenant_id must be an string)", "text in quotes"),
        ("[tenants.x]\nclient_id = \"z\"", "tenants.x.id is missing", "2 more mistakes"),
        ("[tenants]\nx = 5", "tenants.x is no table (InitVariablesError 1:", "[tenants.x]"),
    ] {
        let err = with(text).err().unwrap_or_else(|| panic!("{text} was taken"));
        assert_eq!(err.status(), 2, "{text}");
        assert!(err.to_string().contains(message), "{text}: {err}");
        assert!(err.advice().unwrap_or_default().contains(advice), "{text}: {:?}", err.advice());
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kqlake.toml");
    std::fs::write(&file, "lakes = \"x\"\n[tenants.a]\ncloud = 5\n[tenants.b]\nid = \"no\"\n").unwrap();
    let (config, problems) = Config::survey(&Flags { config: Some(file), ..Flags::default() }, &none);
    let keys: BTreeSet<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    for key in ["lakes", "tenants.a.cloud", "tenants.a.id", "tenants.a.client_secret", "tenants.b.id", "tenants.b.client_id"] {
        assert!(keys.contains(key), "{key}: {problems:#?}");
    }
    assert!(config.tenants.is_empty());
}

#[test]
fn all_mistakes_at_the_top_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kqlake.toml");
    let text = "memory_limit = \"2XB\"\ntimeout = \"5x\"\nquarantine_keep = \"ninety\"\nquarantine_size = \"x\"\ndate_order = \"x\"\n\
                expot = \"x\"\nexprt = \"y\"\nlake = 5\nthreads = \"2\"\nwatchlists = \"nope\"\nip_locations = \"nope.mmdb\"\n\
                external_data = [\"nowhere\", \"ftp://x\"]\n[same_lake]\nplanet = [\"x\"]\n[tenants.a]\nid = \"no\"\n";
    std::fs::write(&file, text).unwrap();
    let (_, problems) = Config::survey(&Flags { config: Some(file), ..Flags::default() }, &none);
    let shown: Vec<String> = problems.iter().map(|problem| format!("{} -> {}", problem.line(), problem.solution)).collect();
    for said in [
        "`2XB`",
        "`5x`",
        "`ninety`",
        "quarantine_size",
        "`x` is no order",
        "`expot`",
        "`exprt`",
        "a path in quotes",
        "a whole number",
        "nope is no folder",
        "nope.mmdb is no file",
        "nowhere is no folder",
        "ftp://x",
        "`planet`",
        "tenants.a.id",
    ] {
        assert!(shown.iter().any(|line| line.contains(said)), "{said}: {shown:#?}");
    }
    assert!(problems.iter().all(|problem| !problem.solution.is_empty()), "{shown:#?}");
}

#[test]
fn no_secret_is_written_into_the_file_or_shown() {
    for text in [
        "client_secret = \"canary-1\"",
        "client_secret = [\"canary-1\"]",
        "client_secret = { value = \"canary-1\" }",
        "client_secret = { env = \"canary-1~\" }",
        "client_secret = { env = \"A\", file = \"canary\" }",
        "client_secret = { env = 'canary-1 ",
        "client_secret = canary-1",
        "certificate = \"-----BEGIN canary-1\"",
        "[tenants.x.calls]\nclient_state = \"canary-1\"",
        "[[tenants.x.app_insights]]\napi_key = \"canary-1\"",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kqlake.toml");
        std::fs::write(&file, format!("[tenants.x]\n{text}\n")).unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        let (config, problems) = Config::survey(&flags, &none);
        let shown = format!("{problems:?}{config:?}{:?}", Config::load(&flags, &none).unwrap_err());
        assert!(!problems.is_empty() && !shown.contains("canary-1"), "{text}: {shown}");
    }
}

#[test]
fn the_environment_switches_sections_of_all_tenants() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kqlake.toml");
    std::fs::write(&file, format!("import_job_settings = \"Calls=True\"\n{TENANT}import_job_settings = \"GraphTeams=True\"\n"))
        .unwrap();
    let flags = Flags { config: Some(file), ..Flags::default() };
    let jobs = |config: Config| config.tenants[0].jobs.iter().map(|job| job.setting()).collect::<Vec<_>>();
    assert_eq!(jobs(Config::load(&flags, &none).unwrap()), ["GraphTeams"]);
    let env = |name: &str| (name == "KQLAKE_IMPORT_JOB_SETTINGS").then(|| "ActivityLog=True".into());
    assert_eq!(jobs(Config::load(&flags, &env).unwrap()), ["ActivityLog"]);
    let env = |name: &str| (name == "KQLAKE_IMPORT_JOB_SETTINGS").then(|| "Activity=True".into());
    let err = Config::load(&flags, &env).unwrap_err();
    assert!(err.to_string().contains("KQLAKE_IMPORT_JOB_SETTINGS names `Activity`"), "{err}");
}
