//! Sessions shared with Express keep their promises with a real Redis, which holds what Express would have written there.

mod contract;
mod rekey;

use std::sync::Arc;
use std::time::Duration;

use jackline::clock::{Clock as _, SystemClock};
use jackline::cookie::CookieSpec;
use jackline::lifecycle::{
    Delta, DeltaError, Identity, OwnerId, Policy, Record, Role, SessionCap, UnixMs,
};
use jackline::origin::Origin;
use jackline::store::redis::express::{ExpressMapping, ExpressOptions, ExpressStore, IdForm};
use jackline::store::redis::{RedisOpenError, RedisOptions};
use jackline::store::{
    Admission, Admitted, Committed, Ended, Loaded, Page, Store as _, StoreError, Trace,
};
use jackline::token::{SessionKey, SessionToken};
use proptest::strategy::{Strategy as _, ValueTree as _};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::certificates::Certificates;
use testkit::eventually;
use testkit::redis::{RedisSentinels, RedisServer, SENTINEL_USER, user};

use crate::store_redis::outages::RIGHTS;
use crate::store_redis::tls;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn options() -> ExpressOptions {
    ExpressOptions {
        redis: RedisOptions::default(),
        mapping: ExpressMapping::default(),
        policy: Policy::default(),
        cookie: CookieSpec::express(true),
    }
}

struct Shared {
    server: RedisServer,
    store: ExpressStore,
}

impl Shared {
    async fn start() -> Self {
        Self::start_with(options()).await
    }

    async fn start_with(options: ExpressOptions) -> Self {
        let server = RedisServer::start().await;
        let store = ExpressStore::connect(&server.url(), options).await.unwrap();
        Self { server, store }
    }

    /// What connect-redis does when Express saves a session.
    async fn express_saves(&self, sid: &str, record: &str, seconds: &str) {
        let name = format!("sess:{sid}");
        let _: String = self
            .server
            .ask(&["SET", &name, record, "EX", seconds])
            .await;
    }

    async fn text(&self, sid: &str) -> Option<String> {
        self.server.ask(&["GET", &format!("sess:{sid}")]).await
    }

    async fn json(&self, sid: &str) -> Value {
        serde_json::from_str(&self.text(sid).await.unwrap()).unwrap()
    }

    async fn ttl_ms(&self, sid: &str) -> i64 {
        self.server.ask(&["PTTL", &format!("sess:{sid}")]).await
    }

    async fn load(&self, sid: &str, now: UnixMs) -> Loaded {
        self.store.load(&key(sid), MINUTE, now).await.unwrap()
    }

    async fn live(&self, sid: &str, now: UnixMs) -> Record {
        match self.load(sid, now).await {
            Loaded::Live { record, .. } => *record,
            other => panic!("{sid} is {other:?}"),
        }
    }

    async fn log_in(&self, id: &str, now: UnixMs) -> String {
        let token = SessionToken::express_from_random(random());
        let (key, owner) = (token.key(), owner(id));
        let identity = Identity::new(owner.clone(), "alice", Role::user());
        let record = Record::logged_in(identity, &Policy::default(), Origin::default(), now);
        let admission = Admission {
            key: &key,
            record: &record,
            owner: &owner,
            epoch: self.store.epoch(&owner, now).await.unwrap(),
            cap: SessionCap::Unlimited,
            replaces: None,
        };
        let admitted = self.store.admit(&admission, now).await.unwrap();
        assert!(matches!(admitted, Admitted::Done { .. }));
        key.sid().unwrap().to_owned()
    }
}

fn random() -> [u8; 24] {
    std::array::from_fn(|_| fastrand::u8(..))
}

fn key(sid: &str) -> SessionKey {
    SessionKey::express(sid).unwrap()
}

fn owner(id: &str) -> OwnerId {
    OwnerId::new(id).unwrap()
}

fn now() -> UnixMs {
    SystemClock.now()
}

