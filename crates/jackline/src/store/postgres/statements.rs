//! The statements that a connection prepares once. Each is a whole step of the contract.

use tokio_postgres::{Client, Error, Statement};

/// The statements of one connection.
pub(super) struct Statements {
    pub(super) create: Statement,
    pub(super) load: Statement,
    pub(super) change: Statement,
    pub(super) admit: Statement,
    pub(super) end: Statement,
    pub(super) epoch: Statement,
    pub(super) list: Statement,
    pub(super) end_all: Statement,
    pub(super) reclaim: Statement,
}

impl Statements {
    /// Prepares all of them, in one round trip.
    pub(super) async fn prepare(client: &Client, schema: &Schema) -> Result<Self, Error> {
        // A server that acknowledges before it has written would break J8. Stricter values than `on` stay as they are.
        const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
            WHERE current_setting('synchronous_commit') = 'off'";
        let texts = [
            "SELECT jackline.insert_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            "SELECT * FROM jackline.load($1, $2, $3)",
            "SELECT * FROM jackline.change($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            "SELECT * FROM jackline.admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            "DELETE FROM jackline.sessions WHERE key = $1 RETURNING true",
            "SELECT epoch FROM jackline.owners WHERE owner = $1",
            "SELECT key, seen, idle, ends, version, meta, member_names, member_values FROM jackline.sessions \
             WHERE owner = $1 AND idle_deadline > $2 AND (started, key) < ($3, $4) \
             ORDER BY started DESC, key DESC LIMIT $5",
            "SELECT jackline.end_all($1, $2, $3)",
            "SELECT jackline.reclaim($1, $2, $3)",
        ]
        .map(|text| schema.put_into(text));
        let [
            create,
            load,
            change,
            admit,
            end,
            epoch,
            list,
            end_all,
            reclaim,
        ] = texts.each_ref().map(|text| client.prepare(text));
        let (create, load, change, admit, end, epoch, list, end_all, reclaim, ()) = tokio::try_join!(
            create,
            load,
            change,
            admit,
            end,
            epoch,
            list,
            end_all,
            reclaim,
            client.batch_execute(DURABLE),
        )?;
        Ok(Self {
            create,
            load,
            change,
            admit,
            end,
            epoch,
            list,
            end_all,
            reclaim,
        })
    }
}

/// The schema that holds the tables.
#[derive(Clone, Debug)]
pub(super) struct Schema(String);

impl Schema {
    /// Takes a name; `None` if it is not a plain identifier.
    pub(super) fn new(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let fits = (1..=63).contains(&name.len())
            && name.bytes().all(plain)
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.starts_with("pg_");
        fits.then(|| Self(name.to_owned()))
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// SQL that speaks of this schema where `sql` says `jackline.`.
    pub(super) fn put_into(&self, sql: &str) -> String {
        // Quoted, since a plain identifier may still be a word of SQL's own.
        sql.replace("jackline.", &format!("\"{}\".", self.0))
    }
}
