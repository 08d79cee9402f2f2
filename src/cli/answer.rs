//! Where a result goes: its format, its file, how much of it is drawn.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use clap::ValueEnum as _;

use super::Context;
use crate::error::{Error, Result};
use crate::output::listing::Listing;
use crate::output::{ENDINGS, Format, OutputError, Sink, TableStyle, Truncation, sink, terminal};
use kqlake_durable::{self as durable, Output, TargetKind};
use kqlake_value::Column;
use kqlake_value::escape::escaped_lines;

/// Options of every command that writes a result.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OutputArgs {
    /// Format of the result [default: table on a terminal, else csv; with -o, what the file's ending says, csv without one]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Write to a file instead of standard output; it appears when it is complete
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most rows that the table format draws, or `all`
    #[arg(long, value_name = "N", default_value = "40", value_parser = max_rows)]
    pub max_rows: MaxRows,
}

/// A number of rows or all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaxRows(Option<usize>);

fn max_rows(text: &str) -> Result<MaxRows, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(MaxRows(None));
    }
    text.parse().map(|n| MaxRows(Some(n))).map_err(|_| "a number of rows or `all` was expected".to_owned())
}

impl OutputArgs {
    /// The file to write, unless it is standard output.
    fn path(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-") && !durable::is_standard_output(path))
    }

    /// The file to write, where it is a named pipe.
    pub(super) fn pipe(&self) -> Option<&Path> {
        self.path().filter(|path| durable::kind(path) == TargetKind::Pipe)
    }

    /// The format to write.
    pub(super) fn format(&self) -> Format {
        self.format.unwrap_or_else(|| match self.path() {
            Some(path) => Format::of_path(path).unwrap_or(Format::Csv),
            None if io::stdout().is_terminal() => Format::Table,
            None => Format::Csv,
        })
    }

    /// True where the command line says a format, by itself or by a file's ending.
    pub(super) fn names_format(&self) -> bool {
        let of_file = || self.path().and_then(Format::of_path).is_some_and(|format| format != Format::Table);
        self.format.is_some() || of_file()
    }

    /// Checks what can be checked before any work is done.
    ///
    /// # Errors
    /// For a format that cannot go where it should, a path that is no file's or lies in the lake, a folder that is missing.
    pub(super) fn check(&self, context: &Context) -> Result<()> {
        let Some(path) = self.path() else {
            return match self.format() {
                Format::Parquet => Err(Error::usage("the format parquet needs a file").hint("add -o FILE.parquet")),
                _ => Ok(()),
            };
        };
        let shown = path.display();
        // A name without an ending says nothing; one that names no format of ours says that something else is in the file.
        let end = path.extension().filter(|end| !end.is_empty() && Format::of_path(path).is_none());
        if let (None, Some(end)) = (self.format, end) {
            let end = end.to_string_lossy();
            let named = Format::from_str(&end, true).ok().and_then(|format| format.to_possible_value());
            let say = named.map_or_else(|| "say with -f what is in it".to_owned(), |name| format!("add -f {}", name.get_name()));
            return Err(Error::usage(format!("-o {shown}: the ending .{end} stands for no format"))
                .hint(format!("name a file that ends in {ENDINGS}, or {say}")));
        }
        let ends_as_folder = path.as_os_str().as_encoded_bytes().last().is_some_and(|b| std::path::is_separator(char::from(*b)));
        if ends_as_folder || path.file_name().is_none() || durable::kind(path) == TargetKind::Folder {
            return Err(Error::usage(format!("-o {shown} is a folder, a file was expected")).hint("name the file in it too"));
        }
        if durable::kind(path) != TargetKind::File {
            return Ok(());
        }
        let file = durable::resolved(path);
        if let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) {
            let (kind, hint) = match folder.exists() {
                true => (io::ErrorKind::NotADirectory, "is a file and no folder"),
                false => (io::ErrorKind::NotFound, "does not exist: make the folder first"),
            };
            return Err(Error::io("write", path, kind.into()).hint(format!("{} {hint}", folder.display())));
        }
        if file.starts_with(durable::resolved(&context.config.lake)) {
            return Err(Error::usage(format!("-o {shown} lies in the lake {}", context.config.lake.display()))
                .hint("the lake is written by imports alone; name a file elsewhere"));
        }
        self.spare(context.config.file.as_deref())
    }

    /// Checks that the output does not replace a file that the command reads.
    ///
    /// # Errors
    /// When it is the same file.
    pub(super) fn spare(&self, read: Option<&Path>) -> Result<()> {
        match (self.path(), read) {
            (Some(path), Some(read)) if read.is_file() && durable::resolved(path) == durable::resolved(read) => {
                Err(Error::usage(format!("-o {} would replace the file that is read", path.display())).hint("name another file"))
            }
            _ => Ok(()),
        }
    }

    /// Opens the destination for an answer of `tables` tables.
    ///
    /// # Errors
    /// When the file cannot be made, or the format cannot hold the answer.
    pub(super) fn open(&self, tables: usize, context: &Context) -> Result<Destination> {
        self.check(context)?;
        let format = self.format();
        if format == Format::Parquet && tables != 1 {
            return Err(Error::usage(format!("the query gives {tables} tables, a Parquet file holds one"))
                .hint("use -f json or -f kusto"));
        }
        let style = TableStyle { max_rows: self.max_rows.0, width: if self.path().is_none() { terminal::width() } else { None } };
        let (out, file) = self.opened()?;
        Ok(Destination { sink: sink(format, BufWriter::with_capacity(1 << 16, out), tables, style), file })
    }

    /// The writer, and the file that takes its name in the end.
    fn opened(&self) -> Result<(Box<dyn Write + Send>, Option<(Output, PathBuf)>)> {
        let Some(path) = self.path() else { return Ok((Box::new(io::stdout()), None)) };
        let failed = |err| with_advice(Error::io("write", path, err));
        let output = Output::open(path).map_err(failed)?;
        Ok((Box::new(output.writer().map_err(failed)?), Some((output, path.to_path_buf()))))
    }

    /// Writes text for people to the destination. Names and texts of data may be part of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn text(&self, text: &str, context: &Context) -> Result<()> {
        self.check(context)?;
        let (mut out, file) = self.opened()?;
        let path = self.path().unwrap_or(Path::new("standard output"));
        out.write_all(escaped_lines(text).as_bytes()).and_then(|()| out.flush()).map_err(|err| Error::io("write", path, err))?;
        finish(file)
    }

    /// Writes a listing of our own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn listing(&self, listing: &Listing, context: &Context) -> Result<()> {
        // A listing is read from top to bottom; cutting it would hide what was asked for.
        let whole = OutputArgs { max_rows: MaxRows(None), ..self.clone() };
        let mut destination = whole.open(1, context)?;
        let batch = listing.batch().map_err(|err| Error::Defect(format!("a listing has no batch: {err}")))?;
        destination.start("Table_0", &listing.columns)?;
        destination.rows(&batch)?;
        destination.end()?;
        destination.finish(context)
    }
}

