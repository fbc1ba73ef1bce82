//! What administrators see of this server: its last hour in figures, and its security events as they happen. Of this process alone, in
//! memory alone, and of a fixed size whatever strangers do: of several servers each has a console of its own.
//!
//! Security events come by the engine's hook, calls of the store by the observer around it, and sessions by `note_active`.

mod active;
mod chart;
mod feed;
mod filter;
mod follow;
mod hour;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use jackline::LazySession;
use jackline::events::{EventHook, EventKind, Notice};
use jackline::store::observed::Outcome;
use jackline::token::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::active::Active;
pub(crate) use self::chart::Chart;
pub use self::feed::{Feed, Happened};
pub use self::filter::{Asked, Filter, Unclear};
pub(crate) use self::follow::Follower;
use self::hour::Hour;
pub(crate) use self::hour::Minute;
use crate::app::{App, NowMs};
use crate::metrics::busiest::Busiest;
use crate::metrics::{MessageOutcome, PasswordCheck, Recorder};

/// How long networks are counted for at once; two of these are shown.
const HALF_AN_HOUR_MS: i64 = 30 * 60_000;

/// How many may follow the events at once.
const MOST_FOLLOWERS: usize = 32;

/// How many networks are shown.
const NETWORKS: usize = 10;

/// What this server has seen.
#[derive(Debug)]
pub struct Console {
    now_ms: NowMs,
    hour: Hour,
    active: Active,
    rejected: Busiest,
    feed: Feed,
    /// Places for those who follow.
    places: Arc<Semaphore>,
}

/// The figures of a moment.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Sessions that were seen within five minutes, and whether there were more than are counted.
    pub(crate) active: usize,
    pub(crate) active_at_least: bool,
    /// The last hour by minutes, the current one last.
    pub(crate) minutes: Vec<Minute>,
    /// The networks that most of the cookies came from that were rejected within the last hour or half an hour.
    pub(crate) networks: Vec<(String, u64)>,
}

impl Console {
    /// Has seen nothing yet.
    pub fn new(now_ms: NowMs) -> Self {
        Self {
            feed: Feed::new(now_ms.clone()),
            hour: Hour::default(),
            active: Active::default(),
            rejected: Busiest::default(),
            places: Arc::new(Semaphore::new(MOST_FOLLOWERS)),
            now_ms,
        }
    }

    /// The events.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// A place for one who follows the events, if there is one left.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    pub(crate) fn figures(&self) -> Figures {
        let now = self.now_ms.get();
        let (active, active_at_least) = self.active.count(now);
        let networks = self.rejected.top(now.div_euclid(HALF_AN_HOUR_MS), NETWORKS);
        Figures {
            active,
            active_at_least,
            minutes: self.hour.minutes(minute(now)),
            networks: networks
                .into_iter()
                .map(|(network, count)| (short(network), count))
                .collect(),
        }
    }

    fn saw(&self, session: &Handle) {
        self.active.saw(session, self.now_ms.get());
    }
}

impl EventHook for Console {
    fn notice(&self, event: &Notice<'_>) {
        let now = self.now_ms.get();
        self.feed.add(event);
        self.hour.at(minute(now), |minute| minute.event(event));
        if let (EventKind::SessionRejected, Some(ip)) = (event.kind, event.ip) {
            self.rejected.count(ip, now.div_euclid(HALF_AN_HOUR_MS));
        }
    }
}

impl Recorder for Console {
    /// Events come by the hook, which says more of them.
    fn event(&self, _: &'static str, _: &Arc<str>) {}

    fn store_call(&self, _: &'static str, _: Outcome, took: Duration) {
        let now = minute(self.now_ms.get());
        self.hour.at(now, |minute| minute.store_call(took));
    }

    fn password_check(&self, _: PasswordCheck, _: Duration) {}

    fn message(&self, _: MessageOutcome) {}
}

/// Takes note of the session of a request, if a handler has looked it up.
pub(crate) async fn note_active(State(app): State<App>, request: Request, next: Next) -> Response {
    let session = request.extensions().get::<LazySession>().cloned();
    let response = next.run(request).await;
    if let Some(handle) = session.and_then(|session| session.signed_in()) {
        app.console.saw(&handle);
    }
    response
}

fn minute(now_ms: i64) -> i64 {
    now_ms.div_euclid(60_000)
}

/// A single address without the length of its prefix.
fn short(network: ipnet::IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use jackline::cookie::{Keyring, SigningKey};
    use jackline::engine::{Engine, Environment};
    use jackline::store::memory::MemoryStore;

    use super::*;

    // Proves: S71
    #[test]
    fn figures_are_those_of_the_last_hour_and_networks_those_that_sent_the_most() {
        let now = Arc::new(AtomicI64::new(1_800_000_000_000));
        let clock = Arc::clone(&now);
        let console = Arc::new(Console::new(NowMs(Arc::new(move || {
            clock.load(Ordering::Relaxed)
        }))));
        let keys = Keyring::new(SigningKey::generate());
        let engine = Engine::builder(MemoryStore::new(), keys)
            .environment(Environment::Development)
            .hook(Arc::clone(&console))
            .build()
            .unwrap();
        for n in 0..5_u8 {
            let ip = [192, 0, 2, n / 3].into();
            let rejected = engine.event(EventKind::SessionRejected).ip(Some(ip));
            rejected.reason("forged").emit();
        }
        let v6 = "2001:db8::1".parse().unwrap();
        let rejected = engine.event(EventKind::SessionRejected).ip(Some(v6));
        rejected.reason("unknown").emit();
        engine.event(EventKind::LoginFailure).emit();
        console.store_call("load", Outcome::Ok, Duration::from_millis(2));
        now.fetch_add(60_000, Ordering::Relaxed);
        engine.event(EventKind::LoginSuccess).emit();
        engine.event(EventKind::CsrfFailure).emit();
        console.saw(&Handle::from_text("a"));
        console.saw(&Handle::from_text("a"));
        console.saw(&Handle::from_text("b"));

        let figures = console.figures();
        assert_eq!((figures.active, figures.active_at_least), (2, false));
        assert_eq!(figures.minutes.len(), 60);
        let [.., before, last] = figures.minutes.as_slice() else {
            panic!("{figures:?}")
        };
        assert_eq!((before.failures, before.csrf), (1, 0));
        assert_eq!(before.rejected.get("forged"), Some(&5));
        assert_eq!(before.slowest, Duration::from_millis(2));
        assert_eq!((last.logins, last.csrf, last.failures), (1, 1, 0));
        let networks = [("192.0.2.0", 3), ("192.0.2.1", 2), ("2001:db8::/64", 1)];
        let networks = networks.map(|(network, count)| (network.to_owned(), count));
        assert_eq!(figures.networks, networks);

        now.fetch_add(70 * 60_000, Ordering::Relaxed);
        let figures = console.figures();
        assert_eq!(figures.active, 0);
        assert!(
            figures
                .minutes
                .iter()
                .all(|minute| *minute == Minute::default())
        );
        assert!(figures.networks.is_empty());
    }
}
