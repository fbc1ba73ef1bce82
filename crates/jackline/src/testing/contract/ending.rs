//! What has ended stays ended, and ending it again succeeds.

use std::sync::Arc;

use super::scene::{Scene, increment, key_of, owner, race, set, visitor_key};
use crate::lifecycle::Delta;
use crate::store::{Committed, Ended, Loaded, Store, Trace};

/// Ending says once that there was something to end, and succeeds ever after.
// Proves: J2
pub async fn ending_is_idempotent_and_true_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let login = scene.log_in(&alice, scene.start).await;
    for (key, whose) in [(scene.visit("{}").await, None), (login, Some(&alice))] {
        assert_eq!(scene.end(&key, whose).await, Ended::Removed);
        assert_eq!(scene.end(&key, whose).await, Ended::Absent);
        assert_eq!(scene.end(&key, whose).await, Ended::Absent);
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
    }
    assert_eq!(scene.end(&visitor_key(), None).await, Ended::Absent);
    assert_eq!(
        scene.end(&key_of(&alice), Some(&alice)).await,
        Ended::Absent
    );
}

/// Ending one session takes it off its owner's list and leaves all others alone.
// Proves: J2, J4
pub async fn ending_takes_a_session_off_its_owners_list_and_no_other(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (alice, bob) = (owner("user-1001"), owner("user-1002"));
    let ended = scene.log_in(&alice, scene.start).await;
    let stays = scene.log_in(&alice, scene.start).await;
    let bobs = scene.log_in(&bob, scene.start).await;
    let visitor = scene.visit("{}").await;
    assert_eq!(scene.end(&ended, Some(&alice)).await, Ended::Removed);
    assert_eq!(scene.list(&alice, scene.start).await, [stays]);
    assert_eq!(scene.list(&bob, scene.start).await, [bobs]);
    for key in [stays, bobs, visitor] {
        assert!(scene.lives(&key, scene.start).await);
    }
}

/// Of many who end one session at once, one is told that it was there.
// Proves: J2
pub async fn of_concurrent_ends_one_is_told_that_there_was_a_session(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    let ended = race((0..16).map(|_| {
        let scene = scene.clone();
        async move { scene.end(&key, None).await }
    }))
    .await;
    let told = ended.iter().filter(|ended| **ended == Ended::Removed);
    assert_eq!(told.count(), 1);
}

/// Whatever is committed or loaded around an end, the session is dead afterwards.
// Proves: J2
pub async fn commits_and_loads_racing_an_end_bring_nothing_back(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    for _ in 0..4 {
        let key = scene.log_in(&alice, scene.start).await;
        race((0..24).map(|n| {
            let (scene, alice) = (scene.clone(), alice.clone());
            async move {
                match n {
                    12 => assert_eq!(scene.end(&key, Some(&alice)).await, Ended::Removed),
                    n if n % 3 == 0 => {
                        scene.load(&key, scene.at(super::scene::STEP)).await;
                    }
                    n if n % 3 == 1 => {
                        scene.commit(&key, &set("a", "1")).await;
                    }
                    _ => {
                        scene.commit(&key, &increment("n", 1)).await;
                    }
                }
            }
        }))
        .await;
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
        assert!(scene.list(&alice, scene.start).await.is_empty());
        assert_eq!(scene.commit(&key, &Delta::default()).await, Committed::Gone);
    }
}

/// An end and a rotation at once: one of them finds the session. If the end did, nothing lives; if the rotation did, the
/// new key does.
// Proves: J1, J2
pub async fn of_an_end_and_a_rotation_at_once_one_finds_the_session(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    for round in 0..8 {
        let (old, new) = (scene.log_in(&alice, scene.start).await, key_of(&alice));
        let found = race((0..2).map(|n| {
            let (scene, alice) = (scene.clone(), alice.clone());
            async move {
                if n == round % 2 {
                    scene.end(&old, Some(&alice)).await == Ended::Removed
                } else {
                    let rotated = scene.rotate(&old, &new, Some(&alice), Delta::default());
                    rotated.await != Committed::Gone
                }
            }
        }))
        .await;
        let ended = found[round % 2];
        assert_ne!(found[0], found[1], "both found the session, or neither did");
        let trace = if ended {
            Loaded::Absent
        } else {
            Loaded::Trace(Trace::Replaced)
        };
        assert_eq!(scene.load(&old, scene.start).await, trace);
        assert_eq!(scene.lives(&new, scene.start).await, !ended);
        assert_eq!(scene.list(&alice, scene.start).await.is_empty(), ended);
        scene.end(&new, Some(&alice)).await;
    }
}
