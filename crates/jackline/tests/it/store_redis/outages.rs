//! What the store says when Redis is gone, frozen, full, read-only or locked, or holds something that nobody here wrote; and
//! that it goes on by itself as soon as Redis does.

use std::time::Duration;

use jackline::lifecycle::{Delta, Policy, Record, SessionCap};
use jackline::origin::Origin;
use jackline::store::redis::{RedisOpenError, RedisOptions, RedisStore};
use jackline::store::{Ended, Epoch, Loaded, Page, Replaced, Store, StoreError, Trace};

use super::{
    MINUTE, Redis, admission, identity, now, owned_key, owner, set, visitor_key, visitor_record,
};
use testkit::eventually;
use testkit::redis::RedisServer;

/// The time-out of half a second, and as much again and more for a busy machine.
pub(super) const BOUNDED: Duration = Duration::from_millis(1500);

/// Two seconds, and one more for a busy machine.
pub(super) const BACK: Duration = Duration::from_secs(3);

/// What the documentation says that the store's user needs.
pub(crate) const RIGHTS: &str = "~sess* +@read +@write +@scripting +@connection";

// Proves: J7, S79
#[tokio::test]
async fn a_redis_that_is_gone_is_reported_at_once_and_used_again_when_it_is_back() {
    let mut redis = Redis::start().await;
    let key = redis.visitor(1, now()).await;

    redis.server.stop();
    let unavailable = async |store: &RedisStore| {
        let answer = store.load(&key, MINUTE, now());
        let answer = tokio::time::timeout(BOUNDED, answer);
        let answer = answer.await.expect("an answer within the time-out");
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    };
    unavailable(&redis.store).await;
    // Known to be away, it costs nobody any waiting: a hundred calls take less than ten time-outs would.
    tokio::time::timeout(Duration::from_secs(5), async {
        for _ in 0..100 {
            unavailable(&redis.store).await;
        }
    })
    .await
    .expect("calls fail at once while Redis is away");

    redis.server.start_again();
    redis.server.answers().await;
    let back = async {
        eventually("the store is back by itself", async || {
            redis.store.ping().await.is_ok()
        })
        .await;
    };
    tokio::time::timeout(BACK, back)
        .await
        .expect("within two seconds of the server's return");
    // This Redis saves nothing, so the session is gone with it; and its script cache is empty.
    let loaded = redis.store.load(&key, MINUTE, now()).await.unwrap();
    assert_eq!(loaded, Loaded::Absent);
}

// Proves: J7, S79
#[tokio::test]
async fn a_frozen_redis_is_reported_within_the_time_out_and_used_again_when_it_goes_on() {
    let redis = Redis::start().await;
    let key = redis.visitor(1, now()).await;

    redis.server.freeze();
    for _ in 0..3 {
        let load = redis.store.load(&key, MINUTE, now());
        let answer = tokio::time::timeout(BOUNDED, load)
            .await
            .expect("an answer within the time-out");
        let Err(StoreError::Unavailable(why)) = answer else {
            panic!("{answer:?}");
        };
        assert!(!why.to_string().contains("sess"), "{why}");
    }
    redis.server.thaw();
    let back = eventually("the store is back by itself", async || {
        redis.store.load(&key, MINUTE, now()).await.is_ok()
    });
    tokio::time::timeout(BACK, back)
        .await
        .expect("within two seconds of the server's going on");
    assert!(redis.record(&key, now()).await.data.is_empty());
}

// Proves: J7
#[tokio::test]
async fn a_connection_that_redis_closes_is_restored_before_anybody_needs_it() {
    let redis = Redis::start().await;
    let key = redis.visitor(1, now()).await;
    for _ in 0..3 {
        let killed: i64 = redis
            .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .await;
        assert_eq!(killed, 1);
        // The store has a new connection without having been asked for anything.
        eventually("the store has reconnected", async || {
            let clients: String = redis.ask(&["CLIENT", "LIST", "TYPE", "normal"]).await;
            clients.lines().count() == 2
        })
        .await;
        redis.store.load(&key, MINUTE, now()).await.unwrap();
    }
}

