//! The one connection to Redis, which everybody shares and which mends itself. A call ends within the response time-out,
//! whatever Redis does. While Redis is known to be away, a call fails at once; a task of its own keeps trying to reach it,
//! at most a second apart, so that service resumes without a restart and without waiting for a request.
//!
//! Deliberately not `redis::aio::ConnectionManager` (1.8): during a reconnect its callers wait for every retry, with retries
//! turned off nothing spaces them out, a connection that times out without being closed is never replaced, and after one
//! refused authentication it never tries again.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, PushInfo, PushKind, RedisError};
use redis::{ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::scripts::Call;

/// Why Redis did not do what it was asked, without a word of what that was: neither a key, nor a value, nor the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("Redis did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the connection to Redis failed: {0}")]
    Io(io::ErrorKind),
    #[error("the connection to Redis was lost and is being restored")]
    Lost,
    /// With the code that opens Redis's error message, such as `OOM`.
    #[error("Redis refused with {0}")]
    Refused(String),
    #[error("Redis answered something unexpected")]
    Unexpected,
}

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Io(io::ErrorKind::TimedOut);
        }
        match error.kind() {
            ErrorKind::Io => Self::Io(io_kind(error)),
            ErrorKind::AuthenticationFailed => Self::Refused("NOAUTH".to_owned()),
            _ => error
                .code()
                .map_or(Self::Unexpected, |code| Self::Refused(refusal(code, error))),
        }
    }
}

fn io_kind(error: &RedisError) -> io::ErrorKind {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .map_or(io::ErrorKind::BrokenPipe, io::Error::kind)
}

/// The code of an error. Redis 6 reports an error of a command inside a script as `ERR`, with the code in the text.
fn refusal(code: &str, error: &RedisError) -> String {
    const INNER: [&str; 7] = [
        "OOM",
        "READONLY",
        "MISCONF",
        "NOREPLICAS",
        "MASTERDOWN",
        "WRONGTYPE",
        "NOPERM",
    ];
    let detail = error.detail().unwrap_or_default();
    INNER
        .into_iter()
        .find(|inner| code == "ERR" && detail.contains(inner))
        .unwrap_or(code)
        .to_owned()
}

/// The shared connection.
pub(super) struct Link {
    state: watch::Receiver<State>,
    response_timeout: Duration,
    keeper: AbortHandle,
}

#[derive(Clone)]
enum State {
    /// The connection was lost a moment ago; callers wait for the first attempt to restore it.
    Connecting,
    Up(Live),
    /// The last attempt failed; callers fail with it at once.
    Down(Failure),
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Told when the connection is to be replaced.
    replace: Arc<Notify>,
}

impl Link {
    /// Shares a first connection, and keeps one from now on.
    pub(super) fn new(dialer: Dialer, first: Dialed) -> Self {
        let response_timeout = dialer.response_timeout;
        let live = Live::from(first);
        let replace = Arc::clone(&live.replace);
        let (publish, state) = watch::channel(State::Up(live));
        let keeper = tokio::spawn(keep(dialer, publish, replace)).abort_handle();
        Self {
            state,
            response_timeout,
            keeper,
        }
    }

