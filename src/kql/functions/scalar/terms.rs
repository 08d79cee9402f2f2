//! Whole terms of an array that differs from row to row: what `has_any` and `has_all` become where their right side is a
//! dynamic expression and no constant.

use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl, text};
use kqlake_syntax::ast::TextOp;
use kqlake_value::format::json_text;
use kqlake_value::{Json, Type, Value, ValueRef};

const PARAMS: &[Param] = &[Param::req("text", ArgType::String), Param::req("terms", ArgType::Dynamic)];

/// The functions; they have no names in the language.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "__has_all",
        PARAMS,
        Returns::Type(Type::Bool),
        ScalarImpl::Row(|args| searched(args, true)),
        "True if a text has every term of an array.",
    ),
    ScalarFn::new(
        "__has_any",
        PARAMS,
        Returns::Type(Type::Bool),
        ScalarImpl::Row(|args| searched(args, false)),
        "True if a text has a term of an array.",
    ),
];

/// A null term is found everywhere by `has_any`, and asks nothing of `has_all`; no terms at all are none found, and all.
fn searched(args: &[ValueRef<'_>], all: bool) -> Value {
    let (Some(haystack), ValueRef::Dynamic(terms)) = (args[0].as_str(), args[1]) else { return Value::Bool(all) };
    let has = |term: &Json| match term {
        Json::Null => true,
        Json::String(term) => text::matches(TextOp::Has, haystack, term, false),
        other => text::matches(TextOp::Has, haystack, &json_text(other), false),
    };
    Value::Bool(match serde_json::from_str(terms) {
        Ok(Json::Array(terms)) if all => terms.iter().all(has),
        Ok(Json::Array(terms)) => terms.iter().any(has),
        Ok(term) => has(&term),
        Err(_) => has(&Json::String(terms.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_terms_is_searched_for_any_or_all_of_them() {
        let found = |text, terms, all| searched(&[ValueRef::String(text), ValueRef::Dynamic(terms)], all);
        assert_eq!(found("the cat sat", r#"["dog","CAT"]"#, false), Value::Bool(true));
        assert_eq!(found("category", r#"["cat"]"#, false), Value::Bool(false));
        assert_eq!(found("a cat 5", r#"["cat",5,null]"#, true), Value::Bool(true));
        assert_eq!(found("x", "[]", false), Value::Bool(false));
        assert_eq!(found("x", "[]", true), Value::Bool(true));
        assert_eq!(found("x y", "\"y\"", false), Value::Bool(true));
    }
}
