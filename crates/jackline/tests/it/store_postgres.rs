//! The PostgreSQL store keeps its promises with a real PostgreSQL. Here: what it stores, in how many statements, and how
//! stores and other programs get along in one database. Beside it: what it says when PostgreSQL crashed, froze, takes no
//! writes or is somebody else's (`outages`), whom it trusts (`tls`), what a near-cache hears (`near`), and that a delta means inside PostgreSQL what it means in Rust (`deltas`).

pub(crate) mod contract;
mod deltas;
mod near;
mod outages;
mod tls;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{Delta, Identity, OwnerId, Policy, Record, Role, SessionCap, UnixMs};
use jackline::origin::Origin;
use jackline::store::postgres::{PostgresOpenError, PostgresOptions, PostgresStore};
use jackline::store::{
    Admission, Admitted, Committed, Epoch, Loaded, Page, Replaced, Store, StoreError, Trace,
};
use jackline::token::{Bucket, SessionKey, SessionToken};
use serde_json::value::RawValue;
use testkit::eventually;
use testkit::postgres::{PostgresServer, client};
use tokio_postgres::Client;

const MINUTE: Duration = Duration::from_secs(60);

/// A store, the server, and a connection beside the store's.
struct Postgres {
    server: Arc<PostgresServer>,
    store: PostgresStore,
    beside: Client,
    url: String,
}

impl Postgres {
    async fn start() -> Self {
        let server = PostgresServer::shared().await;
        let url = server.new_database().await;
        let store = connect(&url, patient()).await.unwrap();
        let beside = client(&url).await;
        Self {
            server,
            store,
            beside,
            url,
        }
    }

    async fn record(&self, key: &SessionKey, now: UnixMs) -> Record {
        match self.store.load(key, MINUTE, now).await.unwrap() {
            Loaded::Live { record, .. } => *record,
            other => panic!("{other:?}"),
        }
    }

    async fn count(&self, sql: &str) -> i64 {
        self.beside.query_one(sql, &[]).await.unwrap().get(0)
    }
}

// Proves: J2, J3, J4
#[tokio::test]
async fn every_step_is_one_statement() {
    let postgres = Postgres::start().await;
    let store = &postgres.store;
    let (alice, now) = (owner("user-1001"), now());
    let (first, second, third) = (
        owned_key(&alice, 1),
        owned_key(&alice, 2),
        owned_key(&alice, 3),
    );
    let visitor = visitor_key(1);
    assert_eq!(store.name(), "postgres");
    let record = logged_in(&alice, now);
    let carried = set("c", "3");
    let mut login = admission(&first, &record, &alice);
    login.replaces = Some(Replaced {
        key: &visitor,
        owner: None,
        carry: Some(&carried),
    });
    let mut pruning = admission(&third, &record, &alice);
    pruning.cap = SessionCap::PruneOldest(1);

    let mut sent = store.statements();
    let mut one = |what: &str| {
        let before = std::mem::replace(&mut sent, store.statements());
        assert_eq!(sent - before, 1, "{what}");
    };
    store.create(&visitor, &visitor_record(now)).await.unwrap();
    one("create");
    store.load(&visitor, MINUTE, now).await.unwrap();
    one("load");
    let later = now.after(MINUTE);
    let renewed = store.load(&visitor, MINUTE, later).await.unwrap();
    assert!(matches!(renewed, Loaded::Live { renewed: true, .. }));
    one("load that renews");
    let mut delta = set("a\u{0}\u{1F511}\"", "1.50");
    delta.increment("n", 2);
    delta.set_meta(visitor_record(now).meta.at_risk());
    let counters = store.commit(&visitor, &delta, now).await.unwrap();
    assert_eq!(counters, Committed::Applied { counters: vec![2] });
    one("commit");
    store.epoch(&alice, now).await.unwrap();
    one("epoch");
    store.admit(&login, now).await.unwrap();
    one("login that replaces and carries");
    store
        .rotate(&first, &second, Some(&alice), &delta, now)
        .await
        .unwrap();
    one("rotate");
    let pruned = store.admit(&pruning, now).await.unwrap();
    assert_eq!(
        pruned,
        Admitted::Done {
            pruned: vec![second]
        }
    );
    one("login that prunes");
    store.list(&alice, Page::first(), now).await.unwrap();
    one("list");
    store.end(&third, Some(&alice), None, now).await.unwrap();
    one("end");
    store.end_all(&alice, None, now).await.unwrap();
    one("end all");
    store.reclaim(100, now).await.unwrap();
    one("reclaim");
    store.ping().await.unwrap();
    one("ping");
}

