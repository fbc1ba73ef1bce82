//! The journal as a [`Store`]. A step is computed first, then written and synced, and only then applied and acknowledged.
//! One lock makes steps atomic, and one line makes them all or nothing.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jackline::lifecycle::{Data, Delta, OwnerId, Record, UnixMs};
use jackline::store::{
    Admission, Admitted, Committed, Cursor, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreError, StoreFuture, Trace,
};
use jackline::token::SessionKey;

use crate::journal::Journal;
use crate::line::Change;

/// Sessions in a journal.
#[derive(Debug)]
pub(crate) struct JournalStore(Arc<Mutex<Journal>>);

/// What a step would change, and what it then answers.
type Step<T> = Result<(Vec<Change>, T), StoreError>;

impl JournalStore {
    /// Opens the journal at `path`, or begins one.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let journal = Journal::open(path)?;
        Ok(Self(Arc::new(Mutex::new(journal))))
    }

    /// Takes one step, off the threads that serve requests: syncing a file takes milliseconds. A caller who stops waiting
    /// stops nothing; a step that has begun is taken whole.
    fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Journal) -> Step<T> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let journal = Arc::clone(&self.0);
        Box::pin(async move {
            let work = move || {
                // `commit` below applies changes only after they are written, so a panic elsewhere leaves nothing half done.
                let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                let (changes, answer) = step(&journal)?;
                journal.commit(changes).map_err(StoreError::unavailable)?;
                Ok(answer)
            };
            tokio::task::spawn_blocking(work)
                .await
                .map_err(StoreError::unavailable)?
        })
    }
}

impl Store for JournalStore {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        let (key, record) = (*key, Box::new(record.clone()));
        self.step(move |journal| {
            must_be_new(journal, &key)?;
            Ok((vec![Change::Put(key, record)], ()))
        })
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        let key = *key;
        self.step(move |journal| {
            let Some(record) = journal.sessions.get(&key) else {
                let trace = journal.trace(&key, now);
                return Ok((vec![], trace.map_or(Loaded::Absent, Loaded::Trace)));
            };
            let record = Box::new(record.clone());
            if record.clocks.idle_expired(now) {
                return Ok((vec![], Loaded::Expired(record)));
            }
            let mut changes = vec![];
            let renewed = record.clocks.renewal_due(now, step);
            if renewed {
                let mut seen = record.clone();
                seen.clocks.seen = now;
                changes.push(Change::Put(key, seen));
            }
            Ok((changes, Loaded::Live { record, renewed }))
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        let (key, delta) = (*key, delta.clone());
        self.step(move |journal| {
            let Some(mut record) = journal.live(&key, now).cloned().map(Box::new) else {
                return Ok((vec![], Committed::Gone));
            };
            let counters = record.commit(&delta, now)?;
            let changes = vec![Change::Put(key, record)];
            Ok((changes, Committed::Applied { counters }))
        })
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        let (old, new, delta) = (*old, *new, delta.clone());
        self.step(move |journal| {
            must_be_new(journal, &new)?;
            let Some(mut record) = journal.live(&old, now).cloned().map(Box::new) else {
                return Ok((vec![], Committed::Gone));
            };
            let counters = record.commit(&delta, now)?;
            let changes = vec![
                Change::End(old),
                Change::Trace(old, Trace::Replaced, now),
                Change::Put(new, record),
            ];
            Ok((changes, Committed::Applied { counters }))
        })
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        let (key, mut record) = (*admission.key, Box::new(admission.record.clone()));
        let (owner, epoch, cap) = (admission.owner.clone(), admission.epoch, admission.cap);
        let replaces = admission
            .replaces
            .as_ref()
            .map(|replaced| (*replaced.key, replaced.carry.cloned()));
        self.step(move |journal| {
            must_be_new(journal, &key)?;
            if journal.epoch(&owner) != epoch {
                return Ok((vec![], Admitted::Revoked));
            }
            let mut others = journal.of_owner(&owner, now);
            // For the cap, neither the one that gives way counts nor those past their absolute limit.
            others.retain(|other| {
                replaces
                    .as_ref()
                    .is_none_or(|(replaced, _)| replaced != other)
            });
            others.retain(|other| {
                let record = journal.live(other, now);
                record.is_some_and(|record| !record.clocks.absolute_expired(now))
            });
            // Newest first, so the oldest stand behind those that stay.
            let Some(stay) = cap.stay(others.len()) else {
                return Ok((vec![], Admitted::AtCap));
            };
            let pruned = others.split_off(stay);
            let mut changes: Vec<_> = pruned.iter().copied().map(Change::End).collect();
            if let Some((replaced, carry)) = replaces {
                if let Some(delta) = carry {
                    let old = journal.live(&replaced, now);
                    delta.check_version(old.map(|old| old.clocks.version))?;
                    record.data = old.map_or_else(Data::new, |old| old.data.clone());
                    delta.apply(&mut record.data)?;
                }
                changes.push(Change::End(replaced));
                changes.push(Change::Trace(replaced, Trace::Replaced, now));
            }
            changes.push(Change::Put(key, record));
            Ok((changes, Admitted::Done { pruned }))
        })
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        let key = *key;
        self.step(move |journal| {
            Ok(if journal.sessions.contains_key(&key) {
                let left = trace.and_then(|trace| journal.note(&key, trace, now));
                let changes = [Change::End(key)].into_iter().chain(left).collect();
                (changes, Ended::Removed)
            } else {
                let trace = journal.trace(&key, now);
                (vec![], trace.map_or(Ended::Absent, Ended::Trace))
            })
        })
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        let key = *key;
        self.step(move |journal| {
            let changes: Vec<_> = journal.note(&key, trace, now).into_iter().collect();
            let there = journal.trace(&key, now).unwrap_or(trace);
            Ok((changes, there.max(trace)))
        })
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, _now: UnixMs) -> StoreFuture<'a, Epoch> {
        let owner = owner.clone();
        self.step(move |journal| Ok((vec![], journal.epoch(&owner))))
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        let owner = owner.clone();
        self.step(move |journal| {
            let mut keys = journal.of_owner(&owner, now);
            if let Some(after) = &page.after {
                keys.retain(|key| journal.place(key) < after.place());
            }
            let more = keys.len() > page.limit as usize;
            keys.truncate(page.limit as usize);
            let last = keys.last().filter(|_| more);
            let next = last.map(|key| {
                let (started, key) = journal.place(key);
                Cursor::behind(started, &key)
            });
            let sessions = keys
                .into_iter()
                .map(|key| (key, journal.sessions[&key].clone()))
                .collect();
            Ok((vec![], Listed { sessions, next }))
        })
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        let (owner, except) = (owner.clone(), except.copied());
        self.step(move |journal| {
            let ended = journal
                .sessions
                .iter()
                .filter(|(key, record)| record.owner() == Some(&owner) && Some(**key) != except)
                .map(|(key, _)| Change::End(*key));
            let mut changes: Vec<_> = ended.collect();
            let count = changes.len() as u64;
            // In the same line: no crash leaves the sessions ended and a login under way still welcome.
            let epoch = journal.epoch(&owner).next(now);
            changes.push(Change::Epoch(owner, epoch));
            Ok((changes, count))
        })
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        let journal = Arc::clone(&self.0);
        let ending = self.step(move |journal| {
            let expired = journal
                .sessions
                .iter()
                .filter(|(_, record)| record.clocks.idle_expired(now))
                .map(|(key, _)| Change::End(*key))
                .take(limit as usize);
            let changes: Vec<_> = expired.collect();
            let count = changes.len() as u64;
            Ok((changes, count))
        });
        Box::pin(async move {
            let count = ending.await?;
            let work = move || {
                let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                journal.rewrite_if_long(now)
            };
            tokio::task::spawn_blocking(work)
                .await
                .map_err(StoreError::unavailable)?
                .map_err(StoreError::unavailable)?;
            Ok(count)
        })
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        // An empty step, written and synced like any other: the contract asks whether a write would be taken.
        self.step(|_| Ok((vec![Change::Nothing], ())))
    }
}

