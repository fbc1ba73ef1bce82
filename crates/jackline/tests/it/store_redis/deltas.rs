//! A delta means inside Redis exactly what it means in Rust, for any data, and for text that another program wrote.

use jackline::lifecycle::{Delta, DeltaError};
use jackline::store::{Committed, Loaded, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::arbitrary::{data, delta};

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
