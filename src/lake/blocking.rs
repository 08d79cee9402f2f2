//! Work that computes or waits for the disk, on threads of its own.

use crate::error::LakeError;

/// Runs work that computes and blocks away from the threads that wait for the network.
///
/// # Errors
/// [`LakeError::Worker`] when the thread ended before the work did.
pub(crate) async fn run_blocking<T: Send + 'static>(
    table: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LakeError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| LakeError::Worker { table, source })
}
