//! `summarize`: groups and aggregates.

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit};

use super::expr::{coalesce, column_name, filter, text, value};
use super::{Lower, Lowering, Node, named, with_columns};
use crate::kql::bound::*;
use crate::kql::functions::aggregate::udaf::udaf;
use crate::kql::functions::{AggregateImpl, ArgInfo};
use crate::kql::types::Type;

impl Lowering<'_> {
    pub(super) fn aggregate(&self, input: &Rel, keys: &[(ColId, BoundExpr)], aggregates: &[(ColId, BoundAggregate)]) -> Lower<Node> {
        let mut node = self.rel(input)?;
        // Rows in an order: the aggregates that mind it get each row's position.
        let mut position = None;
        if !node.order.is_empty() && aggregates.iter().any(|(_, a)| a.function.ordered) {
            position = Some(self.position(&mut node)?);
        }
        let mut groups: Vec<Expr> = Vec::with_capacity(keys.len());
        let mut constants: Vec<Expr> = Vec::new();
        for (id, e) in keys {
            // A constant key groups nothing; it is added behind, unless it is all there is.
            if e.as_literal().is_some() && keys.len() > 1 {
                constants.push(value(e)?.alias(column_name(*id)));
                continue;
            }
            groups.push(text(e)?.alias(column_name(*id)));
        }
        if groups.is_empty() && !constants.is_empty() {
            groups.push(constants.remove(0));
        }
        let mut calls: Vec<Expr> = Vec::with_capacity(aggregates.len());
        let mut finished: Vec<Expr> = groups.iter().map(|g| named(&g.schema_name().to_string())).collect();
        finished.extend(constants);
        for (id, aggregate) in aggregates {
            let (call, finish) = self.call(aggregate, position.as_deref())?;
            let raw = format!("a{id}");
            calls.push(call.alias(raw.clone()));
            finished.push(finish(named(&raw)).alias(column_name(*id)));
        }
        let no_keys = groups.is_empty();
        let plan = if calls.is_empty() && !no_keys {
            LogicalPlanBuilder::from(node.plan).project(groups)?.distinct()?.build()?
        } else {
            LogicalPlanBuilder::from(node.plan).aggregate(groups, calls)?.build()?
        };
        let plan = LogicalPlanBuilder::from(plan).project(finished)?.build()?;
        Ok(Node::unordered(plan))
    }

    /// A column that numbers the rows in their order; it is added to the node where there is none.
    pub(super) fn position(&self, node: &mut Node) -> Lower<String> {
        if let [key] = node.order.as_slice()
            && key.ascending
            && key.column.starts_with("__row")
        {
            return Ok(key.column.clone());
        }
        let name = self.fresh("__row");
        let window = Expr::from(datafusion::logical_expr::expr::WindowFunction::new(
            datafusion::functions_window::row_number::row_number_udwf(),
            vec![],
        ));
        let keys = node.sort_exprs();
        use datafusion::logical_expr::ExprFunctionExt;
        let numbered = if keys.is_empty() { window } else { window.order_by(keys).build()? };
        let inner = numbered.schema_name().to_string();
        let plan = LogicalPlanBuilder::from(node.plan.clone()).window(vec![numbered])?.build()?;
        let mut exprs: Vec<Expr> =
            plan.schema().columns().into_iter().filter(|c| c.name != inner).map(Expr::Column).collect();
        exprs.push(cast(named(&inner), DataType::Int64).alias(name.clone()));
        node.plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
        Ok(name)
    }

    /// One aggregate: the call, and what makes KQL's answer out of DataFusion's.
    #[allow(clippy::type_complexity, reason = "a call and the step behind it")]
    fn call(&self, aggregate: &BoundAggregate, position: Option<&str>) -> Lower<(Expr, Box<dyn Fn(Expr) -> Expr>)> {
        let keep: Box<dyn Fn(Expr) -> Expr> = Box::new(|e| e);
        let predicate = aggregate.filter.as_ref().map(filter).transpose()?;
        let arg = |i: usize| aggregate.args.get(i).map(text).transpose();
        let ty = aggregate.ty;
        let native = matches!(aggregate.function.imp, AggregateImpl::Native);
        let (call, finish): (Expr, Box<dyn Fn(Expr) -> Expr>) = match (aggregate.function.name, native) {
            // count(x) counts rows, null or not.
            ("count" | "countif", true) => (count(lit(1i64)), keep),
            ("sum" | "sumif", true) => {
                let e = arg(0)?.unwrap_or_else(|| lit(0i64));
                let zero = match ty {
                    Type::Real => lit(0.0f64),
                    Type::Decimal => cast(lit(0i64), super::arrow::data_type(ty)),
                    _ => lit(0i64),
                };
                let source = aggregate.args.first().map_or(Type::Long, |a| a.ty);
                let e = if source == Type::Int { cast(e, DataType::Int64) } else { e };
                let target = super::arrow::data_type(ty);
                (sum(e), Box::new(move |e| coalesce(vec![cast(e, target.clone()), zero.clone()])))
            }
            ("avg" | "avgif", true) => return Ok((self.average(aggregate, predicate)?, average_finish(ty))),
            ("min" | "minif", true) => (min(arg(0)?.unwrap_or_else(|| lit(0i64))), keep),
            ("max" | "maxif", true) => (max(arg(0)?.unwrap_or_else(|| lit(0i64))), keep),
            _ => {
                let infos = aggregate.args.iter().map(|a| ArgInfo { ty: a.ty, constant: a.as_literal().cloned() }).collect();
                let function = udaf(aggregate.function, infos, ty);
                let mut args = aggregate.args.iter().map(text).collect::<Result<Vec<_>, _>>()?;
                if aggregate.function.ordered
                    && let Some(position) = position
                {
                    args.push(named(position));
                }
                (function.call(args), keep)
            }
        };
        Ok((with_filter(call, predicate), finish))
    }

    /// The sum and the count of an average in one struct-free pair: DataFusion's own avg over reals.
    fn average(&self, aggregate: &BoundAggregate, predicate: Option<Expr>) -> Lower<Expr> {
        let e = aggregate.args.first().map(text).transpose()?.unwrap_or_else(|| lit(0i64));
        let call = datafusion::functions_aggregate::expr_fn::avg(cast(e, DataType::Float64));
        Ok(with_filter(call, predicate))
    }

    /// The first rows of each group.
    pub(super) fn limit_each(&self, mut node: Node, count: usize, partition: &[ColId]) -> Lower<Node> {
        use datafusion::logical_expr::ExprFunctionExt;
        let order = node.order.clone();
        let keys = node.sort_exprs();
        let window = Expr::from(datafusion::logical_expr::expr::WindowFunction::new(
            datafusion::functions_window::row_number::row_number_udwf(),
            vec![],
        ));
        let by: Vec<Expr> = partition.iter().map(|id| super::expr::column(*id)).collect();
        let mut builder = window.partition_by(by);
        if !keys.is_empty() {
            builder = builder.order_by(keys);
        }
        let numbered = builder.build()?;
        let inner = numbered.schema_name().to_string();
        let plan = LogicalPlanBuilder::from(node.plan).window(vec![numbered])?.build()?;
        let plan = LogicalPlanBuilder::from(plan).filter(named(&inner).lt_eq(lit(count as u64)))?.build()?;
        let exprs: Vec<Expr> = plan.schema().columns().into_iter().filter(|c| c.name != inner).map(Expr::Column).collect();
        node.plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
        node.order = order;
        Ok(node)
    }

    /// A row index in the present order, so that the order can be told later.
    pub(super) fn serialize(&self, input: &Rel) -> Lower<Node> {
        let mut node = self.rel(input)?;
        if node.order.is_empty() {
            let name = self.fresh("__row");
            let window = Expr::from(datafusion::logical_expr::expr::WindowFunction::new(
                datafusion::functions_window::row_number::row_number_udwf(),
                vec![],
            ));
            let inner = window.schema_name().to_string();
            let plan = LogicalPlanBuilder::from(node.plan).window(vec![window])?.build()?;
            let index = cast(named(&inner), DataType::Int64).alias(name.clone());
            let plan = with_columns(plan, vec![index])?;
            let exprs: Vec<Expr> = plan.schema().columns().into_iter().filter(|c| c.name != inner).map(Expr::Column).collect();
            node.plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
            node.order = vec![super::OrderKey { column: name, ascending: true, nulls_first: true }];
        }
        Ok(node)
    }
}

/// Makes KQL's average: NaN of nothing for a real, whole ticks for timespans and datetimes.
fn average_finish(ty: Type) -> Box<dyn Fn(Expr) -> Expr> {
    Box::new(move |e| match ty {
        Type::Real => coalesce(vec![e, lit(f64::NAN)]),
        Type::DateTime => cast(cast(e, DataType::Int64), super::arrow::data_type(ty)),
        _ => cast(e, super::arrow::data_type(ty)),
    })
}

/// Restricts an aggregate to the rows where the predicate is true.
fn with_filter(call: Expr, predicate: Option<Expr>) -> Expr {
    match (call, predicate) {
        (Expr::AggregateFunction(AggregateFunction { func, params }), Some(predicate)) => {
            let params = AggregateFunctionParams { filter: Some(Box::new(predicate)), ..params };
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        (call, _) => call,
    }
}
