//! What the routes work with.

use std::sync::Arc;

use jackline::engine::Engine;
use jackline::lifecycle::UnixMs;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::console::Console;
use crate::factors::Factors;
use crate::guessing::Guessing;
use crate::passwords::PasswordHasher;
use crate::users::Users;

/// Shared by all requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// Sessions.
    pub engine: Engine,
    /// Who may log in.
    pub users: Users,
    /// What they prove who they are with, beside passwords.
    pub factors: Factors,
    /// The origins that browsers see, if the settings name some.
    pub public_origins: Arc<[String]>,
    /// Whether an administrator without a second factor may log in. Not in production.
    pub admins_need_second_factor: bool,
    /// How often somebody may try to log in.
    pub guessing: Guessing,
    /// Checks and makes password hashes, a bounded number at a time.
    pub hasher: PasswordHasher,
    /// What this server has seen, for administrators.
    pub console: Arc<Console>,
    /// Whether the server was told to stop.
    pub stopping: watch::Receiver<bool>,
    /// What goes on when its client has hung up.
    pub tasks: TaskTracker,
    /// Tells the time, in milliseconds since 1970.
    pub now_ms: NowMs,
}

/// A clock that can be handed in.
#[derive(Clone)]
pub struct NowMs(pub Arc<dyn Fn() -> i64 + Send + Sync>);

impl NowMs {
    /// The time, in milliseconds since 1970.
    pub fn get(&self) -> i64 {
        (self.0)()
    }

    /// The same, as sessions have it.
    pub fn moment(&self) -> UnixMs {
        UnixMs::from_millis(u64::try_from(self.get()).unwrap_or_default())
    }
}

impl std::fmt::Debug for NowMs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NowMs")
    }
}
