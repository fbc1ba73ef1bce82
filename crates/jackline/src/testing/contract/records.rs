//! Records come back as they went in; update never creates, create never overwrites.

use std::sync::Arc;
use std::time::Duration;

use super::scene::{
    Login, STEP, Scene, applied, data, increment, key_beside, key_of, owner, race, remove, set,
    visitor_key,
};
use crate::lifecycle::{AwaitedLogin, Clocks, Delta, DeltaError, Identity, Role};
use crate::store::{Admitted, Committed, Ended, Loaded, Store, StoreError};

/// The store answers a ping.
// Proves: J7
pub async fn a_store_that_is_there_answers_a_ping(store: Arc<dyn Store>) {
    store.ping().await.expect("the store is there");
    assert!(!store.name().is_empty(), "a store has a name");
}

/// What was created is what is loaded, every field of it.
// Proves: J5, J8
pub async fn create_and_load_keep_every_field(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let mut record = scene.visitor(r#"{"z":1,"a":[true,null],"":{"m":"é"}}"#);
    record.clocks = Clocks {
        seen: scene.at(Duration::from_millis(3)),
        idle: Duration::from_millis(1_020_001),
        ends: scene.at(Duration::from_millis(10_800_007)),
        version: 41,
    };
    record.meta.created = scene.at(Duration::from_millis(1));
    record.meta.started = scene.at(Duration::from_millis(2));
    record.meta.authenticated = Some(scene.at(Duration::from_millis(3)));
    record.meta.step_up_due = true;
    record.meta.awaits = Some(AwaitedLogin {
        owner: owner("user-1001"),
        epoch: u64::MAX >> 11,
        began: scene.at(Duration::from_millis(4)),
    });
    let key = visitor_key();
    scene.create(&key, &record).await;
    assert_eq!(scene.live(&key, record.clocks.seen).await, record);
}

/// What was admitted is what is loaded and what is listed, every field of it.
// Proves: J5, J8
pub async fn admit_load_and_list_keep_every_field(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let mut login = Login::new(&alice, key_of(&alice), scene.at(Duration::from_millis(2)));
    login.record.meta.identity = Some(Arc::new(Identity {
        id: alice.clone(),
        name: "Алиса \"A\\'); -- \u{1F511}\u{0}\n".to_owned(),
        role: Role::new("on-call {admin}: %s"),
    }));
    login.record.meta.created = scene.start;
    login.record.data = data(r#"{"cart":["a"],"n":0.1000}"#);
    login.record.clocks.version = 7;
    let (key, record) = (login.key, login.record.clone());
    let now = record.clocks.seen;
    let admitted = scene.admit(login, now).await;
    assert_eq!(admitted, Admitted::Done { pruned: Vec::new() });
    assert_eq!(scene.live(&key, now).await, record);
    let listed = scene.store.list(&alice, crate::store::Page::first(), now);
    let listed = listed.await.expect("sessions can be listed");
    assert_eq!(listed.sessions, [(key, record)]);
    assert_eq!(listed.next, None);
}

/// Loading what was never there finds nothing.
// Proves: J2
pub async fn an_unknown_key_loads_as_absent(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    scene.visit("{}").await;
    let loaded = scene.load(&visitor_key(), scene.start).await;
    assert_eq!(loaded, Loaded::Absent);
}

/// Creating under a key that exists answers `Conflict` and leaves the record alone.
// Proves: J2
pub async fn create_never_overwrites(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"first":1}"#).await;
    let before = scene.live(&key, scene.start).await;
    let again = scene
        .store
        .create(&key, &scene.visitor(r#"{"second":2}"#))
        .await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    assert_eq!(scene.live(&key, scene.start).await, before);
}

/// Admitting under a key that exists answers `Conflict`, and nothing happens: no record, no end of the one replaced.
// Proves: J2, J8
pub async fn admit_never_overwrites(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let key = scene.log_in(&alice, scene.start).await;
    let cart = scene.visit(r#"{"cart":1}"#).await;
    let before = scene.live(&key, scene.start).await;
    let login = Login::new(&alice, key, scene.at(Duration::from_secs(1))).replacing(cart, None);
    let again = scene.try_admit(login, scene.start).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    assert_eq!(scene.live(&key, scene.start).await, before);
    assert_eq!(scene.data(&cart).await, r#"{"cart":1}"#);
}

/// Of several creations of one key at once, exactly one succeeds.
// Proves: J2
pub async fn of_concurrent_creations_of_one_key_one_wins(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = visitor_key();
    let created = race((0..16).map(|n| {
        let scene = scene.clone();
        async move {
            let record = scene.visitor(&format!(r#"{{"n":{n}}}"#));
            scene.store.create(&key, &record).await.is_ok()
        }
    }))
    .await;
    let winners: Vec<_> = (0..16).filter(|n| created[*n]).collect();
    assert_eq!(winners.len(), 1, "winners: {winners:?}");
    assert_eq!(scene.data(&key).await, format!(r#"{{"n":{}}}"#, winners[0]));
}

/// A commit on a key that was never there is `Gone`, whatever it changes, and creates nothing.
// Proves: J2
pub async fn commit_on_absent_is_gone_and_creates_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let mut meta = Delta::default();
    meta.set_meta(scene.visitor("{}").meta);
    let mut clear = Delta::default();
    clear.clear();
    let deltas = [
        set("a", "1"),
        increment("n", 1),
        remove("a"),
        meta,
        clear,
        Delta::default(),
    ];
    for delta in deltas {
        let key = visitor_key();
        assert_eq!(scene.commit(&key, &delta).await, Committed::Gone);
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
    }
}

/// A commit on a session that has ended is `Gone` and does not bring it back.
// Proves: J2
pub async fn commit_after_end_is_gone_and_resurrects_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"a":1}"#).await;
    assert_eq!(scene.end(&key, None).await, Ended::Removed);
    assert_eq!(scene.commit(&key, &set("b", "2")).await, Committed::Gone);
    assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
}

/// A delta that was made for one version of the record is applied to that one and refused for every other, also on the way to
/// another key. A renewal is no new version.
// Proves: J3
pub async fn a_delta_for_one_version_is_refused_for_every_other(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    let for_version = |version, value: &str| {
        let mut delta = set("a", value);
        delta.only_for_version(version);
        delta
    };
    assert_eq!(scene.commit(&key, &for_version(0, "1")).await, applied());
    scene.load(&key, scene.at(STEP)).await;
    for version in [0, 2] {
        let delta = for_version(version, "2");
        let (new, refused) = (key_beside(&key), scene.try_commit(&key, &delta).await);
        assert!(is_outdated(&refused), "{refused:?}");
        let rotated = scene.store.rotate(&key, &new, None, &delta, scene.start);
        let refused = rotated.await;
        assert!(is_outdated(&refused), "{refused:?}");
        assert_eq!(scene.load(&new, scene.start).await, Loaded::Absent);
    }
    assert_eq!(scene.data(&key).await, r#"{"a":1}"#);
    let new = key_beside(&key);
    let rotated = scene.rotate(&key, &new, None, for_version(1, "3"));
    assert_eq!(rotated.await, applied());
    assert_eq!(scene.data(&new).await, r#"{"a":3}"#);
    let gone = scene.commit(&key, &for_version(1, "4")).await;
    assert_eq!(gone, Committed::Gone, "of what is gone there is no version");
}

fn is_outdated(answer: &Result<Committed, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Refused(DeltaError::Outdated)))
}

/// Every commit counts the version up by one, an empty one included.
// Proves: J3
pub async fn every_commit_counts_the_version_up(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit("{}").await;
    let deltas = [
        set("a", "1"),
        increment("n", 1),
        remove("absent"),
        Delta::default(),
    ];
    for (before, delta) in (0..).zip(deltas) {
        assert_eq!(scene.live(&key, scene.start).await.clocks.version, before);
        assert_ne!(scene.commit(&key, &delta).await, Committed::Gone);
        let after = scene.live(&key, scene.start).await.clocks.version;
        assert_eq!(after, before + 1);
    }
}

/// A delta with metadata replaces the metadata whole; one without leaves it alone. Clocks and data stay either way.
// Proves: J1, J3, J5
pub async fn commit_replaces_metadata_only_when_the_delta_brings_some(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let key = scene.log_in(&alice, scene.start).await;
    let granted = scene.live(&key, scene.start).await;

    let mut delta = set("a", "1");
    delta.set_meta(granted.meta.clone().at_risk());
    assert_eq!(scene.commit(&key, &delta).await, applied());
    let risky = scene.live(&key, scene.start).await;
    assert_eq!(risky.meta, granted.meta.clone().at_risk());
    assert_eq!(risky.data, data(r#"{"a":1}"#));
    assert_eq!(risky.clocks.ends, granted.clocks.ends);
    assert_eq!(risky.clocks.idle, granted.clocks.idle);

    assert_eq!(scene.commit(&key, &set("b", "2")).await, applied());
    let later = scene.live(&key, scene.start).await;
    assert_eq!(later.meta, risky.meta);
    assert_eq!(later.owner(), Some(&alice));
    assert_eq!(later.data, data(r#"{"a":1,"b":2}"#));
}

/// Whoever reads while others write sees each write whole.
// Proves: J3
pub async fn readers_see_a_commit_whole_or_not_at_all(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let key = scene.visit(r#"{"left":0,"right":0}"#).await;
    race((1..=24).map(|n| {
        let scene = scene.clone();
        async move {
            if n % 2 == 0 {
                let mut delta = set("left", &n.to_string());
                delta.set("right", super::scene::raw(&n.to_string()));
                assert_eq!(scene.commit(&key, &delta).await, applied());
            } else {
                for _ in 0..4 {
                    let seen = scene.live(&key, scene.start).await.data;
                    let member = |name| seen.get::<u32>(name).expect("a number");
                    assert_eq!(
                        member("left"),
                        member("right"),
                        "a commit was seen half done"
                    );
                }
            }
        }
    }))
    .await;
}
