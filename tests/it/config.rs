//! The configuration file from the command line: tenants, mistakes in them, and where secrets are.

use crate::support::{run_in, run_with};

const TENANT: &str = r#"
[tenants.contoso]
id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
"#;

fn folder(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kqlake.toml"), text).unwrap();
    dir
}

#[test]
fn a_query_needs_no_secret() {
    let dir = folder(&format!("{TENANT}client_secret = {{ env = \"NOBODY_SETS_THIS\" }}\n"));
    assert_eq!(run_in(dir.path(), &["query", "print 1", "-f", "csv"]).exits(0).out, "print_0\n1\n");
}

#[test]
fn a_section_without_its_secret_says_what_to_do() {
    let dir = folder(&format!("{TENANT}client_secret = {{ env = \"NOBODY_SETS_THIS\" }}\n"));
    run_in(dir.path(), &["import", "Calls"])
        .exits(2)
        .says("tenant contoso: tenants.contoso.client_secret: the variable NOBODY_SETS_THIS is not set in the environment")
        .says("set it before kqlake runs, as with `export NOBODY_SETS_THIS`");
}

#[test]
fn every_command_refuses_mistakes_with_place_and_nearest_name() {
    let dir = folder(&format!(
        "{TENANT}client_secret = {{ env = \"A\" }}\n[tenants.contoso.message_trace]\nrequest_period_in_second = 60\n"
    ));
    for args in [["query", "print 1"].as_slice(), &["tables"], &["nightly"], &["ledger"]] {
        run_in(dir.path(), args)
            .exits(2)
            .says("kqlake.toml:7: unknown key `request_period_in_second` in tenants.contoso.message_trace")
            .says("did you mean `request_period_in_seconds`?");
    }
    let dir = folder(&format!(
        "{TENANT}client_secret = {{ env = \"A\" }}\n[tenants.contoso.message_trace]\noverride_time_delay_in_seconds = 0\n"
    ));
    run_in(dir.path(), &["tables"]).exits(2).says(
        "tenants.contoso.message_trace.override_time_delay_in_seconds is 0, a whole number from 1 to 172800 was expected \
         (InitVariablesError 20: Optional setting: <override_time_delay_in_seconds> is out of range (1 to 172800))",
    );
    let dir = folder("[tenant.contoso]\nid = \"x\"\n");
    run_in(dir.path(), &["tables"]).exits(2).says("did you mean `tenants`?");
}

#[test]
fn doctor_names_all_mistakes_and_goes_on() {
    let dir = folder("threads = 0\n[tenants.contoso]\nid = \"x\"\ncloud = 5\n[tenants.fabrikam]\n");
    let run = run_in(dir.path(), &["doctor", "-f", "csv"]).exits(2);
    for text in [
        "tenants.contoso.id is `x`",
        "tenants.contoso.cloud is a whole number",
        "tenants.contoso.client_id is missing or empty (InitVariablesError 4: client_id doesn't exist",
        "tenants.fabrikam.id is missing or empty (InitVariablesError 2: tenant_id doesn't exist",
        "tenants.fabrikam.client_secret is missing or empty (InitVariablesError 4: client_secret doesn't exist",
        "the number of threads is 0",
        "lake,ok",
        "disk/lake,",
    ] {
        assert!(run.out.contains(text), "{text}: {}", run.out);
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_shown() {
    for line in ["client_secret = \"canary-1\"", "client_secret = { env = \"canary-1~\" }", "client_secret = \"canary-1"] {
        let dir = folder(&format!("{TENANT}{line}\n"));
        for args in [["tables", "-vv"].as_slice(), &["doctor", "-vv"], &["doctor", "-vv", "-f", "json"], &["nightly", "-vv"]] {
            let run = run_in(dir.path(), args).exits(2);
            assert!(!run.out.contains("canary") && !run.err.contains("canary"), "{args:?}: {} {}", run.out, run.err);
        }
    }
    let dir = folder(&format!("{TENANT}client_secret = \"canary-1\"\n"));
    run_in(dir.path(), &["tables"]).exits(2).says("holds a secret as it is").says("{ env = \"NAME\" }");
}

#[test]
fn import_job_settings_are_checked_wherever_they_are_written() {
    let dir = folder("import_job_settings = \"Calls=True;Activity=True\"\n");
    run_in(dir.path(), &["tables"]).exits(2).says("import_job_settings names `Activity`");
    let dir = folder(&format!("{TENANT}client_secret = {{ env = \"A\" }}\nimport_job_settings = \"Call=True\"\n"));
    run_in(dir.path(), &["tables"]).exits(2).says("did you mean `Calls`?");
    let dir = folder("");
    let run = crate::support::kqlake(["tables"])
        .current_dir(dir.path())
        .env("KQLAKE_IMPORT_JOB_SETTINGS", "GraphTeams=1")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("KQLAKE_IMPORT_JOB_SETTINGS sets GraphTeams to `1`"));
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder(&format!(
        "{TENANT}client_secret = {{ file = \"keys/secret\" }}\n[tenants.contoso.hosts]\nlogin = \"http://127.0.0.1:9\"\n"
    ));
    let file = dir.path().join("keys/secret");
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    std::fs::write(&file, "canary-1\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    // The path is meant from the file's folder, wherever the command runs.
    let elsewhere = tempfile::tempdir().unwrap();
    let config = dir.path().join("kqlake.toml");
    let run = run_with(elsewhere.path(), &["--config", config.to_str().unwrap(), "doctor", "-f", "csv"], b"").exits(2);
    assert!(run.out.contains("contoso/credential,failed") && run.out.contains("has the mode 0644"), "{}", run.out);
    assert!(run.out.contains("chmod 600") && !run.out.contains("canary"), "{}", run.out);
}
