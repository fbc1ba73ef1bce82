//! The file of users: how it is opened and what it looks like. `user_version` says which schema a file has; a step to the next one is
//! one transaction, so that two programs that open an old file at once take each step once. A file of a later version is refused
//! rather than misread.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::users::{UsersError, unavailable};

/// One step per schema version, from the empty file on.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE users (
        id TEXT NOT NULL PRIMARY KEY,
        username TEXT NOT NULL,
        username_key TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('user', 'admin')),
        disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
        demo INTEGER NOT NULL CHECK (demo IN (0, 1)),
        created_ms INTEGER NOT NULL,
        password_changed_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE factors (
        id TEXT NOT NULL PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('totp', 'passkey', 'recovery')),
        name TEXT NOT NULL,
        data TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        last_used_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX factors_user_id ON factors (user_id);
",
];

/// How long to wait for another process that is writing. Longer than any write here takes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn open(file: &Path) -> Result<Connection, UsersError> {
    create_private(file).map_err(|error| unavailable("create the file", error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(sql)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    // FULL: what was acknowledged is on disk, also when the power fails.
    for (name, value) in [
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        // Passwords' hashes that were replaced do not linger in free pages.
        ("secure_delete", "ON"),
        ("trusted_schema", "OFF"),
    ] {
        connection.pragma_update(None, name, value).map_err(sql)?;
    }
    upgrade(&mut connection)?;
    Ok(connection)
}

/// SQLite gives its side files the mode of the main one.
fn create_private(file: &Path) -> io::Result<()> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(file)?.permissions().mode();
            if mode & 0o077 == 0 {
                return Ok(());
            }
            tracing::warn!(file = %file.display(), "other users could read the user database; its mode is 0600 now");
            fs::set_permissions(file, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

fn upgrade(connection: &mut Connection) -> Result<(), UsersError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sql)?;
    let found: i64 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(sql)?;
    let known = STEPS.len() as i64;
    let done = usize::try_from(found)
        .ok()
        .filter(|done| *done <= STEPS.len())
        .ok_or(UsersError::TooNew { found, known })?;
    for step in &STEPS[done..] {
        transaction.execute_batch(step).map_err(sql)?;
    }
    transaction
        .pragma_update(None, "user_version", known)
        .map_err(sql)?;
    transaction.commit().map_err(sql)
}

fn sql(error: rusqlite::Error) -> UsersError {
    unavailable("open the file", error)
}
