//! The configuration of a client for a simulated tenant.

use std::fmt::Write as _;
use std::path::Path;

use crate::world::World;

/// The variable that holds the secret in the configuration that is printed.
pub const SECRET_VARIABLE: &str = "KQLAKE_SIMULATED_SECRET";

/// The text of a configuration file that fetches everything from the tenant. `certificate` is the file with the certificate and
/// its key, when the tenant knows one.
pub(crate) fn toml(world: &World, certificate: Option<&Path>) -> String {
    let registration = &world.registration;
    let base = format!("http://{}", world.address);
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!(
        "# A simulated tenant at {base}, seed {}. It says what it served, and what is true, at {base}/_control/manifest.",
        world.seed
    ));
    match certificate {
        Some(_) => line("# It knows the client's certificate.".to_owned()),
        None => line(format!("# Before using it:  export {SECRET_VARIABLE}='{}'", registration.secret)),
    }
    line("[tenants.contoso]".to_owned());
    line(format!("id = \"{}\"", registration.tenant));
    line(format!("client_id = \"{}\"", registration.client_id));
    match certificate {
        Some(file) => line(format!("certificate = {{ file = {} }}", quoted(&file.to_string_lossy()))),
        None => line(format!("client_secret = {{ env = \"{SECRET_VARIABLE}\" }}")),
    }
    line("\n[tenants.contoso.hosts]".to_owned());
    let hosts = ["login", "management", "graph", "reporting", "app_insights", "log_analytics", "service_bus"];
    for (host, prefix) in
        hosts.iter().zip(["login", "management", "graph", "reporting", "insights", "loganalytics", "servicebus"])
    {
        line(format!("{host} = \"{base}/{prefix}\""));
    }
    line("\n[tenants.contoso.audit]\norg_urls = [\"*\"]".to_owned());
    line("\n[[tenants.contoso.app_insights]]".to_owned());
    line(format!("app_id = \"{}\"", registration.insights_app));
    line("\n[[tenants.contoso.log_analytics]]".to_owned());
    line(format!("workspace_id = \"{}\"", registration.workspace));
    text
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // A String takes everything.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_from_their_quotes() {
        for text in ["plain", "with \"quotes\" and \\", "a\nb\tc"] {
            let table: toml::Table = format!("a = {}", quoted(text)).parse().unwrap();
            assert_eq!(table["a"].as_str(), Some(text));
        }
    }
}
