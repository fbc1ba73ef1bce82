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
use super::gauges::{FROM_ONE_NETWORK, Gauges};

/// How many different reasons are told apart, over all events. The code has fewer; this is for the day on which one of them is
/// something else than a word.
const MOST_REASONS: usize = 128;

/// The longest that a reason can be.
const LONGEST_REASON: usize = 40;

/// Stands for an event or a reason that is not told apart.
const OTHER: &str = "other";

/// A layer that counts. Filter it to [`SECURITY_TARGET`](crate::logging::SECURITY_TARGET).
#[derive(Debug)]
pub struct EventCounter {
    recorders: Recorders,
    gauges: Arc<Gauges>,
    reasons: Reasons,
}

impl EventCounter {
    /// A layer that tells `recorders` and `gauges`.
    pub fn new(recorders: Recorders, gauges: Arc<Gauges>) -> Self {
        Self {
            recorders,
            gauges,
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
        if let Some(kind) = kind {
            self.gauges.event(kind, seen.address);
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

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J6, J9
    #[test]
    fn a_reason_is_a_word_of_few_or_something_else() {
        let reasons = Reasons::default();
        assert_eq!(&*reasons.of("wrong_password"), "wrong_password");
        assert_eq!(&*reasons.of(""), "");
        let long = "x".repeat(LONGEST_REASON + 1);
        for odd in ["user-1001", "203.0.113.9", "Alice", "a b", "a\n", &long] {
            assert_eq!(&*reasons.of(odd), OTHER, "{odd}");
        }
        for a in 'a'..='z' {
            for b in 'a'..='z' {
                reasons.of(&format!("{a}{b}"));
            }
        }
        assert_eq!(reasons.0.read().unwrap().len(), MOST_REASONS);
        assert_eq!(&*reasons.of("unheard_of"), OTHER);
        assert_eq!(&*reasons.of("wrong_password"), "wrong_password");
    }
}