// Proves: J9
#[tokio::test]
async fn a_load_that_renews_nothing_and_a_ping_write_nothing() {
    let postgres = Postgres::start().await;
    let now = now();
    let key = visitor_key(1);
    postgres
        .store
        .create(&key, &visitor_record(now))
        .await
        .unwrap();
    // Who wrote the row, who locked it, and where it lies.
    let version = async || -> String {
        let version = "SELECT format('%s %s %s', xmin, xmax, ctid) FROM jackline.sessions";
        let row = postgres.beside.query_one(version, &[]).await.unwrap();
        row.get(0)
    };
    let before = version().await;
    for _ in 0..10 {
        postgres.record(&key, now).await;
        postgres.store.ping().await.unwrap();
    }
    assert_eq!(version().await, before, "the row was written");
    postgres.record(&key, now.after(MINUTE)).await;
    assert_ne!(version().await, before, "a renewal shows");
}

// Proves: J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_database_count_exactly() {
    let postgres = Postgres::start().await;
    let other = connect(&postgres.url, patient()).await.unwrap();
    let now = now();
    let key = visitor_key(1);
    postgres
        .store
        .create(&key, &visitor_record(now))
        .await
        .unwrap();
    let mut delta = Delta::default();
    delta.increment("n", 1);
    let count = async |store: &PostgresStore| {
        for _ in 0..100 {
            store.commit(&key, &delta, now).await.unwrap();
        }
    };
    let one = &postgres.store;
    tokio::join!(count(one), count(&other), count(one), count(&other));
    let record = postgres.record(&key, now).await;
    assert_eq!(record.data.get::<i64>("n").unwrap(), Some(400));
    assert_eq!(record.clocks.version, 400);
}

// Proves: J7, J11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_stores_may_start_at_once_on_an_empty_database() {
    let server = PostgresServer::shared().await;
    let url = server.new_database().await;
    let starting: Vec<_> = (0..10)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let options = patient().connections(2);
                let store = connect(&url, options).await.unwrap();
                store.ping().await.unwrap();
            })
        })
        .collect();
    for store in starting {
        store.await.unwrap();
    }
    let migrations = client(&url)
        .await
        .query_one("SELECT count(*) FROM jackline.jackline_migrations", &[])
        .await
        .unwrap();
    assert_eq!(migrations.get::<_, i64>(0), 1);
}