// Proves: J7, J8
#[tokio::test]
async fn a_full_redis_refuses_writes_whole_and_still_ends_sessions() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let (key, _) = redis.log_in(&alice, now).await;
    let _: String = redis
        .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let before = redis.dump().await;

    let record = Record::logged_in(identity(&alice), &Policy::default(), Origin::default(), now);
    let (new, later) = (owned_key(&alice, 77), now.after(2 * MINUTE));
    let store = &redis.store;
    let delta = Delta::default();
    let mut login = admission(&new, &record, &alice);
    login.cap = SessionCap::PruneOldest(1);
    login.replaces = Some(Replaced {
        key: &key,
        owner: Some(&alice),
        carry: Some(&delta),
    });
    let refused = [
        store.create(&visitor_key(1), &visitor_record(now)).await,
        store.commit(&key, &set("a", "1"), now).await.map(drop),
        store
            .rotate(&key, &new, Some(&alice), &set("a", "1"), now)
            .await
            .map(drop),
        store.admit(&login, now).await.map(drop),
        store.load(&key, MINUTE, later).await.map(drop),
        store.ping().await,
    ];
    for answer in refused {
        let Err(StoreError::Unavailable(why)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(why.to_string(), "Redis refused with OOM");
    }
    assert_eq!(redis.dump().await, before, "nothing is half done");
    redis.record(&key, now).await;
    // What was refused is not asked again: whether it was carried out cannot always be told.
    let (again, in_full) = (redis.calls("evalsha").await, redis.calls("eval").await);
    let refused = store.commit(&key, &set("a", "1"), now).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(redis.calls("evalsha").await, again + 1);
    assert_eq!(redis.calls("eval").await, in_full);

    assert_eq!(redis.store.end_all(&alice, None, now).await.unwrap(), 1);
    assert!(redis.keys("sess:*").await.is_empty());
    let epoch = redis.store.epoch(&alice, now).await.unwrap();
    assert!(epoch > Epoch::default());
}

// Proves: J7, S79
#[tokio::test]
async fn a_read_only_redis_is_unavailable_for_writes() {
    let redis = Redis::start().await;
    let key = redis.visitor(1, now()).await;
    // A replica of a primary that is not there: it serves what it has, and takes no writes.
    let _: String = redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let answer = redis.store.commit(&key, &set("a", "1"), now()).await;
    let Err(StoreError::Unavailable(why)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(why.to_string(), "Redis refused with READONLY");
    let _: String = redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    eventually("writes are taken again", async || {
        redis
            .store
            .commit(&key, &set("a", "1"), now())
            .await
            .is_ok()
    })
    .await;
}

// Proves: J2, J7
#[tokio::test]
async fn a_session_ends_beside_something_that_is_no_trace() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let (key, _) = redis.log_in(&alice, now).await;
    let name = redis.keys("sess:*").await[0].replace("sess:", "sess-trace:");
    let _: i64 = redis.ask(&["SADD", &name, "x"]).await;
    let left = Some(Trace::LoggedOut);
    let ended = redis.store.end(&key, Some(&alice), left, now).await;
    assert_eq!(ended.unwrap(), Ended::Removed);
}

