//! Makes connections: to a server that is known by its address, or to the one that sentinels name.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError, Value};
use tokio::sync::Notify;

use super::announce::{Announcer, Listener};
use super::sentinel::{NoPrimary, Sentinels};

/// Makes connections to one server, or to whichever has its place.
pub(super) struct Dialer {
    pub(super) to: To,
    pub(super) times: Times,
    /// Whom every connection tells what others change.
    pub(super) announcer: Option<Announcer>,
}

/// Whom a [`Dialer`] calls.
pub(super) enum To {
    Server(Client),
    Primary(Sentinels),
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
    pub(super) at: String,
    pub(super) closed: Arc<Notify>,
    pub(super) listener: Option<Arc<Listener>>,
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
            let (client, sure) = match &self.to {
                To::Server(client) => (client.clone(), true),
                To::Primary(sentinels) => {
                    // Half of the time, so that a sentinel that hangs leaves the other half for the primary.
                    let named = sentinels.ask(self.times.connect / 2).await;
                    let named = named.map_err(DialError::NoPrimary)?;
                    (sentinels.client(&named.primary), false)
                }
            };
            at = client.get_connection_info().addr().to_string();
            let mut dialed = connect(&client, self.times, self.announcer.as_ref())
                .await
                .map_err(|error| DialError::server(&at, error))?;
            if !sure && !is_primary(&mut dialed.connection, &at).await? {
                return Err(DialError::Replica { at: at.clone() });
            }
            Ok(dialed)
        };
        // The client's own time-out need not cover name look-up and handshake; this one covers all.
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
    client: &Client,
    times: Times,
    announcer: Option<&Announcer>,
) -> Result<Dialed, RedisError> {
    let closed = Arc::new(Notify::new());
    let tell = Arc::clone(&closed);
    let listener = announcer.map(|announcer| Arc::new(announcer.listen()));
    let hears = listener.clone();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(times.connect))
        .set_response_timeout(Some(times.respond))
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
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    if let Some(listener) = &listener {
        listener.begin(&mut connection).await?;
    }
    Ok(Dialed {
        connection,
        at: client.get_connection_info().addr().to_string(),
        closed,
        listener,
    })
}

async fn is_primary(connection: &mut MultiplexedConnection, at: &str) -> Result<bool, DialError> {
    let role: Vec<Value> = redis::cmd("ROLE")
        .query_async(connection)
        .await
        .map_err(|error| DialError::server(at, error))?;
    Ok(matches!(role.first(), Some(Value::BulkString(role)) if role == b"master"))
}
