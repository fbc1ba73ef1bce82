//! Re-keying: what was shared lives on in a native layout as it was, whatever happens on the way.

use std::sync::Arc;
use std::time::Duration;

use jackline::clock::{Clock, SystemClock};
use jackline::lifecycle::{Delta, Record, UnixMs};
use jackline::store::encrypted::{EncryptedStore, EncryptionKey, EncryptionKeys};
use jackline::store::memory::MemoryStore;
use jackline::store::redis::express::Rekeyed;
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::{Ended, Loaded, Page, Store};
use jackline::testing::{ManualClock, SpyStore};
use jackline::token::Bucket;

use super::{HOUR, MINUTE, Shared, key, login, now, owner, set};

/// A step that makes no load a use.
const LOOK: Duration = Duration::MAX;

const MOVED: Rekeyed = moved(1);

const fn moved(moved: u64) -> Rekeyed {
    Rekeyed {
        moved,
        over: 0,
        unreadable: 0,
    }
}

impl Shared {
    async fn rekey(&self, to: &Arc<dyn Store>) -> Result<Rekeyed, jackline::store::StoreError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        self.store.rekey(to, &clock).await
    }

    async fn native(&self) -> Arc<dyn Store> {
        let store = RedisStore::connect(&self.server.url(), RedisOptions::default()).await;
        Arc::new(store.unwrap())
    }

    async fn names(&self) -> Vec<String> {
        self.server.ask(&["KEYS", "sess:*"]).await
    }
}

async fn found(store: &Arc<dyn Store>, sid: &str, id: &str, now: UnixMs) -> Loaded {
    let home = key(sid).in_bucket(Bucket::of(&owner(id)));
    store.load(&home, LOOK, now).await.unwrap()
}

async fn live(store: &Arc<dyn Store>, sid: &str, id: &str, now: UnixMs) -> Record {
    match found(store, sid, id, now).await {
        Loaded::Live { record, .. } => *record,
        other => panic!("{sid} is {other:?}"),
    }
}

// Proves: J3, J5
#[tokio::test]
async fn a_session_is_the_same_afterwards_and_its_clocks_go_on() {
    let shared = Shared::start().await;
    let (to, now) = (shared.native().await, now());
    let mut text = login(
        "\"alice\"",
        UnixMs::from_millis(now.as_millis() - 3_600_000),
    );
    text.insert_str(text.len() - 1, r#","cart":[],"n":1.0,"o":{"b":1,"a":-0.0}"#);
    shared.express_saves("a", &text, "600").await;
    shared
        .express_saves(
            "v",
            r#"{"cookie":{"originalMaxAge":1800000},"views":3}"#,
            "1200",
        )
        .await;
    let seen = async |sid| match shared.store.load(&key(sid), LOOK, now).await.unwrap() {
        Loaded::Live { record, .. } => *record,
        other => panic!("{sid} is {other:?}"),
    };
    let (before, visitor) = (seen("a").await, seen("v").await);

    assert_eq!(shared.rekey(&to).await.unwrap(), moved(2));

    assert_eq!(live(&to, "a", "alice", now).await, before);
    assert_eq!(
        before.data.to_json(),
        r#"{"cart":[],"n":1.0,"o":{"b":1,"a":-0.0}}"#
    );
    let Loaded::Live { record, .. } = to.load(&key("v"), LOOK, now).await.unwrap() else {
        panic!("the visitor is gone");
    };
    assert_eq!(*record, visitor);
    let listed = to.list(&owner("alice"), Page::first(), now).await.unwrap();
    assert_eq!(listed.sessions.len(), 1);
    // Use does not keep the signpost; it outlasts the session without.
    let last = before.clocks.ends.after(before.clocks.idle);
    for at in [
        now,
        before.clocks.ends,
        UnixMs::from_millis(last.as_millis() - 1_000),
    ] {
        let Loaded::Live { record, renewed } = to.load(&key("a"), MINUTE, at).await.unwrap() else {
            panic!("the signpost is gone");
        };
        assert_eq!(
            (record.meta.lies_in, renewed),
            (Some(Bucket::of(&owner("alice"))), false)
        );
        assert_eq!((record.owner(), record.data.len()), (None, 0));
    }
    assert!(
        shared
            .names()
            .await
            .iter()
            .all(|name| name.starts_with("sess:{"))
    );
}

// Proves: J8
#[tokio::test]
async fn whatever_step_fails_each_session_moves_once_in_the_end() {
    let now = now();
    for lose in [false, true] {
        let mut failed = 0;
        for calls in 0.. {
            let shared = Shared::start().await;
            let sid = shared.log_in("alice", now).await;
            let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
            let spy = Arc::new(SpyStore::new(Arc::clone(&memory)));
            let to: Arc<dyn Store> = Arc::clone(&spy) as _;
            spy.lose_answers(lose);
            spy.fail_after(calls);
            let first = shared.rekey(&to).await;
            spy.lose_answers(false);
            spy.fail_all(false);
            if first.is_ok() {
                break;
            }
            failed += 1;
            assert_eq!(
                shared.names().await.len(),
                1,
                "it is not removed before it is stored"
            );
            assert_eq!(shared.rekey(&to).await.unwrap(), MOVED);
            assert_eq!(shared.rekey(&to).await.unwrap(), moved(0));
            live(&memory, &sid, "alice", now).await;
            let Loaded::Live { record, .. } = memory.load(&key(&sid), MINUTE, now).await.unwrap()
            else {
                panic!("there is no signpost");
            };
            assert!(record.meta.lies_in.is_some());
            let listed = memory
                .list(&owner("alice"), Page::first(), now)
                .await
                .unwrap();
            assert_eq!(listed.sessions.len(), 1);
            if lose {
                break;
            }
        }
        assert_eq!(failed, if lose { 1 } else { 4 });
    }
}

// Proves: J2, J3
#[tokio::test]
async fn what_was_moved_and_used_or_ended_since_is_not_moved_again() {
    let shared = Shared::start().await;
    let (to, now) = (shared.native().await, now());
    let [used, ended] = [
        shared.log_in("alice", now).await,
        shared.log_in("bob", now).await,
    ];
    let texts = [
        shared.text(&used).await.unwrap(),
        shared.text(&ended).await.unwrap(),
    ];
    assert_eq!(shared.rekey(&to).await.unwrap(), moved(2));
    let home = |sid: &str, id| key(sid).in_bucket(Bucket::of(&owner(id)));
    to.commit(&home(&used, "alice"), &set("since", "1"), now)
        .await
        .unwrap();
    let bob = owner("bob");
    let end = to
        .end(&home(&ended, "bob"), Some(&bob), None, now)
        .await
        .unwrap();
    assert_eq!(end, Ended::Removed);
    // As if the call had broken off before it removed them.
    let _: i64 = shared.server.ask(&["EVAL", "for _, n in ipairs(redis.call('KEYS', 'sess-ended:*')) do redis.call('DEL', n) end return 0", "0"]).await;
    for (sid, text) in [&used, &ended].into_iter().zip(texts) {
        shared.express_saves(sid, &text, "1800").await;
    }

    assert_eq!(shared.rekey(&to).await.unwrap(), moved(2));

    assert_eq!(
        live(&to, &used, "alice", now).await.data.to_json(),
        r#"{"since":1}"#
    );
    assert_eq!(found(&to, &ended, "bob", now).await, Loaded::Absent);
    assert_eq!(shared.rekey(&to).await.unwrap(), moved(0));
}

// Proves: J2, J4, J5
#[tokio::test]
async fn what_is_over_stays_behind() {
    let shared = Shared::start().await;
    let (to, now) = (shared.native().await, now());
    let long_ago = UnixMs::from_millis(now.as_millis() - 9 * 3_600_000);
    shared
        .express_saves("old", &login("\"alice\"", long_ago), "600")
        .await;
    let revoked = shared.log_in("bob", now).await;
    let text = shared.text(&revoked).await.unwrap();
    let later = now.after(MINUTE);
    shared
        .store
        .end_all(&owner("bob"), None, later)
        .await
        .unwrap();
    shared.express_saves(&revoked, &text, "600").await;

    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(later.after(MINUTE * 2)));
    let rekeyed = shared.store.rekey(&to, &clock).await.unwrap();

    assert_eq!((rekeyed.moved, rekeyed.over), (0, 2));
    assert_eq!(found(&to, "old", "alice", now).await, Loaded::Absent);
    assert_eq!(found(&to, &revoked, "bob", now).await, Loaded::Absent);
}

