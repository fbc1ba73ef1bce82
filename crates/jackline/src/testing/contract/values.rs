//! Data keeps its order and every value its own text, whatever it is; a delta does in a store what
//! [`Delta::apply`](crate::lifecycle::Delta::apply) does; concurrent deltas lose nothing of each other's.

use std::sync::Arc;
use std::time::Duration;

use super::scene::{Scene, applied, counters, data, increment, race, raw, remove, set};
use crate::lifecycle::{Data, Delta, DeltaError};
use crate::store::{Committed, Store, StoreError};

/// Setting a known member keeps its place; a new member goes last.
// Proves: J3
pub async fn set_keeps_a_members_place_and_puts_a_new_one_last(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"z":1,"a":2,"m":3}"#).await;
    let mut delta = set("a", "\"two\"");
    delta.set("b", raw("4"));
    delta.set("z", raw("[1]"));
    assert_eq!(scene.commit(&key, &delta).await, applied());
    assert_eq!(scene.data(&key).await, r#"{"z":[1],"a":"two","m":3,"b":4}"#);
}

/// Removing a member keeps the order of the others; removing what is not there changes nothing.
// Proves: J3
pub async fn remove_keeps_the_order_of_the_others(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"e":5,"d":4,"c":3,"b":2,"a":1}"#).await;
    assert_eq!(scene.commit(&key, &remove("d")).await, applied());
    assert_eq!(scene.data(&key).await, r#"{"e":5,"c":3,"b":2,"a":1}"#);
    assert_eq!(scene.commit(&key, &remove("d")).await, applied());
    assert_eq!(scene.data(&key).await, r#"{"e":5,"c":3,"b":2,"a":1}"#);
    let mut delta = remove("e");
    delta.remove("a");
    assert_eq!(scene.commit(&key, &delta).await, applied());
    assert_eq!(scene.data(&key).await, r#"{"c":3,"b":2}"#);
}

/// A member that was removed and is set again goes last.
// Proves: J3
pub async fn a_member_set_again_after_its_removal_goes_last(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1,"b":2}"#).await;
    assert_eq!(scene.commit(&key, &remove("a")).await, applied());
    assert_eq!(scene.commit(&key, &set("a", "3")).await, applied());
    assert_eq!(scene.data(&key).await, r#"{"b":2,"a":3}"#);
}

/// Removing every member leaves an empty object.
// Proves: J3
pub async fn a_session_whose_last_member_goes_is_an_empty_object(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1}"#).await;
    assert_eq!(scene.commit(&key, &remove("a")).await, applied());
    assert_eq!(scene.data(&key).await, "{}");
    assert_eq!(scene.commit(&key, &set("b", "2")).await, applied());
    assert_eq!(scene.data(&key).await, r#"{"b":2}"#);
}

/// A delta that clears takes away what its author never saw, and then sets.
// Proves: J3
pub async fn clear_comes_first_and_takes_unseen_members_too(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1,"b":2}"#).await;
    let mut delta = set("lost", "0");
    delta.clear();
    delta.set("b", raw("3"));
    assert!(delta.increment("n", 1));
    assert_eq!(scene.commit(&key, &set("unseen", "9")).await, applied());
    scene.commit(&key, &delta).await;
    assert_eq!(scene.data(&key).await, r#"{"b":3,"n":1}"#);
}

/// Values come back as the very text that went in, by every way in.
// Proves: J3, J8
pub async fn values_come_back_as_the_very_text_that_went_in(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let created = scene.visit(&whole(&values())).await;
    let set_together = scene.visit("{}").await;
    let mut delta = Delta::default();
    for (name, value) in values() {
        delta.set(name, raw(&value));
    }
    assert_eq!(scene.commit(&set_together, &delta).await, applied());
    let set_singly = scene.visit("{}").await;
    for (name, value) in values() {
        let committed = scene.commit(&set_singly, &set(&name, &value)).await;
        assert_eq!(committed, applied(), "setting {value}");
    }
    for key in [created, set_together, set_singly] {
        assert_members(&scene.live(&key, scene.start).await.data, &values());
    }
}

/// Untouched values stay the text they were while others change around them.
// Proves: J3
pub async fn untouched_values_keep_their_text_when_others_change(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(&whole(&values())).await;
    let mut delta = set("another", "{}");
    assert!(delta.increment("counter", 1));
    scene.commit(&key, &delta).await;
    scene.commit(&key, &remove("another")).await;
    scene.commit(&key, &remove("counter")).await;
    assert_members(&scene.live(&key, scene.start).await.data, &values());
}

/// Names may be any text, and each is found again by a later delta.
// Proves: J3
pub async fn names_may_be_any_text(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let members: Vec<_> = names().iter().map(|name| (*name, "1")).collect();
    let created = scene.visit(&whole(&members)).await;
    let set_here = scene.visit("{}").await;
    for name in names() {
        assert_eq!(scene.commit(&set_here, &set(name, "1")).await, applied());
    }
    for key in [created, set_here] {
        assert_members(&scene.live(&key, scene.start).await.data, &members);
        for name in names() {
            let counted = scene.commit(&key, &increment(name, 1)).await;
            let counters = vec![2];
            assert_eq!(counted, Committed::Applied { counters }, "{name:?}");
        }
        for name in names().iter().rev() {
            assert_eq!(scene.commit(&key, &remove(name)).await, applied());
            let left = scene.live(&key, scene.start).await.data;
            assert!(left.raw(name).is_none(), "{name:?} is still there");
        }
        assert_eq!(scene.data(&key).await, "{}");
    }
}

/// 64 KiB are welcome under the default limit; a megabyte is refused and changes nothing.
// Proves: J3, J9
pub async fn data_past_the_default_limit_is_refused_whole(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1}"#).await;
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let big = set("big", &text(64 * 1024));
    assert_eq!(scene.commit(&key, &big).await, applied());
    let before = scene.live(&key, scene.start).await;
    assert_eq!(before.data.to_json().len(), 64 * 1024 + 16);

    let mut too_big = set("a", "2");
    too_big.set("huge", raw(&text(1024 * 1024)));
    let refused = scene.try_commit(&key, &too_big).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(DeltaError::TooLarge))),
        "{refused:?}"
    );
    assert_eq!(scene.live(&key, scene.start).await, before);
}

