//! Users in an SQLite file. All work runs off the async threads, on one connection. Other processes, such as `jackline user add`
//! beside a running server, may use the file at the same time.

mod factors;
mod schema;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::table::{By, Change, Search, StoredUser, UserTable, UsersFuture};
use super::{UserId, Username, UsersError, unavailable};
use crate::passwords::PhcHash;

/// The users' table in a file.
#[derive(Debug)]
pub struct SqliteUsers {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteUsers {
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

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, UsersError> {
        let connection = Arc::clone(&self.connection);
        off_thread(operation, move || {
            // A panic while the lock was held rolled its transaction back; the connection itself is sound.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection).map_err(|error| unavailable(operation, error))
        })
        .await
    }
}

impl UserTable for SqliteUsers {
    fn find<'a>(&'a self, by: By<'a>) -> UsersFuture<'a, Option<StoredUser>> {
        let (sql, value) = match by {
            By::Id(id) => (select("WHERE id = ?1"), id),
            By::NameKey(key) => (select("WHERE username_key = ?1"), key),
        };
        let value = value.to_owned();
        Box::pin(self.run("look up a user", move |connection| {
            connection
                .prepare_cached(&sql)?
                .query_row([value], read)
                .optional()
        }))
    }

    fn all(&self) -> UsersFuture<'_, Vec<StoredUser>> {
        Box::pin(self.run("list users", |connection| {
            connection
                .prepare_cached(&select("ORDER BY username_key"))?
                .query_map([], read)?
                .collect()
        }))
    }

    fn search<'a>(&'a self, search: &'a Search) -> UsersFuture<'a, Vec<StoredUser>> {
        const WHERE: &str = "WHERE username_key >= ?1 AND username_key < ?2 AND username_key > ?3
            ORDER BY username_key LIMIT ?4";
        let search = search.clone();
        Box::pin(self.run("search users", move |connection| {
            let (end, limit) = (search.end(), search.limit);
            connection
                .prepare_cached(&select(WHERE))?
                .query_map(params![search.begins, end, search.after, limit], read)?
                .collect()
        }))
    }

    fn insert<'a>(&'a self, user: &'a StoredUser) -> UsersFuture<'a, bool> {
        const INSERT: &str = "INSERT INTO users
            (id, username, username_key, password_hash, role, disabled, demo, created_ms, password_changed_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
        let user = user.clone();
        Box::pin(self.run("add a user", move |connection| {
            let inserted = connection.execute(
                INSERT,
                params![
                    user.id.as_str(),
                    user.username.as_str(),
                    user.username.key(),
                    user.hash,
                    user.role,
                    user.disabled,
                    user.demo,
                    user.created_ms,
                    user.password_changed_ms,
                ],
            )?;
            Ok(inserted > 0)
        }))
    }

    fn change<'a>(&'a self, id: &'a UserId, change: &'a Change) -> UsersFuture<'a, bool> {
        const CHANGE: &str = "UPDATE users SET
            password_hash = coalesce(?2, password_hash),
            password_changed_ms = coalesce(?3, password_changed_ms),
            demo = iif(?3 IS NULL, demo, 0),
            disabled = coalesce(?4, disabled)
            WHERE id = ?1 AND (?5 IS NULL OR password_hash = ?5)";
        let (id, change) = (id.clone(), change.clone());
        Box::pin(self.run("change a user", move |connection| {
            let changed = connection.execute(
                CHANGE,
                params![
                    id.as_str(),
                    change.hash.as_ref().map(PhcHash::expose),
                    change.password_changed_ms,
                    change.disabled,
                    change.only_if.as_ref().map(PhcHash::expose),
                ],
            )?;
            Ok(changed > 0)
        }))
    }

    fn remove_demo(&self) -> UsersFuture<'_, Option<UserId>> {
        Box::pin(self.run("remove the demo user", |connection| {
            connection
                .query_row("DELETE FROM users WHERE demo = 1 RETURNING id", [], |row| {
                    row.get(0).map(UserId::stored)
                })
                .optional()
        }))
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

fn select(rest: &str) -> String {
    format!(
        "SELECT id, username, password_hash, role, disabled, demo, created_ms, password_changed_ms FROM users {rest}"
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredUser> {
    Ok(StoredUser {
        id: UserId::stored(row.get("id")?),
        username: Username::stored(row.get("username")?),
        hash: row.get("password_hash")?,
        role: row.get("role")?,
        disabled: row.get("disabled")?,
        demo: row.get("demo")?,
        created_ms: row.get("created_ms")?,
        password_changed_ms: row.get("password_changed_ms")?,
    })
}
