//! The Redis store keeps its promises with a real Redis. Here: what it stores and for how long, and in how many round trips.
//! Beside it: what it says when Redis is full, frozen, restarted or gone (`outages`), and that a delta means inside Redis
//! what it means in Rust (`deltas`).

mod cluster;
pub(crate) mod contract;
mod deltas;
mod near;
pub(crate) mod outages;
mod sentinel;
pub(crate) mod tls;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{
    AbsoluteLimit, Delta, Identity, IdleLimit, OwnerId, Policy, Record, Role, SessionCap, UnixMs,
};
use jackline::origin::Origin;
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::{
    Admission, Admitted, Committed, Cursor, Durability, Ended, Epoch, Loaded, Page, Replaced,
    Store, StoreError, Trace,
};
use jackline::token::{Bucket, SessionKey, SessionToken};
use redis::aio::MultiplexedConnection;
use serde_json::value::RawValue;

use testkit::redis::RedisServer;

const MINUTE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(30 * 60);
const IDLE_MS: i64 = 30 * 60 * 1000;

// Proves: T5.1, J6, D9
#[tokio::test]
async fn sessions_stand_under_the_prefix_with_a_ttl_of_their_idle_limit() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let (key, token) = redis.log_in(&alice, now).await;
    let visitor = visitor_key(1);
    redis
        .store
        .create(&visitor, &visitor_record(now))
        .await
        .unwrap();

    let sessions = redis.keys("sess:*").await;
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    for name in &sessions {
        let ttl: i64 = redis.ask(&["PTTL", name]).await;
        assert!((IDLE_MS - 2000..=IDLE_MS).contains(&ttl), "{ttl}");
        assert!(!name.contains("user-1001"), "{name}");
    }
    // No token, and nothing that leads to one, stands anywhere in the store.
    let all: String = redis.keys("*").await.concat() + &redis.values(&sessions).await.concat();
    assert!(!all.contains(&format!("{token:?}")));
    assert!(all.contains("user-1001"), "the record names its owner");

    // A renewal starts the TTL anew.
    let name = redis.name_of(&key).await;
    let _: i64 = redis.ask(&["PEXPIRE", &name, "60000"]).await;
    let later = now.after(2 * MINUTE);
    let loaded = redis.store.load(&key, MINUTE, later).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
    let ttl: i64 = redis.ask(&["PTTL", &name]).await;
    assert!((IDLE_MS - 2000..=IDLE_MS).contains(&ttl), "{ttl}");
    assert_eq!(redis.record(&key, later).await.clocks.seen, later);

    // So does a commit.
    let _: i64 = redis.ask(&["PEXPIRE", &name, "60000"]).await;
    redis
        .store
        .commit(&key, &set("a", "1"), later)
        .await
        .unwrap();
    let ttl: i64 = redis.ask(&["PTTL", &name]).await;
    assert!((IDLE_MS - 2000..=IDLE_MS).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_store_that_is_dropped_keeps_no_connection() {
    let Redis {
        store,
        mut connection,
        server: _server,
        ..
    } = Redis::start().await;
    let mut connections = async || {
        let mut list = redis::cmd("CLIENT");
        let list: String = list.arg("LIST").query_async(&mut connection).await.unwrap();
        list.lines().count()
    };
    assert!(connections().await > 1);
    drop(store);
    testkit::eventually("only the test has a connection", async || {
        connections().await == 1
    })
    .await;
}

// Proves: D9
#[tokio::test]
async fn a_sample_tells_sessions_that_never_run_out_from_those_that_do() {
    let redis = Redis::start().await;
    let empty = redis.store.sample_expiry(1000).await.unwrap();
    assert_eq!((empty.seen, empty.endless), (0, 0));

    let (key, _) = redis.log_in(&owner("user-1001"), now()).await;
    for n in 0..40 {
        let (visitor, record) = (visitor_key(n), visitor_record(now()));
        redis.store.create(&visitor, &record).await.unwrap();
    }
    let _: String = redis.ask(&["SET", "not-a-session", "1"]).await;
    let sample = redis.store.sample_expiry(1000).await.unwrap();
    assert_eq!((sample.seen, sample.endless), (41, 0));

    let name = redis.name_of(&key).await;
    let _: i64 = redis.ask(&["PERSIST", &name]).await;
    let sample = redis.store.sample_expiry(1000).await.unwrap();
    assert_eq!((sample.seen, sample.endless), (41, 1));
}

// Proves: T5.1, T7.1, D9, J2
#[tokio::test]
async fn an_owner_whose_sessions_have_ended_leaves_nothing_that_stays_for_ever() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let (first, _) = redis.log_in(&alice, now).await;
    let (second, _) = redis.log_in(&alice, now).await;
    let rotated = owned_key(&alice, 99);
    redis
        .store
        .rotate(&second, &rotated, Some(&alice), &Delta::default(), now)
        .await
        .unwrap();
    for name in redis.keys("*").await {
        let ttl: i64 = redis.ask(&["PTTL", &name]).await;
        assert!(ttl > 0, "{name} never expires");
    }

    for (key, expected) in [
        (&first, Ended::Removed),
        (&first, Ended::Absent),
        (&rotated, Ended::Removed),
    ] {
        let ended = redis.store.end(key, Some(&alice), None, now).await.unwrap();
        assert_eq!(ended, expected);
    }
    let left = redis.keys("*").await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("sess-trace:"), "{left:?}");
    let ttl: i64 = redis.ask(&["PTTL", &left[0]]).await;
    assert!((50_000..=60_000).contains(&ttl), "{ttl}");
    let _: i64 = redis.ask(&["DEL", &left[0]]).await;

    redis.log_in(&alice, now).await;
    assert_eq!(redis.store.end_all(&alice, None, now).await.unwrap(), 1);
    let left = redis.keys("*").await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("sess-epoch:"), "{left:?}");
    let ttl: i64 = redis.ask(&["PTTL", &left[0]]).await;
    assert!((3_500_000..=3_600_000).contains(&ttl), "{ttl}");
}