// Proves: J7, S79
#[tokio::test]
async fn what_nobody_here_wrote_is_corrupt_and_never_a_session() {
    let redis = Redis::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let (key, _) = redis.log_in(&alice, now).await;
    let name = redis.name_of(&key).await;
    let line: String = redis.ask(&["GET", &name]).await;
    let data_at = line.len() - "{}".len();
    let garbage = [
        "garbage".to_owned(),
        String::new(),
        r#"{"cookie":{},"user":1}"#.to_owned(),
        line.replacen("J1", "J2", 1),
        line[..40].to_owned(),
        line[..data_at - 3].to_owned(),
        line[..data_at].to_owned(),
        format!("{}[1]", &line[..data_at]),
        format!("{}{{\"a\":1,}}", &line[..data_at]),
        format!("{}{{\"a\":[1,2}}", &line[..data_at]),
        line.replacen("{", "[", 1),
    ];
    for value in garbage {
        let _: String = redis.ask(&["SET", &name, &value, "KEEPTTL"]).await;
        let store = &redis.store;
        let loaded = store.load(&key, MINUTE, now).await;
        assert!(
            matches!(loaded, Err(StoreError::Corrupt(_))),
            "{value:?}: {loaded:?}"
        );
        let listed = store.list(&alice, Page::first(), now).await;
        assert!(matches!(listed, Err(StoreError::Corrupt(_))), "{value:?}");
    }
    let _: String = redis.ask(&["SET", &name, "garbage", "KEEPTTL"]).await;
    let store = &redis.store;
    let committed = store.commit(&key, &set("a", "1"), now).await;
    assert!(matches!(committed, Err(StoreError::Corrupt(_))));
    let rotated = store
        .rotate(
            &key,
            &owned_key(&alice, 9),
            Some(&alice),
            &set("a", "1"),
            now,
        )
        .await;
    assert!(matches!(rotated, Err(StoreError::Corrupt(_))));
    assert_eq!(redis.ask::<String>(&["GET", &name]).await, "garbage");

    // Another type under the name, and under the index's.
    let _: i64 = redis.ask(&["DEL", &name]).await;
    let _: i64 = redis.ask(&["RPUSH", &name, "a"]).await;
    let loaded = redis.store.load(&key, MINUTE, now).await;
    assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
    let committed = redis.store.commit(&key, &set("a", "1"), now).await;
    assert!(matches!(committed, Err(StoreError::Corrupt(_))));

    let index = redis.keys("sess-owner:*").await.remove(0);
    let _: String = redis.ask(&["SET", &index, "garbage"]).await;
    let record = Record::logged_in(identity(&alice), &Policy::default(), Origin::default(), now);
    let new = owned_key(&alice, 33);
    let admitted = redis
        .store
        .admit(&admission(&new, &record, &alice), now)
        .await;
    assert!(matches!(admitted, Err(StoreError::Corrupt(_))));
    let absent = redis.store.load(&new, MINUTE, now).await.unwrap();
    assert_eq!(absent, Loaded::Absent, "nothing is half done");
    // Ending works whatever it meets.
    let ended = redis
        .store
        .end(&key, Some(&alice), Some(Trace::LoggedOut), now)
        .await
        .unwrap();
    assert_eq!(ended, Ended::Removed);
}

// Proves: D7, J6, J11
#[tokio::test]
async fn a_redis_that_cannot_be_used_is_refused_at_start_with_what_to_do_and_without_the_password()
{
    let mut locked = RedisServer::start_with(&["--requirepass", "open-sesame"]).await;
    let port = locked.port();
    let refusal = async |url: &str, options: RedisOptions| {
        let error = RedisStore::connect(url, options).await.unwrap_err();
        let text = format!("{error} {error:?}");
        for secret in ["wrong-sesame", "open-sesame"] {
            assert!(!text.contains(secret), "{text}");
        }
        (error, text)
    };
    let options = RedisOptions::default;
    for user in ["", ":wrong-sesame@", "ali:wrong-sesame@"] {
        let url = format!("redis://{user}127.0.0.1:{port}");
        let (error, text) = refusal(&url, options()).await;
        assert!(
            matches!(error, RedisOpenError::Credentials { .. }),
            "{text}"
        );
    }
    let right = format!("redis://:open-sesame@127.0.0.1:{port}");
    let store = RedisStore::connect(&right, options()).await.unwrap();
    assert!(!format!("{store:?}").contains("open-sesame"));
    store.ping().await.unwrap();

    let (error, _) = refusal("redis//:wrong-sesame@here", options()).await;
    assert!(matches!(error, RedisOpenError::Url), "{error:?}");
    let (error, _) = refusal("rediss://:wrong-sesame@127.0.0.1/#insecure", options()).await;
    assert!(matches!(error, RedisOpenError::Insecure), "{error:?}");
    let (error, _) = refusal(&right, options().prefix("no colon")).await;
    assert!(matches!(error, RedisOpenError::Prefix), "{error:?}");
    let (error, _) = refusal(&right, options().response_timeout(Duration::ZERO)).await;
    assert!(matches!(error, RedisOpenError::Timeout), "{error:?}");

    locked.freeze();
    let within = options().connection_timeout(Duration::from_millis(100));
    let (error, _) = refusal(&right, within).await;
    assert!(
        matches!(error, RedisOpenError::TimedOut { .. }),
        "{error:?}"
    );
    locked.stop();
    let (error, _) = refusal(&right, options()).await;
    assert_eq!(
        error.to_string(),
        format!(
            "nothing accepts connections at 127.0.0.1:{port}; start Redis there, or correct the URL"
        )
    );
}

