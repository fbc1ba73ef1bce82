//! A store as a process sees it for which a round trip takes its time.

use std::sync::Arc;
use std::time::Duration;

use jackline::lifecycle::{Delta, OwnerId, Record, UnixMs};
use jackline::store::{
    Admission, Admitted, Committed, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreFuture, Trace,
};
use jackline::token::SessionKey;

#[derive(Debug)]
pub(super) struct Slow {
    pub(super) inner: Arc<dyn Store>,
    /// How often everybody else gets to run before a commit arrives.
    pub(super) turns: u32,
}

impl Slow {
    /// Lets everybody else run for a while, and then makes the call.
    fn slowly<'a, T: 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            for _ in 0..self.turns {
                tokio::task::yield_now().await;
            }
            call.await
        })
    }
}

impl Store for Slow {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        self.inner.create(key, record)
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        self.inner.load(key, step, now)
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        // The memory store does its work when it is asked, so it must not be asked before.
        self.slowly(Box::pin(
            async move { self.inner.commit(key, delta, now).await },
        ))
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        self.inner.rotate(old, new, owner, delta, now)
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        self.inner.admit(admission, now)
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        self.inner.end(key, owner, trace, now)
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        self.inner.note(key, trace, now)
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, now: UnixMs) -> StoreFuture<'a, Epoch> {
        self.inner.epoch(owner, now)
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        self.inner.list(owner, page, now)
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        self.inner.end_all(owner, except, now)
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.inner.reclaim(limit, now)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.inner.ping()
    }
}
