//! How many different sessions were seen within five minutes. A bounded number is told apart, each by a hash under a key of this process,
//! so that no list of sessions lies in memory.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use jackline::token::Handle;

/// How long a session counts as active after a request.
const ACTIVE_MS: i64 = 5 * 60_000;

/// How many are told apart: some megabytes.
const MOST: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Active {
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When each was last seen.
    at: HashMap<u64, i64>,
    /// When one was last seen that there was no room for.
    overflowed: Option<i64>,
}

impl Active {
    /// A request had this session.
    pub(super) fn saw(&self, session: &Handle, now: i64) {
        let hash = self.hasher.hash_one(session.as_str());
        let mut seen = self.seen();
        if seen.at.len() >= MOST && !seen.at.contains_key(&hash) {
            // Looked through at most once in a while: all of them may be active.
            if seen.overflowed.is_none_or(|at| at + ACTIVE_MS / 5 <= now) {
                seen.at.retain(|_, at| is_active(*at, now));
            }
            if seen.at.len() >= MOST {
                seen.overflowed.get_or_insert(now);
                if seen.overflowed.is_some_and(|at| at + ACTIVE_MS / 5 <= now) {
                    seen.overflowed = Some(now);
                }
                return;
            }
        }
        seen.at.insert(hash, now);
    }

    /// How many there were, and whether there were more.
    pub(super) fn count(&self, now: i64) -> (usize, bool) {
        let mut seen = self.seen();
        seen.at.retain(|_, at| is_active(*at, now));
        if seen.overflowed.is_some_and(|at| !is_active(at, now)) {
            seen.overflowed = None;
        }
        (seen.at.len(), seen.overflowed.is_some())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Numbers: there is no state between two of them.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Also if the clock was set back since.
fn is_active(at: i64, now: i64) -> bool {
    now - at < ACTIVE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: S71, J9
    #[test]
    fn sessions_count_once_for_five_minutes_and_no_more_than_there_is_room_for() {
        let active = Active::default();
        let session = |n: usize| Handle::from_text(n.to_string());
        for now in [0, 1_000, 200_000] {
            active.saw(&session(0), now);
        }
        active.saw(&session(1), 0);
        assert_eq!(active.count(200_000), (2, false));
        assert_eq!(active.count(300_000), (1, false));
        for n in 0..MOST + 10 {
            active.saw(&session(n), 310_000);
        }
        assert_eq!(active.count(310_000), (MOST, true));
        assert_eq!(active.seen().at.len(), MOST);
        active.saw(&session(MOST + 20), 700_000);
        assert_eq!(active.count(700_000), (1, false));
    }
}
