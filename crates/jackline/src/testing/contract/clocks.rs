//! Clocks only run out: expiry is exact to the millisecond, renewal never goes past a limit, and time never runs backwards.

use std::sync::Arc;
use std::time::Duration;

use super::scene::{
    ABSOLUTE, IDLE, Login, MS, STEP, Scene, applied, key_beside, key_of, owner, race, set,
    visitor_key,
};
use crate::lifecycle::{Delta, SessionCap};
use crate::store::{Admitted, Committed, Loaded, Store};

/// A session lives in the last millisecond of its idle limit, to read and to write.
// Proves: J5
pub async fn a_session_lives_until_the_last_millisecond_of_its_idle_limit(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let last = scene.at(IDLE - MS);
    let key = scene.log_in(&alice, scene.start).await;
    assert!(scene.lives(&key, last).await);
    assert_eq!(scene.list(&alice, last).await, [key]);
    let new = key_of(&alice);
    let rotated = scene
        .store
        .rotate(&key, &new, Some(&alice), &Delta::default(), last)
        .await;
    assert_eq!(rotated.ok(), Some(applied()));

    let key = scene.visit("{}").await;
    let committed = scene.store.commit(&key, &set("a", "1"), last).await;
    assert_eq!(committed.ok(), Some(applied()));
    assert!(scene.lives(&key, scene.at(IDLE)).await, "a write is a use");
}

/// At the very millisecond of its idle deadline a session is not live: not to read, nor to write, rotate, list or count.
// Proves: J2, J5
pub async fn at_its_idle_deadline_a_session_is_dead_in_every_respect(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let key = scene.log_in(&alice, scene.start).await;
    let deadline = scene.at(IDLE);

    let commit = scene.store.commit(&key, &set("a", "1"), deadline).await;
    assert_eq!(commit.ok(), Some(Committed::Gone), "commit");
    let new = key_of(&alice);
    let rotate = scene
        .store
        .rotate(&key, &new, Some(&alice), &set("a", "1"), deadline)
        .await;
    assert_eq!(rotate.ok(), Some(Committed::Gone), "rotate");
    assert_eq!(scene.load(&new, deadline).await, Loaded::Absent);
    let listed = scene.list(&alice, deadline).await;
    assert!(listed.is_empty(), "an expired session is listed");
    let loaded = scene.load(&key, deadline).await;
    assert!(!matches!(loaded, Loaded::Live { .. }), "load: {loaded:?}");

    let login = Login::new(&alice, key_of(&alice), deadline).cap(SessionCap::RefuseNewest(1));
    let admitted = scene.admit(login, deadline).await;
    let alone = Admitted::Done { pruned: Vec::new() };
    assert_eq!(admitted, alone, "an expired session counts for the cap");
}

/// What loads as expired is the record as it was, unchanged by what was tried on it.
// Proves: J2, J5
pub async fn an_expired_record_is_as_it_was_or_gone(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1}"#).await;
    let before = scene.live(&key, scene.start).await;
    let late = scene.at(IDLE + STEP);
    let commit = scene.store.commit(&key, &set("a", "2"), late).await;
    assert_eq!(commit.ok(), Some(Committed::Gone));
    match scene.load(&key, late).await {
        Loaded::Absent => {}
        Loaded::Trace(trace) => panic!("it left {trace:?}"),
        Loaded::Expired(record) => assert_eq!(*record, before),
        Loaded::Live { .. } => panic!("an expired session loads as live"),
    }
}

/// Each record keeps its own idle limit, whatever the others have.
// Proves: J5
pub async fn every_record_keeps_the_idle_limit_it_was_granted(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let mut keys = Vec::new();
    for minutes in [10, 20, 40] {
        let mut record = scene.visitor("{}");
        record.clocks.idle = Duration::from_secs(minutes * 60);
        let key = visitor_key();
        scene.create(&key, &record).await;
        keys.push((key, record.clocks.idle_deadline()));
    }
    for (key, deadline) in keys {
        let last = deadline.as_millis() - 1;
        let last = crate::lifecycle::UnixMs::from_millis(last);
        assert!(scene.lives(&key, last).await);
        assert!(!scene.lives(&key, deadline).await);
    }
}

