//! The store contract's steps as statements. Each runs inside a transaction; one that only reads may do without, since a
//! trace is written in the step in which its session goes, and is looked for when there is no session.

use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use crate::lifecycle::{Clocks, Data, Delta, OwnerId, Record, SessionCap, UnixMs};
use crate::store::codec::{clocks, decode, meta};
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
        let before = record.clocks;
        let after = Clocks {
            seen: now,
            ..before
        };
        db.prepare_cached("UPDATE sessions SET seen = ?2, idle_deadline = ?3 WHERE id = ?1")?
            .execute(params![
                id(key),
                now.as_millis(),
                after.idle_deadline().as_millis()
            ])?;
        put_off_reclaiming(db, key, &before, &after)?;
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
    let before = record.clocks;
    let counters = record.commit(delta, now)?;
    update(db, key, &record, &before)?;
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
    let before = record.clocks;
    let counters = record.commit(delta, now)?;
    db.prepare_cached("UPDATE sessions SET id = ?2, key = ?3 WHERE id = ?1")?
        .execute(params![id(old), id(new), Key(*new)])?;
    update(db, new, &record, &before)?;
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
            "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE reclaim_after <= ?1 AND idle_deadline <= ?1 LIMIT ?2)",
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

/// Whether the place of this session is taken.
fn exists(db: &Connection, key: &SessionKey) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM sessions WHERE id = ?1")?
        .exists([id(key)])?)
}

fn remove(db: &Connection, key: &SessionKey) -> Result<bool> {
    let removed = db
        .prepare_cached("DELETE FROM sessions WHERE id = ?1 AND key = ?2")?
        .execute(params![id(key), Key(*key)])?;
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
    const FIND: &str =
        "SELECT seen, idle, ends, version, meta, data FROM sessions WHERE id = ?1 AND key = ?2";
    db.prepare_cached(FIND)?
        .query_row(params![id(key), Key(*key)], |row| Ok(read(row)))
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
        "INSERT INTO sessions
         (id, key, owner, started, seen, idle, ends, version, idle_deadline, reclaim_after, meta, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        id(key),
        Key(*key),
        record.owner().map(OwnerId::as_str),
        record.meta.started.as_millis(),
        record.clocks.seen.as_millis(),
        millis(record.clocks.idle),
        record.clocks.ends.as_millis(),
        record.clocks.version,
        record.clocks.idle_deadline().as_millis(),
        reclaim_after(&record.clocks),
        meta::encode(&record.meta),
        record.data.to_json(),
    ])?;
    Ok(())
}

/// Writes what a delta may have changed of a record whose clocks stood at `before`. Owner and login never change, and a column that is
/// not named leaves its index alone.
fn update(db: &Connection, key: &SessionKey, record: &Record, before: &Clocks) -> Result<()> {
    db.prepare_cached(
        "UPDATE sessions SET seen = ?2, version = ?3, idle_deadline = ?4, meta = ?5, data = ?6 WHERE id = ?1",
    )?
    .execute(params![
        id(key),
        record.clocks.seen.as_millis(),
        record.clocks.version,
        record.clocks.idle_deadline().as_millis(),
        meta::encode(&record.meta),
        record.data.to_json(),
    ])?;
    put_off_reclaiming(db, key, before, &record.clocks)
}

/// Moves a session in the index by which those are found that have run out, if it has to move.
fn put_off_reclaiming(
    db: &Connection,
    key: &SessionKey,
    before: &Clocks,
    after: &Clocks,
) -> Result<()> {
    let reclaim = reclaim_after(after);
    if reclaim != reclaim_after(before) {
        db.prepare_cached("UPDATE sessions SET reclaim_after = ?2 WHERE id = ?1")?
            .execute(params![id(key), reclaim])?;
    }
    Ok(())
}

/// When a session may be reclaimed: its deadline, rounded up to whole steps of a sixth of the idle limit, of five minutes at most. Indexing
/// the deadline itself would have every use write to two more pages of the index. The price: a record that has run out is dead at
/// once, but may lie there for up to five minutes longer.
pub(super) fn reclaim_after(clocks: &Clocks) -> u64 {
    let step = (clocks.idle / 6).min(Duration::from_secs(300));
    let step = u64::try_from(step.as_millis()).unwrap_or(1).max(1);
    (clocks.idle_deadline().as_millis() / step + 1) * step
}

/// The place of a session: the first eight bytes of its key. All that leads there is small enough to stay in memory, which an index of
/// whole keys is not. Should two ever share a place, the one that comes second is refused.
pub(super) fn id(key: &SessionKey) -> i64 {
    let bytes = key.to_bytes();
    i64::from_be_bytes(*bytes.first_chunk().expect("a key has 34 bytes"))
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
pub(super) struct Key(pub(super) SessionKey);

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
    use crate::lifecycle::Policy;
    use crate::origin::Origin;
    use crate::token::Bucket;

    // Proves: J2
    #[test]
    fn of_two_keys_for_one_place_the_second_is_refused_and_reaches_nothing_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        std::fs::write(&path, "").unwrap();
        let db = super::super::connection::open_writer(&path).unwrap();
        let now = UnixMs::from_millis(1_800_000_000_000);
        let record = Record::visitor(&Policy::default(), Origin::default(), now);
        let key = |last| {
            let mut digest = [7; 32];
            digest[31] = last;
            SessionKey::from_parts(Bucket::from_number(7), digest)
        };
        let (first, second, elsewhere) = (key(1), key(2), {
            SessionKey::from_parts(Bucket::from_number(8), [7; 32])
        });
        create(&db, &first, &record).unwrap();
        create(&db, &elsewhere, &record).unwrap();
        let refused = create(&db, &second, &record);
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
        let nothing = Delta::default();
        let refused = rotate(&db, &elsewhere, &second, &nothing, now);
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
        assert_eq!(load(&db, &second, now).unwrap(), Loaded::Absent);
        let committed = commit(&db, &second, &nothing, now).unwrap();
        assert_eq!(committed, Committed::Gone);
        assert_eq!(end(&db, &second, None, now).unwrap(), Ended::Absent);
        let found = load(&db, &first, now).unwrap();
        assert!(matches!(found, Loaded::Live { .. }), "{found:?}");
    }

    // Proves: D9
    #[test]
    fn a_session_may_be_reclaimed_soon_after_its_deadline_and_not_before() {
        for (idle, within) in [(0, 1), (5, 1), (60_000, 10_000), (86_400_000, 300_000)] {
            for seen in [0, 1, 299_999, 1_800_000_000_123] {
                let clocks = clocks(seen, idle, u64::MAX, 0);
                let (over, after) = (seen + idle, reclaim_after(&clocks));
                assert!(
                    after > over && after <= over + within,
                    "{seen} + {idle}: {after}"
                );
            }
        }
    }

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
