//! A near-cache: a wrapper that answers for live sessions from this process's memory, and knows how old its answers are.
//!
//! What a cached answer is worth depends on how a change that somebody else makes gets here:
//!
//! - **Announced**, as [`RedisStore`](super::redis::RedisStore) and [`PostgresStore`](super::postgres::PostgresStore) do it: the store says what has changed as soon as it has, and
//!   proves again and again up to which moment it has said everything. A session that another instance ends is refused here a
//!   moment later. Whatever happens to the announcements, a cached answer is never older than the [bound](NearOptions::bound):
//!   without a proof that is younger, everybody asks the store.
//! - **In process**, for a store that no other process writes ([`NearCache::in_process`]). What this process changes is gone from
//!   memory before the change is acknowledged. An entry is asked for again when it is as old as the bound, so that what another
//!   process wrote all the same shows by then.
//!
//! Only live records are kept. Whatever is absent, expired or leaves a trace is the store's to say, and so is a load that renews
//! nothing by intent, since whoever looks again before a cookie changes wants the store's own word (J10).
//!
//! # Activity
//! A use that is to be written down, once per renewal step and session, goes to the store and is answered by it; other requests
//! of the session are answered from memory meanwhile. There is nothing to flush at shutdown.
//!
//! # J2: nothing comes back
//! A load that began before its session was changed, withdrawn or written does not bring back what it read: it notes how often
//! something was withdrawn before it asks, and what it read is kept only if nothing was since. A write withdraws what it may change
//! before it is sent and again when it is answered, fails or is given up, and nothing of it is kept in between.
//!
//! # Cost
//! A cached answer costs a look-up and a copy of the record, which shares its data with what is kept. Memory is bounded by [`NearOptions::new`]; which entries stay is decided
//! by use (S3-FIFO, by the crate `quick_cache`). What may have changed of a bucket's sessions, as by `end_all`, costs no look through the
//! others.
//!
//! ```
//! use std::sync::Arc;
//! use jackline::store::memory::MemoryStore;
//! use jackline::store::near::{NearCache, NearOptions};
//!
//! let sixteen_mib = NearOptions::new(16 << 20);
//! let store = NearCache::in_process(Arc::new(MemoryStore::new()), sixteen_mib);
//! ```

mod announcements;
mod kept;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::kept::{Found, Kept};
use super::{
    Admission, Admitted, Committed, Durability, Ended, Epoch, Listed, Loaded, NO_RENEWAL, Page,
    Store, StoreError, StoreFuture, Trace,
};
use crate::lifecycle::{Delta, OwnerId, Record, UnixMs};
use crate::token::{Bucket, SessionKey};

pub use self::announcements::{Announcements, Line};

/// How much is kept, and for how long without news.
#[derive(Clone, Copy, Debug)]
pub struct NearOptions {
    size_bytes: u64,
    bound: Duration,
}

impl NearOptions {
    /// Keeps records in about this many bytes of memory, and no answer for longer than a second.
    #[must_use]
    pub const fn new(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            bound: Duration::from_secs(1),
        }
    }

    /// How old a cached answer may be at most, whatever happens to the announcements. Default: one second.
    #[must_use]
    pub const fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }
}

/// A store whose live sessions are answered for from memory.
pub struct NearCache {
    inner: Arc<dyn Store>,
    kept: Arc<Kept>,
}

impl NearCache {
    /// Keeps what `inner` answers. Nobody else may write to `inner`, or what they end goes on here for as long as the bound.
    #[must_use]
    pub fn in_process(inner: Arc<dyn Store>, options: NearOptions) -> Self {
        let kept = Arc::new(Kept::by_age(options));
        Self { inner, kept }
    }

    /// Keeps what `inner` answers, for as long as changes of it are `announced`. Until somebody opens a [`Line`], nothing is kept.
    #[must_use]
    pub fn announced(inner: Arc<dyn Store>, announced: &Announcements) -> Self {
        let kept = announced.kept();
        Self { inner, kept }
    }

    async fn load(
        &self,
        key: &SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> Result<Loaded, StoreError> {
        // Held until the answer is kept, or there is none and the next request is to try.
        let _renewal = if step == NO_RENEWAL {
            None
        } else {
            match self.kept.find(key, step, now) {
                Found::Live(record) => {
                    let renewed = false;
                    return Ok(Loaded::Live { record, renewed });
                }
                Found::Renew(claim) => Some(claim),
                Found::Nothing => None,
            }
        };
        let asked = self.kept.ask(key);
        let loaded = self.inner.load(key, step, now).await?;
        match &loaded {
            Loaded::Live { record, renewed } if !record.clocks.absolute_expired(now) => {
                let mut record = (**record).clone();
                if *renewed {
                    record.clocks.seen = record.clocks.seen.max(now);
                }
                self.kept.keep(asked, record);
            }
            _ => self.kept.withdraw(key),
        }
        Ok(loaded)
    }

    async fn admit(&self, admission: &Admission<'_>, now: UnixMs) -> Result<Admitted, StoreError> {
        let replaced = admission.replaces.as_ref().map(|replaced| replaced.key);
        let keys = std::iter::once(admission.key).chain(replaced);
        let mut write = self.kept.write(keys);
        // Whom the cap ends is known from the answer alone; without one it may be any of the owner's.
        write.may_end_all_in(Bucket::of(admission.owner));
        let admitted = self.inner.admit(admission, now).await?;
        write.has_ended_only(match &admitted {
            Admitted::Done { pruned } => pruned,
            Admitted::Revoked | Admitted::AtCap => &[],
        });
        Ok(admitted)
    }
}

impl fmt::Debug for NearCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCache")
            .field("inner", &self.inner)
            .field("kept", &self.kept)
            .finish()
    }
}

impl Store for NearCache {
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
        Box::pin(self.load(key, step, now))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(async move {
            let _write = self.kept.write([key]);
            self.inner.commit(key, delta, now).await
        })
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(async move {
            let _write = self.kept.write([old, new]);
            self.inner.rotate(old, new, owner, delta, now).await
        })
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        Box::pin(self.admit(admission, now))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        Box::pin(async move {
            let _write = self.kept.write([key]);
            self.inner.end(key, owner, trace, now).await
        })
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
        Box::pin(async move {
            let mut write = self.kept.write([]);
            write.may_end_all_in(Bucket::of(owner));
            self.inner.end_all(owner, except, now).await
        })
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.inner.reclaim(limit, now)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.inner.ping()
    }
}