// Proves: D9, J4
#[tokio::test]
async fn an_index_outlives_every_session_that_it_leads_to() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    redis.log_in(&alice, now).await;
    let index = redis.keys("sess-owner:*").await.remove(0);
    let ttl: i64 = redis.ask(&["PTTL", &index]).await;
    // Eight hours of sessions, half an hour that the last of them is kept, and an hour more.
    let most = (8 * 60 + 30 + 60) * 60 * 1000;
    assert!((most - 2000..=most).contains(&ttl), "{ttl}");

    // A shorter session does not shorten it.
    let short = Policy::builder(
        IdleLimit::new(MINUTE).unwrap(),
        AbsoluteLimit::new(MINUTE).unwrap(),
    )
    .build()
    .unwrap();
    let record = Record::logged_in(identity(&alice), &short, Origin::default(), now);
    redis.admit(&alice, &record, now, None).await;
    let ttl: i64 = redis.ask(&["PTTL", &index]).await;
    assert!((most - 2000..=most).contains(&ttl), "{ttl}");
}

// Proves: D9, A2
#[tokio::test]
async fn entries_of_sessions_that_ran_out_do_not_pile_up() {
    let redis = Redis::start().await;
    let (robot, now) = (owner("robot"), now());
    let record = Record::logged_in(identity(&robot), &Policy::default(), Origin::default(), now);
    for n in 0..300 {
        let key = owned_key(&robot, n);
        let admission = Admission {
            cap: SessionCap::Unlimited,
            ..admission(&key, &record, &robot)
        };
        redis.store.admit(&admission, now).await.unwrap();
        // What Redis does by itself half an hour later.
        let name = redis.name_of(&key).await;
        let _: i64 = redis.ask(&["DEL", &name]).await;
    }
    let index = redis.keys("sess-owner:*").await.remove(0);
    let entries: i64 = redis.ask(&["ZCARD", &index]).await;
    assert!(entries < 20, "{entries}");

    let listed = redis.store.list(&robot, Page::first(), now).await.unwrap();
    assert!(listed.sessions.is_empty());
    assert!(listed.next.is_none());
    let entries: i64 = redis.ask(&["ZCARD", &index]).await;
    assert_eq!(entries, 0);
}

// Proves: J5, T8.1
#[tokio::test]
async fn a_session_whose_ttl_somebody_removed_still_runs_out() {
    let redis = Redis::start().await;
    let now = now();
    let key = redis.visitor(1, now).await;
    let name = redis.name_of(&key).await;
    let _: i64 = redis.ask(&["PERSIST", &name]).await;

    let late = now.after(IDLE);
    let loaded = redis.store.load(&key, MINUTE, late).await.unwrap();
    assert!(matches!(loaded, Loaded::Expired(_)), "{loaded:?}");
    let committed = redis.store.commit(&key, &set("a", "1"), late).await;
    assert_eq!(committed.unwrap(), Committed::Gone);
    let ttl: i64 = redis.ask(&["PTTL", &name]).await;
    assert_eq!(ttl, -1, "an expired session is not renewed");
}

