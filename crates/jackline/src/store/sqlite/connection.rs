//! Opening the file: who may read it, how it is synced, and whether it is ours.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, TransactionBehavior};

use super::tables::{self, Key};
use crate::store::codec::clocks;

/// `JLS1`: says whose file it is.
const APPLICATION_ID: i64 = 0x4a4c_5331;
/// How many of [`MIGRATIONS`] the file has seen.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// How long a statement waits for another process's transaction. Well under the engine's own time-out, so that the reason is
/// reported rather than guessed.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// The same while opening, when a dozen processes may start at once.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// How often somebody who waits looks whether it is their turn. A process that writes all the time gives the file free for some
/// tens of microseconds between two commits, so whoever looks once in a millisecond may miss that a hundred times.
const BUSY_STEP: Duration = Duration::from_micros(100);

/// How much of the file a connection keeps in memory at most, in KiB. There are three. By default it would be 2 MiB, which is less than
/// what leads to a million sessions, and the rest is asked of the system.
const CACHE_KIB: i64 = 32 << 10;

/// Why the file cannot be the session store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteOpenError {
    /// The file cannot be created.
    #[error("cannot create {}: {source}; create its folder, and let this user write there", path.display())]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite cannot open or read it.
    #[error("cannot open {}: {source}; check that it is a SQLite file that this user may write", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// The file is a database of something else.
    #[error("{} is a database of another program; name another file", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// A later version of Jackline wrote it.
    #[error("{} was written by a later version (schema {found}); run that version, or name another file", path.display())]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// It can be read but not written.
    #[error("{} can only be read; let this user write it and its folder", path.display())]
    ReadOnly {
        /// Which file.
        path: PathBuf,
    },
    /// It cannot have a write-ahead log.
    #[error("{} lies where SQLite cannot keep a write-ahead log (it stayed in mode {found}); put it on a local disk", path.display())]
    NoWriteAheadLog {
        /// Which file.
        path: PathBuf,
        /// The journal that SQLite insists on.
        found: String,
    },
    /// The file beside it, by which processes take turns, cannot be opened.
    #[error("cannot open {}.next: {source}; let this user write the folder", path.display())]
    Turn {
        /// The database.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start a thread for the session store: {0}")]
    Thread(#[from] io::Error),
}

/// Creates the file, if it is not there, for this user alone. SQLite gives the files beside it the same mode.
///
/// Returns the path that is to be opened. It is absolute, so that it names a file whatever it looks like: SQLite takes
/// `:memory:` and `file:sessions.db?mode=memory` for databases that every connection has for itself and that go with it.
pub(super) fn create(path: &Path) -> Result<PathBuf, SqliteOpenError> {
    // Closing a file drops all locks that this process has on it (POSIX), those of SQLite included. So only a file that was not
    // there is opened here, and closed before another thread comes to find it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let created = std::path::absolute(path).and_then(|absolute| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&absolute)
            .map(drop)
            .or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            })?;
        Ok(absolute)
    });
    created.map_err(|source| SqliteOpenError::Create {
        path: path.to_owned(),
        source,
    })
}

/// The connection that writes. Creates the tables if they are not there.
pub(super) fn open_writer(path: &Path) -> Result<Connection, SqliteOpenError> {
    let wrap = |source| SqliteOpenError::Open {
        path: path.to_owned(),
        source,
    };
    let mut db = open(path).map_err(wrap)?;
    wait_up_to(OPENING_TIMEOUT, &mut db).map_err(wrap)?;
    prepare(&mut db, path)?;
    wait_up_to(BUSY_TIMEOUT, &mut db).map_err(wrap)?;
    Ok(db)
}

/// A connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SqliteOpenError> {
    let wrap = |source| SqliteOpenError::Open {
        path: path.to_owned(),
        source,
    };
    let mut db = open(path).map_err(wrap)?;
    wait_up_to(BUSY_TIMEOUT, &mut db).map_err(wrap)?;
    db.pragma_update(None, "query_only", true).map_err(wrap)?;
    Ok(db)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.set_prepared_statement_cache_capacity(32);
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(db)
}

