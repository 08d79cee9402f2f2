//! `quarantine`: records that could not be read: listed, shown, tried again, dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::answer::OutputArgs;
use super::{Context, files, report};
use crate::error::{Error, Result};
use crate::output::listing::{Listing, count, text};
use kqlake_import::{
    ImportOptions, QuarantineFile, RefusedRecord, drop_files, listed_names, quarantined, refused_records, seen_again, unit_name,
    unit_path,
};
use kqlake_syntax::suggest::nearest;
use kqlake_value::{Type, Value};

/// Show the records that could not be read, by reason; try their files again, or drop them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake quarantine                                  how many records were refused, and why
  kqlake quarantine show                             the records, with file, place and reason
  kqlake quarantine show exports/users.json -f ndjson
  kqlake quarantine retry                            reads the files again, as after an upgrade
  kqlake quarantine drop exports/users.json
Files that have refused records are not read again while they do not change; `retry` reads them. Records of a file that has
changed since stay, unless the same ones are refused again: `drop` deletes them. Records are kept for 90 days and up to
1 GB (quarantine_keep, quarantine_size in kqlake.toml); of a file with very many only some are, and the others counted.")]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the records with file, place and reason
    Show {
        /// Files whose records to show [default: all]
        #[arg(value_name = "FILE")]
        names: Vec<PathBuf>,
        /// Only records whose reason has this text
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Most records to show
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: usize,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Read the files of the records again, and drop what was quarantined of them before; of files that have changed only what is
    /// quarantined anew
    Retry {
        /// Files to read again [default: all]
        #[arg(value_name = "FILE")]
        names: Vec<PathBuf>,
    },
    /// Delete records that were quarantined
    Drop {
        /// Files whose records to delete
        #[arg(value_name = "FILE", required_unless_present = "all")]
        names: Vec<PathBuf>,
        /// Delete all of them
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
}

/// # Errors
/// When the quarantine cannot be read or written, or a name is unknown; as for `import` when files are tried again.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    let lake = context.existing_lake().await?;
    let files = quarantined(lake.root()).map_err(|err| unreadable(lake.root(), err))?;
    match &args.action {
        None => args.output.listing(&by_reason(&files)?, context),
        Some(Action::Show { names, reason, limit, output }) => {
            let (listing, more) = shown(&chosen(files, names)?, reason.as_deref(), *limit)?;
            output.listing(&listing, context)?;
            if more > 0 {
                context.say(format_args!("{more} more records are not shown (--limit, or name files)"));
            }
            Ok(())
        }
        Some(Action::Retry { names }) => retry(chosen(files, names)?, context).await,
        Some(Action::Drop { names, all: _ }) => {
            let files = chosen(files, names)?;
            drop_files(&files).map_err(|err| unreadable(context.lake().root(), err))?;
            let units: BTreeSet<&str> = files.iter().map(|file| file.unit.as_str()).collect();
            context.tell(format_args!("dropped what was quarantined of {}", report::files(units.len() as u64)));
            Ok(())
        }
    }
}

fn unreadable(path: &Path, err: std::io::Error) -> Error {
    Error::io("read the quarantine in", path, err)
}

/// The files of units that are named, by their names, the beginnings of entries' names, or paths from here.
///
/// # Errors
/// A name is that of no unit.
fn chosen(files: Vec<QuarantineFile>, names: &[PathBuf]) -> Result<Vec<QuarantineFile>> {
    if names.is_empty() {
        return Ok(files);
    }
    let fits = |unit: &str, path: &Path| {
        let is = |path: &Path| listed_names(unit).any(|listed| Path::new(listed) == path || unit_path(listed) == path);
        is(path) || std::path::absolute(path).is_ok_and(|path| is(&path))
    };
    for path in names {
        if !files.iter().any(|file| fits(&file.unit, path)) {
            let name = &unit_name(path);
            let error = Error::usage(format!("nothing of `{name}` is in quarantine"));
            return Err(match nearest(name, files.iter().map(|file| file.unit.as_str())) {
                Some(unit) => error.hint(format!("did you mean `{unit}`?")),
                None => error.hint("`kqlake quarantine show` lists what is"),
            });
        }
    }
    Ok(files.into_iter().filter(|file| names.iter().any(|name| fits(&file.unit, name))).collect())
}

/// Each record of files.
fn each(files: &[QuarantineFile], mut visit: impl FnMut(&QuarantineFile, RefusedRecord)) -> Result<()> {
    for file in files {
        let read = refused_records(file).and_then(|mut records| {
            records.try_for_each(|record| {
                visit(file, record?);
                Ok(())
            })
        });
        read.map_err(|err| unreadable(&file.path, err))?;
    }
    Ok(())
}

/// A reason without what differs from record to record, numbers and what stands in quotes: what records that are reported together share.
fn kind_of(reason: &str) -> String {
    let mut kind = String::new();
    let mut quoted = None;
    for c in reason.chars() {
        match quoted {
            Some(quote) => {
                if c == quote {
                    quoted = None;
                    kind.push(c);
                }
            }
            None if matches!(c, '`' | '"') => {
                quoted = Some(c);
                kind.push(c);
                kind.push('…');
            }
            None if c.is_ascii_digit() => {
                if !kind.ends_with('#') {
                    kind.push('#');
                }
            }
            None => kind.push(c),
        }
    }
    kind
}

