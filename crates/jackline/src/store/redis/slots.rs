//! Which node of a cluster serves which slot. What a node says of that is its view, and a node that was cut off has an old
//! one; so several are asked, and each slot goes to whom most of them name.

use std::collections::BTreeMap;

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

/// A slot: what a cluster parts its keys by.
pub(super) type Slot = u16;

const SLOTS: usize = 16384;

/// The slot of what stands in the first pair of braces of a name, which all names of this store have.
pub(super) fn of(name: &str) -> Slot {
    const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
    let tag = name
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map_or(name, |(tag, _)| tag);
    CRC.checksum(tag.as_bytes()) % SLOTS as Slot
}

/// One node's view: from the first to the last slot, and the address of the primary that serves them.
pub(super) type View = Vec<(Slot, Slot, String)>;

/// Reads what `CLUSTER SLOTS` answered. `asked` is the host that was asked: a node that does not know its own says nothing.
pub(super) fn read(answer: &Value, asked: &str) -> Option<View> {
    let Value::Array(ranges) = answer else {
        return None;
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Nil => Some(String::new()),
        _ => None,
    };
    ranges
        .iter()
        .map(|range| {
            let Value::Array(range) = range else {
                return None;
            };
            let [
                Value::Int(first),
                Value::Int(last),
                Value::Array(primary),
                ..,
            ] = range.as_slice()
            else {
                return None;
            };
            let [host, Value::Int(port), ..] = primary.as_slice() else {
                return None;
            };
            let host = match text(host)?.as_str() {
                "" | "?" => asked.to_owned(),
                host => host.to_owned(),
            };
            let (first, last) = (Slot::try_from(*first).ok()?, Slot::try_from(*last).ok()?);
            let sound = first <= last && usize::from(last) < SLOTS && u16::try_from(*port).is_ok();
            sound.then(|| (first, last, format!("{host}:{port}")))
        })
        .collect()
}

/// Who serves what, as one reads it from several views.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// By the first slot of each run; `None` where nobody serves. Covers all slots.
    runs: BTreeMap<Slot, Option<String>>,
}

impl Slots {
    /// Counts the views. Of two that are named as often, the first stays.
    pub(super) fn elect(views: &[View]) -> Self {
        let mut votes: Vec<Vec<(&str, usize)>> = vec![Vec::new(); SLOTS];
        for (first, last, at) in views.iter().flatten() {
            for votes in &mut votes[usize::from(*first)..=usize::from(*last)] {
                match votes.iter_mut().find(|(other, _)| other == at) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((at, 1)),
                }
            }
        }
        let mut runs = BTreeMap::new();
        let mut before = None;
        for (slot, votes) in (0..).zip(&votes) {
            let most = votes.iter().rev().max_by_key(|(_, count)| *count);
            let elected = most.map(|(at, _)| *at);
            if before != Some(elected) {
                runs.insert(slot, elected.map(str::to_owned));
                before = Some(elected);
            }
        }
        Self { runs }
    }

    /// The address of the primary that serves this slot.
    pub(super) fn primary(&self, slot: Slot) -> Option<&str> {
        let (_, at) = self.runs.range(..=slot).next_back()?;
        at.as_deref()
    }

    /// All of the primaries, in any order, some perhaps more than once.
    pub(super) fn primaries(&self) -> impl Iterator<Item = &str> {
        self.runs.values().filter_map(Option::as_deref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_that_of_the_hash_tag() {
        // Of the cluster specification.
        assert_eq!(of("123456789"), 12739);
        assert_eq!(of("sess:{123456789}digest"), 12739);
        assert_eq!(of("sess:{foo}{bar}"), of("foo"));
        assert_eq!(of("foo"), 12182);
    }

    fn view(ranges: &[(Slot, Slot, &str)]) -> View {
        let own = |(first, last, at): &(Slot, Slot, &str)| (*first, *last, (*at).to_owned());
        ranges.iter().map(own).collect()
    }

    #[test]
    fn each_slot_goes_to_whom_most_of_the_nodes_name() {
        let now = view(&[(0, 99, "a:1"), (100, 16383, "b:2")]);
        let old = view(&[(0, 99, "a:1"), (100, 16383, "dead:9")]);
        let slots = Slots::elect(&[old.clone(), now.clone(), now]);
        assert_eq!(slots.primary(0), Some("a:1"));
        assert_eq!(slots.primary(99), Some("a:1"));
        assert_eq!(slots.primary(100), Some("b:2"));
        assert_eq!(slots.primary(16383), Some("b:2"));
        assert_eq!(slots.primaries().collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert_eq!(Slots::elect(&[old]).primary(100), Some("dead:9"));
    }

    #[test]
    fn a_slot_that_nobody_serves_has_no_primary() {
        let slots = Slots::elect(&[view(&[(5, 9, "a:1")])]);
        for (slot, primary) in [
            (0, None),
            (4, None),
            (5, Some("a:1")),
            (9, Some("a:1")),
            (10, None),
        ] {
            assert_eq!(slots.primary(slot), primary, "{slot}");
        }
        assert_eq!(Slots::elect(&[]).primary(7), None);
    }

    #[test]
    fn a_node_that_does_not_know_its_own_host_is_at_the_one_that_was_asked() {
        let node = |host: Value| Value::Array(vec![host, Value::Int(7), Value::Nil]);
        let range = |host| Value::Array(vec![Value::Int(0), Value::Int(9), node(host)]);
        let bulk = |text: &str| Value::BulkString(text.into());
        let answer = Value::Array(vec![range(bulk("")), range(Value::Nil), range(bulk("b"))]);
        let view = read(&answer, "asked").unwrap();
        let hosts: Vec<_> = view.iter().map(|(_, _, at)| at.as_str()).collect();
        assert_eq!(hosts, ["asked:7", "asked:7", "b:7"]);
        for nonsense in [Value::Nil, Value::Array(vec![Value::Int(1)])] {
            assert_eq!(read(&nonsense, "asked"), None);
        }
        let outside = Value::Array(vec![Value::Int(0), Value::Int(16384), node(bulk("a"))]);
        assert_eq!(read(&Value::Array(vec![outside]), "asked"), None);
    }
}