fn must_be_new(journal: &Journal, key: &SessionKey) -> Result<(), StoreError> {
    match journal.sessions.contains_key(key) {
        true => Err(StoreError::Conflict),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use jackline::lifecycle::Policy;
    use jackline::token::{Bucket, SessionToken};

    use super::*;

    async fn fresh() -> (Arc<dyn Store>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = JournalStore::open(&folder.path().join("journal")).unwrap();
        (Arc::new(store), folder)
    }

    // The whole contract: a test for each of its clauses.
    jackline::store_contract!(journal, fresh());

    #[tokio::test]
    async fn acknowledged_steps_survive_and_a_torn_one_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let key = SessionToken::from_random([7; 24], Bucket::from_random([0, 1])).key();
        let now = UnixMs::from_millis(1_000_000);
        let record = Record::visitor(&Policy::default(), Default::default(), now);

        let store = JournalStore::open(&path).unwrap();
        assert!(JournalStore::open(&path).is_err(), "one process at a time");
        store.create(&key, &record).await.unwrap();
        drop(store);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"[{"end":"half a li"#).unwrap();

        let store = JournalStore::open(&path).unwrap();
        let loaded = store.load(&key, Duration::MAX, now).await.unwrap();
        let expected = Loaded::Live {
            record: Box::new(record),
            renewed: false,
        };
        assert_eq!(loaded, expected);
        assert!(fs::read_to_string(&path).unwrap().ends_with('\n'));
    }

    #[tokio::test]
    async fn a_long_journal_is_written_anew_and_keeps_what_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, "[\"nothing\"]\n".repeat(1100)).unwrap();
        let key = SessionToken::from_random([7; 24], Bucket::from_random([0, 1])).key();
        let owner = OwnerId::new("user-1001").unwrap();
        let now = UnixMs::from_millis(1_000_000);
        let record = Record::visitor(&Policy::default(), Default::default(), now);

        let store = JournalStore::open(&path).unwrap();
        store.create(&key, &record).await.unwrap();
        store.end_all(&owner, None, now).await.unwrap();
        store.reclaim(500, now).await.unwrap();
        store.ping().await.unwrap();
        drop(store);

        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3, "a session, an epoch and a ping");
        let store = JournalStore::open(&path).unwrap();
        let ended = store.end(&key, None, None, now).await.unwrap();
        assert_eq!(ended, Ended::Removed);
        assert_ne!(store.epoch(&owner, now).await.unwrap(), Epoch::default());
    }
}
