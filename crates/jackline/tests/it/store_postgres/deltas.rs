//! A delta means inside PostgreSQL exactly what it means in Rust, for any data.

use jackline::lifecycle::{Data, Delta};
use jackline::store::{Committed, Store};

use crate::as_in_rust;

use super::{Postgres, now, raw, visitor_key, visitor_record};

// Proves: J3
#[test]
fn a_delta_inside_postgres_gives_what_it_gives_in_rust() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let postgres = runtime.block_on(Postgres::start());
    as_in_rust::arbitrary_deltas(&runtime, &postgres.store, 300);
}

// Proves: J3
#[tokio::test]
async fn counters_agree_with_rust_at_every_edge() {
    let postgres = Postgres::start().await;
    as_in_rust::counters_at_every_edge(&postgres.store).await;
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
