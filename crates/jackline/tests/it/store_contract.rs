//! Every store of this crate keeps the store contract, and so does the spy around one.

use std::sync::Arc;
use std::time::Duration;

use jackline::store::Store;
use jackline::store::encrypted::{EncryptedStore, EncryptionKey, EncryptionKeys};
use jackline::store::memory::MemoryStore;
use jackline::store::near::{NearCache, NearOptions};
use jackline::store::observed::{ObservedStore, Outcome, StoreObserver};
use jackline::store::sqlite::SqliteStore;
use jackline::testing::SpyStore;

async fn in_memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

jackline::store_contract!(memory, in_memory());

async fn spied_upon() -> Arc<dyn Store> {
    Arc::new(SpyStore::new(in_memory().await))
}

jackline::store_contract!(spy, spied_upon());

pub(crate) async fn in_sqlite() -> (Arc<dyn Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("sessions.db")).unwrap();
    (Arc::new(store), folder)
}

jackline::store_contract!(sqlite, in_sqlite());

async fn near_memory() -> Arc<dyn Store> {
    near(in_memory().await)
}

jackline::store_contract!(near_memory, near_memory());

async fn near_sqlite() -> (Arc<dyn Store>, tempfile::TempDir) {
    let (store, folder) = in_sqlite().await;
    (near(store), folder)
}

jackline::store_contract!(near_sqlite, near_sqlite());

pub(crate) fn near(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(NearCache::in_process(store, NearOptions::new(1 << 20)))
}

async fn observed() -> Arc<dyn Store> {
    let nobody = Arc::new(Unmoved);
    Arc::new(ObservedStore::new(in_memory().await, nobody))
}

jackline::store_contract!(observed, observed());

#[tokio::test]
async fn a_store_goes_by_its_engine_whatever_is_wrapped_around_it() {
    let (sqlite, _folder) = in_sqlite().await;
    assert_eq!(in_memory().await.name(), "memory");
    assert_eq!(observed().await.name(), "memory");
    assert_eq!(sqlite.name(), "sqlite");
    assert_eq!(near(Arc::clone(&sqlite)).name(), "sqlite");
    let key = EncryptionKey::new("an-encryption-key-for-tests-0123456789abcdef").unwrap();
    let encrypted = EncryptedStore::new(sqlite, EncryptionKeys::new(key));
    assert_eq!(encrypted.name(), "sqlite");
}

#[derive(Debug)]
struct Unmoved;

impl StoreObserver for Unmoved {
    fn called(&self, _: &'static str, _: Outcome, _: Duration) {}
}
