//! What a file is found to hold: records with their places, and the sink that takes them.

use std::fmt;

use super::csv::CsvRecord;
use super::dates::Dates;

/// The place of a record in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Line of its first byte, from 1, in texts that have records on lines.
    pub line: Option<u64>,
    /// Its first byte, from 0, in the decompressed text.
    pub byte: u64,
    /// Its number among the file's records, from 1.
    pub record: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}, byte {}", self.byte),
            None => write!(f, "record {}, byte {}", self.record, self.byte),
        }
    }
}

/// What a page says beside its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// The text of `@odata.context` or `odata.metadata`.
    pub context: Option<String>,
    /// The object in `@kqlake.columns`: values of columns that its records do not have by themselves, such as the name of the team
    /// that was asked for its channels.
    pub columns: Option<String>,
}

/// The heading of one table of a query answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AnswerHeading {
    /// The table's name, such as `PrimaryResult`.
    pub name: String,
    /// Column names in order.
    pub columns: Vec<String>,
}

/// The heading of a CSV file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heading {
    /// Column names in order.
    pub columns: Vec<String>,
    /// The file is an export, whose texts have a guard where a spreadsheet would take them for formulas.
    pub is_guarded: bool,
}

/// One item found in a file.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A JSON object that should be a record.
    Object { text: &'a str, page: &'a Page },
    /// A row of a query answer: a JSON array of the columns' values.
    AnswerRow { answer: &'a AnswerHeading, text: &'a str },
    /// A row of a CSV file, with as many fields as its heading has.
    CsvRow { heading: &'a Heading, record: &'a CsvRecord },
    /// Something that cannot be read, and why.
    Bad { reason: Reason, text: &'a [u8] },
}

/// Why something in a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The text ends inside of a record.
    EndsInside,
    /// The text ends between two records, before the closing bracket of the document around them.
    EndsOpen,
    /// The text is no JSON at some place: why, in words.
    NoJson(String),
    /// Anything else, in words.
    Other(String),
}

impl Reason {
    /// True when the text ends too early: the file was cut off.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Reason::EndsInside | Reason::EndsOpen)
    }

    /// True when it is the text that is damaged, and not what it says.
    pub(crate) fn is_damage(&self) -> bool {
        self.is_cut() || matches!(self, Reason::NoJson(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::EndsInside => "the file ends inside this record",
            Reason::EndsOpen => "the document ends before its closing bracket; what followed is missing",
            Reason::NoJson(text) | Reason::Other(text) => text,
        })
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Reason::Other(text)
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Reason::Other(text.to_owned())
    }
}

/// The sink asks to stop: nothing that follows would be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop;

/// Takes what a file holds.
pub(crate) trait Sink {
    /// Takes one item.
    fn item(&mut self, item: Item<'_>, place: Place) -> Result<(), Stop>;

    /// Receives a CSV file's heading before the rows, and returns the places of the columns whose dates may have their day or
    /// their month first; an error says why the heading is none of those known.
    fn heading(&mut self, heading: &Heading) -> Result<Vec<usize>, String>;

    /// What `heading` would return, for a heading that is only looked at.
    fn date_columns(&self, heading: &Heading) -> Result<Vec<usize>, String>;

    /// Receives, before the first row with such a date, what all of them from there to the file's end say of their order; an
    /// error says why the file is refused.
    fn dates(&mut self, dates: &Dates) -> Result<(), String>;
}

/// What walking a text came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Walked {
    /// It was walked to its end (or to where it broke, which was reported to the sink).
    Done,
    /// There is nothing in it.
    Empty,
    /// It is of no known form; what was tried.
    Unknown(Vec<String>),
    /// Its form is known, and it cannot be read as a whole; why.
    Refused(String),
    /// Nothing is wrong with it: a temporary file that is needed to read it cannot be written or read; why.
    NoScratch(String),
}
