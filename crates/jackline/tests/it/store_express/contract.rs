//! The Express layout keeps the store contract, but for what docs/express.md names. The clauses know only native keys, so each
//! stands here for the session of one id.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jackline::lifecycle::{Delta, OwnerId, Record, UnixMs};
use jackline::store::redis::RedisOptions;
use jackline::store::redis::express::ExpressStore;
use jackline::store::{
    Admission, Admitted, Durability, Ended, Epoch, Listed, Loaded, Page, Replaced, Store,
    StoreFuture, Trace,
};
use jackline::token::SessionKey;
use testkit::redis::RedisServer;

use super::options;
use crate::store_redis::contract::{Shared, shared};

// Names that Express uses itself are refused.
jackline::store_contract!(express, fresh(), without[names_may_be_any_text]);

async fn fresh() -> (Arc<dyn Store>, Arc<RedisServer>) {
    static SHARED: Shared<RedisServer> = tokio::sync::Mutex::const_new(std::sync::Weak::new());
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let server = shared(&SHARED, RedisServer::start).await;
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    let mut options = options();
    // Another test's ten thousand sessions are in this server too, and to end all walks past them.
    options.redis = RedisOptions::default()
        .prefix(format!("test{test}:sess:"))
        .response_timeout(Duration::from_secs(10))
        .connection_timeout(Duration::from_secs(10));
    let store = ExpressStore::connect(&server.url(), options).await.unwrap();
    (Arc::new(ByNativeKeys(store)), server)
}

/// The store, asked with native keys.
#[derive(Debug)]
struct ByNativeKeys(ExpressStore);

fn shared_key(key: &SessionKey) -> SessionKey {
    SessionKey::express(&URL_SAFE_NO_PAD.encode(key.to_bytes())).unwrap()
}

fn native_key(key: &SessionKey) -> SessionKey {
    let bytes = URL_SAFE_NO_PAD.decode(key.sid().unwrap()).unwrap();
    SessionKey::from_bytes(&bytes).unwrap()
}

impl Store for ByNativeKeys {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn durability(&self) -> Durability {
        self.0.durability()
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.0.create(&shared_key(key), record).await })
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        Box::pin(async move { self.0.load(&shared_key(key), step, now).await })
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, jackline::store::Committed> {
        Box::pin(async move { self.0.commit(&shared_key(key), delta, now).await })
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, jackline::store::Committed> {
        Box::pin(async move {
            let (old, new) = (shared_key(old), shared_key(new));
            self.0.rotate(&old, &new, owner, delta, now).await
        })
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        Box::pin(async move {
            let key = shared_key(admission.key);
            let replaced = admission.replaces.as_ref().map(|old| shared_key(old.key));
            let admission = Admission {
                key: &key,
                replaces: admission.replaces.as_ref().map(|old| Replaced {
                    key: replaced.as_ref().unwrap(),
                    ..old.clone()
                }),
                ..admission.clone()
            };
            Ok(match self.0.admit(&admission, now).await? {
                Admitted::Done { pruned } => Admitted::Done {
                    pruned: pruned.iter().map(native_key).collect(),
                },
                other => other,
            })
        })
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        Box::pin(async move { self.0.end(&shared_key(key), owner, trace, now).await })
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        Box::pin(async move { self.0.note(&shared_key(key), trace, now).await })
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, now: UnixMs) -> StoreFuture<'a, Epoch> {
        self.0.epoch(owner, now)
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        Box::pin(async move {
            let mut listed = self.0.list(owner, page, now).await?;
            for (key, _) in &mut listed.sessions {
                *key = native_key(key);
            }
            Ok(listed)
        })
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let except = except.map(shared_key);
            self.0.end_all(owner, except.as_ref(), now).await
        })
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.0.reclaim(limit, now)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.0.ping()
    }
}
