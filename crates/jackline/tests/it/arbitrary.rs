//! Data and deltas of every kind, for stores that apply a delta by means of their own.

use jackline::lifecycle::{Data, Delta};
use proptest::prelude::*;
use serde_json::value::RawValue;

/// Few names, so that operations meet; some need escapes.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("n".to_owned()),
        Just(String::new()),
        Just("\"\\".to_owned()),
        Just("\u{0}\u{1f}\n/".to_owned()),
        Just("😀é\u{7f}\u{2028}".to_owned()),
        Just("a}]{[,:".to_owned()),
        any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Box<RawValue>> {
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let escapes = r#"(\\"|\\\\|\\u00e9|\\/|[{}\[\],: a]){0,12}"#;
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("false".to_owned()),
        Just("-0".to_owned()),
        Just("1.50E+3".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        (-5_i64..5).prop_map(|n| n.to_string()),
        Just(((1_i64 << 53) - 1).to_string()),
        text,
        escapes.prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let blank = prop_oneof![Just(""), Just(" "), Just("\n\t")];
        prop_oneof![
            (
                proptest::collection::vec(inner.clone(), 0..3),
                blank.clone()
            )
                .prop_map(|(items, blank)| format!("[{blank}{}{blank}]", items.join(","))),
            (proptest::collection::vec((name(), inner), 0..3), blank).prop_map(
                |(members, blank)| {
                    let members: Vec<_> = members
                        .into_iter()
                        .map(|(name, value)| {
                            format!("{}{blank}:{value}", serde_json::to_string(&name).unwrap())
                        })
                        .collect();
                    format!("{{{}{blank}}}", members.join(","))
                }
            ),
        ]
    })
    .prop_map(|text| RawValue::from_string(text).unwrap())
}

pub(super) fn data() -> impl Strategy<Value = Data> {
    proptest::collection::vec((name(), value()), 0..6).prop_map(|members| {
        let mut data = Data::new();
        for (name, value) in members {
            data.set(name, value);
        }
        data
    })
}

#[derive(Clone, Debug)]
enum Change {
    Set(String, Box<RawValue>),
    Remove(String),
    Increment(String, i64),
    Clear,
}

pub(super) fn delta() -> impl Strategy<Value = Delta> {
    let by = prop_oneof![-3_i64..3, any::<i64>(), Just((1 << 53) - 1), Just(1 << 53)];
    let change = prop_oneof![
        4 => (name(), value()).prop_map(|(name, value)| Change::Set(name, value)),
        3 => name().prop_map(Change::Remove),
        2 => (name(), by).prop_map(|(name, by)| Change::Increment(name, by)),
        1 => Just(Change::Clear),
    ];
    let most = prop_oneof![4 => Just(Delta::DEFAULT_MAX_DATA_BYTES), 1 => 0..60_usize];
    (proptest::collection::vec(change, 0..6), most).prop_map(|(changes, most)| {
        let mut delta = Delta::new(most);
        for change in changes {
            match change {
                Change::Set(name, value) => delta.set(name, value),
                Change::Remove(name) => delta.remove(name),
                Change::Increment(name, by) => {
                    delta.increment(name, by);
                }
                Change::Clear => delta.clear(),
            }
        }
        delta
    })
}
