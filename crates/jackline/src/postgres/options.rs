//! How programs talk to PostgreSQL: how many connections, and how long anything may take.

use std::time::Duration;

use super::error::PostgresOpenError;
use super::tables::Schema;

/// How a [`PostgresStore`](crate::store::postgres::PostgresStore) or a [`Link`](super::Link) talks to PostgreSQL.
///
/// ```
/// use std::time::Duration;
/// use jackline::postgres::PostgresOptions;
///
/// let options = PostgresOptions::default()
///     .schema("shop_sessions")
///     .response_timeout(Duration::from_millis(250));
/// ```
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    pub(super) schema: String,
    pub(super) connections: usize,
    pub(super) response_timeout: Duration,
    pub(super) connection_timeout: Duration,
}

impl Default for PostgresOptions {
    /// The schema `jackline`, four connections, and 450 ms for each time-out: a little less than the engine's own, so that it
    /// is the store that notices a dead connection, and replaces it.
    fn default() -> Self {
        Self {
            schema: "jackline".to_owned(),
            connections: 4,
            response_timeout: Duration::from_millis(450),
            connection_timeout: Duration::from_millis(450),
        }
    }
}

impl PostgresOptions {
    /// The schema that holds the tables. Default: `jackline`. It is made if it is not there. Nothing else may be in it;
    /// applications that share a database need one each.
    ///
    /// Up to 63 lower-case letters, digits and underscores, beginning neither with a digit nor with `pg_`.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// How many connections the store keeps. Default: 4. Each carries one statement at a time and writes wait for the disk, so
    /// this is how many writes are under way at once: four make some thousand a second on an ordinary disk.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long any call may take, reconnecting included. Default: 450 ms; keep it below the engine's time-out. When it has
    /// passed, the call fails with [`StoreError::Unavailable`](crate::store::StoreError::Unavailable). The server gives up
    /// waiting for a lock after two thirds of it, and on a statement a little after it, so that nothing piles up there.
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How long an attempt to connect to one host may take, authentication included. Default: 450 ms. After an outage,
    /// service resumes within this time plus one second.
    #[must_use]
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }

    /// The schema, once everything else will do too.
    pub(super) fn checked(&self) -> Result<Schema, PostgresOpenError> {
        let schema = Schema::new(&self.schema).ok_or(PostgresOpenError::Schema)?;
        if !(1..=1000).contains(&self.connections) {
            return Err(PostgresOpenError::Connections);
        }
        let sensible = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        if !sensible.contains(&self.response_timeout)
            || !sensible.contains(&self.connection_timeout)
        {
            return Err(PostgresOpenError::Timeout);
        }
        Ok(schema)
    }
}
