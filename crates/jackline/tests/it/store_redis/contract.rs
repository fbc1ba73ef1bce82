//! The Redis store keeps the store contract: on one server, over TLS as a user with few rights, behind sentinels and on a cluster. All tests of one kind share
//! their servers, and each has a prefix of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use jackline::store::Store;
use jackline::store::near::{Announcements, NearCache, NearOptions};
use jackline::store::redis::{RedisOptions, RedisStore};
use tokio::sync::Mutex;

use super::outages::RIGHTS;
use super::tls;
use testkit::certificates::Certificates;
use testkit::redis::{RedisCluster, RedisSentinels, RedisServer, user};

jackline::store_contract!(redis, on_one_server());
jackline::store_contract!(redis_tls, over_tls());
jackline::store_contract!(redis_sentinel, behind_sentinels());
jackline::store_contract!(redis_near, near_one_server());
jackline::store_contract!(redis_cluster, on_a_cluster());

pub(crate) type Fresh<S> = (Arc<dyn Store>, Arc<S>);

async fn one_server() -> Arc<RedisServer> {
    static SHARED: Shared<RedisServer> = Mutex::const_new(Weak::new());
    shared(&SHARED, RedisServer::start).await
}

pub(crate) async fn on_one_server() -> Fresh<RedisServer> {
    let server = one_server().await;
    (empty(&server.url(), RedisOptions::default()).await, server)
}

async fn near_one_server() -> Fresh<RedisServer> {
    let server = one_server().await;
    let announcements = Announcements::new(NearOptions::new(1 << 20));
    let options = RedisOptions::default().announce_to(&announcements);
    let store = empty(&server.url(), options).await;
    (
        Arc::new(NearCache::announced(store, &announcements)),
        server,
    )
}

async fn over_tls() -> Fresh<(RedisServer, Arc<Certificates>)> {
    static SHARED: Shared<(RedisServer, Arc<Certificates>)> = Mutex::const_new(Weak::new());
    let started = shared(&SHARED, async || {
        let certificates = Arc::new(Certificates::make());
        // The documented rights, for the prefixes of all tests.
        let rights = RIGHTS.replace("~sess", "~test");
        let web = user("web", ">open-sesame", &rights);
        (
            RedisServer::start_over_tls(&certificates, &web).await,
            certificates,
        )
    })
    .await;
    let (server, certificates) = &*started;
    let url = server.url().replacen("://", "://web:open-sesame@", 1);
    (empty(&url, tls::options(certificates)).await, started)
}

async fn behind_sentinels() -> Fresh<RedisSentinels> {
    static SHARED: Shared<RedisSentinels> = Mutex::const_new(Weak::new());
    let servers = shared(&SHARED, RedisSentinels::start).await;
    (
        empty(&servers.url(), RedisOptions::default()).await,
        servers,
    )
}

async fn on_a_cluster() -> Fresh<RedisCluster> {
    static SHARED: Shared<RedisCluster> = Mutex::const_new(Weak::new());
    let cluster = shared(&SHARED, RedisCluster::start).await;
    (
        empty(&cluster.url(), RedisOptions::default()).await,
        cluster,
    )
}

/// The servers of the tests that run at the moment; they go with the last of them.
pub(crate) type Shared<S> = Mutex<Weak<S>>;

pub(crate) async fn shared<S>(shared: &Shared<S>, start: impl AsyncFnOnce() -> S) -> Arc<S> {
    let mut shared = shared.lock().await;
    match shared.upgrade() {
        Some(servers) => servers,
        None => {
            let servers = Arc::new(start().await);
            *shared = Arc::downgrade(&servers);
            servers
        }
    }
}

/// A store that nobody else knows the prefix of.
async fn empty(url: &str, options: RedisOptions) -> Arc<dyn Store> {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    let options = options.prefix(format!("test{test}:sess:"));
    Arc::new(RedisStore::connect(url, options).await.unwrap())
}
