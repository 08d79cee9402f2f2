//! The order of rows in files: by the table's clustering columns, then by time.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};

use super::layout::Layout;
use crate::error::LakeError;

/// Turns rows into keys that compare as the rows are to lie: column by column, absent values first.
#[derive(Debug)]
pub(crate) struct RowOrder {
    table: &'static str,
    columns: Vec<usize>,
    converter: RowConverter,
}

impl RowOrder {
    /// The order of a table's files.
    ///
    /// # Errors
    /// Never for the types that table definitions may order by.
    pub(crate) fn new(layout: &Layout) -> Result<Self, LakeError> {
        let table = layout.def.name;
        let columns = layout.order.clone();
        let fields = columns.iter().map(|at| SortField::new(layout.file.field(*at).data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(|source| LakeError::Arrow { table, source })?;
        Ok(RowOrder { table, columns, converter })
    }

    /// The keys of a batch of all file columns.
    ///
    /// # Errors
    /// The batch has other columns.
    pub(crate) fn keys(&self, batch: &RecordBatch) -> Result<Rows, LakeError> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|at| batch.column(*at).clone()).collect();
        self.converter.convert_columns(&columns).map_err(|source| LakeError::Arrow { table: self.table, source })
    }
}

/// Looks whether rows come in order.
#[derive(Debug)]
pub(crate) struct OrderCheck {
    order: RowOrder,
    last: Option<OwnedRow>,
    holds: bool,
}

impl OrderCheck {
    /// A check of the order of a table's files.
    ///
    /// # Errors
    /// As for [`RowOrder::new`].
    pub(crate) fn new(layout: &Layout) -> Result<Self, LakeError> {
        Ok(OrderCheck { order: RowOrder::new(layout)?, last: None, holds: true })
    }

    /// Takes the next rows.
    ///
    /// # Errors
    /// As for [`RowOrder::keys`].
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if !self.holds || batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = self.order.keys(batch)?;
        let joins = self.last.as_ref().is_none_or(|last| last.row() <= keys.row(0));
        self.holds = joins && (1..keys.num_rows()).all(|at| keys.row(at - 1) <= keys.row(at));
        self.last = Some(keys.row(keys.num_rows() - 1).owned());
        Ok(())
    }

    /// Takes rows of which is known whether they are in order, all of a file.
    pub(crate) fn take_known(&mut self, holds: bool) {
        self.holds &= holds;
    }

    /// True when all rows came in order.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }
}
