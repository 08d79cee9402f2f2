//! Where a result goes: its format, its file, how much of it is drawn.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use super::Context;
use crate::error::{Error, Result};
use crate::output::listing::Listing;
use crate::output::{Drawing, Format, LeftOut, Sink, sink, terminal};

/// Options of every command that writes a result.
#[derive(Debug, Clone, clap::Args)]
pub struct OutputArgs {
    /// Format of the result [default: table on a terminal, else csv; with -o, what the file's ending says]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most rows that the table format draws, or `all`
    #[arg(long, value_name = "N", default_value = "40", value_parser = max_rows)]
    pub max_rows: MaxRows,
}

/// A number of rows or all of them.
#[derive(Debug, Clone, Copy)]
pub struct MaxRows(Option<usize>);

fn max_rows(text: &str) -> Result<MaxRows, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(MaxRows(None));
    }
    text.parse().map(|n| MaxRows(Some(n))).map_err(|_| "a number of rows or `all` was expected".to_owned())
}

impl OutputArgs {
    /// The file to write, unless it is standard output.
    fn path(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// The format to write.
    pub fn format(&self) -> Format {
        self.format.unwrap_or_else(|| match self.path() {
            Some(path) => Format::of_path(path).unwrap_or(Format::Csv),
            None if io::stdout().is_terminal() => Format::Table,
            None => Format::Csv,
        })
    }

    /// Checks what can be checked before any work is done.
    ///
    /// # Errors
    /// For a format that cannot go where it should.
    pub fn check(&self) -> Result<()> {
        if self.format() == Format::Parquet && self.path().is_none() {
            return Err(Error::usage("the format parquet needs a file").hint("add -o FILE.parquet"));
        }
        Ok(())
    }

    /// Opens the destination for an answer of `tables` tables.
    ///
    /// # Errors
    /// When the file cannot be made, or the format cannot hold the answer.
    pub fn open(&self, tables: usize) -> Result<Destination> {
        self.check()?;
        let format = self.format();
        if format == Format::Parquet && tables != 1 {
            return Err(Error::usage(format!("the query gives {tables} tables, a Parquet file holds one"))
                .hint("use -f json or -f kusto"));
        }
        let drawing = Drawing { max_rows: self.max_rows.0, width: if self.path().is_none() { terminal::width() } else { None } };
        Ok(match self.path() {
            None => {
                Destination { sink: sink(format, BufWriter::with_capacity(1 << 16, io::stdout()), tables, drawing), staged: None }
            }
            Some(path) => {
                let staged = Staged::beside(path);
                let file = File::create(&staged.partial).map_err(|err| Error::io("write", path, err))?;
                Destination { sink: sink(format, BufWriter::with_capacity(1 << 16, file), tables, drawing), staged: Some(staged) }
            }
        })
    }

    /// Writes plain text to the destination.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&self, text: &str) -> Result<()> {
        match self.path() {
            None => io::stdout().write_all(text.as_bytes()).map_err(|err| Error::io("write", Path::new("standard output"), err)),
            Some(path) => std::fs::write(path, text).map_err(|err| Error::io("write", path, err)),
        }
    }

    /// Writes a listing of our own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn listing(&self, listing: &Listing, context: &Context) -> Result<()> {
        // A listing is read from top to bottom; cutting it would hide what was asked for.
        let whole = OutputArgs { max_rows: MaxRows(None), ..self.clone() };
        let mut destination = whole.open(1)?;
        let batch = listing.batch().map_err(|err| Error::Defect(format!("a listing has no batch: {err}")))?;
        destination.sink.start("Table_0", &listing.columns)?;
        destination.sink.rows(&batch)?;
        destination.sink.end()?;
        destination.finish(context)
    }
}

/// An open destination: a format's writer, and the file that gets its name only when it is complete.
pub struct Destination {
    /// Writes the rows.
    pub sink: Box<dyn Sink>,
    staged: Option<Staged>,
}

impl Destination {
    /// Completes the output, and says what was left out of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self, context: &Context) -> Result<()> {
        let Destination { mut sink, staged } = self;
        sink.finish()?;
        let left_out = sink.left_out();
        drop(sink);
        if let Some(staged) = staged {
            staged.publish()?;
        }
        if let Some(LeftOut { shown, total, columns_hidden }) = left_out {
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

/// A file under a passing name; dropped without being published, it is removed.
#[derive(Debug)]
struct Staged {
    partial: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Staged {
    fn beside(path: &Path) -> Staged {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let partial = path.with_file_name(format!(".{name}.partial-{}", std::process::id()));
        Staged { partial, path: path.to_path_buf(), published: false }
    }

    fn publish(mut self) -> Result<()> {
        std::fs::rename(&self.partial, &self.path).map_err(|err| Error::io("write", &self.path, err))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            drop(std::fs::remove_file(&self.partial));
        }
    }
}
