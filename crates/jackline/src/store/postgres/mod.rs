//! Sessions in PostgreSQL. Every step of the contract is one statement, prepared once per connection, and so one round trip
//! and one transaction: it happens whole or not at all, and an answer means that it is committed (J8). Deltas are applied by
//! a function inside the server under the row's lock, so nothing is read here to be written back there (J3). Every answer
//! arrives within the response time-out, or is [`StoreError::Unavailable`] (J7).
//!
//! # Deployment
//!
//! - **Version:** PostgreSQL 15 or later, with a database in UTF-8. The store makes a schema of its own, `jackline`, with
//!   four tables, and upgrades it when a later version of Jackline starts; for that the user needs `CREATE` on the database. To
//!   run as a user with fewer rights, start once as a user who has them; then `USAGE` on the schema and `SELECT, INSERT,
//!   UPDATE, DELETE` on its tables will do.
//! - **Durability:** an acknowledged step survives a crash of the server as far as its configuration makes it, and with
//!   `fsync=on`, the default, it does. Where `synchronous_commit` is `off`, the store turns it on for its own connections;
//!   other values stay. A standby that takes over without synchronous replication may lack what was acknowledged last.
//! - **Connections:** four for each store unless [`PostgresOptions::connections`] says otherwise; ten web servers take 40 of
//!   the 100 that PostgreSQL allows by default. Between the store and the server stands no pooler, or one that gives each
//!   client a connection of its own (PgBouncer with `pool_mode=session` and `ignore_startup_parameters=options`).
//! - **TLS:** with another machine, unless the address says otherwise ([`PostgresUrl`]).
//! - **Fail-over:** name all hosts, `postgres://a,b/app?target_session_attrs=read-write`.
//! - **Clocks:** limits are measured with the clocks of the web servers. The server's own decides nothing.
//! - **Near-cache:** with [`PostgresStore::announcing`] each change is announced (`NOTIFY`) before it is made, to whoever has a
//!   near-cache and as long as anybody has one. That takes a transaction more, which does not wait for the disk; with many writers
//!   at once it shows, since PostgreSQL commits one announcement at a time. What is changed by hand is not announced: say
//!   `NOTIFY jackline` (the name of the schema) afterwards. A program that listens in the same cluster and leaves a transaction
//!   open for days fills the queue of announcements, and then nothing is written any more (`pg_notification_queue_usage()`).
//! - **Space:** [`reclaim`](Store::reclaim) removes a record within five minutes after its idle limit has run out, and at most
//!   a sixth of that limit late.

#[cfg_attr(not(feature = "near-cache"), path = "unannounced.rs")]
mod announce;
mod row;
mod tables;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::announce::Announcer;
use self::row::{Changes, Columns, key_bytes, key_from};
use self::tables::Sessions;
use super::doubt::Doubt;
use super::{
    Admission, Admitted, Committed, CorruptRecord, Cursor, Durability, EPOCH_KEPT, Ended, Epoch,
    Listed, Loaded, Page, Store, StoreError, StoreFuture, Trace,
};
use crate::lifecycle::{Delta, DeltaError, OwnerId, Record, SessionCap, UnixMs};
use crate::postgres::{Failure, Link};
use crate::token::{Bucket, SessionKey};

pub use crate::postgres::{PostgresOpenError, PostgresOptions, PostgresUrl};

/// Classes of errors after which a write that needs no room proves nothing: resources, the system, and what it names no better.
const OUT_OF_ROOM: [&str; 3] = ["53", "58", "XX"];

/// Sessions in PostgreSQL.
pub struct PostgresStore {
    link: Arc<Link<Sessions>>,
    doubt: Doubt,
    announcer: Option<Announcer>,
}

