//! Users in PostgreSQL, for every server that names the same database. A step is one statement and one round trip, and ends
//! within the store's time-out, whatever the database does (J7).

mod factors;

use jackline::postgres::{
    Failure, Link, PostgresOpenError, PostgresOptions, PostgresUrl, Schema, Tables,
};
use tokio_postgres::{Client, Row, Statement};

use self::factors::FactorStatements;
use super::table::{By, Change, Search, StoredUser, UserTable, UsersFuture};
use super::{UserId, Username, UsersError, unavailable};
use crate::passwords::PhcHash;

/// The schema that holds the table. Not the sessions': whoever may read those need not see hashes of passwords.
const SCHEMA: &str = "jackline_users";

/// Logins are few beside requests.
const CONNECTIONS: usize = 2;

/// The users' table in a database.
#[derive(Debug)]
pub struct PostgresUsers {
    link: Link<UsersTable>,
}

impl PostgresUsers {
    /// Connects, and makes or upgrades the table.
    ///
    /// # Errors
    ///
    /// If the server cannot be used. The message says what to do and holds no password.
    pub async fn connect(
        url: &PostgresUrl,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let options = options.schema(SCHEMA).connections(CONNECTIONS);
        let link = Link::open(url, &options).await?;
        Ok(Self { link })
    }
}

/// The statements of one connection.
struct UsersTable {
    by_id: Statement,
    by_name: Statement,
    all: Statement,
    search: Statement,
    insert: Statement,
    change: Statement,
    remove_demo: Statement,
    factors: FactorStatements,
}

impl Tables for UsersTable {
    const NAMES: &'static [&'static str] = &["users", "factors"];
    const MIGRATIONS: &'static [&'static str] = &[
        include_str!("postgres/migrations/0001_users.sql"),
        include_str!("postgres/migrations/0002_factors.sql"),
    ];

    async fn prepare(client: &Client, schema: &Schema) -> Result<Self, tokio_postgres::Error> {
        let prepare = async |sql: &str| client.prepare(&schema.put_into(sql)).await;
        let select = async |rest: &str| {
            let columns = "id, username, password_hash, role, disabled, demo, created_ms, password_changed_ms";
            prepare(&format!("SELECT {columns} FROM jackline.users {rest}")).await
        };
        let (by_id, by_name, all, search, insert, change, remove_demo, factors) = tokio::try_join!(
            select("WHERE id = $1"),
            select("WHERE username_key = $1"),
            select("ORDER BY username_key"),
            select(
                "WHERE username_key >= $1 AND username_key < $2 AND username_key > $3 \
                 ORDER BY username_key LIMIT $4"
            ),
            prepare(
                "INSERT INTO jackline.users \
                 (id, username, username_key, password_hash, role, disabled, demo, created_ms, password_changed_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING true"
            ),
            prepare(
                "UPDATE jackline.users SET \
                 password_hash = coalesce($2, password_hash), \
                 password_changed_ms = coalesce($3, password_changed_ms), \
                 demo = demo AND $3 IS NULL, \
                 disabled = coalesce($4, disabled) \
                 WHERE id = $1 AND ($5::text IS NULL OR password_hash = $5) RETURNING true"
            ),
            prepare("DELETE FROM jackline.users WHERE demo RETURNING id"),
            FactorStatements::prepare(client, schema),
        )?;
        Ok(Self {
            by_id,
            by_name,
            all,
            search,
            insert,
            change,
            remove_demo,
            factors,
        })
    }
}

impl UserTable for PostgresUsers {
    fn find<'a>(&'a self, by: By<'a>) -> UsersFuture<'a, Option<StoredUser>> {
        Box::pin(async move {
            let found = match by {
                By::Id(id) => self.link.ask(|table| &table.by_id, &[&id]).await,
                By::NameKey(key) => self.link.ask(|table| &table.by_name, &[&key]).await,
            };
            let rows = found.map_err(because("look up a user"))?;
            rows.first().map(read).transpose()
        })
    }

    fn all(&self) -> UsersFuture<'_, Vec<StoredUser>> {
        Box::pin(async {
            let rows = self.link.ask(|table| &table.all, &[]).await;
            let rows = rows.map_err(because("list users"))?;
            rows.iter().map(read).collect()
        })
    }

    fn search<'a>(&'a self, search: &'a Search) -> UsersFuture<'a, Vec<StoredUser>> {
        Box::pin(async move {
            let (end, limit) = (search.end(), i64::from(search.limit));
            let rows = self
                .link
                .ask(
                    |table| &table.search,
                    &[&search.begins, &end, &search.after, &limit],
                )
                .await;
            let rows = rows.map_err(because("search users"))?;
            rows.iter().map(read).collect()
        })
    }

    fn insert<'a>(&'a self, user: &'a StoredUser) -> UsersFuture<'a, bool> {
        Box::pin(async move {
            let inserted = self
                .link
                .ask(
                    |table| &table.insert,
                    &[
                        &user.id.as_str(),
                        &user.username.as_str(),
                        &user.username.key(),
                        &user.hash,
                        &user.role,
                        &user.disabled,
                        &user.demo,
                        &user.created_ms,
                        &user.password_changed_ms,
                    ],
                )
                .await;
            Ok(!inserted.map_err(because("add a user"))?.is_empty())
        })
    }

    fn change<'a>(&'a self, id: &'a UserId, change: &'a Change) -> UsersFuture<'a, bool> {
        Box::pin(async move {
            let changed = self
                .link
                .ask(
                    |table| &table.change,
                    &[
                        &id.as_str(),
                        &change.hash.as_ref().map(PhcHash::expose),
                        &change.password_changed_ms,
                        &change.disabled,
                        &change.only_if.as_ref().map(PhcHash::expose),
                    ],
                )
                .await;
            Ok(!changed.map_err(because("change a user"))?.is_empty())
        })
    }

    fn remove_demo(&self) -> UsersFuture<'_, Option<UserId>> {
        Box::pin(async {
            let removed = self.link.ask(|table| &table.remove_demo, &[]).await;
            let removed = removed.map_err(because("remove the demo user"))?;
            let id = removed.first().map(|row| column(row, "id")).transpose()?;
            Ok(id.map(UserId::stored))
        })
    }
}

fn because(operation: &'static str) -> impl FnOnce(Failure) -> UsersError {
    move |failure| unavailable(operation, failure)
}

fn read(row: &Row) -> Result<StoredUser, UsersError> {
    Ok(StoredUser {
        id: UserId::stored(column(row, "id")?),
        username: Username::stored(column(row, "username")?),
        hash: column(row, "password_hash")?,
        role: column(row, "role")?,
        disabled: column(row, "disabled")?,
        demo: column(row, "demo")?,
        created_ms: column(row, "created_ms")?,
        password_changed_ms: column(row, "password_changed_ms")?,
    })
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: &'static str,
) -> Result<T, UsersError> {
    row.try_get(column)
        .map_err(|_| UsersError::Corrupt { column })
}
