//! Increments are exact, or refused whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::scene::{Scene, counters, increment, race, raw, set};
use crate::lifecycle::{DeltaError, MAX_COUNTER};
use crate::store::{Committed, Store, StoreError};

/// Absent counts as zero; sums are written as plain digits and keep the member's place.
// Proves: J3
pub async fn increments_are_exact_from_absent_and_below_zero(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"first":10,"last":-0}"#).await;
    for (name, by, sum) in [
        ("n", 1, 1),
        ("n", 41, 42),
        ("n", -100, -58),
        ("n", 58, 0),
        ("n", 0, 0),
        ("first", -11, -1),
        ("first", 1, 0),
        ("last", 0, 0),
        ("zero", 0, 0),
        ("below", -5, -5),
        ("first", 1_000_000_000_000_000, 1_000_000_000_000_000),
    ] {
        let counted = scene.commit(&key, &increment(name, by)).await;
        assert_eq!(counted, counters(&[sum]), "{name} plus {by}");
    }
    assert_eq!(
        scene.data(&key).await,
        r#"{"first":1000000000000000,"last":0,"n":0,"zero":0,"below":-5}"#
    );
}

/// Several counters of one delta are answered in the order of their increments, whatever else stands between.
// Proves: J3
pub async fn counters_of_one_delta_come_back_in_order(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"b":20,"a":10}"#).await;
    let mut delta = increment("c", 3);
    delta.set("x", raw("0"));
    assert!(delta.increment("a", 1));
    delta.remove("x");
    assert!(delta.increment("b", 2));
    assert_eq!(scene.commit(&key, &delta).await, counters(&[3, 11, 22]));
    assert_eq!(scene.data(&key).await, r#"{"b":22,"a":11,"c":3}"#);
}

/// A counter reaches ±(2⁵³ − 1) exactly, and not one further: the increment past it is refused and changes nothing.
// Proves: J3
pub async fn a_counter_reaches_its_bounds_and_is_refused_past_them(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for (from, by, sum) in [
        (MAX_COUNTER - 1, 1, MAX_COUNTER),
        (1 - MAX_COUNTER, -1, -MAX_COUNTER),
        (0, MAX_COUNTER, MAX_COUNTER),
        (MAX_COUNTER, -2 * MAX_COUNTER, -MAX_COUNTER),
        // These tell whole numbers from doubles.
        (-2, MAX_COUNTER + 2, MAX_COUNTER),
        (2, -MAX_COUNTER - 2, -MAX_COUNTER),
        (MAX_COUNTER, -1, MAX_COUNTER - 1),
    ] {
        let key = scene.visit(&format!(r#"{{"n":{from}}}"#)).await;
        let counted = scene.commit(&key, &increment("n", by)).await;
        assert_eq!(counted, counters(&[sum]), "{from} plus {by}");
        assert_eq!(scene.data(&key).await, format!(r#"{{"n":{sum}}}"#));
    }
    for (from, by) in [
        ("9007199254740991", 1),
        ("-9007199254740991", -1),
        ("0", MAX_COUNTER + 1),
        ("-1", MAX_COUNTER + 2),
        ("1", -MAX_COUNTER - 2),
        ("1", i64::MAX),
        ("-1", i64::MIN),
        ("0", i64::MAX),
        ("0", i64::MIN),
        ("9007199254740992", -1),
        ("9007199254740993", -5),
        ("-9007199254740992", 0),
        ("9223372036854775807", -1),
    ] {
        let data = format!(r#"{{"n":{from}}}"#);
        let key = scene.visit(&data).await;
        let before = scene.live(&key, scene.start).await;
        let refused = scene.try_commit(&key, &increment("n", by)).await;
        assert!(
            matches!(
                refused,
                Err(StoreError::Refused(DeltaError::CounterOutOfRange))
            ),
            "{from} plus {by} was answered {refused:?}"
        );
        assert_eq!(scene.live(&key, scene.start).await, before);
    }
}

/// What is not an integer is not incremented, even if it looks like one.
// Proves: J3
pub async fn what_is_not_an_integer_is_not_incremented(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for value in [
        "1.0", "1.5", "1e2", "1E0", "-0.0", "0.0", "1e400", "\"1\"", "\"\"", "true", "false",
        "null", "[]", "[1]", "{}",
    ] {
        let key = scene.visit(&format!(r#"{{"n":{value},"m":1}}"#)).await;
        let before = scene.live(&key, scene.start).await;
        let refused = scene.try_commit(&key, &increment("n", 1)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(DeltaError::NotACounter))),
            "{value} plus 1 was answered {refused:?}"
        );
        assert_eq!(scene.live(&key, scene.start).await, before);
    }
}

/// If the last of several changes fails, none is made: no data, no metadata, no clock.
// Proves: J3, J8
pub async fn a_delta_whose_last_change_fails_changes_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1,"n":5,"text":"x"}"#).await;
    let before = scene.live(&key, scene.start).await;
    let mut delta = set("a", "2");
    delta.clear();
    delta.set("new", raw("3"));
    assert!(delta.increment("n", MAX_COUNTER));
    delta.set_meta(before.meta.clone().at_risk());
    // After the clear, the counter starts from zero and this is the step too far.
    assert!(delta.increment("m", MAX_COUNTER + 1));
    let now = scene.at(super::scene::STEP);
    let refused = scene.store.commit(&key, &delta, now).await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Refused(DeltaError::CounterOutOfRange))
        ),
        "{refused:?}"
    );
    assert_eq!(scene.live(&key, scene.start).await, before);

    let mut delta = set("a", "2");
    delta.remove("n");
    assert!(delta.increment("fresh", 1));
    assert!(delta.increment("text", 1));
    let refused = scene.store.commit(&key, &delta, now).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(DeltaError::NotACounter))),
        "{refused:?}"
    );
    assert_eq!(scene.live(&key, scene.start).await, before);
}

/// 64 increments at once count to 64, and each of them is told another sum.
// Proves: J3
pub async fn concurrent_increments_count_exactly_and_answer_distinct_sums(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    let sums = race((0..64).map(|_| {
        let scene = scene.clone();
        async move {
            match scene.commit(&key, &increment("hits", 1)).await {
                Committed::Applied { counters } => counters[0],
                Committed::Gone => panic!("a live session was said to be gone"),
            }
        }
    }))
    .await;
    let distinct: BTreeSet<_> = sums.into_iter().collect();
    assert!(distinct.into_iter().eq(1..=64), "sums were given twice");
    assert_eq!(scene.data(&key).await, r#"{"hits":64}"#);
}
