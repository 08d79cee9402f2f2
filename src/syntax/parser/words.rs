//! Classes of words and of tokens.

use crate::ast::{BinaryOp, ListOp, TextOp};
use crate::lexer::TokenKind;

/// What an infix word or sign does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Infix {
    /// `or`
    Or,
    /// `and`
    And,
    /// An operator of two operands.
    Binary(BinaryOp),
    /// An operator with a list on its right.
    List(ListOp),
    /// `between`, `!between`
    Between { negated: bool },
    /// A single `=`, which is read as `==` after a report.
    Mistaken,
    /// An operator that Kusto keeps for old queries and kqlake does not have.
    Unsupported,
}

/// Binding strengths, from weak to strong. Kusto: equality binds weaker than relation, string operators stronger than `*`.
pub(super) mod level {
    pub(in super::super) const OR: u8 = 1;
    pub(in super::super) const AND: u8 = 2;
    pub(in super::super) const EQUALITY: u8 = 3;
    pub(in super::super) const RELATION: u8 = 4;
    pub(in super::super) const SUM: u8 = 5;
    pub(in super::super) const PRODUCT: u8 = 6;
    pub(in super::super) const TEXT: u8 = 7;
}

/// The operator that a sign stands for behind an operand.
pub(super) fn infix_sign(kind: TokenKind) -> Option<(Infix, u8)> {
    use TokenKind as T;
    let (op, level) = match kind {
        T::EqualEqual => (BinaryOp::Equal, level::EQUALITY),
        T::NotEqual => (BinaryOp::NotEqual, level::EQUALITY),
        T::Less => (BinaryOp::Less, level::RELATION),
        T::LessEqual => (BinaryOp::LessOrEqual, level::RELATION),
        T::Greater => (BinaryOp::Greater, level::RELATION),
        T::GreaterEqual => (BinaryOp::GreaterOrEqual, level::RELATION),
        T::Plus => (BinaryOp::Add, level::SUM),
        T::Minus => (BinaryOp::Subtract, level::SUM),
        T::Star => (BinaryOp::Multiply, level::PRODUCT),
        T::Slash => (BinaryOp::Divide, level::PRODUCT),
        T::Percent => (BinaryOp::Modulo, level::PRODUCT),
        T::EqualTilde => (BinaryOp::EqualIgnoreCase { negated: false }, level::TEXT),
        T::BangTilde => (BinaryOp::EqualIgnoreCase { negated: true }, level::TEXT),
        T::Colon => (BinaryOp::SearchColon, level::TEXT),
        T::Assign => return Some((Infix::Mistaken, level::EQUALITY)),
        T::AndAnd => return Some((Infix::And, level::AND)),
        T::OrOr => return Some((Infix::Or, level::OR)),
        _ => return None,
    };
    Some((Infix::Binary(op), level))
}

/// The operator that a word stands for behind an operand.
pub(super) fn infix_word(word: &str) -> Option<(Infix, u8)> {
    let text = |op, negated, case_sensitive| Some((Infix::Binary(BinaryOp::Text { op, negated, case_sensitive }), level::TEXT));
    let list = |op| Some((Infix::List(op), level::EQUALITY));
    match word {
        "or" => Some((Infix::Or, level::OR)),
        "and" => Some((Infix::And, level::AND)),
        "in" => list(ListOp::In { negated: false, ignore_case: false }),
        "!in" => list(ListOp::In { negated: true, ignore_case: false }),
        "in~" => list(ListOp::In { negated: false, ignore_case: true }),
        "!in~" => list(ListOp::In { negated: true, ignore_case: true }),
        "has_any" => list(ListOp::HasAny),
        "has_all" => list(ListOp::HasAll),
        "between" => Some((Infix::Between { negated: false }, level::EQUALITY)),
        "!between" => Some((Infix::Between { negated: true }, level::EQUALITY)),
        "has" => text(TextOp::Has, false, false),
        "!has" => text(TextOp::Has, true, false),
        "has_cs" => text(TextOp::Has, false, true),
        "!has_cs" => text(TextOp::Has, true, true),
        "hasprefix" => text(TextOp::HasPrefix, false, false),
        "!hasprefix" => text(TextOp::HasPrefix, true, false),
        "hasprefix_cs" => text(TextOp::HasPrefix, false, true),
        "!hasprefix_cs" => text(TextOp::HasPrefix, true, true),
        "hassuffix" => text(TextOp::HasSuffix, false, false),
        "!hassuffix" => text(TextOp::HasSuffix, true, false),
        "hassuffix_cs" => text(TextOp::HasSuffix, false, true),
        "!hassuffix_cs" => text(TextOp::HasSuffix, true, true),
        "contains" => text(TextOp::Contains, false, false),
        "!contains" | "notcontains" => text(TextOp::Contains, true, false),
        "contains_cs" | "containscs" => text(TextOp::Contains, false, true),
        "!contains_cs" | "!containscs" | "notcontainscs" => text(TextOp::Contains, true, true),
        "startswith" => text(TextOp::StartsWith, false, false),
        "!startswith" => text(TextOp::StartsWith, true, false),
        "startswith_cs" => text(TextOp::StartsWith, false, true),
        "!startswith_cs" => text(TextOp::StartsWith, true, true),
        "endswith" => text(TextOp::EndsWith, false, false),
        "!endswith" => text(TextOp::EndsWith, true, false),
        "endswith_cs" => text(TextOp::EndsWith, false, true),
        "!endswith_cs" => text(TextOp::EndsWith, true, true),
        "matches" => Some((Infix::Binary(BinaryOp::MatchesRegex), level::TEXT)),
        "like" | "likecs" | "notlike" | "notlikecs" => Some((Infix::Unsupported, level::TEXT)),
        _ => None,
    }
}

