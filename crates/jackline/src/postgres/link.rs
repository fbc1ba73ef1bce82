//! A few connections to PostgreSQL, which everybody shares and which mend themselves. A call ends within the response
//! time-out, whatever the server does. While the server is known to be away, a call fails at once; tasks of their own keep
//! trying to reach it, at most a second apart, so that service resumes without a restart and without waiting for a request.
//!
//! A connection runs one statement after the other, so a call takes the one with the fewest under way and is sent behind
//! them without waiting for their answers. Deliberately not a pool that lends connections out: a caller that gives up
//! would have to hand back one that is still busy, and at the limit callers would wait here instead of on the wire.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, Config, Error, Row, SimpleQueryMessage, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Failure, PostgresOpenError};
use super::open::{self, Opened};
use super::options::PostgresOptions;
use super::tables::{Schema, Tables};
use super::url::PostgresUrl;
use crate::driver::Driver;

/// The shared connections to some tables.
pub struct Link<T> {
    slots: Vec<Slot<T>>,
    dialer: Arc<Dialer>,
    sent: AtomicU64,
}

struct Slot<T> {
    state: watch::Receiver<State<T>>,
    keeper: AbortHandle,
}

enum State<T> {
    /// The connection was lost a moment ago; callers wait for the first attempt to restore it.
    Connecting,
    Up(Arc<Live<T>>),
    /// The last attempt failed; callers fail with it at once.
    Down(Failure),
}

struct Live<T> {
    client: Client,
    tables: T,
    /// Which server it leads to.
    #[cfg_attr(
        not(feature = "near-cache"),
        expect(dead_code, reason = "nobody hears without a near-cache")
    )]
    server: ServerId,
    /// How many calls wait for an answer.
    under_way: AtomicUsize,
    /// Told when the connection is to be replaced.
    replace: Arc<Notify>,
}

