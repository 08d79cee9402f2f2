//! An operator over all rows, applied to each sub-query of `mv-apply` or `partition` by itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array, new_null_array};
use arrow::record_batch::RecordBatch;

use super::aggregate::order::same;
use crate::computation::Compute;
use kqlake_value::Type;
use kqlake_value::columns::{ColumnReader, arrow_type, natural_type};

/// Runs an operator over the rows of each sub-query. They are adjacent: the input is sorted by the keys.
///
/// The operator's own input columns come first, then columns that are the same in all rows of a sub-query; those go behind
/// the operator's output.
///
/// A placeholder row is not the operator's: where a sub-query has one, its operator is run whether other rows are there or not, and
/// the placeholder comes behind what it gives.
#[derive(Debug)]
pub(crate) struct PerKey {
    /// The operator.
    pub op: Arc<dyn Compute>,
    /// How many input columns the operator has.
    pub width: usize,
    /// Types of the operator's own output columns.
    pub types: Vec<Type>,
    /// Places of the columns that distinguish the sub-queries.
    pub keys: Vec<usize>,
    /// Place of the column that is true in a placeholder row; those come last in their sub-query.
    pub placeholder: Option<usize>,
    /// Places of such columns of outer sub-queries: what is a placeholder there has no operator run over it.
    pub outer: Vec<usize>,
}

impl Compute for PerKey {
    fn name(&self) -> &str {
        self.op.name()
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        let Some(first) = input.first() else { return Ok(Vec::new()) };
        let all = arrow::compute::concat_batches(&first.schema(), &input).map_err(|e| e.to_string())?;
        let own: Vec<usize> = (0..self.width).collect();
        let operands = all.project(&own).map_err(|e| e.to_string())?;
        let keys = self
            .keys
            .iter()
            .map(|at| ColumnReader::new(all.column(*at), natural_type(all.column(*at).data_type())))
            .collect::<Result<Vec<_>, _>>()?;
        let marked =
            |at: usize, row: usize| all.column(at).as_boolean_opt().is_some_and(|marks| marks.is_valid(row) && marks.value(row));
        let beside = |row: usize, rows: usize| -> Result<Vec<ArrayRef>, String> {
            let same = UInt64Array::from(vec![row as u64; rows]);
            let columns = all.columns()[self.width..].iter();
            columns.map(|column| arrow::compute::take(column, &same, None).map_err(|e| e.to_string())).collect()
        };
        let mut out = Vec::new();
        let mut begin = 0;
        for end in 1..=all.num_rows() {
            if end < all.num_rows() && keys.iter().all(|k| same(k.get(end), k.get(begin))) {
                continue;
            }
            let foreign = self.outer.iter().any(|at| marked(*at, begin));
            let own = match self.placeholder {
                _ if foreign => begin,
                Some(at) => (begin..end).find(|row| marked(at, *row)).unwrap_or(end),
                None => end,
            };
            if !foreign {
                for batch in self.op.run(vec![operands.slice(begin, own - begin)])? {
                    let mut columns = batch.columns().to_vec();
                    columns.extend(beside(begin, batch.num_rows())?);
                    if let Some(at) = self.placeholder {
                        columns[self.types.len() + at - self.width] = Arc::new(BooleanArray::from(vec![false; batch.num_rows()]));
                    }
                    out.push(named(columns)?);
                }
            }
            if own < end {
                let mut columns: Vec<ArrayRef> = self.types.iter().map(|ty| new_null_array(&arrow_type(*ty), 1)).collect();
                columns.extend(beside(own, 1)?);
                out.push(named(columns)?);
            }
            begin = end;
        }
        Ok(out)
    }
}

/// A batch whose columns count by their places.
fn named(columns: Vec<ArrayRef>) -> Result<RecordBatch, String> {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().enumerate().map(|(i, c)| (format!("c{i}"), c, true)))
        .map_err(|e| e.to_string())
}
