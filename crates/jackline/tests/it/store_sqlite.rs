//! What the SQLite store promises beyond the contract: durability, several processes on one file, and clear errors.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{
    Data, Delta, Identity, OwnerId, Policy, Record, Role, SessionCap, UnixMs,
};
use jackline::origin::Origin;
use jackline::store::sqlite::{SqliteOpenError, SqliteStore};
use jackline::store::{
    Admission, Admitted, Committed, Durability, Epoch, Loaded, Store, StoreError, Trace,
};
use jackline::token::{Bucket, SessionKey, SessionToken};
use rusqlite::Connection;

const STEP: Duration = Duration::from_secs(60);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("sessions.db")
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(self.file()).unwrap()
    }
}

fn now() -> UnixMs {
    SystemClock.now()
}

fn key(n: u8) -> SessionKey {
    SessionToken::from_random([n; 24], Bucket::from_random([0, n])).key()
}

fn visitor() -> Record {
    Record::visitor(&Policy::default(), Origin::default(), now())
}

fn increment(name: &str) -> Delta {
    let mut delta = Delta::default();
    delta.increment(name, 1);
    delta
}

async fn data(store: &SqliteStore, key: &SessionKey) -> Data {
    match store.load(key, STEP, now()).await.unwrap() {
        Loaded::Live { record, .. } => record.data,
        other => panic!("{other:?}"),
    }
}

// Proves: T5.2, J8, P2
#[tokio::test]
async fn sessions_survive_a_restart() {
    let folder = Folder::new();
    let store = folder.open();
    assert_eq!(store.durability(), Durability::Durable);
    store.create(&key(1), &visitor()).await.unwrap();
    store.commit(&key(1), &increment("n"), now()).await.unwrap();
    drop(store);
    assert_eq!(
        data(&folder.open(), &key(1)).await.get::<i64>("n").unwrap(),
        Some(1)
    );
}

// Proves: T5.2, J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_count_exactly() {
    let folder = Folder::new();
    let (one, two) = (folder.open(), folder.open());
    one.create(&key(1), &visitor()).await.unwrap();
    let delta = increment("n");
    let both = async |store: &SqliteStore| {
        for _ in 0..100 {
            store.commit(&key(1), &delta, now()).await.unwrap();
        }
    };
    tokio::join!(both(&one), both(&two));
    assert_eq!(
        data(&one, &key(1)).await.get::<i64>("n").unwrap(),
        Some(200)
    );
    assert_eq!(
        data(&two, &key(1)).await.get::<i64>("n").unwrap(),
        Some(200)
    );
}

// Proves: T5.2, J2, J4
#[tokio::test]
async fn what_one_process_ends_is_gone_for_the_other_at_once() {
    let folder = Folder::new();
    let (one, two) = (folder.open(), folder.open());
    for n in 1..=2 {
        one.create(&key(n), &visitor()).await.unwrap();
        assert!(data(&two, &key(n)).await.is_empty());
    }
    one.end(&key(1), None, None, now()).await.unwrap();
    let delta = increment("n");
    one.rotate(&key(2), &key(3), None, &delta, now())
        .await
        .unwrap();
    for (n, trace) in [(1, Loaded::Absent), (2, Loaded::Trace(Trace::Replaced))] {
        assert_eq!(two.load(&key(n), STEP, now()).await.unwrap(), trace);
        assert_eq!(
            two.commit(&key(n), &delta, now()).await.unwrap(),
            Committed::Gone
        );
    }
    assert_eq!(
        two.commit(&key(3), &delta, now()).await.unwrap(),
        Committed::Applied { counters: vec![2] }
    );

    let owner = OwnerId::new("user-1").unwrap();
    let token = SessionToken::from_random([9; 24], Bucket::of(&owner));
    let identity = Identity::new(owner.clone(), "alice", Role::user());
    let admission = Admission {
        key: &token.key(),
        record: &Record::logged_in(identity, &Policy::default(), Origin::default(), now()),
        owner: &owner,
        epoch: two.epoch(&owner, now()).await.unwrap(),
        cap: SessionCap::Unlimited,
        replaces: None,
    };
    one.end_all(&owner, None, now()).await.unwrap();
    assert_eq!(
        two.admit(&admission, now()).await.unwrap(),
        Admitted::Revoked
    );
}

// Proves: T5.2, J8
#[tokio::test]
async fn dropping_the_store_ends_its_threads_and_closes_the_file() {
    let folder = Folder::new();
    let store = folder.open();
    store.create(&key(1), &visitor()).await.unwrap();
    let log = folder.0.path().join("sessions.db-wal");
    assert!(log.exists());
    drop(store);
    // SQLite takes it away with the last connection, once everything in it stands in the file itself.
    assert!(!log.exists());
}

