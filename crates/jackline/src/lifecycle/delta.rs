//! What one request changes. A request never writes its stale copy of a whole session; it writes this, and the store
//! applies it to whatever the session is by then, so that concurrent requests lose nothing of each other's (J3).

use std::fmt;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::data::{Data, MAX_COUNTER};
use super::record::Meta;

/// One change of one member.
#[derive(Clone)]
pub enum Op {
    /// Set the member to this JSON text.
    Set(Box<RawValue>),
    /// Remove the member; nothing happens if it is not there.
    Remove,
    /// Add to the member, which must be an integer or absent (absent counts as zero).
    Increment(i64),
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set",
            Self::Remove => "Remove",
            Self::Increment(_) => "Increment",
        })
    }
}

/// The changes of one request, to be applied in one atomic step: first `clear`, then every operation in order.
#[derive(Clone, Debug)]
pub struct Delta {
    clear: bool,
    ops: IndexMap<String, Op>,
    meta: Option<Meta>,
    version: Option<u64>,
    base: Option<Base>,
    max_data_bytes: usize,
}

/// What a record held at a version.
#[derive(Clone, Debug)]
struct Base {
    version: u64,
    data: Data,
}

/// What a delta comes to, if the record is still at this version.
#[cfg(feature = "redis")]
#[derive(Debug)]
pub(crate) struct Foreseen {
    pub(crate) version: u64,
    /// The data, as JSON text.
    pub(crate) data: String,
    pub(crate) counters: Vec<i64>,
}

impl Default for Delta {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_DATA_BYTES)
    }
}

impl Delta {
    /// The default limit for the JSON text of a session's data: 256 KiB.
    pub const DEFAULT_MAX_DATA_BYTES: usize = 256 * 1024;

    /// No changes, with `max_data_bytes` as the most that the data's JSON text may measure once they are applied.
    #[must_use]
    pub fn new(max_data_bytes: usize) -> Self {
        Self {
            clear: false,
            ops: IndexMap::new(),
            meta: None,
            version: None,
            base: None,
            max_data_bytes,
        }
    }

    /// Sets a member.
    pub fn set(&mut self, name: impl Into<String>, value: Box<RawValue>) {
        self.ops.insert(name.into(), Op::Set(value));
    }

    /// Removes a member. Set again in the same delta it keeps its place; set in a later one it goes last.
    pub fn remove(&mut self, name: impl Into<String>) {
        self.ops.insert(name.into(), Op::Remove);
    }

    /// Adds to a member; adding to it twice is adding the sum. An increment of a member that this delta already sets or removes
    /// is not expressible in one operation; the caller commits the first before it asks for the second.
    ///
    /// Says whether the operation was taken.
    pub fn increment(&mut self, name: impl Into<String>, by: i64) -> bool {
        match self.ops.entry(name.into()) {
            indexmap::map::Entry::Occupied(mut slot) => match slot.get_mut() {
                Op::Increment(so_far) => {
                    let sum = so_far.checked_add(by);
                    *so_far = sum.unwrap_or(*so_far);
                    sum.is_some()
                }
                Op::Set(_) | Op::Remove => false,
            },
            indexmap::map::Entry::Vacant(slot) => {
                slot.insert(Op::Increment(by));
                true
            }
        }
    }

