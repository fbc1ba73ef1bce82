//! `jackline sessions`, and how `jackline user` ends sessions: not wired to the library yet.

use crate::cli::SessionsCommand;
use crate::cli::user::EndSessions;
use crate::config::Config;
use crate::users::UserId;

/// Lists or ends a user's sessions.
///
/// # Errors
///
/// If there is no such user or session, or the store fails.
pub async fn run(_config: Config, _command: SessionsCommand) -> anyhow::Result<()> {
    anyhow::bail!("listing and ending sessions is not built yet")
}

/// Ends sessions in the configured store.
#[derive(Debug)]
pub struct StoredSessions;

impl EndSessions for StoredSessions {
    async fn end_all(&self, _user: &UserId) -> anyhow::Result<u64> {
        anyhow::bail!("ending sessions is not built yet")
    }
}
