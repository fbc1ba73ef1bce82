//! How Redis says what has changed: every connection is told of each session that changes (client tracking in broadcast mode), on the
//! very stream on which it answers.
//!
//! Redis writes an announcement before the answer that acknowledges the change, so an answer to a `PING` proves that everything
//! has been announced here that was acknowledged to anybody before the `PING` was sent. No announcement can be lost in between, and
//! none can overtake what was loaded before it.
//!
//! A connection is told of its own changes too (no `NOLOOP`): of several changes to a session within one turn of its loop Redis
//! remembers only the last one's author, and another's would be passed over. The price is that a load that renews withdraws what it
//! has read, so that the next one asks once more.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value};

use super::keys::Names;
use crate::store::near::Line;

pub(super) use crate::store::near::Announcements;

/// What new connections announce to.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    announcements: Announcements,
    names: Names,
}

impl Announcer {
    pub(super) fn new(announcements: Announcements, names: Names) -> Self {
        Self {
            announcements,
            names,
        }
    }

    /// For a connection that is about to be made.
    pub(super) fn listen(&self) -> Listener {
        Listener {
            line: self.announcements.open_line(),
            names: self.names.clone(),
            bound: self.announcements.bound(),
        }
    }
}

/// What one connection announces to.
#[derive(Debug)]
pub(super) struct Listener {
    line: Line,
    names: Names,
    bound: Duration,
}

impl Listener {
    /// Asks for announcements, before anything else is asked.
    pub(super) async fn begin(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        redis::cmd("CLIENT")
            .arg(&["TRACKING", "ON", "BCAST", "PREFIX"])
            .arg(self.names.prefix())
            .query_async(connection)
            .await
    }

    /// Takes what the server says unasked.
    pub(super) fn hear(&self, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(names)) => {
                    for name in names {
                        // A name that is not a session's was written by somebody else, and nothing is kept of it.
                        if let Value::BulkString(name) = name
                            && let Some(key) = self.names.session_key(name)
                        {
                            self.line.changed(&key);
                        }
                    }
                }
                // The database was emptied.
                _ => self.line.all_changed(),
            },
            PushKind::Disconnection => self.line.lost(),
            _ => {}
        }
    }

    /// Makes the server prove that it has announced everything, again and again. Returns when it does not answer.
    pub(super) async fn until_silent(&self, mut connection: MultiplexedConnection) {
        let mut every = tokio::time::interval((self.bound / 4).max(Duration::from_millis(1)));
        let ping = redis::cmd("PING");
        loop {
            every.tick().await;
            let asked = Instant::now();
            let answer = ping.query_async::<Value>(&mut connection);
            match tokio::time::timeout(self.bound, answer).await {
                Ok(Ok(_)) => self.line.complete_until(asked),
                // Busy or loading: there, and no proof of anything.
                Ok(Err(error)) if error.code().is_some() => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Nobody is to rely on this connection any more.
    pub(super) fn lost(&self) {
        self.line.lost();
    }
}