/// A load renews from exactly one step after the last activity on, and not a millisecond sooner.
// Proves: J5, J9
pub async fn renewal_is_due_at_the_step_and_not_before(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1}"#).await;
    let before = scene.live(&key, scene.start).await;

    let early = scene.load(&key, scene.at(STEP - MS)).await;
    let unrenewed = Loaded::Live {
        record: Box::new(before.clone()),
        renewed: false,
    };
    assert_eq!(early, unrenewed, "a millisecond before the step");

    let due = scene.load(&key, scene.at(STEP)).await;
    let renewed = Loaded::Live {
        record: Box::new(before.clone()),
        renewed: true,
    };
    assert_eq!(due, renewed, "at the step: the record as before, renewed");

    let mut after = before;
    after.clocks.seen = scene.at(STEP);
    let version = scene.live(&key, scene.at(STEP)).await.clocks.version;
    after.clocks.version = version;
    assert_eq!(
        scene.load(&key, scene.at(STEP)).await,
        Loaded::Live {
            record: Box::new(after),
            renewed: false,
        },
        "after the renewal"
    );
}

/// Of many loads at once when the step is due, one renews.
// Proves: J5, J9
pub async fn of_concurrent_loads_one_renews(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    let renewed = race((0..16).map(|_| {
        let scene = scene.clone();
        async move {
            let loaded = scene.load(&key, scene.at(STEP)).await;
            matches!(loaded, Loaded::Live { renewed: true, .. })
        }
    }))
    .await;
    assert_eq!(renewed.iter().filter(|renewed| **renewed).count(), 1);
}

/// A renewed session lives an idle limit from its renewal, exactly.
// Proves: J5
pub async fn a_renewal_moves_the_idle_deadline_and_nothing_else(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let key = scene.log_in(&alice, scene.start).await;
    let before = scene.live(&key, scene.start).await;
    let renewal = scene.at(IDLE - MS);
    let loaded = scene.load(&key, renewal).await;
    assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));

    let last = renewal.after(IDLE - MS);
    let after = scene.live(&key, last).await;
    assert_eq!(after.clocks.seen, renewal);
    assert_eq!(after.clocks.ends, before.clocks.ends);
    assert_eq!(after.clocks.idle, before.clocks.idle);
    assert_eq!(after.meta, before.meta);
    assert_eq!(after.data, before.data);
    assert_eq!(scene.list(&alice, last).await, [key]);
    assert!(!scene.lives(&key, renewal.after(IDLE)).await);
    assert!(scene.list(&alice, renewal.after(IDLE)).await.is_empty());
}

/// An expired session is not renewed by being loaded, however often.
// Proves: J2, J5
pub async fn a_load_past_the_idle_limit_renews_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    for late in [IDLE, IDLE + MS, 2 * IDLE, 3 * IDLE] {
        let loaded = scene.load(&key, scene.at(late)).await;
        assert!(!matches!(loaded, Loaded::Live { .. }), "{loaded:?}");
    }
}

