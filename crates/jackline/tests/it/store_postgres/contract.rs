//! The PostgreSQL store keeps the store contract. All of its tests share a server, and each has a database of its own.

use std::sync::{Arc, Weak};

use jackline::store::Store;
use tokio::sync::Mutex;

use testkit::postgres::PostgresServer;

use super::{connect, patient};

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
    let store = connect(&url, patient()).await.unwrap();
    (Arc::new(store), server)
}
