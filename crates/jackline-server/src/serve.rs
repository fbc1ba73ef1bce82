//! `jackline serve`: not wired to the library yet.

use crate::config::Config;

/// Serves until it is told to stop.
///
/// # Errors
///
/// If it cannot listen, or a store or database cannot be opened.
pub async fn run(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("serving is not built yet")
}
