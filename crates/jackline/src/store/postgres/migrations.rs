//! The tables and how they change from version to version. Any number of stores may start at once on one database: an
//! advisory lock lets one at a time look and change, and all of a change is one transaction, so that nobody meets half of it.

use tokio_postgres::{Client, Error, GenericClient};

use super::statements::Schema;

/// In order. A file that was released never changes; what changes is a new one.
const MIGRATIONS: &[(i32, &str)] = &[(1, include_str!("migrations/0001_sessions.sql"))];

/// `JLS1`, as in the SQLite file: keeps other programs' advisory locks apart from this one.
const LOCK: i64 = 0x4a4c_5331;

/// What stood in the way.
pub(super) enum Blocked {
    /// A later version was here.
    TooNew(i32),
    /// The schema has tables of something else.
    Foreign,
    Failed(Error),
}

impl From<Error> for Blocked {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Brings the tables up to date. Writes nothing if they are, so that a user who may not make tables can start.
pub(super) async fn run(client: &mut Client, schema: &Schema) -> Result<(), Blocked> {
    let newest = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    if version(client, schema).await? == newest {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // The connection's own time-outs are those of a request; a dozen stores that start at once wait here in turn.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'")
        .await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    let found = version(&transaction, schema).await?;
    if found > newest {
        return Err(Blocked::TooNew(found));
    }
    if found == 0 {
        // `IF NOT EXISTS` would ask for the right to make schemas even where there is nothing to make.
        if !is_there(
            &transaction,
            "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1",
            schema,
        )
        .await?
        {
            let create = schema.put_into("CREATE SCHEMA jackline.");
            transaction
                .batch_execute(create.trim_end_matches('.'))
                .await?;
        }
        if is_there(&transaction, FOREIGN, schema).await? {
            return Err(Blocked::Foreign);
        }
        let ledger = schema.put_into(
            "CREATE TABLE jackline.jackline_migrations \
             (version integer NOT NULL PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        );
        transaction.batch_execute(&ledger).await?;
    }
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        transaction.batch_execute(&schema.put_into(sql)).await?;
        let enter =
            schema.put_into("INSERT INTO jackline.jackline_migrations (version) VALUES ($1)");
        transaction.execute(&enter, &[version]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The version of the tables; zero if there are none.
async fn version(client: &impl GenericClient, schema: &Schema) -> Result<i32, Error> {
    if !is_there(client, LEDGER, schema).await? {
        return Ok(0);
    }
    let newest =
        schema.put_into("SELECT coalesce(max(version), 0) FROM jackline.jackline_migrations");
    client.query_one(&newest, &[]).await?.try_get(0)
}

/// Whether a query on the catalogue finds something. Deliberately not `to_regclass` and its like: they answer from a cache that
/// need not know yet what the holder of the lock before has made.
async fn is_there(
    client: &impl GenericClient,
    query: &str,
    schema: &Schema,
) -> Result<bool, Error> {
    Ok(client.query_opt(query, &[&schema.name()]).await?.is_some())
}

const LEDGER: &str = "SELECT FROM pg_catalog.pg_tables \
    WHERE schemaname = $1 AND tablename = 'jackline_migrations'";

const FOREIGN: &str = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND c.relname IN ('sessions', 'owners') LIMIT 1";
