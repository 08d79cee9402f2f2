//! Paths into a JSON value, as texts: `$.a['b c'][0]`.
//!
//! This is the part of JSONPath that names one value, which functions, mappings of files and SQL take ("bag_remove_keys()" and
//! "JSON mapping" of the Kusto documentation).

use super::PathStep;

/// One step of a path that is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepText<'t> {
    /// `.a`, `['a']` or `["a"]`
    Key(&'t str),
    /// `[0]`
    Index(i64),
}

impl From<StepText<'_>> for PathStep {
    fn from(step: StepText<'_>) -> PathStep {
        match step {
            StepText::Key(key) => PathStep::Key(key.to_owned()),
            StepText::Index(index) => PathStep::Index(index),
        }
    }
}

/// How a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// With `$`.
    Needed,
    /// With `$` or with the first key, and a dot may stand before a bracket, as `extract_json` has it.
    Optional,
    /// With `$`, as SQL has it: a key may be in quotes behind a dot, and signs that mean more than one value are none of a key.
    Sql,
}

/// The steps of a path; `None` where it cannot be read.
///
/// ```
/// # use kqlake_value::json::path_text::{Root, StepText, parse};
/// let steps = [StepText::Key("a"), StepText::Key("b]c"), StepText::Index(-1)];
/// assert_eq!(parse(r#"$.a["b]c"][-1]"#, Root::Needed).as_deref(), Some(&steps[..]));
/// assert_eq!(parse("a.b", Root::Needed), None);
/// assert_eq!(parse(r#"$."a]b".c"#, Root::Sql).as_deref(), Some(&[StepText::Key("a]b"), StepText::Key("c")][..]));
/// ```
pub fn parse(path: &str, root: Root) -> Option<Vec<StepText<'_>>> {
    let mut rest = match path.strip_prefix('$') {
        Some(rest) => rest,
        None if root == Root::Optional => path,
        None => return None,
    };
    let mut steps = Vec::new();
    // A name without a dot is only at the begin.
    let mut may_be_bare = root == Root::Optional;
    while !rest.is_empty() {
        let (step, behind) = if let Some(inside) = rest.strip_prefix('[') {
            bracket(inside)?
        } else if let Some(inside) = rest.strip_prefix(".[").filter(|_| root == Root::Optional) {
            bracket(inside)?
        } else if let Some(inside) = rest.strip_prefix(".\"").filter(|_| root == Root::Sql) {
            let (key, behind) = inside.split_once('"')?;
            (StepText::Key(key), behind)
        } else {
            let key = rest.strip_prefix('.').or(Some(rest).filter(|_| may_be_bare))?;
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if end == 0 || root == Root::Sql && key[..end].contains(['"', '*']) {
                return None;
            }
            (StepText::Key(&key[..end]), &key[end..])
        };
        steps.push(step);
        rest = behind;
        may_be_bare = false;
    }
    Some(steps)
}

/// What a bracket holds, and what follows it.
fn bracket(inside: &str) -> Option<(StepText<'_>, &str)> {
    match inside.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        Some(quote) => {
            let (key, behind) = inside[1..].split_once(quote)?;
            Some((StepText::Key(key), behind.strip_prefix(']')?))
        }
        None => {
            let (index, behind) = inside.split_once(']')?;
            Some((StepText::Index(index.trim().parse().ok()?), behind))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_keys_and_places() {
        use StepText::{Index, Key};
        let cases: &[(&str, Root, Option<&[StepText<'_>]>)] = &[
            ("$", Root::Needed, Some(&[])),
            ("", Root::Needed, None),
            ("", Root::Optional, Some(&[])),
            ("$.a.b", Root::Needed, Some(&[Key("a"), Key("b")])),
            ("a.b[1]", Root::Optional, Some(&[Key("a"), Key("b"), Index(1)])),
            ("$.['a'][ 2 ]", Root::Optional, Some(&[Key("a"), Index(2)])),
            ("$.['a']", Root::Needed, None),
            ("$['it\"s']['']", Root::Needed, Some(&[Key("it\"s"), Key("")])),
            (r#"$["a.b"]"#, Root::Needed, Some(&[Key("a.b")])),
            (r#"$["a.b']"#, Root::Optional, None),
            ("$..a", Root::Optional, None),
            ("$.a.", Root::Optional, None),
            ("$['a']b", Root::Optional, None),
            ("$[x]", Root::Optional, None),
            ("$[1", Root::Optional, None),
            (r#"$."a""#, Root::Needed, Some(&[Key("\"a\"")])),
            (r#"$."a]b"."c.d"[0].e"#, Root::Sql, Some(&[Key("a]b"), Key("c.d"), Index(0), Key("e")])),
            (r#"$.a-b."""#, Root::Sql, Some(&[Key("a-b"), Key("")])),
            (r#"$['a"b']"#, Root::Sql, Some(&[Key("a\"b")])),
            (r#"$."a"b"#, Root::Sql, None),
            (r#"$."a\"b""#, Root::Sql, None),
            (r#"$."a"#, Root::Sql, None),
            (r#"$.a"b""#, Root::Sql, None),
            ("$.*", Root::Sql, None),
            ("$.a*.b", Root::Sql, None),
            ("a", Root::Sql, None),
        ];
        for (path, root, steps) in cases {
            assert_eq!(parse(path, *root).as_deref(), *steps, "{path} {root:?}");
        }
    }
}