// Proves: J2, J4
#[tokio::test]
async fn a_key_outside_of_its_owners_bucket_is_refused_and_stores_nothing() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let elsewhere = Bucket::from_random((Bucket::of(&alice).number() ^ 1).to_be_bytes());
    let key = SessionToken::from_random([1; 24], elsewhere).key();
    let record = Record::logged_in(identity(&alice), &Policy::default(), Origin::default(), now);
    let refused = redis.store.create(&key, &record).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    let refused = redis
        .store
        .admit(&admission(&key, &record, &alice), now)
        .await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert_eq!(redis.keys("*").await, Vec::<String>::new());
}

// Proves: J4, A2
#[tokio::test]
async fn a_login_replaces_a_visitors_session_and_may_carry_its_data_as_it_is_by_then() {
    let redis = Redis::start().await;
    let (alice, bob, now) = (owner("alice"), owner("bob"), now());
    let visitor = visitor_key(1);
    redis
        .store
        .create(&visitor, &visitor_record(now))
        .await
        .unwrap();
    let cart = r#"{"n":1.10,"s":"}\"]"}"#;
    redis
        .store
        .commit(&visitor, &set("cart", cart), now)
        .await
        .unwrap();
    let key = owned_key(&alice, 1);
    let record = Record::logged_in(identity(&alice), &Policy::default(), Origin::default(), now);
    let delta = Delta::default();
    let mut login = admission(&key, &record, &alice);
    login.replaces = Some(Replaced {
        key: &visitor,
        owner: None,
        carry: Some(&delta),
    });
    redis.store.admit(&login, now).await.unwrap();
    let kept = redis.record(&key, now).await;
    assert_eq!(kept.data.raw("cart").unwrap().get(), cart);
    assert_eq!(kept.owner(), Some(&alice));
    assert_eq!(
        redis.store.load(&visitor, MINUTE, now).await.unwrap(),
        Loaded::Trace(Trace::Replaced)
    );

    // Another user logs in over it: the session goes, and its entry in the index of the first user with it.
    let next = owned_key(&bob, 2);
    let record = Record::logged_in(identity(&bob), &Policy::default(), Origin::default(), now);
    let mut login = admission(&next, &record, &bob);
    login.replaces = Some(Replaced {
        key: &key,
        owner: Some(&alice),
        carry: None,
    });
    redis.store.admit(&login, now).await.unwrap();
    assert!(redis.record(&next, now).await.data.is_empty());
    assert_eq!(redis.keys("sess:*").await.len(), 1);
    assert_eq!(redis.keys("sess-owner:*").await.len(), 1);
}

// Proves: A2, J5
#[tokio::test]
async fn a_rotated_session_keeps_its_place_among_its_owners_logins() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("alice"), now());
    let later = now.after(MINUTE);
    let (older, _) = redis.log_in(&alice, now).await;
    let (newer, _) = redis.log_in(&alice, later).await;
    let rotated = owned_key(&alice, 1);
    redis
        .store
        .rotate(
            &older,
            &rotated,
            Some(&alice),
            &Delta::default(),
            later.after(MINUTE),
        )
        .await
        .unwrap();
    let listed = redis
        .store
        .list(&alice, Page::first(), later)
        .await
        .unwrap();
    let keys: Vec<_> = listed.sessions.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [newer, rotated]);
}

// Proves: S37, J4
#[tokio::test]
async fn a_list_of_equally_old_sessions_is_paged_without_gaps_or_repeats() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("alice"), now());
    let record = Record::logged_in(identity(&alice), &Policy::default(), Origin::default(), now);
    let mut keys: Vec<_> = (0..230).map(|n| owned_key(&alice, n)).collect();
    for key in &keys {
        let login = Admission {
            cap: SessionCap::Unlimited,
            ..admission(key, &record, &alice)
        };
        redis.store.admit(&login, now).await.unwrap();
    }
    // Some have run out in between.
    for key in keys.drain(40..90) {
        let name = redis.name_of(&key).await;
        let _: i64 = redis.ask(&["DEL", &name]).await;
    }
    let mut seen = Vec::new();
    let mut page = Page {
        after: None,
        limit: 7,
    };
    loop {
        let listed = redis.store.list(&alice, page.clone(), now).await.unwrap();
        assert!(listed.sessions.len() <= 7);
        seen.extend(listed.sessions.into_iter().map(|(key, _)| key));
        match listed.next {
            None => break,
            next => page.after = next,
        }
    }
    seen.sort_unstable();
    keys.sort_unstable();
    assert_eq!(seen, keys);

    // A cursor that somebody made up ends the list and reaches no further.
    for nonsense in ["", "-", "1-x", "(1-x", "+inf-x"] {
        page.after = Some(Cursor(nonsense.to_owned()));
        let listed = redis.store.list(&alice, page.clone(), now).await.unwrap();
        assert!(listed.sessions.is_empty() && listed.next.is_none());
    }
    assert_eq!(redis.store.end_all(&alice, None, now).await.unwrap(), 180);
}

