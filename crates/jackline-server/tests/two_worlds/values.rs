//! A thousand random values go from one side to the other and back, and come as they went; what JavaScript itself cannot hold is
//! named.

use indexmap::IndexMap;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::browser::Browser;
use ureq::http::Method;

use crate::worlds::on_each_pair_and_among_expresses;

const BATCHES: u32 = 20;
const IN_A_BATCH: usize = 50;

/// What a JSON text says: numbers as the doubles that they are, whatever their spelling; the order of members is looked at
/// elsewhere.
#[derive(Debug, PartialEq)]
enum Said {
    Word(String),
    Number(u64),
    Text(String),
    List(Vec<Said>),
    Object(IndexMap<String, Said>),
}

impl Said {
    fn read(json: &RawValue) -> Self {
        let text = json.get();
        match text.as_bytes()[0] {
            b'{' => {
                let members: IndexMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
                let members = members.iter();
                Self::Object(
                    members
                        .map(|(name, value)| (name.clone(), Self::read(value)))
                        .collect(),
                )
            }
            b'[' => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap();
                Self::List(items.iter().map(|item| Self::read(item)).collect())
            }
            b'"' => Self::Text(serde_json::from_str(text).unwrap()),
            b'n' | b't' | b'f' => Self::Word(text.to_owned()),
            // Not by way of `serde_json`, whose doubles may be off by the last bit.
            _ => Self::Number(text.parse::<f64>().unwrap().to_bits()),
        }
    }

    fn members(text: &str) -> IndexMap<String, Self> {
        let Self::Object(members) = Self::read(&RawValue::from_string(text.to_owned()).unwrap())
        else {
            panic!("no object: {text}");
        };
        members
    }
}

/// What JavaScript can hold. A merge patch has no `null` in an object: there it removes.
fn value(null_in_objects: bool) -> impl Strategy<Value = Value> {
    let text = || {
        prop_oneof![
            any::<String>(),
            r#"["\\/{}\[\],: \n\u{0}\u{7f}\u{2028}é😀]{0,8}"#
        ]
    };
    let number = prop_oneof![
        any::<i32>().prop_map(|n| json!(n)),
        (-(1_i64 << 53)..=1 << 53).prop_map(|n| json!(n)),
        // Every double but those that JSON or JavaScript's JSON has no text for.
        proptest::num::f64::ANY
            .prop_filter("JSON knows it", |n| n.is_finite()
                && n.to_bits() != (-0.0_f64).to_bits())
            .prop_map(|n| json!(n)),
        any::<u8>().prop_map(|n| json!(f64::from(n) / 10.0)),
    ];
    let leaf = prop_oneof![
        1 => Just(json!([])),
        1 => Just(json!({})),
        1 => any::<bool>().prop_map(|word| json!(word)),
        4 => number,
        3 => text().prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let item = prop_oneof![5 => inner.clone(), 1 => Just(Value::Null)];
        let member = prop_oneof![5 => inner, u32::from(null_in_objects) => Just(Value::Null)];
        let name = prop_oneof![
            4 => text(),
            1 => prop::sample::select(vec!["", "0", "-1", "__proto__", "constructor", "toJSON", "cookie", "length"])
                .prop_map(ToOwned::to_owned),
        ];
        prop_oneof![
            proptest::collection::vec(item, 0..4).prop_map(Value::Array),
            proptest::collection::vec((name, member), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Members `v0`, `v1` and so on.
fn batch(null_in_objects: bool) -> impl Strategy<Value = String> {
    let values = proptest::collection::vec(value(null_in_objects), IN_A_BATCH);
    values.prop_map(|values| {
        let members = values.into_iter().enumerate();
        let members: serde_json::Map<_, _> =
            members.map(|(n, value)| (format!("v{n}"), value)).collect();
        Value::Object(members).to_string()
    })
}

/// Different ones each time, and the seed of those that fail is printed.
fn for_each_batch(null_in_objects: bool, mut test: impl FnMut(&str)) {
    let config = Config {
        cases: BATCHES,
        failure_persistence: None,
        rng_seed: RngSeed::Random,
        ..Config::default()
    };
    let test = std::cell::RefCell::new(&mut test);
    TestRunner::new(config)
        .run(&batch(null_in_objects), |batch| {
            test.borrow_mut()(&batch);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

fn assert_all_there(text: &str, sent: &str) {
    let (members, sent) = (Said::members(text), Said::members(sent));
    assert_eq!(sent.len(), IN_A_BATCH);
    for (name, value) in &sent {
        assert_eq!(members.get(name), Some(value), "{name}");
    }
}

/// What Express sees in the session, as JavaScript spells it.
fn seen_by_express(browser: &mut Browser) -> String {
    let answer = browser.get("/test/session");
    let parts: IndexMap<String, Box<RawValue>> = serde_json::from_str(&answer.text).unwrap();
    parts["session"].get().to_owned()
}

// Proves: J3
#[test]
fn a_thousand_values_go_from_jackline_to_express_and_back() {
    on_each_pair_and_among_expresses(|worlds| {
        // In a session of its own each: a merge patch leaves of an object what it does not name.
        for_each_batch(false, |sent| {
            let mut browser = Browser::new(&*worlds.jackline);
            let token = browser.csrf_token();
            browser.headers.insert("x-csrf-token".to_owned(), token);
            let patched = browser.send_text(Method::PATCH, "/session/data", sent);
            assert_eq!(patched.status, 200, "{patched:?}");
            browser.turn_to(&*worlds.express);
            assert_all_there(&seen_by_express(&mut browser), sent);
            // Written by Express from what it has made of all members.
            browser.get("/views");
            browser.turn_to(&*worlds.jackline);
            assert_all_there(&browser.get("/session/data").text, sent);
        });
    });
}

// Proves: J3
#[test]
fn a_thousand_values_go_from_express_to_jackline_and_back() {
    on_each_pair_and_among_expresses(|worlds| {
        for_each_batch(true, |sent| {
            let mut browser = Browser::new(&*worlds.express);
            let put = browser.send_text(Method::PUT, "/test/members", sent);
            assert_eq!(put.status, 200, "{put:?}");
            browser.turn_to(&*worlds.jackline);
            assert_all_there(&browser.get("/session/data").text, sent);
            browser.get("/views");
            browser.turn_to(&*worlds.express);
            assert_all_there(&seen_by_express(&mut browser), sent);
        });
    });
}

/// Jackline keeps these, and they are lost when Express writes: that is JavaScript.
// Proves: J3
#[test]
fn what_javascript_cannot_hold_lasts_until_express_writes() {
    crate::worlds::on_each_pair(|worlds| {
        let mut browser = Browser::new(&*worlds.jackline);
        let sent = r#"{"past":9007199254740993,"zero":-0,"huge":1e400,"spelled":1.50,"order":{"b":1,"10":2,"9":3}}"#;
        let token = browser.csrf_token();
        browser.headers.insert("x-csrf-token".to_owned(), token);
        let patched = browser.send_text(Method::PATCH, "/session/data", sent);
        assert_eq!(patched.seen(), (200, sent));
        browser.get("/profile");
        assert_eq!(browser.get("/session/data").text, sent);

        browser.turn_to(&*worlds.express);
        browser.get("/views");

        browser.turn_to(&*worlds.jackline);
        let lost = r#"{"past":9007199254740992,"zero":0,"huge":null,"spelled":1.5,"order":{"9":3,"10":2,"b":1},"views":1}"#;
        assert_eq!(browser.get("/session/data").text, lost);
    });
}
