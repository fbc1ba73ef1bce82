//! Security events as they happen, and the last of them. Who follows gets each once and in order; who reads too slowly to keep up with a
//! bounded number of them is told, and dropped.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jackline::events::{EventKind, Notice};
use jackline::lifecycle::UnixMs;
use tokio::sync::broadcast;

use super::Filter;
use crate::app::NowMs;

/// How many of the last events are kept.
pub(crate) const KEPT: usize = 500;

/// How many events somebody who follows may be behind.
const MOST_BEHIND: usize = 256;

/// The longest text that is kept of an event, in characters.
const LONGEST: usize = 200;

/// An event that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Grows with each, also over a restart.
    pub id: u64,
    /// When.
    pub at: UnixMs,
    /// What.
    pub kind: EventKind,
    /// Who it concerns, or who did it.
    pub user_id: Option<String>,
    /// Whom an administrator's action concerns.
    pub target: Option<String>,
    /// Where the request came from.
    pub ip: Option<IpAddr>,
    /// Which session it concerns.
    pub session: Option<String>,
    /// Why, in a word.
    pub reason: Option<String>,
    /// The path of the request.
    pub path: Option<String>,
    /// How many.
    pub count: Option<u64>,
}

/// Where events come in.
#[derive(Debug)]
pub struct Feed {
    now_ms: NowMs,
    recent: Mutex<Recent>,
    live: broadcast::Sender<Arc<Happened>>,
}

#[derive(Debug)]
struct Recent {
    last: u64,
    events: VecDeque<Arc<Happened>>,
}

impl Feed {
    pub(super) fn new(now_ms: NowMs) -> Self {
        // Above all that a process before this one has given, unless it saw a thousand events in each millisecond.
        let last = u64::try_from(now_ms.get())
            .unwrap_or(0)
            .saturating_mul(1_000);
        Self {
            now_ms,
            recent: Mutex::new(Recent {
                last,
                events: VecDeque::with_capacity(KEPT),
            }),
            live: broadcast::Sender::new(MOST_BEHIND),
        }
    }

    pub(super) fn add(&self, event: &Notice<'_>) {
        let text = |text: Option<&str>| text.map(|text| text.chars().take(LONGEST).collect());
        let at = self.now_ms.moment();
        let mut recent = self.recent();
        recent.last += 1;
        let happened = Arc::new(Happened {
            id: recent.last,
            at,
            kind: event.kind,
            user_id: text(event.user_id),
            target: text(event.target),
            ip: event.ip.map(|ip| ip.to_canonical()),
            session: text(event.session.map(|session| session.as_str())),
            reason: text(event.reason),
            path: text(event.path),
            count: event.count,
        });
        if recent.events.len() >= KEPT {
            recent.events.pop_front();
        }
        recent.events.push_back(Arc::clone(&happened));
        // Under the lock, so that whoever begins to follow gets each once. Nobody may follow, which is no error.
        let _ = self.live.send(happened);
    }

    /// The last events that pass, newest first, at most so many.
    pub(crate) fn last(&self, filter: &Filter, most: usize) -> Vec<Arc<Happened>> {
        let recent = self.recent();
        let newest = recent.events.iter().rev();
        newest
            .filter(|event| filter.passes(event))
            .take(most)
            .cloned()
            .collect()
    }

    /// What has happened since `after`, oldest first, and from here on whatever happens.
    pub(crate) fn follow(
        &self,
        after: u64,
    ) -> (VecDeque<Arc<Happened>>, broadcast::Receiver<Arc<Happened>>) {
        let recent = self.recent();
        let since = recent.events.iter().filter(|event| event.id > after);
        (since.cloned().collect(), self.live.subscribe())
    }

    /// The number of the last event.
    pub(crate) fn last_id(&self) -> u64 {
        self.recent().last
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        // An event is there, or it is not.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
