//! A store behind sentinels goes where they say, without a restart, and never stays with a server that was replaced.

use jackline::lifecycle::UnixMs;
use jackline::store::redis::{RedisOpenError, RedisOptions, RedisStore};
use jackline::store::{Committed, Loaded, Store, StoreError};
use jackline::token::SessionKey;

use super::{MINUTE, add, now, visitor_key, visitor_record};
use crate::store_redis::outages::{BACK, BOUNDED, RIGHTS};
use testkit::eventually;
use testkit::redis::{RedisSentinels, RedisServer, user};

// Proves: J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_primary_has_crashed_its_successor_serves_what_it_was_sent() {
    let mut scene = Scene::start().await;
    let key = scene.replicated(1).await;
    let old = scene.servers.master().await;

    scene.servers.server(old).stop();
    scene.unavailable(&key).await;
    scene.servers.becomes_another(old).await;
    scene.back().await;
    let loaded = scene.store.load(&key, MINUTE, now()).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { .. }), "{loaded:?}");

    // The one that crashed comes back as a replica, and nothing changes.
    scene.servers.server(old).start_again();
    scene.servers.servers()[old].answers().await;
    scene.count(&key, now()).await.unwrap();
}

// Proves: J7, J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hung_while_it_was_replaced_gets_no_more_writes() {
    let scene = Scene::start().await;
    let key = scene.replicated(1).await;
    let old = scene.servers.master().await;

    // Nobody calls meanwhile, so no call fails and tells the store.
    scene.servers.servers()[old].freeze();
    scene.servers.becomes_another(old).await;
    eventually("the store has followed", async || {
        let new = &scene.servers.servers()[scene.servers.master().await];
        let clients: String = new.ask(&["CLIENT", "LIST"]).await;
        clients.contains("user=web")
    })
    .await;
    scene.servers.servers()[old].thaw();
    scene.count(&key, now()).await.unwrap();
    let new = scene.servers.master().await;
    assert_ne!(old, new);
    let server = &scene.servers.servers()[new];
    let names: Vec<String> = server.ask(&["KEYS", "sess:*"]).await;
    let written: String = server.ask(&["GET", &names[0]]).await;
    assert!(written.ends_with(r#"{"n":1}"#), "{written}");
}

// Proves: J7, J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_under_load_loses_no_count_that_was_acknowledged_before() {
    let scene = Scene::start().await;
    let key = scene.replicated(1).await;
    let mut counted = 0;
    for _ in 0..20 {
        counted = scene.count(&key, now()).await.unwrap();
    }
    scene.synced().await;
    let (failover, more) = tokio::join!(scene.servers.fail_over(), async {
        let (mut more, mut failed) = (0, 0);
        while more + failed < 200 {
            match scene.count(&key, now()).await {
                Ok(_) => more += 1,
                Err(StoreError::Unavailable(_)) => failed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        more
    });
    let () = failover;
    scene.back().await;
    let sum = scene.count(&key, now()).await.unwrap();
    assert!(sum > counted, "{sum} after {counted} and {more} more");
}

// Proves: J7, J11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn most_of_the_sentinels_are_enough_and_what_is_wrong_with_them_is_said_at_start() {
    let mut scene = Scene::start().await;
    let connect = async |url: &str| RedisStore::connect(url, RedisOptions::default()).await;
    let url = scene.servers.url();

    let unknown = url.replace("/sessions", "/shop");
    let error = connect(&unknown).await.unwrap_err();
    assert!(
        error.to_string().contains("the sentinels know no shop"),
        "{error}"
    );

    let (_, hosts) = url.split_once("://").unwrap();
    let one = format!("redis://{}", hosts.split(',').next().unwrap());
    let error = connect(&one).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is a sentinel; write redis+sentinel://"),
        "{error}"
    );

    scene.servers.freeze_sentinel(0);
    connect(&url).await.unwrap().ping().await.unwrap();
    scene.servers.stop_sentinel(1);
    connect(&url).await.unwrap().ping().await.unwrap();
    scene.servers.stop_sentinel(2);
    let error = connect(&url).await.unwrap_err();
    let said = matches!(
        error,
        RedisOpenError::Refused { .. } | RedisOpenError::Sentinels { .. }
    );
    assert!(said, "{error:?}");
}

/// Servers and a store on them.
struct Scene {
    servers: RedisSentinels,
    store: RedisStore,
}

impl Scene {
    async fn start() -> Self {
        // As a user of its own, which tells the store's connections from others.
        let rights = format!("{RIGHTS} +role");
        let servers = RedisSentinels::start_with(&user("web", ">open-sesame", &rights)).await;
        let url = servers.url().replacen("://", "://web:open-sesame@", 1);
        let store = RedisStore::connect(&url, RedisOptions::default())
            .await
            .unwrap();
        Self { servers, store }
    }

    /// Stores a visitor's session that both replicas have.
    async fn replicated(&self, number: u32) -> SessionKey {
        let key = visitor_key(number);
        self.store
            .create(&key, &visitor_record(now()))
            .await
            .unwrap();
        self.synced().await;
        key
    }

    /// Waits until both replicas have everything.
    async fn synced(&self) {
        let master: &RedisServer = &self.servers.servers()[self.servers.master().await];
        let offset = async |server: &RedisServer| server.info("master_repl_offset").await;
        eventually("the replicas have everything", async || {
            let written = offset(master).await;
            for server in self.servers.servers() {
                if offset(server).await != written {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Counts up, and answers the sum.
    async fn count(&self, key: &SessionKey, now: UnixMs) -> Result<i64, StoreError> {
        match self.store.commit(key, &add("n", 1), now).await? {
            Committed::Applied { counters } => Ok(counters[0]),
            Committed::Gone => panic!("the session is gone"),
        }
    }

    async fn unavailable(&self, key: &SessionKey) {
        let answer = tokio::time::timeout(BOUNDED, self.store.load(key, MINUTE, now())).await;
        let answer = answer.expect("an answer within the time-out");
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    }

    async fn back(&self) {
        let back = eventually("the store is back by itself", async || {
            self.store.ping().await.is_ok()
        });
        tokio::time::timeout(BACK, back)
            .await
            .expect("within two seconds of the failover's end");
    }
}
