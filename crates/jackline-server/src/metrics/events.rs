//! Counts security events as they pass on their way to the log. Of an event it takes the kind, the reason and, for the kinds that an
//! attack makes, the address, which it counts and forgets.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use jackline::events::EventKind;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Recorders;
use super::busiest::Busiest;
use crate::app::NowMs;

/// How many different reasons are told apart, over all events. The code has fewer; this is for the day on which one of them is
/// something else than a word.
const MOST_REASONS: usize = 128;

/// The longest that a reason can be.
const LONGEST_REASON: usize = 40;

/// Stands for an event or a reason that is not told apart.
const OTHER: &str = "other";

/// The kinds of events that many of from one network are an attack.
pub(super) const FROM_ONE_NETWORK: [EventKind; 4] = [
    EventKind::SessionRejected,
    EventKind::CsrfFailure,
    EventKind::LoginFailure,
    EventKind::UseAfterExpire,
];

/// A layer that counts. Filter it to [`SECURITY_TARGET`](crate::logging::SECURITY_TARGET).
#[derive(Debug)]
pub struct EventCounter {
    recorders: Recorders,
    networks: Arc<Networks>,
    reasons: Reasons,
}

impl EventCounter {
    /// A layer that tells `recorders`, and counts networks in `networks`.
    pub fn new(recorders: Recorders, networks: Arc<Networks>) -> Self {
        Self {
            recorders,
            networks,
            reasons: Reasons::default(),
        }
    }
}

impl<S: Subscriber> Layer<S> for EventCounter {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let reason = self.reasons.of(&seen.reason);
        let kind = seen.kind;
        self.recorders
            .event(kind.map_or(OTHER, EventKind::name), &reason);
        if let (Some(kind), Some(address)) = (kind, seen.address) {
            self.networks.count(kind, address);
        }
    }
}

/// What is taken of an event.
#[derive(Default)]
struct Seen {
    kind: Option<EventKind>,
    reason: String,
    address: Option<IpAddr>,
}

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => {
                let mut all = EventKind::ALL.iter().copied();
                self.kind = all.find(|kind| kind.name() == value);
            }
            "reason" => value.clone_into(&mut self.reason),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The kind comes first, so that most addresses need not be looked at.
        let attack = self
            .kind
            .is_some_and(|kind| FROM_ONE_NETWORK.contains(&kind));
        if attack && field.name() == "ip" {
            let mut text = String::new();
            let written = write!(text, "{value:?}");
            self.address = written.ok().and_then(|()| text.parse().ok());
        }
    }
}

/// The reasons that were met, each in one copy.
#[derive(Debug, Default)]
struct Reasons(RwLock<HashSet<Arc<str>>>);

impl Reasons {
    fn of(&self, reason: &str) -> Arc<str> {
        let known = |reasons: &HashSet<Arc<str>>| reasons.get(reason).cloned();
        if let Some(reason) = known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return reason;
        }
        let word = reason.len() <= LONGEST_REASON
            && reason
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let mut reasons = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !word || reasons.len() >= MOST_REASONS {
            return OTHER.into();
        }
        let reason: Arc<str> = reason.into();
        reasons.insert(Arc::clone(&reason));
        reason
    }
}

/// For each kind of attack, how much of it comes from one network.
pub struct Networks {
    busiest: [Busiest; FROM_ONE_NETWORK.len()],
    now_ms: NowMs,
}

impl Networks {
    /// Nothing counted, by this clock.
    pub fn new(now_ms: NowMs) -> Self {
        Self {
            busiest: Default::default(),
            now_ms,
        }
    }

    fn count(&self, kind: EventKind, address: IpAddr) {
        let minute = self.minute();
        let of_kind = FROM_ONE_NETWORK.iter().zip(&self.busiest);
        for (_, busiest) in of_kind.filter(|(of, _)| **of == kind) {
            busiest.count(address, minute);
        }
    }

    /// The most that came from one network, by kind.
    pub(super) fn most(&self) -> impl Iterator<Item = (EventKind, u64)> {
        let minute = self.minute();
        let of_kind = FROM_ONE_NETWORK.iter().zip(&self.busiest);
        of_kind.map(move |(kind, busiest)| (*kind, busiest.most(minute)))
    }

    fn minute(&self) -> i64 {
        self.now_ms.get().div_euclid(60_000)
    }
}

impl fmt::Debug for Networks {
    /// Not who was counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Networks").finish_non_exhaustive()
    }
}
