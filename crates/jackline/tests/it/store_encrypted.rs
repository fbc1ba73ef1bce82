//! Encryption at rest keeps the store contract around every store, and what reaches the store opens with the right key and in the right
//! place only.

mod slow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jackline::lifecycle::{Data, Delta, DeltaError, Policy, Record, UnixMs};
use jackline::origin::Origin;
use jackline::store::encrypted::{EncryptedStore, EncryptionKey, EncryptionKeys};
use jackline::store::memory::MemoryStore;
use jackline::store::{Committed, Loaded, Page, Store, StoreError};
use jackline::testing::SpyStore;
use jackline::token::{Bucket, SessionKey, SessionToken};
use serde_json::value::RawValue;

const SECRET: &str = "an-encryption-key-that-no-store-may-see-0123456789";
const OLDER: &str = "an-older-encryption-key-of-the-same-deployment-987654321";
const STEP: Duration = Duration::from_secs(60);

mod contract {
    use super::*;
    use crate::{store_contract, store_postgres, store_redis};

    async fn in_memory() -> Arc<dyn Store> {
        encrypted(Arc::new(MemoryStore::new()))
    }

    jackline::store_contract!(memory, in_memory());

    async fn in_sqlite() -> (Arc<dyn Store>, tempfile::TempDir) {
        let (store, folder) = store_contract::in_sqlite().await;
        (encrypted(store), folder)
    }

    jackline::store_contract!(sqlite, in_sqlite());

    async fn in_redis() -> (Arc<dyn Store>, Arc<testkit::redis::RedisServer>) {
        let (store, server) = store_redis::contract::on_one_server().await;
        (encrypted(store), server)
    }

    jackline::store_contract!(redis, in_redis());

    async fn in_postgres() -> (Arc<dyn Store>, Arc<testkit::postgres::PostgresServer>) {
        let (store, server) = store_postgres::contract::fresh().await;
        (encrypted(store), server)
    }

    jackline::store_contract!(postgres, in_postgres());
}

fn keys(secret: &str) -> EncryptionKeys {
    EncryptionKeys::new(EncryptionKey::new(secret).unwrap())
}

pub(crate) fn encrypted(inner: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(EncryptedStore::new(inner, keys(SECRET)))
}

fn now() -> UnixMs {
    UnixMs::from_millis(1_800_000_000_000)
}

fn key(n: u8) -> SessionKey {
    SessionToken::from_random([n; 24], Bucket::from_number(7)).key()
}

fn record(json: &str) -> Record {
    let mut record = Record::visitor(&Policy::default(), Origin::default(), now());
    record.data = Data::from_json(json).unwrap();
    record
}

fn set(name: &str, json: &str) -> Delta {
    let mut delta = Delta::default();
    delta.set(name, RawValue::from_string(json.to_owned()).unwrap());
    delta
}

async fn live(store: &dyn Store, key: &SessionKey) -> Record {
    match store.load(key, STEP, now()).await.unwrap() {
        Loaded::Live { record, .. } => *record,
        other => panic!("{other:?}"),
    }
}

async fn stored(store: &dyn Store, key: &SessionKey) -> String {
    live(store, key).await.data.to_json()
}

fn is_corrupt<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> bool {
    let Err(StoreError::Corrupt(error)) = answer else {
        panic!("{answer:?}");
    };
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("4111") && !shown.contains(SECRET),
        "{shown}"
    );
    true
}