/// All infix words, for suggestions.
pub(super) const INFIX_WORDS: [&str; 42] = [
    "and",
    "or",
    "in",
    "!in",
    "in~",
    "!in~",
    "has_any",
    "has_all",
    "between",
    "!between",
    "has",
    "!has",
    "has_cs",
    "!has_cs",
    "hasprefix",
    "!hasprefix",
    "hasprefix_cs",
    "!hasprefix_cs",
    "hassuffix",
    "!hassuffix",
    "hassuffix_cs",
    "!hassuffix_cs",
    "contains",
    "!contains",
    "contains_cs",
    "!contains_cs",
    "startswith",
    "!startswith",
    "startswith_cs",
    "!startswith_cs",
    "endswith",
    "!endswith",
    "endswith_cs",
    "!endswith_cs",
    "matches",
    "asc",
    "desc",
    "by",
    "on",
    "with",
    "limit",
    "to",
];

/// Words that are no bare names where a value is expected: operators between values, and the tabular operators that Kusto keeps for
/// itself. All other keywords may be names there.
pub(super) fn is_reserved(word: &str) -> bool {
    matches!(word, "where" | "project" | "print" | "union" | "find" | "search" | "invoke" | "asc" | "desc")
        || infix_word(word).is_some()
}

/// Words that stand for a value in brackets only: the reserved ones, and those that part the clauses of operators.
pub(super) fn is_no_value(word: &str) -> bool {
    (is_reserved(word) && word != "matches")
        || matches!(word, "as" | "by" | "first" | "last" | "like" | "missing" | "of" | "others" | "to")
}

/// Words that Microsoft's engine takes as the name of a new column in brackets only.
pub(super) fn needs_brackets(word: &str) -> bool {
    matches!(word, "asc" | "desc" | "first" | "last" | "missing" | "project" | "union")
        || (infix_word(word).is_some() && !matches!(word, "has" | "contains" | "in" | "matches"))
}

/// What a kind of token is called in messages.
pub(super) fn describe_kind(kind: TokenKind) -> &'static str {
    use TokenKind as T;
    match kind {
        T::Word => "a name",
        T::Keyword => "a keyword",
        T::Long | T::Real => "a number",
        T::TimeSpan => "a timespan",
        T::String => "a string",
        T::Guid => "a guid",
        T::LeftParen => "`(`",
        T::RightParen => "`)`",
        T::LeftBracket => "`[`",
        T::RightBracket => "`]`",
        T::LeftBrace => "`{`",
        T::RightBrace => "`}`",
        T::Bar => "`|`",
        T::Dot => "`.`",
        T::DotDot => "`..`",
        T::Comma => "`,`",
        T::Semicolon => "`;`",
        T::Colon => "`:`",
        T::Plus => "`+`",
        T::Minus => "`-`",
        T::Star => "`*`",
        T::Slash => "`/`",
        T::Percent => "`%`",
        T::Less => "`<`",
        T::LessEqual => "`<=`",
        T::Greater => "`>`",
        T::GreaterEqual => "`>=`",
        T::EqualEqual => "`==`",
        T::NotEqual => "`!=`",
        T::Assign => "`=`",
        T::Arrow => "`=>`",
        T::EqualTilde => "`=~`",
        T::BangTilde => "`!~`",
        T::AndAnd => "`&&`",
        T::OrOr => "`||`",
        T::Bad => "an unknown character",
        T::End => "the end of the query",
    }
}