/// The limit counts the bytes of the data's JSON text, escapes in names included, and is exact.
// Proves: J3
pub async fn the_data_limit_is_exact_to_the_byte(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for name in ["plain", "quo\"te\u{1}\u{e9}\u{1F511}\\"] {
        let key = scene.visit(r#"{"a":[1, 2]}"#).await;
        let mut after = data(r#"{"a":[1, 2]}"#);
        after.set(name, raw("\"value\""));
        let bytes = after.to_json().len();

        let mut tight = Delta::new(bytes - 1);
        tight.set(name, raw("\"value\""));
        let refused = scene.try_commit(&key, &tight).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(DeltaError::TooLarge))),
            "one byte too many: {refused:?}"
        );
        assert_eq!(scene.data(&key).await, r#"{"a":[1, 2]}"#);

        let mut fitting = Delta::new(bytes);
        fitting.set(name, raw("\"value\""));
        assert_eq!(scene.commit(&key, &fitting).await, applied());
        assert_eq!(scene.live(&key, scene.start).await.data, after);
    }
}

/// Fifty requests that set fifty different members at once all leave their mark.
// Proves: J3
pub async fn concurrent_sets_of_different_members_all_survive(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"before":true}"#).await;
    race((0..50).map(|n| {
        let scene = scene.clone();
        async move {
            let delta = set(&format!("m{n}"), &format!("\"{n}\""));
            assert_eq!(scene.commit(&key, &delta).await, applied());
        }
    }))
    .await;
    let record = scene.live(&key, scene.start).await;
    assert_eq!(record.data.len(), 51);
    assert_eq!(record.clocks.version, 50);
    for n in 0..50 {
        let value = record.data.get::<String>(&format!("m{n}"));
        assert_eq!(value.ok().flatten(), Some(n.to_string()), "m{n} was lost");
    }
}

