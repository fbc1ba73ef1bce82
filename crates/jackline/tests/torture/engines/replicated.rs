//! Redis with replicas that take over: behind sentinels, and as a cluster. Replication is asynchronous, so a replica may lack what was
//! acknowledged last, and a primary that was paused goes on for a moment as if it still were one. What is lost so is counted.

use std::sync::Arc;
use std::time::Duration;

use jackline::store::Store;
use testkit::redis::{RedisCluster, RedisSentinels};

use super::open_redis;
use crate::chaos::{Engine, Fault};
use crate::checker::Tolerance;

const FAULTS: &[Fault] = &[Fault::Kill, Fault::Pause, Fault::FailOver];

/// How far a replica may be behind.
const LAGS: Tolerance = Tolerance {
    loses: Some(Duration::from_secs(2)),
};

/// Every server keeps its data, so that one that comes back as what it was has not lost everything.
const KEEPING: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// What keeps a primary that was replaced, and does not know it yet, from acknowledging much.
const GUARDED: [&str; 4] = [
    "--min-replicas-to-write",
    "1",
    "--min-replicas-max-lag",
    "1",
];

/// A primary with two replicas, watched by three sentinels. Faults hit whoever is the primary.
pub(crate) struct Sentinel {
    redis: RedisSentinels,
    hit: usize,
    setup: &'static str,
}

impl Sentinel {
    /// As it comes.
    pub(crate) async fn start() -> Self {
        let redis = RedisSentinels::start_with(&KEEPING).await;
        Self {
            redis,
            hit: 0,
            setup: "redis behind sentinels",
        }
    }

    /// As operations.md advises.
    pub(crate) async fn start_guarded() -> Self {
        let redis = RedisSentinels::start_with(&[KEEPING, GUARDED].concat()).await;
        Self {
            redis,
            hit: 0,
            setup: "redis behind sentinels, min-replicas-to-write 1",
        }
    }
}

impl Engine for Sentinel {
    const FAULTS: &'static [Fault] = FAULTS;
    const TOLERANCE: Tolerance = LAGS;

    fn name(&self) -> String {
        self.setup.to_owned()
    }

    async fn open(&self, timeout: Duration) -> Arc<dyn Store> {
        open_redis(&self.redis.url(), timeout).await
    }

    async fn begin(&mut self, fault: Fault) {
        self.hit = self.redis.master().await;
        match fault {
            Fault::Kill => self.redis.server(self.hit).stop(),
            Fault::Pause => self.redis.servers()[self.hit].freeze(),
            Fault::FailOver => self.redis.fail_over().await,
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => {
                self.redis.becomes_another(self.hit).await;
                self.redis.server(self.hit).start_again();
            }
            Fault::Pause => self.redis.servers()[self.hit].thaw(),
            Fault::FailOver => {}
        }
        self.redis.servers()[self.hit].answers().await;
        testkit::eventually("the replicas follow", async || {
            let master = &self.redis.servers()[self.redis.master().await];
            master.info("role").await.as_deref() == Some("master")
                && master.info("connected_slaves").await.as_deref() == Some("2")
        })
        .await;
    }
}

/// Three primaries with a replica each. Faults hit whoever serves a slot.
pub(crate) struct Cluster {
    redis: RedisCluster,
    slot: u16,
    hit: usize,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let redis = RedisCluster::start_with(&KEEPING).await;
        Self {
            redis,
            slot: 0,
            hit: 0,
        }
    }

    /// Another server than `than` that can take over the slot: of two servers of each part, the other one.
    async fn other_than(&self, than: usize) -> usize {
        let id: String = self.redis.nodes()[than].ask(&["CLUSTER", "MYID"]).await;
        let replicas: Vec<String> = self.redis.nodes()[than]
            .ask(&["CLUSTER", "REPLICAS", &id])
            .await;
        let follows = |node: &testkit::redis::RedisServer| {
            let port = format!(":{}@", node.port());
            replicas.iter().any(|line| line.contains(&port))
        };
        self.redis.nodes().iter().position(follows).unwrap()
    }
}

impl Engine for Cluster {
    const FAULTS: &'static [Fault] = FAULTS;
    const TOLERANCE: Tolerance = LAGS;

    fn name(&self) -> String {
        "redis cluster".to_owned()
    }

    async fn open(&self, timeout: Duration) -> Arc<dyn Store> {
        open_redis(&self.redis.url(), timeout).await
    }

    async fn begin(&mut self, fault: Fault) {
        // Another part each time.
        self.slot = (self.slot + 5_000) % 16_384;
        self.hit = self.redis.master_of(self.slot).await;
        match fault {
            Fault::Kill => self.redis.node(self.hit).stop(),
            Fault::Pause => self.redis.nodes()[self.hit].freeze(),
            Fault::FailOver => {
                let other = self.other_than(self.hit).await;
                self.redis.fail_over(other).await;
            }
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.redis.node(self.hit).start_again(),
            Fault::Pause => self.redis.nodes()[self.hit].thaw(),
            Fault::FailOver => {}
        }
        self.redis.whole().await;
    }
}