impl<T: Tables> Link<T> {
    /// Connects, checks that the server will do, makes or upgrades the tables, and keeps the connections from now on.
    ///
    /// Call this on the Tokio runtime that will serve the requests.
    ///
    /// # Errors
    /// If an option will not do, or the server cannot be used. The message says what to do and holds no password.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn open(
        url: &PostgresUrl,
        options: &PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let Opened { dialer, first } = open::open(url, options).await?;
        let dialer = Arc::new(dialer);
        let mut first = Some(first);
        let slots = (0..options.connections)
            .map(|_| {
                let (publish, state) = watch::channel(State::Connecting);
                let keeper = keep(Arc::clone(&dialer), publish, first.take());
                let keeper = tokio::spawn(keeper).abort_handle();
                Slot { state, keeper }
            })
            .collect();
        Ok(Self {
            slots,
            dialer,
            sent: AtomicU64::new(0),
        })
    }

    /// How many statements were sent. Each is one round trip.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Runs a statement. One round trip.
    ///
    /// # Errors
    /// If PostgreSQL does not answer in time, or refuses.
    pub async fn ask(
        &self,
        statement: fn(&T) -> &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        let hidden: Vec<_> = params.iter().map(|param| Hidden(*param)).collect();
        let params: Vec<_> = hidden.iter().map(|param| param as _).collect();
        let mut replace = None;
        let response_timeout = self.dialer.response_timeout;
        let answer = tokio::time::timeout(response_timeout, async {
            let live = self.live().await?;
            replace = Some(Arc::clone(&live.replace));
            let _under_way = UnderWay::begin(&live.under_way);
            self.sent.fetch_add(1, Ordering::Relaxed);
            let answer = live.client.query(statement(&live.tables), &params).await;
            answer.map_err(|error| {
                let failure = Failure::from(&error);
                if asks_for_another_connection(&failure) {
                    live.replace.notify_one();
                }
                failure
            })
        })
        .await;
        answer.unwrap_or_else(|_| {
            // Whether the server hangs or the network has forgotten the connection cannot be told from here. A new connection
            // settles it: the one case it mends, in the other it fails and later calls need not wait.
            if let Some(replace) = replace {
                replace.notify_one();
            }
            Err(Failure::TimedOut(response_timeout))
        })
    }

    /// The connection with the fewest calls under way, or one that is just being made, or why there is none.
    async fn live(&self) -> Result<Arc<Live<T>>, Failure> {
        let mut best: Option<Arc<Live<T>>> = None;
        let mut fewest = usize::MAX;
        let mut connecting = None;
        let mut failure = Failure::Lost;
        for slot in &self.slots {
            match &*slot.state.borrow() {
                State::Up(live) => {
                    let under_way = live.under_way.load(Ordering::Relaxed);
                    if under_way < fewest {
                        fewest = under_way;
                        best = Some(Arc::clone(live));
                    }
                }
                State::Connecting => connecting = Some(slot.state.clone()),
                State::Down(why) => failure = why.clone(),
            }
        }
        if let Some(live) = best {
            return Ok(live);
        }
        let Some(mut state) = connecting else {
            return Err(failure);
        };
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

#[cfg(feature = "near-cache")]
impl<T: Tables> Link<T> {
    /// A connection of its own, on which is heard what is said in the channel of the schema's name.
    pub(crate) async fn listen(
        &self,
        hear: impl FnMut(&str) + Send + 'static,
    ) -> Result<super::listen::Listening, Failure> {
        // Whoever is away need not be called twice.
        self.live().await?;
        self.dialer.listen(hear).await
    }

    /// How many connections were made. A new one may lead to another server.
    pub(crate) fn made(&self) -> u64 {
        self.dialer.made.load(Ordering::Acquire)
    }

    /// Whether there are connections, and all of them lead to this server.
    pub(crate) fn leads_to(&self, server: &ServerId) -> bool {
        let mut up = self.slots.iter().filter_map(|slot| {
            let state = slot.state.borrow();
            let State::Up(live) = &*state else {
                return None;
            };
            Some(live.server == *server)
        });
        up.next() == Some(true) && up.all(|same| same)
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up = self
            .slots
            .iter()
            .filter(|slot| matches!(&*slot.state.borrow(), State::Up(_)))
            .count();
        write!(f, "Link({up} of {} up)", self.slots.len())
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        for slot in &self.slots {
            slot.keeper.abort();
        }
    }
}

/// A parameter. The client logs all of them at DEBUG, as they print themselves, and they are data of sessions and hashes of
/// passwords (J6).
struct Hidden<'a>(&'a (dyn ToSql + Sync));

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

type Encoded = Result<IsNull, Box<dyn StdError + Sync + Send>>;

impl ToSql for Hidden<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        self.0.to_sql_checked(ty, out)
    }

    /// The parameter itself is asked when it is encoded.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        self.0.to_sql_checked(ty, out)
    }

    fn encode_format(&self, ty: &Type) -> Format {
        self.0.encode_format(ty)
    }
}

struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn asks_for_another_connection(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(code) => {
            // Shutting down; a prepared statement that is not valid any more, after an upgrade of the tables; or a server that
            // takes no writes now, where another may, or this one from a new connection.
            ["57P01", "57P02", "57P03", "0A000", "26000", "25006"].contains(&code.as_str())
        }
        Failure::Io(_) | Failure::Lost => true,
        Failure::TimedOut(_) | Failure::Tls(_) | Failure::NoTls | Failure::Unexpected => false,
    }
}

