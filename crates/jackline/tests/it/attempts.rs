//! Guessing is slow: attempts are counted before they are judged, in whichever store the sessions are, whoever comes at once.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Uri};
use jackline::clock::{Clock as _, SystemClock};
use jackline::engine::{Connection, Engine, Environment, Incoming};
use jackline::proxy::Scheme;
use jackline::session::{Allowance, Attempt, Subject};
use jackline::store::Store;
use jackline::store::memory::MemoryStore;
use jackline::store::redis::express::ExpressStore;
use jackline::testing::{ManualClock, SpyStore};
use jackline::{Session, SessionError};

use testkit::redis::RedisServer;

use crate::events::Heard;
use crate::site::{HOUR, Log, MINUTE, SECOND, keys};
use crate::{store_contract, store_encrypted, store_express, store_postgres, store_redis};

const HERE: &str = "203.0.113.9";
const ALICE: Subject<'_> = Subject::Account("alice");
const THREE: Allowance = Allowance::new(3);

/// An instance of a service over a store.
#[derive(Clone)]
struct Service {
    engine: Engine,
    clock: ManualClock,
    heard: Heard,
}

impl Service {
    fn new(store: Arc<dyn Store>) -> Self {
        // Engines store by their own clock, and a store may reclaim by its own.
        let clock = ManualClock::new(SystemClock.now());
        let heard = Heard::default();
        let engine = Engine::builder_with(store, keys())
            .environment(Environment::Development)
            .clock(clock.clone())
            .hook(heard.clone())
            .store_timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            engine,
            clock,
            heard,
        }
    }

    async fn session(&self, address: &str) -> Session {
        let (method, uri, headers) = (Method::POST, Uri::from_static("/login"), HeaderMap::new());
        let incoming = Incoming {
            method: &method,
            uri: &uri,
            headers: &headers,
            connection: Some(Connection {
                peer: address.parse().unwrap(),
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
        self.session(HERE)
            .await
            .attempt(&[(subject, allowance)])
            .await
    }

    /// How many from this address are let through.
    async fn from(&self, address: &str) -> usize {
        let session = self.session(address).await;
        let mut through = 0;
        while session.attempt(&[(Subject::Network, THREE)]).await.is_ok() {
            through += 1;
        }
        through
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

    /// What a hook was told of throttling since it was last asked.
    fn throttled(&self) -> Vec<String> {
        let mut told = self.heard.take();
        told.retain(|event| event.starts_with("account_throttled"));
        told
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
    let here = Subject::Network;
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
    let subjects = [ALICE, Subject::Account("bob"), Subject::Device("alice")];
    for subject in subjects {
        assert_eq!(service.exhaust(subject, THREE).await.0, 3, "{subject:?}");
    }
    for address in [HERE, "203.0.113.8", "2001:db8::1", "2001:db8:0:1::1"] {
        assert_eq!(service.from(address).await, 3, "{address}");
    }
    for same in ["::ffff:203.0.113.9", "2001:db8::ffff"] {
        assert_eq!(service.from(same).await, 0, "{same}");
    }
    let carol = Subject::Account("carol");
    let log = Log::start();
    let session = service.session(HERE).await;
    let subjects = [(Subject::Network, THREE), (carol, THREE)];
    let refused = session.attempt(&subjects).await;
    wait(&refused.unwrap_err());
    assert_eq!(log.events(), ["rate_limited/network"]);
    assert_eq!(
        service.exhaust(carol, THREE).await.0,
        3,
        "a stranger's network does not lock her out"
    );
}

// Proves: S45, S81, J6
#[tokio::test]
async fn that_an_account_is_throttled_is_told_once_by_the_attempt_that_used_up_what_was_free() {
    let service = in_memory();
    let log = Log::start();
    let known = |attempt: Attempt| drop(attempt.concerning("id-of-alice"));
    for _ in 0..2 {
        known(service.attempt(ALICE, THREE).await.unwrap());
    }
    // The third is free, and its password is right.
    let attempt = service.attempt(ALICE, THREE).await.unwrap();
    attempt.succeeded().await.unwrap();
    assert_eq!(service.throttled(), [""; 0]);
    for _ in 0..3 {
        assert_eq!(service.throttled(), [""; 0]);
        known(service.attempt(ALICE, THREE).await.unwrap());
    }
    assert_eq!(service.throttled(), ["account_throttled/account"]);
    let event = log.security_events().pop().unwrap();
    assert_eq!(event["user_id"], "id-of-alice");
    assert_eq!(event["ip"], HERE);
    for _ in 0..5 {
        let refused = service.attempt(ALICE, THREE).await.unwrap_err();
        service.clock.advance(wait(&refused));
        known(service.attempt(ALICE, THREE).await.unwrap());
    }
    assert_eq!(
        service.throttled(),
        [""; 0],
        "it goes on, and that is known"
    );
    // Forgotten, and begun again.
    service.clock.advance(24 * HOUR);
    service.exhaust(ALICE, THREE).await;
    assert_eq!(service.throttled(), ["account_throttled/account"]);
    // A network is nobody's, whichever account was asked for last.
    for _ in 0..3 {
        known(service.attempt(Subject::Network, THREE).await.unwrap());
    }
    assert_eq!(service.throttled(), ["account_throttled/network"]);
    assert_eq!(log.security_events().pop().unwrap().get("user_id"), None);
    // Where nothing is free the first is let through, and the next waits.
    let device = Subject::Device("of bob");
    assert_eq!(service.exhaust(device, Allowance::new(0)).await.0, 1);
    assert_eq!(service.throttled(), ["account_throttled/device"]);
    // What was not judged has not failed.
    let carol = Subject::Account("carol");
    let attempt = service.attempt(carol, Allowance::new(1)).await.unwrap();
    attempt.not_judged().await.unwrap();
    assert_eq!(service.throttled(), [""; 0]);
}

// Proves: S81
#[tokio::test]
async fn what_was_not_judged_does_not_count() {
    let service = in_memory();
    for subject in [ALICE, Subject::Network] {
        for _ in 0..5 {
            let attempt = service.attempt(subject, THREE).await.unwrap();
            attempt.not_judged().await.unwrap();
        }
        let _ = service.attempt(subject, THREE).await.unwrap();
        let attempt = service.attempt(subject, THREE).await.unwrap();
        attempt.not_judged().await.unwrap();
        assert_eq!(service.exhaust(subject, THREE).await.0, 2, "{subject:?}");
    }
}

// Proves: S81
#[tokio::test]
async fn a_clock_that_lags_behind_another_instances_keeps_nobody_waiting_who_is_free_to_try() {
    let store = Arc::new(MemoryStore::new());
    let (ahead, behind) = (Service::new(Arc::clone(&store) as _), Service::new(store));
    ahead.clock.advance(MINUTE);
    let _ = ahead.attempt(ALICE, THREE).await.unwrap();
    assert_eq!(behind.exhaust(ALICE, THREE).await.0, 2);
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

/// Ten thousand stolen pairs, tried from 500 networks on 100 accounts as fast as they are let through, for an hour.
// Proves: S81
#[tokio::test]
async fn stuffing_from_500_networks_gets_through_to_few_guesses() {
    const GUESSES: usize = 10_000;
    let service = in_memory();
    let (account, network) = (
        Allowance::new(5),
        Allowance::new(20)
            .longest_wait(5 * MINUTE)
            .forgotten_after(HOUR),
    );
    let begin = service.clock.now();
    let (mut judged, mut refused) = (0, [0, 0]);
    let mut by_account = [0_u32; 100];
    let log = Log::start();
    for guess in 0..GUESSES {
        // Spread evenly over the hour, which is the best that an attacker can do.
        let at = begin.after(HOUR * u32::try_from(guess).unwrap() / 10_000);
        service.clock.advance(at.since(service.clock.now()));
        let n = guess % 500;
        let address = format!("198.51.{}.{}", n / 250, n % 250);
        let victim = (guess * 7) % 100;
        let name = format!("victim{victim}");
        let session = service.session(&address).await;
        let subjects = [
            (Subject::Network, network),
            (Subject::Account(&name), account),
        ];
        match session.attempt(&subjects).await {
            Ok(_) => {
                judged += 1;
                by_account[victim] += 1;
            }
            Err(error) => {
                wait(&error);
                let by_network = log.events().contains(&"rate_limited/network".to_owned());
                refused[usize::from(by_network)] += 1;
            }
        }
    }
    let most = by_account.iter().max().unwrap();
    println!(
        "{GUESSES} guesses in an hour: {judged} judged, {} refused for their account and {} for their network; at most {most} on one account",
        refused[0], refused[1]
    );
    // Five that are free, and then 1, 2, 4, … seconds, and every 15 minutes: no more than 18 in an hour, out of 100 tried.
    assert!(*most <= 18, "{by_account:?}");
    assert_eq!(judged + refused[0] + refused[1], GUESSES);
    // Who knows their device gets in at once all the same.
    for n in 0..100 {
        let device = format!("device of {n}");
        let attempt = service.attempt(Subject::Device(&device), account).await;
        attempt.unwrap().succeeded().await.unwrap();
    }
}

/// What holds in every store: of any number at once as many are let through as one after the other, on all instances together.
async fn counts_exactly(store: Arc<dyn Store>) {
    let service = Service::new(Arc::clone(&store));
    let mut other = Service::new(store);
    other.clock = service.clock.clone();
    let allowance = Allowance::new(5).first_wait(MINUTE);
    assert_eq!(service.at_once(40, allowance).await, 5);
    assert_eq!(service.at_once(10, allowance).await, 0);
    assert_eq!(service.throttled(), ["account_throttled/account"]);
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
    assert_eq!(service.throttled(), [""; 0], "it was throttled already");
    assert_eq!(service.at_once(40, allowance).await, 5);
    assert_eq!(service.throttled(), ["account_throttled/account"]);
}

async fn beside_express() -> (Arc<dyn Store>, RedisServer) {
    let server = RedisServer::start().await;
    let store = ExpressStore::connect(&server.url(), store_express::options()).await;
    (Arc::new(store.unwrap()), server)
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
    attempts_at_once_are_counted_beside_express: beside_express().await;
    attempts_at_once_are_counted_under_encryption: (store_encrypted::encrypted(Arc::new(MemoryStore::new())), ());
    attempts_at_once_are_counted_behind_a_near_cache: (store_contract::near(Arc::new(MemoryStore::new())), ());
}
