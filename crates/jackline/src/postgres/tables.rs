//! Tables as a user of them describes them, and the schema that they lie in.

use tokio_postgres::{Client, Error};

/// Tables: how they are made, and the statements on them, which every connection prepares once.
///
/// SQL says `jackline.` where it means the schema; [`Schema::put_into`] writes its real name there.
pub trait Tables: Sized + Send + Sync + 'static {
    /// Their names. A schema that has one of them, and was not made by these migrations, is left alone.
    const NAMES: &'static [&'static str];

    /// How they change from version to version; the first makes them. What was released never changes.
    const MIGRATIONS: &'static [&'static str];

    /// Prepares the statements, at best all at once.
    fn prepare(
        client: &Client,
        schema: &Schema,
    ) -> impl Future<Output = Result<Self, Error>> + Send;
}

/// The schema that holds the tables.
#[derive(Clone, Debug)]
pub struct Schema(String);

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
    #[must_use]
    pub fn put_into(&self, sql: &str) -> String {
        // Quoted, since a plain identifier may still be a word of SQL's own.
        sql.replace("jackline.", &format!("\"{}\".", self.0))
    }
}
