//! The store contract's steps as statements. Each runs inside a transaction; one that only reads may do without, since a
//! trace is written in the step in which its session goes, and is looked for when there is no session.

use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use crate::lifecycle::{Data, Delta, OwnerId, Record, SessionCap, UnixMs};
use crate::store::codec::{clocks, decode, encode_meta};
use crate::store::{
    Admission, Admitted, Committed, CorruptRecord, Cursor, EPOCH_KEPT, Ended, Epoch, Listed,
    Loaded, Page, StoreError, Trace,
};
use crate::token::SessionKey;

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn create(db: &Connection, key: &SessionKey, record: &Record) -> Result<()> {
    if exists(db, key)? {
        return Err(StoreError::Conflict);
    }
    insert(db, key, record)
}

pub(super) fn load(db: &Connection, key: &SessionKey, now: UnixMs) -> Result<Loaded> {
    Ok(match find(db, key)? {
        None => trace(db, key, now)?.map_or(Loaded::Absent, Loaded::Trace),
        Some(record) if record.clocks.idle_expired(now) => Loaded::Expired(Box::new(record)),
        Some(record) => Loaded::Live {
            record: Box::new(record),
            renewed: false,
        },
    })
}

pub(super) fn load_and_renew(
    db: &Connection,
    key: &SessionKey,
    step: Duration,
    now: UnixMs,
) -> Result<Loaded> {
    let loaded = load(db, key, now)?;
    let Loaded::Live { record, .. } = loaded else {
        return Ok(loaded);
    };
    let renewed = record.clocks.renewal_due(now, step);
    if renewed {
        let deadline = now.after(record.clocks.idle);
        db.prepare_cached("UPDATE sessions SET seen = ?2, idle_deadline = ?3 WHERE key = ?1")?
            .execute(params![Key(*key), now.as_millis(), deadline.as_millis()])?;
    }
    Ok(Loaded::Live { record, renewed })
}

pub(super) fn commit(
    db: &Connection,
    key: &SessionKey,
    delta: &Delta,
    now: UnixMs,
) -> Result<Committed> {
    let Some(mut record) = find_live(db, key, now)? else {
        return Ok(Committed::Gone);
    };
    let counters = record.commit(delta, now)?;
    update(db, key, key, &record)?;
    Ok(Committed::Applied { counters })
}

pub(super) fn rotate(
    db: &Connection,
    old: &SessionKey,
    new: &SessionKey,
    delta: &Delta,
    now: UnixMs,
) -> Result<Committed> {
    if exists(db, new)? {
        return Err(StoreError::Conflict);
    }
    let Some(mut record) = find_live(db, old, now)? else {
        return Ok(Committed::Gone);
    };
    let counters = record.commit(delta, now)?;
    update(db, old, new, &record)?;
    note(db, old, Trace::Replaced, now)?;
    Ok(Committed::Applied { counters })
}

/// An [`Admission`] that another thread can carry out.
pub(super) struct Login {
    key: SessionKey,
    record: Record,
    owner: OwnerId,
    epoch: Epoch,
    cap: SessionCap,
    replaces: Option<(SessionKey, Option<Delta>)>,
}

impl Login {
    pub(super) fn of(admission: &Admission<'_>) -> Self {
        Self {
            key: *admission.key,
            record: admission.record.clone(),
            owner: admission.owner.clone(),
            epoch: admission.epoch,
            cap: admission.cap,
            replaces: admission
                .replaces
                .as_ref()
                .map(|replaced| (*replaced.key, replaced.carry.cloned())),
        }
    }
}

