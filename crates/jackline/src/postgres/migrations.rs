//! How tables change from version to version. Any number of programs may start at once on one database: an advisory lock lets
//! one at a time look and change, and all of a change is one transaction, so that nobody meets half of it.

use tokio_postgres::{Client, Error, GenericClient};

use super::tables::{Schema, Tables};

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
pub(super) async fn run<T: Tables>(client: &mut Client, schema: &Schema) -> Result<(), Blocked> {
    let newest = i32::try_from(T::MIGRATIONS.len()).expect("a handful of files");
    if version(client, schema).await? == newest {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // The connection's own time-outs are those of a request; a dozen programs that start at once wait here in turn.
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
        make_room::<T>(&transaction, schema).await?;
    }
    let enter = schema.put_into("INSERT INTO jackline.jackline_migrations (version) VALUES ($1)");
    for (version, sql) in (1..)
        .zip(T::MIGRATIONS)
        .filter(|(version, _)| *version > found)
    {
        transaction.batch_execute(&schema.put_into(sql)).await?;
        transaction.execute(&enter, &[&version]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Makes the schema and the ledger of its versions.
async fn make_room<T: Tables>(client: &impl GenericClient, schema: &Schema) -> Result<(), Blocked> {
    // `IF NOT EXISTS` would ask for the right to make schemas even where there is nothing to make.
    if !is_there(client, NAMESPACE, schema).await? {
        let create = schema.put_into("CREATE SCHEMA jackline.");
        client.batch_execute(create.trim_end_matches('.')).await?;
    }
    let foreign = client
        .query_opt(FOREIGN, &[&schema.name(), &T::NAMES])
        .await?;
    if foreign.is_some() {
        return Err(Blocked::Foreign);
    }
    let ledger = schema.put_into(
        "CREATE TABLE jackline.jackline_migrations \
         (version integer NOT NULL PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
    );
    client.batch_execute(&ledger).await?;
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

const NAMESPACE: &str = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1";

const LEDGER: &str = "SELECT FROM pg_catalog.pg_tables \
    WHERE schemaname = $1 AND tablename = 'jackline_migrations'";

const FOREIGN: &str = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND c.relname = ANY ($2) LIMIT 1";