fn set(name: &str, json: &str) -> Delta {
    let mut delta = Delta::default();
    delta.set(name, RawValue::from_string(json.to_owned()).unwrap());
    delta
}

/// A login as the reference makes it, `before` now.
fn login(id: &str, at: UnixMs) -> String {
    format!(
        r#"{{"cookie":{{"originalMaxAge":1800000,"expires":null,"httpOnly":true,"path":"/"}},"userId":{id},"username":"alice","loginAt":{}}}"#,
        at.as_millis()
    )
}

// Proves: J3
#[tokio::test]
async fn what_express_wrote_stays_the_bytes_it_was() {
    let shared = Shared::start().await;
    let cookie = r#""cookie":{"originalMaxAge":1800000,"expires":"2026-11-23T23:55:49.582Z","httpOnly":true,"path":"/","odd":[1.50]}"#;
    let members = r#""z":1.0,"a":[],"n":12345678901234567890,"o":{"b":1,"a":{}},"e":1E5,"t":"\u00e9\/","flash":{}"#;
    shared
        .express_saves("one", &format!("{{{cookie},{members}}}"), "1800")
        .await;
    let record = shared.live("one", now()).await;
    assert_eq!(record.data.to_json(), format!("{{{members}}}"));
    let committed = shared
        .store
        .commit(&key("one"), &set("new", "[2.0]"), now())
        .await;
    assert!(matches!(committed, Ok(Committed::Applied { .. })));
    let text = shared.text("one").await.unwrap();
    // Ours stands where it was put when the session was first seen: behind what was there.
    let (before, ours) = text.split_once(r#","jackline":"#).unwrap();
    assert_eq!(before, format!("{{{cookie},{members}"));
    assert!(ours.ends_with(r#","new":[2.0]}"#), "{ours}");
}

// Proves: J1, J5
#[tokio::test]
async fn a_login_of_express_is_a_login_bounded_from_when_it_was_made() {
    let shared = Shared::start().await;
    let now = now();
    let at = UnixMs::from_millis(now.as_millis() - 3_600_000);
    shared
        .express_saves("text", &login(r#""user-1001""#, at), "1800")
        .await;
    shared
        .express_saves("number", &login("1001", at), "1800")
        .await;
    let iso = login("7", at).replace(&at.as_millis().to_string(), r#""2020-01-01T00:00:00.000Z""#);
    shared.express_saves("iso", &iso, "1800").await;

    for (sid, id) in [("text", "user-1001"), ("number", "1001")] {
        let record = shared.live(sid, now).await;
        let identity = record.meta.identity.clone().unwrap();
        assert_eq!(
            (identity.id.clone(), identity.name.as_str()),
            (owner(id), "alice")
        );
        assert_eq!(identity.role, Role::user());
        assert_eq!(record.meta.authenticated, Some(at));
        assert_eq!(record.clocks.ends, at.after(8 * HOUR));
        assert!(record.data.is_empty());
        let listed = shared
            .store
            .list(&owner(id), Page::first(), now)
            .await
            .unwrap();
        assert_eq!(
            listed.sessions.len(),
            1,
            "it is in its owner's index at once"
        );
    }
    let old = shared.live("iso", now).await;
    assert!(old.clocks.absolute_expired(now));
}

// Proves: J5
#[tokio::test]
async fn a_login_without_a_time_is_bounded_from_first_sight_and_a_future_one_from_now() {
    let shared = Shared::start().await;
    let now = now();
    let without = r#"{"cookie":{},"userId":"a"}"#;
    shared.express_saves("without", without, "86400").await;
    let first = shared.live("without", now).await;
    assert_eq!(first.clocks.ends, now.after(8 * HOUR));
    let later = now.after(10 * MINUTE);
    assert_eq!(
        shared.live("without", later).await.clocks.ends,
        now.after(8 * HOUR)
    );

    let future = login("\"b\"", now.after(1000 * HOUR));
    shared.express_saves("future", &future, "1800").await;
    assert_eq!(
        shared.live("future", now).await.clocks.ends,
        now.after(8 * HOUR)
    );
}

// Proves: J5
#[tokio::test]
async fn the_ttl_says_when_a_session_was_last_used_on_either_side() {
    let shared = Shared::start().await;
    let now = now();
    shared.express_saves("one", &login("1", now), "600").await;
    let record = shared.live("one", now).await;
    let near = |ms: u64, wanted: u64| ms.abs_diff(wanted) < 2000;
    // Ten of thirty minutes are left, so that it was used twenty minutes ago: a renewal is due, and was made.
    assert!(near(
        record.clocks.seen.as_millis(),
        now.as_millis() - 20 * 60_000
    ));
    assert!(near(shared.ttl_ms("one").await as u64, 1_800_000));

    // What Express touches is used.
    let _: i64 = shared.server.ask(&["EXPIRE", "sess:one", "1200"]).await;
    let seen = shared.live("one", now).await.clocks.seen;
    assert!(near(seen.as_millis(), now.as_millis() - 10 * 60_000));

    // No TTL, and one past the idle limit, become the idle limit.
    for forget in [
        &["PERSIST", "sess:one"][..],
        &["EXPIRE", "sess:one", "86400"],
    ] {
        let _: i64 = shared.server.ask(forget).await;
        shared.live("one", now).await;
        assert!(near(shared.ttl_ms("one").await as u64, 1_800_000));
    }
}

// Proves: J2
#[tokio::test]
async fn what_express_destroyed_stays_destroyed() {
    let shared = Shared::start().await;
    let sid = shared.log_in("user-1001", now()).await;
    let _: i64 = shared.server.ask(&["DEL", &format!("sess:{sid}")]).await;
    let committed = shared
        .store
        .commit(&key(&sid), &set("a", "1"), now())
        .await
        .unwrap();
    assert_eq!(committed, Committed::Gone);
    let rotated = shared
        .store
        .rotate(
            &key(&sid),
            &key("new"),
            Some(&owner("user-1001")),
            &Delta::default(),
            now(),
        )
        .await
        .unwrap();
    assert_eq!(rotated, Committed::Gone);
    assert_eq!(shared.load(&sid, now()).await, Loaded::Absent);
    assert_eq!(shared.text(&sid).await, None);
}

// Proves: J2
#[tokio::test]
async fn what_was_ended_here_is_dead_here_also_when_express_writes_it_back() {
    let shared = Shared::start().await;
    let alice = owner("user-1001");
    let sid = shared.log_in("user-1001", now()).await;
    let before = shared.text(&sid).await.unwrap();
    let ended = shared
        .store
        .end(&key(&sid), Some(&alice), None, now())
        .await
        .unwrap();
    assert_eq!(ended, Ended::Removed);
    shared.express_saves(&sid, &before, "1800").await;
    let committed = shared
        .store
        .commit(&key(&sid), &set("a", "1"), now())
        .await
        .unwrap();
    assert_eq!(committed, Committed::Gone);
    assert_eq!(shared.load(&sid, now()).await, Loaded::Absent);
    assert_eq!(shared.text(&sid).await, None, "its use removes it");

    // The same after a rotation.
    let sid = shared.log_in("user-1001", now()).await;
    let before = shared.text(&sid).await.unwrap();
    let new = key("the-new-one");
    shared
        .store
        .rotate(&key(&sid), &new, Some(&alice), &Delta::default(), now())
        .await
        .unwrap();
    shared.express_saves(&sid, &before, "1800").await;
    assert_eq!(
        shared.load(&sid, now()).await,
        Loaded::Trace(Trace::Replaced)
    );
    assert_eq!(shared.text(&sid).await, None);
}

// Proves: J4
#[tokio::test]
async fn ending_all_reaches_sessions_that_only_express_has_seen() {
    let shared = Shared::start().await;
    let (alice, start) = (owner("1001"), now());
    let kept = shared.log_in("1001", start).await;
    let other = shared.log_in("1001", start).await;
    let known = shared.text(&other).await.unwrap();
    for (sid, id) in [("number", "1001"), ("text", "\"1001\""), ("bob", "1002")] {
        shared.express_saves(sid, &login(id, start), "1800").await;
    }
    shared.express_saves("not-json", "1001", "1800").await;
    let _: i64 = shared.server.ask(&["LPUSH", "sess:list", "1001"]).await;
    let before = login("1001", start);
    let later = start.after(MINUTE);
    let ended = shared
        .store
        .end_all(&alice, Some(&key(&kept)), later)
        .await
        .unwrap();
    assert_eq!(ended, 3);
    for gone in ["number", "text"] {
        assert_eq!(shared.text(gone).await, None);
    }
    assert!(shared.text("bob").await.is_some());
    assert_eq!(shared.live(&kept, later).await.owner(), Some(&alice));

    // What the walk has missed, or Express brings back, is dead here; a login from after it is not.
    shared.express_saves("number", &before, "1800").await;
    assert_eq!(shared.load("number", later).await, Loaded::Absent);
    shared.express_saves(&other, &known, "1800").await;
    assert_eq!(shared.load(&other, later).await, Loaded::Absent);
    let after = later.after(MINUTE);
    shared
        .express_saves("again", &login("1001", after), "1800")
        .await;
    assert_eq!(shared.live("again", after).await.owner(), Some(&alice));
}

// Proves: J1
#[tokio::test]
async fn who_is_logged_in_is_no_data_and_neither_is_what_express_uses_itself() {
    let shared = Shared::start().await;
    let now = now();
    shared.express_saves("one", &login("1", now), "1800").await;
    let record = shared.live("one", now).await;
    assert!(record.data.is_empty());
    let reserved = [
        "userId",
        "username",
        "loginAt",
        "role",
        "cookie",
        "jackline",
        "id",
        "save",
        "__proto__",
    ];
    for name in reserved {
        let mut removal = Delta::default();
        removal.remove(name);
        for delta in [set(name, "1"), removal] {
            let refused = shared.store.commit(&key("one"), &delta, now).await;
            assert!(
                matches!(
                    refused,
                    Err(StoreError::Refused(DeltaError::ReservedMember))
                ),
                "{name}"
            );
        }
        let mut visitor = Record::visitor(&Policy::default(), Origin::default(), now);
        visitor
            .data
            .set(name, RawValue::from_string("1".to_owned()).unwrap());
        let refused = shared.store.create(&key("new"), &visitor).await;
        assert!(
            matches!(
                refused,
                Err(StoreError::Refused(DeltaError::ReservedMember))
            ),
            "{name}"
        );
    }
    let mut clear = Delta::default();
    clear.clear();
    shared.store.commit(&key("one"), &clear, now).await.unwrap();
    assert_eq!(shared.live("one", now).await.owner(), Some(&owner("1")));
}

// Proves: J1
#[tokio::test]
async fn whom_express_logs_in_to_a_known_session_is_a_login_of_its_own() {
    let shared = Shared::start().await;
    let now = now();
    shared.express_saves("one", &login("1", now), "1800").await;
    let first = shared.live("one", now).await;
    // Express swaps the user without a new id. A step-up that was under way was about the other.
    let swapped = shared
        .text("one")
        .await
        .unwrap()
        .replace(r#""userId":1"#, r#""userId":2"#);
    shared.express_saves("one", &swapped, "1800").await;
    let mut step_up = Delta::default();
    step_up.set_meta(first.meta.clone().stepped_up(Origin::default(), now));
    let committed = shared
        .store
        .commit(&key("one"), &step_up, now)
        .await
        .unwrap();
    assert_eq!(committed, Committed::Gone);
    let listed = |id: &str| {
        let (store, owner) = (shared.store.clone(), owner(id));
        async move {
            store
                .list(&owner, Page::first(), now)
                .await
                .unwrap()
                .sessions
                .len()
        }
    };
    assert_eq!(shared.live("one", now).await.owner(), Some(&owner("2")));
    assert_eq!((listed("1").await, listed("2").await), (0, 1));
    let ended = shared.store.end_all(&owner("1"), None, now).await.unwrap();
    assert_eq!(ended, 0);
    // And logs them out again.
    let out = shared
        .text("one")
        .await
        .unwrap()
        .replace(r#""userId":2"#, r#""userId":null"#);
    shared.express_saves("one", &out, "1800").await;
    assert_eq!(shared.live("one", now).await.owner(), None);
    assert_eq!(listed("2").await, 0);
}

// Proves: T5.1
#[tokio::test]
async fn a_login_of_ours_is_a_record_that_express_reads() {
    let mut options = options();
    options.mapping.id_form = IdForm::Number;
    let shared = Shared::start_with(options).await;
    let now = UnixMs::from_millis(1_700_000_000_000);
    let sid = shared.log_in("1001", now).await;
    assert_eq!(sid.len(), 32);
    let text = shared.text(&sid).await.unwrap();
    let (express, _) = text.split_once(r#","jackline":"#).unwrap();
    assert_eq!(
        express,
        concat!(
            r#"{"cookie":{"originalMaxAge":1800000,"expires":"2023-11-14T22:43:20.000Z","secure":true,"httpOnly":true,"#,
            r#""path":"/","sameSite":"lax"},"userId":1001,"username":"alice","loginAt":"2023-11-14T22:13:20.000Z","role":"user""#
        )
    );
    for name in shared.server.ask::<Vec<String>>(&["KEYS", "sess:*"]).await {
        assert_eq!(
            name,
            format!("sess:{sid}"),
            "Express lists sessions by this pattern"
        );
    }
    let text_id = shared.log_in("user-7", now).await;
    assert_eq!(shared.json(&text_id).await["userId"], json!("user-7"));
}

// Proves: J7
#[tokio::test]
async fn nonsense_is_corrupt_and_never_a_session() {
    let shared = Shared::start().await;
    let now = now();
    for record in [
        "",
        "null",
        "[]",
        "{}",
        "x",
        "{\"cookie\":1}",
        "{\"cookie\":[]}",
        "{\"cookie\":null}",
        "{\"cookie\":{}",
        "{\"cookie\":{},\"a\":zz}",
        "{\"cookie\":{},\"userId\":{}}",
        "{\"cookie\":{},\"userId\":true}",
        "{\"cookie\":{},\"userId\":1,\"loginAt\":\"yesterday\"}",
        "{\"cookie\":{},\"userId\":1,\"loginAt\":-5}",
    ] {
        shared.express_saves("bad", record, "1800").await;
        let loaded = shared.store.load(&key("bad"), MINUTE, now).await;
        assert!(
            matches!(loaded, Err(StoreError::Corrupt(_))),
            "{record}: {loaded:?}"
        );
    }
    let _: i64 = shared.server.ask(&["LPUSH", "sess:list", "1"]).await;
    let loaded = shared.store.load(&key("list"), MINUTE, now).await;
    assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
    for nobody in ["null", "false", "0", "\"\""] {
        let record = format!("{{\"cookie\":{{}},\"userId\":{nobody}}}");
        shared.express_saves("nobody", &record, "1800").await;
        assert_eq!(shared.live("nobody", now).await.owner(), None, "{nobody}");
    }
}

// Proves: J4, J7, A6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_behind_sentinels_as_a_user_with_few_rights() {
    let certificates = Arc::new(Certificates::make());
    let rights = format!("{RIGHTS} +role +time");
    let web = user("web", ">open-sesame", &rights);
    let servers = RedisSentinels::start_over_tls(&certificates, &web).await;
    let url = servers.url().replacen("://", "://web:open-sesame@", 1);
    let (sentinel, password) = SENTINEL_USER;
    let mut options = options();
    options.redis = tls::options(&certificates).sentinel_user(sentinel, password);
    let store = ExpressStore::connect(&url, options).await.unwrap();
    let now = now();
    let record = Record::visitor(&Policy::default(), Origin::default(), now);
    let log_in = async |id: &str| {
        let (key, owner) = (SessionToken::express_from_random(random()).key(), owner(id));
        let identity = Identity::new(owner.clone(), "alice", Role::user());
        let record = Record::logged_in(identity, &Policy::default(), Origin::default(), now);
        let admission = Admission {
            key: &key,
            record: &record,
            owner: &owner,
            epoch: store.epoch(&owner, now).await.unwrap(),
            cap: SessionCap::Unlimited,
            replaces: None,
        };
        store.admit(&admission, now).await.unwrap();
        key
    };
    store.create(&key("before"), &record).await.unwrap();
    log_in("alice").await;

    servers.fail_over().await;
    eventually("the store follows", async || store.ping().await.is_ok()).await;

    store.create(&key("after"), &record).await.unwrap();
    store
        .commit(&key("after"), &set("n", "1"), now)
        .await
        .unwrap();
    let alice = log_in("alice").await;
    // Reads, writes and the walk over all names.
    assert!(store.end_all(&owner("alice"), None, now).await.unwrap() >= 1);
    assert_eq!(
        store.load(&alice, MINUTE, now).await.unwrap(),
        Loaded::Absent
    );
    let loaded = store.load(&key("after"), MINUTE, now).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { .. }), "{loaded:?}");
}

// Proves: J11, A6
#[tokio::test]
async fn a_user_that_may_not_ask_for_the_time_is_refused_at_start() {
    let server = RedisServer::start().await;
    let mut words = vec!["ACL", "SETUSER", "web", "reset", "on", ">open-sesame"];
    words.extend(RIGHTS.split(' '));
    let _: String = server.ask(&words).await;
    let url = format!("redis://web:open-sesame@127.0.0.1:{}", server.port());
    let refused = ExpressStore::connect(&url, options()).await;
    assert!(matches!(refused, Err(RedisOpenError::ExpressClock)));
    let _: String = server.ask(&["ACL", "SETUSER", "web", "+time"]).await;
    ExpressStore::connect(&url, options()).await.unwrap();
}

// Proves: J7
#[tokio::test]
async fn a_store_that_is_away_is_not_ready() {
    let mut shared = Shared::start().await;
    assert_eq!(shared.store.name(), "express");
    shared.store.ping().await.unwrap();
    shared.server.stop();
    assert!(shared.store.ping().await.is_err());
}

// Proves: J11
#[tokio::test]
async fn what_cannot_be_shared_is_refused_at_the_start() {
    let cluster = ExpressStore::connect("redis+cluster://127.0.0.1:1", options()).await;
    assert!(matches!(cluster, Err(RedisOpenError::ExpressCluster)));
    for name in ["", "cookie", "id", "loginAt"] {
        let mut options = options();
        options.mapping.user_id = name.to_owned();
        let opened = ExpressStore::connect("redis://127.0.0.1:1", options).await;
        assert!(
            matches!(opened, Err(RedisOpenError::ExpressMapping)),
            "{name}"
        );
    }
}

// Proves: J3
#[tokio::test]
async fn any_data_comes_back_as_it_went_in() {
    let shared = Shared::start().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let now = now();
    for round in 0..200 {
        let members = crate::arbitrary::data()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let sid = format!("round.{round}");
        let mut record = Record::visitor(&Policy::default(), Origin::default(), now);
        record.data = members;
        match shared.store.create(&key(&sid), &record).await {
            Err(StoreError::Refused(DeltaError::ReservedMember)) => continue,
            created => created.unwrap(),
        }
        shared
            .store
            .commit(&key(&sid), &Delta::default(), now)
            .await
            .unwrap();
        assert_eq!(shared.live(&sid, now).await.data, record.data);
    }
}
