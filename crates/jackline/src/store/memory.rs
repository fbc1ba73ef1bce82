//! Sessions in this process's memory, for tests and for trying things out. Everything is gone with the process, nothing is
//! shared with another, and production refuses it (P2). One lock makes every step atomic.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{
    Admission, Admitted, Committed, Cursor, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreError, StoreFuture, Trace,
};
use crate::lifecycle::{Data, Delta, OwnerId, Record, UnixMs};
use crate::token::SessionKey;

/// Sessions in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records it holds, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Every change below is made whole before the lock is given back, so a panic elsewhere leaves nothing half done.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(result: Result<T, StoreError>) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(result))
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        ready(self.lock().create(*key, record.clone()))
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        ready(Ok(self.lock().load(key, step, now)))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        ready(self.lock().commit(key, delta, now))
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        ready(self.lock().rotate(old, new, delta, now))
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        ready(self.lock().admit(admission, now))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        ready(Ok(self.lock().end(key, trace, now)))
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        ready(Ok(self.lock().note(key, trace, now)))
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, _now: UnixMs) -> StoreFuture<'a, Epoch> {
        ready(Ok(self.lock().epoch(owner)))
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        ready(self.lock().list(owner, &page, now))
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        ready(Ok(self.lock().end_all(owner, except, now)))
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        ready(Ok(self.lock().reclaim(limit, now)))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        ready(Ok(()))
    }
}

#[derive(Debug, Default)]
struct Tables {
    records: HashMap<SessionKey, Record>,
    /// What became of keys, and until when that is remembered.
    traces: HashMap<SessionKey, (Trace, UnixMs)>,
    epochs: HashMap<OwnerId, Epoch>,
}

impl Tables {
    fn live(&mut self, key: &SessionKey, now: UnixMs) -> Option<&mut Record> {
        self.records
            .get_mut(key)
            .filter(|record| !record.clocks.idle_expired(now))
    }

    fn create(&mut self, key: SessionKey, record: Record) -> Result<(), StoreError> {
        if self.records.contains_key(&key) {
            return Err(StoreError::Conflict);
        }
        self.records.insert(key, record);
        Ok(())
    }

    fn load(&mut self, key: &SessionKey, step: Duration, now: UnixMs) -> Loaded {
        let Some(stored) = self.records.get_mut(key) else {
            return self.trace(key, now).map_or(Loaded::Absent, Loaded::Trace);
        };
        let record = Box::new(stored.clone());
        if stored.clocks.idle_expired(now) {
            return Loaded::Expired(record);
        }
        let renewed = stored.clocks.renewal_due(now, step);
        if renewed {
            stored.clocks.seen = now;
        }
        Loaded::Live { record, renewed }
    }

    fn commit(
        &mut self,
        key: &SessionKey,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        match self.live(key, now) {
            None => Ok(Committed::Gone),
            Some(record) => Ok(Committed::Applied {
                counters: record.commit(delta, now)?,
            }),
        }
    }

    fn rotate(
        &mut self,
        old: &SessionKey,
        new: &SessionKey,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        if self.records.contains_key(new) {
            return Err(StoreError::Conflict);
        }
        let Some(mut record) = self.live(old, now).cloned() else {
            return Ok(Committed::Gone);
        };
        let counters = record.commit(delta, now)?;
        self.replace(old, now);
        self.records.insert(*new, record);
        Ok(Committed::Applied { counters })
    }