// Proves: J8
#[tokio::test]
async fn writers_that_wait_share_a_sync() {
    let folder = Folder::new();
    let store = folder.open();
    store.create(&key(1), &visitor()).await.unwrap();
    let before = store.transactions();
    let (key, delta) = (key(1), increment("n"));
    // Somebody else writes, so the first commit waits inside its BEGIN, and the others gather behind it.
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let commits: Vec<_> = (0..64).map(|_| store.commit(&key, &delta, now())).collect();
    other.execute_batch("COMMIT").unwrap();
    for commit in commits {
        assert!(matches!(commit.await.unwrap(), Committed::Applied { .. }));
    }
    let transactions = store.transactions() - before;
    assert!(
        transactions <= 8,
        "{transactions} transactions for 64 writers"
    );
    assert_eq!(data(&store, &key).await.get::<i64>("n").unwrap(), Some(64));
}

// Proves: J3, J8
#[tokio::test]
async fn one_refused_write_does_not_take_its_neighbours_along() {
    let folder = Folder::new();
    let store = folder.open();
    store.create(&key(1), &visitor()).await.unwrap();
    let mut text = Delta::default();
    text.set(
        "text",
        serde_json::value::to_raw_value("no number").unwrap(),
    );
    store.commit(&key(1), &text, now()).await.unwrap();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let key = key(1);
    let (good, bad) = (increment("n"), increment("text"));
    let first = store.commit(&key, &good, now());
    let second = store.commit(&key, &bad, now());
    let third = store.commit(&key, &good, now());
    other.execute_batch("COMMIT").unwrap();
    assert!(first.await.is_ok());
    assert!(matches!(second.await, Err(StoreError::Refused(_))));
    assert_eq!(
        third.await.unwrap(),
        Committed::Applied { counters: vec![2] }
    );
}

// Proves: J7
#[tokio::test]
async fn a_file_that_somebody_locks_is_unavailable_rather_than_hanging() {
    let folder = Folder::new();
    let store = folder.open();
    store.create(&key(1), &visitor()).await.unwrap();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(
        store.commit(&key(1), &increment("n"), now()).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(data(&store, &key(1)).await.is_empty(), "readers go on");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        store.commit(&key(1), &increment("n"), now()).await.unwrap(),
        Committed::Applied { counters: vec![1] },
        "what was answered with an error was not done"
    );
}

// Proves: J7, J8
#[tokio::test]
async fn a_full_disk_is_unavailable_and_loses_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    store.create(&key(1), &visitor()).await.unwrap();
    store.limit_pages_for_test(1).await.unwrap();
    let mut large = Delta::default();
    large.set(
        "large",
        serde_json::value::to_raw_value(&"x".repeat(100_000)).unwrap(),
    );
    assert!(matches!(
        store.commit(&key(1), &large, now()).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(data(&store, &key(1)).await.is_empty());
    for _ in 0..2 {
        // Although what is small still finds room.
        let ping = store.ping().await;
        assert!(matches!(ping, Err(StoreError::Unavailable(_))), "{ping:?}");
    }
    store.limit_pages_for_test(1_000_000).await.unwrap();
    for _ in 0..2 {
        store.ping().await.unwrap();
    }
    assert_eq!(
        store.commit(&key(1), &large, now()).await.unwrap(),
        Committed::Applied { counters: vec![] }
    );
}

// Proves: D7
#[test]
fn what_is_no_session_store_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let missing = folder.0.path().join("missing/sessions.db");
    let error = SqliteStore::open(&missing).unwrap_err();
    assert!(matches!(error, SqliteOpenError::Create { .. }));
    assert!(error.to_string().contains("create its folder"), "{error}");
    assert!(matches!(
        SqliteStore::open(folder.0.path()),
        Err(SqliteOpenError::Open { .. })
    ));

    let garbage = folder.0.path().join("garbage");
    std::fs::write(
        &garbage,
        "this is no database, and long enough to show it".repeat(100),
    )
    .unwrap();
    let error = SqliteStore::open(&garbage).unwrap_err();
    assert!(matches!(error, SqliteOpenError::Open { .. }));
    assert!(error.to_string().contains("check that it is"), "{error}");
    assert!(
        std::fs::read_to_string(&garbage)
            .unwrap()
            .starts_with("this is"),
        "and it is left alone"
    );

    let foreign = folder.0.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    let error = SqliteStore::open(&foreign).unwrap_err();
    assert!(matches!(error, SqliteOpenError::Foreign { .. }));
    assert!(error.to_string().contains("name another file"), "{error}");

    drop(folder.open());
    Connection::open(folder.file())
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = SqliteStore::open(folder.file()).unwrap_err();
    assert!(matches!(error, SqliteOpenError::TooNew { found: 99, .. }));
    assert!(error.to_string().contains("run that version"), "{error}");
}