/// Makes a connection and replaces it whenever it is told to, until it is aborted.
async fn keep<T: Tables>(
    dialer: Arc<Dialer>,
    publish: watch::Sender<State<T>>,
    mut first: Option<Dialed<T>>,
) {
    let mut pause = Pause::default();
    loop {
        let dialed = match first.take() {
            Some(first) => first,
            None => loop {
                match dialer.dial().await {
                    Ok(dialed) => break dialed,
                    Err(failure) => {
                        publish.send_replace(State::Down(failure));
                        pause.wait().await;
                    }
                }
            },
        };
        let (replace, driver) = (Arc::clone(&dialed.replace), dialed.driver);
        // Before anybody is answered by it.
        dialer.made.fetch_add(1, Ordering::AcqRel);
        publish.send_replace(State::Up(Arc::new(Live {
            client: dialed.client,
            tables: dialed.tables,
            server: dialed.server,
            under_way: AtomicUsize::new(0),
            replace: dialed.replace,
        })));
        // A connection that lasted is replaced at once. One that did not shows a server that accepts and hangs up; hurrying
        // would help nobody.
        let lasted = tokio::time::timeout(Pause::LONGEST, replace.notified()).await;
        if lasted.is_err() {
            pause = Pause::default();
            replace.notified().await;
        } else {
            publish.send_replace(State::Down(Failure::Lost));
            pause.wait().await;
        }
        publish.send_replace(State::Connecting);
        // What others wait for on it may still be answered within their time-out.
        tokio::spawn(stop_after(dialer.response_timeout, driver));
    }
}

async fn stop_after(grace: Duration, driver: Driver) {
    let mut every = tokio::time::interval(grace);
    every.tick().await;
    every.tick().await;
    drop(driver);
}

/// Pauses between attempts: twice as long each time, up to a second, and shortened by up to a half at random, so that many
/// servers do not return to a database all at once.
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
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    pub(super) schema: Schema,
    /// For all hosts together.
    pub(super) connection_timeout: Duration,
    pub(super) response_timeout: Duration,
    /// How many connections have come to be used.
    pub(super) made: AtomicU64,
}

/// Tells servers apart, a primary from the standby that took over too: when it was started, to the microsecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerId(String);

impl ServerId {
    /// Asks in one round trip.
    pub(super) async fn of(client: &Client) -> Result<Self, Error> {
        let said = client.simple_query("SELECT pg_postmaster_start_time()");
        let started = said.await?.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(Self(started.unwrap_or_default()))
    }
}

/// A fresh connection with its statements prepared.
pub(super) struct Dialed<T> {
    client: Client,
    tables: T,
    server: ServerId,
    driver: Driver,
    /// Told when the connection closes.
    replace: Arc<Notify>,
}

/// A fresh connection.
pub(super) struct Connected {
    pub(super) client: Client,
    driver: Driver,
    replace: Arc<Notify>,
}

impl Dialer {
    async fn dial<T: Tables>(&self) -> Result<Dialed<T>, Failure> {
        let dial = async {
            let connected = self.connect().await?;
            self.prepare(connected).await
        };
        tokio::time::timeout(self.connection_timeout, dial)
            .await
            .map_err(|_| Failure::TimedOut(self.connection_timeout))?
            .map_err(|error| Failure::from(&error))
    }

    /// Connects and authenticates.
    pub(super) async fn connect(&self) -> Result<Connected, Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        let replace = Arc::new(Notify::new());
        let tell = Arc::clone(&replace);
        let driver = Driver::start(async move {
            // Who waits for an answer is told why; here it only matters that it is over.
            let _ = connection.await;
            tell.notify_one();
        });
        Ok(Connected {
            client,
            driver,
            replace,
        })
    }

    /// Makes a connection ready for requests, in one round trip.
    pub(super) async fn prepare<T: Tables>(
        &self,
        connected: Connected,
    ) -> Result<Dialed<T>, Error> {
        // A server that acknowledges before it has written would break J8. Stricter values than `on` stay as they are.
        const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
            WHERE current_setting('synchronous_commit') = 'off'";
        let (tables, (), server) = tokio::try_join!(
            T::prepare(&connected.client, &self.schema),
            connected.client.batch_execute(DURABLE),
            ServerId::of(&connected.client),
        )?;
        Ok(Dialed {
            client: connected.client,
            tables,
            server,
            driver: connected.driver,
            replace: connected.replace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J6
    #[test]
    fn a_parameter_does_not_print_itself() {
        let hash: &(dyn ToSql + Sync) = &"$argon2id$v=19$m=19456";
        assert_eq!(format!("{:?}", Hidden(hash)), "hidden");
    }
}