// Proves: J9, T4.3
#[tokio::test]
async fn every_method_is_one_round_trip() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let visitor = visitor_key(7);
    let (rotated, record) = (owned_key(&alice, 50), visitor_record(now));
    // Once to bring the scripts to the server.
    for round in 0..2 {
        let later = now.after(2 * MINUTE);
        let store = &redis.store;
        store.create(&visitor, &record).await.unwrap();
        let key = owned_key(&alice, round);
        let login = Record::logged_in(identity(&alice), &Policy::default(), Origin::default(), now);

        let _: String = redis.ask(&["CONFIG", "RESETSTAT"]).await;
        let store = &redis.store;
        let loaded = store.load(&visitor, MINUTE, later).await.unwrap();
        assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
        if round == 1 {
            assert_eq!(redis.calls("evalsha").await, 1, "a load that renews");
        }
        let store = &redis.store;
        store.commit(&visitor, &set("a", "1"), later).await.unwrap();
        if round == 1 {
            assert_eq!(redis.calls("evalsha").await, 2, "and a commit");
        }
        let store = &redis.store;
        let epoch = store.epoch(&alice, now).await.unwrap();
        let delta = Delta::default();
        let mut admission = admission(&key, &login, &alice);
        admission.epoch = epoch;
        admission.replaces = Some(Replaced {
            key: &visitor,
            owner: None,
            carry: Some(&delta),
        });
        store.admit(&admission, now).await.unwrap();
        store
            .rotate(&key, &rotated, Some(&alice), &set("b", "2"), now)
            .await
            .unwrap();
        let listed = store.list(&alice, Page::first(), now).await.unwrap();
        assert_eq!(listed.sessions.len(), 1);
        store.end(&rotated, Some(&alice), None, now).await.unwrap();
        store.end_all(&alice, None, now).await.unwrap();
        store.ping().await.unwrap();
        if round == 1 {
            assert_eq!(redis.calls("evalsha").await, 7);
            assert_eq!(redis.calls("eval").await, 0);
        }
    }
}

// Proves: J9, T4.3
#[tokio::test]
async fn a_load_that_renews_nothing_writes_nothing() {
    let redis = Redis::start().await;
    let now = now();
    let key = redis.visitor(1, now).await;
    redis.store.load(&key, MINUTE, now).await.unwrap();

    let _: String = redis.ask(&["CONFIG", "RESETSTAT"]).await;
    let loaded = redis.store.load(&key, MINUTE, now).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { renewed: false, .. }));
    assert_eq!(redis.calls("get").await, 1);
    for write in ["set", "setrange", "pexpire", "expire", "del", "zadd"] {
        assert_eq!(redis.calls(write).await, 0, "{write}");
    }
}

// Proves: J7, T5.2
#[tokio::test]
async fn a_flushed_script_cache_is_filled_again_at_once() {
    let redis = Redis::start().await;
    let now = now();
    let key = redis.visitor(1, now).await;
    for _ in 0..2 {
        let _: String = redis.ask(&["SCRIPT", "FLUSH"]).await;
        redis.store.commit(&key, &add("n", 1), now).await.unwrap();
    }
    assert_eq!(
        redis.record(&key, now).await.data.get::<i64>("n").unwrap(),
        Some(2)
    );
}

/// A server, a store on it, and a connection to look behind the store's back.
struct Redis {
    store: RedisStore,
    connection: MultiplexedConnection,
    logins: AtomicU32,
    server: RedisServer,
}

impl Redis {
    /// Stores a visitor's session.
    async fn visitor(&self, number: u32, now: UnixMs) -> SessionKey {
        let key = visitor_key(number);
        self.store.create(&key, &visitor_record(now)).await.unwrap();
        key
    }

