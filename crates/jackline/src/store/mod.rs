//! The contract between Jackline and whatever keeps its sessions.
//!
//! # Contract
//!
//! Every method is one atomic step, as seen by every other caller on every machine. All of them may be called at once.
//!
//! 1. **Time is handed in.** A store compares with the `now` it is given and may use its own clock only to reclaim
//!    what has run out. A record whose idle limit has run out at `now` is *expired*: it is never live again, nothing
//!    is applied to it, and it is listed nowhere.
//! 2. **Kept until idle.** A record past its absolute limit but not past its idle limit is still returned by
//!    [`load`](Store::load), so that a use after the end can be told from an unknown token. It is never renewed.
//! 3. **Update never creates, create never overwrites.** [`commit`](Store::commit) on a record that is gone answers
//!    [`Committed::Gone`]; [`create`](Store::create) on a key that exists answers [`StoreError::Conflict`].
//! 4. **Acknowledged is durable.** A method returns `Ok` only when what it did would survive the store's own restart, as
//!    far as the store's documentation says that it can.
//! 5. **All or nothing.** A method that fails changed nothing, or changed everything and could not say so. It never did half.
//! 6. **Ending is idempotent.** Ending what is not there succeeds.
//! 7. **What gave way is remembered.** A key that a [`rotate`](Store::rotate) moved away from, or that a login replaced, known
//!    or not, has a [`Trace`] for a while, and so has a key under which the library [`note`](Store::note)s one. So every
//!    instance knows that the browser has another cookie by now, and leaves that one alone (J10).
//!
//! Run [`jackline::testing`](crate::testing) against an implementation: it is this contract as tests.

pub(crate) mod codec;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod doubt;
#[cfg(feature = "encryption")]
pub mod encrypted;
pub mod memory;
#[cfg(feature = "near-cache")]
pub mod near;
pub mod observed;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lifecycle::{Delta, DeltaError, OwnerId, Record, SessionCap, UnixMs};
use crate::token::{Bucket, SessionKey};

pub use codec::CorruptRecord;
#[cfg(fuzzing)]
pub use codec::fuzz_decode;

/// What a store's methods return.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps sessions. The [module](self) states the contract.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// A short name for messages and metrics: `sqlite`.
    fn name(&self) -> &'static str;

    /// What survives a restart of this process.
    fn durability(&self) -> Durability;

    /// Stores a new record.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the key exists, live or expired.
    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()>;

    /// Returns the record under `key`. In the same step, if [`renewal_due`](crate::lifecycle::Clocks::renewal_due) with
    /// `step`, sets its `seen` to `now` and so its idle deadline. One round trip in either case.
    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded>;

    /// Applies `delta` to a live record, as [`Record::commit`] does: its data, its metadata if the delta brings some, its `seen`,
    /// and its version, which counts up.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the delta cannot be applied, or was made for another version of the record.
    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed>;

    /// Moves a live record, data and clocks and all, from `old` to `new`, and applies `delta` on the way. From this step
    /// on `old` is [replaced](Trace::Replaced). No reader ever sees both or neither.
    ///
    /// `owner` is the record's owner, if it has one. It never changes here, and both keys lie in the same bucket, a visitor's
    /// too.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if `new` exists, [`StoreError::Refused`] as for [`commit`](Store::commit).
    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed>;

    /// Logs a session in: stores the record under its new key, enters it in its owner's index, keeps to the cap, and ends
    /// the session that it replaces. If the owner's epoch is no longer the one given, nothing happens: everything of theirs
    /// was revoked after the credentials were checked (J4).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the new key exists; [`StoreError::Refused`] if data is to be carried along and its delta
    /// cannot be applied, or was made for another version of the replaced record.
    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted>;

    /// Ends a session: removes its record, and its entry in the index of `owner`, if it has one. If there was a record, leaves `trace`
    /// as [`note`](Store::note) does, if there is room for one: a session also ends where there is none.
    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended>;

    /// Leaves a trace under `key` for as long as its kind is [kept](Trace::kept). One that is there already and weighs more stays as
    /// it is. Returns what is there from now on. A record under the key is not touched, and goes before the trace.
    fn note<'a>(&'a self, key: &'a SessionKey, trace: Trace, now: UnixMs)
    -> StoreFuture<'a, Trace>;

    /// The owner's revocation epoch: a number that [`end_all`](Store::end_all) makes larger. A store may forget an epoch
    /// an hour after it was set (it reads as zero again); a login never takes that long.
    fn epoch<'a>(&'a self, owner: &'a OwnerId, now: UnixMs) -> StoreFuture<'a, Epoch>;

    /// What [`load`](Store::load) and [`epoch`](Store::epoch) say, for a login that comes with a cookie. Two steps in any order, each
    /// as atomic as it is alone; a store that is asked over a network takes one round trip for both.
    fn load_for_login<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        owner: &'a OwnerId,
        now: UnixMs,
    ) -> StoreFuture<'a, (Loaded, Epoch)> {
        Box::pin(async move {
            let epoch = self.epoch(owner, now).await?;
            Ok((self.load(key, step, now).await?, epoch))
        })
    }

    /// One page of an owner's live sessions, newest login first. Sessions that begin or end while somebody pages may or may
    /// not show; those that do neither show exactly once.
    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed>;

    /// Makes the owner's epoch larger and ends all of their sessions, `except` one. Returns how many records ended.
    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64>;

    /// Reclaims up to `limit` records whose idle limit has run out, and up to as many epochs and traces that may be forgotten. Returns
    /// how many of a kind went at most: fewer than `limit` when nothing is left to do, and zero where the store's own expiry does the
    /// work.
    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64>;

    /// Says whether the store is there and would take a write.
    fn ping(&self) -> StoreFuture<'_, ()>;
}

