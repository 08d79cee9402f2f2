//! Names of result columns.

use std::collections::HashSet;

use crate::free_name::numbered_name;
use crate::functions::{Naming, Registry};
use kqlake_syntax::ast::*;
use kqlake_syntax::visit::{Visitor, walk_expr};

/// A target of `project`, `extend`, `summarize` or `distinct` before its name is resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TargetName {
    /// Spelled by the user.
    Explicit(String),
    /// Follows from the expression (`tostring(x)` → `x`).
    Derived(String),
    /// A column of a function that gives several.
    Part(String),
    /// `Column1`, `Column2`, …
    Generated,
}

/// How the names of a list of targets are resolved.
#[derive(Debug, Clone, Default)]
pub(super) struct NamingRules<'n> {
    /// The input's names, which generated ones step over.
    pub avoid: HashSet<&'n str>,
    /// How many names were generated before.
    pub generated: usize,
    /// A second target of a name takes the first one's place, and the columns of a function that gives several step over the
    /// input's names.
    pub replace: bool,
}

/// Resolves the names of a list of targets.
///
/// Rules: Kusto's column naming; a second target of one name gets the next free number, and a spelled name elsewhere in the
/// list counts as taken.
pub(super) fn resolve_names(wanted: &[TargetName], rules: &mut NamingRules<'_>) -> Vec<String> {
    let NamingRules { avoid, generated, replace } = rules;
    let spelled: HashSet<&str> = wanted
        .iter()
        .filter_map(|w| match w {
            TargetName::Explicit(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mut used: HashSet<String> = HashSet::new();
    let mut out = Vec::with_capacity(wanted.len());
    for w in wanted {
        let name = match w {
            TargetName::Explicit(name) | TargetName::Derived(name) if *replace => name.clone(),
            TargetName::Explicit(name) | TargetName::Derived(name) | TargetName::Part(name) => {
                let taken = |n: &str| used.contains(n) || (*replace && avoid.contains(n));
                if taken(name) { numbered_name(name, |n| taken(n) || spelled.contains(n)) } else { name.clone() }
            }
            TargetName::Generated => loop {
                *generated += 1;
                let name = format!("Column{generated}");
                if !used.contains(&name) && !avoid.contains(name.as_str()) {
                    break name;
                }
            },
        };
        used.insert(name.clone());
        out.push(name);
    }
    out
}

/// The name that an expression gives its column, if it gives one.
pub(super) fn derived(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.text.clone()),
        ExprKind::Path { base, field } => {
            if let ExprKind::Name(side) = &base.kind
                && (side.text == "$left" || side.text == "$right")
            {
                return Some(field.text.clone());
            }
            Some(joined(derived(base), field.text.clone()))
        }
        ExprKind::Index { base, index } => match &index.kind {
            ExprKind::Literal(Literal::Long(Some(i))) => Some(joined(derived(base), i.to_string())),
            ExprKind::Literal(Literal::String(key)) => Some(joined(derived(base), key.clone())),
            // What is no literal, a negative number included, adds nothing but the line.
            _ => derived(base).map(|base| format!("{base}_")),
        },
        ExprKind::Named { name, .. } => Some(name.text.clone()),
        ExprKind::Call { function, args } => call_name(function, args),
        _ => None,
    }
}

/// The name of a step into a value: behind the value's own name, if that has one.
fn joined(base: Option<String>, step: String) -> String {
    match base {
        Some(base) => format!("{base}_{step}"),
        None => step,
    }
}

/// The name of a call's column by the function's naming rule.
fn call_name(function: &Name, args: &[Arg]) -> Option<String> {
    let first = args.first();
    let registry = Registry::get();
    let scalar = registry.scalar(&function.text);
    let of_several = scalar.and_then(|f| f.naming_of_several).filter(|_| args.len() > 1);
    let naming = of_several
        .map(|naming| (naming, false))
        .or(registry.aggregate(&function.text).map(|f| (f.naming, true)))
        .or(scalar.map(|f| (f.naming, false)));
    match naming? {
        (Naming::Fixed(name), _) => Some(name.to_owned()),
        (Naming::Generated, _) => None,
        (Naming::FirstArg, _) => argument_name(first?),
        (Naming::PrefixOfTwo(prefix), _) => {
            let name = |i: usize| args.get(i).and_then(simple_name).unwrap_or_default();
            Some(format!("{prefix}_{}_{}", name(0), name(1)))
        }
        (Naming::Prefix(prefix), true) => Some(format!("{prefix}_{}", first.and_then(simple_name).unwrap_or_default())),
        (Naming::Prefix(prefix), false) => Some(format!("{prefix}{}", argument_name(first?).unwrap_or_default())),
        (Naming::Suffix(suffix), _) => Some(format!("{}{suffix}", argument_name(first?)?)),
    }
}

/// The name of an argument: what is written before it (`round(Share = a / b, 1)`), or what its expression gives.
pub(super) fn argument_name(arg: &Arg) -> Option<String> {
    arg.name.as_ref().map(|n| n.text.clone()).or_else(|| derived(&arg.expr))
}

/// An aggregate's argument lends its name when it has one, or is a column or path; other expressions do not, whatever they wrap.
fn simple_name(arg: &Arg) -> Option<String> {
    match &arg.expr.kind {
        _ if arg.name.is_some() => argument_name(arg),
        ExprKind::Name(_) | ExprKind::Path { .. } | ExprKind::Index { .. } | ExprKind::Call { .. } => derived(&arg.expr),
        _ => None,
    }
}

/// True if a name matches a pattern with `*`.
pub(super) fn wildcard_match(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Collects the keys of all dynamic paths in a text, so that scans offer the promoted columns that can be used.
pub(super) fn collect_path_keys(script: &Script, keys: &mut HashSet<String>) {
    // Which paths lead into a bag is not known yet; keys that are not used do no harm.
    struct Keys<'k>(&'k mut HashSet<String>);
    impl<'t> Visitor<'t> for Keys<'_> {
        fn expr(&mut self, expr: &'t Expr) {
            match &expr.kind {
                ExprKind::Path { field, .. } => {
                    self.0.insert(field.text.clone());
                }
                ExprKind::Index { index, .. } => {
                    if let ExprKind::Literal(Literal::String(key)) = &index.kind {
                        self.0.insert(key.clone());
                    }
                }
                _ => {}
            }
            walk_expr(self, expr);
        }
    }
    Keys(keys).script(script);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_target_of_a_name_steps_over_spelled_names() {
        let mut rules = NamingRules::default();
        let wanted = [TargetName::Generated, TargetName::Explicit("Column1".into())];
        assert_eq!(resolve_names(&wanted, &mut rules), ["Column1", "Column11"]);
        let wanted = [TargetName::Derived("a".into()), TargetName::Derived("a".into()), TargetName::Explicit("a1".into())];
        assert_eq!(resolve_names(&wanted, &mut rules), ["a", "a2", "a1"]);
        assert_eq!(resolve_names(&[TargetName::Generated], &mut rules), ["Column2"]);
    }

    #[test]
    fn a_second_target_takes_the_place_of_the_first_where_asked() {
        let mut rules = NamingRules { avoid: HashSet::from(["p"]), generated: 0, replace: true };
        let wanted = [TargetName::Derived("a".into()), TargetName::Derived("a".into()), TargetName::Part("p".into())];
        assert_eq!(resolve_names(&wanted, &mut rules), ["a", "a", "p1"]);
    }

    #[test]
    fn wildcards_match_anywhere() {
        assert!(wildcard_match("App*", "AppTraces"));
        assert!(wildcard_match("*_Id", "user_Id"));
        assert!(wildcard_match("a*b*c", "aXbYc"));
        assert!(!wildcard_match("a*b", "aXc"));
        assert!(wildcard_match("*", ""));
    }
}
