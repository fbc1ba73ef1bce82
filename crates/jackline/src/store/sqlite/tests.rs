//! What the threads do with work that fails, panics, is given up or is too much. Each test holds the writer in a
//! transaction, so that what gathers behind it is one batch whatever the machine is doing.

use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;

use super::worker::QUEUE;
use super::{READERS, SqliteStore, StoreFuture};
use crate::clock::{Clock as _, SystemClock};
use crate::lifecycle::{Delta, Policy, Record, UnixMs};
use crate::origin::Origin;
use crate::store::{Committed, Loaded, Store as _, StoreError};
use crate::token::{Bucket, SessionKey, SessionToken};

/// A store in a folder that goes with it.
struct Place {
    store: SqliteStore,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("sessions.db")).unwrap();
        Self {
            store,
            _folder: folder,
        }
    }

    /// Holds the writer in a transaction.
    fn hold(&self) -> Gate {
        let (began, has_begun) = mpsc::channel();
        let (open, opened) = mpsc::channel::<()>();
        let passed = self.store.writer.run(move |_| {
            began.send(()).unwrap();
            // An error means that the test is over, and that is as good.
            let _ = opened.recv();
            Ok(())
        });
        has_begun.recv().unwrap();
        Gate { open, passed }
    }

    async fn is_there(&self, key: &SessionKey) -> bool {
        let loaded = self.store.load(key, Duration::MAX, now()).await.unwrap();
        matches!(loaded, Loaded::Live { .. })
    }
}

struct Gate {
    open: mpsc::Sender<()>,
    passed: StoreFuture<'static, ()>,
}

