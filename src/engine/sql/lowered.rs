//! KQL's expressions in the place of its calls in a plan of SQL. A key of a bag is read from its promoted column, where that is
//! beside the bag and answers for the key in every file.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan};

use super::calls::{KqlCall, argument, refuse_order_of_json};
use super::spans;
use kqlake_value::Type;
use kqlake_value::columns::TYPE_KEY;

/// A column that answers for a key of a bag in every file of its table.
#[derive(Debug, Clone)]
pub(super) struct Promoted {
    /// The bag's column.
    pub bag: String,
    /// The key.
    pub key: String,
    /// The column.
    pub column: String,
    /// Its type.
    pub ty: Type,
}

/// The plan with KQL's expressions in it. `promoted` knows the columns of a table.
///
/// # Errors
/// What KQL refuses.
pub(super) fn lowered(plan: LogicalPlan, promoted: &dyn Fn(&str) -> Vec<Promoted>) -> Result<LogicalPlan> {
    let mut changed = false;
    let done = plan.transform_up_with_subqueries(|node| {
        let planned = Arc::clone(node.schema());
        let mut found = false;
        node.apply_expressions(|e| {
            found = found || e.exists(|e| Ok(call_of(e).is_some() || spans::is_shell(e) || matches!(e, Expr::InList(_))))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !found {
            // What became another type below shows above.
            return if changed { again(node, &planned) } else { Ok(Transformed::no(node)) };
        }
        changed = true;
        let schema = match &node {
            LogicalPlan::TableScan(scan) => scan.projected_schema.as_ref().clone(),
            _ => merge_schema(&node.inputs()),
        };
        let names = NamePreserver::new(&node);
        let around = node.clone();
        let lower = |e: Expr| {
            let saved = names.save(&e);
            let e = e.transform_up(joined)?.data;
            let e = e.transform_up(|e| expression(e, &schema, &around, promoted))?.data;
            Ok(Transformed::yes(saved.restore(e)))
        };
        node.map_expressions(lower)?.transform_data(|node| again(node, &planned))
    })?;
    Ok(done.data)
}

/// A node whose inputs or expressions are others than those that it was planned with.
fn again(node: LogicalPlan, planned: &DFSchema) -> Result<Transformed<LogicalPlan>> {
    spans::kept(node.recompute_schema()?, planned).map(Transformed::yes)
}

fn call_of(e: &Expr) -> Option<(&KqlCall, &[Expr])> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = e else { return None };
    Some((func.inner().downcast_ref::<KqlCall>()?, args))
}

/// An access into what an access gave is one access: `a -> 'b' ->> 'c'`.
fn joined(e: Expr) -> Result<Transformed<Expr>> {
    let inner = match call_of(&e) {
        Some((call, [first, ..])) if call.is_path() => match call_of(first) {
            Some((inner, args)) if inner.gives_bag() => args.to_vec(),
            _ => return Ok(Transformed::no(e)),
        },
        _ => return Ok(Transformed::no(e)),
    };
    let Expr::ScalarFunction(ScalarFunction { func, args }) = e else { return Ok(Transformed::no(e)) };
    let args = inner.into_iter().chain(args.into_iter().skip(1)).collect();
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
}

/// KQL's expression in the place of one call.
fn expression(
    e: Expr,
    schema: &DFSchema,
    around: &LogicalPlan,
    promoted: &dyn Fn(&str) -> Vec<Promoted>,
) -> Result<Transformed<Expr>> {
    if matches!(e, Expr::InList(_)) {
        return spans::listed(e, schema);
    }
    if let Expr::Between(between) = &e {
        refuse_order_of_json(&between.expr, &between.low, schema)?;
        refuse_order_of_json(&between.expr, &between.high, schema)?;
    }
    let Some((call, args)) = call_of(&e) else { return spans::opened(e, schema) };
    let (mut arguments, mut columns) = (Vec::with_capacity(args.len()), Vec::with_capacity(args.len()));
    for arg in args {
        let field = arg.to_field(schema)?.1;
        let constant = if let Expr::Literal(value, _) = arg { Some(value) } else { None };
        let mut found = argument(&field, constant)?;
        // The text of what is missing in a constant would be computed by KQL, where it is empty and not null.
        if call.is_path() && arguments.is_empty() && found.ty == Type::String {
            found.constant = None;
        }
        let mut beside = Vec::new();
        if let (Expr::Column(bag), true) = (arg, call.is_path()) {
            for (promoted, column) in beside_of(bag, schema, around, promoted) {
                found.promoted.push((promoted.key, promoted.ty));
                beside.push(Expr::Column(column));
            }
        }
        arguments.push(found);
        columns.push(beside);
    }
    let bound = call.bind(arguments)?;
    let made = bound.lower(args, &columns, schema, call.is_path() && bound.ty() == Type::String)?;
    let ty = bound.ty();
    if !matches!(ty, Type::TimeSpan | Type::Dynamic | Type::Guid) {
        return Ok(Transformed::yes(made));
    }
    // Its Arrow type alone does not tell what it is.
    let metadata = FieldMetadata::from(BTreeMap::from([(TYPE_KEY.to_owned(), ty.name().to_owned())]));
    let name = e.schema_name().to_string();
    Ok(Transformed::yes(made.alias_with_metadata(name, Some(metadata))))
}

/// The promoted columns of a bag that the node sees beside it, from the same scan.
fn beside_of(
    bag: &Column,
    schema: &DFSchema,
    around: &LogicalPlan,
    promoted: &dyn Fn(&str) -> Vec<Promoted>,
) -> Vec<(Promoted, Column)> {
    let Some(from) = inputs_origin(around, bag) else { return Vec::new() };
    let known = promoted(&from.table).into_iter().filter(|known| known.bag == from.column);
    let seen = known.filter_map(|known| {
        let same = |column: &Column| {
            inputs_origin(around, column).is_some_and(|other| other.way == from.way && other.column == known.column)
        };
        let found = schema.columns().into_iter().filter(|column| column.name == known.column).find(same)?;
        Some((known, found))
    });
    seen.collect()
}

/// Where a column comes from.
struct Origin {
    /// The way from the node to the scan, by the numbers of inputs.
    way: Vec<usize>,
    table: String,
    column: String,
}

/// The column of a scan that a column of a node's inputs is, unchanged.
fn inputs_origin(node: &LogicalPlan, column: &Column) -> Option<Origin> {
    if let LogicalPlan::TableScan(_) = node {
        return origin(node, column);
    }
    let inputs = node.inputs();
    let place = inputs.iter().position(|input| input.schema().has_column(column))?;
    let mut from = origin(inputs.get(place)?, column)?;
    from.way.push(place);
    Some(from)
}

/// The column of a scan that a column of a plan is, unchanged.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<Origin> {
    let place = |plan: &LogicalPlan| plan.schema().maybe_index_of_column(column);
    match plan {
        LogicalPlan::TableScan(scan) => {
            Some(Origin { way: Vec::new(), table: scan.table_name.table().to_owned(), column: column.name.clone() })
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (relation, field) = alias.input.schema().qualified_field(place(plan)?);
            inputs_origin(plan, &Column::new(relation.cloned(), field.name()))
        }
        LogicalPlan::Projection(projection) => {
            let mut e = projection.expr.get(place(plan)?)?;
            while let Expr::Alias(alias) = e {
                e = &alias.expr;
            }
            match e {
                Expr::Column(inner) => inputs_origin(plan, inner),
                _ => None,
            }
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(Distinct::All(_))
        | LogicalPlan::Join(_) => inputs_origin(plan, column),
        _ => None,
    }
}
