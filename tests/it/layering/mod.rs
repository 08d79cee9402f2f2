//! Which part may name what: the rules of ARCHITECTURE.md that a look at sources and manifests can hold.
//!
//! `manifests` holds which crate may use which, `circles` that files of one crate do not import each other; what is here looks
//! for words in the code.

mod circles;
mod manifests;

use std::path::{Path, PathBuf};

use crate::support::project;

/// Source files below a folder, or the file itself.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    let entries = std::fs::read_dir(path).expect("a folder of sources").map(|e| e.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries
        .flat_map(|p| if p.is_dir() || p.extension().is_some_and(|e| e == "rs") { sources(&p) } else { Vec::new() })
        .collect();
    files.sort();
    files
}

/// Lines of code (comments left out) that hold one of the words.
fn lines_with(files: &[PathBuf], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            found.extend(
                words
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{}:{}: {word}", file.display(), number + 1)),
            );
        }
    }
    found
}

/// Source files of all libraries and of the program: what is below `src/` but the examples.
fn all_sources() -> Vec<PathBuf> {
    let of_an_example = |file: &PathBuf| {
        file.ancestors().any(|folder| folder.ends_with("examples") && folder.with_file_name("Cargo.toml").is_file())
    };
    sources(&project().join("src")).into_iter().filter(|file| !of_an_example(file)).collect()
}

/// All source files but those below some paths, which are given from `src/` on.
fn sources_outside(paths: &[&str]) -> Vec<PathBuf> {
    let src = project().join("src");
    for path in paths {
        assert!(src.join(path).exists(), "src/{path} is not there: the rule that leaves it out holds for nothing");
    }
    all_sources().into_iter().filter(|file| !paths.iter().any(|path| file.starts_with(src.join(path)))).collect()
}

/// Where deltalake is named.
fn is_delta(file: &Path) -> bool {
    file.starts_with(project().join("src/lake/log/delta"))
}

#[test]
fn the_front_end_knows_neither_engine_nor_files_nor_clocks() {
    let syntax = project().join("src/syntax");
    let files: Vec<PathBuf> = all_sources().into_iter().filter(|file| file.starts_with(&syntax)).collect();
    assert!(files.len() > 20, "{files:#?}");
    let words =
        ["datafusion", "arrow::", "deltalake", "std::fs", "std::env", "std::time", "chrono", "tokio", "kqlake_value::columns"];
    let found = lines_with(&files, &words);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_binder_knows_no_datafusion() {
    let kql = project().join("src/kql");
    let parts = ["binder", "bound", "bound.rs", "catalog.rs", "computation.rs", "external.rs"].map(|part| kql.join(part));
    assert!(parts.iter().all(|part| part.exists()), "{parts:?}");
    let files: Vec<PathBuf> = all_sources().into_iter().filter(|file| parts.iter().any(|part| file.starts_with(part))).collect();
    assert!(files.len() > 20, "{files:#?}");
    let found = lines_with(&files, &["datafusion"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn one_module_names_deltalake() {
    let (delta, others): (Vec<PathBuf>, Vec<PathBuf>) = all_sources().into_iter().partition(|file| is_delta(file));
    assert!(!delta.is_empty() && delta.len() <= 3, "{delta:?}");
    let found = lines_with(&others, &["deltalake::"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn parquet_belongs_to_the_lake_and_to_outputs() {
    let kql = project().join("src/kql");
    let files: Vec<PathBuf> = all_sources().into_iter().filter(|file| file.starts_with(&kql)).collect();
    let found = lines_with(&files, &["parquet::", "object_store::"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_command_line_prints() {
    let found = lines_with(&sources_outside(&["cli"]), &["println!", "eprintln!", "print!(", "eprint!(", "dbg!("]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_environment_is_read_in_one_place() {
    let found = lines_with(&sources_outside(&["config/environment.rs"]), &["env::var"]);
    assert!(found.is_empty(), "{found:#?}");
}

/// `now()` and the times of an import come from an injected clock. The lake asks the machine's, for the times in its log and
/// the age of files that may be deleted, but through the same place.
#[test]
fn the_time_comes_from_one_place() {
    let found = lines_with(&sources_outside(&["value/clock.rs"]), &["Utc::now", "Local::now", "SystemTime::now"]);
    assert!(found.is_empty(), "{found:#?}");
}
