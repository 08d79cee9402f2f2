//! `summarize`: groups and aggregates.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, i256};
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit};

use super::column_name;
use super::expr::{coalesce, filter, key, text, text_in_any_form, value};
use super::{Lower, Lowering, Node, kernel, named, steps, ticks, union};
use crate::bound::*;
use crate::functions::aggregate::udaf::udaf;
use crate::functions::{AggregateImpl, ArgInfo, NativeAggregate};
use kqlake_value::columns::arrow_type;
use kqlake_value::{Type, Value, datetime, decimal, real_key};

impl Lowering<'_> {
    pub(super) fn aggregate(
        &self,
        input: &Rel,
        keys: &[(ColId, BoundExpr)],
        aggregates: &[(ColId, BoundAggregate)],
    ) -> Lower<Node> {
        let used = aggregates.iter().flat_map(|(_, a)| a.args.iter().chain(&a.filter)).chain(keys.iter().map(|(_, e)| e));
        let narrowed = union::narrowed(input, used);
        let mut node = self.rel(narrowed.as_ref().unwrap_or(input))?;
        // Rows in an order: the aggregates that mind it get each row's position.
        let mut position = None;
        if !node.order.is_empty() && aggregates.iter().any(|(_, a)| a.function.ordered) {
            position = Some(self.position(&mut node)?);
        }
        let mut groups: Vec<Expr> = Vec::with_capacity(keys.len());
        let mut constants: Vec<Expr> = Vec::new();
        for (id, e) in keys {
            // A constant key groups nothing; it is added behind.
            if e.as_literal().is_some() {
                constants.push(value(e)?.alias(column_name(*id)));
                continue;
            }
            groups.push(ticks::resolve(key(e)?, &node.plan)?.alias(column_name(*id)));
        }
        let only_constants = groups.is_empty() && !constants.is_empty();
        let mut calls: Vec<Expr> = Vec::with_capacity(aggregates.len());
        let mut finished: Vec<Expr> = groups.iter().map(|g| named(&g.schema_name().to_string())).collect();
        finished.extend(constants);
        for (id, aggregate) in aggregates {
            let (parts, finish) = self.call(aggregate, position.as_deref())?;
            let mut raw = Vec::with_capacity(parts.len());
            for (i, part) in parts.into_iter().enumerate() {
                let name = format!("a{id}_{i}");
                calls.push(ticks::resolve(part, &node.plan)?.alias(name.clone()));
                raw.push(named(&name));
            }
            finished.push(finish(raw).alias(column_name(*id)));
        }
        // Groups of given rows are in the order of their first rows.
        let mut order = Vec::new();
        if !groups.is_empty()
            && let [key] = node.order.as_slice()
            && key.numbers_rows
        {
            let name = self.unique_name("__row");
            calls.push(min(named(&key.column)).alias(name.clone()));
            finished.push(named(&name));
            order.push(super::OrderKey::row_numbers(name));
        }
        let no_keys = groups.is_empty();
        let mut rows = None;
        if only_constants || (calls.is_empty() && no_keys) {
            // Where keys are constants there is one group of all rows, and none of no rows; without keys there is one row of
            // whatever is asked for.
            let name = self.unique_name("__rows");
            calls.push(count(lit(1i64)).alias(name.clone()));
            finished.push(named(&name));
            rows = only_constants.then_some(name);
        }
        let plan = if calls.is_empty() && !no_keys {
            LogicalPlanBuilder::from(steps::project(node.plan, groups)?).distinct()?.build()?
        } else {
            steps::aggregate(node.plan, groups, calls)?
        };
        let plan = match rows {
            Some(rows) => LogicalPlanBuilder::from(plan).filter(named(&rows).gt(lit(0i64)))?.build()?,
            None => plan,
        };
        let plan = steps::project(plan, finished)?;
        Ok(Node { plan, order })
    }

    /// A column that numbers the rows in their order; it is added to the node where there is none.
    pub(super) fn position(&self, node: &mut Node) -> Lower<String> {
        if let [key] = node.order.as_slice()
            && key.numbers_rows
        {
            return Ok(key.column.clone());
        }
        let name = self.unique_name("__row");
        let mut exprs: Vec<Expr> = node.plan.schema().columns().into_iter().map(Expr::Column).collect();
        let (plan, number) = steps::numbered(node.plan.clone(), Vec::new(), node.sort_exprs())?;
        exprs.push(cast(named(&number), DataType::Int64).alias(name.clone()));
        node.plan = steps::project(plan, exprs)?;
        Ok(name)
    }

    /// One aggregate: the calls, and what makes KQL's answer out of DataFusion's.
    fn call(&self, aggregate: &BoundAggregate, position: Option<&str>) -> Lower<(Vec<Expr>, Finish)> {
        let keep: Finish = Box::new(one);
        let predicate = aggregate.filter.as_ref().map(filter).transpose()?;
        let ty = aggregate.ty;
        let source = aggregate.args.first().map_or(Type::Long, |a| a.ty);
        let arg = match aggregate.args.first() {
            Some(e) => text(e)?,
            None => lit(0i64),
        };
        let native = match aggregate.function.imp {
            AggregateImpl::Native(native) => Some(native),
            AggregateImpl::Rows(_) | AggregateImpl::Unsupported(_) => None,
        };
        let (calls, finish): (Vec<Expr>, Finish) = match native {
            // count(x) counts rows, null or not.
            Some(NativeAggregate::Count) => (vec![count(lit(1i64))], keep),
            Some(NativeAggregate::Sum) if is_bounded(source) => {
                (vec![sum(wide(arg, source))], Box::new(move |sums| bounded(sums, source)))
            }
            Some(NativeAggregate::Sum) => {
                let zero = if ty == Type::Real { lit(0.0f64) } else { lit(0i64) };
                let target = arrow_type(ty);
                (vec![sum(integer(arg, source))], Box::new(move |e| coalesce(vec![cast(one(e), target.clone()), zero.clone()])))
            }
            Some(NativeAggregate::Avg) if is_bounded(source) => {
                (vec![sum(wide(arg.clone(), source)), count(arg)], Box::new(move |e| bounded(e, source)))
            }
            Some(NativeAggregate::Avg) => {
                if source == Type::Real {
                    let mean = datafusion::functions_aggregate::expr_fn::avg(arg);
                    (vec![mean], Box::new(|e| coalesce(vec![one(e), lit(f64::NAN)])))
                } else {
                    // Whole numbers are summed as such (and wrap as such, as Microsoft's engine has it), then divided once.
                    let arg = integer(arg, source);
                    let divide = |mut e: Vec<Expr>| {
                        let (n, sum) = (e.pop(), e.pop());
                        let (Some(n), Some(sum)) = (n, sum) else { return lit(f64::NAN) };
                        let mean = cast(sum, DataType::Float64) / cast(n, DataType::Float64);
                        coalesce(vec![mean, lit(f64::NAN)])
                    };
                    (vec![sum(arg.clone()), count(arg)], Box::new(divide))
                }
            }
            Some(NativeAggregate::Min) if ty == Type::Real => {
                (vec![min(real_order(arg, false))], Box::new(|e| real_value(one(e))))
            }
            Some(NativeAggregate::Max) if ty == Type::Real => {
                (vec![max(real_order(arg, true))], Box::new(|e| real_value(one(e))))
            }
            Some(extreme @ (NativeAggregate::Min | NativeAggregate::Max)) => {
                // The least and the greatest are the same in either form of a datetime.
                let arg = aggregate.args.first().map(text_in_any_form).transpose()?.unwrap_or(arg);
                (vec![if extreme == NativeAggregate::Min { min(arg) } else { max(arg) }], keep)
            }
            None => {
                let infos: Vec<ArgInfo> =
                    aggregate.args.iter().map(|a| ArgInfo { ty: a.ty, constant: a.as_literal().cloned() }).collect();
                let function = udaf(aggregate.function, infos, ty);
                let mut args = aggregate.args.iter().map(text).collect::<Result<Vec<_>, _>>()?;
                if aggregate.function.ordered
                    && let Some(position) = position
                {
                    args.push(named(position));
                }
                (vec![function.call(args)], keep)
            }
        };
        Ok((calls.into_iter().map(|c| with_filter(c, predicate.clone())).collect(), finish))
    }

    /// The first rows of each group.
    pub(super) fn limit_each(&self, node: Node, count: usize, partition: &[ColId]) -> Lower<Node> {
        let order = node.sort_exprs();
        let by = partition.iter().map(|id| super::expr::key_column(&node.plan, *id)).collect();
        let plan = steps::first_of_each(node.plan, by, order, u64::try_from(count).unwrap_or(u64::MAX))?;
        Ok(Node { plan, order: node.order })
    }

    /// A row index in the present order, so that the order can be restored later.
    pub(super) fn serialize(&self, input: &Rel) -> Lower<Node> {
        let mut node = self.rel(input)?;
        if node.order.is_empty() {
            let name = self.position(&mut node)?;
            node.order = vec![super::OrderKey::row_numbers(name)];
        }
        Ok(node)
    }
}

