//! Stores with one flaw each, around one without. The torture must find every one of them: a test that cannot fail proves nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jackline::lifecycle::{Delta, OwnerId, Record, SessionCap, UnixMs};
use jackline::store::memory::MemoryStore;
use jackline::store::{
    Admission, Admitted, Committed, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreFuture, Trace,
};
use jackline::token::SessionKey;

use crate::chaos::{Engine, Fault};
use crate::checker::Tolerance;

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Says that a session has ended, and keeps it.
    Resurrects,
    /// Moves a session and leaves a copy behind.
    LeavesTheOldKey,
    /// Acknowledges a change and loses it.
    LosesChanges,
    /// Writes back a whole session as it was a moment ago, as most session stores do.
    WritesStaleCopies,
    /// Ends all of an owner's sessions but for one that it overlooks.
    OverlooksOne,
    /// Lets a login in whose owner was revoked meanwhile.
    AdmitsTheRevoked,
    /// Has an index that lacks a session.
    ForgetsToList,
    /// Disregards the cap.
    IgnoresTheCap,
    /// Acknowledges a session and does not keep it.
    LosesSessions,
    /// Forgets at once that a key gave way to another.
    LeavesNoTrace,
}

/// A store in memory with a flaw that shows now and then.
#[derive(Debug)]
pub(crate) struct Broken {
    flaw: Flaw,
    sound: MemoryStore,
    calls: AtomicU64,
}

impl Broken {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            sound: MemoryStore::new(),
            calls: AtomicU64::new(0),
        }
    }

    /// Whether it is time for the flaw to show.
    fn shows(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
            && self
                .calls
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(10)
    }
}

/// The flaw as an engine.
pub(crate) struct BrokenEngine(pub(crate) Arc<Broken>);

impl Engine for BrokenEngine {
    const FAULTS: &'static [Fault] = &[];
    const TOLERANCE: Tolerance = Tolerance { loses: None };

    fn name(&self) -> String {
        format!("memory with a flaw, {:?}", self.0.flaw)
    }

    async fn open(&self, _timeout: Duration) -> Arc<dyn Store> {
        Arc::clone(&self.0) as _
    }

    async fn begin(&mut self, _fault: Fault) {}

    async fn end(&mut self, _fault: Fault) {}
}

impl Store for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        if self.shows(Flaw::LosesSessions) {
            return Box::pin(async { Ok(()) });
        }
        self.sound.create(key, record)
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        Box::pin(async move {
            let loaded = self.sound.load(key, step, now).await?;
            if loaded == Loaded::Trace(Trace::Replaced) && self.shows(Flaw::LeavesNoTrace) {
                return Ok(Loaded::Absent);
            }
            Ok(loaded)
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(async move {
            if self.flaw == Flaw::LosesChanges {
                let Loaded::Live { mut record, .. } =
                    self.sound.load(key, Duration::MAX, now).await?
                else {
                    return Ok(Committed::Gone);
                };
                if self.shows(Flaw::LosesChanges) {
                    let counters = record.commit(delta, now)?;
                    return Ok(Committed::Applied { counters });
                }
            }
            if self.flaw == Flaw::WritesStaleCopies {
                let Loaded::Live { mut record, .. } =
                    self.sound.load(key, Duration::MAX, now).await?
                else {
                    return Ok(Committed::Gone);
                };
                // Others get between the load and the save.
                tokio::task::yield_now().await;
                let counters = record.commit(delta, now)?;
                let mut whole = Delta::default();
                whole.clear();
                for (name, value) in record.data.iter() {
                    whole.set(name, value.to_owned());
                }
                return Ok(match self.sound.commit(key, &whole, now).await? {
                    Committed::Applied { .. } => Committed::Applied { counters },
                    Committed::Gone => Committed::Gone,
                });
            }
            self.sound.commit(key, delta, now).await
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
            if self.shows(Flaw::LeavesTheOldKey)
                && let Loaded::Live { mut record, .. } =
                    self.sound.load(old, Duration::MAX, now).await?
            {
                let counters = record.commit(delta, now)?;
                self.sound.create(new, &record).await?;
                return Ok(Committed::Applied { counters });
            }
            self.sound.rotate(old, new, owner, delta, now).await
        })
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        Box::pin(async move {
            let mut admission = admission.clone();
            if self.flaw == Flaw::AdmitsTheRevoked {
                admission.epoch = self.sound.epoch(admission.owner, now).await?;
            }
            if self.flaw == Flaw::IgnoresTheCap {
                admission.cap = SessionCap::Unlimited;
            }
            self.sound.admit(&admission, now).await
        })
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        if self.shows(Flaw::Resurrects) {
            return Box::pin(async { Ok(Ended::Removed) });
        }
        self.sound.end(key, owner, trace, now)
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        self.sound.note(key, trace, now)
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, now: UnixMs) -> StoreFuture<'a, Epoch> {
        self.sound.epoch(owner, now)
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        Box::pin(async move {
            let mut listed = self.sound.list(owner, page, now).await?;
            if self.shows(Flaw::ForgetsToList) {
                listed.sessions.pop();
            }
            Ok(listed)
        })
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let listed = self.sound.list(owner, Page::first(), now).await?;
            let overlooked = listed.sessions.first().map(|(key, _)| *key);
            let overlooked = overlooked.filter(|_| self.flaw == Flaw::OverlooksOne);
            let except = overlooked.as_ref().or(except);
            self.sound.end_all(owner, except, now).await
        })
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.sound.reclaim(limit, now)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.sound.ping()
    }
}
