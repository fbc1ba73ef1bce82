//! The PostgreSQL store keeps the store contract. All of its tests share a database, and each has a schema of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jackline::store::Store;
use testkit::postgres::PostgresServer;

use super::{connect, patient};

jackline::store_contract!(postgres, fresh());

static TESTS: AtomicU32 = AtomicU32::new(0);

pub(crate) async fn fresh() -> (Arc<dyn Store>, Arc<PostgresServer>) {
    let server = PostgresServer::shared().await;
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    let options = patient().schema(format!("test{test}"));
    let store = connect(&server.url(), options).await.unwrap();
    (Arc::new(store), server)
}
