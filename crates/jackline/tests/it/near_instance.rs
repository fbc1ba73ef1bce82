//! A web server with a near-cache, of which one wants to know what it still answers for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jackline::clock::{Clock as _, SystemClock};
use jackline::store::near::{Announcements, NearCache};
use jackline::store::{Loaded, Store, StoreError};
use jackline::testing::SpyStore;
use jackline::token::SessionKey;
use testkit::eventually;

/// How old an answer may be, unless somebody says otherwise.
const BOUND: Duration = Duration::from_secs(1);

/// No use is written down while a test runs, which would have the store asked.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// One of several web servers.
pub(crate) struct Instance {
    pub(crate) near: NearCache,
    pub(crate) spy: Arc<SpyStore>,
}

impl Instance {
    /// In front of a store that announces.
    pub(crate) fn new(store: impl Store, announcements: &Announcements) -> Self {
        let spy = Arc::new(SpyStore::new(Arc::new(store)));
        let near = NearCache::announced(Arc::clone(&spy) as Arc<dyn Store>, announcements);
        Self { near, spy }
    }

    pub(crate) async fn load(&self, key: &SessionKey) -> Result<Loaded, StoreError> {
        self.near.load(key, NEVER, SystemClock.now()).await
    }

    /// Waits until the session is answered for from memory.
    pub(crate) async fn knows(&self, key: &SessionKey) {
        eventually("the session is known", async || {
            let loads = self.spy.count("load");
            let live = matches!(self.load(key).await, Ok(Loaded::Live { .. }));
            live && self.spy.count("load") == loads
        })
        .await;
    }

    /// Waits until the session is known to be gone.
    pub(crate) async fn refuses(&self, key: &SessionKey) {
        eventually("the session is refused", async || {
            matches!(self.load(key).await, Ok(Loaded::Absent | Loaded::Trace(_)))
        })
        .await;
    }

    /// Waits until a session is known to be gone whose end has been acknowledged just now. Whoever asks later than the bound after
    /// that must not be told that it lives.
    pub(crate) async fn refuses_within_the_bound(&self, key: &SessionKey) {
        let acknowledged = Instant::now();
        eventually("the session is refused", async || {
            let late = acknowledged.elapsed() > BOUND;
            match self.load(key).await {
                Ok(Loaded::Absent | Loaded::Trace(_)) => true,
                Ok(_) => {
                    assert!(!late, "it lived on for {:?}", acknowledged.elapsed());
                    false
                }
                Err(_) => false,
            }
        })
        .await;
    }
}
