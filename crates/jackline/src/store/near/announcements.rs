//! How a store says what has changed, and proves that it has said everything.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::NearOptions;
use super::kept::Kept;
use crate::token::{Bucket, SessionKey};

/// What a store announces its changes to, and what a [`NearCache`](super::NearCache) is kept up to date by. Clones are the same.
///
/// A store that announces opens a [`Line`] for each connection on which it hears of changes. What is loaded must be loaded after the
/// line is open, and what changes after that must be announced on it; when a line is lost, everything is forgotten.
#[derive(Clone)]
pub struct Announcements(Arc<Kept>);

impl Announcements {
    /// For a near-cache with these options.
    #[must_use]
    pub fn new(options: NearOptions) -> Self {
        Self(Arc::new(Kept::announced(options)))
    }

    /// How old a cached answer may be. A line should prove itself several times in that.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.0.bound()
    }

    /// Opens a line. What was loaded before is forgotten, and nothing is answered from memory until every line that is open has
    /// proved itself.
    #[must_use]
    pub fn open_line(&self) -> Line {
        let number = self.0.horizon().map(Horizon::open_line);
        self.0.withdraw_all();
        Line {
            kept: Arc::clone(&self.0),
            number: number.unwrap_or_default(),
        }
    }

    /// What is being asked about a session is not to be kept: its store has answered while the session was being changed.
    pub fn overtaken(&self, key: &SessionKey) {
        self.0.withdraw(key);
    }

    pub(super) fn kept(&self) -> Arc<Kept> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Announcements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Announcements").field(&self.0).finish()
    }
}

/// A connection on which changes are announced, in their order. It is lost when it is dropped.
pub struct Line {
    kept: Arc<Kept>,
    number: u64,
}

impl Line {
    /// A session was changed or has ended.
    pub fn changed(&self, key: &SessionKey) {
        self.kept.withdraw(key);
    }

    /// Any session in this bucket may have been changed or have ended.
    pub fn bucket_changed(&self, bucket: Bucket) {
        self.kept.withdraw_bucket(bucket);
    }

    /// Anything may have changed.
    pub fn all_changed(&self) {
        self.kept.withdraw_all();
    }

    /// Every change that was acknowledged to anybody before this `moment` has been announced by now.
    pub fn complete_until(&self, moment: std::time::Instant) {
        if let Some(horizon) = self.kept.horizon() {
            horizon.advance(self.number, moment.into());
        }
    }

    /// Nothing more will be announced here, or not for sure.
    pub fn lost(&self) {
        if let Some(horizon) = self.kept.horizon()
            && horizon.close_line(self.number)
        {
            self.kept.withdraw_all();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lost();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.number)
    }
}

/// Up to when everything has been announced, on all lines.
pub(super) struct Horizon {
    lines: Mutex<Lines>,
    /// The least that the lines have reached, in nanoseconds after `origin`, which counts as one; zero for nothing.
    reached: AtomicU64,
    origin: Instant,
}

#[derive(Default)]
struct Lines {
    opened: u64,
    /// By number, those that are open, and how far each has got.
    open: BTreeMap<u64, u64>,
}

impl Default for Horizon {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            reached: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }
}

impl Horizon {
    pub(super) fn moment(&self) -> Option<Instant> {
        let nanos = self.reached.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.origin + Duration::from_nanos(nanos))
    }

    fn open_line(&self) -> u64 {
        let mut lines = self.lines();
        lines.opened += 1;
        let number = lines.opened;
        lines.open.insert(number, 0);
        self.publish(&lines);
        number
    }

    fn advance(&self, number: u64, to: Instant) {
        let nanos = to.saturating_duration_since(self.origin).as_nanos();
        let nanos = u64::try_from(nanos).map_or(u64::MAX, |nanos| nanos.saturating_add(1));
        let mut lines = self.lines();
        // One that was lost stays so.
        if let Some(reached) = lines.open.get_mut(&number) {
            *reached = nanos.max(*reached);
        }
        self.publish(&lines);
    }

    /// Says whether it was open.
    fn close_line(&self, number: u64) -> bool {
        let mut lines = self.lines();
        let was_open = lines.open.remove(&number).is_some();
        self.publish(&lines);
        was_open
    }

    fn publish(&self, lines: &Lines) {
        let least = lines.open.values().min().copied();
        self.reached.store(least.unwrap_or(0), Ordering::Release);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