impl Gate {
    async fn open(self) {
        self.open.send(()).unwrap();
        self.passed.await.unwrap();
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

/// Succeeds, and breaks a constraint that is checked at COMMIT, which then fails and leaves the transaction open.
fn fails_at_commit(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO child VALUES (1);",
    )?;
    Ok(())
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

// Proves: J8
#[tokio::test]
async fn sixty_four_writers_that_wait_are_one_transaction() {
    let place = Place::new();
    let store = &place.store;
    let (key, record) = (key(1), visitor());
    store.create(&key, &record).await.unwrap();
    let mut delta = Delta::default();
    delta.increment("n", 1);
    let gate = place.hold();
    let before = store.transactions();
    let commits: Vec<_> = (0..64).map(|_| store.commit(&key, &delta, now())).collect();
    gate.open().await;
    for (n, commit) in commits.into_iter().enumerate() {
        let counters = vec![i64::try_from(n).unwrap() + 1];
        assert_eq!(commit.await.unwrap(), Committed::Applied { counters });
    }
    assert_eq!(store.transactions() - before, 2, "the gate's and one more");
}

// Proves: J2, J7, J8
#[tokio::test]
async fn what_was_found_in_a_transaction_that_is_rolled_back_is_told_to_nobody() {
    let place = Place::new();
    let store = &place.store;
    let (one, two, record) = (key(1), key(2), visitor());
    let gate = place.hold();
    let creation = store.create(&one, &record);
    // Finds the key that the first has made, and must not say so: it will never have been there.
    let conflict = store.create(&one, &record);
    // As a full disk does it: the whole transaction, and not this piece of it alone.
    let culprit = store.writer.run(|db| {
        db.execute_batch("ROLLBACK").unwrap();
        Err::<(), _>(StoreError::unavailable("the disk is full"))
    });
    let never_tried = store.create(&two, &record);
    gate.open().await;
    for result in [creation.await, conflict.await, never_tried.await] {
        assert!(is_unavailable(&result), "{result:?}");
    }
    let Err(StoreError::Unavailable(reason)) = culprit.await else {
        panic!("the culprit has failed");
    };
    assert_eq!(reason.to_string(), "the disk is full");
    assert!(!place.is_there(&one).await);
    assert!(!place.is_there(&two).await);
    store.create(&one, &record).await.unwrap();
}

// Proves: J7, J8
#[tokio::test]
async fn a_commit_that_fails_is_unavailable_for_everybody_and_leaves_the_connection_clean() {
    let place = Place::new();
    let store = &place.store;
    let (one, record) = (key(1), visitor());
    let gate = place.hold();
    let creation = store.create(&one, &record);
    let conflict = store.create(&one, &record);
    let poison = store.writer.run(fails_at_commit);
    gate.open().await;
    for result in [creation.await, conflict.await, poison.await] {
        assert!(is_unavailable(&result), "{result:?}");
    }
    assert!(!place.is_there(&one).await);
    store.create(&one, &record).await.unwrap();
    assert!(place.is_there(&one).await);
}

// Proves: J7
#[tokio::test]
async fn work_that_is_given_up_while_its_batch_is_under_way_is_not_done() {
    let place = Place::new();
    let store = &place.store;
    let (one, two, record) = (key(1), key(2), visitor());
    let gate = place.hold();
    let (hand_over, handed_over) = mpsc::channel::<StoreFuture<'static, ()>>();
    // The first of the batch is slow, and while it is at it the second's caller runs out of patience.
    let slow = store.writer.run(move |_| {
        drop(handed_over.recv().unwrap());
        Ok(())
    });
    let creation = record.clone();
    hand_over
        .send(
            store
                .writer
                .run(move |db| super::tables::create(db, &one, &creation)),
        )
        .unwrap();
    let patient = store.create(&two, &record);
    gate.open().await;
    slow.await.unwrap();
    patient.await.unwrap();
    assert!(!place.is_there(&one).await);
    assert!(place.is_there(&two).await);
}

// Proves: J7, J8
#[tokio::test]
async fn a_panic_is_one_failure_and_takes_back_what_it_did() {
    let place = Place::new();
    let store = &place.store;
    let (one, two, record) = (key(1), key(2), visitor());
    let gate = place.hold();
    let before = store.create(&one, &record);
    let panicking = store.writer.run(|db| -> Result<(), StoreError> {
        db.execute("DELETE FROM sessions", []).unwrap();
        panic!("on purpose")
    });
    let after = store.create(&two, &record);
    gate.open().await;
    before.await.unwrap();
    assert!(is_unavailable(&panicking.await));
    after.await.unwrap();
    assert!(place.is_there(&one).await);
    assert!(place.is_there(&two).await);

    for _ in 0..READERS {
        let panicking = store
            .reader()
            .run(|_| -> Result<(), StoreError> { panic!("on purpose") });
        assert!(is_unavailable(&panicking.await));
    }
    for _ in 0..READERS {
        assert!(place.is_there(&one).await);
    }
}

// Proves: J7
#[tokio::test]
async fn what_the_file_did_not_take_is_in_doubt_until_a_probe_is_taken() {
    let place = Place::new();
    let store = &place.store;
    let record = visitor();
    store.create(&key(1), &record).await.unwrap();
    let conflict = store.create(&key(1), &record).await;
    assert!(matches!(conflict, Err(StoreError::Conflict)));
    assert!(!store.writer.is_in_doubt(), "that was no failure");

    let full = store
        .writer
        .run(|_| Err::<(), _>(StoreError::unavailable("the disk is full")));
    assert!(is_unavailable(&full.await));
    assert!(store.writer.is_in_doubt());
    store.create(&key(2), &record).await.unwrap();
    assert!(store.writer.is_in_doubt(), "a small write proves nothing");
    store.ping().await.unwrap();
    assert!(!store.writer.is_in_doubt());

    let poison = store.writer.run(fails_at_commit);
    assert!(is_unavailable(&poison.await));
    assert!(store.writer.is_in_doubt());
}

// Proves: J7
#[tokio::test]
async fn a_full_queue_is_unavailable_at_once() {
    let place = Place::new();
    let store = &place.store;
    let gate = place.hold();
    let waiting: Vec<_> = (0..QUEUE).map(|_| store.ping()).collect();
    // The writer is held, so an answer can only be immediate.
    let refused = tokio::time::timeout(Duration::from_secs(60), store.ping()).await;
    assert!(is_unavailable(&refused.unwrap()));
    gate.open().await;
    for ping in waiting {
        ping.await.unwrap();
    }
    store.ping().await.unwrap();
}

// Proves: J8
#[tokio::test]
async fn every_commit_is_synced() {
    let place = Place::new();
    let settings = place.store.writer.run(|db| {
        let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let journal = db.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?;
        Ok((journal, number("synchronous")?, number("secure_delete")?))
    });
    let (full, fast) = (2, 2);
    assert_eq!(settings.await.unwrap(), ("wal".to_owned(), full, fast));
}
