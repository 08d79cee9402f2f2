//! `scan`: evaluates its steps row by row.
//!
//! Rules: Kusto documentation, "scan operator", section "Scan logic". Each step keeps at most one match in progress, with the
//! last row that each step so far took. A row is offered to every step, from the last to the first. A step takes it out of the
//! match that is pending in the step before, which advances; failing that, out of its own match. The first step begins matches.
//! So one row may end a match in a later step and begin the next one in the first.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::physical_expr::PhysicalExpr;

use super::arrow::{array, value_at};
use super::column_name;
use super::expr::physical;
use crate::bound::{BoundColumn, BoundExpr, BoundScan, StepOutput};
use crate::computation::{Compute, RowStream};
use crate::functions::aggregate::order::same;
use kqlake_value::columns::{ColumnBuilder, arrow_type};
use kqlake_value::{Type, Value};

/// The match that a step has made so far.
#[derive(Debug, Clone)]
struct PartialMatch {
    /// The last row of each step up to this one.
    rows: Vec<Vec<Value>>,
    /// Its number.
    id: i64,
}

/// Rows of the result, with the numbers of their matches.
type Matched = Vec<(Vec<Value>, i64)>;

/// A step's compiled expressions.
struct Compiled {
    condition: Arc<dyn PhysicalExpr>,
    assignments: Vec<(usize, Arc<dyn PhysicalExpr>)>,
}

impl BoundScan {
    fn columns(&self) -> impl Iterator<Item = &BoundColumn> {
        self.own.iter().chain(self.declared.iter().map(|(c, _)| c)).chain(&self.state)
    }

    fn compile(&self, schema: &Schema) -> Result<Vec<Compiled>, String> {
        let physical = |e: &BoundExpr| physical(e, schema);
        self.steps
            .iter()
            .map(|step| {
                Ok(Compiled {
                    condition: physical(&step.condition)?,
                    assignments: step
                        .assignments
                        .iter()
                        .map(|(at, e)| Ok((*at, physical(e)?)))
                        .collect::<Result<Vec<_>, String>>()?,
                })
            })
            .collect()
    }
}

impl Compute for BoundScan {
    fn name(&self) -> &str {
        "scan"
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        ScanRows::new(self)?.over(input)
    }

    fn stream(&self) -> Option<Result<Box<dyn RowStream>, String>> {
        Some(ScanRows::new(self).map(|rows| Box::new(rows) as Box<dyn RowStream>))
    }
}

/// The state machine over rows as they come.
struct ScanRows {
    op: BoundScan,
    schema: Arc<Schema>,
    types: Vec<Type>,
    compiled: Vec<Compiled>,
    /// What declared columns begin with.
    defaults: Vec<Value>,
    /// What the columns of a step are before it has matched: null, and the defaults.
    blank: Vec<Value>,
    matches: Vec<Option<PartialMatch>>,
    next_id: i64,
    last_key: Option<Vec<Value>>,
}

impl RowStream for ScanRows {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, String> {
        let mut rows: Matched = Vec::new();
        for row in 0..batch.num_rows() {
            self.offer(&batch, row, &mut rows)?;
        }
        self.matched(&rows)
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, String> {
        let mut rows: Matched = Vec::new();
        self.op.end(&mut self.matches, &mut rows);
        self.matched(&rows)
    }

