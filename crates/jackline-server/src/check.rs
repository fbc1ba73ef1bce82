//! `jackline check`: not wired to the library yet.

use crate::cli::CheckArgs;
use crate::config::{Config, Mistakes};

/// Looks at the settings, and at a running server, and prints what is wrong with its fix.
///
/// # Errors
///
/// If something is wrong.
pub async fn run(_config: Result<Config, Mistakes>, _args: CheckArgs) -> anyhow::Result<()> {
    anyhow::bail!("checking is not built yet")
}
