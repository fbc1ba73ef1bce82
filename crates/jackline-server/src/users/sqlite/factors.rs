//! Second factors in the users' file.

use rusqlite::{OptionalExtension, Row, params};

use super::SqliteUsers;
use crate::users::UserId;
use crate::users::factors::{FactorChange, FactorTable, PAGE, StoredFactor};
use crate::users::table::UsersFuture;

impl FactorTable for SqliteUsers {
    fn factors_of<'a>(&'a self, user: &'a UserId) -> UsersFuture<'a, Vec<StoredFactor>> {
        let user = user.clone();
        Box::pin(self.run("list second factors", move |connection| {
            connection
                .prepare_cached(&select("WHERE user_id = ?1 ORDER BY created_ms, id"))?
                .query_map([user.as_str()], read)?
                .collect()
        }))
    }

    fn find_factor<'a>(&'a self, id: &'a str) -> UsersFuture<'a, Option<StoredFactor>> {
        let id = id.to_owned();
        Box::pin(self.run("look up a second factor", move |connection| {
            connection
                .prepare_cached(&select("WHERE id = ?1"))?
                .query_row([id], read)
                .optional()
        }))
    }

    fn insert_factor<'a>(&'a self, factor: &'a StoredFactor) -> UsersFuture<'a, bool> {
        // A user who is gone has no factors: from the table and not from what the caller believes.
        const INSERT: &str = "INSERT INTO factors
            (id, user_id, kind, name, data, version, created_ms, last_used_ms)
            SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8 FROM users WHERE id = ?2 ON CONFLICT DO NOTHING";
        let factor = factor.clone();
        Box::pin(self.run("add a second factor", move |connection| {
            let inserted = connection.execute(
                INSERT,
                params![
                    factor.id,
                    factor.user.as_str(),
                    factor.kind,
                    factor.name,
                    factor.data,
                    factor.version,
                    factor.created_ms,
                    factor.last_used_ms,
                ],
            )?;
            Ok(inserted > 0)
        }))
    }

    fn change_factor<'a>(&'a self, id: &'a str, change: &'a FactorChange) -> UsersFuture<'a, bool> {
        const CHANGE: &str = "UPDATE factors SET
            data = ?3, last_used_ms = coalesce(?4, last_used_ms), version = version + 1
            WHERE id = ?1 AND version = ?2";
        let (id, change) = (id.to_owned(), change.clone());
        Box::pin(self.run("change a second factor", move |connection| {
            let changed = connection.execute(
                CHANGE,
                params![id, change.only_if, change.data, change.used_ms],
            )?;
            Ok(changed > 0)
        }))
    }

    fn remove_factor<'a>(&'a self, user: &'a UserId, id: &'a str) -> UsersFuture<'a, bool> {
        const REMOVE: &str = "DELETE FROM factors WHERE user_id = ?1 AND id = ?2";
        let (user, id) = (user.clone(), id.to_owned());
        Box::pin(self.run("remove a second factor", move |connection| {
            let removed = connection.execute(REMOVE, params![user.as_str(), id])?;
            Ok(removed > 0)
        }))
    }

    fn factors_unlike<'a>(
        &'a self,
        kind: &'a str,
        beginning: &'a str,
        after: &'a str,
    ) -> UsersFuture<'a, Vec<StoredFactor>> {
        let (kind, beginning, after) = (kind.to_owned(), beginning.to_owned(), after.to_owned());
        Box::pin(self.run("list second factors", move |connection| {
            connection
                .prepare_cached(&select(
                    "WHERE kind = ?1 AND id > ?3 AND substr(data, 1, length(?2)) <> ?2 ORDER BY id LIMIT ?4",
                ))?
                .query_map(params![kind, beginning, after, PAGE], read)?
                .collect()
        }))
    }
}

fn select(rest: &str) -> String {
    format!(
        "SELECT id, user_id, kind, name, data, version, created_ms, last_used_ms FROM factors {rest}"
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredFactor> {
    Ok(StoredFactor {
        id: row.get("id")?,
        user: UserId::stored(row.get("user_id")?),
        kind: row.get("kind")?,
        name: row.get("name")?,
        data: row.get("data")?,
        version: row.get("version")?,
        created_ms: row.get("created_ms")?,
        last_used_ms: row.get("last_used_ms")?,
    })
}