/// Gives a complete file its name.
fn finish(file: Option<(Output, PathBuf)>) -> Result<()> {
    match file {
        Some((output, path)) => output.finish().map_err(|err| with_advice(Error::io("write", &path, err))),
        None => Ok(()),
    }
}

/// What could not be written, with the file's name where there is one.
fn unwritten(err: OutputError, file: Option<&(Output, PathBuf)>) -> Error {
    match (Error::from(err), file) {
        (Error::Storage { hint, source, .. }, Some((_, path))) => {
            with_advice(Error::Storage { message: format!("cannot write {}", path.display()), hint, source })
        }
        (other, _) => other,
    }
}

/// Advice for a file that cannot be written, where there is none.
fn with_advice(err: Error) -> Error {
    if err.advice().is_some() { err } else { err.hint("name another file with -o") }
}

/// An open destination: a format's writer, and the file that gets its name only when it is complete.
pub(super) struct Destination {
    /// Writes the rows.
    sink: Box<dyn Sink>,
    file: Option<(Output, PathBuf)>,
}

impl Destination {
    /// Begins a table of the answer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn start(&mut self, name: &str, columns: &[Column]) -> Result<()> {
        self.sink.start(name, columns).map_err(|err| unwritten(err, self.file.as_ref()))
    }

    /// Writes rows of the table that was begun.
    ///
    /// # Errors
    /// As [`Destination::start`].
    pub(super) fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        self.sink.rows(batch).map_err(|err| unwritten(err, self.file.as_ref()))
    }

    /// Ends the table.
    ///
    /// # Errors
    /// As [`Destination::start`].
    pub(super) fn end(&mut self) -> Result<()> {
        self.sink.end().map_err(|err| unwritten(err, self.file.as_ref()))
    }

    /// Completes the output, and says what was left out of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(self, context: &Context) -> Result<()> {
        let Destination { mut sink, file } = self;
        sink.finish().map_err(|err| unwritten(err, file.as_ref()))?;
        let truncation = sink.truncation();
        drop(sink);
        finish(file)?;
        if let Some(Truncation { shown, total, columns_hidden }) = truncation {
            if shown < total {
                context
                    .say(format_args!("{shown} of {total} rows shown (--max-rows all shows them all, -f csv writes them all)"));
            }
            if columns_hidden > 0 {
                context.say(format_args!("{columns_hidden} columns did not fit (`project` fewer, or -f json writes them all)"));
            }
        }
        Ok(())
    }
}
