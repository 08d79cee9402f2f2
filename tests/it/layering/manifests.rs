//! What the manifests let each crate use: Cargo refuses every import that they do not, so they are the layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::support::project;

/// The crates from the lowest to the highest: the folder, and what of ours it uses.
const LAYERS: [(&str, &[&str]); 9] = [
    ("src/value", &[]),
    ("src/durable", &["kqlake-value"]),
    ("src/syntax", &["kqlake-value"]),
    ("src/kql", &["kqlake-syntax", "kqlake-value"]),
    ("src/lake", &["kqlake-durable", "kqlake-value"]),
    ("src/import", &["kqlake-durable", "kqlake-lake", "kqlake-value"]),
    ("src/remote", &["kqlake-durable", "kqlake-import", "kqlake-value"]),
    ("src/simulate", &["kqlake-value"]),
    (
        ".",
        &[
            "kqlake-durable",
            "kqlake-import",
            "kqlake-kql",
            "kqlake-lake",
            "kqlake-remote",
            "kqlake-simulate",
            "kqlake-syntax",
            "kqlake-value",
        ],
    ),
];

/// Libraries that a crate must not use, each with all whose names begin with it and a dash (`arrow`, `arrow-schema`).
const FORBIDDEN: [(&str, &[&str]); 9] = [
    // Arrow only behind the feature `arrow`, which another test looks at.
    ("src/value", &["chrono", "datafusion", "deltalake", "parquet", "object_store", "tokio"]),
    ("src/durable", &["arrow", "datafusion", "deltalake", "parquet", "object_store", "tokio"]),
    ("src/syntax", &["arrow", "chrono", "datafusion", "deltalake", "parquet", "object_store", "tokio"]),
    // Runs inside of DataFusion, which brings what it needs.
    ("src/kql", &["deltalake", "parquet", "object_store", "tokio"]),
    ("src/lake", &[]),
    ("src/import", &["deltalake"]),
    ("src/remote", &["arrow", "datafusion", "deltalake", "parquet", "object_store", "toml", "clap"]),
    ("src/simulate", &["arrow", "datafusion", "deltalake", "parquet", "object_store", "clap", "reqwest"]),
    (".", &["deltalake"]),
];

/// A dependency of a crate.
#[derive(Debug)]
struct Dependency {
    /// The package's name, whatever the crate calls it.
    package: String,
    /// `dev-dependencies`.
    only_tests: bool,
    optional: bool,
    features: BTreeSet<String>,
}

fn manifest(folder: &str) -> toml::Table {
    let path: PathBuf = project().join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    text.parse().unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// The folders of all members of the workspace, the root package's among them.
fn members() -> BTreeSet<String> {
    let root = manifest(".");
    let members = root["workspace"]["members"].as_array().expect("a list of members");
    let members = members.iter().map(|member| member.as_str().expect("a folder").to_owned());
    members.chain([".".to_owned()]).collect()
}

/// All dependencies of a crate, those for certain targets included.
fn dependencies(folder: &str) -> Vec<Dependency> {
    let root = manifest(".");
    let shared = root["workspace"]["dependencies"].as_table().expect("shared dependencies");
    let manifest = manifest(folder);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table).chain([&manifest]);
    let mut found = Vec::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(listed) = table.get(kind).and_then(toml::Value::as_table) else { continue };
            found.extend(listed.iter().map(|(name, own)| {
                let common = shared.get(name).filter(|_| own.get("workspace").is_some());
                let values = || [Some(own), common].into_iter().flatten();
                let package = values().find_map(|v| v.get("package")?.as_str()).unwrap_or(name);
                let features = values().filter_map(|v| v.get("features")?.as_array()).flatten();
                Dependency {
                    package: package.to_owned(),
                    only_tests: kind == "dev-dependencies",
                    optional: own.get("optional").and_then(toml::Value::as_bool) == Some(true),
                    features: features.filter_map(|f| f.as_str()).map(str::to_owned).collect(),
                }
            }));
        }
    }
    found
}

fn is_ours(package: &str) -> bool {
    package == "kqlake" || package.starts_with("kqlake-")
}

#[test]
fn every_member_of_the_workspace_is_a_layer() {
    let layers: BTreeSet<String> = LAYERS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    assert_eq!(members(), layers);
    let ruled: BTreeSet<String> = FORBIDDEN.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    assert_eq!(ruled, layers);
}

#[test]
fn crates_use_the_layers_below_them_and_no_other() {
    for (folder, uses) in LAYERS {
        let found = dependencies(folder);
        let ours = |only_tests: bool| -> BTreeSet<&str> {
            found.iter().filter(|d| d.only_tests == only_tests && is_ours(&d.package)).map(|d| d.package.as_str()).collect()
        };
        let uses: BTreeSet<&str> = uses.iter().copied().collect();
        let missing: Vec<&&str> = uses.iter().filter(|name| !ours(false).contains(*name)).collect();
        assert!(
            missing.is_empty(),
            "{folder} does not use {missing:?} any more: this table and ARCHITECTURE.md say that it does"
        );
        for found in [ours(false), ours(true)] {
            let strangers: Vec<&&str> = found.iter().filter(|name| !uses.contains(*name)).collect();
            assert!(strangers.is_empty(), "{folder} must not know {strangers:?}");
        }
    }
}