pub(super) fn admit(db: &Connection, login: &Login, now: UnixMs) -> Result<Admitted> {
    if exists(db, &login.key)? {
        return Err(StoreError::Conflict);
    }
    if epoch(db, &login.owner)? != login.epoch {
        return Ok(Admitted::Revoked);
    }
    let others = || -> Result<Vec<SessionKey>> {
        let mut keys = live_keys(db, &login.owner, now)?;
        if let Some((replaced, _)) = &login.replaces {
            keys.retain(|key| key != replaced);
        }
        Ok(keys)
    };
    let pruned = if login.cap == SessionCap::Unlimited {
        Vec::new()
    } else {
        let mut others = others()?;
        let Some(stay) = login.cap.stay(others.len()) else {
            return Ok(Admitted::AtCap);
        };
        others.split_off(stay)
    };
    let mut record = login.record.clone();
    if let Some((replaced, carry)) = &login.replaces {
        if let Some(delta) = carry {
            let old = find_live(db, replaced, now)?;
            delta.check_version(old.as_ref().map(|old| old.clocks.version))?;
            record.data = old.map_or_else(Data::new, |old| old.data);
            delta.apply(&mut record.data)?;
        }
        remove(db, replaced)?;
        note(db, replaced, Trace::Replaced, now)?;
    }
    for key in &pruned {
        remove(db, key)?;
    }
    insert(db, &login.key, &record)?;
    Ok(Admitted::Done { pruned })
}

pub(super) fn end(
    db: &Connection,
    key: &SessionKey,
    left: Option<Trace>,
    now: UnixMs,
) -> Result<Ended> {
    if remove(db, key)? {
        if let Some(left) = left {
            note(db, key, left, now)?;
        }
        return Ok(Ended::Removed);
    }
    Ok(trace(db, key, now)?.map_or(Ended::Absent, Ended::Trace))
}

pub(super) fn note(db: &Connection, key: &SessionKey, left: Trace, now: UnixMs) -> Result<Trace> {
    db.prepare_cached(
        "INSERT INTO traces (key, weight, until) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET weight = excluded.weight, until = excluded.until
         WHERE traces.weight <= excluded.weight OR traces.until <= ?4",
    )?
    .execute(params![
        Key(*key),
        left.weight(),
        left.until(now).as_millis(),
        now.as_millis()
    ])?;
    Ok(trace(db, key, now)?.unwrap_or(left))
}

