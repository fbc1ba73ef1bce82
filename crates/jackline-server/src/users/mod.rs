//! The users, in an SQLite file in the data folder. A change that was acknowledged is on disk. Names compare without case; ids never
//! change and are never used again. The demo user exists for as long as it has its published password, and [`Users::remove_demo_user`]
//! takes it away before production starts.
//!
//! All work runs off the async threads, on one connection. Other processes, such as `jackline user add` beside a running server, may use
//! the file at the same time. Times are handed in.

mod account;
mod schema;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

pub use self::account::{Credentials, InvalidUsername, NewUser, Role, User, UserId, Username};
use crate::passwords::PhcHash;
use crate::random;

/// The file's name in the data folder.
pub const FILE_NAME: &str = "users.db";

const DEMO_ID: &str = "user-1001";
const DEMO_NAME: &str = "alice";

/// The users. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Users {
    connection: Arc<Mutex<Connection>>,
}

/// Why the users could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There is a user of this name already, in this or other letter case.
    #[error("the name is taken")]
    NameTaken,
    /// The file cannot be used right now: no space, locked for too long, gone, or the program is shutting down.
    #[error("cannot {operation} in the user database")]
    Unavailable {
        /// What was attempted.
        operation: &'static str,
        /// What went wrong underneath.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file holds something that this program did not write.
    #[error("the user database holds a value that makes no sense in {column}")]
    Corrupt {
        /// Where.
        column: &'static str,
    },
    /// The file was written by a later version.
    #[error(
        "the user database has schema version {found}, written by a later jackline; this one knows {known}"
    )]
    TooNew {
        /// The file's version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
}

impl Users {
    /// Opens the file, creating it with mode 0600 if it is missing. Its folder must exist.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`], or [`UsersError::TooNew`] if a later version wrote the file.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self, UsersError> {
        let file = file.as_ref().to_owned();
        let connection = off_thread("open", move || schema::open(&file)).await?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// The id of the user of this name, in whatever letter case.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`]. A name that nobody has, or could have, is `None`.
    pub async fn find_id(&self, username: &str) -> Result<Option<UserId>, UsersError> {
        let Ok(username) = Username::parse(username) else {
            return Ok(None);
        };
        self.run("look up a name", move |connection| {
            connection
                .prepare_cached("SELECT id FROM users WHERE username_key = ?1")?
                .query_row([username.key()], |row| row.get(0).map(UserId::stored))
                .optional()
        })
        .await
    }

    /// What a login of this user is checked against.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`], or [`UsersError::Corrupt`] if the stored hash or role makes no sense.
    pub async fn credentials(&self, id: &UserId) -> Result<Option<Credentials>, UsersError> {
        let id = id.clone();
        self.run("read credentials", move |connection| {
            connection
                .prepare_cached(&select("WHERE id = ?1"))?
                .query_row([id.as_str()], |row| {
                    Ok((read_user(row)?, row.get::<_, String>("password_hash")?))
                })
                .optional()
        })
        .await?
        .map(|(user, hash)| {
            let user = user?;
            Ok(Credentials {
                username: user.username,
                role: user.role,
                disabled: user.disabled,
                hash: PhcHash::parse(&hash).map_err(|_| UsersError::Corrupt {
                    column: "password_hash",
                })?,
            })
        })
        .transpose()
    }

    /// The user with this id.
    ///
    /// # Errors
    ///
    /// As [`Users::credentials`].
    pub async fn by_id(&self, id: &UserId) -> Result<Option<User>, UsersError> {
        let id = id.clone();
        self.run("read a user", move |connection| {
            connection
                .prepare_cached(&select("WHERE id = ?1"))?
                .query_row([id.as_str()], read_user)
                .optional()
        })
        .await?
        .transpose()
    }

    /// Adds a user with a fresh id.
    ///
    /// # Errors
    ///
    /// [`UsersError::NameTaken`] or [`UsersError::Unavailable`].
    pub async fn add(&self, user: NewUser, now_ms: i64) -> Result<User, UsersError> {
        let digits = random::base32(16).map_err(|error| unavailable("make an id", error))?;
        let id = UserId::stored(format!("user-{}", *digits));
        let added = User {
            id,
            username: user.username,
            role: user.role,
            disabled: false,
            created_ms: now_ms,
            password_changed_ms: now_ms,
        };
        let row = added.clone();
        let inserted = self
            .run("add a user", move |connection| {
                insert(connection, &row, &user.hash, Demo::No)
            })
            .await?;
        if inserted {
            Ok(added)
        } else {
            Err(UsersError::NameTaken)
        }
    }

