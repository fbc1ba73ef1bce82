//! The PostgreSQL store keeps the store contract. All of its tests share a server, and each has a database of its own.

use std::sync::Arc;

use jackline::store::Store;

use testkit::postgres::PostgresServer;

use super::{connect, patient};

jackline::store_contract!(postgres, fresh());

async fn fresh() -> (Arc<dyn Store>, Arc<PostgresServer>) {
    let server = PostgresServer::shared().await;
    let url = server.new_database().await;
    let store = connect(&url, patient()).await.unwrap();
    (Arc::new(store), server)
}
