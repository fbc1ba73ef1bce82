//! Lists show an owner's live sessions, newest login first, each once, and nobody else's.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::scene::{IDLE, Login, MS, STEP, Scene, key_of, owner, race, set};
use crate::lifecycle::{OwnerId, UnixMs};
use crate::store::{Epoch, Page, Store};
use crate::token::{Bucket, SessionKey};

/// Newest login first, however lately the others were used; live sessions of that owner only.
// Proves: J4, J5
pub async fn lists_show_live_sessions_newest_login_first(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let (alice, bob) = (owner("user-1001"), owner("user-1002"));
    scene.visit("{}").await;
    scene.log_in(&bob, scene.start).await;
    let expired = scene.log_in(&alice, scene.start).await;
    let second = scene.log_in(&alice, scene.at(2 * STEP)).await;
    let first = scene.log_in(&alice, scene.at(STEP)).await;
    let third = scene.log_in(&alice, scene.at(3 * STEP)).await;
    let now = scene.at(4 * STEP);
    assert_eq!(
        scene.list(&alice, now).await,
        [third, second, first, expired]
    );

    let last = scene.at(IDLE);
    scene.load(&first, scene.at(IDLE - MS)).await;
    let used = set("a", "1");
    let committed = scene.store.commit(&second, &used, scene.at(IDLE - MS));
    committed.await.expect("a live session");
    assert_eq!(scene.list(&alice, last).await, [third, second, first]);
    assert!(scene.list(&owner("user-1003"), now).await.is_empty());
}

/// What a list shows is what a load finds.
// Proves: J3, J8
pub async fn lists_show_records_as_they_are_now(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let key = scene.log_in(&alice, scene.start).await;
    let mut delta = set("device", "\"telephone\"");
    delta.set_meta(scene.live(&key, scene.start).await.meta.at_risk());
    scene.commit(&key, &delta).await;
    let listed = scene.store.list(&alice, Page::first(), scene.start).await;
    let listed = listed.expect("sessions can be listed");
    let loaded = scene.live(&key, scene.start).await;
    assert_eq!(listed.sessions, [(key, loaded)]);
}

/// Paging through 300 sessions, several of one millisecond among them, shows each once and in order.
// Proves: J4
pub async fn paging_shows_every_session_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let mut all = BTreeSet::new();
    for n in 0..300 {
        all.insert(scene.log_in(&alice, scene.at(MS * (n / 3))).await);
    }
    for limit in [100, 299, 300, 301, 64] {
        let shown = pages(&scene, &alice, limit).await;
        let distinct: BTreeSet<_> = shown.iter().map(|(_, key)| *key).collect();
        assert_eq!(shown.len(), 300, "in pages of {limit}");
        assert_eq!(distinct, all, "in pages of {limit}");
        assert!(
            shown.windows(2).all(|pair| pair[0].0 >= pair[1].0),
            "not newest first"
        );
    }
    assert_eq!(scene.end_all(&alice, None).await, 300);
}

/// An owner with ten thousand sessions can page through all of them and end them all but one.
// Proves: J4
pub async fn ten_thousand_sessions_are_paged_through_and_ended(store: Arc<dyn Store>) {
    const BATCH: u32 = 250;
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let mut all = BTreeSet::new();
    for batch in 0..10_000 / BATCH {
        let begun = race((0..BATCH).map(|n| {
            let (scene, alice) = (scene.clone(), alice.clone());
            async move {
                let login = Login::new(&alice, key_of(&alice), scene.at(MS * (batch * 7 + n)));
                scene.create(&login.key, &login.record).await;
                login.key
            }
        }));
        all.extend(begun.await);
    }
    let shown = pages(&scene, &alice, 1000).await;
    assert!(shown.windows(2).all(|pair| pair[0].0 >= pair[1].0));
    assert_eq!(shown.len(), 10_000);
    let shown: BTreeSet<_> = shown.into_iter().map(|(_, key)| key).collect();
    assert_eq!(shown, all);
    let stays = all.first().copied();
    assert_eq!(scene.end_all(&alice, stays.as_ref()).await, 9_999);
    assert_eq!(scene.list(&alice, scene.start).await, Vec::from_iter(stays));
}

