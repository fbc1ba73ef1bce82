//! Sessions in a journal: a file to which every step appends one line, with the sessions in memory beside it. A step is
//! computed first, then written and synced, and only then applied and acknowledged. One line is one step, so a crash leaves
//! a step whole or not at all: a last line without its line feed is a step that nobody was told of, and is cut off.
//!
//! For one process and some thousands of sessions. A second process that opens the file is turned away, since its memory
//! would not hear of what this one writes.
//!
//! The file holds hashes of tokens and the data of sessions, so it is readable for its owner only.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jackline::lifecycle::{Delta, OwnerId, Record, SessionCap, UnixMs};
use jackline::store::{
    Admission, Admitted, Committed, Cursor, Durability, Epoch, Listed, Loaded, Page, Store,
    StoreError, StoreFuture,
};
use jackline::token::SessionKey;

use crate::line::{self, Change};

/// Sessions in a journal.
#[derive(Debug)]
pub(crate) struct JournalStore(Arc<Mutex<Journal>>);

#[derive(Debug)]
struct Journal {
    path: PathBuf,
    file: File,
    /// Held for as long as the journal is open. A file of its own, because the journal itself is replaced now and then.
    _lock: File,
    /// How many bytes and lines of the file are known to be good.
    bytes: u64,
    lines: usize,
    /// After a failed write the end of the file is not known, until it is cut off.
    torn: bool,
    sessions: HashMap<SessionKey, Record>,
    epochs: HashMap<OwnerId, Epoch>,
}

/// What a step would change, and what it then answers.
type Step<T> = Result<(Vec<Change>, T), StoreError>;