/// Removals and sets at once: what was removed is gone, what was set is there.
// Proves: J3
pub async fn concurrent_removals_are_removals(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let members: Vec<_> = (0..20).map(|n| (format!("old{n}"), "1")).collect();
    let key = scene.visit(&whole(&members)).await;
    race((0..40).map(|n| {
        let scene = scene.clone();
        async move {
            let delta = if n % 2 == 0 {
                remove(&format!("old{}", n / 2))
            } else {
                set(&format!("new{}", n / 2), "2")
            };
            assert_eq!(scene.commit(&key, &delta).await, applied());
        }
    }))
    .await;
    let left = scene.live(&key, scene.start).await.data;
    assert_eq!(left.len(), 20);
    assert!(
        left.iter().all(|(name, _)| name.starts_with("new")),
        "a removed member came back"
    );
}

/// A long run of arbitrary deltas does in the store, answers and refusals included, what `Delta::apply` does here.
// Proves: J3
pub async fn arbitrary_deltas_do_what_delta_apply_does(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    let mut here = Data::new();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (names, values) = (names(), values());
    for round in 0..300 {
        let delta = arbitrary(&mut dice, &names[..8], &values);
        let expected = delta.apply(&mut here);
        let there = scene.try_commit(&key, &delta).await;
        match (there, expected) {
            (Ok(Committed::Applied { counters }), Ok(expected)) => {
                assert_eq!(counters, expected.counters, "counters of round {round}");
            }
            (Err(StoreError::Refused(refusal)), Err(expected)) => {
                assert_eq!(refusal, expected, "refusal of round {round}");
            }
            (there, expected) => {
                panic!("round {round}: the store says {there:?}, Delta::apply {expected:?}")
            }
        }
        assert_eq!(
            scene.data(&key).await,
            here.to_json(),
            "data after round {round}, {delta:?}"
        );
    }
}

/// What a delta is said to be based on changes nothing of what it does: neither if it is so, nor if others have written since.
// Proves: J3
pub async fn a_delta_is_applied_to_what_is_there_whatever_it_is_based_on(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1,"n":5,"z":"\u00e9"}"#).await;
    let first = scene.live(&key, scene.start).await;
    let delta = |name: &str| {
        let mut delta = set(name, "[0.10]");
        delta.remove("a");
        assert!(delta.increment("n", 1));
        delta.based_on(first.clocks.version, first.data.clone());
        delta
    };
    let mut meta = first.meta.clone();
    meta.step_up_due = true;
    let mut risky = delta("b");
    risky.set_meta(meta);
    let later = scene.at(Duration::from_secs(3));
    let committed = scene.store.commit(&key, &risky, later).await;
    assert_eq!(committed.expect("it can be applied"), counters(&[6]));
    let mut expected = first.clone();
    expected.commit(&risky, later).expect("it can be applied");
    assert_eq!(scene.live(&key, later).await, expected);

    // By now the record is at another version.
    assert_eq!(scene.commit(&key, &delta("c")).await, counters(&[7]));
    let data = r#"{"n":7,"z":"\u00e9","b":[0.10],"c":[0.10]}"#;
    assert_eq!(scene.data(&key).await, data);

    let now = scene.live(&key, scene.start).await;
    let based = |mut delta: Delta| {
        delta.based_on(now.clocks.version, now.data.clone());
        delta
    };
    let mut for_another = based(set("d", "1"));
    for_another.only_for_version(now.clocks.version + 1);
    let outdated = scene.try_commit(&key, &for_another).await;
    assert!(matches!(
        outdated,
        Err(StoreError::Refused(DeltaError::Outdated))
    ));
    let mut large = Delta::new(data.len());
    large.set("d", raw("1"));
    let too_large = scene.try_commit(&key, &based(large)).await;
    assert!(matches!(
        too_large,
        Err(StoreError::Refused(DeltaError::TooLarge))
    ));
    let text = scene.try_commit(&key, &based(increment("z", 1))).await;
    assert!(matches!(
        text,
        Err(StoreError::Refused(DeltaError::NotACounter))
    ));
    assert_eq!(scene.live(&key, scene.start).await, now);

    // Of those who have all loaded the same nobody loses anything.
    race((0..16).map(|number| {
        let (scene, mut delta) = (scene.clone(), increment("n", 1));
        delta.set(number.to_string(), raw("true"));
        let delta = based(delta);
        async move { scene.commit(&key, &delta).await }
    }))
    .await;
    let after = scene.live(&key, scene.start).await;
    assert_eq!(after.data.get::<i64>("n").expect("a number"), Some(7 + 16));
    assert_eq!(after.data.len(), now.data.len() + 16);

    let dead = after.clocks.idle_deadline();
    let mut late = set("d", "1");
    late.based_on(after.clocks.version, after.data.clone());
    let gone = scene.store.commit(&key, &late, dead).await;
    assert_eq!(gone.expect("an answer"), Committed::Gone);
}

