//! The messages of the threads that read units to the task that lands their rows, and the batches in which rows go there.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc::UnboundedSender;

use super::budget::Budget;
use super::files::documents::Stop;
use super::row::Row;
use super::{ImportError, UnitReport};
use kqlake_lake::tables::TableDef;
use kqlake_lake::{RowBuilder, bytes_of_rows};

/// Rows of a batch.
pub(crate) const BATCH_ROWS: usize = 8_192;
/// Bytes of a batch; a batch may be larger by one record.
pub(crate) const BATCH_BYTES: usize = 2 << 20;

/// What a reading thread reports of one listed unit, in order.
#[derive(Debug)]
pub(crate) enum Message {
    /// The unit is opened, which may wait for somebody else.
    Opening(String),
    /// A unit begins: the listed one, or an entry of it.
    Started(String),
    /// Bytes were read.
    Advanced(u64),
    /// Rows of a table, and the bytes that they take.
    Rows(&'static TableDef, RecordBatch, usize),
    /// The rows of a unit were all sent.
    Finished(Box<UnitReport>),
    /// There is nothing more in the listed unit.
    End,
    /// The import cannot continue.
    Broken(ImportError),
}

/// The way of messages about one listed unit.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    /// Where they go.
    pub sender: UnboundedSender<Message>,
    /// What rows of it may wait.
    pub budget: Arc<Budget>,
    /// The unit's number.
    pub unit: u64,
}

impl Outbox {
    /// Sends a message.
    ///
    /// # Errors
    /// The receiver is gone.
    pub(crate) fn send(&self, message: Message) -> Result<(), Stop> {
        self.sender.send(message).map_err(|_| Stop)
    }

    fn rows(&self, table: &'static TableDef, batch: RecordBatch) -> Result<(), Stop> {
        let bytes = bytes_of_rows(&batch);
        if self.budget.take(self.unit, bytes) { self.send(Message::Rows(table, batch, bytes)) } else { Err(Stop) }
    }
}

/// Why rows cannot be put together.
pub(crate) fn misfit(table: &str, source: &ArrowError) -> ImportError {
    ImportError::Reader(format!("rows of {table} do not fit their table: {source}"))
}

/// Collects a unit's rows into batches and sends them.
pub(crate) struct Batches {
    outbox: Outbox,
    builders: HashMap<&'static str, RowBuilder>,
    import_id: String,
    /// True when rows are only counted.
    dry_run: bool,
}

impl Batches {
    /// Batches of one listed unit, whose rows carry the run's name.
    pub(crate) fn new(outbox: Outbox, import_id: &str, dry_run: bool) -> Self {
        Self { outbox, builders: HashMap::new(), import_id: import_id.to_owned(), dry_run }
    }

    /// Sends a message that is no row.
    ///
    /// # Errors
    /// The receiver is gone.
    pub(crate) fn send(&self, message: Message) -> Result<(), Stop> {
        self.outbox.send(message)
    }

    /// The way of messages, for those who have nothing but that to say.
    pub(crate) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Takes a row.
    ///
    /// # Errors
    /// The receiver is gone.
    pub(crate) fn add(&mut self, row: &Row<'_>) -> Result<(), Stop> {
        if self.dry_run {
            return Ok(());
        }
        let builder = self.builders.entry(row.table.name).or_insert_with(|| RowBuilder::new(row.table));
        row.append_to(builder, &self.import_id);
        if builder.rows() >= BATCH_ROWS || builder.bytes() >= BATCH_BYTES {
            let table = row.table.name;
            self.flush(table)?;
        }
        Ok(())
    }

    fn flush(&mut self, table: &'static str) -> Result<(), Stop> {
        let Some(builder) = self.builders.get_mut(table).filter(|b| b.rows() > 0) else { return Ok(()) };
        let def = builder.def();
        match builder.finish() {
            Ok(batch) => self.outbox.rows(def, batch),
            Err(source) => self.send(Message::Broken(misfit(table, &source))),
        }
    }

    /// Sends rows that were put together elsewhere.
    ///
    /// # Errors
    /// The receiver is gone.
    pub(crate) fn send_rows(&self, table: &'static TableDef, batch: RecordBatch) -> Result<(), Stop> {
        self.outbox.rows(table, batch)
    }

    /// Sends the rows that were taken and not sent yet.
    ///
    /// # Errors
    /// The receiver is gone.
    pub(crate) fn flush_all(&mut self) -> Result<(), Stop> {
        let mut tables: Vec<&'static str> = self.builders.keys().copied().collect();
        tables.sort_unstable();
        tables.into_iter().try_for_each(|table| self.flush(table))
    }
}