impl PostgresStore {
    /// Opens the store, makes or upgrades its tables, and checks that the server will do.
    ///
    /// The store keeps a few connections and restores them by itself.
    /// Any number of stores may open one database at once. Call this on the Tokio runtime that will serve the requests.
    ///
    /// ```no_run
    /// use jackline::store::postgres::{PostgresOptions, PostgresStore};
    ///
    /// # async fn example() -> Result<(), jackline::store::postgres::PostgresOpenError> {
    /// let url = "postgres://jackline:password@127.0.0.1/app".parse()?;
    /// let store = PostgresStore::connect(&url, PostgresOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If an option will not do, or the server cannot be used. The message says what to do and holds no password.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn connect(
        url: &PostgresUrl,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let link = Link::open(url, &options).await?;
        Ok(Self {
            link: Arc::new(link),
            doubt: Doubt::default(),
            announcer: None,
        })
    }

    /// As [`connect`](Self::connect), and announces what everybody changes, for a [near-cache](super::near). It takes one connection
    /// more, on which the store listens.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and if what is announced does not arrive.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[cfg(feature = "near-cache")]
    pub async fn announcing(
        url: &PostgresUrl,
        options: PostgresOptions,
        announcements: &super::near::Announcements,
    ) -> Result<Self, PostgresOpenError> {
        let store = Self::connect(url, options).await?;
        let announcer = Announcer::open(&store.link, announcements.clone()).await;
        let announcer = announcer.map_err(|failure| PostgresOpenError::NoAnnouncements {
            at: url.address(),
            source: Box::new(failure),
        })?;
        Ok(Self {
            announcer: Some(announcer),
            ..store
        })
    }

    /// How many statements were sent since the store was opened. Each is one round trip.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.link.sent()
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<(), StoreError> {
        let key = key_bytes(key);
        let columns = Columns::of(record);
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&key];
        params.extend(columns.params());
        self.ask(|s| &s.create, &params).await?;
        Ok(())
    }

    async fn load(
        &self,
        key: &SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> Result<Loaded, StoreError> {
        // Rounded up: a time in whole milliseconds reaches `step` when it reaches this.
        let step = i64::try_from(step.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        let params: [&(dyn ToSql + Sync); 4] = [
            &key_bytes(key),
            &step,
            &row::millis(now),
            &self.announcer.is_some(),
        ];
        let row = self.one(|s| &s.load, &params).await?;
        if let Some(announcer) = &self.announcer
            && row::get::<Option<bool>>(&row, 8)? != Some(true)
        {
            announcer.overtaken(key);
        }
        let record = || row::record(&row, 1).map(Box::new);
        match row::get(&row, 0)? {
            "absent" => Ok(Loaded::Absent),
            "expired" => Ok(Loaded::Expired(record()?)),
            "live" => Ok(Loaded::Live {
                record: record()?,
                renewed: false,
            }),
            "renewed" => Ok(Loaded::Live {
                record: record()?,
                renewed: true,
            }),
            left => Ok(Loaded::Trace(trace(left)?)),
        }
    }

    /// Applies a delta, and moves the session to `new`, which may be the key that it has.
    async fn change(
        &self,
        key: &SessionKey,
        new: &SessionKey,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        let (key, new) = (key_bytes(key), key_bytes(new));
        let (now, until) = (row::millis(now), row::millis(Trace::Replaced.until(now)));
        let meta = delta.meta().map(super::codec::meta::encode);
        let changes = Changes::of(delta);
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&key, &new, &now, &until, &meta];
        params.extend(changes.params());
        let row = self.one(|s| &s.change, &params).await?;
        match row::get(&row, 0)? {
            "applied" => Ok(Committed::Applied {
                counters: row::get(&row, 1)?,
            }),
            "gone" => Ok(Committed::Gone),
            answer => Err(refusal(answer)),
        }
    }

    async fn admit(&self, admission: &Admission<'_>, now: UnixMs) -> Result<Admitted, StoreError> {
        let key = key_bytes(admission.key);
        let mut columns = Columns::of(admission.record);
        columns.owner = Some(admission.owner.as_str());
        let (at_cap, cap) = match admission.cap {
            SessionCap::PruneOldest(cap) => ("prune", i64::from(cap)),
            SessionCap::RefuseNewest(cap) => ("refuse", i64::from(cap)),
            SessionCap::Unlimited => ("allow", 0),
        };
        let replaced = admission.replaces.as_ref();
        let carried = replaced.and_then(|replaced| replaced.carry);
        let replaced = replaced.map(|replaced| key_bytes(replaced.key));
        let until = row::millis(Trace::Replaced.until(now));
        let (now, epoch) = (row::millis(now), row::integer(admission.epoch.0));
        let carry = carried.is_some();
        let changes = carried.map(Changes::of).unwrap_or_default();
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&key];
        params.extend(columns.params());
        params.extend([
            &now as &(dyn ToSql + Sync),
            &epoch,
            &at_cap,
            &cap,
            &replaced,
            &until,
            &carry,
        ]);
        params.extend(changes.params());
        let row = self.one(|s| &s.admit, &params).await?;
        match row::get(&row, 0)? {
            "done" => {
                let pruned: Vec<&[u8]> = row::get(&row, 1)?;
                let pruned: Result<_, _> = pruned.into_iter().map(key_from).collect();
                Ok(Admitted::Done { pruned: pruned? })
            }
            "revoked" => Ok(Admitted::Revoked),
            "at cap" => Ok(Admitted::AtCap),
            answer => Err(refusal(answer)),
        }
    }

    async fn end(
        &self,
        key: &SessionKey,
        left: Option<Trace>,
        now: UnixMs,
    ) -> Result<Ended, StoreError> {
        let params: [&(dyn ToSql + Sync); 4] = [
            &key_bytes(key),
            &left.map(|left| i16::from(left.weight())),
            &row::millis(now),
            &left.map(|left| row::millis(left.until(now))),
        ];
        let row = self.one(|s| &s.end, &params).await?;
        match row::get(&row, 0)? {
            "removed" => Ok(Ended::Removed),
            "absent" => Ok(Ended::Absent),
            left => Ok(Ended::Trace(trace(left)?)),
        }
    }

    async fn note(&self, key: &SessionKey, trace: Trace, now: UnixMs) -> Result<Trace, StoreError> {
        let params: [&(dyn ToSql + Sync); 4] = [
            &key_bytes(key),
            &i16::from(trace.weight()),
            &row::millis(now),
            &row::millis(trace.until(now)),
        ];
        let row = self.one(|s| &s.note, &params).await?;
        let weight: i16 = row::get(&row, 0)?;
        Ok(Trace::of_weight(u8::try_from(weight).unwrap_or(0))?)
    }

    async fn epoch(&self, owner: &OwnerId) -> Result<Epoch, StoreError> {
        let rows = self.ask(|s| &s.epoch, &[&owner.as_str()]).await?;
        rows.first()
            .map_or(Ok(Epoch::default()), |row| row::number(row, 0).map(Epoch))
    }

    async fn list(&self, owner: &OwnerId, page: Page, now: UnixMs) -> Result<Listed, StoreError> {
        let (started, key) = match page.after.as_ref().map(Cursor::place) {
            None => (row::millis(UnixMs::MAX) + 1, Vec::new()),
            Some((started, key)) => (row::millis(started), key_bytes(&key)),
        };
        // One more than asked for shows whether there is a next page.
        let limit = i64::from(page.limit) + 1;
        let params: [&(dyn ToSql + Sync); 5] = [
            &owner.as_str(),
            &row::millis(now),
            &started,
            &key.as_slice(),
            &limit,
        ];
        let rows = self.ask(|s| &s.list, &params).await?;
        let found = rows.iter().take(page.limit as usize).map(|row| {
            let key = key_from(row::get(row, 0)?)?;
            Ok((key, row::record(row, 1)?))
        });
        let sessions = found.collect::<Result<Vec<_>, StoreError>>()?;
        let next = sessions
            .last()
            .filter(|_| rows.len() > page.limit as usize)
            .map(|(key, record)| Cursor::behind(record.meta.started, key));
        Ok(Listed { sessions, next })
    }

    async fn end_all(
        &self,
        owner: &OwnerId,
        except: Option<&SessionKey>,
        now: UnixMs,
    ) -> Result<u64, StoreError> {
        let except = except.map(key_bytes);
        let bucket = i32::from(Bucket::of(owner).number());
        let row = self
            .one(
                |s| &s.end_all,
                &[&owner.as_str(), &bucket, &except, &row::millis(now)],
            )
            .await?;
        row::number(&row, 0)
    }

    async fn reclaim(&self, limit: u32, now: UnixMs) -> Result<u64, StoreError> {
        let forget = now.since(UnixMs::default()).saturating_sub(EPOCH_KEPT);
        let forget = UnixMs::default().after(forget);
        let params: [&(dyn ToSql + Sync); 3] =
            [&i64::from(limit), &row::millis(now), &row::millis(forget)];
        let row = self.one(|s| &s.reclaim, &params).await?;
        row::number(&row, 0)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let Some(failed) = self.doubt.pending() else {
            return self.one(|s| &s.ping, &[]).await.map(drop);
        };
        self.one(|s| &s.probe, &[]).await?;
        self.doubt.settle(failed);
        Ok(())
    }

    async fn one(
        &self,
        statement: fn(&Sessions) -> &tokio_postgres::Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, StoreError> {
        let mut rows = self.ask(statement, params).await?;
        rows.pop().ok_or_else(|| Failure::Unexpected.into())
    }

    async fn ask(
        &self,
        statement: fn(&Sessions) -> &tokio_postgres::Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let answer = self.link.ask(statement, params).await;
        if let Err(Failure::Refused(code)) = &answer
            && OUT_OF_ROOM.iter().any(|class| code.starts_with(class))
        {
            self.doubt.raise();
        }
        Ok(answer?)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            // Two who make one key at once: one of them learns of the other only here.
            Failure::Refused(code) if code == "23505" => Self::Conflict,
            Failure::Refused(code) if ["XX001", "XX002"].contains(&code.as_str()) => {
                CorruptRecord::new("the database says that its files are damaged").into()
            }
            failure => Self::unavailable(failure),
        }
    }
}