/// Lets the connection wait for other processes for `limit`, looking every [`BUSY_STEP`].
///
/// Not `busy_timeout`: it looks eleven times in 250 ms, at ever longer intervals. Against a process that writes all the time
/// and gives the file free for a moment between two commits, that is too seldom to be sure of a turn.
fn wait_up_to(limit: Duration, db: &mut Connection) -> rusqlite::Result<()> {
    let mut patience = Patience::of(limit);
    db.busy_handler(Some(move |count| {
        if count == 0 {
            patience = Patience::of(limit);
        }
        patience.pause()
    }))
}

/// How much longer somebody waits for other processes.
pub(super) struct Patience {
    began: Instant,
    limit: Duration,
}

impl Patience {
    /// From now on.
    pub(super) fn of(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            limit,
        }
    }

    /// Waits for a moment. Or says `false`, if that has been done for long enough.
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no event to wait for: a file lock that another process gives up tells nobody"
    )]
    pub(super) fn pause(&self) -> bool {
        let waits = self.began.elapsed() < self.limit;
        if waits {
            std::thread::sleep(BUSY_STEP);
        }
        waits
    }
}

fn prepare(db: &mut Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let wrap = |source| SqliteOpenError::Open {
        path: path.to_owned(),
        source,
    };
    refuse_read_only(db, path)?;
    check_owner(db, path)?;
    // A commit is on disk when it returns, also after a loss of power.
    db.pragma_update(None, "synchronous", "FULL")
        .map_err(wrap)?;
    // Overwrites what is deleted where that costs no extra write: sessions hold personal data.
    db.pragma_update(None, "secure_delete", "FAST")
        .map_err(wrap)?;
    switch_to_wal(db, path)?;
    let transaction = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(wrap)?;
    // Again, now that nobody else can be creating the tables.
    let found = check_owner(&transaction, path)?;
    if found < SCHEMA_VERSION {
        for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            migration(&transaction).map_err(wrap)?;
        }
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(wrap)?;
        transaction
            .pragma_update(None, "user_version", SCHEMA_VERSION)
            .map_err(wrap)?;
    }
    transaction.commit().map_err(wrap)
}

