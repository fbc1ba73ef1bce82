//! A Redis of a test's own: started on a free loopback port with an empty folder, saving nothing, and gone with the test.

mod cluster;
mod sentinel;

use std::process::Command;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Client, ClientTlsConfig, FromRedisValue, RedisResult, TlsCertificates};

use crate::certificates::Certificates;
use crate::eventually;
use crate::process::Process;

pub use self::cluster::RedisCluster;
pub use self::sentinel::{RedisSentinels, SENTINEL_USER};

/// Arguments that give a server a user besides the one who may do everything: name, password and rights.
#[must_use]
pub fn user<'a>(name: &'a str, password: &'a str, rights: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["--user", name, "on", password];
    arguments.extend(rights.split(' '));
    arguments
}

/// A client of one address, over TLS if there are certificates.
fn client(url: String, certificates: Option<&Certificates>) -> Client {
    let Some(certificates) = certificates else {
        return Client::open(url).unwrap();
    };
    let (certificate, key) = certificates.client();
    let certificates = TlsCertificates {
        client_tls: Some(ClientTlsConfig {
            client_cert: std::fs::read(certificate).unwrap(),
            client_key: std::fs::read(key).unwrap(),
        }),
        root_cert: Some(std::fs::read(certificates.authority()).unwrap()),
    };
    Client::build_with_tls(url, certificates).unwrap()
}

/// A running `redis-server`.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    certificates: Option<Arc<Certificates>>,
    process: Option<Process>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with arguments of its own.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let server = Self::spawn(arguments, None);
        server.answers().await;
        server
    }

    /// The same, over TLS alone, for clients with a certificate of the same authority.
    pub async fn start_over_tls(certificates: &Arc<Certificates>, arguments: &[&str]) -> Self {
        let server = Self::spawn(arguments, Some(certificates));
        server.answers().await;
        server
    }

    /// Starts a server and does not wait.
    fn spawn(arguments: &[&str], certificates: Option<&Arc<Certificates>>) -> Self {
        let mut server = Self {
            port: crate::free_port(),
            folder: tempfile::tempdir().unwrap(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            certificates: certificates.cloned(),
            process: None,
        };
        server.start_again();
        server
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() {
            "rediss"
        } else {
            "redis"
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Ends the server as a crash would.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the server, on the port that it had. Does not wait.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server is running");
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.folder.path());
        let port = self.port.to_string();
        if let Some(certificates) = &self.certificates {
            let (certificate, key) = certificates.server();
            command.args(["--port", "0", "--tls-port", &port]);
            command.arg("--tls-cert-file").arg(certificate);
            command.arg("--tls-key-file").arg(key);
            command
                .arg("--tls-ca-cert-file")
                .arg(certificates.authority());
            command.args(["--tls-replication", "yes", "--tls-cluster", "yes"]);
        } else {
            command.args(["--port", &port]);
        }
        self.process = Some(Process::start(command.args(&self.arguments)));
    }

    /// Stops the server's clock: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("the server is running");
        process.signal(signal);
    }

    fn client(&self) -> Client {
        client(self.url(), self.certificates.as_deref())
    }

    /// A connection for looking at what is stored.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.client()
            .get_multiplexed_async_connection()
            .await
            .unwrap()
    }

    /// What the server says to a command, on a connection of its own.
    pub async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut connection = self.client().get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query_async(&mut connection).await
    }

    /// The same of a command that works.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap()
    }

    /// One value of what `INFO` says.
    pub async fn info(&self, name: &str) -> Option<String> {
        let info: String = self.try_ask(&["INFO"]).await.ok()?;
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    }

    /// Waits until it answers.
    pub async fn answers(&self) {
        eventually("the server answers", async || {
            match self.try_ask::<String>(&["PING"]).await {
                Ok(answer) => answer == "PONG",
                // It is up, and wants a password first.
                Err(error) => error.code() == Some("NOAUTH"),
            }
        })
        .await;
    }
}
