//! Every store of this crate keeps the store contract.

use std::sync::Arc;

use jackline::store::Store;
use jackline::store::memory::MemoryStore;

async fn in_memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

jackline::store_contract!(memory, in_memory());
