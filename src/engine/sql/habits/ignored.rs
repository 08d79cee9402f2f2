//! Parts of a query that the library reads and takes no notice of, or refuses in terms of its own code.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr, GroupByWithModifier,
    Ident, Join, JoinConstraint, JoinOperator, LimitClause, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier,
    Spanned as _, TableFactor, Value,
};

use super::super::refusal::{Refusal, refused};
use super::renamed::UNNEST;

type Result<T = ()> = std::result::Result<T, Refusal>;

/// Refuses what a query has behind its body.
pub(super) fn of_query(query: &Query) -> Result {
    if query.for_clause.is_some() {
        return Err(refused("FOR JSON and FOR XML are not supported", "-f json and -f ndjson write the answer as JSON"));
    }
    if query.format_clause.is_some() {
        return Err(refused("FORMAT is not supported", "-f json, -f csv and their kin choose how the answer is written"));
    }
    if query.settings.is_some() {
        return Err(refused("SETTINGS are not supported", "settings are options, such as --timeout 1h and --memory-limit 4GB"));
    }
    if let Some(LimitClause::LimitOffset { limit_by, .. }) = &query.limit_clause
        && !limit_by.is_empty()
    {
        return Err(refused("LIMIT BY is not supported", "QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) <= 2"));
    }
    of_body(&query.body)
}

fn of_body(body: &SetExpr) -> Result {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return Ok(()) };
    // The library takes them for a filter, which gives a row as often as the first query has it.
    if matches!(op, SetOperator::Intersect | SetOperator::Except | SetOperator::Minus)
        && matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName)
    {
        return Err(refused(
            format!("{op} ALL is not supported"),
            format!(
                "{op} gives each row once; row_number() OVER (PARTITION BY all columns) in both queries tells like rows apart"
            ),
        )
        .at(right.span()));
    }
    of_body(left)?;
    of_body(right)
}

/// Refuses what a SELECT has, and turns groups with totals to what they mean.
pub(super) fn of_select(select: &mut Select) -> Result {
    if let Some(e) = &select.prewhere {
        return Err(refused("PREWHERE is not supported", "WHERE").at(e.span()));
    }
    if !select.connect_by.is_empty() {
        return Err(refused("CONNECT BY is not supported", "WITH RECURSIVE name AS (first rows UNION ALL next rows)"));
    }
    if select.value_table_mode.is_some() {
        return Err(refused("SELECT AS STRUCT and AS VALUE are not supported", "a column each; -f json writes objects"));
    }
    if select.exclude.is_some() {
        return Err(refused("EXCLUDE stands behind * here", "SELECT * EXCLUDE (a, b) FROM t"));
    }
    if !(select.cluster_by.is_empty() && select.distribute_by.is_empty() && select.sort_by.is_empty()) {
        return Err(refused("CLUSTER BY, DISTRIBUTE BY and SORT BY are not supported", "ORDER BY, or nothing"));
    }
    if !select.lateral_views.is_empty() {
        return Err(refused("LATERAL VIEW is not supported in SQL", UNNEST));
    }
    for item in &select.projection {
        if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
            if options.opt_ilike.is_some() {
                return Err(refused("* ILIKE is not supported", "name the columns, or * EXCEPT (a, b)").at(item.span()));
            }
            if options.opt_rename.is_some() {
                return Err(refused("* RENAME is not supported", "SELECT *, a AS b, or * EXCEPT (a), a AS b").at(item.span()));
            }
        }
    }
    for join in select.from.iter_mut().flat_map(|from| from.joins.iter_mut()) {
        of_join(join)?;
    }
    of_groups(&mut select.group_by)
}

