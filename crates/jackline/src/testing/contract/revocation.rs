//! Revocation is complete: nothing of the owner's that was there before it survives, nor a login in flight.

use std::sync::Arc;

use super::scene::{IDLE, Login, MS, STEP, Scene, key_of, owner, race, set, visitor_key};
use crate::lifecycle::{Delta, UnixMs};
use crate::store::{Admitted, Committed, Epoch, Loaded, Store};

/// An owner's epoch begins at zero and becomes larger with every revocation, whatever the time is said to be.
// Proves: J4
pub async fn every_revocation_makes_the_epoch_larger(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (alice, bob) = (owner("user-1001"), owner("user-1002"));
    let mut last = scene.epoch(&alice).await;
    assert_eq!(last, Epoch(0));
    let earlier = UnixMs::from_millis(scene.start.as_millis() - 5_000);
    for now in [scene.start, scene.start, earlier, scene.at(STEP)] {
        let ended = scene.store.end_all(&alice, None, now).await;
        assert_eq!(ended.ok(), Some(0));
        let epoch = scene.epoch(&alice).await;
        assert!(epoch > last, "{epoch:?} after {last:?}");
        last = epoch;
    }
    assert_eq!(scene.epoch(&bob).await, Epoch(0), "an epoch is one owner's");
}

/// Neither logins, nor ends, nor anything else but a revocation moves the epoch.
// Proves: J4
pub async fn nothing_but_a_revocation_moves_the_epoch(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let key = scene.log_in(&alice, scene.start).await;
    let new = key_of(&alice);
    scene.commit(&key, &set("a", "1")).await;
    scene
        .rotate(&key, &new, Some(&alice), Delta::default())
        .await;
    scene.end(&new, Some(&alice)).await;
    assert_eq!(scene.epoch(&alice).await, Epoch(0));
}

/// Revoking ends all of the owner's sessions, counts them, and touches nobody else's.
// Proves: J2, J4
pub async fn a_revocation_ends_all_of_the_owners_sessions_and_nobody_elses(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (alice, bob) = (owner("user-1001"), owner("user-1002"));
    let mut keys = Vec::new();
    for n in 0..7 {
        keys.push(scene.log_in(&alice, scene.at(MS * n)).await);
    }
    let bobs = scene.log_in(&bob, scene.start).await;
    let visitor = scene.visit("{}").await;
    assert_eq!(scene.end_all(&alice, None).await, 7);
    for key in keys {
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
        assert_eq!(scene.commit(&key, &set("a", "1")).await, Committed::Gone);
        let new = key_of(&alice);
        let rotated = scene.rotate(&key, &new, Some(&alice), Delta::default());
        assert_eq!(rotated.await, Committed::Gone);
        assert!(!scene.lives(&new, scene.start).await);
    }
    assert!(scene.list(&alice, scene.start).await.is_empty());
    assert_eq!(scene.end_all(&alice, None).await, 0);
    assert!(scene.lives(&bobs, scene.start).await);
    assert!(scene.lives(&visitor, scene.start).await);
    assert_eq!(scene.list(&bob, scene.start).await, [bobs]);
}

/// Revoking all but one keeps that one, in the list too; a key that is not the owner's keeps nothing.
// Proves: J4
pub async fn a_revocation_keeps_the_one_that_is_excepted(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (alice, bob) = (owner("user-1001"), owner("user-1002"));
    let bobs = scene.log_in(&bob, scene.start).await;
    let mut keys = Vec::new();
    for n in 0..5 {
        keys.push(scene.log_in(&alice, scene.at(MS * n)).await);
    }
    let kept = keys.remove(2);
    let before = scene.live(&kept, scene.start).await;
    assert_eq!(scene.end_all(&alice, Some(&kept)).await, 4);
    assert_eq!(scene.live(&kept, scene.start).await, before);
    assert_eq!(scene.list(&alice, scene.start).await, [kept]);
    for key in keys {
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
    }
    assert!(scene.epoch(&alice).await > Epoch(0));

    assert_eq!(scene.end_all(&alice, Some(&bobs)).await, 1);
    assert!(scene.list(&alice, scene.start).await.is_empty());
    assert_eq!(scene.list(&bob, scene.start).await, [bobs]);
    assert_eq!(scene.end_all(&alice, Some(&visitor_key())).await, 0);
}