/// SQLite opens a file that it may not write as one to read, and even begins "writing" transactions there.
fn refuse_read_only(db: &Connection, path: &Path) -> Result<(), SqliteOpenError> {
    match db.is_readonly(MAIN_DB) {
        Ok(false) => Ok(()),
        Ok(true) => Err(SqliteOpenError::ReadOnly {
            path: path.to_owned(),
        }),
        Err(source) => Err(SqliteOpenError::Open {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Write-ahead logging lets readers read while the writer writes. SQLite does not wait for others in every step of the
/// switch, so when several processes make it at once, each tries until it is made.
fn switch_to_wal(db: &Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let patience = Patience::of(OPENING_TIMEOUT);
    let switched = loop {
        match db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && patience.pause() => {}
            other => break other,
        }
    };
    match switched {
        // What is not possible is no error for SQLite; it answers with the mode that it keeps.
        Ok(mode) if mode.eq_ignore_ascii_case("wal") => Ok(()),
        Ok(found) => Err(SqliteOpenError::NoWriteAheadLog {
            path: path.to_owned(),
            found,
        }),
        Err(source) => Err(SqliteOpenError::Open {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Refuses a file that is not ours, and says which schema it has: zero if it has none yet.
fn check_owner(db: &Connection, path: &Path) -> Result<i64, SqliteOpenError> {
    // One statement, so that it sees the file before or after another process creates the tables, and never in between.
    let (application, found, tables) = db
        .query_row(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                ))
            },
        )
        .map_err(|source| SqliteOpenError::Open {
            path: path.to_owned(),
            source,
        })?;
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(SqliteOpenError::Foreign {
            path: path.to_owned(),
        });
    }
    if found > SCHEMA_VERSION {
        return Err(SqliteOpenError::TooNew {
            path: path.to_owned(),
            found,
        });
    }
    Ok(found)
}

/// What each version of the schema adds to the one before.
const MIGRATIONS: [fn(&Connection) -> rusqlite::Result<()>; 3] = [
    |db| db.execute_batch(SESSIONS),
    |db| db.execute_batch(TRACES),
    find_by_place,
];

/// `key` is the bucket, big-endian, and the digest, so that it sorts as `SessionKey` does. All times are milliseconds.
const SESSIONS: &str = "
CREATE TABLE sessions (
    key BLOB NOT NULL UNIQUE,
    owner TEXT,
    started INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    idle INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    version INTEGER NOT NULL,
    idle_deadline INTEGER NOT NULL,
    meta TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_owner ON sessions (owner, started, key) WHERE owner IS NOT NULL;
CREATE INDEX sessions_by_deadline ON sessions (idle_deadline);
CREATE TABLE owners (
    owner TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    set_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX owners_by_age ON owners (set_at);
";

/// What became of keys that have no session any more, and until when that is remembered.
const TRACES: &str = "
CREATE TABLE traces (
    key BLOB NOT NULL PRIMARY KEY,
    weight INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX traces_by_age ON traces (until);
-- What shows that there is room again after a write has failed.
CREATE TABLE probe (filler BLOB NOT NULL) STRICT;
";

/// Sessions by [their place](tables::id), and by [when they may be reclaimed](tables::reclaim_after).
///
/// Not `WITHOUT ROWID` with the key in place of the number: rows are some hundred bytes and up to a quarter of a megabyte, and such a
/// table would keep them in the inner pages of its tree, where a look-up wants small keys.
const PLACES: &str = "
CREATE TABLE sessions (
    id INTEGER NOT NULL PRIMARY KEY,
    key BLOB NOT NULL,
    owner TEXT,
    started INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    idle INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    version INTEGER NOT NULL,
    idle_deadline INTEGER NOT NULL,
    reclaim_after INTEGER NOT NULL,
    meta TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_owner ON sessions (owner, started, key) WHERE owner IS NOT NULL;
CREATE INDEX sessions_to_reclaim ON sessions (reclaim_after);
";

/// Gives every session its place. Before, they were found by an index of their keys.
fn find_by_place(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "ALTER TABLE sessions RENAME TO sessions_before; DROP INDEX sessions_of_owner; DROP INDEX sessions_by_deadline",
    )?;
    db.execute_batch(PLACES)?;
    let mut insert = db.prepare(
        "INSERT INTO sessions SELECT ?2, key, owner, started, seen, idle, ends, version, idle_deadline, ?3, meta, data
         FROM sessions_before WHERE key = ?1",
    )?;
    // What is damaged stays so, and keeps nobody from opening the file; without a whole key it was never found.
    let mut keys = db.prepare(
        "SELECT key, max(seen, 0), max(idle, 0) FROM sessions_before WHERE length(key) = 34 ORDER BY key",
    )?;
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        let key = row.get::<_, Key>(0)?;
        let clocks = clocks(row.get(1)?, row.get(2)?, 0, 0);
        insert.execute((&key, tables::id(&key.0), tables::reclaim_after(&clocks)))?;
    }
    drop(rows);
    db.execute_batch("DROP TABLE sessions_before")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_WHILE: Duration = Duration::from_millis(20);

    // Proves: J7
    #[test]
    fn patience_ends() {
        assert!(!Patience::of(Duration::ZERO).pause());
        let patience = Patience::of(Duration::from_secs(3600));
        assert!(patience.pause());
        let patience = Patience::of(A_WHILE);
        while patience.pause() {}
        assert!(patience.began.elapsed() >= A_WHILE);
    }

    // Proves: J7
    #[test]
    fn each_statement_waits_anew_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let new = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            let mut db = Connection::open_with_flags(&path, flags).unwrap();
            wait_up_to(A_WHILE, &mut db).unwrap();
            db
        };
        let (holder, db) = (new(), new());
        let begins = |db: &Connection| db.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(!begins(&db) && !begins(&db));
        std::thread::scope(|scope| {
            let (asks, asked) = std::sync::mpsc::channel();
            let waiting = scope.spawn(move || {
                asks.send(()).unwrap();
                // More than the limit of one statement may pass before the other thread gets to run.
                (0..20).any(|_| begins(&db))
            });
            asked.recv().unwrap();
            holder.execute_batch("ROLLBACK").unwrap();
            assert!(waiting.join().unwrap());
        });
    }

    // Proves: P2, D7
    #[test]
    fn whatever_a_path_looks_like_it_is_opened_as_a_file() {
        const INSIDE: &str = "JACKLINE_TEST_RUNS_INSIDE_ITS_FOLDER";
        if std::env::var_os(INSIDE).is_some() {
            for path in [":memory:", "file:sessions.db?mode=memory"] {
                let path = create(Path::new(path)).unwrap();
                open_writer(&path).unwrap();
                let tables = std::fs::metadata(path).unwrap().len();
                assert!(tables > 0);
            }
            return;
        }
        // Only a relative path means something else to SQLite, and the folder that it is relative to belongs to the process.
        let folder = tempfile::tempdir().unwrap();
        let inside = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::connection::tests::whatever_a_path_looks_like_it_is_opened_as_a_file"])
            .current_dir(folder.path())
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&inside.stdout);
        assert!(inside.status.success(), "{output}");
        assert!(output.contains("1 passed"), "{output}");
    }

    // Proves: D7
    #[test]
    fn sessions_of_a_file_from_before_they_had_places_are_found_and_reclaimed() {
        use crate::lifecycle::{Identity, OwnerId, Policy, Record, Role, UnixMs};
        use crate::store::{Loaded, Page};
        use crate::token::{Bucket, SessionToken};

        let folder = tempfile::tempdir().unwrap();
        let path = create(&folder.path().join("sessions.db")).unwrap();
        let now = UnixMs::from_millis(1_800_000_000_000);
        let owner = OwnerId::new("user-1001").unwrap();
        let identity = Identity::new(owner.clone(), "alice", Role::user());
        let record = Record::logged_in(identity, &Policy::default(), Default::default(), now);
        let key = |n| SessionToken::from_random([n; 24], Bucket::of(&owner)).key();
        let before = Connection::open(&path).unwrap();
        before.execute_batch(SESSIONS).unwrap();
        before.execute_batch(TRACES).unwrap();
        for (name, value) in [("application_id", APPLICATION_ID), ("user_version", 2)] {
            before.pragma_update(None, name, value).unwrap();
        }
        let insert =
            "INSERT INTO sessions VALUES (?1, 'user-1001', ?2, ?2, ?3, ?4, 7, ?5, ?6, '{\"a\":1}')";
        let clocks = record.clocks;
        let deadline = i64::try_from(clocks.idle_deadline().as_millis()).unwrap();
        let numbers = [clocks.seen.as_millis(), 1_800_000, clocks.ends.as_millis()];
        let [seen, idle, ends] = numbers.map(u64::cast_signed);
        let meta = serde_json::to_string(&record.meta).unwrap();
        for n in 1..=3 {
            before
                .execute(insert, (Key(key(n)), seen, idle, ends, deadline, &meta))
                .unwrap();
        }
        let damaged: [&[u8]; 2] = [&[1], &key(4).to_bytes()];
        for bad in damaged {
            before
                .execute(insert, (bad, -1, -1, -1, -1, "damaged"))
                .unwrap();
        }
        drop(before);

        let db = open_writer(&path).unwrap();
        for n in 1..=3 {
            let Loaded::Live { record: found, .. } = tables::load(&db, &key(n), now).unwrap()
            else {
                panic!("session {n} is there");
            };
            assert_eq!((&found.meta, found.clocks.version), (&record.meta, 7));
            assert_eq!(found.data.to_json(), "{\"a\":1}");
        }
        assert!(tables::load(&db, &key(4), now).is_err());
        db.execute("DELETE FROM sessions WHERE meta = 'damaged'", [])
            .unwrap();
        let listed = tables::list(&db, &owner, &Page::first(), now).unwrap();
        assert_eq!(listed.sessions.len(), 3);
        assert_eq!(tables::reclaim(&db, 10, now).unwrap(), 0);
        let over = clocks.idle_deadline().after(Duration::from_secs(300));
        assert_eq!(tables::reclaim(&db, 10, over).unwrap(), 3);
        drop(db);
        open_writer(&path).unwrap();
    }

    // Proves: P2, D7
    #[test]
    fn a_database_without_a_write_ahead_log_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        let error = prepare(&mut db, Path::new("sessions.db")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sessions.db lies where SQLite cannot keep a write-ahead log (it stayed in mode memory); \
             put it on a local disk"
        );
    }

    // Proves: D7
    #[test]
    fn a_file_that_can_only_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = create(&folder.path().join("sessions.db")).unwrap();
        drop(open_writer(&path).unwrap());
        // The mode of the file would do for everybody but root, who may write all the same.
        let mut db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let error = prepare(&mut db, Path::new("sessions.db")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sessions.db can only be read; let this user write it and its folder"
        );
    }
}
