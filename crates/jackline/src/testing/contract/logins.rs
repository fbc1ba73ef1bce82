//! A login is one step: the new session, the end of the one it replaces, and the cap. If it is refused, nothing happened.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::scene::{
    IDLE, Login, MS, STEP, Scene, data, increment, key_of, owner, race, raw, set, visitor_key,
};
use crate::lifecycle::{Delta, DeltaError, OwnerId, SessionCap};
use crate::store::{Admitted, Committed, Epoch, Loaded, Store, StoreError, Trace};
use crate::token::SessionKey;

/// What a login learns in one question is what two would have told, and the use is written down as by any load.
// Proves: J4
pub async fn a_load_for_a_login_says_what_a_load_and_an_epoch_say(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    scene.end_all(&alice, None).await;
    let cart = scene.visit(r#"{"cart":1}"#).await;
    let own = scene.log_in(&alice, scene.start).await;
    let gone = scene.log_in(&alice, scene.start).await;
    let login = Login::new(&alice, key_of(&alice), scene.start)
        .epoch(scene.epoch(&alice).await)
        .replacing(gone, Some(&alice));
    scene.admit(login, scene.start).await;
    let ask = async |key: &SessionKey, owner: &OwnerId, now| {
        let asked = scene.store.load_for_login(key, STEP, owner, now);
        asked.await.expect("the store answers")
    };
    let bob = owner("user-without-any-session");
    for key in [&cart, &own, &gone, &visitor_key()] {
        for owner in [&alice, &bob] {
            let (loaded, epoch) = ask(key, owner, scene.start).await;
            assert_eq!(loaded, scene.load(key, scene.start).await);
            assert_eq!(epoch, scene.epoch(owner).await);
        }
    }
    let renewed = |loaded| matches!(loaded, Loaded::Live { renewed: true, .. });
    let due = scene.at(STEP);
    assert!(renewed(ask(&cart, &alice, due).await.0));
    assert!(!renewed(ask(&cart, &alice, due).await.0));
    assert!(!renewed(scene.load(&cart, due).await));
}

/// Whether a login learnt the epoch alone or along with its session.
// Proves: J4
pub async fn a_login_that_began_before_a_revocation_is_refused_however_it_began(
    store: Arc<dyn Store>,
) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let cart = scene.visit(r#"{"cart":1}"#).await;
    let asked = scene.store.load_for_login(&cart, STEP, &alice, scene.start);
    let (_, epoch) = asked.await.expect("the store answers");
    scene.end_all(&alice, None).await;
    let login = Login::new(&alice, key_of(&alice), scene.start)
        .epoch(epoch)
        .replacing(cart, None);
    assert_eq!(scene.admit(login, scene.start).await, Admitted::Revoked);
    assert_eq!(scene.data(&cart).await, r#"{"cart":1}"#);
}

/// A login under an epoch that is no longer the owner's is revoked: nothing is written, nothing ends, nobody is pruned.
// Proves: J4
pub async fn a_login_from_before_a_revocation_writes_and_ends_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let before = scene.epoch(&alice).await;
    scene.end_all(&alice, None).await;
    let other = scene.log_in(&alice, scene.start).await;
    let cart = scene.visit(r#"{"cart":1}"#).await;

    let now = scene.epoch(&alice).await;
    for stale in [before, Epoch(now.0 + 1), Epoch(now.0 - 1)] {
        let login = Login::new(&alice, key_of(&alice), scene.at(STEP))
            .epoch(stale)
            .cap(SessionCap::PruneOldest(1))
            .replacing(cart, None)
            .carrying(Delta::default());
        let key = login.key;
        assert_eq!(scene.admit(login, scene.start).await, Admitted::Revoked);
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
        assert_eq!(scene.data(&cart).await, r#"{"cart":1}"#);
        assert_eq!(scene.list(&alice, scene.start).await, [other]);
    }
    let login = Login::new(&alice, key_of(&alice), scene.at(STEP)).epoch(now);
    let key = login.key;
    assert_eq!(scene.admit(login, scene.start).await, done(&[]));
    assert_eq!(scene.list(&alice, scene.start).await, [key, other]);
}

/// A login ends the visitor's session that it replaces, and takes its data along only when told to.
// Proves: J1, J2
pub async fn a_login_ends_the_visitors_session_that_it_replaces(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    for carry in [false, true] {
        let cart = scene.visit(r#"{"cart":["a",1.50]}"#).await;
        scene.commit(&cart, &set("later", "1")).await;
        let mut login = Login::new(&alice, key_of(&alice), scene.start).replacing(cart, None);
        login.record.data = data(r#"{"own":1}"#);
        if carry {
            let mut delta = increment("later", 1);
            delta.set("since", raw("2"));
            login = login.carrying(delta);
        }
        let (key, record) = (login.key, login.record.clone());
        assert_eq!(scene.admit(login, scene.start).await, done(&[]));
        assert_eq!(
            scene.load(&cart, scene.start).await,
            Loaded::Trace(Trace::Replaced)
        );
        let admitted = scene.live(&key, scene.start).await;
        assert_eq!(admitted.meta, record.meta);
        assert_eq!(admitted.clocks, record.clocks);
        assert_eq!(
            admitted.data.to_json(),
            if carry {
                r#"{"cart":["a",1.50],"later":2,"since":2}"#
            } else {
                r#"{"own":1}"#
            }
        );
        assert_eq!(scene.commit(&cart, &set("a", "1")).await, Committed::Gone);
    }
}

/// A login may replace a session of the same owner or of another; neither is listed any more.
// Proves: J1, J2, J4
pub async fn a_login_ends_the_session_that_it_replaces_whoevers_it_is(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (alice, bob) = (owner("user-1001"), owner("user-1002"));
    let bobs = scene.log_in(&bob, scene.start).await;
    let bobs_other = scene.log_in(&bob, scene.start).await;
    let login = Login::new(&alice, key_of(&alice), scene.start).replacing(bobs, Some(&bob));
    let first = login.key;
    assert_eq!(scene.admit(login, scene.start).await, done(&[]));
    assert_eq!(
        scene.load(&bobs, scene.start).await,
        Loaded::Trace(Trace::Replaced)
    );
    assert_eq!(scene.list(&bob, scene.start).await, [bobs_other]);
    assert_eq!(scene.list(&alice, scene.start).await, [first]);

    let login = Login::new(&alice, key_of(&alice), scene.at(MS)).replacing(first, Some(&alice));
    let second = login.key;
    assert_eq!(scene.admit(login, scene.start).await, done(&[]));
    assert_eq!(
        scene.load(&first, scene.start).await,
        Loaded::Trace(Trace::Replaced)
    );
    assert_eq!(scene.list(&alice, scene.start).await, [second]);
}

/// A login whose carried delta cannot be applied does not happen, and neither does one whose delta was made for another version
/// of what it replaces, or for what is not live.
// Proves: J2, J3, J8
pub async fn a_login_whose_carried_delta_is_refused_does_not_happen(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let cart = scene.visit(r#"{"text":"x"}"#).await;
    scene.commit(&cart, &set("a", "1")).await;
    let for_version = |version| {
        let mut delta = set("b", "2");
        delta.only_for_version(version);
        delta
    };
    let refusals = [
        (cart, increment("text", 1), DeltaError::NotACounter),
        (cart, for_version(0), DeltaError::Outdated),
        (visitor_key(), for_version(0), DeltaError::Outdated),
    ];
    for (old, delta, expected) in refusals {
        let login = Login::new(&alice, key_of(&alice), scene.start)
            .replacing(old, None)
            .carrying(delta);
        let key = login.key;
        let refused = scene.try_admit(login, scene.start).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(error)) if error == expected),
            "{refused:?}"
        );
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
        assert!(scene.list(&alice, scene.start).await.is_empty());
        assert_ne!(
            scene.load(&old, scene.start).await,
            Loaded::Trace(Trace::Replaced)
        );
    }
    assert_eq!(scene.data(&cart).await, r#"{"text":"x","a":1}"#);
    let login = Login::new(&alice, key_of(&alice), scene.start)
        .replacing(cart, None)
        .carrying(for_version(1));
    let key = login.key;
    assert_eq!(scene.admit(login, scene.start).await, done(&[]));
    assert_eq!(scene.data(&key).await, r#"{"text":"x","a":1,"b":2}"#);
}

/// Replacing what is expired or was never there is a plain login: no data comes along, and nothing comes back. The browser that presented
/// it has another cookie now all the same, and that is remembered.
// Proves: J2, J5
pub async fn nothing_is_carried_from_an_expired_or_unknown_session(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let expired = scene.visit(r#"{"cart":1}"#).await;
    let now = scene.at(IDLE);
    for old in [expired, visitor_key()] {
        let mut login = Login::new(&alice, key_of(&alice), now)
            .replacing(old, None)
            .carrying(set("since", "2"));
        login.record.data = data(r#"{"own":1}"#);
        let key = login.key;
        assert_eq!(scene.admit(login, now).await, done(&[]));
        assert_eq!(
            scene.live(&key, now).await.data.to_json(),
            r#"{"since":2}"#,
            "of what is dead nothing is carried"
        );
        assert_eq!(scene.load(&old, now).await, Loaded::Trace(Trace::Replaced));
    }
}

/// Commits that race with the login that carries their session's data are carried, or `Gone`.
// Proves: J2, J3
pub async fn commits_racing_a_login_that_carries_are_carried_or_gone(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    for _ in 0..4 {
        let cart = scene.visit("{}").await;
        let login = Login::new(&alice, key_of(&alice), scene.start)
            .replacing(cart, None)
            .carrying(Delta::default());
        let key = login.key;
        let kept = race((0..17).map(|n| {
            let (scene, login) = (scene.clone(), login.clone());
            async move {
                if n == 8 {
                    return scene.admit(login, scene.start).await == done(&[]);
                }
                let mut delta = increment("hits", 1);
                delta.set(format!("m{n}"), raw("1"));
                scene.commit(&cart, &delta).await != Committed::Gone
            }
        }))
        .await;
        assert!(kept[8], "the login was admitted");
        assert_eq!(
            scene.load(&cart, scene.start).await,
            Loaded::Trace(Trace::Replaced)
        );
        let after = scene.live(&key, scene.start).await.data;
        for n in (0..17).filter(|n| *n != 8) {
            assert_eq!(after.raw(&format!("m{n}")).is_some(), kept[n], "commit {n}");
        }
    }
}

/// At the cap the session that logged in longest ago ends, however lately it was used, and is named.
// Proves: J4
pub async fn the_oldest_login_is_pruned_and_named(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (alice, bob) = (owner("user-1001"), owner("user-1002"));
    let bobs = scene.log_in(&bob, scene.start).await;
    let mut keys = Vec::new();
    // Not in the order in which they reach the store: machines' clocks differ.
    for minute in [2, 0, 3, 1] {
        keys.push(scene.log_in(&alice, scene.at(STEP * minute)).await);
    }
    let [second, oldest, newest, first] = keys[..] else {
        unreachable!("four logins")
    };
    let now = scene.at(STEP * 10);
    let used = scene.load(&oldest, now).await;
    assert!(matches!(used, Loaded::Live { renewed: true, .. }));

    let capped = |cap| {
        let login = Login::new(&alice, key_of(&alice), now).cap(SessionCap::PruneOldest(cap));
        (login.key, login)
    };
    let (fifth, login) = capped(5);
    assert_eq!(scene.admit(login, now).await, done(&[]), "room for a fifth");
    let (sixth, login) = capped(5);
    assert_eq!(scene.admit(login, now).await, done(&[oldest]));
    assert_eq!(scene.load(&oldest, now).await, Loaded::Absent);

    // A cap that was lowered takes everything past it.
    let (last, login) = capped(2);
    let Admitted::Done { pruned } = scene.admit(login, now).await else {
        panic!("pruning makes room")
    };
    let listed = scene.list(&alice, now).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&last), "the login itself was pruned");
    // The fifth and the sixth began in the same millisecond; either may stay.
    assert!(listed.contains(&fifth) || listed.contains(&sixth));
    let pruned: BTreeSet<_> = pruned.into_iter().collect();
    let expected: BTreeSet<_> = [first, second, newest, fifth, sixth]
        .into_iter()
        .filter(|key| !listed.contains(key))
        .collect();
    assert_eq!(pruned, expected);
    for key in pruned {
        assert!(!scene.lives(&key, now).await);
    }
    assert!(scene.lives(&bobs, now).await, "a cap is per owner");
}

/// Expired sessions and the one that is replaced leave room for the login.
// Proves: J4, J5
pub async fn expired_and_replaced_sessions_do_not_count_for_the_cap(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    scene.log_in(&alice, scene.start).await;
    scene.log_in(&alice, scene.start).await;
    let now = scene.at(IDLE);
    let kept = scene.log_in(&alice, scene.at(IDLE - MS)).await;
    let replaced = scene.log_in(&alice, scene.at(IDLE - 2 * MS)).await;
    for cap in [SessionCap::PruneOldest(2), SessionCap::RefuseNewest(2)] {
        let current = scene.list(&alice, now).await;
        let replaced = current.into_iter().find(|key| *key != kept);
        let login = Login::new(&alice, key_of(&alice), now)
            .cap(cap)
            .replacing(replaced.expect("two live sessions"), Some(&alice));
        let key = login.key;
        assert_eq!(scene.admit(login, now).await, done(&[]), "{cap:?}");
        assert_eq!(scene.list(&alice, now).await, [key, kept]);
    }
    assert!(!scene.lives(&replaced, now).await);
}

/// A session past its absolute limit is kept until its idle limit, and is nobody's seat meanwhile.
// Proves: J5, A2
pub async fn sessions_past_their_absolute_limit_do_not_count_for_the_cap(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let over = scene.at(10 * MS);
    for at in [scene.start, scene.at(MS)] {
        let mut login = Login::new(&alice, key_of(&alice), at);
        login.record.clocks.ends = over;
        assert_eq!(scene.admit(login, at).await, done(&[]));
    }
    let refused =
        Login::new(&alice, key_of(&alice), scene.at(9 * MS)).cap(SessionCap::RefuseNewest(2));
    assert_eq!(
        scene.admit(refused, scene.at(9 * MS)).await,
        Admitted::AtCap
    );
    for cap in [SessionCap::RefuseNewest(2), SessionCap::PruneOldest(2)] {
        let login = Login::new(&alice, key_of(&alice), over).cap(cap);
        assert_eq!(scene.admit(login, over).await, done(&[]), "{cap:?}");
    }
}

/// A login refused at the cap writes nothing and ends nothing.
// Proves: J2, J4
pub async fn a_login_refused_at_the_cap_writes_and_ends_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let first = scene.log_in(&alice, scene.start).await;
    let second = scene.log_in(&alice, scene.at(MS)).await;
    let cart = scene.visit(r#"{"cart":1}"#).await;
    for cap in [1, 2] {
        let login = Login::new(&alice, key_of(&alice), scene.at(STEP))
            .cap(SessionCap::RefuseNewest(cap))
            .replacing(cart, None)
            .carrying(Delta::default());
        let key = login.key;
        assert_eq!(scene.admit(login, scene.start).await, Admitted::AtCap);
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Absent);
    }
    assert_eq!(scene.list(&alice, scene.start).await, [second, first]);
    assert_eq!(scene.data(&cart).await, r#"{"cart":1}"#);
    let login = Login::new(&alice, key_of(&alice), scene.at(STEP)).cap(SessionCap::RefuseNewest(3));
    assert_eq!(scene.admit(login, scene.start).await, done(&[]));
}

/// Fifty logins at once under a cap of five leave five sessions; the other 45 were pruned, each named once.
// Proves: J4
pub async fn fifty_logins_at_once_leave_as_many_sessions_as_the_cap_allows(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let logins = at_once(&scene, &alice, SessionCap::PruneOldest(5)).await;
    let mut pruned = BTreeSet::new();
    for (_, answer) in &logins {
        let Admitted::Done { pruned: named } = answer else {
            panic!("a login was answered {answer:?}")
        };
        for key in named {
            assert!(pruned.insert(*key), "a session was pruned twice");
        }
    }
    let now = scene.at(STEP);
    let listed = scene.list(&alice, now).await;
    assert_eq!(listed.len(), 5);
    assert_eq!(pruned.len(), 45);
    for (key, _) in logins {
        let lives = scene.lives(&key, now).await;
        assert_eq!(lives, !pruned.contains(&key));
        assert_eq!(lives, listed.contains(&key));
    }
}

/// Fifty logins at once under a cap of five that refuses: five are admitted.
// Proves: J4
pub async fn fifty_logins_at_once_never_pass_a_cap_that_refuses(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let logins = at_once(&scene, &alice, SessionCap::RefuseNewest(5)).await;
    let now = scene.at(STEP);
    let mut admitted = 0;
    for (key, answer) in logins {
        let lives = scene.lives(&key, now).await;
        match answer {
            Admitted::Done { pruned } => {
                assert!(pruned.is_empty() && lives);
                admitted += 1;
            }
            answer => assert_eq!((answer, lives), (Admitted::AtCap, false)),
        }
    }
    assert_eq!(admitted, 5);
    assert_eq!(scene.list(&alice, now).await.len(), 5);
}

async fn at_once(scene: &Scene, owner: &OwnerId, cap: SessionCap) -> Vec<(SessionKey, Admitted)> {
    race((0..50).map(|n| {
        let scene = scene.clone();
        let login = Login::new(owner, key_of(owner), scene.at(MS * (n % 7))).cap(cap);
        async move { (login.key, scene.admit(login, scene.start).await) }
    }))
    .await
}

fn done(pruned: &[SessionKey]) -> Admitted {
    Admitted::Done {
        pruned: pruned.to_vec(),
    }
}