/// What survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Sessions are kept outside this process.
    Durable,
    /// Sessions go with this process. Production refuses such a store.
    Process,
}

/// The one member of data that is encrypted at rest.
pub(crate) const ENCRYPTED_MEMBER: &str = "jackline:encrypted";

/// What a store remembers for a while of a key that has no session any more: what its browser holds instead. Of two, the later in
/// this list weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// It was dead, and a visitor's session was begun in its place. Another may be begun in its place too, as when a page sends several
    /// requests at once.
    StoodIn = 1,
    /// Its owner logged out. The browser holds no cookie, or that of a later login.
    LoggedOut = 2,
    /// Another session took its place, by a rotation or at a login, and the browser got that one's cookie.
    Replaced = 3,
}

/// How long a store remembers that a session gave way to another: longer than the requests that were under way meanwhile.
pub const REPLACED_KEPT: Duration = Duration::from_secs(60);

/// How long a store remembers that an owner logged out: longer than requests are under way to the server that were sent before the
/// browser knew. One whose answer got lost has to wait for no longer than this before it is a visitor like any other.
pub const LOGGED_OUT_KEPT: Duration = Duration::from_secs(5);

impl Trace {
    /// How long it is kept.
    #[must_use]
    pub fn kept(self) -> Duration {
        match self {
            Self::StoodIn | Self::Replaced => REPLACED_KEPT,
            Self::LoggedOut => LOGGED_OUT_KEPT,
        }
    }

    /// This trace, if it says that no visitor's session may be begun any more for whoever comes with the key.
    pub(crate) fn supersedes(self) -> Option<Self> {
        (self > Self::StoodIn).then_some(self)
    }

    /// As a number that grows with its weight.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    pub(crate) fn weight(self) -> u8 {
        self as u8
    }

    /// The trace of this weight.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    pub(crate) fn of_weight(weight: u8) -> Result<Self, CorruptRecord> {
        [Self::StoodIn, Self::LoggedOut, Self::Replaced]
            .into_iter()
            .find(|trace| trace.weight() == weight)
            .ok_or_else(|| CorruptRecord::new("a trace is of no known kind"))
    }

    /// Until when it is kept, if it was left at `now`.
    pub(crate) fn until(self, now: UnixMs) -> UnixMs {
        now.after(self.kept())
    }
}

/// How long the SQL stores remember an epoch: longer than any login takes.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const EPOCH_KEPT: Duration = Duration::from_secs(3600);

/// The step of a load that renews nothing: to look without using.
pub(crate) const NO_RENEWAL: Duration = Duration::MAX;

/// What was found under a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    /// Nothing: never there, ended, or expired and reclaimed.
    Absent,
    /// Nothing but a trace of what became of it.
    Trace(Trace),
    /// A record whose idle limit has run out and that is not reclaimed yet.
    Expired(Box<Record>),
    /// A record within its idle limit, as it was before this load.
    Live {
        /// The record.
        record: Box<Record>,
        /// Whether this load renewed it.
        renewed: bool,
    },
}

/// What became of a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It was applied.
    Applied {
        /// The new value of each incremented member, in the order of the increments.
        counters: Vec<i64>,
    },
    /// There is no live record under the key. Nothing was written.
    Gone,
}

/// What ending a session came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There was a record, live or expired, and it is gone.
    Removed,
    /// There was none.
    Absent,
    /// There was none any more, but a trace of what became of it.
    Trace(Trace),
}