    /// Removes every member, known to this request or not.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.clear = true;
    }

    /// Replaces what is known about the session itself.
    pub fn set_meta(&mut self, meta: Meta) {
        self.meta = Some(meta);
    }

    /// Makes it for one version of the record, and refused for every other: for whoever has to know what is changed, such as
    /// a store that encrypts.
    pub fn only_for_version(&mut self, version: u64) {
        self.version = Some(version);
    }

    /// Says what the record held at a version, as whoever makes the delta has loaded it. It changes nothing of what the delta does: if
    /// the record is at another version by then, that is what the delta is applied to. But a store to which the operations are dear
    /// may take what they come to, computed here, if the record is still at that version.
    pub fn based_on(&mut self, version: u64, data: Data) {
        self.base = Some(Base { version, data });
    }

    /// What it comes to, as far as that is known beforehand and is at most so many bytes of data; `None` if nothing is, or the delta
    /// cannot be applied.
    #[cfg(feature = "redis")]
    pub(crate) fn foreseen(&self, most_bytes: usize) -> Option<Foreseen> {
        // What was long is not worked out only to be found long.
        let base = self.base.as_ref()?;
        if !self.clear && base.data.at_least_bytes() > most_bytes {
            return None;
        }
        let Outcome { json, counters, .. } = self.work_out(&base.data).ok()?;
        (json.len() <= most_bytes).then_some(Foreseen {
            version: base.version,
            data: json,
            counters,
        })
    }

    /// Whether what was said of this version was wrong.
    pub(crate) fn misremembers(&self, version: u64, data: &Data) -> bool {
        let base = self.base.as_ref().filter(|base| base.version == version);
        base.is_some_and(|base| base.data != *data)
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.clear && self.ops.is_empty() && self.meta.is_none()
    }

    /// Whether any of the application's data changes.
    #[must_use]
    pub fn changes_data(&self) -> bool {
        self.clear || !self.ops.is_empty()
    }

    /// Whether every member goes first.
    #[must_use]
    pub fn clears(&self) -> bool {
        self.clear
    }

    /// The operations in order.
    pub fn ops(&self) -> impl ExactSizeIterator<Item = (&str, &Op)> {
        self.ops.iter().map(|(name, op)| (name.as_str(), op))
    }

    /// The new metadata, if it changes.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// The one version of the record that it may be applied to; `None` if any.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// Fails if it was made for another version than this; `None` stands for a record that is not live.
    ///
    /// # Errors
    /// [`DeltaError::Outdated`].
    pub fn check_version(&self, found: Option<u64>) -> Result<(), DeltaError> {
        if self.version.is_some() && self.version != found {
            return Err(DeltaError::Outdated);
        }
        Ok(())
    }

    /// The most that the data's JSON text may measure afterwards, in bytes.
    #[must_use]
    pub fn max_data_bytes(&self) -> usize {
        self.max_data_bytes
    }

    /// Applies the operations to `data`: all of them, or none if one fails. Stores that compute in Rust use this; stores
    /// that compute elsewhere must do exactly the same.
    ///
    /// # Errors
    /// If an increment meets something that is not an integer, would leave ±[`MAX_COUNTER`], or if the data grows past
    /// [`Delta::max_data_bytes`].
    pub fn apply(&self, data: &mut Data) -> Result<Applied, DeltaError> {
        let outcome = self.work_out(data)?;
        if !self.changes_data() {
            return Ok(Applied::default());
        }
        let next = outcome.members.into_iter();
        let next = next.map(|(name, value)| (name.to_owned(), value.into_text()));
        let counters = outcome.counters;
        *data = next.collect();
        Ok(Applied { counters })
    }

    fn work_out<'a>(&'a self, data: &'a Data) -> Result<Outcome<'a>, DeltaError> {
        let known = |name| data.raw(name).filter(|_| !self.clear);
        let mut counters = Vec::new();
        // By operation, what there is under its name then.
        let mut after = Vec::with_capacity(self.ops.len());
        for (name, op) in &self.ops {
            after.push(match op {
                Op::Set(value) => Some(Value::Text(value)),
                Op::Remove => None,
                Op::Increment(by) => {
                    let sum = add(known(name), *by)?;
                    counters.push(sum);
                    Some(Value::Sum(sum))
                }
            });
        }
        // Each name stands once among the operations: what is known keeps its place, and what is new goes last.
        let mut members = Vec::with_capacity(data.len() + self.ops.len());
        if !self.clear {
            members.extend(data.iter().filter_map(|(name, value)| {
                let value = match self.ops.get_index_of(name) {
                    None => Value::Text(value),
                    Some(op) => after[op]?,
                };
                Some((name, value))
            }));
        }
        let new = self.ops.keys().zip(after);
        let new = new.filter(|(name, _)| known(name).is_none());
        members.extend(new.filter_map(|(name, value)| Some((name.as_str(), value?))));

        let json = serde_json::to_string(&InOrder(&members)).expect("texts and sums are JSON");
        if json.len() > self.max_data_bytes {
            return Err(DeltaError::TooLarge);
        }
        Ok(Outcome {
            members,
            json,
            counters,
        })
    }
}

/// What the operations of a delta come to.
struct Outcome<'a> {
    members: Vec<(&'a str, Value<'a>)>,
    /// The members as JSON text, which its limit is of.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "only Redis is sent it")
    )]
    json: String,
    counters: Vec<i64>,
}

/// A member's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a RawValue),
    Sum(i64),
}