/// `GROUP BY a, b WITH ROLLUP` is `GROUP BY ROLLUP (a, b)`; the library forgets what stands behind.
fn of_groups(groups: &mut GroupByExpr) -> Result {
    let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = &*groups;
    let [first, rest @ ..] = modifiers.as_slice() else { return Ok(()) };
    let GroupByExpr::Expressions(by, _) = &*groups else {
        return Err(refused(format!("GROUP BY ALL {first} is not supported"), "GROUP BY ROLLUP (a, b) names the columns"));
    };
    let sets: Vec<Vec<Expr>> = by.iter().map(|e| vec![e.clone()]).collect();
    let made = match first {
        _ if !rest.is_empty() => return Err(refused("GROUP BY has two kinds of totals", "GROUPING SETS ((a, b), (a), ())")),
        GroupByWithModifier::Rollup => Expr::Rollup(sets),
        GroupByWithModifier::Cube => Expr::Cube(sets),
        GroupByWithModifier::Totals => {
            return Err(refused("WITH TOTALS is not supported", "GROUP BY GROUPING SETS ((a, b), ())"));
        }
        GroupByWithModifier::GroupingSets(_) => {
            return Err(refused("GROUPING SETS behind GROUP BY a are not supported", "GROUP BY GROUPING SETS ((a, b), (a))"));
        }
    };
    *groups = GroupByExpr::Expressions(vec![made], Vec::new());
    Ok(())
}

/// `APPLY` is a lateral join.
fn of_join(join: &mut Join) -> Result {
    let place = join.relation.span();
    let turned = match &join.join_operator {
        JoinOperator::CrossApply => JoinOperator::CrossJoin(JoinConstraint::None),
        JoinOperator::OuterApply => JoinOperator::Left(JoinConstraint::On(Expr::Value(Value::Boolean(true).into()))),
        JoinOperator::AsOf { .. } => {
            let advice =
                "QUALIFY row_number() OVER (PARTITION BY a.id ORDER BY b.time DESC) = 1 behind a join with b.time <= a.time";
            return Err(refused("ASOF JOIN is not supported", advice).at(place));
        }
        JoinOperator::StraightJoin(_) => return Err(refused("STRAIGHT_JOIN is not supported", "JOIN").at(place)),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            return Err(refused("ARRAY JOIN is not supported in SQL", UNNEST).at(place));
        }
        _ => return Ok(()),
    };
    if let TableFactor::Derived { lateral, .. } = &mut join.relation {
        *lateral = true;
        join.join_operator = turned;
    } else if !matches!(join.relation, TableFactor::OpenJsonTable { .. } | TableFactor::JsonTable { .. }) {
        join.join_operator = turned;
    }
    Ok(())
}

/// Refuses tables that are no tables, and parts of one that the library takes no notice of. `known` says whether there is a
/// function of a name that gives rows.
pub(super) fn of_table(factor: &mut TableFactor, known: &dyn Fn(&str) -> bool) -> Result {
    match factor {
        TableFactor::Pivot { .. } => Err(refused(
            "PIVOT is not supported in SQL",
            "a column each: sum(CASE WHEN key = 'a' THEN value END) AS a; KQL has `evaluate pivot(key, sum(value))`",
        )),
        TableFactor::Unpivot { .. } => Err(refused(
            "UNPIVOT is not supported in SQL",
            "SELECT 'a' AS key, a AS value FROM t UNION ALL SELECT 'b', b FROM t; KQL has `evaluate narrow()`",
        )),
        TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } | TableFactor::XmlTable { .. } => Err(refused(
            "tables of JSON and XML are not supported in SQL",
            "bag->'key' and json_extract(bag, '$.a[0]') read a value; KQL has mv-expand for the elements of an array",
        )),
        TableFactor::MatchRecognize { .. } => {
            Err(refused("MATCH_RECOGNIZE is not supported in SQL", "KQL has scan and row_window_session"))
        }
        TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
            Err(refused("TABLESAMPLE is not supported", "WHERE random() < 0.1 gives a tenth of the rows"))
        }
        TableFactor::Table { version: Some(_), .. } => {
            Err(refused("a table as of another time is not supported", "a query sees the newest version of a table"))
        }
        TableFactor::Table { partitions, json_path, .. } if !partitions.is_empty() || json_path.is_some() => {
            Err(refused("a part of a table is not supported", "a condition of WHERE chooses rows, bag->'key' a value"))
        }
        // T-SQL's older form of WITH (NOLOCK) behind another name.
        TableFactor::Table { alias: Some(alias), .. } if matches!(alias.columns.as_slice(), [hint] if is_hint(&hint.name)) => {
            alias.columns.clear();
            Ok(())
        }
        TableFactor::Table { name, args: args @ Some(_), .. } => {
            // T-SQL's older form of WITH (NOLOCK), which locks nothing here either.
            if args.as_ref().is_some_and(|args| args.args.iter().all(is_lock_hint)) {
                *args = None;
                return Ok(());
            }
            let called = name.to_string().to_lowercase();
            match called.as_str() {
                _ if known(&called) => Ok(()),
                "openjson" | "json_table" | "json_each" => Err(refused(
                    "tables of JSON and XML are not supported in SQL",
                    "bag->'key' and json_extract(bag, '$.a[0]') read a value; KQL has mv-expand for the elements of an array",
                )),
                "string_split" | "explode" | "flatten" | "regexp_split_to_table" | "string_to_table" | "jsonb_array_elements" => {
                    Err(refused(format!("{name} gives rows, and is not supported in SQL"), UNNEST))
                }
                "read_csv" | "read_parquet" | "read_json" | "read_csv_auto" | "openrowset" => Err(refused(
                    format!("{name} is not supported"),
                    "--table NAME=FILE makes a table of a Parquet, CSV or JSON file",
                )),
                _ => Err(refused(
                    format!("there is no function `{name}` that gives rows"),
                    "generate_series(1, 10) and range(1, 10) do; a table has no parentheses",
                )),
            }
        }
        _ => Ok(()),
    }
}