/// Why nothing was written.
fn refusal(answer: &str) -> StoreError {
    match answer {
        "conflict" => StoreError::Conflict,
        "outdated" => DeltaError::Outdated.into(),
        "not a counter" => DeltaError::NotACounter.into(),
        "out of range" => DeltaError::CounterOutOfRange.into(),
        "too large" => DeltaError::TooLarge.into(),
        _ => Failure::Unexpected.into(),
    }
}

/// What is left of a key, by its weight.
fn trace(weight: &str) -> Result<Trace, StoreError> {
    let weight: u8 = weight.parse().map_err(|_| Failure::Unexpected)?;
    Ok(Trace::of_weight(weight)?)
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("link", &self.link)
            .finish()
    }
}

impl Store for PostgresStore {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        Box::pin(self.create(key, record))
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        Box::pin(self.load(key, step, now))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(self.change(key, key, delta, now))
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        if old == new {
            // Moving onto itself would overwrite what is there.
            return Box::pin(std::future::ready(Err(StoreError::Conflict)));
        }
        Box::pin(self.change(old, new, delta, now))
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        Box::pin(self.admit(admission, now))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        _owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        Box::pin(self.end(key, trace, now))
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        Box::pin(self.note(key, trace, now))
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, _now: UnixMs) -> StoreFuture<'a, Epoch> {
        Box::pin(self.epoch(owner))
    }

    fn load_for_login<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        owner: &'a OwnerId,
        now: UnixMs,
    ) -> StoreFuture<'a, (Loaded, Epoch)> {
        // Both are on their way before either is answered.
        Box::pin(async move { tokio::try_join!(self.load(key, step, now), self.epoch(owner)) })
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        Box::pin(self.list(owner, page, now))
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        Box::pin(self.end_all(owner, except, now))
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        Box::pin(self.reclaim(limit, now))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.ping())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J7
    #[test]
    fn a_key_that_is_taken_damaged_files_and_any_other_refusal_are_told_apart() {
        let said = |code: &str| StoreError::from(Failure::Refused(code.to_owned()));
        assert!(matches!(said("23505"), StoreError::Conflict));
        for damaged in ["XX001", "XX002"] {
            assert!(matches!(said(damaged), StoreError::Corrupt(_)), "{damaged}");
        }
        for other in ["XX000", "53100", "25006"] {
            assert!(matches!(said(other), StoreError::Unavailable(_)), "{other}");
        }
    }
}
