//! Where time comes from. The engine asks a [`Clock`]; nothing else in the library reads one.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::lifecycle::UnixMs;

/// Tells the time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> UnixMs;
}

/// The operating system's clock. Keep it in step (NTP): limits are measured with it, on every machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one clock that everything else is handed"
    )]
    fn now(&self) -> UnixMs {
        // A clock before 1970 reads as 1970, where every session that exists looks young. Only a machine whose clock is
        // not set gets there, and its TLS would not work either.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixMs::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
