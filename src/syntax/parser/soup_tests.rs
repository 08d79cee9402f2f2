//! Generated texts: whatever the text, reading ends, does not panic, and every place it names is in the text.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::parse;
use crate::diagnostics::{RenderStyle, render};
use crate::lexer::{TokenKind, lex};

/// Cases of each property; enough to visit every operator in any order, few enough for every run of the suite.
const CASES: u32 = 1500;

/// The same cases in every run.
fn check<S: Strategy<Value = String>>(texts: &S) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(texts, |text| {
        sound(&text);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// What must hold for any text.
fn sound(text: &str) {
    let lexed = lex(text);
    let mut last = 0;
    for token in &lexed.tokens {
        assert!(token.start >= last && token.end >= token.start, "tokens overlap in {text:?}");
        assert!(text.get(token.start as usize..token.end as usize).is_some(), "{token:?} cuts a character of {text:?}");
        last = token.end;
    }
    assert_eq!(lexed.tokens.last().map(|t| t.kind), Some(TokenKind::End));
    let parsed = parse(text);
    let shown = format!("{parsed:?}");
    for place in shown.split("Span { start: ").skip(1) {
        let (start, rest) = place.split_once(", end: ").unwrap_or_default();
        let (end, _) = rest.split_once(' ').unwrap_or_default();
        let (Ok(start), Ok(end)) = (start.parse::<usize>(), end.parse::<usize>()) else { panic!("{place}") };
        assert!(text.get(start..end).is_some(), "the place {start}..{end} is not in {text:?}");
    }
    for diagnostic in &parsed.diagnostics {
        assert!(!render(diagnostic, text, RenderStyle::default()).is_empty());
    }
    // A tree with a hole in it comes with a reason.
    assert!(parsed.has_errors() || !shown.contains("kind: Error"), "an error without a diagnostic in {text:?}");
}

const PIECES: &[&str] = &[
    "T",
    "x",
    "y",
    "['a b']",
    "App*",
    "*",
    "1",
    "0x1F",
    "1.5",
    "1d",
    "1..5",
    "'s'",
    "\"t\"",
    "@'v'",
    "h\"w\"",
    "```m```",
    "\"cut",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "|",
    "|",
    "|",
    ",",
    ",",
    ";",
    ":",
    ".",
    "..",
    "=",
    "==",
    "!=",
    "<>",
    "<",
    ">=",
    "=~",
    "!~",
    "=>",
    "+",
    "-",
    "-",
    "*",
    "/",
    "%",
    "||",
    "\\|",
    "and",
    "or",
    "not",
    "in",
    "in~",
    "!in",
    "has",
    "!has_cs",
    "has_any",
    "between",
    "matches regex",
    "contains",
    "by",
    "on",
    "with",
    "to",
    "of",
    "from",
    "step",
    "asc",
    "desc",
    "nulls first",
    "limit",
    "as",
    "kind",
    "kind=inner",
    "hint.strategy=shuffle",
    "typeof(long)",
    "default=0",
    "let",
    "set",
    "declare",
    "query_parameters",
    "alias database",
    "restrict access",
    "view",
    "where",
    "extend",
    "project",
    "project-away",
    "project-rename",
    "project-reorder",
    "summarize",
    "sort by",
    "top",
    "take 5",
    "count",
    "count()",
    "distinct",
    "join",
    "lookup",
    "union",
    "mv-expand",
    "mv-apply",
    "parse",
    "parse-kv",
    "make-series",
    "render timechart",
    "evaluate",
    "print",
    "range",
    "datatable",
    "externaldata",
    "search",
    "find",
    "fork",
    "facet",
    "partition",
    "scan",
    "top-nested",
    "reduce",
    "serialize",
    "invoke",
    "graph-match",
    "make-graph",
    "macro-expand",
    "dynamic([1,{'a':2}])",
    "dynamic(",
    "datetime(2020-01-01)",
    "datetime(",
    "int(5)",
    "null",
    "true",
    "$left.a",
    "database('d')",
    "// c\n",
    "\n",
    "\u{a0}",
    "é",
    "“q”",
    "ß",
    "\u{200b}",
    "🦀",
    "#",
    "?",
    "@",
    "!",
    "~",
    "`",
    "&",
];

const QUERIES: &[&str] = &[
    "let f = (a: long, t: (*)) { let b = a; t | take b };\ntraces | where timestamp > ago(1d) and customDimensions.eventId == 'RT0005' // é\n| invoke f(1)",
    "T | join kind=inner hint.strategy=shuffle (U | where a in ('x', \"ü\") or b between (1 .. 5)) on $left.a == $right.b | project-reorder a, b* asc",
    "T | summarize hint.shufflekey=a count(), (p, q) = arg_max(r, *) by bin(t, 1h), ['k l'] = dynamic({'a': [1, 1d, datetime(2020-01-01)]}).a[0]",
    "T | mv-apply a = d to typeof(long) limit 5 on (where a > 1 | top 1 by a desc nulls last) | parse kind=regex a with * 'x' b: long @'\\d' c *",
    "T | make-series n = count() default = 0 on t from ago(1d) to now() step 1h by k | render timechart with (title = 'é', ycolumns = a, b, kind = stacked)",
    "datatable (a: long, b: string) [1, 'x', -2, \"y\"] | scan declare (s: long = 0) with (step u: a == 1 => s = u.s + 1; step v output=none: true;)",
    "union withsource=S isfuzzy=true T, (U | find in (V*) where x has 'y' project a, pack(*)), App* | evaluate pivot(a, sum(b)) : (*, c: long)",
];

#[test]
fn token_soup_is_read_to_its_end() {
    let soup = prop::collection::vec((prop::sample::select(PIECES), prop::bool::weighted(0.8)), 0..60);
    check(&soup.prop_map(|pieces| {
        pieces.into_iter().map(|(piece, space)| format!("{piece}{}", if space { " " } else { "" })).collect::<String>()
    }));
}

#[test]
fn cut_and_mended_queries_are_read_to_their_end() {
    let parts =
        (prop::sample::select(QUERIES), prop::sample::select(QUERIES), 0..400_usize, 0..400_usize, prop::sample::select(PIECES));
    check(&parts.prop_map(|(first, second, from, to, piece)| {
        let head: String = first.chars().take(from).collect();
        let tail: String = second.chars().skip(to).collect();
        format!("{head}{piece}{tail}")
    }));
}

#[test]
fn any_letters_are_read_to_their_end() {
    check(&"[ -~\\n\u{a0}é“🦀]{0,80}");
    check(&any::<String>());
}

#[test]
fn every_prefix_of_a_query_is_read_to_its_end() {
    for query in QUERIES {
        assert!(!parse(query).has_errors(), "{query}");
        for (cut, _) in query.char_indices() {
            sound(&query[..cut]);
        }
    }
}
