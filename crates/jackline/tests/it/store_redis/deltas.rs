//! A delta means inside Redis exactly what it means in Rust, for any data, and for text that another program wrote.

use jackline::lifecycle::{Delta, DeltaError};
use jackline::store::{Store, StoreError};

use crate::as_in_rust;

use super::{Redis, now, raw, set};

// Proves: J3
#[test]
fn a_delta_inside_redis_gives_what_it_gives_in_rust() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = runtime.block_on(Redis::start());
    as_in_rust::arbitrary_deltas(&runtime, &redis.store, 400);
}

// Proves: J3
#[tokio::test]
async fn counters_agree_with_rust_at_every_edge() {
    let redis = Redis::start().await;
    as_in_rust::counters_at_every_edge(&redis.store).await;
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
