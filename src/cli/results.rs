//! Running an answer and writing its rows as they come.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::answer::OutputArgs;
use super::input::Text;
use super::progress::Progress;
use super::{Context, report};
use crate::engine::{Explain, QueryAnswer};
use crate::error::{RefusedQuery, Result};
use crate::output::Format;
use kqlake_durable::pipe;

/// A query that takes longer than this before its first rows shows that it runs.
const PATIENCE: Duration = Duration::from_millis(700);

/// Runs an answer's tables one after the other into their destination, or explains them.
///
/// # Errors
/// When the query fails or its answer cannot be written.
pub(super) async fn write(
    answer: &QueryAnswer,
    explain: Option<Explain>,
    output: &OutputArgs,
    query: &Text,
    context: &Context,
) -> Result<()> {
    if !answer.warnings.is_empty() && !context.quiet {
        report::diagnostics(&RefusedQuery {
            name: query.name.clone(),
            text: query.text.clone(),
            diagnostics: answer.warnings.clone(),
        });
    }
    output.spare(Some(Path::new(&query.name)))?;
    if let Some(how) = explain {
        let mut text = String::new();
        for table in &answer.tables {
            if answer.tables.len() > 1 {
                text.push_str(&format!("{}\n", table.name));
            }
            text.push_str(&table.explain(how).await?);
            text.push('\n');
        }
        return output.text(&text, context);
    }
    // A pipe's reader is waited for apart, so that the query's time counts. It stays open until it is opened again to write.
    let reader = match output.pipe() {
        Some(pipe) => answer.in_time(opened(pipe.to_path_buf())).await?,
        None => None,
    };
    let mut destination = output.open(answer.tables.len(), context)?;
    drop(reader);
    for table in &answer.tables {
        // The plan runs before the first byte is written, so that a query that fails at once leaves no half document.
        let first = async {
            let mut rows = table.run().await?;
            let batch = rows.next().await?;
            Ok::<_, crate::error::Error>((rows, batch))
        };
        let (mut rows, mut batch) = patiently(first, context).await?;
        destination.start(&table.name, &table.columns)?;
        while let Some(rows_now) = batch {
            destination.rows(&rows_now)?;
            // Rows that are always there already would leave no moment to see a signal.
            tokio::task::yield_now().await;
            batch = rows.next().await?;
        }
        destination.end()?;
    }
    destination.finish(context)?;
    if let Some(render) = answer.render.as_ref().filter(|_| output.format() == Format::Table) {
        context.say(format_args!("render {}: shown as a table, the kind of chart is only noted", render.kind));
    }
    Ok(())
}

/// Opens a pipe on a thread of its own, which ends with the pipe's reader or with the process.
async fn opened(pipe: PathBuf) -> Option<File> {
    let (sender, receiver) = oneshot::channel();
    // Where there is no thread the pipe is only opened later.
    let opening = thread::Builder::new().spawn(move || drop(sender.send(pipe::write(&pipe).ok())));
    if opening.is_ok() { receiver.await.ok().flatten() } else { None }
}

/// Awaits something, and shows after a while that it is still being worked on.
async fn patiently<T>(work: impl Future<Output = T>, context: &Context) -> T {
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(PATIENCE, work.as_mut()).await {
        Ok(done) => done,
        Err(_) => {
            let _progress = Progress::new(context, "running the query");
            work.await
        }
    }
}