fn is_lock_hint(arg: &FunctionArg) -> bool {
    matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name))) if is_hint(name))
}

fn is_hint(name: &Ident) -> bool {
    const HINTS: [&str; 5] = ["nolock", "readuncommitted", "readpast", "holdlock", "tablock"];
    name.quote_style.is_none() && HINTS.iter().any(|hint| name.value.eq_ignore_ascii_case(hint))
}

/// Puts what stands behind a call of `string_agg` where the library has it, and refuses what it does not know.
pub(super) fn of_call(function: &mut Function, name: &str) -> Result {
    if !matches!(function.parameters, FunctionArguments::None) {
        return Err(refused(format!("{name} has two lists of arguments"), "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)"));
    }
    let of_texts = matches!(name, "string_agg" | "listagg" | "group_concat");
    let within = std::mem::take(&mut function.within_group);
    let FunctionArguments::List(list) = &mut function.args else {
        function.within_group = within;
        return Ok(());
    };
    if !of_texts {
        function.within_group = within;
        if !function.within_group.is_empty() && function.over.is_some() {
            return Err(refused(
                format!("{name} WITHIN GROUP stands beside OVER"),
                "GROUP BY in a subquery, and a join with it; DISTINCT is not needed then",
            ));
        }
        if name == "count" && list.duplicate_treatment.is_some() && list.args.len() > 1 {
            return Err(refused("count(DISTINCT …) takes one value", "SELECT count(*) FROM (SELECT DISTINCT a, b FROM t)"));
        }
        return Ok(());
    }
    if name == "group_concat" && list.args.len() > 1 {
        return Err(refused("group_concat joins its arguments in MySQL, and has a separator in SQLite", "string_agg(text, ',')"));
    }
    if !within.is_empty() {
        list.clauses.push(FunctionArgumentClause::OrderBy(within));
    }
    let mut separator = None;
    list.clauses.retain(|clause| match clause {
        FunctionArgumentClause::Separator(value) => {
            separator = Some(value.clone());
            false
        }
        _ => true,
    });
    if list.clauses.iter().any(|clause| !matches!(clause, FunctionArgumentClause::OrderBy(_))) {
        return Err(refused(format!("{name} takes ORDER BY, and nothing else behind it"), "string_agg(text, ',' ORDER BY time)"));
    }
    if list.args.len() == 1 {
        let comma = if name == "listagg" { "" } else { "," };
        let value = separator.unwrap_or_else(|| Value::SingleQuotedString(comma.to_owned()).into());
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))));
    }
    Ok(())
}