/// Makes KQL's answer out of the calls' columns.
type Finish = Box<dyn Fn(Vec<Expr>) -> Expr>;

/// The only column of a single call.
fn one(mut columns: Vec<Expr>) -> Expr {
    columns.pop().unwrap_or_else(|| lit(datafusion::common::ScalarValue::Null))
}

/// The types whose sums and means are null beyond their range, where those of longs wrap.
fn is_bounded(ty: Type) -> bool {
    matches!(ty, Type::Decimal | Type::DateTime | Type::TimeSpan)
}

/// A sum's argument in a form that has room for the sum of any number of rows.
fn wide(e: Expr, ty: Type) -> Expr {
    cast(e, if ty == Type::Decimal { DataType::Decimal256(38, 18) } else { DataType::Decimal128(19, 0) })
}

/// What [`wide`] sums amount to in the type itself: the sums, or the means where the counts of rows follow them.
fn bounded(columns: Vec<Expr>, ty: Type) -> Expr {
    let name = if columns.len() == 1 { "bounded_sum" } else { "bounded_mean" };
    kernel::call(name, ty.to_string(), arrow_type(ty), columns, move |a, rows| {
        let (sums, counts) = (&a[0], a.get(1).map(|n| n.as_primitive::<Int64Type>()));
        let sum = |row: usize| match sums.as_primitive_opt::<Decimal256Type>() {
            _ if sums.is_null(row) => None,
            Some(sums) => Some(sums.value(row)),
            None => sums.as_primitive_opt::<Decimal128Type>().map(|sums| i256::from_i128(sums.value(row))),
        };
        let result = |row: usize| -> Option<Value> {
            let result = match counts {
                // The sum of nothing is 0, there is no mean of nothing.
                None => sum(row).unwrap_or(i256::ZERO),
                Some(counts) => sum(row)?.checked_div(i256::from_i128(counts.value(row).into()))?,
            };
            let result = result.to_i128()?;
            Some(match ty {
                Type::Decimal => Value::Decimal(decimal(result)?),
                Type::DateTime => Value::DateTime(datetime(result.try_into().ok()?)?),
                _ => Value::TimeSpan(result.try_into().ok()?),
            })
        };
        super::arrow::array((0..rows).map(|row| result(row).unwrap_or(Value::Null)), ty)
    })
}

