//! Makes connections: to a server that is known by its address, or to the one that sentinels name.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncStream, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, PushInfo, PushKind,
    RedisError, Value,
};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::announce::{Announcer, Listener};
use super::sentinel::{NoPrimary, Sentinels};
use crate::driver::Driver;

/// Makes connections to one server, or to whichever has its place.
pub(super) struct Dialer {
    pub(super) to: To,
    pub(super) times: Times,
    /// Whom every connection tells what others change.
    pub(super) announcer: Option<Announcer>,
}

/// Whom a [`Dialer`] calls.
pub(super) enum To {
    Server(Server),
    Primary(Sentinels),
}

/// One server: where it is, how it lets one in and, with TLS, how it is known.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) info: ConnectionInfo,
    pub(super) tls: Option<TlsConnector>,
}

impl Server {
    pub(super) fn at(&self) -> String {
        self.info.addr().to_string()
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// A connection, with all that belongs to it.
    pub(super) connect: Duration,
    /// An answer.
    pub(super) respond: Duration,
}

/// A fresh connection, to whom, and who is told when Redis closes it.
pub(super) struct Dialed {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Driver,
    pub(super) at: String,
    pub(super) closed: Arc<Notify>,
    pub(super) listener: Option<Arc<Listener>>,
    respond: Duration,
}

impl Dialed {
    /// Asks before anybody shares the connection. Ends within the response time-out.
    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        let answer = command.query_async(&mut self.connection);
        let within = tokio::time::timeout(self.respond, answer).await;
        within.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DialError {
    /// The server at this address does not do what is asked of it.
    Server { at: String, error: RedisError },
    /// The server that the sentinels name is not a primary, or not yet.
    Replica { at: String },
    /// The sentinels name none.
    NoPrimary(NoPrimary),
}

impl DialError {
    fn server(at: &str, error: RedisError) -> Self {
        let at = at.to_owned();
        Self::Server { at, error }
    }
}

impl Dialer {
    /// Connects and authenticates, and makes sure of a primary where sentinels name one. Fails after the connection time-out.
    pub(super) async fn dial(&self) -> Result<Dialed, DialError> {
        let mut at = "its sentinels".to_owned();
        let dial = async {
            let (server, sure) = match &self.to {
                To::Server(server) => (server.clone(), true),
                To::Primary(sentinels) => {
                    // Half of the time, so that a sentinel that hangs leaves the other half for the primary.
                    let named = sentinels.ask(self.times.connect / 2).await;
                    let named = named.map_err(DialError::NoPrimary)?;
                    (sentinels.server(&named.primary), false)
                }
            };
            at = server.at();
            let mut dialed = connect(&server, self.times, self.announcer.as_ref())
                .await
                .map_err(|error| DialError::server(&at, error))?;
            if !sure && !is_primary(&mut dialed, &at).await? {
                return Err(DialError::Replica { at: at.clone() });
            }
            Ok(dialed)
        };
        let within = tokio::time::timeout(self.times.connect, dial).await;
        within.unwrap_or_else(|_| {
            let late = io::Error::from(io::ErrorKind::TimedOut);
            Err(DialError::server(&at, late.into()))
        })
    }

    /// What sentinels are asked for; nothing where there are none.
    pub(super) fn service(&self) -> &str {
        match &self.to {
            To::Server(_) => "",
            To::Primary(sentinels) => &sentinels.service,
        }
    }

