//! Leaving Express for good: every session that was shared moves to a native layout, and its owner stays logged in.
//!
//! The browser goes on with Express's cookie, from which the session's key follows, but not whose session it is. So the session
//! moves to the bucket of its owner, as [`Store::admit`] demands, and a [signpost](Record::signpost) lies under the key that
//! follows from the cookie. A visitor's session moves to that key itself.

use std::sync::Arc;

use redis::FromRedisValue as _;
use tokio::task::JoinSet;

use super::ExpressStore;
use crate::clock::Clock;
use crate::lifecycle::{OwnerId, Record, SessionCap, UnixMs};
use crate::store::redis::answer::unexpected;
use crate::store::redis::question::Question;
use crate::store::{Admission, Admitted, Epoch, Loaded, NO_RENEWAL, Store, StoreError};
use crate::token::{Bucket, SessionKey};

/// How many names are asked for at a time, and so how many sessions move at once.
const STEP: &str = "100";

/// What became of the sessions that were shared with Express.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rekeyed {
    /// They moved.
    pub moved: u64,
    /// They had reached a limit or been revoked, and were left to run out.
    pub over: u64,
    /// What stands under their names is no session, or one that cannot be read. It was left as it is.
    pub unreadable: u64,
}

/// What became of one of them.
enum Fate {
    Moved,
    Over,
    Unreadable,
}

impl Rekeyed {
    fn count(&mut self, fate: &Fate) {
        *match fate {
            Fate::Moved => &mut self.moved,
            Fate::Over => &mut self.over,
            Fate::Unreadable => &mut self.unreadable,
        } += 1;
    }
}

impl ExpressStore {
    /// Moves all live sessions to `to`, a store in the native layout, and removes them here. It may be the same Redis. With
    /// [`accept_express_cookie`](crate::engine::EngineBuilder::accept_express_cookie) an engine on `to` serves them to whoever comes
    /// with Express's cookie.
    ///
    /// Neither side may serve meanwhile: what a session does between being read here and being removed would be lost. After an
    /// error, or if this future is dropped, call it again: each session is either here, or there, or in both places and then moved
    /// once only. No session is counted as a use, no limit begins anew, and no cap ends any.
    ///
    /// # Errors
    /// If either store does not answer, or refuses.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn rekey(
        &self,
        to: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Rekeyed, StoreError> {
        let (mut cursor, mut rekeyed) = (String::from("0"), Rekeyed::default());
        loop {
            let (next, names) = self.some_names(&cursor).await?;
            let mut moving = JoinSet::new();
            // One that is native already is one that has moved, if both layouts lie in one Redis.
            for name in names
                .into_iter()
                .filter(|name| self.0.names.session_key(name).is_none())
            {
                let (from, to, clock) = (self.clone(), Arc::clone(to), Arc::clone(clock));
                moving.spawn(async move { from.move_one(&name, &*to, clock.now()).await });
            }
            while let Some(moved) = moving.join_next().await {
                let moved = moved.map_err(StoreError::unavailable)?;
                rekeyed.count(&moved?);
            }
            if next == "0" {
                return Ok(rekeyed);
            }
            cursor = next;
        }
    }

    async fn some_names(&self, cursor: &str) -> Result<(String, Vec<Vec<u8>>), StoreError> {
        let pattern = self.0.names.all_sessions();
        let scan = ["SCAN", cursor, "MATCH", &pattern, "COUNT", STEP];
        let page = self.0.servers.ask(&Question::Server(&scan)).await?;
        <(String, Vec<Vec<u8>>)>::from_redis_value(page).map_err(|_| unexpected())
    }

    async fn move_one(&self, name: &[u8], to: &dyn Store, now: UnixMs) -> Result<Fate, StoreError> {
        let prefix = self.0.names.shared("");
        let sid = name
            .strip_prefix(prefix.as_bytes())
            .and_then(|sid| std::str::from_utf8(sid).ok());
        let Some(key) = sid.and_then(SessionKey::express) else {
            return Ok(Fate::Unreadable);
        };
        match self.move_session(&key, to, now).await {
            Err(StoreError::Corrupt(reason)) => {
                tracing::warn!(session = %key.handle(), %reason, "a session that cannot be read stays where it is");
                Ok(Fate::Unreadable)
            }
            fate => fate,
        }
    }

    async fn move_session(
        &self,
        key: &SessionKey,
        to: &dyn Store,
        now: UnixMs,
    ) -> Result<Fate, StoreError> {
        let Some(seen) = self.live(key, now).await? else {
            return Ok(Fate::Over);
        };
        let owner = seen.owner();
        let epoch = match owner {
            None => Epoch::default(),
            Some(owner) => to.epoch(owner, now).await?,
        };
        // Read after the epoch: whoever is revoked from now on is refused.
        let Some(record) = self.live(key, now).await? else {
            return Ok(Fate::Over);
        };
        if record.owner() != owner {
            return Err(StoreError::unavailable(
                "a session changed while it moved: stop all servers first",
            ));
        }
        // What is there already was moved before this call, and may have been used since.
        let is_there = matches!(
            to.load(key, NO_RENEWAL, now).await?,
            Loaded::Live { .. } | Loaded::Expired(_)
        );
        let moved = match owner {
            _ if is_there => true,
            None => stored(to.create(key, &record).await)?,
            Some(owner) => bring_home(key, &record, (owner, epoch), to, now).await?,
        };
        self.0.end(key, owner, None, now).await?;
        Ok(if moved { Fate::Moved } else { Fate::Over })
    }

    async fn live(&self, key: &SessionKey, now: UnixMs) -> Result<Option<Box<Record>>, StoreError> {
        Ok(match self.0.load(key, NO_RENEWAL, now).await? {
            Loaded::Live { record, .. } if !record.clocks.absolute_expired(now) => Some(record),
            _ => None,
        })
    }
}

/// Stores a session in its owner's bucket, unless they were revoked since `epoch`, and then the signpost to it: a signpost to nothing
/// would make the next call believe that the session has ended.
async fn bring_home(
    key: &SessionKey,
    record: &Record,
    (owner, epoch): (&OwnerId, Epoch),
    to: &dyn Store,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let home = Bucket::of(owner);
    let admission = Admission {
        key: &key.in_bucket(home),
        record,
        owner,
        epoch,
        // Nobody is logged out because sessions move.
        cap: SessionCap::Unlimited,
        replaces: None,
    };
    match to.admit(&admission, now).await {
        Ok(Admitted::Done { .. }) | Err(StoreError::Conflict) => {}
        Ok(Admitted::Revoked | Admitted::AtCap) => return Ok(false),
        Err(error) => return Err(error),
    }
    stored(to.create(key, &Record::signpost(home, record, now)).await)
}

/// `true`, unless it failed for another reason than that it was there.
fn stored(created: Result<(), StoreError>) -> Result<bool, StoreError> {
    match created {
        Ok(()) | Err(StoreError::Conflict) => Ok(true),
        Err(error) => Err(error),
    }
}