/// Past its absolute limit a record is still returned, so that a late use can be told from an unknown token; it is never
/// renewed, and goes when its idle limit runs out.
// Proves: J2, J5
pub async fn past_the_absolute_limit_a_record_is_returned_but_never_renewed(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let mut record = scene.visitor(r#"{"a":1}"#);
    record.clocks.ends = scene.at(Duration::from_secs(20 * 60));
    let key = visitor_key();
    scene.create(&key, &record).await;

    for late in [
        record.clocks.ends,
        record.clocks.ends.after(MS),
        scene.at(IDLE - MS),
    ] {
        let loaded = scene.load(&key, late).await;
        let as_it_was = Loaded::Live {
            record: Box::new(record.clone()),
            renewed: false,
        };
        assert_eq!(loaded, as_it_was);
    }
    assert!(!scene.lives(&key, scene.at(IDLE)).await);
}

/// A millisecond before its absolute end a session is still renewed, and no further than an idle limit.
// Proves: J5
pub async fn a_renewal_never_moves_the_absolute_end(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let mut record = scene.visitor("{}");
    record.clocks.ends = scene.at(Duration::from_secs(20 * 60));
    let ends = record.clocks.ends;
    let key = visitor_key();
    scene.create(&key, &record).await;
    let last = scene.at(Duration::from_secs(20 * 60) - MS);
    let loaded = scene.load(&key, last).await;
    assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
    let after = scene.live(&key, ends).await;
    assert_eq!(after.clocks.ends, ends);
    assert_eq!(after.clocks.seen, last);
}

/// A commit sets the last activity to its own time, and to nothing earlier than what is there.
// Proves: J5
pub async fn commits_set_the_last_activity_and_never_set_it_back(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    let later = scene.at(2 * STEP);
    let committed = scene.store.commit(&key, &Delta::default(), later).await;
    assert_eq!(committed.ok(), Some(applied()));
    assert_eq!(scene.live(&key, later).await.clocks.seen, later);

    // From a machine whose clock lags.
    let lagging = scene.at(STEP);
    let committed = scene.store.commit(&key, &set("a", "1"), lagging).await;
    assert_eq!(committed.ok(), Some(applied()));
    let loaded = scene.load(&key, lagging).await;
    assert!(matches!(loaded, Loaded::Live { renewed: false, .. }));
    let record = scene.live(&key, later).await;
    assert_eq!(record.clocks.seen, later);
    assert_eq!(record.clocks.version, 2);

    let new = key_beside(&key);
    let rotated = scene
        .store
        .rotate(&key, &new, None, &Delta::default(), lagging)
        .await;
    assert_eq!(rotated.ok(), Some(applied()));
    assert_eq!(scene.live(&new, later).await.clocks.seen, later);
}

/// However often and however late it is used, a session's absolute end stays where it was granted.
// Proves: J5
pub async fn no_use_extends_the_absolute_limit(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let mut key = scene.visit("{}").await;
    let ends = scene.at(ABSOLUTE);
    let mut now = scene.start;
    while now < scene.at(ABSOLUTE - IDLE) {
        now = now.after(IDLE - MS);
        let loaded = scene.load(&key, now).await;
        assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
        let committed = scene.store.commit(&key, &set("a", "1"), now).await;
        assert_eq!(committed.ok(), Some(applied()));
        let new = key_beside(&key);
        let rotated = scene
            .store
            .rotate(&key, &new, None, &Delta::default(), now)
            .await;
        assert_eq!(rotated.ok(), Some(applied()));
        key = new;
        assert_eq!(scene.live(&key, now).await.clocks.ends, ends);
    }
}

/// Reclaiming takes expired records only, no more at a time than it was told, and comes to an end.
// Proves: J2, J5
pub async fn reclaiming_takes_only_what_has_expired_in_bounded_batches(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let mut dead = Vec::new();
    for _ in 0..5 {
        dead.push(scene.visit("{}").await);
        dead.push(scene.log_in(&alice, scene.start).await);
    }
    let later = scene.at(IDLE - MS);
    let mut alive = Vec::new();
    for _ in 0..3 {
        alive.push(scene.log_in(&alice, later).await);
        let renewed = scene.visit("{}").await;
        let loaded = scene.load(&renewed, later).await;
        assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
        alive.push(renewed);
    }

    assert_eq!(scene.reclaim_all(4, later).await, 0, "nothing has expired");
    let now = scene.at(IDLE);
    let went = scene.reclaim_all(4, now).await;
    assert!(
        went == 10 || went == 0,
        "{went} of ten expired records went; a store reclaims all of them, or leaves it to its own expiry"
    );
    for key in dead {
        let loaded = scene.load(&key, now).await;
        if went == 10 {
            assert_eq!(loaded, Loaded::Absent);
        }
        assert!(!matches!(loaded, Loaded::Live { .. }));
    }
    for key in alive {
        assert!(scene.lives(&key, now).await, "a live session was reclaimed");
    }
    assert_eq!(scene.list(&alice, now).await.len(), 3);
}