#[derive(Default)]
struct Reason {
    records: u64,
    files: BTreeSet<String>,
    newest: Option<i64>,
    versions: BTreeSet<String>,
    /// The reason of the first record, as it was written.
    text: String,
    example: String,
}

/// What stands for a reason where records were only counted.
const NOT_KEPT: &str = "more records were refused; their texts are not kept";

fn by_reason(files: &[QuarantineFile]) -> Result<Listing> {
    let mut reasons: BTreeMap<String, Reason> = BTreeMap::new();
    each(files, |file, record| {
        let reason = reasons.entry(kind_of(&record.reason)).or_default();
        reason.records += record.omitted.max(1);
        reason.files.insert(record.unit.clone());
        reason.newest = reason.newest.max(file.at);
        reason.versions.extend(file.version.clone());
        if reason.example.is_empty() {
            reason.text = if record.omitted > 0 { NOT_KEPT.to_owned() } else { record.reason.clone() };
            reason.example = format!("{} ({})", record.unit, place(&record));
        }
    })?;
    let mut listing = Listing::new([
        ("reason", Type::String),
        ("records", Type::Long),
        ("files", Type::Long),
        ("newest", Type::DateTime),
        ("refusedBy", Type::String),
        ("example", Type::String),
    ]);
    let mut reasons: Vec<Reason> = reasons.into_values().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.records));
    for reason in reasons {
        listing.push([
            text(reason.text),
            count(reason.records),
            count(reason.files.len() as u64),
            at(reason.newest),
            text(reason.versions.into_iter().collect::<Vec<_>>().join(" ")),
            text(reason.example),
        ]);
    }
    Ok(listing)
}

fn at(micros: Option<i64>) -> Value {
    micros.map_or(Value::Null, |micros| Value::DateTime(kqlake_value::datetime_of_us(micros)))
}

fn place(record: &RefusedRecord) -> String {
    match (record.line, record.record, record.byte) {
        (Some(line), ..) => format!("line {line}"),
        (None, Some(0), _) => "the whole file".to_owned(),
        (None, Some(record), Some(byte)) => format!("record {record}, byte {byte}"),
        _ => "no place".to_owned(),
    }
}

/// Bytes of records that are shown at once.
const SHOWN_BYTES: usize = 64 << 20;

/// Records with a reason, and how many more there are.
fn shown(files: &[QuarantineFile], wanted: Option<&str>, limit: usize) -> Result<(Listing, u64)> {
    let (mut bytes, mut more) = (0, 0);
    let mut listing = Listing::new([
        ("file", Type::String),
        ("place", Type::String),
        ("reason", Type::String),
        ("record", Type::String),
        ("whole", Type::Bool),
        ("refusedAt", Type::DateTime),
        ("importId", Type::String),
        ("setAsideIn", Type::String),
    ]);
    each(files, |file, record| {
        if wanted.is_some_and(|wanted| !record.reason.contains(wanted)) {
            return;
        }
        if listing.rows.len() >= limit || bytes > SHOWN_BYTES {
            more += 1;
            return;
        }
        bytes += record.text.len();
        listing.push([
            text(&record.unit),
            text(place(&record)),
            text(&record.reason),
            text(&record.text),
            Value::Bool(record.is_whole),
            at(file.at),
            text(&file.import_id),
            text(file.path.display().to_string()),
        ]);
    })?;
    Ok((listing, more))
}

/// Reads the files again that still are there. What was quarantined of them before goes when the try is in the lake and has seen
/// the same records: what a file holds no longer stands nowhere else.
async fn retry(files: Vec<QuarantineFile>, context: &Context) -> Result<()> {
    let there = |file: &QuarantineFile| listed_names(&file.unit).find(|name| unit_path(name).is_file()).map(str::to_owned);
    let names: BTreeSet<String> = files.iter().filter_map(there).collect();
    let gone: BTreeSet<&str> = files.iter().filter(|file| there(file).is_none()).map(|file| file.unit.as_str()).collect();
    for unit in gone {
        context.say(format_args!("{unit} is not there any more: its records stay in quarantine"));
    }
    if names.is_empty() {
        context.tell("nothing to try again");
        return Ok(());
    }
    let paths: Vec<PathBuf> = names.iter().map(|name| unit_path(name)).collect();
    let options = ImportOptions { retry: names, ..files::settings(context) };
    let summary = files::land(&paths, &options, context).await?;
    let seen = seen_again(&context.lake(), &files, &summary).await.map_err(files::failed)?;
    let stay = |file: &&QuarantineFile| there(file).is_some() && !seen.iter().any(|seen| seen.path == file.path);
    let changed: BTreeSet<&str> = files.iter().filter(stay).map(|file| file.unit.as_str()).collect();
    for unit in changed {
        context.say(format_args!(
            "{unit} is not what it was when its records were refused, or could not be read: they stay in quarantine \
             (`kqlake quarantine drop` deletes them)"
        ));
    }
    drop_files(seen).map_err(|err| unreadable(context.lake().root(), err))?;
    files::outcome(&summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_together_whatever_record_they_are_of() {
        assert_eq!(kind_of("no valid JSON: expected `,` at line 1 column 120"), "no valid JSON: expected `…` at line # column #");
        assert_eq!(kind_of("the record has no time"), "the record has no time");
    }
}