impl Value<'_> {
    fn into_text(self) -> Box<RawValue> {
        match self {
            Self::Text(text) => text.to_owned(),
            Self::Sum(sum) => integer(sum),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Sum(sum) => sum.serialize(serializer),
        }
    }
}

/// Members as a map.
struct InOrder<'a>(&'a [(&'a str, Value<'a>)]);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// What applying a delta gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The new value of each incremented member, in the order of the increments.
    pub counters: Vec<i64>,
}

/// Why a delta cannot be applied. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The member to increment holds something that is not an integer.
    #[error("a member to be incremented is not an integer")]
    NotACounter,
    /// The sum would leave the range that every JSON reader holds exactly.
    #[error("an increment leaves the range of exact integers, ±(2^53 - 1)")]
    CounterOutOfRange,
    /// The record is no longer at the version that the delta was made for.
    #[error("the record has changed since the delta was made")]
    Outdated,
    /// The session's data would grow past the configured limit.
    #[error("the session's data would grow past its limit")]
    TooLarge,
    /// The member means something to Express, or says who is logged in, and is no data where sessions are shared with it.
    #[error("a member of this name is reserved where sessions are shared with Express")]
    ReservedMember,
}

fn add(current: Option<&RawValue>, by: i64) -> Result<i64, DeltaError> {
    let current = match current {
        None => 0,
        Some(raw) => raw
            .get()
            .parse::<i64>()
            .map_err(|_| DeltaError::NotACounter)?,
    };
    let exact = |n: &i64| n.unsigned_abs() <= MAX_COUNTER.unsigned_abs();
    Some(current)
        .filter(exact)
        .and_then(|n| n.checked_add(by))
        .filter(exact)
        .ok_or(DeltaError::CounterOutOfRange)
}

/// A whole number as JSON text.
pub(crate) fn integer(n: i64) -> Box<RawValue> {
    RawValue::from_string(n.to_string()).expect("the decimal digits of an integer are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_for_the_version_that_it_was_made_for_or_for_any() {
        let mut delta = Delta::default();
        assert_eq!(delta.version(), None);
        assert!(delta.check_version(Some(7)).is_ok() && delta.check_version(None).is_ok());
        for version in [0, 1, 7] {
            delta.only_for_version(version);
            assert_eq!(delta.version(), Some(version));
            assert!(delta.check_version(Some(version)).is_ok());
            assert!(delta.check_version(Some(version + 1)).is_err());
            assert!(delta.check_version(None).is_err());
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn what_is_foreseen_is_what_applying_gives_and_short() {
        let base = Data::from_json(r#"{"views":1,"theme":"dark"}"#).unwrap();
        let mut delta = Delta::default();
        delta.increment("views", 2);
        assert!(delta.foreseen(100).is_none(), "nothing is known");
        delta.based_on(7, base.clone());
        let comes_to = r#"{"views":3,"theme":"dark"}"#;
        let foreseen = delta.foreseen(comes_to.len()).expect("short enough");
        assert_eq!((foreseen.version, &*foreseen.data), (7, comes_to));
        assert_eq!(foreseen.counters, [3]);
        assert!(delta.foreseen(comes_to.len() - 1).is_none(), "too long");

        // What was long is not looked at, unless nothing of it is left.
        let mut delta = Delta::default();
        delta.based_on(7, base.clone());
        delta.remove("theme");
        assert!(delta.foreseen(16).is_none() && delta.foreseen(17).is_some());
        delta.clear();
        assert_eq!(delta.foreseen(2).expect("short enough").data, "{}");

        let mut delta = Delta::new(comes_to.len() - 1);
        delta.based_on(7, base);
        delta.increment("views", 2);
        assert!(
            delta.foreseen(100).is_none(),
            "more than a session may hold"
        );
        delta.increment("theme", 1);
        assert!(delta.foreseen(100).is_none(), "no counter");
    }

    // Proves: J6
    #[test]
    fn debug_shows_what_is_done_and_no_value() {
        let mut delta = Delta::default();
        delta.set("a", RawValue::from_string("\"secret\"".to_owned()).unwrap());
        delta.remove("b");
        delta.increment("c", 987);
        let shown: Vec<_> = delta.ops().map(|(_, op)| format!("{op:?}")).collect();
        assert_eq!(shown, ["Set", "Remove", "Increment"]);
        let whole = format!("{delta:?}");
        assert!(
            !whole.contains("secret") && !whole.contains("987"),
            "{whole}"
        );
    }
}