// Proves: T2.2
#[test]
fn the_files_are_nobody_elses_to_read() {
    let folder = Folder::new();
    let _store = folder.open();
    let files: Vec<_> = std::fs::read_dir(folder.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
}

// Proves: T5.2
#[test]
fn many_processes_may_open_a_new_file_at_once() {
    let folder = Folder::new();
    let together = std::sync::Barrier::new(10);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                together.wait();
                folder.open();
            });
        }
    });
}

// Proves: S79
#[tokio::test]
async fn a_damaged_row_is_corrupt_and_never_a_session() {
    let folder = Folder::new();
    let store = folder.open();
    store.create(&key(1), &visitor()).await.unwrap();
    let other = Connection::open(folder.file()).unwrap();
    for damage in [
        "meta = 'x'",
        "meta = '{}'",
        "data = '[]'",
        "seen = -1",
        "version = -1",
        "ends = 9223372036854775807",
        "idle = 9223372036854775807",
    ] {
        other
            .execute_batch(&format!(
                "SAVEPOINT s; UPDATE sessions SET {damage}; RELEASE s"
            ))
            .unwrap();
        let loaded = store.load(&key(1), STEP, now()).await;
        assert!(
            matches!(loaded, Err(StoreError::Corrupt(_))),
            "{damage}: {loaded:?}"
        );
        other.execute_batch("DELETE FROM sessions").unwrap();
        store.create(&key(1), &visitor()).await.unwrap();
    }
}

// Proves: D9, J4
#[tokio::test]
async fn what_has_run_out_is_reclaimed_and_an_epoch_is_forgotten_after_an_hour() {
    let folder = Folder::new();
    let store = folder.open();
    for n in 0..10 {
        store.create(&key(n), &visitor()).await.unwrap();
    }
    let owner = OwnerId::new("user-1").unwrap();
    store.end_all(&owner, None, now()).await.unwrap();
    assert_ne!(store.epoch(&owner, now()).await.unwrap(), Epoch(0));
    assert_eq!(store.reclaim(100, now()).await.unwrap(), 0);
    assert_ne!(store.epoch(&owner, now()).await.unwrap(), Epoch(0));
    let later = now().after(Duration::from_secs(3600 + 60));
    assert_eq!(store.reclaim(6, later).await.unwrap(), 6);
    assert_eq!(store.reclaim(6, later).await.unwrap(), 4);
    assert_eq!(store.epoch(&owner, later).await.unwrap(), Epoch(0));
    let rows: i64 = Connection::open(folder.file())
        .unwrap()
        .query_row(
            "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM owners)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(rows, 0);
}

// Proves: D9
#[tokio::test]
async fn epochs_are_forgotten_in_bounded_batches_and_the_oldest_first() {
    let folder = Folder::new();
    let store = folder.open();
    let owners: Vec<_> = (0..10)
        .map(|n| OwnerId::new(format!("user-{n}")).unwrap())
        .collect();
    let start = now();
    let second = Duration::from_secs(1);
    for (owner, n) in owners.iter().zip(0..) {
        let at = start.after(second * n);
        store.end_all(owner, None, at).await.unwrap();
    }
    let later = start.after(Duration::from_secs(2 * 3600));
    for forgotten in [6, 10] {
        assert_eq!(store.reclaim(6, later).await.unwrap(), 0);
        for (n, owner) in owners.iter().enumerate() {
            let epoch = store.epoch(owner, later).await.unwrap();
            assert_eq!(epoch == Epoch(0), n < forgotten, "{n} of {forgotten}");
        }
    }
}

// Proves: T2.2, J6
#[tokio::test]
async fn no_token_stands_in_the_file() {
    let folder = Folder::new();
    let store = folder.open();
    let owner = OwnerId::new("user-1").unwrap();
    let token = SessionToken::from_random(*b"a-token-that-would-show!", Bucket::of(&owner));
    let identity = Identity::new(owner.clone(), "alice", Role::user());
    let record = Record::logged_in(identity, &Policy::default(), Origin::default(), now());
    let admission = Admission {
        key: &token.key(),
        record: &record,
        owner: &owner,
        epoch: Epoch(0),
        cap: SessionCap::Unlimited,
        replaces: None,
    };
    store.admit(&admission, now()).await.unwrap();
    drop(store);
    let contains = |file: &Path, text: &[u8]| {
        std::fs::read(file)
            .unwrap()
            .windows(text.len())
            .any(|window| window == text)
    };
    assert!(
        contains(&folder.file(), b"user-1"),
        "the test looks in the right place"
    );
    assert!(!contains(&folder.file(), b"a-token-that-would-show!"));
}
