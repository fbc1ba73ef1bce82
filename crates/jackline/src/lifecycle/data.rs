//! What an application keeps in a session: a JSON map whose order is kept and whose values stay the bytes they were until
//! somebody asks for them. A member that this program does not know is written back exactly as it was read, digits of a
//! number included.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The largest magnitude a counter may reach: 2⁵³ − 1, the largest integer that every JSON reader, JavaScript included,
/// holds exactly (RFC 8259, section 6). [`Delta`](super::Delta) refuses an increment past it.
pub const MAX_COUNTER: i64 = (1 << 53) - 1;

/// The data of a session: member names in the order in which they were first set, each with its JSON text.
///
/// Clones share their members until one of them changes, so that whoever keeps a record may hand it out without copying its data.
#[derive(Clone, Default)]
pub struct Data(Option<Arc<Members>>);

type Members = IndexMap<String, Box<RawValue>>;

impl Data {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `name`, read as `T`; `None` if there is no such member.
    ///
    /// # Errors
    /// If the member is there but is not a `T`. The error names no value.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, serde_json::Error> {
        self.raw(name)
            .map(|raw| {
                // serde's own message quotes the value: `invalid type: string "…"`. Errors are logged, and data is personal.
                serde_json::from_str(raw.get()).map_err(|_| {
                    let wanted = std::any::type_name::<T>();
                    serde::de::Error::custom(format_args!("the member is no {wanted}"))
                })
            })
            .transpose()
    }

    /// The JSON text of `name`.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&RawValue> {
        self.0.as_ref()?.get(name).map(AsRef::as_ref)
    }

    /// Sets `name`; a new member goes last, a known one keeps its place.
    pub fn set(&mut self, name: impl Into<String>, value: Box<RawValue>) {
        self.members_mut().insert(name.into(), value);
    }

    /// Removes `name`, keeping the order of the others. Says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.raw(name).is_some() && self.members_mut().shift_remove(name).is_some()
    }

    /// Removes all of these in one pass, keeping the order of the others: one by one, each would move all that stand behind it.
    pub(crate) fn remove_all(&mut self, names: &HashSet<&str>) {
        if !names.is_empty() {
            self.members_mut()
                .retain(|name, _| !names.contains(name.as_str()));
        }
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.members()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fewer bytes than its JSON text has, found without writing it.
    #[cfg(feature = "redis")]
    pub(crate) fn at_least_bytes(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.get().len())
            .sum()
    }

    /// The map as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A map of strings to valid JSON text has no way to fail.
        serde_json::to_string(self).expect("a map of raw JSON values always serialises")
    }

    /// Reads JSON text.
    ///
    /// # Errors
    /// If `json` is not a JSON object.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn of(members: Members) -> Self {
        Self((!members.is_empty()).then(|| Arc::new(members)))
    }

    fn members(&self) -> &Members {
        static NONE: LazyLock<Members> = LazyLock::new(Members::default);
        self.0.as_deref().unwrap_or(&NONE)
    }

    fn members_mut(&mut self) -> &mut Members {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl FromIterator<(String, Box<RawValue>)> for Data {
    fn from_iter<I: IntoIterator<Item = (String, Box<RawValue>)>>(members: I) -> Self {
        Self::of(members.into_iter().collect())
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Members::deserialize(deserializer).map(Self::of)
    }
}

impl PartialEq for Data {
    /// Equal members with equal JSON text, in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|((a, x), (b, y))| a == b && x.get() == y.get())
    }
}

impl fmt::Debug for Data {
    /// Names how many members there are and none of their values: session data is personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} members)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> Data {
        Data::from_json(json).unwrap()
    }

    // Proves: J3
    #[test]
    fn data_is_equal_if_names_texts_and_order_are() {
        let same = r#"{"a":1,"b":"x"}"#;
        assert_eq!(data(same), data(same));
        assert_eq!(data("{}"), Data::new());
        for other in [
            "{}",
            r#"{"a":1}"#,
            r#"{"a":1,"b":"x","c":null}"#,
            r#"{"a":1.0,"b":"x"}"#,
            r#"{"a":1,"c":"x"}"#,
            r#"{"b":"x","a":1}"#,
        ] {
            assert_ne!(data(same), data(other), "{other}");
            assert_ne!(data(other), data(same), "{other}");
        }
    }

    // Proves: J3
    #[test]
    fn a_copy_does_not_change_with_the_original() {
        let json = r#"{"a":1,"b":"x"}"#;
        for change in [
            |data: &mut Data| data.set("a", RawValue::from_string("2".to_owned()).unwrap()),
            |data: &mut Data| assert!(data.remove("a")),
            |data: &mut Data| data.remove_all(&HashSet::from(["a", "b"])),
            Data::clear,
        ] {
            let mut original = data(json);
            let copy = original.clone();
            change(&mut original);
            assert_ne!(original, copy);
            assert_eq!(copy, data(json));
        }
    }

    // Proves: J6
    #[test]
    fn data_prints_how_many_members_it_has_and_none_of_them() {
        let data = data(r#"{"card":"4111"}"#);
        assert_eq!(format!("{data:?}"), "Data(1 members)");
        assert!(!data.is_empty());
        assert!(Data::new().is_empty());
    }
}
