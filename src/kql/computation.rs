//! Computations over rows that a plan hands over whole: operators and functions that no expression says. What they are is for the
//! operator tree to hold ([`crate::bound`]), and for functions and operators to be.

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::record_batch::RecordBatch;

use kqlake_value::Type;

/// A function over all rows of its input, in order, in one place.
pub(crate) trait Compute: std::fmt::Debug + Send + Sync {
    /// Name for EXPLAIN.
    fn name(&self) -> &str;
    /// From all input batches (columns in the order of [`RelKind::Compute::inputs`](crate::bound::RelKind)) to the output columns
    /// (those of the node, in order, in their Arrow forms).
    ///
    /// # Errors
    /// A message for the user: the rows cannot be computed.
    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String>;
    /// The same over rows as they come; `None` for what needs all of them at once.
    fn stream(&self) -> Option<Result<Box<dyn RowStream>, String>> {
        None
    }
    /// The order of the result's rows: places of columns, and how each is ordered.
    fn order(&self) -> Vec<(usize, SortOptions)> {
        Vec::new()
    }
}

/// A [`Compute`] at work on rows as they come.
pub(crate) trait RowStream: Send {
    /// The rows of the result that are known with some more input.
    ///
    /// # Errors
    /// As [`Compute::run`].
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, String>;
    /// The rows that are left when the input has ended.
    ///
    /// # Errors
    /// As [`Compute::run`].
    fn finish(&mut self) -> Result<Vec<RecordBatch>, String>;
    /// After [`RowStream::finish`], rows that are made one batch after the other, until there are none.
    ///
    /// # Errors
    /// As [`Compute::run`].
    fn more(&mut self) -> Result<Option<RecordBatch>, String> {
        Ok(None)
    }
    /// Bytes of the rows that are held back.
    fn held(&self) -> usize;
    /// The rows of the result of a whole input.
    ///
    /// # Errors
    /// As [`Compute::run`].
    fn over(mut self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String>
    where
        Self: Sized,
    {
        let mut out = Vec::with_capacity(input.len());
        for batch in input {
            out.extend(self.push(batch)?);
        }
        out.extend(self.finish()?);
        while let Some(batch) = self.more()? {
            out.push(batch);
        }
        Ok(out)
    }
}

/// Several values at once from a row's arguments: the columns of `parse`.
pub(crate) trait RowFields: std::fmt::Debug + Send + Sync {
    /// Everything that distinguishes two of them; equal keys are computed once.
    fn key(&self) -> String;
    /// Types of the values, in order.
    fn types(&self) -> Vec<Type>;
    /// The values over whole columns.
    ///
    /// # Errors
    /// Arguments of a type that cannot be read.
    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, String>;
}