// Proves: R3, J6
#[tokio::test]
async fn the_store_sees_neither_names_nor_values_and_no_two_writes_alike() {
    let inner = Arc::new(MemoryStore::new());
    let store = encrypted(inner.clone());
    let before = r#"{"card":"4111-1111"}"#;
    store.create(&key(1), &record(before)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let text = stored(&*inner, &key(1)).await;
        for secret in ["card", "4111", SECRET] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(!seen.contains(&text), "the same ciphertext twice");
        seen.push(text);
        // Nothing changes, and yet it is written anew.
        let delta = set("card", r#""4111-1111""#);
        let applied = store.commit(&key(1), &delta, now()).await.unwrap();
        assert!(matches!(applied, Committed::Applied { .. }));
    }
    assert_eq!(stored(&*store, &key(1)).await, before);
    let shown = format!("{store:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

// Proves: R3, J7
#[tokio::test]
async fn ciphertext_opens_in_its_own_session_only_and_unchanged_only() {
    let inner = Arc::new(MemoryStore::new());
    let store = encrypted(inner.clone());
    for n in 1..=2 {
        store
            .create(&key(n), &record(r#"{"card":"4111"}"#))
            .await
            .unwrap();
    }
    let text: String = live(&*inner, &key(1))
        .await
        .data
        .get("jackline:encrypted")
        .unwrap()
        .unwrap();
    let plant = async |text: &str| {
        let delta = set("jackline:encrypted", &serde_json::to_string(text).unwrap());
        inner.commit(&key(2), &delta, now()).await.unwrap();
    };
    // The data of another session.
    plant(&text).await;
    assert!(is_corrupt(store.load(&key(2), STEP, now()).await));
    assert!(is_corrupt(
        store.commit(&key(2), &set("a", "1"), now()).await
    ));
    assert!(is_corrupt(
        store
            .rotate(&key(2), &key(3), None, &set("a", "1"), now())
            .await
    ));
    assert_eq!(
        inner.load(&key(3), STEP, now()).await.unwrap(),
        Loaded::Absent
    );
    // Any one character changed.
    let own = {
        store
            .create(&key(4), &record(r#"{"card":"4111"}"#))
            .await
            .unwrap();
        live(&*inner, &key(4))
            .await
            .data
            .get::<String>("jackline:encrypted")
            .unwrap()
            .unwrap()
    };
    for at in 12..own.len() {
        let mut changed = own.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let delta = set(
            "jackline:encrypted",
            &serde_json::to_string(&String::from_utf8(changed).unwrap()).unwrap(),
        );
        inner.commit(&key(4), &delta, now()).await.unwrap();
        assert!(
            is_corrupt(store.load(&key(4), STEP, now()).await),
            "character {at}"
        );
    }
}

// Proves: R3
#[tokio::test]
async fn what_is_not_encrypted_is_no_session() {
    let inner = Arc::new(MemoryStore::new());
    let store = encrypted(inner.clone());
    for (n, json) in [
        "{}",
        r#"{"role":"admin"}"#,
        r#"{"jackline:encrypted":1}"#,
        r#"{"jackline:encrypted":"plain"}"#,
        r#"{"jackline:encrypted":"A1.00000000.AAAA","role":"admin"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let (old, new) = (key(10 + n as u8), key(100 + n as u8));
        inner.create(&old, &record(json)).await.unwrap();
        assert_eq!(
            store.load(&old, STEP, now()).await.unwrap(),
            Loaded::Absent,
            "{json}"
        );
        let committed = store.commit(&old, &set("a", "1"), now()).await.unwrap();
        assert_eq!(committed, Committed::Gone, "{json}");
        let rotated = store
            .rotate(&old, &new, None, &Delta::default(), now())
            .await
            .unwrap();
        assert_eq!(rotated, Committed::Gone, "{json}");
        assert_eq!(stored(&*inner, &old).await, json, "and it is left alone");
    }
}

// Proves: R3, T9.1
#[tokio::test]
async fn keys_are_rotated_without_losing_a_session() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let old = EncryptedStore::new(inner.clone(), keys(OLDER));
    old.create(&key(1), &record(r#"{"a":1}"#)).await.unwrap();

    let both = keys(SECRET).with_previous(EncryptionKey::new(OLDER).unwrap());
    let both = EncryptedStore::new(inner.clone(), both);
    assert_eq!(stored(&both, &key(1)).await, r#"{"a":1}"#);
    let new = EncryptedStore::new(inner.clone(), keys(SECRET));
    assert!(is_corrupt(new.load(&key(1), STEP, now()).await));

    // The next change encrypts it with the new key.
    both.commit(&key(1), &set("b", "2"), now()).await.unwrap();
    assert_eq!(stored(&new, &key(1)).await, r#"{"a":1,"b":2}"#);
    assert!(is_corrupt(old.load(&key(1), STEP, now()).await));
}

// Proves: R3, J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_several_processes_count_exactly_and_none_starves() {
    const PROCESSES: usize = 4;
    const WRITERS: usize = 16;
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let stores: Vec<_> = (0..PROCESSES).map(|_| encrypted(inner.clone())).collect();
    stores[0].create(&key(1), &record("{}")).await.unwrap();
    let writers: Vec<_> = (0..PROCESSES * WRITERS)
        .map(|n| {
            let store = stores[n % PROCESSES].clone();
            tokio::spawn(async move {
                for _ in 0..8 {
                    let mut delta = set(&format!("m{n}"), "1");
                    delta.increment("n", 1);
                    store.commit(&key(1), &delta, now()).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let data = live(&*stores[0], &key(1)).await.data;
    assert_eq!(
        data.get::<usize>("n").unwrap(),
        Some(8 * PROCESSES * WRITERS)
    );
    assert_eq!(data.len(), 1 + PROCESSES * WRITERS);
}

// Proves: R3, J3
#[tokio::test]
async fn a_slow_process_gets_its_turn_among_fast_ones() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let process = |turns| {
        let inner = inner.clone();
        encrypted(Arc::new(slow::Slow { inner, turns }))
    };
    let (fast, slow) = (process(4), process(100));
    fast.create(&key(1), &record("{}")).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let crowd = tokio::spawn({
        let done = done.clone();
        async move {
            let mut writes = 0;
            while !done.load(Ordering::Relaxed) {
                fast.commit(&key(1), &set("fast", "1"), now())
                    .await
                    .unwrap();
                writes += 1;
                assert!(writes < 1_000_000, "the slow process starves");
                tokio::task::yield_now().await;
            }
        }
    });
    for n in 0..4 {
        let delta = set(&format!("slow{n}"), "1");
        slow.commit(&key(1), &delta, now()).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    crowd.await.unwrap();
}

// Proves: R3, J3
#[tokio::test]
async fn a_delta_for_another_version_is_not_tried_again() {
    let store = encrypted(Arc::new(MemoryStore::new()));
    store.create(&key(1), &record("{}")).await.unwrap();
    let mut delta = set("a", "1");
    delta.only_for_version(7);
    let refused = store.commit(&key(1), &delta, now()).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(DeltaError::Outdated))),
        "{refused:?}"
    );
}

// Proves: R3
#[tokio::test]
async fn reads_cost_one_round_trip_and_writes_two() {
    let spy = Arc::new(SpyStore::new(Arc::new(MemoryStore::new())));
    let store = encrypted(spy.clone());
    store.create(&key(1), &record(r#"{"a":1}"#)).await.unwrap();
    let cost = async |call: &str| {
        spy.reset();
        match call {
            "load" => drop(store.load(&key(1), STEP, now()).await.unwrap()),
            "write" => drop(store.commit(&key(1), &set("a", "2"), now()).await.unwrap()),
            _ => unreachable!(),
        }
        spy.calls()
    };
    assert_eq!(cost("load").await, ["load"]);
    assert_eq!(cost("write").await, ["load", "commit"]);
}

// Proves: R3, J4
#[tokio::test]
async fn a_list_opens_what_it_can_and_names_no_stranger() {
    use jackline::lifecycle::{Identity, OwnerId, Role};
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let store = encrypted(inner.clone());
    let alice = OwnerId::new("user-1001").unwrap();
    let identity = Identity::new(alice.clone(), "alice", Role::user());
    let mut record = Record::logged_in(identity, &Policy::default(), Origin::default(), now());
    record.data = Data::from_json(r#"{"a":1}"#).unwrap();
    store.create(&key(1), &record).await.unwrap();
    inner.create(&key(2), &record).await.unwrap();
    let listed = store.list(&alice, Page::first(), now()).await.unwrap();
    let [(listed_key, listed)] = listed.sessions.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!((listed_key, listed), (&key(1), &record));
    // Ending all reaches the other too.
    assert_eq!(store.end_all(&alice, None, now()).await.unwrap(), 2);
}