    fn admit(&mut self, admission: &Admission<'_>, now: UnixMs) -> Result<Admitted, StoreError> {
        if self.records.contains_key(admission.key) {
            return Err(StoreError::Conflict);
        }
        if self.epoch(admission.owner) != admission.epoch {
            return Ok(Admitted::Revoked);
        }
        let replaced = admission.replaces.as_ref().map(|replaced| replaced.key);
        let mut others = self.of_owner(admission.owner, now);
        others
            .retain(|key| Some(key) != replaced && !self.records[key].clocks.absolute_expired(now));
        let Some(stay) = admission.cap.stay(others.len()) else {
            return Ok(Admitted::AtCap);
        };
        let pruned = others.split_off(stay);
        let mut record = admission.record.clone();
        if let Some(replaced) = &admission.replaces {
            if let Some(delta) = replaced.carry {
                let old = self.live(replaced.key, now);
                delta.check_version(old.as_ref().map(|old| old.clocks.version))?;
                record.data = old.map_or_else(Data::new, |old| old.data.clone());
                delta.apply(&mut record.data)?;
            }
            self.replace(replaced.key, now);
        }
        for key in &pruned {
            self.records.remove(key);
        }
        self.records.insert(*admission.key, record);
        Ok(Admitted::Done { pruned })
    }

    fn end(&mut self, key: &SessionKey, trace: Option<Trace>, now: UnixMs) -> Ended {
        match self.records.remove(key) {
            Some(_) => {
                if let Some(trace) = trace {
                    self.note(key, trace, now);
                }
                Ended::Removed
            }
            None => self.trace(key, now).map_or(Ended::Absent, Ended::Trace),
        }
    }

    /// Removes a record, and remembers that another takes its place.
    fn replace(&mut self, key: &SessionKey, now: UnixMs) {
        self.records.remove(key);
        self.note(key, Trace::Replaced, now);
    }

    fn note(&mut self, key: &SessionKey, trace: Trace, now: UnixMs) -> Trace {
        match self.trace(key, now) {
            Some(weightier) if weightier > trace => weightier,
            _ => {
                self.traces.insert(*key, (trace, trace.until(now)));
                trace
            }
        }
    }

    fn trace(&self, key: &SessionKey, now: UnixMs) -> Option<Trace> {
        let (trace, until) = self.traces.get(key)?;
        (now < *until).then_some(*trace)
    }

    fn epoch(&self, owner: &OwnerId) -> Epoch {
        self.epochs.get(owner).copied().unwrap_or_default()
    }

    /// The owner's live sessions, newest login first.
    fn of_owner(&self, owner: &OwnerId, now: UnixMs) -> Vec<SessionKey> {
        let mut found: Vec<_> = self
            .records
            .iter()
            .filter(|(_, record)| record.owner() == Some(owner) && !record.clocks.idle_expired(now))
            .map(|(key, record)| (record.meta.started, *key))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, key)| key).collect()
    }

    fn list(&self, owner: &OwnerId, page: &Page, now: UnixMs) -> Result<Listed, StoreError> {
        let mut found = self.of_owner(owner, now);
        if let Some(after) = &page.after {
            found.retain(|key| (self.records[key].meta.started, *key) < after.place());
        }
        let more = found.len() > page.limit as usize;
        found.truncate(page.limit as usize);
        let next = found
            .last()
            .filter(|_| more)
            .map(|key| Cursor::behind(self.records[key].meta.started, key));
        let sessions = found
            .into_iter()
            .map(|key| (key, self.records[&key].clone()))
            .collect();
        Ok(Listed { sessions, next })
    }

    fn end_all(&mut self, owner: &OwnerId, except: Option<&SessionKey>, now: UnixMs) -> u64 {
        let epoch = self.epoch(owner).next(now);
        self.epochs.insert(owner.clone(), epoch);
        let before = self.records.len();
        self.records
            .retain(|key, record| record.owner() != Some(owner) || Some(key) == except);
        (before - self.records.len()) as u64
    }

    fn reclaim(&mut self, limit: u32, now: UnixMs) -> u64 {
        let gone: Vec<_> = self
            .records
            .iter()
            .filter(|(_, record)| record.clocks.idle_expired(now))
            .map(|(key, _)| *key)
            .take(limit as usize)
            .collect();
        for key in &gone {
            self.records.remove(key);
        }
        self.traces.retain(|_, (_, until)| now < *until);
        gone.len() as u64
    }
}