// Proves: T2.2, J6
#[tokio::test]
async fn no_token_stands_in_the_tables() {
    let postgres = Postgres::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let token = SessionToken::from_random(*b"a-token-that-would-show!", Bucket::of(&alice));
    let record = logged_in(&alice, now);
    let login = token.key();
    postgres
        .store
        .admit(&admission(&login, &record, &alice), now)
        .await
        .unwrap();
    let row: String = postgres
        .beside
        .query_one(
            "SELECT s::text || encode(key, 'escape') FROM jackline.sessions AS s",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!(
        row.contains("user-1001"),
        "the test looks in the right place"
    );
    assert!(!row.contains("a-token-that-would-show!"));
}

// Proves: D9, J4
#[tokio::test]
async fn what_has_run_out_is_reclaimed_past_a_locked_row_and_an_epoch_is_forgotten_after_an_hour() {
    let mut postgres = Postgres::start().await;
    let (alice, now) = (owner("user-1001"), now());
    for n in 0..10 {
        postgres
            .store
            .create(&visitor_key(n), &visitor_record(now))
            .await
            .unwrap();
    }
    postgres.store.end_all(&alice, None, now).await.unwrap();
    let store = &postgres.store;
    let (old, new) = (visitor_key(0), visitor_key(10));
    let delta = Delta::default();
    store.rotate(&old, &new, None, &delta, now).await.unwrap();
    let notes = "SELECT count(*) FROM jackline.traces";
    assert_eq!(postgres.count(notes).await, 1);
    assert_eq!(store.reclaim(100, now).await.unwrap(), 0);
    assert_ne!(store.epoch(&alice, now).await.unwrap(), Epoch(0));

    let later = now.after(Duration::from_secs(3600 + 60));
    let holder = postgres.beside.transaction().await.unwrap();
    let one = "SELECT FROM jackline.sessions ORDER BY id LIMIT 1 FOR UPDATE";
    assert_eq!(holder.execute(one, &[]).await.unwrap(), 1);
    assert_eq!(store.reclaim(6, later).await.unwrap(), 6);
    assert_eq!(store.reclaim(6, later).await.unwrap(), 3);
    assert_eq!(
        store.reclaim(6, later).await.unwrap(),
        0,
        "the last one is locked"
    );
    holder.rollback().await.unwrap();
    assert_eq!(store.reclaim(6, later).await.unwrap(), 1);
    assert_eq!(store.epoch(&alice, later).await.unwrap(), Epoch(0));
    assert_eq!(postgres.count(notes).await, 0);
}

// Proves: D9
#[tokio::test]
async fn reclaiming_finds_what_has_run_out_by_an_index_and_not_by_reading_everything() {
    let postgres = Postgres::start().await;
    let now = now();
    postgres
        .store
        .create(&visitor_key(1), &visitor_record(now))
        .await
        .unwrap();
    let many = "INSERT INTO jackline.sessions (key, started, seen, idle, ends, version, meta, member_names, member_values) \
                SELECT int4send(n), started, seen, idle, ends, version, meta, '{}', '{}' \
                FROM jackline.sessions, generate_series(1, 5000) AS n; \
                UPDATE jackline.sessions SET seen = 1 WHERE length(key) = 4 AND get_byte(key, 3) = 7; \
                ANALYZE jackline.sessions";
    postgres.beside.batch_execute(many).await.unwrap();
    assert_eq!(postgres.store.reclaim(10, now).await.unwrap(), 10);
    assert_eq!(postgres.store.reclaim(10, now).await.unwrap(), 10);
    let by_index = "SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes \
                    WHERE indexrelname = 'sessions_to_reclaim'";
    eventually("the server has counted both", async || {
        postgres.count(by_index).await == 2
    })
    .await;
}

// Proves: D9
#[tokio::test]
async fn a_record_is_reclaimed_within_five_minutes_of_its_idle_limit() {
    let postgres = Postgres::start().await;
    let now = now();
    for n in 0..20 {
        let begun = now.after(Duration::from_millis(u64::from(n) * 17_003));
        let key = visitor_key(n);
        let mut record = visitor_record(begun);
        if n % 2 == 0 {
            record.clocks.idle = Duration::from_secs(2);
        }
        let idle = record.clocks.idle;
        postgres.store.create(&key, &record).await.unwrap();
        let last = begun.after(idle - Duration::from_millis(1));
        assert_eq!(postgres.store.reclaim(100, last).await.unwrap(), 0);
        let late = begun.after(idle + (idle / 6).min(5 * MINUTE));
        assert_eq!(postgres.store.reclaim(100, late).await.unwrap(), 1, "{n}");
    }
}

// Proves: J7
#[tokio::test]
async fn somebody_elses_lock_on_one_session_holds_up_nobody_elses() {
    let mut postgres = Postgres::start().await;
    // A lock is waited for two thirds of it. What is left is enough on a busy machine too, so that what PostgreSQL says comes first.
    let options = hasty()
        .response_timeout(Duration::from_secs(3))
        .connections(2);
    let hasty = connect(&postgres.url, options).await.unwrap();
    let now = now();
    let (locked, free) = (visitor_key(1), visitor_key(2));
    for key in [&locked, &free] {
        postgres
            .store
            .create(key, &visitor_record(now))
            .await
            .unwrap();
    }
    let holder = postgres.beside.transaction().await.unwrap();
    holder
        .execute(
            "SELECT FROM jackline.sessions ORDER BY id LIMIT 1 FOR UPDATE",
            &[],
        )
        .await
        .unwrap();
    let delta = set("a", "1");
    let waiting = hasty.commit(&locked, &delta, now);
    let others = async {
        for _ in 0..20 {
            hasty.commit(&free, &delta, now).await.unwrap();
        }
    };
    let (waited, ()) = tokio::join!(waiting, others);
    let Err(StoreError::Unavailable(why)) = waited else {
        panic!("{waited:?}");
    };
    assert_eq!(why.to_string(), "PostgreSQL refused with 55P03");
    assert!(matches!(
        hasty.load(&locked, MINUTE, now).await,
        Ok(Loaded::Live { .. })
    ));
    holder.rollback().await.unwrap();
    hasty.commit(&locked, &delta, now).await.unwrap();
    assert_eq!(
        postgres.record(&locked, now).await.clocks.version,
        1,
        "the one that failed wrote nothing"
    );
}

// Proves: J4
#[tokio::test]
async fn logins_that_end_each_others_sessions_do_not_deadlock() {
    let postgres = Postgres::start().await;
    let now = now();
    let (alice, bob) = (owner("alice"), owner("bob"));
    let (hers, his) = (owned_key(&alice, 1), owned_key(&bob, 1));
    for (owner, key) in [(&alice, &hers), (&bob, &his)] {
        let record = logged_in(owner, now);
        let login = admission(key, &record, owner);
        postgres.store.admit(&login, now).await.unwrap();
    }
    // Others hold one row each, and let go one after the other.
    let mut holders = [client(&postgres.url).await, client(&postgres.url).await];
    let [first, second] = &mut holders;
    let (first, second) = (first.transaction(), second.transaction());
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let one = "SELECT FROM jackline.sessions WHERE owner = $1 FOR UPDATE";
    assert_eq!(first.execute(one, &[&"alice"]).await.unwrap(), 1);
    assert_eq!(second.execute(one, &[&"bob"]).await.unwrap(), 1);

    // Each prunes its owner's own session and replaces the other's, so each needs both rows.
    let log_in = async |owner: &OwnerId, other: &SessionKey| {
        let (key, record) = (owned_key(owner, 2), logged_in(owner, now));
        let delta = Delta::default();
        let mut login = admission(&key, &record, owner);
        login.cap = SessionCap::PruneOldest(1);
        login.replaces = Some(Replaced {
            key: other,
            owner: None,
            carry: Some(&delta),
        });
        // A deadlock would be Unavailable.
        postgres.store.admit(&login, now).await.unwrap()
    };
    let release = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let free = "SELECT count(*) FROM \
                    (SELECT FROM jackline.sessions WHERE owner = 'alice' FOR UPDATE SKIP LOCKED) AS free";
        eventually("both wait for a row", async || {
            postgres.count(waiting).await == 2
        })
        .await;
        first.rollback().await.unwrap();
        eventually("one has her row and waits for his", async || {
            postgres.count(free).await == 0 && postgres.count(waiting).await == 2
        })
        .await;
        second.rollback().await.unwrap();
    };
    let (one, other, ()) = tokio::join!(log_in(&alice, &his), log_in(&bob, &hers), release);
    for admitted in [one, other] {
        assert!(matches!(admitted, Admitted::Done { .. }), "{admitted:?}");
    }
    for gone in [&hers, &his] {
        let loaded = postgres.store.load(gone, MINUTE, now).await.unwrap();
        assert_eq!(loaded, Loaded::Trace(Trace::Replaced));
    }
}