    /// A step holds one match at most.
    fn held(&self) -> usize {
        0
    }
}

impl ScanRows {
    fn new(op: &BoundScan) -> Result<ScanRows, String> {
        let fields: Vec<Field> = op.columns().map(|c| Field::new(column_name(c.id), arrow_type(c.ty), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let defaults: Vec<Value> = op.declared.iter().map(|(_, v)| v.clone()).collect();
        Ok(ScanRows {
            types: op.columns().map(|c| c.ty).collect(),
            compiled: op.compile(&schema)?,
            blank: op.own.iter().map(|c| missing(c.ty)).chain(defaults.iter().cloned()).collect(),
            matches: vec![None; op.steps.len()],
            next_id: 0,
            last_key: None,
            op: op.clone(),
            schema,
            defaults,
        })
    }

    /// Offers a row to the steps.
    fn offer(&mut self, batch: &RecordBatch, row: usize, rows: &mut Matched) -> Result<(), String> {
        let ScanRows { op, schema, types, compiled, defaults, blank, matches, next_id, last_key } = self;
        let width = op.own.len() + op.declared.len();
        let own: Vec<Value> = op.own.iter().enumerate().map(|(i, c)| value_at(batch.column(i).as_ref(), c.ty, row)).collect();
        let key: Vec<Value> = op.partition.iter().map(|i| own[*i].clone()).collect();
        if !last_key.as_ref().is_some_and(|last| same_keys(last, &key)) {
            op.end(matches, rows);
            *last_key = Some(key);
        }
        for (at, step) in compiled.iter().enumerate().rev() {
            // What the step's expressions see: the row, declared columns with their defaults, and a match's rows.
            let seen = |from: Option<&PartialMatch>| {
                let mut cells: Vec<Value> = own.clone();
                cells.extend(defaults.iter().cloned());
                for i in 0..op.steps.len() {
                    cells.extend(from.and_then(|h| h.rows.get(i)).unwrap_or(blank).iter().cloned());
                }
                one_row(schema, types, &cells).map(|one| (cells, one))
            };
            let before = at.checked_sub(1).filter(|before| matches[*before].is_some());
            let mut taken = None;
            if let Some(before) = before {
                let (cells, one) = seen(matches[before].as_ref())?;
                if is_true(&step.condition, &one)? {
                    op.end_step(at, matches, rows);
                    op.emit_last(before, matches, rows);
                    taken = matches[before].take().map(|h| (h, cells, one));
                }
            }
            if taken.is_none() && (at == 0 || matches[at].is_some()) {
                let (cells, one) = seen(matches[at].as_ref())?;
                if is_true(&step.condition, &one)? {
                    let own = matches[at].take().unwrap_or_else(|| {
                        *next_id += 1;
                        PartialMatch { rows: Vec::new(), id: *next_id - 1 }
                    });
                    taken = Some((own, cells, one));
                }
            }
            let Some((mut own, cells, one)) = taken else { continue };
            let mut values = cells[..width].to_vec();
            for (column, e) in &step.assignments {
                let result = e.evaluate(&one).and_then(|v| v.into_array(1)).map_err(|e| e.to_string())?;
                values[*column] = value_at(result.as_ref(), types[*column], 0);
            }
            if op.steps[at].output == StepOutput::All {
                rows.push((values.clone(), own.id));
            }
            own.rows.truncate(at);
            own.rows.push(values);
            matches[at] = Some(own);
        }
        Ok(())
    }

    /// Rows of the result.
    fn matched(&self, rows: &Matched) -> Result<Vec<RecordBatch>, String> {
        let width = self.op.own.len() + self.op.declared.len();
        let mut builders: Vec<ColumnBuilder> = self.types[..width].iter().map(|ty| ColumnBuilder::new(*ty, rows.len())).collect();
        let mut ids = ColumnBuilder::new(Type::Long, rows.len());
        for (values, id) in rows {
            for (builder, value) in builders.iter_mut().zip(values) {
                builder.push(value);
            }
            ids.push(&Value::Long(*id));
        }
        let mut columns: Vec<_> = builders.iter_mut().map(ColumnBuilder::finish).collect::<Result<_, _>>()?;
        if self.op.match_id {
            columns.push(ids.finish()?);
        }
        RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(i, c)| (format!("c{i}"), c)))
            .map(|b| vec![b])
            .map_err(|e| e.to_string())
    }
}

impl BoundScan {
    /// Ends all matches.
    fn end(&self, matches: &mut [Option<PartialMatch>], rows: &mut Matched) {
        for at in 0..self.steps.len() {
            self.end_step(at, matches, rows);
        }
    }

    /// Ends the match that is pending in a step.
    fn end_step(&self, at: usize, matches: &mut [Option<PartialMatch>], rows: &mut Matched) {
        self.emit_last(at, matches, rows);
        matches[at] = None;
    }

    /// A step takes no more rows into its match: gives the last of them out, if it does so.
    fn emit_last(&self, at: usize, matches: &[Option<PartialMatch>], rows: &mut Matched) {
        if let (StepOutput::Last, Some(h)) = (self.steps[at].output, &matches[at])
            && let Some(row) = h.rows.get(at)
        {
            rows.push((row.clone(), h.id));
        }
    }
}

/// True for keys of one partition.
fn same_keys(a: &[Value], b: &[Value]) -> bool {
    let (mut left, mut right) = (String::new(), String::new());
    a.iter().zip(b).all(|(a, b)| same(a.as_ref(&mut left), b.as_ref(&mut right)))
}

fn missing(ty: Type) -> Value {
    if ty == Type::String { Value::String(String::new()) } else { Value::Null }
}

fn one_row(schema: &Arc<Schema>, types: &[Type], cells: &[Value]) -> Result<RecordBatch, String> {
    let columns = cells.iter().zip(types).map(|(v, ty)| array([v.clone()], *ty)).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| e.to_string())
}

fn is_true(e: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> Result<bool, String> {
    let result = e.evaluate(row).and_then(|v| v.into_array(1)).map_err(|e| e.to_string())?;
    Ok(value_at(result.as_ref(), Type::Bool, 0) == Value::Bool(true))
}
