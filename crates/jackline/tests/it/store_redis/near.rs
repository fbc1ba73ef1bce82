//! A near-cache in front of Redis hears of what other instances change, and answers nothing from memory when it does not.

use jackline::store::near::{Announcements, NearOptions};
use jackline::store::redis::{RedisOpenError, RedisOptions, RedisStore};
use jackline::store::{Loaded, Store as _, StoreError, Trace};
use testkit::eventually;

use super::{Redis, now, set};
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