/// The owner's epoch; zero if nothing was revoked in the last hour. [`reclaim`] forgets it after that.
pub(super) fn epoch(db: &Connection, owner: &OwnerId) -> Result<Epoch> {
    let epoch = db
        .prepare_cached("SELECT epoch FROM owners WHERE owner = ?1")?
        .query_row([owner.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Epoch(epoch.unwrap_or_default()))
}

pub(super) fn list(db: &Connection, owner: &OwnerId, page: &Page, now: UnixMs) -> Result<Listed> {
    // One more than asked for shows whether there is a next page.
    let (started, key) = match page.after.as_ref().map(Cursor::place) {
        None => (UnixMs::MAX.as_millis() + 1, None),
        Some((started, key)) => (started.as_millis(), Some(Key(key))),
    };
    let mut statement = db.prepare_cached(
        "SELECT seen, idle, ends, version, meta, data, key FROM sessions
         WHERE owner = ?1 AND idle_deadline > ?2 AND (started, key) < (?3, coalesce(?4, x''))
         ORDER BY started DESC, key DESC LIMIT ?5",
    )?;
    let limit = i64::from(page.limit);
    let rows = statement.query_map(
        params![owner.as_str(), now.as_millis(), started, key, limit + 1],
        |row| Ok((row.get::<_, Key>(6)?.0, read(row))),
    )?;
    let mut sessions = Vec::new();
    for row in rows {
        let (key, record) = row?;
        sessions.push((key, record?));
    }
    let more = sessions.len() > page.limit as usize;
    sessions.truncate(page.limit as usize);
    let next = sessions
        .last()
        .filter(|_| more)
        .map(|(key, record)| Cursor::behind(record.meta.started, key));
    Ok(Listed { sessions, next })
}

pub(super) fn end_all(
    db: &Connection,
    owner: &OwnerId,
    except: Option<&SessionKey>,
    now: UnixMs,
) -> Result<u64> {
    let next = epoch(db, owner)?.next(now);
    db.prepare_cached("INSERT OR REPLACE INTO owners (owner, epoch, set_at) VALUES (?1, ?2, ?3)")?
        .execute(params![owner.as_str(), next.0, now.as_millis()])?;
    let ended = db
        .prepare_cached("DELETE FROM sessions WHERE owner = ?1 AND key IS NOT ?2")?
        .execute(params![owner.as_str(), except.map(|key| Key(*key))])?;
    Ok(ended as u64)
}

/// Removes up to `limit` sessions that ran out, and up to as many epochs older than [`EPOCH_KEPT`] and traces.
pub(super) fn reclaim(db: &Connection, limit: u32, now: UnixMs) -> Result<u64> {
    let gone = db
        .prepare_cached(
            "DELETE FROM sessions WHERE rowid IN
             (SELECT rowid FROM sessions WHERE idle_deadline <= ?1 LIMIT ?2)",
        )?
        .execute(params![now.as_millis(), limit])?;
    let forgotten = now
        .as_millis()
        .saturating_sub(u64::try_from(EPOCH_KEPT.as_millis()).unwrap_or(u64::MAX));
    // In batches too: an incident may have revoked everybody's sessions at once.
    let epochs = db
        .prepare_cached(
            "DELETE FROM owners WHERE owner IN
         (SELECT owner FROM owners WHERE set_at < ?1 ORDER BY set_at LIMIT ?2)",
        )?
        .execute(params![forgotten, limit])?;
    let traces = db
        .prepare_cached(
            "DELETE FROM traces WHERE key IN
         (SELECT key FROM traces WHERE until <= ?1 ORDER BY until LIMIT ?2)",
        )?
        .execute(params![now.as_millis(), limit])?;
    Ok(gone.max(epochs).max(traces) as u64)
}

/// Takes the lock that every write takes, and if one has `failed`, writes as much as many a session measures.
pub(super) fn probe(db: &Connection, failed: bool) -> Result<()> {
    // Usually there is none, and nothing is written.
    db.prepare_cached("DELETE FROM probe")?.execute([])?;
    if failed {
        db.prepare_cached("INSERT INTO probe (filler) VALUES (zeroblob(65536))")?
            .execute([])?;
    }
    Ok(())
}

pub(super) fn limit_pages(db: &Connection, pages: u32) -> Result<()> {
    db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    Ok(())
}

/// What an error of SQLite means to whoever asked.
pub(super) fn translated(error: rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => {
            CorruptRecord::new("a column cannot be read").into()
        }
        rusqlite::Error::SqliteFailure(failure, _)
            if matches!(
                failure.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
            ) =>
        {
            CorruptRecord::new("the database file is damaged").into()
        }
        other => StoreError::unavailable(other),
    }
}

/// Whether this came of a full disk, or a file that may not grow.
pub(super) fn is_full(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else {
        return false;
    };
    let source = source.downcast_ref::<rusqlite::Error>();
    source.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::DiskFull)
}

fn exists(db: &Connection, key: &SessionKey) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM sessions WHERE key = ?1")?
        .exists([Key(*key)])?)
}

fn remove(db: &Connection, key: &SessionKey) -> Result<bool> {
    let removed = db
        .prepare_cached("DELETE FROM sessions WHERE key = ?1")?
        .execute([Key(*key)])?;
    Ok(removed > 0)
}

fn trace(db: &Connection, key: &SessionKey, now: UnixMs) -> Result<Option<Trace>> {
    db.prepare_cached("SELECT weight FROM traces WHERE key = ?1 AND until > ?2")?
        .query_row(params![Key(*key), now.as_millis()], |row| row.get(0))
        .optional()?
        .map(|weight| Ok(Trace::of_weight(weight)?))
        .transpose()
}

