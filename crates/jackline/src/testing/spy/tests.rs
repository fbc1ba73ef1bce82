//! The spy breaks a store as it was told, and writes down what it was asked.

use std::sync::Arc;

use super::SpyStore;
use crate::lifecycle::{Policy, Record, UnixMs};
use crate::origin::Origin;
use crate::store::memory::MemoryStore;
use crate::store::{Store, StoreError};
use crate::token::{Bucket, SessionKey, SessionToken};

const NOW: UnixMs = UnixMs::from_millis(1_000);

fn spy() -> (Arc<SpyStore>, Arc<MemoryStore>) {
    let memory = Arc::new(MemoryStore::new());
    let spy = SpyStore::new(Arc::clone(&memory) as Arc<dyn Store>);
    (Arc::new(spy), memory)
}

fn session() -> (SessionKey, Record) {
    let token = SessionToken::from_random([7; 24], Bucket::from_random([1, 2]));
    let record = Record::visitor(&Policy::default(), Origin::default(), NOW);
    (token.key(), record)
}

fn is_down<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

// Proves: J7
#[tokio::test]
async fn failing_calls_are_written_down_and_never_reach_the_store() {
    let (spy, memory) = spy();
    let (key, record) = session();
    spy.fail_next(2);
    assert!(is_down(spy.create(&key, &record).await));
    assert!(is_down(spy.ping().await));
    assert!(memory.is_empty());
    assert!(spy.create(&key, &record).await.is_ok());
    spy.fail_all(true);
    assert!(is_down(spy.end(&key, None, None, UnixMs::default()).await));
    assert!(is_down(spy.end(&key, None, None, UnixMs::default()).await));
    spy.fail_all(false);
    assert_eq!(memory.len(), 1);
    assert_eq!(spy.calls(), ["create", "ping", "create", "end", "end"]);
    assert_eq!(spy.count("create"), 2);
    spy.reset();
    assert!(spy.calls().is_empty());
}

// Proves: J7
#[tokio::test]
async fn a_lost_answer_is_an_error_after_the_work_was_done() {
    let (spy, memory) = spy();
    let (key, record) = session();
    spy.lose_answers(true);
    assert!(is_down(spy.create(&key, &record).await));
    assert_eq!(memory.len(), 1);
    spy.lose_answers(false);
    assert!(matches!(
        spy.create(&key, &record).await,
        Err(StoreError::Conflict)
    ));
}

// Proves: J7
#[tokio::test]
async fn a_hanging_call_goes_on_when_released_and_does_nothing_when_dropped() {
    let (spy, memory) = spy();
    spy.hang(true);
    let (key, record) = session();
    let given_up = spy.create(&key, &record);
    drop(given_up);
    let hanging = tokio::spawn({
        let spy = Arc::clone(&spy);
        async move {
            let (key, record) = session();
            spy.create(&key, &record).await
        }
    });
    spy.called("create", 2).await;
    assert!(memory.is_empty());
    spy.hang(false);
    assert!(hanging.await.expect("the call does not panic").is_ok());
    assert_eq!(memory.len(), 1);
}