    /// Returns when the server at `at` is no longer the one to talk to; never, if there can be no other.
    pub(super) async fn supplanted(&self, at: &str) {
        match &self.to {
            To::Server(_) => std::future::pending().await,
            To::Primary(sentinels) => sentinels.prefer_another(at, self.times.connect).await,
        }
    }
}

/// Connects to one server.
pub(super) async fn connect(
    server: &Server,
    times: Times,
    announcer: Option<&Announcer>,
) -> Result<Dialed, RedisError> {
    let closed = Arc::new(Notify::new());
    let tell = Arc::clone(&closed);
    let listener = announcer.map(|announcer| Arc::new(announcer.listen()));
    let hears = listener.clone();
    let config = AsyncConnectionConfig::new()
        // Whoever asks has a time-out of their own, which covers more than the answer.
        .set_response_timeout(None)
        // Callers beyond this many wait for a place; more than enough for what one connection carries.
        .set_pipeline_buffer_size(1024)
        // With RESP3 the client notices by itself that the connection is closed, before the next request needs it.
        .set_push_sender(move |push: PushInfo| {
            if let Some(listener) = &hears {
                listener.hear(&push);
            }
            if push.kind == PushKind::Disconnection {
                tell.notify_one();
            }
            Ok::<_, redis::aio::SendError>(())
        });
    let stream = reach(server).await?;
    let settings = server.info.redis_settings();
    let (mut connection, driver) =
        MultiplexedConnection::new_with_config(settings, stream, config).await?;
    let driver = Driver::start(driver);
    if let Some(listener) = &listener {
        listener.begin(&mut connection).await?;
    }
    Ok(Dialed {
        connection,
        driver,
        at: server.at(),
        closed,
        listener,
        respond: times.respond,
    })
}

/// The way to a server.
type Stream = Pin<Box<dyn AsyncStream + Send + Sync>>;

/// Goes to a server, encrypted if it is to be.
async fn reach(server: &Server) -> Result<Stream, RedisError> {
    let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
    match server.info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let plain = async |address| Ok(Box::pin(tcp(address).await?) as Stream);
            Ok(first_to_answer(lookup_host((host.as_str(), *port)).await?, plain).await?)
        }
        ConnectionAddr::TcpTls { host, port, .. } => {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let tls = server.tls.clone().ok_or_else(unsupported)?;
            let encrypted = move |address| {
                let (name, tls) = (name.clone(), tls.clone());
                async move {
                    let stream = tls.connect(name, tcp(address).await?).await?;
                    Ok(Box::pin(stream) as Stream)
                }
            };
            Ok(first_to_answer(lookup_host((host.as_str(), *port)).await?, encrypted).await?)
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Ok(Box::pin(tokio::net::UnixStream::connect(path).await?)),
        _ => Err(unsupported().into()),
    }
}

async fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Requests are small and somebody waits for each.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Calls all addresses of a host at once: at one of them there may be nobody to say so much as no, or somebody else.
async fn first_to_answer<T, F>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    call: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut calls: JoinSet<_> = addresses.into_iter().map(call).collect();
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    while let Some(Ok(answer)) = calls.join_next().await {
        match answer {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

async fn is_primary(dialed: &mut Dialed, at: &str) -> Result<bool, DialError> {
    let role: Vec<Value> = dialed
        .ask(&redis::cmd("ROLE"))
        .await
        .map_err(|error| DialError::server(at, error))?;
    Ok(matches!(role.first(), Some(Value::BulkString(role)) if role == b"master"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    // Proves: J7
    #[tokio::test]
    async fn of_a_hosts_addresses_the_first_that_answers_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let gone = {
            let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
            closed.local_addr().unwrap()
        };
        // Kept for documentation (RFC 5737): there is nobody, and often nobody says so.
        let nobody = SocketAddr::from(([192, 0, 2, 1], 6379));
        for addresses in [vec![there], vec![nobody, gone, there], vec![there, nobody]] {
            let stream = first_to_answer(addresses, tcp).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), there);
        }
        let refused = first_to_answer([gone], tcp).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(first_to_answer([], tcp).await.is_err());
    }

    // Proves: J7
    #[tokio::test]
    async fn an_address_at_which_somebody_else_answers_does_not_keep_one_from_the_others() {
        let [stranger, right] = [1, 2].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let greet = move |address| async move {
            match address == right {
                true => Ok("right"),
                false => Err(io::Error::other("no certificate of this name")),
            }
        };
        for addresses in [[stranger, right], [right, stranger]] {
            assert_eq!(first_to_answer(addresses, greet).await.unwrap(), "right");
        }
        assert!(first_to_answer([stranger], greet).await.is_err());
    }
}
