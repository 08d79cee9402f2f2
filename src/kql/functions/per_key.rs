//! An operator over all rows, applied to each sub-query of `mv-apply` or `partition` by itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::record_batch::RecordBatch;

use super::aggregate::order::same;
use crate::computation::Compute;
use kqlake_value::columns::{ColumnReader, natural_type};

/// Runs an operator over the rows of each sub-query. They are adjacent: the input is sorted by the keys.
///
/// The operator's own input columns come first, then columns that are the same in all rows of a sub-query; those go behind
/// the operator's output.
#[derive(Debug)]
pub(crate) struct PerKey {
    /// The operator.
    pub op: Arc<dyn Compute>,
    /// How many input columns the operator has.
    pub width: usize,
    /// Places of the columns that distinguish the sub-queries.
    pub keys: Vec<usize>,
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
        let mut out = Vec::new();
        let mut begin = 0;
        for row in 1..=all.num_rows() {
            if row < all.num_rows() && keys.iter().all(|k| same(k.get(row), k.get(begin))) {
                continue;
            }
            for batch in self.op.run(vec![operands.slice(begin, row - begin)])? {
                let mut columns = batch.columns().to_vec();
                let same = UInt64Array::from(vec![begin as u64; batch.num_rows()]);
                for column in &all.columns()[self.width..] {
                    columns.push(arrow::compute::take(column, &same, None).map_err(|e| e.to_string())?);
                }
                out.push(named(columns)?);
            }
            begin = row;
        }
        Ok(out)
    }
}

/// A batch whose columns count by their places.
fn named(columns: Vec<ArrayRef>) -> Result<RecordBatch, String> {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().enumerate().map(|(i, c)| (format!("c{i}"), c, true)))
        .map_err(|e| e.to_string())
}
