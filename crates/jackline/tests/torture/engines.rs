//! The engines. Each is a real one, of the test's own.

use std::sync::Arc;
use std::time::Duration;

use jackline::store::Store;
use jackline::store::encrypted::{EncryptedStore, EncryptionKey, EncryptionKeys};
use jackline::store::memory::MemoryStore;
use jackline::store::postgres::{PostgresOptions, PostgresStore, PostgresUrl};
use jackline::store::redis::{RedisOptions, RedisStore};
use testkit::postgres::PostgresServer;
use testkit::redis::RedisServer;

use crate::chaos::{Engine, Fault};
use crate::checker::Tolerance;

mod replicated;
mod sqlite;

pub(crate) use replicated::{Cluster, Sentinel};
pub(crate) use sqlite::{Sqlite, live_in_another_process};

/// Nothing that was acknowledged is ever lost.
const LOSES_NOTHING: Tolerance = Tolerance { loses: None };

/// Sessions in this process's memory, which nothing can happen to.
#[derive(Default)]
pub(crate) struct Memory(Arc<MemoryStore>);

impl Engine for Memory {
    const FAULTS: &'static [Fault] = &[];
    const TOLERANCE: Tolerance = LOSES_NOTHING;

    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn open(&self, _timeout: Duration) -> Arc<dyn Store> {
        Arc::clone(&self.0) as _
    }

    async fn begin(&mut self, fault: Fault) {
        panic!("{fault:?} cannot happen to memory");
    }

    async fn end(&mut self, _fault: Fault) {}
}

/// One Redis that syncs every write before it answers.
pub(crate) struct Redis(RedisServer);

impl Redis {
    pub(crate) async fn start() -> Self {
        let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
        Self(RedisServer::start_with(&arguments).await)
    }
}

impl Engine for Redis {
    const FAULTS: &'static [Fault] = &[Fault::Kill, Fault::Pause];
    const TOLERANCE: Tolerance = LOSES_NOTHING;

    fn name(&self) -> String {
        "redis, appendfsync always".to_owned()
    }

    async fn open(&self, timeout: Duration) -> Arc<dyn Store> {
        open_redis(&self.0.url(), timeout).await
    }

    async fn begin(&mut self, fault: Fault) {
        begin_at(&mut self.0, fault);
    }

    async fn end(&mut self, fault: Fault) {
        end_at(&mut self.0, fault).await;
    }
}

/// One Redis that syncs once a second, as most do.
pub(crate) struct RedisEverysec(RedisServer);

impl RedisEverysec {
    pub(crate) async fn start() -> Self {
        let arguments = ["--appendonly", "yes", "--appendfsync", "everysec"];
        Self(RedisServer::start_with(&arguments).await)
    }
}

impl Engine for RedisEverysec {
    const FAULTS: &'static [Fault] = &[Fault::Kill, Fault::Pause];
    /// Writes are handed to the system before they are acknowledged, so that a kill alone loses nothing, unless a sync takes so
    /// long that Redis delays them, for two seconds at most.
    const TOLERANCE: Tolerance = Tolerance {
        loses: Some(Duration::from_secs(2)),
    };

    fn name(&self) -> String {
        "redis, appendfsync everysec".to_owned()
    }

    async fn open(&self, timeout: Duration) -> Arc<dyn Store> {
        open_redis(&self.0.url(), timeout).await
    }

    async fn begin(&mut self, fault: Fault) {
        begin_at(&mut self.0, fault);
    }

    async fn end(&mut self, fault: Fault) {
        end_at(&mut self.0, fault).await;
    }
}

/// One PostgreSQL that syncs every commit before it answers, as it does by default.
pub(crate) struct Postgres {
    server: PostgresServer,
    url: PostgresUrl,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let server = PostgresServer::start().await;
        let url = server.new_database().await.parse().unwrap();
        Self { server, url }
    }
}

impl Engine for Postgres {
    const FAULTS: &'static [Fault] = &[Fault::Kill, Fault::Pause];
    const TOLERANCE: Tolerance = LOSES_NOTHING;

    fn name(&self) -> String {
        "postgres".to_owned()
    }

    async fn open(&self, timeout: Duration) -> Arc<dyn Store> {
        let options = PostgresOptions::default().response_timeout(timeout);
        Arc::new(PostgresStore::connect(&self.url, options).await.unwrap())
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.server.crash(),
            Fault::Pause => self.server.freeze(),
            Fault::FailOver => panic!("a single PostgreSQL has nothing to fail over to"),
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.server.start_again(),
            Fault::Pause => self.server.thaw(),
            Fault::FailOver => {}
        }
        self.server.answers().await;
    }
}

/// An engine that sees ciphertext only. Every handle has the same keys, as all instances of a service have.
pub(crate) struct Encrypted<E>(pub(crate) E);

impl<E: Engine> Engine for Encrypted<E> {
    const FAULTS: &'static [Fault] = E::FAULTS;
    const TOLERANCE: Tolerance = E::TOLERANCE;

    fn name(&self) -> String {
        format!("{}, encrypted", self.0.name())
    }

    async fn open(&self, timeout: Duration) -> Arc<dyn Store> {
        let key = EncryptionKey::new("an-encryption-key-for-torture-0123456789abcdef").unwrap();
        let keys = EncryptionKeys::new(key);
        Arc::new(EncryptedStore::new(self.0.open(timeout).await, keys))
    }

    async fn begin(&mut self, fault: Fault) {
        self.0.begin(fault).await;
    }

    async fn end(&mut self, fault: Fault) {
        self.0.end(fault).await;
    }
}

/// A Redis that keeps everything in memory, and is said not to.
pub(crate) struct Forgetful(RedisServer);

impl Forgetful {
    pub(crate) async fn start() -> Self {
        Self(RedisServer::start().await)
    }
}

impl Engine for Forgetful {
    const FAULTS: &'static [Fault] = &[Fault::Kill];
    const TOLERANCE: Tolerance = LOSES_NOTHING;

    fn name(&self) -> String {
        "redis that saves nothing".to_owned()
    }

    async fn open(&self, timeout: Duration) -> Arc<dyn Store> {
        open_redis(&self.0.url(), timeout).await
    }

    async fn begin(&mut self, fault: Fault) {
        begin_at(&mut self.0, fault);
    }

    async fn end(&mut self, fault: Fault) {
        end_at(&mut self.0, fault).await;
    }
}

pub(crate) async fn open_redis(url: &str, timeout: Duration) -> Arc<dyn Store> {
    let options = RedisOptions::default().response_timeout(timeout);
    Arc::new(RedisStore::connect(url, options).await.unwrap())
}

fn begin_at(server: &mut RedisServer, fault: Fault) {
    match fault {
        Fault::Kill => server.stop(),
        Fault::Pause => server.freeze(),
        Fault::FailOver => panic!("a single Redis has nothing to fail over to"),
    }
}

async fn end_at(server: &mut RedisServer, fault: Fault) {
    match fault {
        Fault::Kill => server.start_again(),
        Fault::Pause => server.thaw(),
        Fault::FailOver => {}
    }
    server.answers().await;
}