/// An owner's revocation epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one: larger, and never one that was in use before, even if this one was forgotten.
    #[must_use]
    pub fn next(self, now: UnixMs) -> Self {
        Self((self.0 + 1).max(now.as_millis()))
    }
}

/// A login, as a store carries it out.
#[derive(Clone, Debug)]
pub struct Admission<'a> {
    /// The key of the new session, in its owner's bucket.
    pub key: &'a SessionKey,
    /// The new session. Its identity is set.
    pub record: &'a Record,
    /// Whose it is.
    pub owner: &'a OwnerId,
    /// The owner's epoch from before their credentials were checked.
    pub epoch: Epoch,
    /// How many sessions the owner may have, this one included. Those past either of their limits do not count.
    pub cap: SessionCap,
    /// The session that this one replaces: it ends, live, expired or unknown, and whoever's it is.
    pub replaces: Option<Replaced<'a>>,
}

/// The session that a login replaces.
#[derive(Clone, Debug)]
pub struct Replaced<'a> {
    /// Its key.
    pub key: &'a SessionKey,
    /// Its owner, if it has one.
    pub owner: Option<&'a OwnerId>,
    /// If its data moves to the new session: what changes on the way. The new session's data is then that of the replaced
    /// one, as it is in the store at that moment, with this delta applied ([`Delta::apply`]; its metadata does not count). If
    /// the replaced session is not live, the delta is applied to no data. The record's own data is disregarded.
    pub carry: Option<&'a Delta>,
}

/// What became of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The session is there.
    Done {
        /// The sessions that ended to keep to the cap.
        pruned: Vec<SessionKey>,
    },
    /// The owner's sessions were revoked after their credentials were checked. Nothing was written.
    Revoked,
    /// The owner has as many sessions as they may. Nothing was written.
    AtCap,
}

/// Which part of a list to return.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the page before ended; `None` for the first.
    pub after: Option<Cursor>,
    /// How many sessions to return at most.
    pub limit: u32,
}

impl Page {
    /// The first page, of up to 100 sessions.
    #[must_use]
    pub fn first() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }
}

/// Where a page ended. Opaque to everybody but the store that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

impl Cursor {
    /// The cursor of a page whose last session logged in at `started`, for stores that have no better one.
    #[must_use]
    pub fn behind(started: UnixMs, key: &SessionKey) -> Self {
        Self(format!("{}-{}", started.as_millis(), String::from(*key)))
    }

    /// Where it points: sessions whose login and key are less than these come next. A cursor that [`Cursor::behind`] did not make may
    /// come from a user; it points to the end of every list.
    #[must_use]
    pub fn place(&self) -> (UnixMs, SessionKey) {
        let place = || {
            let (started, key) = self.0.split_once('-')?;
            let started = started.parse().ok().map(UnixMs::from_millis)?;
            Some((started, SessionKey::try_from(key.to_owned()).ok()?))
        };
        let end = || SessionKey::from_parts(Bucket::from_number(0), [0; 32]);
        place().unwrap_or_else(|| (UnixMs::default(), end()))
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The sessions, newest login first.
    pub sessions: Vec<(SessionKey, Record)>,
    /// Where to go on; `None` if this is the last page.
    pub next: Option<Cursor>,
}

/// Why a store did not do what it was asked. There is one variant for each way in which a caller reacts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The key exists. With 192 random bits that means a broken generator or a store of somebody else's.
    #[error("a session with this key exists already")]
    Conflict,
    /// The delta cannot be applied.
    #[error(transparent)]
    Refused(#[from] DeltaError),
    /// What is stored is not what this library writes.
    #[error("the store holds a record that cannot be read")]
    Corrupt(#[from] CorruptRecord),
    /// The store did not answer, or answered that it cannot.
    #[error("the session store is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// The store did not answer, for this reason. The reason must hold no session data.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J10
    #[test]
    fn what_gave_way_to_somebodys_session_gives_way_to_no_visitors() {
        let all = [Trace::StoodIn, Trace::LoggedOut, Trace::Replaced];
        assert!(all.is_sorted());
        assert_eq!(Trace::StoodIn.supersedes(), None);
        for trace in &all[1..] {
            assert_eq!(trace.supersedes(), Some(*trace));
        }
        #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
        {
            for trace in all {
                assert_eq!(Trace::of_weight(trace.weight()).unwrap(), trace);
            }
            assert!(Trace::of_weight(0).is_err() && Trace::of_weight(4).is_err());
        }
    }
}
