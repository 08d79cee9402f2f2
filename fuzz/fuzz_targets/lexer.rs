//! Any text is cut into tokens that lie in it.
#![no_main]

use kqlake_syntax::lexer::{TokenKind, lex, string_value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lexed = lex(text);
    let mut last = 0;
    for token in &lexed.tokens {
        assert!(token.start >= last && token.end >= token.start);
        let token_text = text.get(token.start as usize..token.end as usize).expect("a token lies on character boundaries");
        if token.kind == TokenKind::String {
            string_value(token_text);
        }
        last = token.end;
    }
    assert_eq!(lexed.tokens.last().map(|t| t.kind), Some(TokenKind::End));
    for diagnostic in &lexed.diagnostics {
        assert!(text.get(diagnostic.span.start as usize..diagnostic.span.end as usize).is_some());
    }
});
