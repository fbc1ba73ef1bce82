//! Second factors in the users' database.

use jackline::postgres::Schema;
use tokio_postgres::{Client, Row, Statement};

use super::{PostgresUsers, because, column};
use crate::users::factors::{FactorChange, FactorTable, PAGE, StoredFactor};
use crate::users::table::UsersFuture;
use crate::users::{UserId, UsersError};

/// The statements of one connection.
pub(super) struct FactorStatements {
    of: Statement,
    find: Statement,
    insert: Statement,
    change: Statement,
    remove: Statement,
    unlike: Statement,
}

impl FactorStatements {
    pub(super) async fn prepare(
        client: &Client,
        schema: &Schema,
    ) -> Result<Self, tokio_postgres::Error> {
        let prepare = async |sql: &str| client.prepare(&schema.put_into(sql)).await;
        let select = async |rest: &str| {
            let columns = "id, user_id, kind, name, data, version, created_ms, last_used_ms";
            prepare(&format!("SELECT {columns} FROM jackline.factors {rest}")).await
        };
        let (of, find, insert, change, remove, unlike) = tokio::try_join!(
            select("WHERE user_id = $1 ORDER BY created_ms, id"),
            select("WHERE id = $1"),
            prepare(
                // A user who is gone has no factors: from the table and not from what the caller believes.
                "INSERT INTO jackline.factors \
                 (id, user_id, kind, name, data, version, created_ms, last_used_ms) \
                 SELECT $1, id, $3, $4, $5, $6::bigint, $7::bigint, $8::bigint FROM jackline.users WHERE id = $2 \
                 ON CONFLICT DO NOTHING RETURNING true"
            ),
            prepare(
                "UPDATE jackline.factors SET \
                 data = $3, last_used_ms = coalesce($4, last_used_ms), version = version + 1 \
                 WHERE id = $1 AND version = $2 RETURNING true"
            ),
            prepare("DELETE FROM jackline.factors WHERE user_id = $1 AND id = $2 RETURNING true"),
            select(
                "WHERE kind = $1 AND id > $3 AND NOT starts_with(data, $2) ORDER BY id LIMIT $4"
            ),
        )?;
        Ok(Self {
            of,
            find,
            insert,
            change,
            remove,
            unlike,
        })
    }
}

impl FactorTable for PostgresUsers {
    fn factors_of<'a>(&'a self, user: &'a UserId) -> UsersFuture<'a, Vec<StoredFactor>> {
        Box::pin(async move {
            let rows = self
                .link
                .ask(|table| &table.factors.of, &[&user.as_str()])
                .await;
            let rows = rows.map_err(because("list second factors"))?;
            rows.iter().map(read).collect()
        })
    }

    fn find_factor<'a>(&'a self, id: &'a str) -> UsersFuture<'a, Option<StoredFactor>> {
        Box::pin(async move {
            let rows = self.link.ask(|table| &table.factors.find, &[&id]).await;
            let rows = rows.map_err(because("look up a second factor"))?;
            rows.first().map(read).transpose()
        })
    }

    fn insert_factor<'a>(&'a self, factor: &'a StoredFactor) -> UsersFuture<'a, bool> {
        Box::pin(async move {
            let inserted = self
                .link
                .ask(
                    |table| &table.factors.insert,
                    &[
                        &factor.id,
                        &factor.user.as_str(),
                        &factor.kind,
                        &factor.name,
                        &factor.data,
                        &factor.version,
                        &factor.created_ms,
                        &factor.last_used_ms,
                    ],
                )
                .await;
            Ok(!inserted.map_err(because("add a second factor"))?.is_empty())
        })
    }

    fn change_factor<'a>(&'a self, id: &'a str, change: &'a FactorChange) -> UsersFuture<'a, bool> {
        Box::pin(async move {
            let changed = self
                .link
                .ask(
                    |table| &table.factors.change,
                    &[&id, &change.only_if, &change.data, &change.used_ms],
                )
                .await;
            Ok(!changed
                .map_err(because("change a second factor"))?
                .is_empty())
        })
    }

    fn remove_factor<'a>(&'a self, user: &'a UserId, id: &'a str) -> UsersFuture<'a, bool> {
        Box::pin(async move {
            let removed = self
                .link
                .ask(|table| &table.factors.remove, &[&user.as_str(), &id])
                .await;
            Ok(!removed
                .map_err(because("remove a second factor"))?
                .is_empty())
        })
    }

    fn factors_unlike<'a>(
        &'a self,
        kind: &'a str,
        beginning: &'a str,
        after: &'a str,
    ) -> UsersFuture<'a, Vec<StoredFactor>> {
        Box::pin(async move {
            let rows = self
                .link
                .ask(
                    |table| &table.factors.unlike,
                    &[&kind, &beginning, &after, &PAGE],
                )
                .await;
            let rows = rows.map_err(because("list second factors"))?;
            rows.iter().map(read).collect()
        })
    }
}

fn read(row: &Row) -> Result<StoredFactor, UsersError> {
    Ok(StoredFactor {
        id: column(row, "id")?,
        user: UserId::stored(column(row, "user_id")?),
        kind: column(row, "kind")?,
        name: column(row, "name")?,
        data: column(row, "data")?,
        version: column(row, "version")?,
        created_ms: column(row, "created_ms")?,
        last_used_ms: column(row, "last_used_ms")?,
    })
}