async fn connect(url: &str, options: PostgresOptions) -> Result<PostgresStore, PostgresOpenError> {
    PostgresStore::connect(&url.parse()?, options).await
}

/// All of these tests at once are more than two cores do in half a second.
fn patient() -> PostgresOptions {
    PostgresOptions::default()
        .response_timeout(Duration::from_secs(10))
        .connection_timeout(Duration::from_secs(10))
}

/// For tests in which the time-out passes: the default, doubled for a busy machine.
fn hasty() -> PostgresOptions {
    PostgresOptions::default()
        .response_timeout(Duration::from_millis(900))
        .connection_timeout(Duration::from_millis(900))
}

fn now() -> UnixMs {
    SystemClock.now()
}

fn owner(id: &str) -> OwnerId {
    OwnerId::new(id).unwrap()
}

fn random(n: u32) -> [u8; 24] {
    let mut bytes = [7; 24];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn visitor_key(n: u32) -> SessionKey {
    SessionToken::from_random(random(n), Bucket::from_number(1)).key()
}

fn owned_key(owner: &OwnerId, n: u32) -> SessionKey {
    SessionToken::from_random(random(n), Bucket::of(owner)).key()
}

fn visitor_record(now: UnixMs) -> Record {
    Record::visitor(&Policy::default(), Origin::default(), now)
}

fn logged_in(owner: &OwnerId, now: UnixMs) -> Record {
    let identity = Identity::new(owner.clone(), "Somebody", Role::user());
    Record::logged_in(identity, &Policy::default(), Origin::default(), now)
}

fn admission<'a>(key: &'a SessionKey, record: &'a Record, owner: &'a OwnerId) -> Admission<'a> {
    Admission {
        key,
        record,
        owner,
        epoch: Epoch::default(),
        cap: SessionCap::Unlimited,
        replaces: None,
    }
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn set(name: &str, json: &str) -> Delta {
    let mut delta = Delta::default();
    delta.set(name, raw(json));
    delta
}
