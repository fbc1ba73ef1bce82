//! A near-cache in front of Redis hears of what other instances change, and answers nothing from memory when it does not.

use std::time::Duration;

use jackline::store::near::{Announcements, NearOptions};
use jackline::store::redis::{RedisOpenError, RedisOptions, RedisStore};
use jackline::store::{Loaded, Store as _, StoreError, Trace};
use testkit::eventually;
use testkit::redis::RedisSentinels;
use testkit::relay::Relay;

use super::{Redis, now, set, visitor_key, visitor_record};
use crate::near_instance::Instance;

// Proves: J2, J9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_ends_or_changes_the_other_knows_of_at_once() {
    let redis = Redis::start().await;
    let url = redis.server.url();
    let (here, there) = (instance(&url).await, instance(&url).await);
    let key = redis.visitor(1, now()).await;
    here.knows(&key).await;
    let delta = set("a", "1");
    there.near.commit(&key, &delta, now()).await.unwrap();
    eventually("the change is seen", async || match here.load(&key).await {
        Ok(Loaded::Live { record, .. }) => record.data.raw("a").is_some(),
        other => panic!("not live: {other:?}"),
    })
    .await;

    here.knows(&key).await;
    let logged_out = Some(Trace::LoggedOut);
    let ended = there.near.end(&key, None, logged_out, now());
    ended.await.unwrap();
    here.refuses(&key).await;
}

// Proves: J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_out_or_is_emptied_in_redis_is_gone_here_too() {
    let redis = Redis::start().await;
    let here = instance(&redis.server.url()).await;
    let key = redis.visitor(1, now()).await;
    let name = redis.name_of(&key).await;
    here.knows(&key).await;
    let _: i64 = redis.ask(&["PEXPIRE", &name, "1"]).await;
    here.refuses(&key).await;

    let key = redis.visitor(2, now()).await;
    here.knows(&key).await;
    let _: String = redis.ask(&["FLUSHALL"]).await;
    here.refuses(&key).await;
}

// Proves: J2, J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ended_while_a_connection_was_cut_is_refused_after_it() {
    let redis = Redis::start().await;
    let here = instance(&redis.server.url()).await;
    let key = redis.visitor(1, now()).await;
    here.knows(&key).await;
    // In one transaction, so that nobody is told: those who could be are cut off, all but the one who asks.
    let name = redis.name_of(&key).await;
    let script = "redis.call('DEL', KEYS[1])";
    let mut cut = redis::pipe();
    cut.atomic();
    cut.cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]);
    cut.cmd("EVAL").arg(script).arg(1).arg(&name);
    let mut connection = redis.connection.clone();
    let _: (i64, redis::Value) = cut.query_async(&mut connection).await.unwrap();
    here.refuses(&key).await;

    // The store that the test itself writes with was cut off too.
    eventually("the store is back", async || {
        redis.store.ping().await.is_ok()
    })
    .await;
    let key = redis.visitor(2, now()).await;
    here.knows(&key).await;
}

// Proves: J2, J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_not_covered_up_for_longer_than_the_bound() {
    let redis = Redis::start().await;
    let here = instance(&redis.server.url()).await;
    let key = redis.visitor(1, now()).await;
    here.knows(&key).await;
    redis.server.freeze();
    eventually("nothing is answered from memory", async || {
        matches!(here.load(&key).await, Err(StoreError::Unavailable(_)))
    })
    .await;
    redis.server.thaw();
    eventually("Redis answers again", async || {
        here.load(&key).await.is_ok()
    })
    .await;
    here.knows(&key).await;
}

// Proves: J2, J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_is_believed() {
    let mut redis = Redis::start().await;
    let here = instance(&redis.server.url()).await;
    let key = redis.visitor(1, now()).await;
    here.knows(&key).await;
    redis.server.stop();
    redis.server.start_again();
    redis.server.answers().await;
    here.refuses(&key).await;
}

// Proves: J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announcements_that_are_late_or_held_up_are_waited_for_no_longer_than_the_bound() {
    let redis = Redis::start().await;
    let relay = Relay::to(redis.server.port()).await;
    let here = instance(&format!("redis://127.0.0.1:{}", relay.port())).await;
    for delay in [Some(Duration::from_millis(300)), None] {
        let key = redis.visitor(1, now()).await;
        here.knows(&key).await;
        match delay {
            Some(delay) => relay.slow_down(delay),
            None => relay.stand_still(),
        }
        redis.store.end(&key, None, None, now()).await.unwrap();
        let refused = here.refuses_within_the_bound(&key);
        let restored = async {
            if delay.is_none() {
                eventually("nothing is answered from memory", async || {
                    matches!(here.load(&key).await, Err(StoreError::Unavailable(_)))
                })
                .await;
            }
            relay.slow_down(Duration::ZERO);
        };
        match delay {
            // Not restored before it has been refused, or it would not have been late.
            Some(_) => {
                refused.await;
                restored.await;
            }
            None => drop(tokio::join!(refused, restored)),
        }
    }
}

// Proves: J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ended_at_a_new_primary_is_refused_by_whoever_had_it_from_the_old_one() {
    let servers = RedisSentinels::start().await;
    let (here, there) = (
        instance(&servers.url()).await,
        instance(&servers.url()).await,
    );
    let key = visitor_key(1);
    there
        .near
        .create(&key, &visitor_record(now()))
        .await
        .unwrap();
    let old = servers.master().await;
    eventually("the replicas have it", async || {
        let acknowledged: i64 = servers.servers()[old].ask(&["WAIT", "1", "100"]).await;
        acknowledged >= 1
    })
    .await;
    here.knows(&key).await;

    // It hangs, so that nobody is told anything, and comes back with what it had.
    servers.servers()[old].freeze();
    servers.becomes_another(old).await;
    eventually("it is ended at the new one", async || {
        there.near.end(&key, None, None, now()).await.is_ok()
    })
    .await;
    let thawing = async { servers.servers()[old].thaw() };
    tokio::join!(here.refuses_within_the_bound(&key), thawing);
    here.refuses_within_the_bound(&key).await;
}

// Proves: J11
#[tokio::test]
async fn a_cluster_is_refused_before_anybody_is_called() {
    let announcements = Announcements::new(NearOptions::new(1 << 20));
    let options = RedisOptions::default().announce_to(&announcements);
    let refused = RedisStore::connect("redis+cluster://127.0.0.1:1", options).await;
    assert!(matches!(refused, Err(RedisOpenError::NoAnnouncements)));
}

async fn instance(url: &str) -> Instance {
    let announcements = Announcements::new(NearOptions::new(1 << 20));
    let options = RedisOptions::default().announce_to(&announcements);
    let store = RedisStore::connect(url, options).await.unwrap();
    Instance::new(store, &announcements)
}
