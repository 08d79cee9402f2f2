//! Which part may name what: the rules of ARCHITECTURE.md that a look at the sources can hold.

use std::path::{Path, PathBuf};

use super::support::project;

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

#[test]
fn the_front_end_knows_neither_engine_nor_files_nor_clocks() {
    let kql = project().join("src/kql");
    let mut files = sources(&kql.join("lexer"));
    files.extend(sources(&kql.join("parser")));
    files.push(kql.join("ast.rs"));
    let found = lines_with(
        &files,
        &["datafusion", "arrow::", "deltalake", "std::fs", "std::time", "chrono", "crate::lake", "crate::engine", "tokio"],
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn one_file_names_deltalake() {
    let lake = project().join("src/lake/log/delta.rs");
    let files: Vec<PathBuf> = sources(&project().join("src")).into_iter().filter(|f| *f != lake).collect();
    let found = lines_with(&files, &["deltalake::"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_command_line_prints() {
    let files: Vec<PathBuf> =
        sources(&project().join("src")).into_iter().filter(|f| !f.components().any(|c| c.as_os_str() == "cli")).collect();
    let found = lines_with(&files, &["println!", "eprintln!", "print!(", "eprint!(", "dbg!("]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_environment_is_read_in_one_place() {
    let config = project().join("src/config.rs");
    let files: Vec<PathBuf> = sources(&project().join("src")).into_iter().filter(|f| *f != config).collect();
    let found = lines_with(&files, &["env::var"]);
    assert!(found.is_empty(), "{found:#?}");
}