fn arbitrary(dice: &mut Dice, names: &[&str], values: &[(String, String)]) -> Delta {
    let mut delta = Delta::new(if dice.below(8) == 0 { 200 } else { 20_000 });
    if dice.below(25) == 0 {
        delta.clear();
    }
    for _ in 0..dice.below(5) {
        let name = names[dice.below(names.len())];
        match dice.below(5) {
            0 => delta.remove(name),
            1 | 2 => {
                let by = [1, -1, 7, 1 << 52, -(1 << 53)][dice.below(5)];
                let _ = delta.increment(name, by);
            }
            3 => delta.set(name, raw(&dice.below(1000).to_string())),
            _ => delta.set(name, raw(&values[dice.below(values.len())].1)),
        }
    }
    delta
}

/// Numbers without pattern and the same every time (xorshift), so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
}

/// Names that a store may stumble over.
fn names() -> Vec<&'static str> {
    vec![
        "",
        "a",
        "A",
        "quote\"d",
        "back\\slash",
        "nul\u{0}inside",
        "line\nbreak\ttab\u{1b}\u{7f}\u{2028}",
        "\u{1F511}é\u{65}\u{301}",
        "'; DROP TABLE sessions; --",
        "$.path[0]",
        "a.b",
        "a/b~0",
        "\"a\":1,\"b\"",
        "\\u0041",
        "__proto__",
        "constructor",
        "0",
        "-1",
        "null",
        "%s%d%%",
        "*",
        " ",
        "{}",
        "\u{feff}bom",
        "\u{fffd}",
    ]
}

/// Values that a store may be tempted to understand, and so to change.
fn values() -> Vec<(String, String)> {
    let nested = format!("{}{}{}", "[".repeat(100), "1", "]".repeat(100));
    let nested_objects = format!("{}{}{}", "{\"a\":".repeat(100), "[]", "}".repeat(100));
    [
        "[]",
        "{}",
        "[[],{}]",
        "null",
        "true",
        "false",
        "\"\"",
        "0",
        "-0",
        "-0.0",
        "1.0",
        "0.1000",
        "1e400",
        "-1E+400",
        "1e-400",
        "1e0",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "123456789012345678901234567890.123456789012345678901234567890",
        "3.141592653589793238462643383279",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\u0000\u001f\/\b\f\"\\""#,
        r#""\u0041\u00e9""#,
        "\"\u{1F511} é e\u{301} \u{202E}\u{2028}\u{7f}\"",
        r#""{\"a\":1,\"b\":[2]}""#,
        r#""}],\"x\":{""#,
        r#""null""#,
        "[ 1 ,\t2 ]",
        "{ \"b\" : 1,\n \"a\" : 2 }",
        r#"{"a":1,"a":2}"#,
        r#"{"":{"":{"":[]}}}"#,
        r#"[1,"two",[3],{"four":4},null,true,5.50]"#,
        nested.as_str(),
        nested_objects.as_str(),
    ]
    .iter()
    .enumerate()
    .map(|(n, value)| (format!("v{n}"), (*value).to_owned()))
    .collect()
}

/// An object of these members, as JSON text.
fn whole<N: AsRef<str>, V: AsRef<str>>(members: &[(N, V)]) -> String {
    let mut whole = Data::new();
    for (name, value) in members {
        whole.set(name.as_ref(), raw(value.as_ref()));
    }
    whole.to_json()
}

fn assert_members<N: AsRef<str>, V: AsRef<str>>(found: &Data, expected: &[(N, V)]) {
    let found: Vec<_> = found
        .iter()
        .map(|(name, value)| (name, value.get()))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "members were lost or added");
}