    /// Sets a user's password. `false` if there is no such user.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn set_password(
        &self,
        id: &UserId,
        hash: PhcHash,
        now_ms: i64,
    ) -> Result<bool, UsersError> {
        // A demo user with a password of its own is a user like others.
        const SET: &str =
            "UPDATE users SET password_hash = ?2, password_changed_ms = ?3, demo = 0 WHERE id = ?1";
        let id = id.clone();
        self.run("set a password", move |connection| {
            connection.execute(SET, params![id.as_str(), hash.expose(), now_ms])
        })
        .await
        .map(|changed| changed > 0)
    }

    /// Sets a user's password if it is still the one that `old` is the hash of. `false` if it is not, or if there is no such user.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn change_password(
        &self,
        id: &UserId,
        old: PhcHash,
        new: PhcHash,
        now_ms: i64,
    ) -> Result<bool, UsersError> {
        const CHANGE: &str =
            "UPDATE users SET password_hash = ?3, password_changed_ms = ?4, demo = 0
             WHERE id = ?1 AND password_hash = ?2";
        let id = id.clone();
        self.run("change a password", move |connection| {
            connection.execute(
                CHANGE,
                params![id.as_str(), old.expose(), new.expose(), now_ms],
            )
        })
        .await
        .map(|changed| changed > 0)
    }

    /// Replaces the hash of an unchanged password. `false` if the password was changed meanwhile: then the new one stays.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn refresh_hash(
        &self,
        id: &UserId,
        old: PhcHash,
        new: PhcHash,
    ) -> Result<bool, UsersError> {
        const REFRESH: &str =
            "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
        let id = id.clone();
        self.run("refresh a password hash", move |connection| {
            connection.execute(REFRESH, params![id.as_str(), old.expose(), new.expose()])
        })
        .await
        .map(|changed| changed > 0)
    }

    /// Disables or enables a user. `false` if there is no such user.
    ///
    /// The caller must end the user's sessions after disabling.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn set_disabled(&self, id: &UserId, disabled: bool) -> Result<bool, UsersError> {
        let id = id.clone();
        self.run("disable or enable a user", move |connection| {
            connection.execute(
                "UPDATE users SET disabled = ?2 WHERE id = ?1",
                params![id.as_str(), disabled],
            )
        })
        .await
        .map(|changed| changed > 0)
    }

    /// All users, by name.
    ///
    /// # Errors
    ///
    /// As [`Users::credentials`].
    pub async fn list(&self) -> Result<Vec<User>, UsersError> {
        self.run("list users", |connection| {
            connection
                .prepare_cached(&select("ORDER BY username_key"))?
                .query_map([], read_user)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .await?
        .into_iter()
        .collect()
    }

    /// Makes sure that development has its demo user `alice`, with the hash of the published password. An `alice` that exists is left
    /// as she is.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn ensure_demo_user(&self, hash: PhcHash, now_ms: i64) -> Result<(), UsersError> {
        let demo = User {
            id: UserId::stored(DEMO_ID.to_owned()),
            username: Username::stored(DEMO_NAME.to_owned()),
            role: Role::User,
            disabled: false,
            created_ms: now_ms,
            password_changed_ms: now_ms,
        };
        self.run("add the demo user", move |connection| {
            insert(connection, &demo, &hash, Demo::Yes)
        })
        .await
        .map(|_| ())
    }

    /// Whether the demo user is missing, so that its password need not be hashed at each start.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn lacks_demo_user(&self) -> Result<bool, UsersError> {
        self.run("look up the demo user", |connection| {
            connection.query_row(
                "SELECT NOT EXISTS (SELECT 1 FROM users WHERE id = ?1 OR username_key = ?2)",
                [DEMO_ID, DEMO_NAME],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Removes the demo user if it still has its published password, and says whose sessions must end then.
    ///
    /// Production calls this before it serves: the data folder may come from a developer's machine.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn remove_demo_user(&self) -> Result<Option<UserId>, UsersError> {
        self.run("remove the demo user", |connection| {
            connection
                .query_row("DELETE FROM users WHERE demo = 1 RETURNING id", [], |row| {
                    row.get(0).map(UserId::stored)
                })
                .optional()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, UsersError> {
        tracing::trace!(operation, "the user database is asked");
        let connection = Arc::clone(&self.connection);
        off_thread(operation, move || {
            // A panic while the lock was held rolled its transaction back; the connection itself is sound.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection).map_err(|error| unavailable(operation, error))
        })
        .await
    }
}

async fn off_thread<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, UsersError> + Send + 'static,
) -> Result<T, UsersError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(unavailable(operation, error)),
    }
}

fn unavailable(
    operation: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> UsersError {
    UsersError::Unavailable {
        operation,
        source: Box::new(source),
    }
}

/// Whether a row is the demo user with its published password.
#[derive(Debug, Clone, Copy)]
enum Demo {
    Yes,
    No,
}

/// Inserts a user unless name or id are taken.
fn insert(
    connection: &mut Connection,
    user: &User,
    hash: &PhcHash,
    demo: Demo,
) -> rusqlite::Result<bool> {
    const INSERT: &str = "INSERT INTO users
        (id, username, username_key, password_hash, role, disabled, demo, created_ms, password_changed_ms)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let inserted = transaction.execute(
        INSERT,
        params![
            user.id.as_str(),
            user.username.as_str(),
            user.username.key(),
            hash.expose(),
            user.role.as_str(),
            user.disabled,
            matches!(demo, Demo::Yes),
            user.created_ms,
            user.password_changed_ms,
        ],
    )?;
    transaction.commit()?;
    Ok(inserted > 0)
}

fn select(rest: &str) -> String {
    format!(
        "SELECT id, username, password_hash, role, disabled, created_ms, password_changed_ms FROM users {rest}"
    )
}

/// The outer error is SQLite's, the inner one says that a value makes no sense.
fn read_user(row: &Row<'_>) -> rusqlite::Result<Result<User, UsersError>> {
    let role: String = row.get("role")?;
    let Some(role) = Role::parse(&role) else {
        return Ok(Err(UsersError::Corrupt { column: "role" }));
    };
    Ok(Ok(User {
        id: UserId::stored(row.get("id")?),
        username: Username::stored(row.get("username")?),
        role,
        disabled: row.get("disabled")?,
        created_ms: row.get("created_ms")?,
        password_changed_ms: row.get("password_changed_ms")?,
    }))
}
