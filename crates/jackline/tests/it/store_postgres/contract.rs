//! The PostgreSQL store keeps the store contract. All of its tests share a database, and each has a schema of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jackline::store::Store;
use jackline::store::near::{Announcements, NearCache, NearOptions};
use jackline::store::postgres::{PostgresOptions, PostgresStore};
use testkit::postgres::PostgresServer;

use super::{connect, patient};

jackline::store_contract!(postgres, fresh());
jackline::store_contract!(postgres_near, near());

static TESTS: AtomicU32 = AtomicU32::new(0);

pub(crate) async fn fresh() -> (Arc<dyn Store>, Arc<PostgresServer>) {
    let server = PostgresServer::shared().await;
    let store = connect(&server.url(), options()).await.unwrap();
    (Arc::new(store), server)
}

async fn near() -> (Arc<dyn Store>, Arc<PostgresServer>) {
    let server = PostgresServer::shared().await;
    let announcements = Announcements::new(NearOptions::new(1 << 20));
    let url = server.url().parse().unwrap();
    let store = PostgresStore::announcing(&url, options(), &announcements).await;
    let near = NearCache::announced(Arc::new(store.unwrap()), &announcements);
    (Arc::new(near), server)
}

fn options() -> PostgresOptions {
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    patient().schema(format!("test{test}"))
}
