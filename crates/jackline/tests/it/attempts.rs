//! Guessing is slow: attempts are counted before they are judged, in whichever store the sessions are, whoever comes at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Uri};
use jackline::engine::{Connection, Engine, Environment, Incoming};
use jackline::proxy::Scheme;
use jackline::session::{Allowance, Attempt, Subject};
use jackline::store::Store;
use jackline::store::memory::MemoryStore;
use jackline::testing::{ManualClock, SpyStore};
use jackline::{Session, SessionError};

use crate::site::{HOUR, Log, MINUTE, SECOND, keys};
use crate::{store_contract, store_encrypted, store_postgres, store_redis};

const ALICE: Subject<'_> = Subject::Account("alice");
const THREE: Allowance = Allowance::new(3);

/// An instance of a service over a store.
#[derive(Clone)]
struct Service {
    engine: Engine,
    clock: ManualClock,
}

impl Service {
    fn new(store: Arc<dyn Store>) -> Self {
        // Engines store by their own clock, and a store may reclaim by its own.
        let clock = ManualClock::new(jackline::clock::Clock::now(&jackline::clock::SystemClock));
        let engine = Engine::builder_with(store, keys())
            .environment(Environment::Development)
            .clock(clock.clone())
            .store_timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self { engine, clock }
    }

    async fn session(&self) -> Session {
        let (method, uri, headers) = (Method::POST, Uri::from_static("/login"), HeaderMap::new());
        let incoming = Incoming {
            method: &method,
            uri: &uri,
            headers: &headers,
            connection: Some(Connection {
                peer: [203, 0, 113, 9].into(),
                scheme: Scheme::Http,
            }),
        };
        self.engine.open(&incoming).load().await.unwrap()
    }

    async fn attempt(
        &self,
        subject: Subject<'_>,
        allowance: Allowance,
    ) -> Result<Attempt, SessionError> {
        self.session().await.attempt(&[(subject, allowance)]).await
    }

    /// Fails until somebody has to wait, and says how often and how long.
    async fn exhaust(&self, subject: Subject<'_>, allowance: Allowance) -> (usize, Duration) {
        let mut failed = 0;
        loop {
            match self.attempt(subject, allowance).await {
                Ok(_) => failed += 1,
                Err(error) => return (failed, wait(&error)),
            }
        }
    }

    /// How many of these at once are let through.
    async fn at_once(&self, number: usize, allowance: Allowance) -> usize {
        let attempts = (0..number).map(|_| {
            let service = self.clone();
            tokio::spawn(async move { service.attempt(ALICE, allowance).await.is_ok() })
        });
        let mut through = 0;
        for attempt in attempts.collect::<Vec<_>>() {
            through += usize::from(attempt.await.unwrap());
        }
        through
    }
}

fn wait(error: &SessionError) -> Duration {
    match error {
        SessionError::TooManyAttempts(wait) => *wait,
        other => panic!("{other:?}"),
    }
}

fn network(address: &str) -> Subject<'static> {
    Subject::Network(address.parse::<IpAddr>().unwrap())
}

fn in_memory() -> Service {
    Service::new(Arc::new(MemoryStore::new()))
}

// Proves: S81
#[tokio::test]
async fn after_some_that_failed_each_next_one_waits_twice_as_long() {
    let service = in_memory();
    assert_eq!(service.exhaust(ALICE, THREE).await, (3, SECOND));
    for expected in [2, 4, 8, 16] {
        let until = wait(&service.attempt(ALICE, THREE).await.unwrap_err());
        service.clock.advance(until - Duration::from_millis(1));
        assert_eq!(
            wait(&service.attempt(ALICE, THREE).await.unwrap_err()),
            Duration::from_millis(1)
        );
        service.clock.advance(Duration::from_millis(1));
        assert_eq!(service.exhaust(ALICE, THREE).await, (1, SECOND * expected));
    }
    // What is refused does not count.
    service.clock.advance(16 * SECOND);
    assert_eq!(service.exhaust(ALICE, THREE).await, (1, 32 * SECOND));
    service.clock.advance(12 * HOUR);
    assert_eq!(
        service.exhaust(ALICE, THREE).await,
        (3, SECOND),
        "all is forgotten"
    );
}

