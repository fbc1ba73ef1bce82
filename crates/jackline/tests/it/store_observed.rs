//! What an observer of a store is told: each call once, under its own name, with how it ended, also of calls that nobody waited for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jackline::lifecycle::{Delta, Identity, OwnerId, Policy, Record, Role, SessionCap, UnixMs};
use jackline::origin::Origin;
use jackline::store::memory::MemoryStore;
use jackline::store::observed::{ObservedStore, Outcome, StoreObserver};
use jackline::store::{Admission, Epoch, Page, Store as _, Trace};
use jackline::testing::SpyStore;
use jackline::token::{Bucket, SessionKey, SessionToken};

#[derive(Debug, Default)]
struct Told(Mutex<Vec<(&'static str, Outcome)>>);

impl Told {
    fn take(&self) -> Vec<(&'static str, Outcome)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl StoreObserver for Told {
    fn called(&self, operation: &'static str, outcome: Outcome, _took: Duration) {
        self.0.lock().unwrap().push((operation, outcome));
    }
}

fn observed() -> (ObservedStore, Arc<SpyStore>, Arc<Told>) {
    let spy = Arc::new(SpyStore::new(Arc::new(MemoryStore::new())));
    let told = Arc::new(Told::default());
    let observer = Arc::clone(&told) as Arc<dyn StoreObserver>;
    (
        ObservedStore::new(Arc::clone(&spy) as _, observer),
        spy,
        told,
    )
}

fn key(n: u8) -> SessionKey {
    SessionToken::from_random([n; 24], Bucket::from_number(7)).key()
}

fn now() -> UnixMs {
    UnixMs::from_millis(1_800_000_000_000)
}

#[tokio::test]
async fn each_way_in_which_a_call_can_end_is_told() {
    let (store, spy, told) = observed();
    let record = Record::visitor(&Policy::default(), Origin::default(), now());
    store.create(&key(1), &record).await.unwrap();
    assert!(store.create(&key(1), &record).await.is_err());
    assert_eq!(
        told.take(),
        [("create", Outcome::Ok), ("create", Outcome::Conflict)]
    );

    spy.fail_next(1);
    assert!(store.ping().await.is_err());
    assert_eq!(told.take(), [("ping", Outcome::Unavailable)]);

    spy.hang(true);
    let given_up = tokio::time::timeout(Duration::from_millis(1), store.ping()).await;
    assert!(given_up.is_err());
    assert_eq!(told.take(), [("ping", Outcome::Abandoned)]);
}

#[tokio::test]
async fn every_call_reaches_the_store_and_is_told_under_its_own_name() {
    let (store, spy, told) = observed();
    let (policy, delta) = (Policy::default(), Delta::default());
    let owner = OwnerId::new("user-1").unwrap();
    let identity = Identity::new(owner.clone(), "alice", Role::user());
    let visitor = Record::visitor(&policy, Origin::default(), now());
    let record = Record::logged_in(identity, &policy, Origin::default(), now());
    let (rotated, admitted) = (key(2), key(3));
    let admission = Admission {
        key: &admitted,
        record: &record,
        owner: &owner,
        epoch: Epoch::default(),
        cap: SessionCap::PruneOldest(10),
        replaces: None,
    };
    store.create(&key(1), &visitor).await.unwrap();
    store.load(&key(1), Duration::ZERO, now()).await.unwrap();
    store.commit(&key(1), &delta, now()).await.unwrap();
    let rotation = store.rotate(&key(1), &rotated, None, &delta, now()).await;
    rotation.unwrap();
    store.admit(&admission, now()).await.unwrap();
    store.end(&rotated, None, None, now()).await.unwrap();
    store.note(&rotated, Trace::LoggedOut, now()).await.unwrap();
    store.epoch(&owner, now()).await.unwrap();
    store.list(&owner, Page::first(), now()).await.unwrap();
    store.end_all(&owner, None, now()).await.unwrap();
    store.reclaim(10, now()).await.unwrap();
    store.ping().await.unwrap();

    let told = told.take();
    assert_eq!(told.len(), 12);
    let names: Vec<_> = told.iter().map(|(operation, _)| *operation).collect();
    assert_eq!(names, spy.calls());
    assert!(told.iter().all(|(_, outcome)| *outcome == Outcome::Ok));
}