    /// Runs a script. One round trip, but for the first time after Redis was started.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Value, Failure> {
        self.within_timeout(async |connection: &mut MultiplexedConnection| {
            match call.by_sha().query_async(connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    call.in_full().query_async(connection).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// Runs a command.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, Failure> {
        self.within_timeout(async |connection: &mut MultiplexedConnection| {
            command.query_async(connection).await
        })
        .await
    }

    async fn within_timeout<F>(&self, ask: F) -> Result<Value, Failure>
    where
        F: AsyncFnOnce(&mut MultiplexedConnection) -> Result<Value, RedisError>,
    {
        let mut replace = None;
        let answer = tokio::time::timeout(self.response_timeout, async {
            let mut live = self.live().await?;
            replace = Some(Arc::clone(&live.replace));
            ask(&mut live.connection).await.map_err(|error| {
                if asks_for_another_connection(&error) {
                    live.replace.notify_one();
                }
                Failure::from(&error)
            })
        })
        .await;
        answer.unwrap_or_else(|_| {
            // Whether Redis hangs or the network has forgotten the connection cannot be told from here. A new connection
            // settles it: the one case it mends, in the other it fails and later calls need not wait.
            if let Some(replace) = replace {
                replace.notify_one();
            }
            Err(Failure::TimedOut(self.response_timeout))
        })
    }

    async fn live(&self) -> Result<Live, Failure> {
        let mut state = self.state.clone();
        let state = state
            .wait_for(|state| !matches!(state, State::Connecting))
            .await
            // Only if the runtime that the store was opened in is gone, and its tasks with it.
            .map_err(|_| Failure::Lost)?;
        match &*state {
            State::Up(live) => Ok(live.clone()),
            State::Down(failure) => Err(failure.clone()),
            State::Connecting => Err(Failure::Lost),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.borrow() {
            State::Connecting => "connecting",
            State::Up(_) => "up",
            State::Down(_) => "down",
        };
        write!(f, "Link({state})")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

fn asks_for_another_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        // A primary that was demoted keeps its connections; the name may lead to the new primary by now.
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Replaces the connection whenever it is told to, until it is aborted.
async fn keep(dialer: Dialer, publish: watch::Sender<State>, mut replace: Arc<Notify>) {
    let mut pause = Pause::default();
    loop {
        // A connection that lasted is replaced at once. One that did not shows a server that accepts and hangs up, or a
        // read-only one; hurrying would help nobody.
        if tokio::time::timeout(Pause::LONGEST, replace.notified())
            .await
            .is_err()
        {
            pause = Pause::default();
            replace.notified().await;
        } else {
            publish.send_replace(State::Down(Failure::Lost));
            pause.wait().await;
        }
        publish.send_replace(State::Connecting);
        let live = loop {
            match dialer.dial().await {
                Ok(dialed) => break Live::from(dialed),
                Err(error) => {
                    publish.send_replace(State::Down(Failure::from(&error)));
                    pause.wait().await;
                }
            }
        };
        replace = Arc::clone(&live.replace);
        publish.send_replace(State::Up(live));
    }
}

/// Pauses between attempts: twice as long each time, up to a second, and shortened by up to a half at random, so that many
/// servers do not return to a Redis all at once.
#[derive(Default)]
struct Pause {
    attempts: u32,
}

impl Pause {
    #[expect(
        clippy::disallowed_methods,
        reason = "a pause between attempts is what this is"
    )]
    async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    fn next(&mut self) -> Duration {
        let mut random = [0];
        // Without randomness the pause is a full one, which is safe.
        let _ = getrandom::fill(&mut random);
        let full = (Self::FIRST * 2_u32.pow(self.attempts)).min(Self::LONGEST);
        self.attempts = (self.attempts + 1).min(5);
        full - full * u32::from(random[0]) / 512
    }
}

/// Makes connections.
pub(super) struct Dialer {
    pub(super) client: Client,
    pub(super) connection_timeout: Duration,
    pub(super) response_timeout: Duration,
}

/// A fresh connection, and who is told when Redis closes it.
pub(super) struct Dialed {
    pub(super) connection: MultiplexedConnection,
    closed: Arc<Notify>,
}

impl From<Dialed> for Live {
    fn from(dialed: Dialed) -> Self {
        Self {
            connection: dialed.connection,
            replace: dialed.closed,
        }
    }
}

impl Dialer {
    /// Connects and authenticates. Fails after the connection time-out.
    pub(super) async fn dial(&self) -> Result<Dialed, RedisError> {
        let closed = Arc::new(Notify::new());
        let tell = Arc::clone(&closed);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connection_timeout))
            .set_response_timeout(Some(self.response_timeout))
            // Callers beyond this many wait for a place; more than enough for what one connection carries.
            .set_pipeline_buffer_size(1024)
            // With RESP3 the client notices by itself that the connection is closed, before the next request needs it.
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    tell.notify_one();
                }
                Ok::<_, redis::aio::SendError>(())
            });
        let dial = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        // The client's own time-out need not cover name look-up and handshake; this one covers all.
        let connection = tokio::time::timeout(self.connection_timeout, dial)
            .await
            .map_err(|_| RedisError::from(io::Error::from(io::ErrorKind::TimedOut)))??;
        Ok(Dialed { connection, closed })
    }
}
