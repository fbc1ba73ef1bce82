//! A master with two replicas, watched by three sentinels.

use std::process::Command;
use std::sync::Arc;

use super::RedisServer;
use crate::certificates::Certificates;
use crate::eventually;
use crate::process::Process;

/// The name and the password of the one user of sentinels that are not open to everybody.
pub const SENTINEL_USER: (&str, &str) = ("watcher", "watch-and-ward");

/// The name that the sentinels know the master by.
const SERVICE: &str = "sessions";

/// Three servers and three sentinels. The first server began as the master.
#[derive(Debug)]
pub struct RedisSentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<Watcher>,
}

impl RedisSentinels {
    /// Starts all of them and waits until they know each other.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with arguments of their own for the servers.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::start_all(arguments, None).await
    }

    /// The same, all over TLS alone, for clients with a certificate of the same authority; and the sentinels answer nobody but
    /// [`SENTINEL_USER`].
    pub async fn start_over_tls(certificates: &Arc<Certificates>, arguments: &[&str]) -> Self {
        Self::start_all(arguments, Some(certificates)).await
    }

    async fn start_all(arguments: &[&str], certificates: Option<&Arc<Certificates>>) -> Self {
        let quick = [&["--repl-diskless-sync-delay", "0"], arguments].concat();
        let master = RedisServer::spawn(&quick, certificates);
        let port = master.port().to_string();
        let follow = [&quick, &["--replicaof", "127.0.0.1", &port][..]].concat();
        let servers = vec![
            master,
            RedisServer::spawn(&follow, certificates),
            RedisServer::spawn(&follow, certificates),
        ];
        // A sentinel asks for replicas when it starts and ten seconds later, so they are there first.
        eventually("the replicas follow", async || {
            servers[0].info("connected_slaves").await.as_deref() == Some("2")
        })
        .await;
        let sentinels: Vec<_> = (0..3)
            .map(|_| Watcher::start(&port, certificates))
            .collect();
        let started = Self { servers, sentinels };
        started.agreed().await;
        started
    }

    /// The address of the sentinels, and of what they watch.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(Watcher::host).collect();
        let scheme = match self.sentinels[0].certificates {
            Some(_) => "rediss",
            None => "redis",
        };
        format!("{scheme}+sentinel://{}/{SERVICE}", hosts.join(","))
    }

    /// The servers, masters and replicas.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// One of them.
    pub fn server(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// Ends a sentinel as a crash would.
    pub fn stop_sentinel(&mut self, number: usize) {
        self.sentinels[number].process = None;
    }

    /// Stops a sentinel's clock.
    pub fn freeze_sentinel(&self, number: usize) {
        let process = self.sentinels[number].process.as_ref();
        process.expect("the sentinel is running").signal("-STOP");
    }

    /// The number of the master, as the sentinels that answer see it.
    pub async fn master(&self) -> usize {
        let mut number = None;
        eventually("a sentinel names a master", async || {
            for sentinel in &self.sentinels {
                if let Some(port) = sentinel.names().await {
                    number = self.servers.iter().position(|server| server.port() == port);
                    return true;
                }
            }
            false
        })
        .await;
        number.expect("one of these servers")
    }

    /// Waits until the sentinels have made another server than this one the master.
    pub async fn becomes_another(&self, than: usize) {
        eventually("another server takes over", async || {
            let master = self.master().await;
            master != than && self.servers[master].info("role").await.as_deref() == Some("master")
        })
        .await;
    }

    /// Has the sentinels promote a replica while the master lives.
    pub async fn fail_over(&self) {
        let before = self.master().await;
        eventually("a sentinel agrees", async || {
            let failover = ["SENTINEL", "FAILOVER", SERVICE];
            self.sentinels[0].ask::<String>(&failover).await.is_some()
        })
        .await;
        self.becomes_another(before).await;
    }

    /// Waits until every sentinel knows both of the others and both replicas.
    async fn agreed(&self) {
        for sentinel in &self.sentinels {
            eventually("the sentinels know each other", async || {
                let master = ["SENTINEL", "MASTER", SERVICE];
                let Some(fields) = sentinel.ask::<Vec<String>>(&master).await else {
                    return false;
                };
                let is = |name: &str, value: &str| {
                    fields.chunks_exact(2).any(|pair| pair == [name, value])
                };
                is("num-slaves", "2") && is("num-other-sentinels", "2")
            })
            .await;
        }
    }
}

/// A running sentinel.
#[derive(Debug)]
struct Watcher {
    port: u16,
    process: Option<Process>,
    certificates: Option<Arc<Certificates>>,
    /// Its settings, which it writes itself.
    _folder: tempfile::TempDir,
}

impl Watcher {
    fn start(master: &str, certificates: Option<&Arc<Certificates>>) -> Self {
        let (port, folder) = (crate::free_port(), tempfile::tempdir().unwrap());
        let settings = folder.path().join("sentinel.conf");
        let access = match certificates {
            None => format!("port {port}\n"),
            Some(certificates) => {
                let (certificate, key) = certificates.server();
                let (name, password) = SENTINEL_USER;
                format!(
                    "port 0\n\
                     tls-port {port}\n\
                     tls-replication yes\n\
                     tls-cert-file {}\n\
                     tls-key-file {}\n\
                     tls-ca-cert-file {}\n\
                     user default off\n\
                     user {name} on >{password} allkeys allchannels +@all\n\
                     sentinel sentinel-user {name}\n\
                     sentinel sentinel-pass {password}\n",
                    certificate.display(),
                    key.display(),
                    certificates.authority().display(),
                )
            }
        };
        let text = format!(
            "bind 127.0.0.1\n\
             {access}\
             sentinel monitor {SERVICE} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 3000\n"
        );
        std::fs::write(&settings, text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&settings).arg("--sentinel");
        Self {
            port,
            process: Some(Process::start(&mut command)),
            certificates: certificates.cloned(),
            _folder: folder,
        }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port of the server that it takes for the master.
    async fn names(&self) -> Option<u16> {
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        let answer: Vec<String> = self.ask(&question).await?;
        answer.get(1)?.parse().ok()
    }

    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        let (name, password) = SENTINEL_USER;
        let url = match self.certificates {
            None => format!("redis://{}", self.host()),
            Some(_) => format!("rediss://{name}:{password}@{}", self.host()),
        };
        let client = super::client(url, self.certificates.as_deref());
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query_async(&mut connection).await.ok()
    }
}
