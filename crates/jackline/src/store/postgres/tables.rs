//! The tables of sessions, and the statements on them. Each statement is a whole step of the contract.

use tokio_postgres::{Client, Error, Statement};

use crate::postgres::{Schema, Tables};

/// The statements of one connection.
pub(super) struct Sessions {
    pub(super) create: Statement,
    pub(super) load: Statement,
    pub(super) change: Statement,
    pub(super) admit: Statement,
    pub(super) end: Statement,
    pub(super) note: Statement,
    pub(super) epoch: Statement,
    pub(super) list: Statement,
    pub(super) end_all: Statement,
    #[cfg_attr(
        not(feature = "near-cache"),
        expect(dead_code, reason = "nobody hears without a near-cache")
    )]
    pub(super) announcing: Announcing,
    pub(super) reclaim: Statement,
    pub(super) probe: Statement,
    pub(super) ping: Statement,
}

/// The statements of those who hear of changes.
#[cfg_attr(
    not(feature = "near-cache"),
    expect(dead_code, reason = "nobody hears without a near-cache")
)]
pub(super) struct Announcing {
    pub(super) listen: Statement,
    pub(super) mark: Statement,
    pub(super) renew: Statement,
}

impl Tables for Sessions {
    const NAMES: &'static [&'static str] = &["sessions", "owners", "traces", "listeners"];
    const MIGRATIONS: &'static [&'static str] = &[include_str!("migrations/0001_sessions.sql")];

    /// All of them, in one round trip.
    async fn prepare(client: &Client, schema: &Schema) -> Result<Self, Error> {
        let prepare = async |sql| client.prepare(&schema.put_into(sql)).await;
        let announcing = async {
            let (listen, mark, renew) = tokio::try_join!(
                prepare("SELECT jackline.listen($1, $2)"),
                prepare("SELECT jackline.mark($1, $2)"),
                prepare("UPDATE jackline.listeners SET renewed = $2 WHERE id = $1"),
            )?;
            Ok(Announcing {
                listen,
                mark,
                renew,
            })
        };
        let (
            create,
            load,
            change,
            admit,
            end,
            note,
            epoch,
            list,
            end_all,
            announcing,
            reclaim,
            probe,
            ping,
        ) = tokio::try_join!(
            prepare("SELECT jackline.insert_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
            prepare("SELECT * FROM jackline.load($1, $2, $3, $4)"),
            prepare(
                "CALL jackline.announce_change($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL, NULL)"
            ),
            prepare(
                "CALL jackline.announce_admission($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
                 $16, $17, $18, $19, $20, $21, $22, $23, NULL, NULL)"
            ),
            prepare("CALL jackline.announce_end($1, $2, $3, $4, NULL)"),
            prepare("SELECT jackline.note($1, $2, $3, $4)"),
            prepare("SELECT epoch FROM jackline.owners WHERE owner = $1"),
            prepare(
                "SELECT key, seen, idle, ends, version, meta, member_names, member_values FROM jackline.sessions \
                 WHERE owner = $1 AND idle_deadline > $2 AND (started, key) < ($3, $4) \
                 ORDER BY started DESC, key DESC LIMIT $5"
            ),
            prepare("CALL jackline.announce_end_all($1, $2, $3, $4, NULL)"),
            announcing,
            prepare("SELECT jackline.reclaim($1, $2, $3)"),
            prepare("SELECT jackline.probe()"),
            // Ends a session that cannot be: the server refuses that when it takes no writes, and otherwise does nothing.
            prepare("SELECT jackline.end_session('', NULL, 0, NULL)"),
        )?;
        Ok(Self {
            create,
            load,
            change,
            admit,
            end,
            note,
            epoch,
            list,
            end_all,
            announcing,
            reclaim,
            probe,
            ping,
        })
    }
}