#[test]
fn libraries_stay_in_the_crates_that_they_are_for() {
    for (folder, forbidden) in FORBIDDEN {
        let found: Vec<String> = dependencies(folder)
            .into_iter()
            .filter(|d| !d.only_tests)
            .filter(|d| forbidden.iter().any(|f| d.package == *f || d.package.starts_with(&format!("{f}-"))))
            .map(|d| d.package)
            .collect();
        assert!(found.is_empty(), "{folder} must not use {found:?}");
    }
    let naming: Vec<&str> = LAYERS
        .iter()
        .map(|(folder, ..)| *folder)
        .filter(|folder| dependencies(folder).iter().any(|d| d.package == "deltalake" && !d.only_tests))
        .collect();
    assert_eq!(naming, ["src/lake"]);
}

#[test]
fn the_front_end_builds_without_arrow() {
    let arrow: Vec<Dependency> = dependencies("src/value").into_iter().filter(|d| d.package.starts_with("arrow")).collect();
    assert!(arrow.iter().all(|d| d.optional || d.only_tests), "{arrow:?}");
    let features: BTreeMap<String, toml::Value> = manifest("src/value")
        .get("features")
        .and_then(toml::Value::as_table)
        .map(|t| t.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
        .unwrap_or_default();
    assert!(!features.contains_key("default"), "the value crate has a default feature, which brings it to who did not ask");
    let value = dependencies("src/syntax").into_iter().find(|d| d.package == "kqlake-value").expect("the value crate");
    assert!(value.features.is_empty(), "{value:?}");
}

/// The version that rows and files tell comes from several crates: `kqlakeVersion` from one, `created_by` of Parquet from others.
#[test]
fn all_crates_have_the_version_of_the_workspace() {
    let common = manifest(".")["workspace"]["package"]["version"].clone();
    assert!(common.is_str(), "{common:?}");
    for folder in members() {
        let version = manifest(&folder)["package"].get("version").and_then(|version| version.get("workspace")?.as_bool());
        assert_eq!(version, Some(true), "{folder}: write `version.workspace = true`");
    }
}

/// Two versions of one of these would have types of one name that do not fit each other.
#[test]
fn there_is_one_version_of_what_crates_hand_each_other() {
    let text = std::fs::read_to_string(project().join("Cargo.lock")).expect("Cargo.lock");
    let lock: toml::Table = text.parse().expect("a lock file");
    let packages = lock["package"].as_array().expect("packages");
    for name in ["arrow", "parquet", "datafusion", "object_store"] {
        let versions: Vec<&str> =
            packages.iter().filter(|p| p["name"].as_str() == Some(name)).filter_map(|p| p["version"].as_str()).collect();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

/// Libraries that are there for a feature or for what their linking does, and that no code names.
const NAMELESS: [&str; 0] = [];

#[test]
fn every_dependency_is_named_by_code() {
    for (folder, _) in LAYERS {
        let own: Vec<PathBuf> =
            LAYERS.iter().map(|(other, _)| project().join(other)).filter(|other| *other != project().join(folder)).collect();
        let mut code = String::new();
        for part in ["src", "tests", "benches", "build.rs"] {
            let path = if folder == "." { project().join(part) } else { project().join(folder) };
            let files = if path.exists() { super::sources(&path) } else { Vec::new() };
            let of_others = |file: &PathBuf| folder == "." && own.iter().any(|other| file.starts_with(other));
            for file in files.into_iter().filter(|file| !of_others(file)) {
                let text = std::fs::read_to_string(file).expect("a source file");
                code.extend(text.lines().map(|line| line.split("//").next().unwrap_or_default()).flat_map(|line| [line, "\n"]));
            }
        }
        let named = |package: &str| {
            // The only one whose library has another name.
            let name = if package == "md-5" { "md5".to_owned() } else { package.replace('-', "_") };
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            // `mod csv` makes `csv::` a name of the crate's own.
            let is_own = [format!("mod {name};"), format!("mod {name} {{")].iter().any(|module| code.contains(module.as_str()));
            code.match_indices(&name).any(|(at, _)| {
                let before = code[..at].trim_end_matches(' ');
                let starts = !code[..at].ends_with(is_word) && !before.ends_with("::");
                let rest = &code[at + name.len()..];
                starts
                    && (before.ends_with("use") || rest.starts_with("::"))
                    && !rest.starts_with(is_word)
                    && (!is_own || before.ends_with("use"))
            })
        };
        let unused: Vec<String> = dependencies(folder)
            .into_iter()
            .map(|dependency| dependency.package)
            .filter(|package| !NAMELESS.contains(&package.as_str()) && !named(package))
            .collect();
        assert!(unused.is_empty(), "{folder}: no code names {unused:?}");
    }
}