// Proves: S81
#[tokio::test]
async fn a_success_makes_up_for_what_failed_on_an_account_and_for_itself_in_a_network() {
    let service = in_memory();
    let here = network("203.0.113.9");
    for subject in [ALICE, Subject::Device("d")] {
        for _ in 0..2 {
            let _ = service.attempt(subject, THREE).await.unwrap();
        }
        service
            .attempt(subject, THREE)
            .await
            .unwrap()
            .succeeded()
            .await
            .unwrap();
        assert_eq!(service.exhaust(subject, THREE).await.0, 3);
    }
    for _ in 0..10 {
        service
            .attempt(here, THREE)
            .await
            .unwrap()
            .succeeded()
            .await
            .unwrap();
    }
    let _ = service.attempt(here, THREE).await.unwrap();
    service
        .attempt(here, THREE)
        .await
        .unwrap()
        .succeeded()
        .await
        .unwrap();
    assert_eq!(
        service.exhaust(here, THREE).await.0,
        2,
        "an account of their own does not clear attackers"
    );
}

// Proves: S81
#[tokio::test]
async fn accounts_devices_and_networks_are_counted_apart_and_the_first_that_refuses_ends_the_question()
 {
    let service = in_memory();
    let subjects = [
        ALICE,
        Subject::Account("bob"),
        Subject::Device("alice"),
        network("203.0.113.9"),
        network("203.0.113.8"),
        network("2001:db8::1"),
        network("2001:db8:0:1::1"),
    ];
    for subject in subjects {
        assert_eq!(service.exhaust(subject, THREE).await.0, 3, "{subject:?}");
    }
    for same in [network("::ffff:203.0.113.9"), network("2001:db8::ffff")] {
        assert_eq!(service.exhaust(same, THREE).await.0, 0);
    }
    let carol = Subject::Account("carol");
    let log = Log::start();
    let session = service.session().await;
    let refused = session
        .attempt(&[(network("203.0.113.9"), THREE), (carol, THREE)])
        .await;
    wait(&refused.unwrap_err());
    assert_eq!(log.events(), ["rate_limited/network"]);
    assert_eq!(
        service.exhaust(carol, THREE).await.0,
        3,
        "a stranger's network does not lock her out"
    );
}

// Proves: S81, J7
#[tokio::test]
async fn without_the_store_nobody_may_try() {
    let spy = Arc::new(SpyStore::new(Arc::new(MemoryStore::new())));
    let service = Service::new(Arc::clone(&spy) as _);
    for through in 0..2 {
        spy.fail_after(through);
        let refused = service.attempt(ALICE, THREE).await.unwrap_err();
        assert!(matches!(refused, SessionError::Unavailable), "{refused:?}");
        spy.fail_all(false);
    }
    let attempt = service.attempt(ALICE, THREE).await.unwrap();
    spy.fail_all(true);
    assert!(attempt.succeeded().await.is_err());
    spy.fail_all(false);
    assert_eq!(
        service.exhaust(ALICE, THREE).await.0,
        2,
        "it counts as failed"
    );
}

// Proves: S81
#[test]
fn a_refusal_says_when_to_come_again() {
    let error = SessionError::TooManyAttempts(Duration::from_millis(1001));
    assert_eq!(
        (error.status().as_u16(), error.retry_after_secs()),
        (429, Some(2))
    );
    assert_eq!(error.body(), r#"{"error":"Too many attempts"}"#);
}

/// What holds in every store: of any number at once as many are let through as one after the other, on all instances together.
async fn counts_exactly(store: Arc<dyn Store>) {
    let service = Service::new(Arc::clone(&store));
    let mut other = Service::new(store);
    other.clock = service.clock.clone();
    let allowance = Allowance::new(5).first_wait(MINUTE);
    assert_eq!(service.at_once(40, allowance).await, 5);
    assert_eq!(service.at_once(10, allowance).await, 0);
    service.clock.advance(MINUTE);
    assert_eq!(service.at_once(40, allowance).await, 1);
    service.clock.advance(MINUTE);
    assert_eq!(
        service.at_once(10, allowance).await,
        0,
        "the next waits for two minutes"
    );
    service.clock.advance(MINUTE);
    let attempt = service.attempt(ALICE, allowance).await.unwrap();
    attempt.succeeded().await.unwrap();
    assert_eq!(service.at_once(40, allowance).await, 5);
}

macro_rules! in_every_store {
    ($($name:ident: $store:expr;)*) => {$(
        // Proves: S81
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (store, _kept) = $store;
            counts_exactly(store).await;
        }
    )*};
}

in_every_store! {
    attempts_at_once_are_counted_in_memory: (Arc::new(MemoryStore::new()) as Arc<dyn Store>, ());
    attempts_at_once_are_counted_in_sqlite: store_contract::in_sqlite().await;
    attempts_at_once_are_counted_in_postgres: store_postgres::contract::fresh().await;
    attempts_at_once_are_counted_in_redis: store_redis::contract::on_one_server().await;
    attempts_at_once_are_counted_under_encryption: (store_encrypted::encrypted(Arc::new(MemoryStore::new())), ());
    attempts_at_once_are_counted_behind_a_near_cache: (store_contract::near(Arc::new(MemoryStore::new())), ());
}
