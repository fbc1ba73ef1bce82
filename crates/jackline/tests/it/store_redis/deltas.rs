//! A delta means inside Redis exactly what it means in Rust, for any data, and for text that another program wrote.

use jackline::lifecycle::{Data, Delta, DeltaError};
use jackline::store::{Committed, Loaded, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::value::RawValue;

use super::{MINUTE, Redis, add, now, raw, set, visitor_key, visitor_record};

// Proves: J3
#[test]
fn a_delta_inside_redis_gives_what_it_gives_in_rust() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let redis = runtime.block_on(Redis::start());
    let now = now();
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let number = std::cell::Cell::new(0);
    let cases = (data(), proptest::collection::vec(delta(), 1..5));
    runner
        .run(&cases, |(mut data, deltas)| {
            number.set(number.get() + 1);
            let key = visitor_key(number.get());
            let mut record = visitor_record(now);
            record.data = data.clone();
            runtime.block_on(async {
                redis.store.create(&key, &record).await.unwrap();
                for delta in &deltas {
                    let expected = delta.apply(&mut data);
                    match (redis.store.commit(&key, delta, now).await, expected) {
                        (Ok(Committed::Applied { counters }), Ok(applied)) => {
                            prop_assert_eq!(counters, applied.counters);
                        }
                        (Err(StoreError::Refused(got)), Err(expected)) => {
                            prop_assert_eq!(got, expected);
                        }
                        (got, expected) => {
                            prop_assert!(false, "redis {:?}, rust {:?}", got, expected);
                        }
                    }
                    let Loaded::Live { record, .. } =
                        redis.store.load(&key, MINUTE, now).await.unwrap()
                    else {
                        panic!("the session is gone");
                    };
                    prop_assert_eq!(record.data.to_json(), data.to_json());
                }
                Ok(())
            })
        })
        .unwrap();
}

// Proves: J3
#[tokio::test]
async fn counters_agree_with_rust_at_every_edge() {
    let redis = Redis::start().await;
    let now = now();
    let mut edges = vec![
        "-0", "1.0", "1e3", "true", "null", "\"1\"", "[1]", "{}", "0", "-1",
    ];
    let numbers: Vec<_> = [
        (1_i128 << 53) - 2,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        (1 << 54) - 2,
        (1 << 60) + 1,
        (1 << 63) - 1,
        1 << 63,
        (1 << 63) + 1,
        10_i128.pow(18),
        10_i128.pow(19),
        10_i128.pow(20),
    ]
    .into_iter()
    .flat_map(|n| [n.to_string(), (-n).to_string()])
    .collect();
    edges.extend(numbers.iter().map(String::as_str));
    let steps: Vec<_> = [
        0,
        1,
        (1_i64 << 53) - 1,
        1 << 53,
        (1 << 54) - 3,
        (1 << 54) - 2,
        (1 << 54) - 1,
        i64::MAX,
    ]
    .into_iter()
    .flat_map(|n| [n, -n])
    .chain([i64::MIN])
    .collect();
    let mut number = 0;
    for edge in edges {
        for step in &steps {
            number += 1;
            let key = visitor_key(number);
            let mut record = visitor_record(now);
            record.data.set("n", raw(edge));
            redis.store.create(&key, &record).await.unwrap();
            let delta = add("n", *step);
            let expected = delta.apply(&mut record.data);
            let got = redis.store.commit(&key, &delta, now).await;
            match (got, expected) {
                (Ok(Committed::Applied { counters }), Ok(applied)) => {
                    assert_eq!(counters, applied.counters, "{edge} + {step}");
                }
                (Err(StoreError::Refused(got)), Err(expected)) => {
                    assert_eq!(got, expected, "{edge} + {step}");
                }
                (got, expected) => panic!("{edge} + {step}: redis {got:?}, rust {expected:?}"),
            }
        }
    }
}

// Proves: J3
#[tokio::test]
async fn a_delta_that_is_refused_changes_nothing() {
    let redis = Redis::start().await;
    let now = now();
    let key = redis.visitor(1, now).await;
    redis
        .store
        .commit(&key, &set("text", "\"x\""), now)
        .await
        .unwrap();
    let before = redis.dump().await;

    let mut delta = set("a", "1");
    delta.increment("text", 1);
    let refused = redis.store.commit(&key, &delta, now).await;
    assert!(matches!(
        refused,
        Err(StoreError::Refused(DeltaError::NotACounter))
    ));
    let mut delta = Delta::new(20);
    delta.set("long", raw("\"xxxxxxxxxxxxxxxxxxxx\""));
    let refused = redis.store.commit(&key, &delta, now).await;
    assert!(matches!(
        refused,
        Err(StoreError::Refused(DeltaError::TooLarge))
    ));
    assert_eq!(redis.dump().await, before);
}

// Proves: J3
#[tokio::test]
async fn text_that_another_program_wrote_is_changed_where_it_changes_and_nowhere_else() {
    let redis = Redis::start().await;
    let now = now();
    let key = redis.visitor(1, now).await;
    let name = redis.name_of(&key).await;
    let line: String = redis.ask(&["GET", &name]).await;
    let head = &line[..line.len() - "{}".len()];
    // Names spelled with escapes, blanks, a name that no UTF-8 text can spell, and numbers that a double would round.
    let foreign = concat!(
        r#" { "\u0061" : 1 , "big":12345678901234567890.10,"t\/u":[ "]", {"a":"\\\""} ],"#,
        r#" "\ud800":"lone", "😀":0 , "":null } "#
    );
    let _: String = redis
        .ask(&["SET", &name, &format!("{head}{foreign}"), "KEEPTTL"])
        .await;

    let mut delta = Delta::default();
    delta.increment("a", 41);
    delta.remove("t/u");
    delta.increment("😀", -1);
    delta.set("", raw("[]"));
    delta.set("new\n", raw("{ }"));
    redis.store.commit(&key, &delta, now).await.unwrap();
    let line: String = redis.ask(&["GET", &name]).await;
    assert_eq!(
        &line[head.len()..],
        r#"{"\u0061":42,"big":12345678901234567890.10,"\ud800":"lone","😀":-1,"":[],"new\n":{ }}"#
    );
}

// Proves: J3
#[tokio::test]
async fn concurrent_requests_lose_nothing_of_each_other() {
    let redis = Redis::start().await;
    let now = now();
    let key = redis.visitor(1, now).await;
    let store = std::sync::Arc::new(redis.connect().await);
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (store, key) = (store.clone(), key);
            tokio::spawn(async move {
                let mut delta = set(&format!("key{n}"), "true");
                delta.increment("all", 1);
                store.commit(&key, &delta, now).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let record = redis.record(&key, now).await;
    assert_eq!(record.data.len(), 51);
    assert_eq!(record.data.get::<i64>("all").unwrap(), Some(50));
    assert_eq!(record.clocks.version, 50);
}

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
    .prop_map(|text| raw(&text))
}

fn data() -> impl Strategy<Value = Data> {
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

fn delta() -> impl Strategy<Value = Delta> {
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
