//! A store whose calls are timed and counted by somebody else: the hook for metrics. It changes nothing of what the store says, and
//! costs two looks at the clock and one allocation a call.
//!
//! Put it directly around an engine's store, inside encryption and a near-cache: what is counted then is what the engine was really
//! asked, and a near-cache's own answers cost nothing.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use jackline::store::memory::MemoryStore;
//! use jackline::store::observed::{ObservedStore, Outcome, StoreObserver};
//!
//! #[derive(Debug)]
//! struct Printed;
//!
//! impl StoreObserver for Printed {
//!     fn called(&self, operation: &'static str, outcome: Outcome, took: Duration) {
//!         println!("{operation}: {} after {took:?}", outcome.name());
//!     }
//! }
//!
//! let store = ObservedStore::new(Arc::new(MemoryStore::new()), Arc::new(Printed));
//! # let _ = store;
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Admission, Admitted, Committed, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreError, StoreFuture, Trace,
};
use crate::lifecycle::{Delta, OwnerId, Record, UnixMs};
use crate::token::SessionKey;

/// Is told of every call.
pub trait StoreObserver: fmt::Debug + Send + Sync + 'static {
    /// A call of the store's method `operation` came to its end. Called on the request's own task, so it must not block.
    fn called(&self, operation: &'static str, outcome: Outcome, took: Duration);
}

/// How a call of a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It did what it was asked, or said that there is nothing to do it to.
    Ok,
    /// [`StoreError::Conflict`].
    Conflict,
    /// [`StoreError::Refused`].
    Refused,
    /// [`StoreError::Corrupt`].
    Corrupt,
    /// [`StoreError::Unavailable`].
    Unavailable,
    /// Nobody waits for it any more: the engine's time-out had passed, or the client was gone.
    Abandoned,
}

impl Outcome {
    /// Every outcome, for those who make a counter of each.
    pub const ALL: &'static [Self] = &[
        Self::Ok,
        Self::Conflict,
        Self::Refused,
        Self::Corrupt,
        Self::Unavailable,
        Self::Abandoned,
    ];

    /// In a word that can be counted: `unavailable`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Corrupt => "corrupt",
            Self::Unavailable => "unavailable",
            Self::Abandoned => "abandoned",
        }
    }

    fn of<T>(result: &Result<T, StoreError>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(StoreError::Conflict) => Self::Conflict,
            Err(StoreError::Refused(_)) => Self::Refused,
            Err(StoreError::Corrupt(_)) => Self::Corrupt,
            Err(StoreError::Unavailable(_)) => Self::Unavailable,
        }
    }
}

/// A store whose calls are observed. See the [module](self).
#[derive(Debug)]
pub struct ObservedStore {
    store: Arc<dyn Store>,
    observer: Arc<dyn StoreObserver>,
}

impl ObservedStore {
    /// `store`, with `observer` being told of its calls.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, observer: Arc<dyn StoreObserver>) -> Self {
        Self { store, observer }
    }

    fn observe<'a, T: 'a>(
        &'a self,
        operation: &'static str,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let mut telling = Telling {
                observer: &*self.observer,
                operation,
                outcome: Outcome::Abandoned,
                began: Instant::now(),
            };
            let result = call.await;
            telling.outcome = Outcome::of(&result);
            result
        })
    }
}

/// Tells when it is dropped, which also a call that is given up is.
struct Telling<'a> {
    observer: &'a dyn StoreObserver,
    operation: &'static str,
    outcome: Outcome,
    began: Instant,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.observer
            .called(self.operation, self.outcome, self.began.elapsed());
    }
}

impl Store for ObservedStore {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        self.observe("create", self.store.create(key, record))
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        self.observe("load", self.store.load(key, step, now))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        self.observe("commit", self.store.commit(key, delta, now))
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        self.observe("rotate", self.store.rotate(old, new, owner, delta, now))
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        self.observe("admit", self.store.admit(admission, now))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        self.observe("end", self.store.end(key, owner, trace, now))
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        self.observe("note", self.store.note(key, trace, now))
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, now: UnixMs) -> StoreFuture<'a, Epoch> {
        self.observe("epoch", self.store.epoch(owner, now))
    }

    fn load_for_login<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        owner: &'a OwnerId,
        now: UnixMs,
    ) -> StoreFuture<'a, (Loaded, Epoch)> {
        let call = self.store.load_for_login(key, step, owner, now);
        self.observe("load_for_login", call)
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        self.observe("list", self.store.list(owner, page, now))
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        self.observe("end_all", self.store.end_all(owner, except, now))
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.observe("reclaim", self.store.reclaim(limit, now))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.observe("ping", self.store.ping())
    }
}