// Proves: J4
#[tokio::test]
async fn whoever_is_revoked_on_the_other_side_meanwhile_is_not_moved() {
    let shared = Shared::start().await;
    let now = now();
    let sid = shared.log_in("alice", now).await;
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let spy = Arc::new(SpyStore::new(Arc::clone(&memory)));
    let to: Arc<dyn Store> = Arc::clone(&spy) as _;
    let rekeying = async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        shared.store.rekey(&to, &clock).await.unwrap()
    };
    let revoking = async {
        // The epoch has been read then, and nothing written.
        spy.called("epoch", 1).await;
        spy.hang(true);
        spy.called("load", 1).await;
        memory.end_all(&owner("alice"), None, now).await.unwrap();
        spy.hang(false);
    };

    let (rekeyed, ()) = tokio::join!(rekeying, revoking);

    assert_eq!((rekeyed.moved, rekeyed.over), (0, 1));
    assert_eq!(found(&memory, &sid, "alice", now).await, Loaded::Absent);
    assert_eq!(
        memory.load(&key(&sid), MINUTE, now).await.unwrap(),
        Loaded::Absent
    );
    assert!(shared.names().await.is_empty());
}

// Proves: J6
#[tokio::test]
async fn with_a_key_for_encryption_what_moves_is_encrypted() {
    let shared = Shared::start().await;
    let now = now();
    let sid = shared.log_in("alice", now).await;
    shared
        .store
        .commit(&key(&sid), &set("card", "\"4111\""), now)
        .await
        .unwrap();
    let plain = shared.native().await;
    let keys = EncryptionKeys::new(
        EncryptionKey::new("an encryption key of the tests, 0123456789").unwrap(),
    );
    let to: Arc<dyn Store> = Arc::new(EncryptedStore::new(Arc::clone(&plain), keys));

    assert_eq!(shared.rekey(&to).await.unwrap(), MOVED);

    assert!(
        !live(&plain, &sid, "alice", now)
            .await
            .data
            .to_json()
            .contains("4111")
    );
    assert_eq!(
        live(&to, &sid, "alice", now).await.data.to_json(),
        r#"{"card":"4111"}"#
    );
    to.commit(
        &key(&sid).in_bucket(Bucket::of(&owner("alice"))),
        &Delta::default(),
        now.after(HOUR / 4),
    )
    .await
    .unwrap();
}