/// Integers and bools as longs, which sums take.
fn integer(e: Expr, ty: Type) -> Expr {
    match ty {
        Type::Int | Type::Bool => cast(e, DataType::Int64),
        _ => e,
    }
}

/// A real as a long that orders alike, NaN at the end that is asked for (an extreme of NaN and numbers is NaN): DataFusion's
/// own extremes start from the greatest and least finite number and so miss the infinities.
fn real_order(e: Expr, nan_last: bool) -> Expr {
    kernel::call("real_order", if nan_last { "last" } else { "" }, DataType::Int64, vec![e], move |a, _| {
        let reals = a[0].as_primitive::<Float64Type>();
        Ok(Arc::new(reals.unary::<_, Int64Type>(|v| {
            if v.is_nan() {
                return if nan_last { i64::MAX } else { i64::MIN };
            }
            let bits = real_key(v).to_bits() as i64;
            bits ^ (((bits >> 63) as u64) >> 1) as i64
        })) as ArrayRef)
    })
}

/// The real that a long of [`real_order`] stands for.
fn real_value(e: Expr) -> Expr {
    kernel::call("real_value", "", DataType::Float64, vec![e], |a, _| {
        let longs = a[0].as_primitive::<Int64Type>();
        Ok(Arc::new(longs.unary::<_, Float64Type>(|v| {
            if v == i64::MIN { f64::NAN } else { f64::from_bits((v ^ (((v >> 63) as u64) >> 1) as i64) as u64) }
        })) as ArrayRef)
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
