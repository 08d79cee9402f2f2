//! `init`: a configuration file that is complete, true, and never written over another one.

use crate::support::run_in;

const TENANT: [&str; 9] = [
    "init",
    "--tenant",
    "fabrikam",
    "--tenant-id",
    "11111111-2222-3333-4444-555555555555",
    "--client-id",
    "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
    "--client-secret",
    "env:FABRIKAM_SECRET",
];

#[test]
fn without_answers_it_shows_how_to_write_a_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_in(dir.path(), &["init"]).exits(0);
    assert!(run.out.contains("wrote kqlake.toml") && run.out.contains("no tenant yet"), "{}", run.out);
    let text = std::fs::read_to_string(dir.path().join("kqlake.toml")).unwrap();
    assert!(text.contains("#[tenants.contoso]") && text.contains("max_historic_date_margin_seconds"), "{text}");
    run_in(dir.path(), &["query", "print 1"]).exits(0);
}

#[test]
fn with_flags_the_tenant_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let args = [TENANT.as_slice(), &["--cloud", "gcc-high", "--org-url", "https://fabrikam.sharepoint.com", "*"]].concat();
    let run = run_in(dir.path(), &args).exits(0);
    assert!(run.out.contains("tenant fabrikam (11111111-2222-3333-4444-555555555555), cloud gcc-high"), "{}", run.out);
    let text = std::fs::read_to_string(dir.path().join("kqlake.toml")).unwrap();
    for line in ["[tenants.fabrikam]", "client_secret = { env = \"FABRIKAM_SECRET\" }", "[tenants.fabrikam.audit]"] {
        assert!(text.lines().any(|own| own == line), "{line}: {text}");
    }
    assert!(text.contains("org_urls = [\"https://fabrikam.sharepoint.com\", \"*\"]"), "{text}");
    run_in(dir.path(), &["query", "print 1"]).exits(0);
    assert!(std::fs::read_dir(dir.path()).unwrap().count() == 1, "nothing else is left");
}

#[test]
fn a_file_that_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kqlake.toml");
    std::fs::write(&file, "this is [no TOML\n").unwrap();
    run_in(dir.path(), &TENANT).exits(2).says("is there already").says("--force");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "this is [no TOML\n");
    // What cannot be configured replaces nothing, whatever is said.
    let wrong = TENANT.map(|word| if word.starts_with("1111") { "no-guid" } else { word });
    run_in(dir.path(), &[wrong.as_slice(), &["--force"]].concat()).exits(2).says("no-guid");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "this is [no TOML\n");
    run_in(dir.path(), &[TENANT.as_slice(), &["--force"]].concat()).exits(0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("[tenants.fabrikam]"));
    let other = dir.path().join("other.toml");
    run_in(dir.path(), &["--config", other.to_str().unwrap(), "init"]).exits(0);
    assert!(other.is_file());
}

#[test]
fn a_part_of_a_tenant_is_refused_with_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &["init", "--tenant", "fabrikam"]).exits(2).says("--tenant-id, --client-id, --client-secret");
    let run = run_in(dir.path(), &["init", "--client-secret", "canary-1"]).exits(2);
    assert!(run.err.contains("env:NAME"), "{}", run.err);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn every_key_in_a_comment_is_one_that_is_known() {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &TENANT).exits(0);
    let file = dir.path().join("kqlake.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let is_key = |rest: &str| {
        let name = rest.split(" = ").next().unwrap_or_default();
        rest.starts_with('[') || (name.len() < rest.len() && !name.contains(' '))
    };
    let open = |line: &str| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line).to_owned() + "\n";
    let text: String = text.lines().map(open).collect();
    for key in ["quarantine_size", "[same_lake]", "publisher_identifier", "details_per_run", "lookback_days"] {
        assert!(text.lines().any(|line| line.starts_with(key)), "{key}: {text}");
    }
    std::fs::write(&file, &text).unwrap();
    run_in(dir.path(), &["query", "print 1"]).exits(0);
}
