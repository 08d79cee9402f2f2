//! `scan`: evaluates its steps row by row.
//!
//! Rules: Kusto documentation, "scan operator". Each step keeps at most one match in progress. A row is offered to the steps
//! from the last to the first: a step takes it when the step before holds a match (or is the first) and its condition is true;
//! a match that moved on leaves its place to a new one.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;

use super::arrow::{array, data_type, value_at};
use super::expr::{column_name, text};
use crate::kql::bound::{BoundColumn, BoundExpr, Compute};
use crate::kql::functions::columns::ColumnBuilder;
use crate::kql::types::Type;
use crate::kql::value::Value;

/// What a step gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutput {
    /// Every row that it takes.
    All,
    /// The last row that it took, when the match ends.
    Last,
    /// Nothing.
    None,
}

/// A step.
#[derive(Debug)]
pub struct Step {
    /// When a row is taken.
    pub condition: BoundExpr,
    /// Declared columns (by place) and their new values.
    pub assignments: Vec<(usize, BoundExpr)>,
    /// What it gives out.
    pub output: StepOutput,
}

/// The operator.
#[derive(Debug)]
pub struct Scan {
    /// The input's columns.
    pub own: Vec<BoundColumn>,
    /// Declared columns and their defaults.
    pub declared: Vec<(BoundColumn, Value)>,
    /// For each step the columns of its last match: own, then declared.
    pub state: Vec<BoundColumn>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Places of the columns that part the rows; they are sorted by them.
    pub partition: Vec<usize>,
    /// A last column numbers the matches.
    pub match_id: bool,
}

/// The last match of a step: its row's values and its number.
#[derive(Debug, Clone)]
struct Held {
    values: Vec<Value>,
    id: i64,
}

/// A step's compiled expressions.
struct Compiled {
    condition: Arc<dyn PhysicalExpr>,
    assignments: Vec<(usize, Arc<dyn PhysicalExpr>)>,
}

impl Scan {
    fn columns(&self) -> impl Iterator<Item = &BoundColumn> {
        self.own.iter().chain(self.declared.iter().map(|(c, _)| c)).chain(&self.state)
    }

