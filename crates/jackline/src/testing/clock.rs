//! A clock that stands still until it is told to move, so that a year passes in a microsecond of test. Clones are hands on
//! the same clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::lifecycle::UnixMs;

/// A clock for tests.
///
/// ```
/// use std::time::Duration;
/// use jackline::clock::Clock;
/// use jackline::lifecycle::UnixMs;
/// use jackline::testing::ManualClock;
///
/// let clock = ManualClock::new(UnixMs::from_millis(1_000));
/// let handed_in = clock.clone();
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(handed_in.now(), UnixMs::from_millis(3_000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: UnixMs) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_millis())))
    }

    /// Moves it forward. It stops at [`UnixMs::MAX`].
    pub fn advance(&self, by: Duration) {
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |millis| {
                Some(UnixMs::from_millis(millis).after(by).as_millis())
            });
    }

    /// Sets it, backwards too.
    pub fn set(&self, now: UnixMs) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMs {
        UnixMs::from_millis(self.0.load(Ordering::SeqCst))
    }
}