impl JournalStore {
    /// Opens the journal at `path`, or begins one.
    ///
    /// # Errors
    /// If the file cannot be used, belongs to another process, or holds something else. [`StoreError`] names no content.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let lock = private()
            .create(true)
            .open(path.with_added_extension("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process uses the journal"),
            TryLockError::Error(error) => error,
        })?;
        let mut file = private().read(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let good = text.rfind('\n').map_or(0, |end| end + 1);
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            _lock: lock,
            bytes: good as u64,
            lines: 0,
            torn: true,
            sessions: HashMap::new(),
            epochs: HashMap::new(),
        };
        for line in text[..good].lines() {
            let changes = line::read(line).ok_or(io::ErrorKind::InvalidData)?;
            journal.apply(changes);
            journal.lines += 1;
        }
        journal.mend()?;
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
            journal.must_be_new(&key)?;
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
                return Ok((vec![], Loaded::Absent));
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
            let counters = change(&mut record, &delta, now)?;
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
            journal.must_be_new(&new)?;
            let Some(mut record) = journal.live(&old, now).cloned().map(Box::new) else {
                return Ok((vec![], Committed::Gone));
            };
            let counters = change(&mut record, &delta, now)?;
            let changes = vec![Change::End(old), Change::Put(new, record)];
            Ok((changes, Committed::Applied { counters }))
        })
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        let (key, mut record) = (*admission.key, Box::new(admission.record.clone()));
        let (owner, epoch, cap) = (admission.owner.clone(), admission.epoch, admission.cap);
        let replaces = admission
            .replaces
            .as_ref()
            .map(|replaced| (*replaced.key, replaced.carry_data));
        self.step(move |journal| {
            journal.must_be_new(&key)?;
            if journal.epoch(&owner) != epoch {
                return Ok((vec![], Admitted::Revoked));
            }
            let mut others = journal.of_owner(&owner, now);
            others.retain(|other| replaces.is_none_or(|(replaced, _)| replaced != *other));
            let pruned = match cap {
                SessionCap::RefuseNewest(cap) if others.len() >= cap as usize => {
                    return Ok((vec![], Admitted::AtCap));
                }
                // Newest first, so the oldest stand behind the first `cap - 1`.
                SessionCap::PruneOldest(cap) => {
                    others.split_off(others.len().min(cap.saturating_sub(1) as usize))
                }
                _ => vec![],
            };
            let mut changes: Vec<_> = pruned.iter().copied().map(Change::End).collect();
            if let Some((replaced, carry_data)) = replaces {
                if carry_data && let Some(old) = journal.live(&replaced, now) {
                    record.data = old.data.clone();
                }
                changes.push(Change::End(replaced));
            }
            changes.push(Change::Put(key, record));
            Ok((changes, Admitted::Done { pruned }))
        })
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
    ) -> StoreFuture<'a, bool> {
        let key = *key;
        self.step(move |journal| match journal.sessions.contains_key(&key) {
            true => Ok((vec![Change::End(key)], true)),
            false => Ok((vec![], false)),
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
            if let Some(Cursor(after)) = &page.after {
                keys.retain(|key| journal.position(key) < *after);
            }
            let more = keys.len() > page.limit as usize;
            keys.truncate(page.limit as usize);
            let last = keys.last().filter(|_| more);
            let next = last.map(|key| Cursor(journal.position(key)));
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

impl Journal {
    fn live(&self, key: &SessionKey, now: UnixMs) -> Option<&Record> {
        self.sessions
            .get(key)
            .filter(|record| !record.clocks.idle_expired(now))
    }

    fn must_be_new(&self, key: &SessionKey) -> Result<(), StoreError> {
        match self.sessions.contains_key(key) {
            true => Err(StoreError::Conflict),
            false => Ok(()),
        }
    }

    fn epoch(&self, owner: &OwnerId) -> Epoch {
        self.epochs.get(owner).copied().unwrap_or_default()
    }

    /// The owner's live sessions, newest login first. Looks at every session: a store for more of them keeps an index.
    fn of_owner(&self, owner: &OwnerId, now: UnixMs) -> Vec<SessionKey> {
        let mut keys: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, record)| record.owner() == Some(owner))
            .filter(|(_, record)| !record.clocks.idle_expired(now))
            .map(|(key, _)| *key)
            .collect();
        keys.sort_unstable_by_key(|key| std::cmp::Reverse(self.position(key)));
        keys
    }

    /// Sorts as logins do, and is unique.
    fn position(&self, key: &SessionKey) -> String {
        let started = self.sessions[key].meta.started.as_millis();
        format!("{started:015}-{}", line::key_text(key))
    }

    /// Makes changes durable, and then real.
    fn commit(&mut self, changes: Vec<Change>) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.mend()?;
        let line = line::write(&changes);
        self.torn = true;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.torn = false;
        self.bytes += line.len() as u64;
        self.lines += 1;
        self.apply(changes);
        Ok(())
    }

    /// Cuts off what a failed write may have left behind. What could not be acknowledged must not come back either.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            self.file.sync_data()?;
            self.torn = false;
        }
        Ok(())
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(key, record) => {
                    self.sessions.insert(key, *record);
                }
                Change::End(key) => {
                    self.sessions.remove(&key);
                }
                Change::Epoch(owner, epoch) => {
                    self.epochs.insert(owner, epoch);
                }
                Change::Nothing => {}
            }
        }
    }

    /// Writes the journal anew, without its past, once most of it is past. Epochs are forgotten as the contract allows.
    fn rewrite_if_long(&mut self, now: UnixMs) -> io::Result<()> {
        const HOUR: Duration = Duration::from_secs(3600);
        if self.lines < 1000 + 2 * self.sessions.len() {
            return Ok(());
        }
        // An epoch is at least as large as the moment it was set at.
        self.epochs
            .retain(|_, epoch| now.since(UnixMs::from_millis(epoch.0)) < HOUR);
        let sessions = self
            .sessions
            .iter()
            .map(|(key, record)| Change::Put(*key, Box::new(record.clone())));
        let epochs = self
            .epochs
            .iter()
            .map(|(owner, epoch)| Change::Epoch(owner.clone(), *epoch));
        let lines: Vec<_> = sessions
            .chain(epochs)
            .map(|change| line::write(&[change]))
            .collect();
        let text = lines.concat();

        let draft = self.path.with_added_extension("new");
        let mut file = private().create(true).truncate(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        // From here on the old file has no name, and whatever would be written to it is lost with it.
        (self.file, self.torn) = (file, false);
        (self.bytes, self.lines) = (text.len() as u64, lines.len());
        let folder = self.path.parent().filter(|folder| *folder != Path::new(""));
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Applies a delta as the contract has it: all of it or nothing, the last activity never set back, the version up by one.
fn change(record: &mut Record, delta: &Delta, now: UnixMs) -> Result<Vec<i64>, StoreError> {
    let applied = delta.apply(&mut record.data)?;
    if let Some(meta) = delta.meta() {
        record.meta = meta.clone();
    }
    record.clocks.seen = record.clocks.seen.max(now);
    record.clocks.version += 1;
    Ok(applied.counters)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
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
        use jackline::lifecycle::{Policy, Record};
        use jackline::token::{Bucket, SessionToken};

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
        use jackline::lifecycle::{Policy, Record};
        use jackline::token::{Bucket, SessionToken};

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
        assert!(store.end(&key, None).await.unwrap());
        assert_ne!(store.epoch(&owner, now).await.unwrap(), Epoch::default());
    }
}
