//! Any text is read to its end, and what is wrong with it can be shown.
#![no_main]

use kqlake_syntax::diagnostics::{RenderStyle, render};
use kqlake_syntax::parser::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = parse(text);
    for diagnostic in &parsed.diagnostics {
        assert!(text.get(diagnostic.span.start as usize..diagnostic.span.end as usize).is_some());
        assert!(!render(diagnostic, text, RenderStyle { source_name: Some("text"), color: true }).is_empty());
    }
    assert!(parsed.has_errors() || !format!("{:?}", parsed.script).contains("kind: Error"));
});
