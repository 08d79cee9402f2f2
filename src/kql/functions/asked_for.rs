//! Rows that nobody gives: the first one that asks ends the query, and where none asks the query is answered.

use arrow::record_batch::RecordBatch;

use crate::computation::{Compute, RowStream};

/// What a service says of rows, where the service is not asked.
#[derive(Debug, Clone)]
pub(crate) struct AskedFor {
    /// The service's function.
    pub function: String,
    /// Why it is not asked.
    pub why: &'static str,
}

impl Compute for AskedFor {
    fn name(&self) -> &str {
        &self.function
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        self.clone().over(input)
    }

    fn stream(&self) -> Option<Result<Box<dyn RowStream>, String>> {
        Some(Ok(Box::new(self.clone())))
    }
}

impl RowStream for AskedFor {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, String> {
        if batch.num_rows() > 0 { Err(self.why.to_owned()) } else { Ok(Vec::new()) }
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, String> {
        Ok(Vec::new())
    }

    fn held(&self) -> usize {
        0
    }
}
