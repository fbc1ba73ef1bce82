//! The last hour, minute by minute.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jackline::events::{EventKind, Notice};

/// How many minutes are kept.
const MINUTES: usize = 60;

/// How many different reasons are told apart in a minute. The code has fewer.
const MOST_REASONS: usize = 16;

/// What happened within a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Minute {
    pub(crate) logins: u64,
    pub(crate) failures: u64,
    pub(crate) csrf: u64,
    /// Cookies that were rejected, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
    pub(crate) store_calls: u64,
    pub(crate) store_time: Duration,
    pub(crate) slowest: Duration,
}

impl Minute {
    pub(super) fn event(&mut self, event: &Notice<'_>) {
        match event.kind {
            EventKind::LoginSuccess => self.logins += 1,
            EventKind::LoginFailure => self.failures += 1,
            EventKind::CsrfFailure => self.csrf += 1,
            EventKind::SessionRejected => {
                let reason = event.reason.unwrap_or("other");
                if let Some(count) = self.rejected.get_mut(reason) {
                    *count += 1;
                } else if self.rejected.len() < MOST_REASONS {
                    self.rejected.insert(reason.to_owned(), 1);
                }
            }
            _ => {}
        }
    }

    pub(super) fn store_call(&mut self, took: Duration) {
        self.store_calls += 1;
        self.store_time = self.store_time.saturating_add(took);
        self.slowest = self.slowest.max(took);
    }

    /// How many cookies were rejected.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Minutes, each with its number since 1970, oldest first.
#[derive(Debug, Default)]
pub(super) struct Hour(Mutex<VecDeque<(i64, Minute)>>);

impl Hour {
    /// Adds to this minute; to the newest, if the clock was set back.
    pub(super) fn at(&self, number: i64, add: impl FnOnce(&mut Minute)) {
        // Numbers: there is no state between two of them.
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minutes.back().is_none_or(|(newest, _)| *newest < number) {
            minutes.push_back((number, Minute::default()));
            if minutes.len() > MINUTES {
                minutes.pop_front();
            }
        }
        if let Some((_, minute)) = minutes.back_mut() {
            add(minute);
        }
    }

    /// The hour that ends with this minute, with those in which nothing happened.
    pub(super) fn minutes(&self, last: i64) -> Vec<Minute> {
        let mut hour = vec![Minute::default(); MINUTES];
        let minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, minute) in &*minutes {
            let ago = usize::try_from(last.saturating_sub(*number).max(0));
            if let Some(at) = ago.ok().and_then(|ago| (MINUTES - 1).checked_sub(ago)) {
                hour[at] = minute.clone();
            }
        }
        hour
    }
}
