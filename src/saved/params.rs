//! The parameters of a saved query: its text declares them, its header says what they mean.

use super::{Language, Parameter};
use kqlake_syntax::ast::{Expr, ExprKind, Literal, OperatorKind, ParamType, StatementKind};
use kqlake_syntax::lexer::lex;
use kqlake_syntax::parser::{Parsed, parse};
use kqlake_value::Type;
use kqlake_value::parse::decimal;

/// The form of a header's line.
const FORM: &str = "`name — meaning` or `name type = default — meaning`";

/// What a line of a header says of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// Line, from 1.
    pub line: usize,
    /// Name.
    pub name: String,
    /// Its type, where the line says it.
    ty: Option<Type>,
    /// Its default as it is written, where the line says one.
    default: Option<String>,
    /// What it means.
    about: String,
}

impl Described {
    /// Reads `name [type] [= default] [— meaning]`. The default is a KQL literal and may hold the dash between quotes.
    ///
    /// # Errors
    /// For any other form.
    pub(super) fn read(line: usize, text: &str) -> Result<Described, String> {
        let expected = || format!("`{text}` is no parameter; expected {FORM}");
        let (declaration, about) = split_outside_quotes(text);
        let (head, default) = match declaration.split_once('=') {
            Some((head, default)) if default.trim().is_empty() => {
                return Err(format!("the default of `{}` is missing", head.trim()));
            }
            Some((head, default)) => (head, Some(default.trim().to_owned())),
            None => (declaration, None),
        };
        let mut words = head.split_whitespace();
        let (Some(name), ty, None) = (words.next(), words.next(), words.next()) else {
            return Err(expected());
        };
        // As KQL declares it: `name: type`.
        let name = if ty.is_some() { name.strip_suffix(':').unwrap_or(name) } else { name };
        let (name, ty) = match (name.split_once(':'), ty) {
            (Some((name, ty)), None) => (name, Some(ty)),
            _ => (name, ty),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(expected());
        }
        let ty = match ty {
            Some(word) => Some(Type::parse(word).ok_or_else(|| {
                let known: Vec<_> = Type::ALL.iter().map(|ty| ty.name()).collect();
                format!("`{word}` is no type; known are {}", known.join(", "))
            })?),
            None => None,
        };
        Ok(Described { line, name: name.to_owned(), ty, default, about: about.trim().to_owned() })
    }
}

/// The parameters that a text declares, in the order of their declaration, with what its header says of them. Of a text that cannot be
/// read the header's are taken as well, and nothing is compared: its own errors say what is wrong.
///
/// # Errors
/// With the line, where the header names a parameter that the text does not declare, or says another type or default.
pub(super) fn declared(language: Language, text: &str, header: &[Described]) -> Result<Vec<Parameter>, (usize, String)> {
    if language == Language::Sql {
        return match header.first() {
            Some(first) => Err((first.line, format!("`{}` is no parameter: SQL queries take none", first.name))),
            None => Ok(Vec::new()),
        };
    }
    let parsed = parse(text);
    let mut params = declarations(&parsed, text);
    for line in header {
        let name = &line.name;
        let wrong = |message: String| Err((line.line, message));
        let Some(param) = params.iter_mut().find(|param| param.name == *name) else {
            if parsed.has_errors() {
                let ty = line.ty.unwrap_or(Type::String).name().to_owned();
                let param = Parameter { name: name.clone(), ty, default: line.default.clone(), about: line.about.clone() };
                params.push(param);
                continue;
            }
            return wrong(format!("the text declares no parameter `{name}`"));
        };
        param.about.clone_from(&line.about);
        if parsed.has_errors() {
            continue;
        }
        if let Some(ty) = line.ty.map(Type::name).filter(|ty| *ty != param.ty) {
            return wrong(format!("the parameter `{name}` is {ty} here, the text declares it as {}", param.ty));
        }
        match (&line.default, &param.default) {
            (Some(said), None) => {
                return wrong(format!("the parameter `{name}` has the default {said} here, and none in the text"));
            }
            (Some(said), Some(own)) if !is_same(said, own, &param.ty) => {
                return wrong(format!("the default of the parameter `{name}` is {said} here, and {own} in the text"));
            }
            _ => {}
        }
    }
    Ok(params)
}

/// The declared parameters.
fn declarations(parsed: &Parsed, text: &str) -> Vec<Parameter> {
    let mut params: Vec<Parameter> = Vec::new();
    for statement in &parsed.script.statements {
        let StatementKind::DeclareParameters(declared) = &statement.kind else { continue };
        for param in declared {
            // No value can be given for a table.
            let ParamType::Scalar(ty) = param.ty else { continue };
            let written = |e: &Expr| text.get(e.span.start as usize..e.span.end as usize).map(str::to_owned);
            params.push(Parameter {
                name: param.name.text.clone(),
                ty: ty.name().to_owned(),
                default: param.default.as_ref().and_then(written),
                about: String::new(),
            });
        }
    }
    params
}

/// Whether two texts are one default of a type: the same tokens, or one value however it is spelled.
fn is_same(said: &str, own: &str, ty: &str) -> bool {
    let tokens = |text: &str| {
        let lexed = lex(text);
        lexed
            .tokens
            .iter()
            .filter_map(|token| text.get(token.start as usize..token.end as usize))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    if tokens(said) == tokens(own) {
        return true;
    }
    match (value(said, ty), value(own, ty)) {
        (Some(Literal::Real(Some(said))), Some(Literal::Real(Some(own)))) => said == own || (said.is_nan() && own.is_nan()),
        (Some(Literal::Decimal(Some(said))), Some(Literal::Decimal(Some(own)))) => {
            decimal(&said).is_some_and(|said| decimal(&own) == Some(said))
        }
        (Some(said), own) => own == Some(said),
        (None, _) => false,
    }
}

/// The value of a type that a text is: a literal of it (`1h`), of another type of numbers, or what stands in one (`01:00:00`). A bare
/// text is a string.
fn value(text: &str, ty: &str) -> Option<Literal> {
    let typed = |inner: &str| literal(&format!("{ty}({inner})")).filter(|literal| literal.ty().name() == ty);
    match literal(text) {
        Some(literal) if literal.ty().name() == ty => Some(literal),
        _ if ty == "string" => Some(Literal::String(text.to_owned())),
        Some(Literal::Int(Some(number))) => typed(&number.to_string()),
        Some(Literal::Long(Some(number))) => typed(&number.to_string()),
        Some(Literal::Real(Some(number))) => typed(&number.to_string()),
        Some(Literal::Decimal(Some(number))) => typed(&number),
        _ => typed(text),
    }
}

/// The literal that a text is.
fn literal(text: &str) -> Option<Literal> {
    let parsed = parse(&format!("print {text}"));
    let [statement] = parsed.script.statements.as_slice() else { return None };
    let StatementKind::Query(Expr { kind: ExprKind::Source(operator), .. }) = &statement.kind else { return None };
    match &operator.kind {
        OperatorKind::Print(items) => match items.as_slice() {
            [item] if item.names.is_empty() => match &item.expr.kind {
                ExprKind::Literal(literal) => Some(literal.clone()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// What stands before and after the first dash between blanks that is not between quotes.
fn split_outside_quotes(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => {
                for dash in [" — ", " – ", " -- "] {
                    if let Some(rest) = text[at..].strip_prefix(dash) {
                        return (&text[..at], rest);
                    }
                }
            }
        }
    }
    (text, "")
}
