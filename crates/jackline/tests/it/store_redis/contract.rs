//! The Redis store keeps the store contract. All of its tests share a server, and each has a prefix of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use jackline::store::Store;
use jackline::store::redis::{RedisOptions, RedisStore};
use tokio::sync::Mutex;

use testkit::redis::RedisServer;

jackline::store_contract!(redis, fresh());

/// The server of the tests that run at the moment; it goes with the last of them.
static SHARED: Mutex<Weak<RedisServer>> = Mutex::const_new(Weak::new());
static TESTS: AtomicU32 = AtomicU32::new(0);

pub(crate) async fn fresh() -> (Arc<dyn Store>, Arc<RedisServer>) {
    let server = {
        let mut shared = SHARED.lock().await;
        match shared.upgrade() {
            Some(server) => server,
            None => {
                let server = Arc::new(RedisServer::start().await);
                *shared = Arc::downgrade(&server);
                server
            }
        }
    };
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    let options = RedisOptions::default().prefix(format!("test{test}:sess:"));
    let store = RedisStore::connect(&server.url(), options).await.unwrap();
    (Arc::new(store), server)
}
