//! Sessions in an embedded SQLite file: the store for one machine.
//!
//! One thread writes. It takes everything that waits, gives each piece a savepoint inside one transaction, and answers after the
//! commit has reached the disk: an acknowledged write survives a loss of power, and 64 writers share one sync (J8). Other
//! threads read. Several processes may share the file; every write reads what it depends on inside its own transaction.
//!
//! # Deployment
//! The file, and the `-wal`, `-shm` and `.next` files beside it, belong on a local disk: SQLite's locks do not hold on network file
//! systems. Back it up with `sqlite3 sessions.db ".backup copy.db"`, not by copying the files.

mod connection;
mod tables;
#[cfg(test)]
mod tests;
mod turn;
mod worker;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub use connection::SqliteOpenError;

use self::turn::Turn;
use self::worker::{Reader, Writer};
use super::{
    Admission, Admitted, Committed, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreFuture, Trace,
};
use crate::lifecycle::{Delta, OwnerId, Record, UnixMs};
use crate::token::SessionKey;

/// How many threads read.
const READERS: usize = 2;

/// Sessions in a SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Vec<Reader>,
    next_reader: AtomicUsize,
}

impl SqliteStore {
    /// Opens the file, and creates it with mode 0600 if it is not there. Its folder must be. The path is a path and nothing
    /// else: `:memory:` is a file of that name.
    ///
    /// ```
    /// use jackline::store::sqlite::SqliteStore;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let store = SqliteStore::open(folder.path().join("sessions.db"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the file cannot be opened, is not a database, is another program's, or was written by a later version. The message
    /// says what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteOpenError> {
        let path = connection::create(path.as_ref())?;
        let turn = Turn::open(&path).map_err(|source| SqliteOpenError::Turn {
            path: path.clone(),
            source,
        })?;
        let writer = Writer::start(connection::open_writer(&path)?, turn)?;
        let readers = (0..READERS)
            .map(|_| Reader::start(connection::open_reader(&path)?))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            writer,
            readers,
            next_reader: AtomicUsize::new(0),
        })
    }

    /// How many transactions were committed since the store was opened, to see that writers share them.
    #[doc(hidden)]
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.writer.transactions()
    }

    /// Limits the file to so many pages, to see what a full disk does.
    #[doc(hidden)]
    pub fn limit_pages_for_test(&self, pages: u32) -> StoreFuture<'_, ()> {
        self.writer.run(move |db| tables::limit_pages(db, pages))
    }

    fn reader(&self) -> &Reader {
        &self.readers[self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS]
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        let (key, record) = (*key, record.clone());
        self.writer.run(move |db| tables::create(db, &key, &record))
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        let key = *key;
        let read = self.reader().run(move |db| tables::load(db, &key, now));
        Box::pin(async move {
            let loaded = read.await?;
            match &loaded {
                // Another load may be at it too, so the writer looks again: one of them renews, and says so.
                Loaded::Live { record, .. } if record.clocks.renewal_due(now, step) => {
                    self.writer
                        .run(move |db| tables::load_and_renew(db, &key, step, now))
                        .await
                }
                _ => Ok(loaded),
            }
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        let (key, delta) = (*key, delta.clone());
        self.writer
            .run(move |db| tables::commit(db, &key, &delta, now))
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
        self.writer
            .run(move |db| tables::rotate(db, &old, &new, &delta, now))
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        let login = tables::Login::of(admission);
        self.writer.run(move |db| tables::admit(db, &login, now))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        let key = *key;
        self.writer.run(move |db| tables::end(db, &key, trace, now))
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        let key = *key;
        self.writer
            .run(move |db| tables::note(db, &key, trace, now))
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, _now: UnixMs) -> StoreFuture<'a, Epoch> {
        let owner = owner.clone();
        self.reader().run(move |db| tables::epoch(db, &owner))
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        let owner = owner.clone();
        self.reader()
            .run(move |db| tables::list(db, &owner, &page, now))
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        let (owner, except) = (owner.clone(), except.copied());
        self.writer
            .run(move |db| tables::end_all(db, &owner, except.as_ref(), now))
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.writer.run(move |db| tables::reclaim(db, limit, now))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.writer.probe()
    }
}
