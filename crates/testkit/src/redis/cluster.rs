//! A Redis Cluster of three masters with a replica each.

use std::sync::Arc;

use super::RedisServer;
use crate::certificates::Certificates;
use crate::eventually;

const MASTERS: usize = 3;
const SLOTS: u16 = 16384;

/// Six servers that know each other. The first three began as masters; the replica of number `n` is number `n + 3`.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts a cluster and waits until it takes writes.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with arguments of its own.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::start_all(arguments, None).await
    }

    /// The same, over TLS alone.
    pub async fn start_over_tls(certificates: &Arc<Certificates>, arguments: &[&str]) -> Self {
        Self::start_all(arguments, Some(certificates)).await
    }

    async fn start_all(arguments: &[&str], certificates: Option<&Arc<Certificates>>) -> Self {
        let spawn = || {
            // By default the bus takes the port ten thousand above, which is out of range as often as not.
            let bus = crate::free_port().to_string();
            let mut all = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
            // Soon enough for a test, and late enough for a busy machine.
            all.extend(["--cluster-node-timeout", "1500"]);
            all.extend(["--cluster-replica-validity-factor", "0"]);
            all.extend(["--repl-diskless-sync-delay", "0"]);
            all.extend(arguments);
            (RedisServer::spawn(&all, certificates), bus)
        };
        let (nodes, buses): (Vec<_>, Vec<_>) = (0..2 * MASTERS).map(|_| spawn()).unzip();
        let cluster = Self { nodes };
        for (number, node) in cluster.nodes.iter().enumerate() {
            node.answers().await;
            let epoch = (number + 1).to_string();
            let _: String = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            if number < MASTERS {
                let (first, last) = cluster.first_slots(number);
                let range = [
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &first.to_string(),
                    &last.to_string(),
                ];
                let _: String = node.ask(&range).await;
            }
            if number > 0 {
                let port = cluster.nodes[0].port().to_string();
                let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, &buses[0]];
                let _: String = node.ask(&meet).await;
            }
        }
        for number in 0..MASTERS {
            let id: String = cluster.nodes[number].ask(&["CLUSTER", "MYID"]).await;
            let replica = &cluster.nodes[number + MASTERS];
            eventually("the replica has heard of its master", async || {
                let follow = ["CLUSTER", "REPLICATE", &id];
                replica.try_ask::<String>(&follow).await.is_ok()
            })
            .await;
        }
        cluster.whole().await;
        cluster
    }

    /// The slots that a master began with.
    fn first_slots(&self, number: usize) -> (u16, u16) {
        let share = |n: usize| u16::try_from(n * usize::from(SLOTS) / MASTERS).unwrap();
        (share(number), share(number + 1) - 1)
    }

    /// The address of the first three.
    pub fn url(&self) -> String {
        let scheme = self.nodes[0].url().replacen("://", "+cluster://", 1);
        let others = self.nodes[1..MASTERS].iter().map(RedisServer::port);
        others.fold(scheme, |url, port| format!("{url},127.0.0.1:{port}"))
    }

    /// All servers.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// One of them.
    pub fn node(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }

    /// The number of the master that serves a slot, as most of the others see it.
    pub async fn master_of(&self, slot: u16) -> usize {
        let mut seen = None;
        eventually("somebody serves the slot", async || {
            for node in &self.nodes {
                let Ok(nodes) = node.try_ask::<String>(&["CLUSTER", "NODES"]).await else {
                    continue;
                };
                seen = nodes.lines().find_map(|line| self.serves(line, slot));
                if seen.is_some() {
                    return true;
                }
            }
            false
        })
        .await;
        seen.unwrap()
    }

    fn serves(&self, line: &str, slot: u16) -> Option<usize> {
        let words: Vec<&str> = line.split(' ').collect();
        let fine = words[2].contains("master") && !words[2].contains("fail");
        let serves = fine
            && words[8..].iter().any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                match (first.parse::<u16>(), last.parse::<u16>()) {
                    (Ok(first), Ok(last)) => (first..=last).contains(&slot),
                    // A slot on its way from or to somewhere.
                    _ => false,
                }
            });
        let at = words[1].split_once('@')?.0;
        serves.then(|| {
            let here = |node: &RedisServer| at.ends_with(&format!(":{}", node.port()));
            self.nodes.iter().position(here).unwrap()
        })
    }

    /// Waits until every node sees every slot served, and every replica follows.
    pub async fn whole(&self) {
        eventually("the cluster is whole", async || {
            for node in &self.nodes {
                let Ok(info) = node.try_ask::<String>(&["CLUSTER", "INFO"]).await else {
                    return false;
                };
                let ok =
                    info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6");
                if !ok {
                    return false;
                }
                let replica = node.info("role").await.as_deref() == Some("slave");
                if replica && node.info("master_link_status").await.as_deref() != Some("up") {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Makes a replica take over from its living master, without loss.
    pub async fn fail_over(&self, to: usize) {
        let mut looks = 0_u32;
        eventually("the replica takes over", async || {
            // Once more every few seconds: masters that have voted a moment ago do not vote again.
            if looks.is_multiple_of(500) {
                let _: String = self.nodes[to].ask(&["CLUSTER", "FAILOVER"]).await;
            }
            looks += 1;
            self.nodes[to].info("role").await.as_deref() == Some("master")
        })
        .await;
    }

    /// Waits until this server is a master.
    pub async fn becomes_master(&self, number: usize) {
        eventually("the replica takes over", async || {
            self.nodes[number].info("role").await.as_deref() == Some("master")
        })
        .await;
    }
}
