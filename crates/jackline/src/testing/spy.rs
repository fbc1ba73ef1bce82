//! A store around another that writes down which methods were called, and fails, hangs or loses its answers when told to. It
//! keeps the names of methods only: no key, no data, no owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::lifecycle::{Delta, OwnerId, Record, UnixMs};
use crate::store::{
    Admission, Admitted, Committed, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreError, StoreFuture, Trace,
};
use crate::token::SessionKey;

/// How long an event is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches a store, and breaks it on request.
///
/// ```
/// use std::sync::Arc;
/// use jackline::store::{Store, memory::MemoryStore};
/// use jackline::testing::SpyStore;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), jackline::store::StoreError> {
/// let spy = Arc::new(SpyStore::new(Arc::new(MemoryStore::new())));
/// spy.ping().await?;
/// spy.fail_next(1);
/// assert!(spy.ping().await.is_err());
/// assert_eq!(spy.calls(), ["ping", "ping"]);
/// assert_eq!(spy.count("load"), 0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SpyStore {
    inner: Arc<dyn Store>,
    calls: watch::Sender<Vec<&'static str>>,
    hang: watch::Sender<bool>,
    fail_next: AtomicU64,
    /// How many calls more do not fail.
    calls_left: AtomicU64,
    lose_answers: AtomicBool,
}

impl SpyStore {
    /// Watches `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            calls: watch::Sender::new(Vec::new()),
            hang: watch::Sender::new(false),
            fail_next: AtomicU64::new(0),
            calls_left: AtomicU64::new(u64::MAX),
            lose_answers: AtomicBool::new(false),
        }
    }

    /// The names of the methods called, in order, failed and hanging calls included.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.calls.borrow().clone()
    }

    /// How often `method` was called.
    #[must_use]
    pub fn count(&self, method: &str) -> usize {
        self.calls
            .borrow()
            .iter()
            .filter(|call| **call == method)
            .count()
    }

    /// Forgets the calls so far, and nothing else.
    pub fn reset(&self) {
        self.calls.send_modify(Vec::clear);
    }

    /// Resolves once `method` has been called `times` times since the last [`reset`](Self::reset): an event to wait for
    /// where a test would otherwise sleep.
    ///
    /// # Panics
    /// If that has not happened after a minute.
    pub async fn called(&self, method: &str, times: usize) {
        let mut calls = self.calls.subscribe();
        let called =
            calls.wait_for(|calls| calls.iter().filter(|call| **call == method).count() >= times);
        // The sender lives in `self`, which outlives this future, so the channel never closes.
        let called = tokio::time::timeout(PATIENCE, called).await;
        assert!(
            called.is_ok(),
            "{method} was not called {times} times but {}",
            self.count(method)
        );
    }

    /// Makes the next `calls` calls fail with [`StoreError::Unavailable`]. They do not reach the store.
    pub fn fail_next(&self, calls: u64) {
        self.fail_next.store(calls, Ordering::SeqCst);
    }

    /// Makes every call fail with [`StoreError::Unavailable`], until told otherwise. They do not reach the store.
    pub fn fail_all(&self, fail: bool) {
        self.fail_after(if fail { 0 } else { u64::MAX });
    }

    /// Lets so many calls through, and makes every call after them fail as [`fail_all`](Self::fail_all) does: a process that is cut
    /// off between two steps.
    pub fn fail_after(&self, calls: u64) {
        self.calls_left.store(calls, Ordering::SeqCst);
    }

    /// Lets every call do its work and then fail with [`StoreError::Unavailable`], until told otherwise: a connection that
    /// breaks between the commit and the answer.
    pub fn lose_answers(&self, lose: bool) {
        self.lose_answers.store(lose, Ordering::SeqCst);
    }

    /// Makes every call wait, until told otherwise. Calls that wait then go on.
    pub fn hang(&self, hang: bool) {
        self.hang.send_replace(hang);
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        method: &'static str,
        inner: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        self.calls.send_modify(|calls| calls.push(method));
        let takes_one = |left: &AtomicU64| {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        };
        let fails = takes_one(&self.fail_next) || !takes_one(&self.calls_left);
        let mut hang = self.hang.subscribe();
        Box::pin(async move {
            // As above, the sender outlives this future.
            let _ = hang.wait_for(|hang| !hang).await;
            if fails {
                return Err(StoreError::unavailable("the spy was told to fail"));
            }
            let answer = inner.await;
            if self.lose_answers.load(Ordering::SeqCst) {
                return Err(StoreError::unavailable("the spy was told to lose answers"));
            }
            answer
        })
    }
}

impl Store for SpyStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        self.call(
            "create",
            Box::pin(async { self.inner.create(key, record).await }),
        )
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        self.call(
            "load",
            Box::pin(async move { self.inner.load(key, step, now).await }),
        )
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        self.call(
            "commit",
            Box::pin(async move { self.inner.commit(key, delta, now).await }),
        )
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        self.call(
            "rotate",
            Box::pin(async move { self.inner.rotate(old, new, owner, delta, now).await }),
        )
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        self.call(
            "admit",
            Box::pin(async move { self.inner.admit(admission, now).await }),
        )
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        self.call(
            "end",
            Box::pin(async move { self.inner.end(key, owner, trace, now).await }),
        )
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        self.call(
            "note",
            Box::pin(async move { self.inner.note(key, trace, now).await }),
        )
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, now: UnixMs) -> StoreFuture<'a, Epoch> {
        self.call(
            "epoch",
            Box::pin(async move { self.inner.epoch(owner, now).await }),
        )
    }

    fn load_for_login<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        owner: &'a OwnerId,
        now: UnixMs,
    ) -> StoreFuture<'a, (Loaded, Epoch)> {
        self.call(
            "load_for_login",
            Box::pin(async move { self.inner.load_for_login(key, step, owner, now).await }),
        )
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        self.call(
            "list",
            Box::pin(async move { self.inner.list(owner, page, now).await }),
        )
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        self.call(
            "end_all",
            Box::pin(async move { self.inner.end_all(owner, except, now).await }),
        )
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.call(
            "reclaim",
            Box::pin(async move { self.inner.reclaim(limit, now).await }),
        )
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.call("ping", Box::pin(async { self.inner.ping().await }))
    }
}

#[cfg(test)]
mod tests;
