//! A rotation is one step: the new key lives if and only if the old one died, with everything that the session was.

use std::sync::Arc;

use super::scene::{MS, STEP, Scene, applied, data, increment, key_of, owner, race, set};
use crate::lifecycle::{Delta, DeltaError};
use crate::store::{Committed, Ended, Loaded, REPLACED_KEPT, Store, StoreError, Trace};

/// The new key has data, metadata and clocks; the old one has given way.
// Proves: J1, J2, J5
pub async fn rotating_moves_everything_and_kills_the_old_key(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (old, new) = scene.visit_and_move(r#"{"z":1,"a":2}"#).await;
    let before = scene.live(&old, scene.start).await;
    let now = scene.at(STEP);
    let rotated = scene
        .store
        .rotate(&old, &new, None, &Delta::default(), now)
        .await;
    assert_eq!(rotated.ok(), Some(applied()));
    assert_eq!(scene.load(&old, now).await, Loaded::Trace(Trace::Replaced));
    let mut after = before;
    after.clocks.seen = now;
    after.clocks.version += 1;
    assert_eq!(scene.live(&new, now).await, after);
    assert_eq!(scene.commit(&old, &set("b", "3")).await, Committed::Gone);
    assert_eq!(scene.load(&old, now).await, Loaded::Trace(Trace::Replaced));
}

/// For a minute, whoever comes with the old key is told that it gave way to another, also when ending it; then it is unknown.
/// Neither ending the old one nor anything else touches the new one.
// Proves: J2, J10
pub async fn an_old_key_is_known_to_have_given_way_for_a_minute(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let (first, second, third) = (
        scene.log_in(&alice, scene.start).await,
        key_of(&alice),
        key_of(&alice),
    );
    for (old, new) in [(first, second), (second, third)] {
        let rotated = scene.rotate(&old, &new, Some(&alice), Delta::default());
        assert_eq!(rotated.await, applied());
    }
    for old in [first, second] {
        let last = scene.at(REPLACED_KEPT - MS);
        for now in [scene.start, last] {
            assert_eq!(scene.load(&old, now).await, Loaded::Trace(Trace::Replaced));
            let ended = scene.store.end(&old, Some(&alice), None, now).await;
            assert_eq!(ended.ok(), Some(Ended::Trace(Trace::Replaced)));
        }
        assert_eq!(scene.commit(&old, &set("a", "1")).await, Committed::Gone);
        let after = scene.at(REPLACED_KEPT);
        assert_eq!(scene.load(&old, after).await, Loaded::Absent);
        let ended = scene.store.end(&old, Some(&alice), None, after).await;
        assert_eq!(ended.ok(), Some(Ended::Absent));
    }
    assert_eq!(scene.list(&alice, scene.start).await, [third]);
    assert_eq!(scene.data(&third).await, "{}");
}

/// A key that was ended is unknown, also when it had been rotated to: nobody lives on in its place.
// Proves: J2, J10
pub async fn an_ended_session_has_not_given_way_to_another(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (old, new) = scene.visit_and_move("{}").await;
    let rotated = scene.rotate(&old, &new, None, Delta::default());
    assert_eq!(rotated.await, applied());
    assert_eq!(scene.end(&new, None).await, Ended::Removed);
    assert_eq!(scene.load(&new, scene.start).await, Loaded::Absent);
    assert_eq!(scene.end(&new, None).await, Ended::Absent);
}

/// A rotation applies its delta on the way: data, counters and metadata. The absolute end stays.
// Proves: J1, J3, J5
pub async fn rotating_applies_the_delta_on_the_way(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let old = scene.log_in(&alice, scene.start).await;
    scene.commit(&old, &set("a", "1")).await;
    let before = scene.live(&old, scene.start).await;
    let mut delta = set("b", "2");
    assert!(delta.increment("n", 5));
    delta.set_meta(before.meta.clone().at_risk());
    let new = key_of(&alice);
    let counters = vec![5];
    assert_eq!(
        scene.rotate(&old, &new, Some(&alice), delta).await,
        Committed::Applied { counters }
    );
    let after = scene.live(&new, scene.start).await;
    assert_eq!(after.data, data(r#"{"a":1,"b":2,"n":5}"#));
    assert_eq!(after.meta, before.meta.at_risk());
    assert_eq!(after.clocks.ends, before.clocks.ends);
    assert_eq!(after.clocks.idle, before.clocks.idle);
    assert_eq!(after.clocks.version, before.clocks.version + 1);
}

/// The owner's list shows the rotated session under its new key only, in its old place, and ending reaches it there.
// Proves: J2, J4
pub async fn a_rotated_session_stays_in_its_owners_index(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let oldest = scene.log_in(&alice, scene.start).await;
    let old = scene.log_in(&alice, scene.at(STEP)).await;
    let newest = scene.log_in(&alice, scene.at(2 * STEP)).await;
    let new = key_of(&alice);
    let rotated = scene.rotate(&old, &new, Some(&alice), Delta::default());
    assert_eq!(rotated.await, applied());
    assert_eq!(scene.list(&alice, scene.start).await, [newest, new, oldest]);
    assert_eq!(scene.end_all(&alice, None).await, 3);
    assert!(!scene.lives(&new, scene.start).await);
}

/// Rotating what is not there is `Gone`, and the new key stays unknown.
// Proves: J2
pub async fn rotating_what_is_gone_creates_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let ended = scene.log_in(&alice, scene.start).await;
    assert_eq!(scene.end(&ended, Some(&alice)).await, Ended::Removed);
    for old in [key_of(&alice), ended] {
        let new = key_of(&alice);
        let rotated = scene.rotate(&old, &new, Some(&alice), set("a", "1"));
        assert_eq!(rotated.await, Committed::Gone);
        assert_eq!(scene.load(&new, scene.start).await, Loaded::Absent);
        assert_eq!(scene.load(&old, scene.start).await, Loaded::Absent);
    }
    assert!(scene.list(&alice, scene.start).await.is_empty());
}

/// Rotating onto a key that exists answers `Conflict`, and both sessions stay as they were.
// Proves: J2
pub async fn rotating_never_overwrites(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (old, taken) = scene.visit_and_move(r#"{"old":1}"#).await;
    let record = scene.visitor(r#"{"taken":1}"#);
    assert!(scene.store.create(&taken, &record).await.is_ok());
    let rotated = scene
        .store
        .rotate(&old, &taken, None, &set("a", "1"), scene.start)
        .await;
    assert!(matches!(rotated, Err(StoreError::Conflict)), "{rotated:?}");
    assert_eq!(scene.data(&old).await, r#"{"old":1}"#);
    assert_eq!(scene.data(&taken).await, r#"{"taken":1}"#);
}

/// A rotation whose delta is refused does not happen: the old key lives, unchanged, and the new one is unknown.
// Proves: J3, J8
pub async fn a_rotation_whose_delta_is_refused_does_not_happen(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let old = scene.log_in(&alice, scene.start).await;
    scene.commit(&old, &set("text", "\"x\"")).await;
    let before = scene.live(&old, scene.start).await;
    let mut delta = set("a", "1");
    assert!(delta.increment("text", 1));
    let new = key_of(&alice);
    let refused = scene
        .store
        .rotate(&old, &new, Some(&alice), &delta, scene.at(STEP))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Refused(DeltaError::NotACounter))),
        "{refused:?}"
    );
    assert_eq!(scene.live(&old, scene.start).await, before);
    assert_eq!(scene.load(&new, scene.start).await, Loaded::Absent);
    assert_eq!(scene.list(&alice, scene.start).await, [old]);
}

/// Of 16 rotations of one key at once, one is applied and one new session lives.
// Proves: J1, J2
pub async fn of_concurrent_rotations_of_one_key_one_is_applied(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let old = scene.log_in(&alice, scene.start).await;
    let answers = race((0..16).map(|n| {
        let (scene, alice) = (scene.clone(), alice.clone());
        async move {
            let new = key_of(&alice);
            let delta = set("winner", &n.to_string());
            (new, scene.rotate(&old, &new, Some(&alice), delta).await)
        }
    }))
    .await;
    let mut winners = Vec::new();
    for (n, (new, answer)) in answers.into_iter().enumerate() {
        if answer == Committed::Gone {
            assert_eq!(scene.load(&new, scene.start).await, Loaded::Absent);
        } else {
            assert_eq!(scene.data(&new).await, format!(r#"{{"winner":{n}}}"#));
            winners.push(new);
        }
    }
    assert_eq!(winners.len(), 1, "{} rotations were applied", winners.len());
    assert_eq!(scene.list(&alice, scene.start).await, winners);
    assert_eq!(
        scene.load(&old, scene.start).await,
        Loaded::Trace(Trace::Replaced)
    );
}

/// Commits that race with a rotation are applied and move along, or are `Gone` and leave no trace; none brings the old key
/// back.
// Proves: J2, J3
pub async fn commits_racing_a_rotation_are_kept_or_gone(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for _ in 0..4 {
        let (old, new) = scene.visit_and_move("{}").await;
        let answers = race((0..25).map(|n| {
            let scene = scene.clone();
            async move {
                if n == 12 {
                    return scene.rotate(&old, &new, None, Delta::default()).await;
                }
                let mut delta = increment("hits", 1);
                delta.set(format!("m{n}"), super::scene::raw("1"));
                scene.commit(&old, &delta).await
            }
        }))
        .await;
        assert_eq!(answers[12], applied(), "nothing else moves the session");
        assert_eq!(
            scene.load(&old, scene.start).await,
            Loaded::Trace(Trace::Replaced)
        );
        let after = scene.live(&new, scene.start).await.data;
        let mut hits = 0;
        for n in (0..25).filter(|n| *n != 12) {
            let kept = answers[n] != Committed::Gone;
            assert_eq!(after.raw(&format!("m{n}")).is_some(), kept, "commit {n}");
            hits += u32::from(kept);
        }
        assert_eq!(after.get::<u32>("hits").ok().flatten().unwrap_or(0), hits);
    }
}

/// Whoever looks during a rotation never finds both keys live, nor neither.
// Proves: J2
pub async fn nobody_sees_both_keys_of_a_rotation_or_neither(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for _ in 0..8 {
        let (old, new) = scene.visit_and_move("{}").await;
        race((0..8).map(|n| {
            let scene = scene.clone();
            async move {
                if n == 4 {
                    let rotated = scene.rotate(&old, &new, None, Delta::default());
                    assert_eq!(rotated.await, applied());
                } else if n % 2 == 0 {
                    for _ in 0..4 {
                        if !scene.lives(&old, scene.start).await {
                            let found = scene.lives(&new, scene.start).await;
                            assert!(found, "the old key was gone before the new one lived");
                        }
                    }
                } else {
                    for _ in 0..4 {
                        if scene.lives(&new, scene.start).await {
                            let found = scene.lives(&old, scene.start).await;
                            assert!(!found, "the old key outlived the rotation");
                        }
                    }
                }
            }
        }))
        .await;
    }
}