    fn compile(&self, schema: &Schema) -> Result<Vec<Compiled>, String> {
        let schema = DFSchema::try_from(schema.clone()).map_err(|e| e.to_string())?;
        let properties = datafusion::logical_expr::execution_props::ExecutionProps::new();
        let physical = |e: &BoundExpr| -> Result<Arc<dyn PhysicalExpr>, String> {
            let lowered = text(e).map_err(|d| d.message)?;
            datafusion::physical_expr::create_physical_expr(&lowered, &schema, &properties, &Default::default())
                .map_err(|e| e.to_string())
        };
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

impl Compute for Scan {
    fn name(&self) -> &str {
        "scan"
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        let fields: Vec<Field> = self.columns().map(|c| Field::new(column_name(c.id), data_type(c.ty), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let types: Vec<Type> = self.columns().map(|c| c.ty).collect();
        let compiled = self.compile(&schema)?;
        let width = self.own.len() + self.declared.len();
        let defaults: Vec<Value> = self.declared.iter().map(|(_, v)| v.clone()).collect();
        // Before a step has matched, its columns are null and its declared ones the defaults.
        let blank: Vec<Value> = self.own.iter().map(|c| missing(c.ty)).chain(defaults.iter().cloned()).collect();
        let mut held: Vec<Option<Held>> = vec![None; self.steps.len()];
        let mut rows: Vec<(Vec<Value>, i64)> = Vec::new();
        let (mut next_id, mut last_key): (i64, Option<Vec<Value>>) = (0, None);
        for batch in &input {
            for row in 0..batch.num_rows() {
                let own: Vec<Value> =
                    self.own.iter().enumerate().map(|(i, c)| value_at(batch.column(i).as_ref(), c.ty, row)).collect();
                let key: Vec<Value> = self.partition.iter().map(|i| own[*i].clone()).collect();
                if last_key.as_ref() != Some(&key) {
                    self.end(&mut held, &mut rows);
                    last_key = Some(key);
                }
                for step in (0..self.steps.len()).rev() {
                    // The match that this row would prolong: the step's own, or the one that waits in the step before.
                    let sources = [(step, held[step].is_some()), (step.wrapping_sub(1), step > 0 && held[step - 1].is_some())];
                    let candidates: Vec<Option<usize>> = sources
                        .iter()
                        .filter(|(_, there)| *there)
                        .map(|(at, _)| Some(*at))
                        .chain((step == 0 && held[0].is_none()).then_some(None))
                        .collect();
                    let Some(from) = candidates.into_iter().next() else { continue };
                    let mut cells: Vec<Value> = own.clone();
                    // Declared columns begin with their defaults in each row; what a match holds is read as `step.column`.
                    cells.extend(defaults.iter().cloned());
                    for h in &held {
                        cells.extend(h.as_ref().map_or(&blank, |h| &h.values).iter().cloned());
                    }
                    let one = one_row(&schema, &types, &cells)?;
                    if !is_true(&compiled[step].condition, &one)? {
                        continue;
                    }
                    let mut values = cells[..width].to_vec();
                    for (at, e) in &compiled[step].assignments {
                        let result = e.evaluate(&one).and_then(|v| v.into_array(1)).map_err(|e| e.to_string())?;
                        values[self.own.len() + at] = value_at(result.as_ref(), self.declared[*at].0.ty, 0);
                    }
                    let id = match from.and_then(|at| held[at].as_ref()) {
                        Some(h) => h.id,
                        None => {
                            next_id += 1;
                            next_id - 1
                        }
                    };
                    if from == Some(step.wrapping_sub(1)) && step > 0 {
                        held[step - 1] = None;
                    }
                    if self.steps[step].output == StepOutput::All {
                        rows.push((values.clone(), id));
                    }
                    held[step] = Some(Held { values, id });
                    break;
                }
            }
        }
        self.end(&mut held, &mut rows);
        let mut builders: Vec<ColumnBuilder> = types[..width].iter().map(|ty| ColumnBuilder::new(*ty, rows.len())).collect();
        let mut ids = ColumnBuilder::new(Type::Long, rows.len());
        for (values, id) in &rows {
            for (builder, value) in builders.iter_mut().zip(values) {
                builder.push(value);
            }
            ids.push(&Value::Long(*id));
        }
        let mut columns: Vec<_> = builders.iter_mut().map(ColumnBuilder::finish).collect();
        if self.match_id {
            columns.push(ids.finish());
        }
        RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(i, c)| (format!("c{i}"), c)))
            .map(|b| vec![b])
            .map_err(|e| e.to_string())
    }
}

impl Scan {
    /// Ends all matches: steps that give out their last row do so.
    fn end(&self, held: &mut [Option<Held>], rows: &mut Vec<(Vec<Value>, i64)>) {
        for (step, h) in self.steps.iter().zip(held.iter_mut()) {
            if let (StepOutput::Last, Some(h)) = (step.output, h.as_ref()) {
                rows.push((h.values.clone(), h.id));
            }
            *h = None;
        }
    }
}

fn missing(ty: Type) -> Value {
    if ty == Type::String { Value::String(String::new()) } else { Value::Null }
}

fn one_row(schema: &Arc<Schema>, types: &[Type], cells: &[Value]) -> Result<RecordBatch, String> {
    let columns = cells.iter().zip(types).map(|(v, ty)| array([v.clone()], *ty)).collect();
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| e.to_string())
}

fn is_true(e: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> Result<bool, String> {
    let result = e.evaluate(row).and_then(|v| v.into_array(1)).map_err(|e| e.to_string())?;
    Ok(value_at(result.as_ref(), Type::Bool, 0) == Value::Bool(true))
}
