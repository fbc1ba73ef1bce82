//! Records as text, for stores that keep bytes: [metadata](meta), and the data as a JSON object. Reading is strict about what
//! Jackline wrote and tolerant of what a later version may add.

#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", fuzzing))]
pub(crate) mod meta;

#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", fuzzing))]
use std::time::Duration;

#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", fuzzing))]
use crate::lifecycle::{Clocks, Data, Record, UnixMs};

/// Stored bytes are not a record.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CorruptRecord(&'static str);

impl CorruptRecord {
    /// Names the part that cannot be read. The text must hold nothing of what was stored.
    #[must_use]
    pub fn new(part: &'static str) -> Self {
        Self(part)
    }
}

/// Puts a record together from its parts.
#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", fuzzing))]
pub(crate) fn decode(clocks: Clocks, meta: &str, data: &str) -> Result<Record, CorruptRecord> {
    let meta = meta::decode(meta).ok_or(CorruptRecord("the metadata is not readable"))?;
    let data = match data {
        // Of those who are merely logged in, and not worth a parser.
        "{}" => Ok(Data::new()),
        data => Data::from_json(data),
    };
    let data = data.map_err(|_| CorruptRecord("the data is not a JSON object"))?;
    Ok(Record { clocks, meta, data })
}

/// Clocks from the numbers that a store keeps.
#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", fuzzing))]
pub(crate) fn clocks(seen_ms: u64, idle_ms: u64, ends_ms: u64, version: u64) -> Clocks {
    Clocks {
        seen: UnixMs::from_millis(seen_ms),
        idle: Duration::from_millis(idle_ms),
        ends: UnixMs::from_millis(ends_ms),
        version,
    }
}

/// A whole record as one line of bytes:
///
/// ```text
/// J1 <seen> <idle> <ends> <version> <meta length> <meta><data JSON>
/// ```
///
/// The numbers are decimal and padded to a fixed width, so that a script inside a store can read and replace one without
/// knowing the rest, and the length says where the data begins without a look at the metadata.
#[cfg(any(feature = "redis", fuzzing))]
pub(crate) mod line {
    use super::{Clocks, CorruptRecord, Record, clocks, decode, meta};

    /// Writes a record.
    pub(crate) fn encode(record: &Record) -> Vec<u8> {
        let Clocks {
            seen,
            idle,
            ends,
            version,
        } = record.clocks;
        let meta = meta::encode(&record.meta);
        format!(
            "J1 {:015} {:012} {:015} {:012} {:06} {meta}{}",
            seen.as_millis(),
            idle.as_millis(),
            ends.as_millis(),
            version,
            meta.len(),
            record.data.to_json(),
        )
        .into_bytes()
    }

    /// Reads a record.
    pub(crate) fn decode_line(bytes: &[u8]) -> Result<Record, CorruptRecord> {
        let text =
            std::str::from_utf8(bytes).map_err(|_| CorruptRecord("the record is not UTF-8"))?;
        let head = bytes
            .get(..HEAD)
            .ok_or(CorruptRecord("the record is too short"))?;
        let mut head = head
            .strip_prefix(b"J1 ")
            .ok_or(CorruptRecord("the record is of an unknown kind"))?;
        let mut number = |width| {
            let (number, rest) = head.split_at(width);
            let rest = rest.strip_prefix(b" ");
            head = rest.ok_or(CorruptRecord("a clock of the record is not readable"))?;
            digits(number).ok_or(CorruptRecord("a clock of the record is not readable"))
        };
        let clocks = clocks(number(15)?, number(12)?, number(15)?, number(12)?);
        let meta_bytes =
            usize::try_from(number(6)?).map_err(|_| CorruptRecord("the metadata is too long"))?;
        // Not in the middle of a character: what is before it turned out to be digits and blanks.
        let rest = &text[HEAD..];
        let meta = rest
            .get(..meta_bytes)
            .ok_or(CorruptRecord("the metadata is cut short"))?;
        decode(clocks, meta, &rest[meta_bytes..])
    }

    /// A number that is made of digits alone, and of few enough not to be too large for one.
    fn digits(text: &[u8]) -> Option<u64> {
        text.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit()
                .then(|| number * 10 + u64::from(byte - b'0'))
        })
    }

    /// Bytes before the metadata: `J1`, five numbers, and a blank after each.
    pub(crate) const HEAD: usize = 3 + 16 + 13 + 16 + 13 + 7;
}

/// Reads arbitrary bytes as a record and, if that works, writes and reads it again.
///
/// # Panics
/// If a record changes on its way.
#[cfg(fuzzing)]
pub fn fuzz_decode(bytes: &[u8]) {
    if let Ok(record) = line::decode_line(bytes) {
        let again = line::decode_line(&line::encode(&record))
            .expect("what was read can be written and read");
        assert_eq!(record, again);
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::line::{HEAD, decode_line, encode};
    use crate::lifecycle::{Identity, OwnerId, Policy, Record, Role, UnixMs};
    use crate::origin::Origin;

    fn record() -> Record {
        let identity = Identity::new(
            OwnerId::new("user-1001").expect("an identifier"),
            "Zoë",
            Role::user(),
        );
        let now = UnixMs::from_millis(1_700_000_000_000);
        let mut record = Record::logged_in(identity, &Policy::default(), Origin::default(), now);
        record
            .data
            .set("é", serde_json::value::to_raw_value(&1).expect("JSON"));
        record
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut record = record();
        assert_eq!(decode_line(&encode(&record)).expect("a record"), record);
        record.data.clear();
        assert_eq!(decode_line(&encode(&record)).expect("a record"), record);
    }

    // Proves: J7
    #[test]
    fn a_line_that_is_damaged_anywhere_in_its_head_or_cut_short_is_corrupt() {
        let line = encode(&record());
        for at in 0..HEAD {
            for wrong in [b"x", b"+", b" ", "é".as_bytes()] {
                let mut damaged = line.clone();
                damaged.splice(at..at + wrong.len(), wrong.iter().copied());
                if damaged != line {
                    assert!(decode_line(&damaged).is_err(), "{wrong:?} at {at}");
                }
            }
        }
        for len in 0..line.len() {
            assert!(decode_line(&line[..len]).is_err(), "{len} bytes");
        }
    }
}