/// Sessions that begin and end while somebody pages do not make others show twice or not at all.
// Proves: J4
pub async fn paging_past_beginnings_and_ends_shows_the_others_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let mut keys = Vec::new();
    for n in 0..24 {
        keys.push(scene.log_in(&alice, scene.at(MS * (n / 2))).await);
    }
    let (ending, staying): (Vec<_>, Vec<_>) =
        keys.into_iter().enumerate().partition(|(n, _)| n % 4 == 1);
    let mut shown = Vec::new();
    let mut page = Page {
        after: None,
        limit: 5,
    };
    let mut ending = ending.into_iter().rev();
    loop {
        let listed = scene.store.list(&alice, page.clone(), scene.start).await;
        let listed = listed.expect("sessions can be listed");
        shown.extend(listed.sessions.into_iter().map(|(key, _)| key));
        scene.log_in(&alice, scene.at(STEP)).await;
        if let Some((_, key)) = ending.next() {
            scene.end(&key, Some(&alice)).await;
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    for (n, key) in staying {
        let times = shown.iter().filter(|shown| **shown == key).count();
        assert_eq!(times, 1, "login {n} was shown {times} times");
    }
}

/// Owners whose names are alike, or look like patterns, numbers or syntax, do not mix.
// Proves: J4
pub async fn owners_with_odd_names_do_not_mix(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let owners = odd_owners();
    let mut keys = Vec::new();
    for (n, owner) in (0..).zip(&owners) {
        let older = scene.log_in(owner, scene.at(MS * n)).await;
        let newer = scene.log_in(owner, scene.at(MS * (n + 1))).await;
        keys.push([newer, older]);
    }
    for (owner, keys) in owners.iter().zip(&keys) {
        assert_eq!(scene.list(owner, scene.start).await, keys, "{owner:?}");
        let found = scene.live(&keys[0], scene.start).await;
        assert_eq!(found.owner(), Some(owner));
    }
    for n in 0..owners.len() {
        assert_eq!(scene.epoch(&owners[n]).await, Epoch(0), "{:?}", owners[n]);
        let ended = scene.end_all(&owners[n], Some(&keys[n][0])).await;
        assert_eq!(ended, 1, "{:?}", owners[n]);
        let capped = Login::new(&owners[n], key_of(&owners[n]), scene.at(STEP))
            .epoch(scene.epoch(&owners[n]).await)
            .cap(crate::lifecycle::SessionCap::PruneOldest(2));
        let admitted = scene.admit(capped, scene.start).await;
        let pruned = Vec::new();
        assert_eq!(admitted, crate::store::Admitted::Done { pruned });
        for later in n + 1..owners.len() {
            let listed = scene.list(&owners[later], scene.start).await;
            assert_eq!(listed, keys[later], "{:?}", owners[later]);
        }
    }
}

/// Two owners whose sessions lie in one bucket do not mix.
// Proves: J4
pub async fn owners_who_share_a_bucket_do_not_mix(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    let bob = (0..)
        .map(|n| owner(&format!("neighbour-{n}")))
        .find(|other| Bucket::of(other) == Bucket::of(&alice))
        .expect("65 536 buckets fill up");
    let hers = scene.log_in(&alice, scene.start).await;
    let his = scene.log_in(&bob, scene.start).await;
    assert_eq!(scene.list(&alice, scene.start).await, [hers]);
    assert_eq!(scene.list(&bob, scene.start).await, [his]);
    assert_eq!(scene.end_all(&alice, None).await, 1);
    assert!(scene.lives(&his, scene.start).await);
    assert_eq!(scene.epoch(&bob).await, Epoch(0));
}

/// All pages of `limit`, with when each session logged in.
async fn pages(scene: &Scene, owner: &OwnerId, limit: u32) -> Vec<(UnixMs, SessionKey)> {
    let mut shown = Vec::new();
    let mut after = None;
    loop {
        let page = Page { after, limit };
        let listed = scene.store.list(owner, page, scene.start).await;
        let listed = listed.expect("sessions can be listed");
        assert!(
            shown.is_empty() || !listed.sessions.is_empty(),
            "a page led to one with nothing on it, though no session has run out"
        );
        assert!(
            listed.sessions.len() <= limit as usize,
            "a page of {} where {limit} was the limit",
            listed.sessions.len()
        );
        let began =
            |(key, record): (SessionKey, crate::lifecycle::Record)| (record.meta.started, key);
        shown.extend(listed.sessions.into_iter().map(began));
        assert!(shown.len() <= 20_000, "paging does not come to an end");
        match listed.next {
            Some(next) => after = Some(next),
            None => return shown,
        }
    }
}

fn odd_owners() -> Vec<OwnerId> {
    let longest = "x".repeat(OwnerId::MAX_BYTES);
    [
        "user-1",
        "user-10",
        "user-1 ",
        " user-1",
        "USER-1",
        "user_1",
        "user%1",
        "user",
        "7",
        "007",
        "7.0",
        "1000",
        "1e3",
        "*",
        "?",
        "user-?",
        "user-*",
        "[a-z]",
        "u[s]er-1",
        "{user-1}",
        "{}",
        "}{",
        "a}b{c",
        "%",
        "%s%00",
        "'",
        "''",
        "\"",
        "' OR 1=1 --",
        "\\",
        "user\\-1",
        ":",
        "user-1:index",
        "a:b",
        "a/b",
        "null",
        "__proto__",
        "é",
        "e\u{301}",
        "\u{1F511}",
        "ſ",
        "s",
        "İ",
        "i",
        "\u{feff}user-1",
        "user-1\u{200b}",
        &longest[1..],
        &longest,
    ]
    .into_iter()
    .map(owner)
    .collect()
}
