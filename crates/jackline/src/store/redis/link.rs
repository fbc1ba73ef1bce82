//! The one connection to a server, which everybody shares and which mends itself. A call ends within the response time-out,
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
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::announce::Listener;
use super::dial::{DialError, Dialed, Dialer};
use super::question::Question;
use super::sentinel::NoPrimary;
use crate::driver::Driver;

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
    /// A node of a cluster says that another holds the key.
    #[error("another node of the cluster holds the key")]
    Elsewhere { at: String },
    #[error("the slot of the key is moving from one node of the cluster to another")]
    Moving,
    #[error("the server that the sentinels name is a replica")]
    Replica,
    #[error("the sentinels name no primary")]
    NoPrimary,
    #[error("Redis answered something unexpected")]
    Unexpected,
}

impl Failure {
    /// Whether Redis refused with one of these codes.
    pub(super) fn says(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused(code) if codes.contains(&code.as_str()))
    }
}

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Io(io::ErrorKind::TimedOut);
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
            && let Some((at, _)) = error.redirect_node()
        {
            return Self::Elsewhere { at: at.to_owned() };
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

impl From<&DialError> for Failure {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Server { error, .. } => Self::from(error),
            DialError::Replica { .. } => Self::Replica,
            DialError::NoPrimary(NoPrimary::Silent {
                error: Some(error), ..
            }) => Self::from(error),
            DialError::NoPrimary(_) => Self::NoPrimary,
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
    Up(Arc<Live>),
    /// The last attempt failed; callers fail with it at once.
    Down(Failure),
}

struct Live {
    connection: MultiplexedConnection,
    _driver: Driver,
    at: String,
    /// Told when the connection is to be replaced.
    replace: Arc<Notify>,
    listener: Option<Arc<Listener>>,
}

impl Live {
    /// Returns when the server does not prove any more that it announces everything; never, if it is not to.
    async fn until_silent(&self) {
        match &self.listener {
            Some(listener) => listener.until_silent(self.connection.clone()).await,
            None => std::future::pending().await,
        }
    }
}

impl From<Dialed> for Live {
    fn from(dialed: Dialed) -> Self {
        Self {
            connection: dialed.connection,
            _driver: dialed.driver,
            at: dialed.at,
            replace: dialed.closed,
            listener: dialed.listener,
        }
    }
}

impl Link {
    /// Shares a first connection, and keeps one from now on.
    pub(super) fn new(dialer: Dialer, first: Dialed) -> Self {
        let live = Arc::new(Live::from(first));
        Self::keeping(dialer, State::Up(Arc::clone(&live)), Some(live))
    }

    /// Makes a connection, and keeps one from now on.
    pub(super) fn opening(dialer: Dialer) -> Self {
        Self::keeping(dialer, State::Connecting, None)
    }

    fn keeping(dialer: Dialer, state: State, first: Option<Arc<Live>>) -> Self {
        let response_timeout = dialer.times.respond;
        let (publish, state) = watch::channel(state);
        let keeper = tokio::spawn(keep(dialer, publish, first)).abort_handle();
        Self {
            state,
            response_timeout,
            keeper,
        }
    }

    /// Until when a question that is asked now may take.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.response_timeout
    }

    /// Whether there is a connection that nothing is known against.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// Asks. One round trip, but for a script that the server does not have yet.
    pub(super) async fn ask(
        &self,
        question: &Question<'_>,
        until: Instant,
    ) -> Result<Value, Failure> {
        self.before(until, async |connection| {
            match question.in_short().query_async(connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    question.in_full().query_async(connection).await
                }
                answer => answer,
            }
        })
        .await
    }

    async fn before<F>(&self, until: Instant, ask: F) -> Result<Value, Failure>
    where
        F: AsyncFnOnce(&mut MultiplexedConnection) -> Result<Value, RedisError>,
    {
        let mut asked = None;
        let answer = tokio::time::timeout_at(until, async {
            let live = asked.insert(self.live().await?);
            ask(&mut live.connection.clone()).await.map_err(|error| {
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
            if let Some(live) = asked {
                live.replace.notify_one();
            }
            Err(Failure::TimedOut(self.response_timeout))
        })
    }

    async fn live(&self) -> Result<Arc<Live>, Failure> {
        // Nearly always, and then there is nothing to wait for.
        if let State::Up(live) = &*self.state.borrow() {
            return Ok(Arc::clone(live));
        }
        let mut state = self.state.clone();
        let state = state
            .wait_for(|state| !matches!(state, State::Connecting))
            .await
            // Only if the runtime that the store was opened in is gone, and its tasks with it.
            .map_err(|_| Failure::Lost)?;
        match &*state {
            State::Up(live) => Ok(Arc::clone(live)),
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

/// Makes a connection, and replaces it whenever that is called for, until it is aborted.
async fn keep(dialer: Dialer, publish: watch::Sender<State>, mut first: Option<Arc<Live>>) {
    let mut pause = Pause::default();
    loop {
        let live = match first.take() {
            Some(live) => live,
            None => {
                publish.send_replace(State::Connecting);
                let live = restore(&dialer, &publish, &mut pause).await;
                publish.send_replace(State::Up(Arc::clone(&live)));
                live
            }
        };
        let over = async {
            tokio::select! {
                () = live.replace.notified() => {}
                () = dialer.supplanted(&live.at) => {}
                () = live.until_silent() => {}
            }
        };
        tokio::pin!(over);
        let lasted = tokio::time::timeout(Pause::LONGEST, &mut over)
            .await
            .is_err();
        if lasted {
            over.await;
        }
        // A connection that lasted is replaced at once. One that did not shows a server that accepts and hangs up, or a
        // read-only one; hurrying would help nobody.
        publish.send_replace(if lasted {
            State::Connecting
        } else {
            State::Down(Failure::Lost)
        });
        // Only now that nobody asks on it any more: what is loaded from here on is loaded over the next.
        if let Some(listener) = &live.listener {
            listener.lost();
        }
        if lasted {
            pause = Pause::default();
        } else {
            pause.wait().await;
        }
    }
}

async fn restore(dialer: &Dialer, publish: &watch::Sender<State>, pause: &mut Pause) -> Arc<Live> {
    loop {
        match dialer.dial().await {
            Ok(dialed) => break Arc::new(Live::from(dialed)),
            Err(error) => {
                publish.send_replace(State::Down(Failure::from(&error)));
                pause.wait().await;
            }
        }
    }
}

/// Pauses between attempts: twice as long each time, up to a second, and shortened by up to a half at random, so that many
/// servers do not return to a Redis all at once.
#[derive(Default)]
pub(super) struct Pause {
    attempts: u32,
}

impl Pause {
    #[expect(
        clippy::disallowed_methods,
        reason = "a pause between attempts is what this is"
    )]
    pub(super) async fn wait(&mut self) {
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

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J7
    #[test]
    fn pauses_double_up_to_a_second_and_no_two_servers_keep_step() {
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..64 {
            let mut pause = Pause::default();
            for full in [50, 100, 200, 400, 800, 1000, 1000, 1000] {
                let (full, length) = (Duration::from_millis(full), pause.next());
                assert!(
                    length <= full && length > full / 2,
                    "{length:?} of {full:?}"
                );
                lengths.insert(length);
            }
        }
        assert!(lengths.len() > 64, "{lengths:?}");
    }

    // Proves: J7
    #[test]
    fn a_connection_is_replaced_if_it_is_broken_or_leads_to_a_replica_and_for_no_other_refusal() {
        let refused = |said: &str| {
            let answer = redis::parse_redis_value(format!("-{said}\r\n").as_bytes()).unwrap();
            answer.extract_error().unwrap_err()
        };
        let broken = RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        let late = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        let replica = refused("READONLY You can't write against a read only replica.");
        for error in [broken, late, replica] {
            assert!(asks_for_another_connection(&error), "{error}");
        }
        for said in ["OOM no room", "NOSCRIPT No matching script.", "ERR unknown"] {
            assert!(!asks_for_another_connection(&refused(said)), "{said}");
        }
    }

    // Proves: J7
    #[test]
    fn a_refusal_goes_by_its_code_also_where_a_script_was_refused_something() {
        for (said, code) in [
            ("OOM command not allowed", "OOM"),
            ("NOAUTH Authentication required.", "NOAUTH"),
            ("ERR user_script:1: OOM command not allowed", "OOM"),
            ("ERR unknown command", "ERR"),
            ("MISCONF errors writing to disk: OOM", "MISCONF"),
        ] {
            let answer = redis::parse_redis_value(format!("-{said}\r\n").as_bytes()).unwrap();
            let error = answer.extract_error().unwrap_err();
            assert_eq!(
                Failure::from(&error),
                Failure::Refused(code.to_owned()),
                "{said}"
            );
        }
    }
}