// Proves: A6
#[tokio::test]
async fn a_user_with_no_more_rights_than_the_documentation_lists_will_do() {
    let redis = Redis::start().await;
    let mut words = vec!["ACL", "SETUSER", "web", "on", ">open-sesame"];
    words.extend(RIGHTS.split(' '));
    let _: String = redis.ask(&words).await;
    let url = format!("redis://web:open-sesame@127.0.0.1:{}", redis.server.port());
    let store = RedisStore::connect(&url, RedisOptions::default())
        .await
        .unwrap();

    let (alice, now) = (owner("user-1001"), now());
    let (first, second) = (owned_key(&alice, 1), owned_key(&alice, 2));
    let record = Record::logged_in(identity(&alice), &Policy::default(), Origin::default(), now);
    store.ping().await.unwrap();
    store
        .create(&visitor_key(1), &visitor_record(now))
        .await
        .unwrap();
    let mut login = admission(&first, &record, &alice);
    login.epoch = store.epoch(&alice, now).await.unwrap();
    store.admit(&login, now).await.unwrap();
    store
        .load(&first, MINUTE, now.after(2 * MINUTE))
        .await
        .unwrap();
    store.commit(&first, &set("a", "1"), now).await.unwrap();
    store
        .rotate(&first, &second, Some(&alice), &set("b", "2"), now)
        .await
        .unwrap();
    let listed = store.list(&alice, Page::first(), now).await.unwrap();
    assert_eq!(listed.sessions.len(), 1);
    store.end(&second, Some(&alice), None, now).await.unwrap();
    store.end_all(&alice, None, now).await.unwrap();
}

// Proves: J7, S79
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_wait_share_a_connection() {
    let redis = Redis::start().await;
    let key = redis.visitor(1, now()).await;
    let connections = async || -> u64 {
        let received = redis.server.info("total_connections_received").await;
        received.unwrap().parse().unwrap()
    };
    let before = connections().await;
    let store = std::sync::Arc::new(redis.connect().await);
    redis.server.freeze();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let store = std::sync::Arc::clone(&store);
        waiting.spawn(async move { store.load(&key, MINUTE, now()).await.is_err() });
    }
    let waited = tokio::time::timeout(BOUNDED, waiting.join_all()).await;
    let failed = waited.expect("all of them answered within the time-out");
    assert!(failed.into_iter().all(|failed| failed));
    redis.server.thaw();
    let back = eventually("the stores are back by themselves", async || {
        store.ping().await.is_ok() && redis.store.ping().await.is_ok()
    });
    tokio::time::timeout(BACK, back)
        .await
        .expect("within two seconds of the server's going on");
    // Two stores, an attempt every second or so while Redis was frozen, and this test's own questions.
    let more = connections().await - before;
    assert!(more < 15, "{more}");
}
