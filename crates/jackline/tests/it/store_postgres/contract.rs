//! The PostgreSQL store keeps the store contract. All of its tests share a server, and each has a database of its own.

use std::sync::{Arc, Weak};

use jackline::store::Store;
use jackline::store::postgres::{PostgresOptions, PostgresStore};
use tokio::sync::Mutex;

use testkit::postgres::PostgresServer;

jackline::store_contract!(postgres, fresh());

/// The server of the tests that run at the moment; it goes with the last of them.
static SHARED: Mutex<Weak<PostgresServer>> = Mutex::const_new(Weak::new());

pub(super) async fn shared() -> Arc<PostgresServer> {
    let mut shared = SHARED.lock().await;
    match shared.upgrade() {
        Some(server) => server,
        None => {
            let server = Arc::new(PostgresServer::start().await);
            *shared = Arc::downgrade(&server);
            server
        }
    }
}

async fn fresh() -> (Arc<dyn Store>, Arc<PostgresServer>) {
    let server = shared().await;
    let url = server.new_database().await;
    // Patient, since all of these tests at once are more than two cores do in half a second.
    let options = PostgresOptions::default()
        .response_timeout(std::time::Duration::from_secs(10))
        .connection_timeout(std::time::Duration::from_secs(10));
    let store = PostgresStore::connect(&url, options).await.unwrap();
    (Arc::new(store), server)
}
