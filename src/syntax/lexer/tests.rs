use super::*;

/// Kinds and texts of a text's tokens, without the end.
fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
    let lexed = lex(text);
    assert_eq!(lexed.diagnostics, [], "{text}");
    parts(text, &lexed)
}

fn parts<'a>(text: &'a str, lexed: &Lexed) -> Vec<(TokenKind, &'a str)> {
    lexed.tokens.iter().filter(|t| t.kind != TokenKind::End).map(|t| (t.kind, &text[t.start as usize..t.end as usize])).collect()
}

fn kinds(text: &str) -> Vec<TokenKind> {
    lex(text).tokens.iter().map(|t| t.kind).filter(|k| *k != TokenKind::End).collect()
}

#[test]
fn a_point_before_a_point_ends_a_number() {
    use TokenKind::{Dot, DotDot, Long, Real, Word};
    assert_eq!(tokens("1..5"), [(Long, "1"), (DotDot, ".."), (Long, "5")]);
    assert_eq!(tokens("1...5"), [(Real, "1."), (DotDot, ".."), (Long, "5")]);
    assert_eq!(tokens("1.5..2.5"), [(Real, "1.5"), (DotDot, ".."), (Real, "2.5")]);
    assert_eq!(tokens("1. 1.e5 1e3 1.5e-3"), [(Real, "1."), (Real, "1.e5"), (Real, "1e3"), (Real, "1.5e-3")]);
    assert_eq!(tokens("1.foo"), [(Long, "1"), (Dot, "."), (Word, "foo")]);
}

#[test]
fn digits_may_begin_words_and_timespans() {
    use TokenKind::{Guid, Long, TimeSpan, Word};
    assert_eq!(
        tokens("1d 1.5h 10ms 3ticks 7us 1L 1_0 3rdParty 0x1F 0xZ"),
        [
            (TimeSpan, "1d"),
            (TimeSpan, "1.5h"),
            (TimeSpan, "10ms"),
            (TimeSpan, "3ticks"),
            (Word, "7us"),
            (Word, "1L"),
            (Word, "1_0"),
            (Word, "3rdParty"),
            (Long, "0x1F"),
            (Word, "0xZ"),
        ]
    );
    let guid = "4f2b0c1d-0000-4000-8000-00000000abcd";
    assert_eq!(tokens(guid), [(Guid, guid)]);
}

#[test]
fn keywords_of_several_parts_are_one_token() {
    use TokenKind::{Keyword, Minus, Word};
    let words = ["project-away", "mv-expand", "in~", "!in~", "!contains_cs", "top-nested"];
    for word in words {
        assert_eq!(tokens(word), [(Keyword, word)]);
    }
    assert_eq!(tokens("top-n"), [(Word, "top"), (Minus, "-"), (Word, "n")]);
    assert_eq!(tokens("mv-expander"), [(Word, "mv"), (Minus, "-"), (Word, "expander")]);
}

#[test]
fn strings_in_every_form() {
    for (literal, value) in [
        (r#""a\tb\\\"c'""#, "a\tb\\\"c'"),
        (r#"'x"\'y'"#, "x\"'y"),
        (r#""\u00e9\U0001F600\x41\101\0""#, "é😀AA\0"),
        (r#""\uD83D\uDE00 \uD83D""#, "😀 \u{FFFD}"),
        (r#"@"C:\dir\""x""""#, r#"C:\dir\"x""#),
        ("@'it''s'", "it's"),
        ("h\"secret\"", "secret"),
        ("H@'\\x'", "\\x"),
        ("```a \"b\"\n\\c```", "a \"b\"\n\\c"),
        ("~~~x```y~~~", "x```y"),
        ("h```z```", "z"),
        ("\"\"", ""),
        ("\"\\\\\"", "\\"),
    ] {
        assert_eq!(tokens(literal), [(TokenKind::String, literal)], "{literal}");
        assert_eq!(string_value(literal), value, "{literal}");
    }
}

#[test]
fn space_of_portals_and_comments_separate_tokens() {
    let text = "T\u{A0}|\u{200B}take\u{3000}5 // a | b\r\n\u{FEFF}| count//end";
    let words: Vec<&str> = tokens(text).into_iter().map(|(_, t)| t).collect();
    assert_eq!(words, ["T", "|", "take", "5", "|", "count"]);
}

#[test]
fn slips_are_named_and_read_as_meant() {
    use TokenKind::{AndAnd, Bad, Bar, Minus, NotEqual, OrOr, String, Word};
    for (text, read, message) in [
        (r"T \| U", vec![Word, Bar, Word], "Markdown"),
        ("a || b", vec![Word, OrOr, Word], "`||`"),
        ("a && b", vec![Word, AndAnd, Word], "`&&`"),
        ("“abc”", vec![String], "typographic"),
        ("‘abc’", vec![String], "typographic"),
        ("a – b", vec![Word, Minus, Word], "dash"),
        ("a ≠ b", vec![Word, NotEqual, Word], "≠"),
        ("/* x */ T", vec![Word], "comments"),
        ("größe", vec![Bad], "brackets"),
        ("ä", vec![Bad], "brackets"),
        ("\"abc", vec![String], "no end"),
        ("```abc", vec![String], "no end"),
        (r#""a\qb""#, vec![String], "escape"),
        ("\"a\\", vec![String], "no end"),
        ("a ! b", vec![Word, Bad, Word], "`!`"),
        ("# connect\nT", vec![Word], "#"),
    ] {
        let lexed = lex(text);
        assert_eq!(kinds(text), read, "{text}");
        assert_eq!(lexed.diagnostics.len(), 1, "{text}: {:?}", lexed.diagnostics);
        assert!(lexed.diagnostics[0].message.contains(message), "{text}: {:?}", lexed.diagnostics);
    }
}

#[test]
fn spans_lie_on_character_boundaries() {
    let text = "ä“ö”…é \u{A0}\"ß\\ü\" /*é";
    let lexed = lex(text);
    for span in lexed.tokens.iter().map(|t| t.span()).chain(lexed.diagnostics.iter().map(|d| d.span)) {
        assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?}");
    }
}

#[test]
fn a_text_beyond_the_limit_is_refused_whole() {
    let lexed = lex(&" ".repeat(MAX_TEXT + 2));
    assert_eq!((lexed.tokens.len(), lexed.diagnostics.len()), (1, 1));
    assert_eq!(lexed.diagnostics[0].code, code::LIMIT);
}
