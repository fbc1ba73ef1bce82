//! Records as columns, and back. What cannot be read is corrupt, never a guess.

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use crate::lifecycle::{Data, Delta, Op, OwnerId, Record, UnixMs};
use crate::store::codec::{clocks, decode, meta};
use crate::store::{CorruptRecord, StoreError};
use crate::token::SessionKey;

/// A record as parameters, in the order in which the SQL takes them, from the owner to the values.
pub(super) struct Columns<'a> {
    pub(super) owner: Option<&'a str>,
    started: i64,
    seen: i64,
    idle: i64,
    ends: i64,
    version: i64,
    meta: String,
    members: Members<'a>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        Self {
            owner: record.owner().map(OwnerId::as_str),
            started: millis(record.meta.started),
            seen: millis(record.clocks.seen),
            // A longer limit ends at the same deadline, which is the latest that there is.
            idle: millis(UnixMs::default().after(record.clocks.idle)),
            ends: millis(record.clocks.ends),
            version: integer(record.clocks.version),
            meta: meta::encode(&record.meta),
            members: Members::of(&record.data),
        }
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.owner,
            &self.started,
            &self.seen,
            &self.idle,
            &self.ends,
            &self.version,
            &self.meta,
            &self.members.names,
            &self.members.values,
        ]
    }
}

/// Data as two arrays.
pub(super) struct Members<'a> {
    names: Vec<String>,
    values: Vec<&'a str>,
}

impl<'a> Members<'a> {
    fn of(data: &'a Data) -> Self {
        Self {
            names: data.iter().map(|(name, _)| spelled(name)).collect(),
            values: data.iter().map(|(_, value)| value.get()).collect(),
        }
    }
}

/// What a delta does to data, as parameters: the version that it is for, whether it clears, its operations as three arrays, and
/// the most bytes.
#[derive(Default)]
pub(super) struct Changes<'a> {
    version: Option<i64>,
    clears: bool,
    kinds: Vec<&'static str>,
    names: Vec<String>,
    values: Vec<Cow<'a, str>>,
    most: i64,
}

impl<'a> Changes<'a> {
    pub(super) fn of(delta: &'a Delta) -> Self {
        let mut changes = Self {
            version: delta.version().map(integer),
            clears: delta.clears(),
            most: i64::try_from(delta.max_data_bytes()).unwrap_or(i64::MAX),
            ..Self::default()
        };
        for (name, op) in delta.ops() {
            let (kind, value) = match op {
                Op::Set(value) => ("set", value.get().into()),
                Op::Remove => ("remove", "".into()),
                Op::Increment(by) => ("add", by.to_string().into()),
            };
            changes.kinds.push(kind);
            changes.names.push(spelled(name));
            changes.values.push(value);
        }
        changes
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 6] {
        [
            &self.version,
            &self.clears,
            &self.kinds,
            &self.names,
            &self.values,
            &self.most,
        ]
    }
}

/// A name as JSON text. All names in the store are spelled here, so equal names are equal text.
fn spelled(name: &str) -> String {
    serde_json::to_string(name).expect("a string always serialises")
}

/// Reads a record from the columns `seen, idle, ends, version, meta, member_names, member_values`, of which the first is
/// `at`.
pub(super) fn record(row: &Row, at: usize) -> Result<Record, StoreError> {
    let clocks = clocks(
        number(row, at)?,
        number(row, at + 1)?,
        number(row, at + 2)?,
        number(row, at + 3)?,
    );
    let names: Vec<&str> = get(row, at + 5)?;
    let values: Vec<&str> = get(row, at + 6)?;
    if names.len() != values.len() {
        return Err(CorruptRecord::new("names and values do not match").into());
    }
    let mut data = String::from("{");
    for (place, (name, value)) in names.iter().zip(&values).enumerate() {
        if place > 0 {
            data.push(',');
        }
        data.push_str(name);
        data.push(':');
        data.push_str(value);
    }
    data.push('}');
    Ok(decode(clocks, get(row, at + 4)?, &data)?)
}

/// A column. Of another type, or null: corrupt.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, StoreError> {
    row.try_get(at)
        .map_err(|_| CorruptRecord::new("a column cannot be read").into())
}

/// A column that holds no negative number.
pub(super) fn number(row: &Row, at: usize) -> Result<u64, StoreError> {
    u64::try_from(get::<i64>(row, at)?)
        .map_err(|_| CorruptRecord::new("a number is negative").into())
}

pub(super) fn millis(time: UnixMs) -> i64 {
    integer(time.as_millis())
}

/// As a `bigint`. Times end long before its end, and counts do not reach it.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A key as its column holds it: the bucket, big-endian, and the digest.
pub(super) fn key_bytes(key: &SessionKey) -> Vec<u8> {
    key.to_bytes().to_vec()
}

pub(super) fn key_from(bytes: &[u8]) -> Result<SessionKey, StoreError> {
    SessionKey::from_bytes(bytes).ok_or_else(|| CorruptRecord::new("a key cannot be read").into())
}
