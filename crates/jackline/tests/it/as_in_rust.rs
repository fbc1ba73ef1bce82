//! That a delta means in a store exactly what it means in Rust, for stores that apply it by means of their own.

use std::time::Duration;

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{Delta, Policy, Record, UnixMs};
use jackline::origin::Origin;
use jackline::store::{Committed, Loaded, Store, StoreError};
use jackline::token::{Bucket, SessionKey, SessionToken};
use proptest::test_runner::{Config, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use crate::arbitrary::{data, delta};

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> UnixMs {
    SystemClock.now()
}

fn visitor_key(number: u32) -> SessionKey {
    let mut random = [9; 24];
    random[..4].copy_from_slice(&number.to_be_bytes());
    SessionToken::from_random(random, Bucket::from_number(258)).key()
}

fn visitor_record(now: UnixMs) -> Record {
    Record::visitor(&Policy::default(), Origin::default(), now)
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Applies made-up deltas to made-up data, here and there.
pub(crate) fn arbitrary_deltas(runtime: &Runtime, store: &dyn Store, cases: u32) {
    let now = now();
    let mut runner = TestRunner::new(Config {
        cases,
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
                store.create(&key, &record).await.unwrap();
                for delta in &deltas {
                    let expected = delta.apply(&mut data);
                    match (store.commit(&key, delta, now).await, expected) {
                        (Ok(Committed::Applied { counters }), Ok(applied)) => {
                            prop_assert_eq!(counters, applied.counters);
                        }
                        (Err(StoreError::Refused(got)), Err(expected)) => {
                            prop_assert_eq!(got, expected);
                        }
                        (got, expected) => {
                            prop_assert!(false, "the store {:?}, rust {:?}", got, expected);
                        }
                    }
                    let Loaded::Live { record, .. } = store.load(&key, MINUTE, now).await.unwrap()
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

/// Adds to what is hardly a number, and to numbers at the end of what is one.
pub(crate) async fn counters_at_every_edge(store: &dyn Store) {
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
            store.create(&key, &record).await.unwrap();
            let mut delta = Delta::default();
            delta.increment("n", *step);
            let expected = delta.apply(&mut record.data);
            let got = store.commit(&key, &delta, now).await;
            match (got, expected) {
                (Ok(Committed::Applied { counters }), Ok(applied)) => {
                    assert_eq!(counters, applied.counters, "{edge} + {step}");
                }
                (Err(StoreError::Refused(got)), Err(expected)) => {
                    assert_eq!(got, expected, "{edge} + {step}");
                }
                (got, expected) => panic!("{edge} + {step}: the store {got:?}, rust {expected:?}"),
            }
        }
    }
}