fn find(db: &Connection, key: &SessionKey) -> Result<Option<Record>> {
    db.prepare_cached("SELECT seen, idle, ends, version, meta, data FROM sessions WHERE key = ?1")?
        .query_row([Key(*key)], |row| Ok(read(row)))
        .optional()?
        .transpose()
}

fn find_live(db: &Connection, key: &SessionKey, now: UnixMs) -> Result<Option<Record>> {
    Ok(find(db, key)?.filter(|record| !record.clocks.idle_expired(now)))
}

/// The owner's sessions within both limits, newest login first.
fn live_keys(db: &Connection, owner: &OwnerId, now: UnixMs) -> Result<Vec<SessionKey>> {
    let mut statement = db.prepare_cached(
        "SELECT key FROM sessions WHERE owner = ?1 AND idle_deadline > ?2 AND ends > ?2 ORDER BY started DESC, key DESC",
    )?;
    let keys = statement.query_map(params![owner.as_str(), now.as_millis()], |row| {
        row.get::<_, Key>(0)
    })?;
    keys.map(|key| Ok(key?.0)).collect()
}

fn insert(db: &Connection, key: &SessionKey, record: &Record) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO sessions (key, owner, started, seen, idle, ends, version, idle_deadline, meta, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        Key(*key),
        record.owner().map(OwnerId::as_str),
        record.meta.started.as_millis(),
        record.clocks.seen.as_millis(),
        millis(record.clocks.idle),
        record.clocks.ends.as_millis(),
        record.clocks.version,
        record.clocks.idle_deadline().as_millis(),
        encode_meta(&record.meta),
        record.data.to_json(),
    ])?;
    Ok(())
}

/// Writes what a delta may have changed, under a new key if there is one. Owner and login never change, and a column that is not named
/// leaves its index alone.
fn update(db: &Connection, old: &SessionKey, new: &SessionKey, record: &Record) -> Result<()> {
    if old != new {
        db.prepare_cached("UPDATE sessions SET key = ?2 WHERE key = ?1")?
            .execute(params![Key(*old), Key(*new)])?;
    }
    db.prepare_cached(
        "UPDATE sessions SET seen = ?2, version = ?3, idle_deadline = ?4, meta = ?5, data = ?6 WHERE key = ?1",
    )?
    .execute(params![
        Key(*new),
        record.clocks.seen.as_millis(),
        record.clocks.version,
        record.clocks.idle_deadline().as_millis(),
        encode_meta(&record.meta),
        record.data.to_json(),
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Record> {
    // A later moment than any that is written would be cut to the latest, and its session live practically for ever.
    let number = |column| -> Result<u64> {
        let number = row.get(column)?;
        if number > UnixMs::MAX.as_millis() {
            return Err(CorruptRecord::new("a clock is out of range").into());
        }
        Ok(number)
    };
    let clocks = clocks(number(0)?, number(1)?, number(2)?, number(3)?);
    let text = |column| -> Result<&str> {
        row.get_ref(column)?
            .as_str()
            .map_err(|_| CorruptRecord::new("a column is not text").into())
    };
    Ok(decode(clocks, text(4)?, text(5)?)?)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A key as its column holds it.
struct Key(SessionKey);

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_bytes().to_vec().into())
    }
}

impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let key = SessionKey::from_bytes(value.as_blob()?);
        key.map(Self).ok_or(FromSqlError::InvalidType)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    // Proves: J7
    #[test]
    fn a_damaged_file_a_full_disk_and_any_other_trouble_are_told_apart() {
        let said = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            translated(error)
        };
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            let error = said(code);
            assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
            assert!(!is_full(&error));
        }
        for (code, full) in [(ffi::SQLITE_FULL, true), (ffi::SQLITE_BUSY, false)] {
            let error = said(code);
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            assert_eq!(is_full(&error), full);
        }
    }
}
