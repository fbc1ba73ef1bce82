//! How PostgreSQL says what has changed: whoever changes a session notifies before it does so (`migrations/0001_sessions.sql` says in
//! which order, and why), and one connection beside the store's own listens.
//!
//! Notifications arrive in the order in which their transactions were committed. So a mark, which one of the store's own connections
//! sends and which arrives where this listens, proves that everything has been announced here that was acknowledged to anybody before
//! the mark was sent, and that nobody in between takes announcements away, as a pooler would. It proves that for the server that the
//! mark was sent by; loads must have been answered by no other.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use tokio_postgres::types::ToSql;

use super::row;
use super::tables::Sessions;
use crate::clock::{Clock as _, SystemClock};
use crate::postgres::{Failure, Link, Listening};
use crate::store::near::{Announcements, Line};
use crate::token::{Bucket, SessionKey};

/// How often a listener says that it is still there. It is forgotten after an hour.
const RENEWED_EVERY: Duration = Duration::from_secs(60);

/// Announces to a near-cache, for as long as it is there.
pub(super) struct Announcer {
    announcements: Announcements,
    keeper: AbortHandle,
}

impl Announcer {
    /// Listens from now on. Fails if what is said cannot be heard.
    pub(super) async fn open(
        link: &Arc<Link<Sessions>>,
        announcements: Announcements,
    ) -> Result<Self, Failure> {
        let first = Listener::begin(link, &announcements).await?;
        let keeper = keep(Arc::downgrade(link), announcements.clone(), first);
        Ok(Self {
            announcements,
            keeper: tokio::spawn(keeper).abort_handle(),
        })
    }

    /// What is being asked about this session is not to be kept.
    pub(super) fn overtaken(&self, key: &SessionKey) {
        self.announcements.overtaken(key);
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Listens until there is no store any more.
async fn keep(link: Weak<Link<Sessions>>, announcements: Announcements, first: Listener) {
    let mut listener = Some(first);
    let pause = (announcements.bound() / 4).max(Duration::from_millis(1));
    let mut every = tokio::time::interval(pause);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = closed(listener.as_ref()) => listener = None,
        }
        let Some(link) = link.upgrade() else { return };
        let goes_on = match &mut listener {
            Some(current) => current.prove(&link, announcements.bound()).await,
            None => Listener::begin(&link, &announcements)
                .await
                .map(|new| listener = Some(new)),
        };
        if let Err(failure) = goes_on {
            tracing::debug!(%failure, "changes in PostgreSQL cannot be heard; the near-cache is empty meanwhile");
            listener = None;
        }
    }
}

/// Returns when nothing more will be heard.
async fn closed(listener: Option<&Listener>) {
    match listener {
        Some(listener) => listener.connection.closed().await,
        None => std::future::pending().await,
    }
}

/// One connection that listens.
struct Listener {
    id: i64,
    line: Arc<Line>,
    connection: Listening,
    /// The last mark that was heard.
    heard: watch::Receiver<i64>,
    marks: i64,
    renewed: Instant,
    /// How many of the store's own connections had been made, when all of them led to the server that this listens to.
    made: u64,
}

impl Listener {
    async fn begin(
        link: &Arc<Link<Sessions>>,
        announcements: &Announcements,
    ) -> Result<Self, Failure> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| Failure::Unexpected)?;
        let id = i64::from_be_bytes(random);
        let (tell, heard) = watch::channel(0);
        // Nothing is to be kept of what was loaded before others announce and this listens; so the line is opened last.
        let (open, opened) = watch::channel(None::<Arc<Line>>);
        let connection = link
            .listen(move |said| {
                if let Some(line) = &*opened.borrow() {
                    hear(said, id, line, &tell);
                }
            })
            .await?;
        let now = row::millis(SystemClock.now());
        link.ask(|s| &s.announcing.listen, &[&id, &now]).await?;
        let line = Arc::new(announcements.open_line());
        open.send_replace(Some(Arc::clone(&line)));
        let mut listener = Self {
            id,
            line,
            connection,
            heard,
            marks: 0,
            renewed: Instant::now(),
            made: 0,
        };
        listener.prove(link, announcements.bound()).await?;
        Ok(listener)
    }

    /// Proves that everything has been announced.
    async fn prove(&mut self, link: &Link<Sessions>, within: Duration) -> Result<(), Failure> {
        let made = link.made();
        if !link.leads_to(self.connection.server()) {
            return Err(Failure::Lost);
        }
        if self.made != made {
            // One that has gone meanwhile may have led elsewhere.
            self.line.all_changed();
            self.made = made;
        }
        if self.renewed.elapsed() >= RENEWED_EVERY {
            let now = row::millis(SystemClock.now());
            let params: [&(dyn ToSql + Sync); 2] = [&self.id, &now];
            link.ask(|s| &s.announcing.renew, &params).await?;
            self.renewed = Instant::now();
        }
        self.marks += 1;
        let (mark, asked) = (self.marks, Instant::now());
        let params: [&(dyn ToSql + Sync); 2] = [&self.id, &mark];
        let rows = link.ask(|s| &s.announcing.mark, &params).await?;
        if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
            return Err(Failure::Lost);
        }
        let arrives = self.heard.wait_for(|heard| *heard == mark);
        match tokio::time::timeout(within, arrives).await {
            Ok(Ok(_)) => self.line.complete_until(asked),
            Ok(Err(_)) => return Err(Failure::Lost),
            Err(_) => return Err(Failure::TimedOut(within)),
        }
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The connection may last a moment longer, and hear.
        self.line.lost();
    }
}

/// Takes what was said: a mark, a bucket, or a key. Whoever says something else has changed something by hand.
fn hear(said: &str, id: i64, line: &Line, tell: &watch::Sender<i64>) {
    if let Some(mark) = said.strip_prefix("mark ") {
        if let Some((of, mark)) = mark.split_once(' ')
            && of.parse() == Ok(id)
            && let Ok(mark) = mark.parse()
        {
            tell.send_replace(mark);
        }
    } else if let Ok(key) = SessionKey::try_from(said.to_owned()) {
        line.changed(&key);
    } else if said.len() == 4
        && let Ok(bucket) = u16::from_str_radix(said, 16)
    {
        line.bucket_changed(Bucket::from_number(bucket));
    } else {
        line.all_changed();
    }
}