    async fn start() -> Self {
        let server = RedisServer::start().await;
        let store = RedisStore::connect(&server.url(), RedisOptions::default())
            .await
            .unwrap();
        assert_eq!(
            (store.name(), store.durability()),
            ("redis", Durability::Durable)
        );
        Self {
            store,
            connection: server.connection().await,
            logins: AtomicU32::new(1000),
            server,
        }
    }

    async fn connect(&self) -> RedisStore {
        RedisStore::connect(&self.server.url(), RedisOptions::default())
            .await
            .unwrap()
    }

    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command
            .query_async(&mut self.connection.clone())
            .await
            .unwrap()
    }

    async fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["KEYS", pattern]).await;
        keys.sort();
        keys
    }

    async fn values(&self, names: &[String]) -> Vec<String> {
        let mut values = Vec::new();
        for name in names {
            values.push(self.ask(&["GET", name]).await);
        }
        values
    }

    /// Everything that is stored, as Redis serialises it.
    async fn dump(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for name in self.keys("*").await {
            let value = self.ask(&["DUMP", &name]).await;
            all.push((name, value));
        }
        all
    }

    /// How often a command was run since the statistics were reset.
    async fn calls(&self, command: &str) -> u64 {
        let info: String = self.ask(&["INFO", "commandstats"]).await;
        let line = format!("cmdstat_{command}:calls=");
        info.lines()
            .find_map(|found| found.strip_prefix(&line)?.split(',').next()?.parse().ok())
            .unwrap_or(0)
    }

    async fn name_of(&self, key: &SessionKey) -> String {
        let digest = base64_url(key.digest());
        self.keys("sess:*")
            .await
            .into_iter()
            .find(|name| name.ends_with(&digest))
            .expect("the session is stored")
    }

    async fn record(&self, key: &SessionKey, now: UnixMs) -> Record {
        match self.store.load(key, MINUTE, now).await.unwrap() {
            Loaded::Live { record, .. } => *record,
            other => panic!("not live: {other:?}"),
        }
    }

    async fn log_in(&self, owner: &OwnerId, now: UnixMs) -> (SessionKey, SessionToken) {
        let record = Record::logged_in(identity(owner), &Policy::default(), Origin::default(), now);
        self.admit(owner, &record, now, None).await
    }

    async fn admit(
        &self,
        owner: &OwnerId,
        record: &Record,
        now: UnixMs,
        replaces: Option<Replaced<'_>>,
    ) -> (SessionKey, SessionToken) {
        let number = self.logins.fetch_add(1, Ordering::Relaxed);
        let token = SessionToken::from_random(random(number), Bucket::of(owner));
        let key = token.key();
        let login = Admission {
            replaces,
            epoch: self.store.epoch(owner, now).await.unwrap(),
            ..admission(&key, record, owner)
        };
        let admitted = self.store.admit(&login, now).await.unwrap();
        assert!(matches!(admitted, Admitted::Done { .. }));
        (key, token)
    }
}

fn admission<'a>(key: &'a SessionKey, record: &'a Record, owner: &'a OwnerId) -> Admission<'a> {
    Admission {
        key,
        record,
        owner,
        epoch: Epoch::default(),
        cap: SessionCap::PruneOldest(10),
        replaces: None,
    }
}

fn now() -> UnixMs {
    SystemClock.now()
}

fn owner(id: &str) -> OwnerId {
    OwnerId::new(id).unwrap()
}

fn identity(owner: &OwnerId) -> Identity {
    Identity {
        id: owner.clone(),
        name: "alice".to_owned(),
        role: Role::user(),
    }
}

fn visitor_record(now: UnixMs) -> Record {
    Record::visitor(&Policy::default(), Origin::default(), now)
}

fn random(number: u32) -> [u8; 24] {
    let mut bytes = [7; 24];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn owned_key(owner: &OwnerId, number: u32) -> SessionKey {
    SessionToken::from_random(random(number), Bucket::of(owner)).key()
}

fn visitor_key(number: u32) -> SessionKey {
    SessionToken::from_random(random(number), Bucket::from_random([1, 2])).key()
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn set(name: &str, value: &str) -> Delta {
    let mut delta = Delta::default();
    delta.set(name, raw(value));
    delta
}

fn add(name: &str, by: i64) -> Delta {
    let mut delta = Delta::default();
    delta.increment(name, by);
    delta
}
