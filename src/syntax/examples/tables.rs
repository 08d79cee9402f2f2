//! Lists the tables that a KQL text names, each once, in the order of the text.
//!
//! ```sh
//! cargo run -p kqlake-syntax --example tables -- query.kql
//! echo "requests | join database('old').pageViews on operation_Id" | cargo run -p kqlake-syntax --example tables
//! ```
//!
//! A text with errors is listed as far as it was read, and the exit status is 1.

use std::collections::HashSet;
use std::process::ExitCode;
use std::{env, fs, io};

use kqlake_syntax::{parser, tables};

fn main() -> Result<ExitCode, io::Error> {
    let text = match env::args_os().nth(1) {
        Some(path) => fs::read_to_string(path)?,
        None => io::read_to_string(io::stdin())?,
    };
    let parsed = parser::parse(&text);
    let found = tables::find(&parsed.script);
    let mut seen = HashSet::new();
    for table in &found {
        let written = table.written(&text);
        if seen.insert(written) {
            println!("{written}");
        }
    }
    Ok(if parsed.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