/// Of fifty logins whose credentials were checked before a revocation that they race with, none survives it; and whoever
/// was told that they are in was in before it.
// Proves: J4
pub async fn no_login_in_flight_survives_a_revocation(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    // Many races, since each has its one revocation in another place.
    for (logins, revocation) in [(50, 50), (50, 25), (8, 0), (8, 2), (8, 4), (8, 6), (8, 8)] {
        let epoch = scene.epoch(&alice).await;
        let mut keys: Vec<_> = (0..logins).map(|_| Some(key_of(&alice))).collect();
        keys.insert(revocation, None);
        let mut answers = race(keys.iter().map(|key| {
            let (scene, alice, key) = (scene.clone(), alice.clone(), *key);
            async move {
                let Some(key) = key else {
                    return scene.end_all(&alice, None).await;
                };
                let login = Login::new(&alice, key, scene.start).epoch(epoch);
                match scene.admit(login, scene.start).await {
                    Admitted::Done { .. } => 1,
                    Admitted::Revoked => 0,
                    Admitted::AtCap => panic!("there is no cap"),
                }
            }
        }))
        .await;
        let ended = answers.remove(revocation);
        let admitted: u64 = answers.into_iter().sum();
        for key in keys.into_iter().flatten() {
            assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
        }
        assert!(scene.list(&alice, scene.start).await.is_empty());
        assert_eq!(ended, admitted, "every login that came first was ended");
    }
}

/// A session that is rotated again and again while its owner's are revoked does not slip away.
// Proves: J2, J4
pub async fn no_rotation_escapes_a_revocation(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    for _ in 0..4 {
        let mut firsts = Vec::new();
        for _ in 0..6 {
            firsts.push(scene.log_in(&alice, scene.start).await);
        }
        let tasks = (0..7).map(|n| {
            let (scene, alice) = (scene.clone(), alice.clone());
            let first = firsts.get(n).copied();
            async move {
                let Some(mut key) = first else {
                    assert_eq!(scene.end_all(&alice, None).await, 6);
                    return Vec::new();
                };
                let mut keys = vec![key];
                // Rotates until the revocation comes; were it to miss the session, for a long while.
                for _ in 0..200 {
                    let new = key_of(&alice);
                    keys.push(new);
                    let rotated = scene.rotate(&key, &new, Some(&alice), Delta::default());
                    if rotated.await == Committed::Gone {
                        break;
                    }
                    key = new;
                }
                keys
            }
        });
        for key in race(tasks).await.concat() {
            assert!(!scene.lives(&key, scene.start).await);
        }
        assert!(scene.list(&alice, scene.start).await.is_empty());
    }
}

/// A revocation works on sessions that have been renewed, and does not mind those that have expired.
// Proves: J4, J5
pub async fn a_revocation_reaches_renewed_sessions_among_expired_ones(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let expired = scene.log_in(&alice, scene.start).await;
    let renewed = scene.log_in(&alice, scene.start).await;
    let loaded = scene.load(&renewed, scene.at(IDLE - MS)).await;
    assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
    let now = scene.at(IDLE + STEP);
    assert_eq!(scene.list(&alice, now).await, [renewed]);
    let ended = scene.store.end_all(&alice, None, now).await;
    let ended = ended.expect("an owner's sessions can be ended");
    assert!((1..=2).contains(&ended), "{ended} sessions ended");
    assert_eq!(scene.load(&renewed, now).await, Loaded::Absent);
    assert!(!scene.lives(&expired, now).await);
    assert!(scene.list(&alice, now).await.is_empty());
}
