//! A delta means inside PostgreSQL exactly what it means in Rust, for any data.

use jackline::lifecycle::{Data, Delta};
use jackline::store::{Committed, Loaded, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::arbitrary::{data, delta};

use super::{MINUTE, Postgres, now, raw, visitor_key, visitor_record};

// Proves: J3
#[test]
fn a_delta_inside_postgres_gives_what_it_gives_in_rust() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let postgres = runtime.block_on(Postgres::start());
    let now = now();
    let mut runner = TestRunner::new(Config {
        cases: 300,
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
                postgres.store.create(&key, &record).await.unwrap();
                for delta in &deltas {
                    let expected = delta.apply(&mut data);
                    match (postgres.store.commit(&key, delta, now).await, expected) {
                        (Ok(Committed::Applied { counters }), Ok(applied)) => {
                            prop_assert_eq!(counters, applied.counters);
                        }
                        (Err(StoreError::Refused(got)), Err(expected)) => {
                            prop_assert_eq!(got, expected);
                        }
                        (got, expected) => {
                            prop_assert!(false, "postgres {:?}, rust {:?}", got, expected);
                        }
                    }
                    let Loaded::Live { record, .. } =
                        postgres.store.load(&key, MINUTE, now).await.unwrap()
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
    let postgres = Postgres::start().await;
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
            postgres.store.create(&key, &record).await.unwrap();
            let mut delta = Delta::default();
            delta.increment("n", *step);
            let expected = delta.apply(&mut record.data);
            let got = postgres.store.commit(&key, &delta, now).await;
            match (got, expected) {
                (Ok(Committed::Applied { counters }), Ok(applied)) => {
                    assert_eq!(counters, applied.counters, "{edge} + {step}");
                }
                (Err(StoreError::Refused(got)), Err(expected)) => {
                    assert_eq!(got, expected, "{edge} + {step}");
                }
                (got, expected) => panic!("{edge} + {step}: postgres {got:?}, rust {expected:?}"),
            }
        }
    }
}

// Proves: J3, J7
#[tokio::test]
async fn ten_thousand_changes_of_ten_thousand_members_take_no_square_of_that() {
    let postgres = Postgres::start().await;
    let now = now();
    let key = visitor_key(1);
    let mut record = visitor_record(now);
    let mut delta = Delta::default();
    for n in 0..10_000 {
        record.data.set(format!("m{n}"), raw("1"));
        match n % 3 {
            0 => delta.set(format!("m{}", 2 * n), raw("2")),
            1 => delta.remove(format!("m{n}")),
            _ => assert!(delta.increment(format!("m{n}"), 1)),
        }
    }
    let mut expected: Data = record.data.clone();
    delta.apply(&mut expected).unwrap();
    postgres.store.create(&key, &record).await.unwrap();
    let commit = postgres.store.commit(&key, &delta, now);
    let commit = tokio::time::timeout(std::time::Duration::from_secs(2), commit);
    assert!(matches!(commit.await, Ok(Ok(Committed::Applied { .. }))));
    assert_eq!(postgres.record(&key, now).await.data, expected);
}
