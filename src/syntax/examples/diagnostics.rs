//! Prints what is wrong with a KQL text: each finding with its place, the line of text and a suggestion.
//!
//! ```sh
//! cargo run -p kqlake-syntax --example diagnostics -- query.kql
//! echo "requests | wher duration > 100" | cargo run -p kqlake-syntax --example diagnostics
//! ```
//!
//! The exit status is 1 when there is an error; warnings leave it 0.

use std::process::ExitCode;
use std::{env, fs, io};

use kqlake_syntax::diagnostics::{RenderStyle, render};
use kqlake_syntax::parser;

fn main() -> Result<ExitCode, io::Error> {
    let path = env::args_os().nth(1);
    let (name, text) = match &path {
        Some(path) => (path.to_string_lossy(), fs::read_to_string(path)?),
        None => ("<stdin>".into(), io::read_to_string(io::stdin())?),
    };
    let parsed = parser::parse(&text);
    let style = RenderStyle { source_name: Some(&name), color: false };
    for diagnostic in &parsed.diagnostics {
        println!("{}", render(diagnostic, &text, style));
    }
    Ok(if parsed.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
