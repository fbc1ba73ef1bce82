//! Sessions shared with an Express application: the cookies and records of express-session with connect-redis 7, 8 and 9, in
//! the Redis that both use. docs/express.md says how to set it up, what this layout cannot promise, and how to leave it.
//!
//! What the store contract asks for and Express has no place for lies in one member of the record, `jackline`, which Express
//! carries along. Every step is one script on the record as it is at that moment, and splices members into its text: what nobody
//! changed stays the bytes it was, `cookie` and members that only Express knows included. Nothing is ever created by an
//! update, so that what Express destroyed stays destroyed; what was ended here and Express writes back, as its last writer
//! wins, is dead here for a minute and removed when it is used.
//!
//! The TTL says when a session was last used, for Express says it there and nowhere else. A session that Express has begun,
//! and a login that Express has made, are entered in our books when they are first seen: one more round trip.
//!
//! # Deployment
//!
//! - As for [`RedisStore`](super::RedisStore), but for clusters, which would scatter what one step has to reach. The user needs
//!   `+time` in addition.
//! - [`end_all`](Store::end_all) walks over all names of the database to find sessions that only Express has seen. That is
//!   no one step, and takes its time where there are many; what it has not reached yet is dead here all the same if
//!   Express notes when a login was made.

mod mapping;
mod rekey;
mod scripts;
mod text;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use self::scripts::Scripts;
use self::text::{Book, BookMeta, json, millis};
use super::answer::{self, Answer, number, unexpected};
use super::keys::{Names, owner_tag};
use super::link::Failure;
use super::question::Question;
use super::scripts::{Call, with_data_part};
use super::servers::Servers;
use super::{RedisOpenError, RedisOptions, open, whole_millis, with_trace};
use crate::cookie::CookieSpec;
use crate::lifecycle::{Delta, OwnerId, Policy, Record, SessionCap, UnixMs};
use crate::store::{
    Admission, Admitted, Committed, CorruptRecord, Cursor, Durability, Ended, Epoch, Listed,
    Loaded, Page, Store, StoreError, StoreFuture, Trace,
};
use crate::token::{Bucket, SessionKey};

pub use mapping::{ExpressMapping, IdForm};
pub use rekey::Rekeyed;

/// How often a session is entered in our books that changes while it is.
const ROUNDS: u32 = 4;

/// What an [`ExpressStore`] needs to know of both sides.
#[derive(Clone, Debug)]
pub struct ExpressOptions {
    /// How Redis is talked to. The prefix is connect-redis's.
    pub redis: RedisOptions,
    /// Which members say who is logged in.
    pub mapping: ExpressMapping,
    /// The engine's policy: it bounds the sessions that Express begins.
    pub policy: Policy,
    /// The engine's cookie: Express finds its attributes in the records.
    pub cookie: CookieSpec,
}

/// Sessions shared with Express.
#[derive(Clone)]
pub struct ExpressStore(Arc<Inner>);

struct Inner {
    names: Names,
    scripts: Scripts,
    servers: Servers,
    options: ExpressOptions,
}

impl ExpressStore {
    /// Opens the store, as [`RedisStore::connect`](super::RedisStore::connect) does.
    ///
    /// # Errors
    /// As there; and if the URL leads to a cluster, or the mapping uses a name twice or one that Express uses itself.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn connect(url: &str, options: ExpressOptions) -> Result<Self, RedisOpenError> {
        if !options.mapping.is_possible() {
            return Err(RedisOpenError::ExpressMapping);
        }
        if url.contains("+cluster://") {
            return Err(RedisOpenError::ExpressCluster);
        }
        let opened = open::open(url, options.redis.clone()).await?;
        let asked = opened.servers.ask(&Question::Server(&["TIME"])).await;
        if let Err(Failure::Refused(code)) = asked
            && code == "NOPERM"
        {
            return Err(RedisOpenError::ExpressClock);
        }
        let idle = millis(options.policy.idle().get());
        Ok(Self(Arc::new(Inner {
            scripts: Scripts::new(&options.mapping, idle, opened.names.stem()),
            names: opened.names,
            servers: opened.servers,
            options,
        })))
    }
}

/// The id that a key is for; nothing for a counter, which is in nobody's index.
fn sid(key: &SessionKey) -> Result<&str, StoreError> {
    match key.sid() {
        None if key.is_attempts() => Ok(""),
        sid => sid.ok_or_else(|| {
            StoreError::unavailable("the key is of no session that is shared with Express")
        }),
    }
}

fn key_of(member: &[u8]) -> Result<SessionKey, CorruptRecord> {
    std::str::from_utf8(member)
        .ok()
        .and_then(SessionKey::express)
        .ok_or(CorruptRecord::new("an entry of an owner's index is no id"))
}

impl Inner {
    async fn run(&self, call: Call<'_>) -> Result<Answer, StoreError> {
        Answer::read(self.servers.ask(&Question::Script(call)).await?)
    }

    fn session(&self, key: &SessionKey) -> Result<String, StoreError> {
        Ok(match key.is_attempts() {
            true => self.names.session(key),
            false => self.names.shared(sid(key)?),
        })
    }

    /// Adds what `apply` of `record.lua` reads.
    fn with_delta<'a>(&self, call: Call<'a>, delta: &Delta) -> Result<Call<'a>, StoreError> {
        self.options.mapping.check_delta(delta)?;
        let (book, whose) = match delta.meta() {
            None => (String::new(), String::new()),
            Some(meta) => {
                let owner = meta
                    .identity
                    .as_ref()
                    .map(|identity| owner_tag(&identity.id));
                (json(&BookMeta::of(meta)), owner.unwrap_or_default())
            }
        };
        Ok(with_data_part(call.arg(book).arg(whose), delta))
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<(), StoreError> {
        self.options
            .mapping
            .check(record.data.iter().map(|(name, _)| name))?;
        let mut call = self.scripts.create.call().key(self.session(key)?);
        if let Some(owner) = record.owner() {
            call = call.key(self.names.sids(owner));
        }
        let call = call
            .number(record.clocks.seen.as_millis())
            .arg(text::of(record, &self.options))
            .arg(Book::of(record, 0).to_json())
            .number(millis(record.clocks.idle))
            .number(record.meta.started.as_millis())
            .arg(sid(key)?);
        let answer = self.run(call).await?;
        match answer.word() {
            b"done" => Ok(()),
            _ => Err(answer.refusal()),
        }
    }

    async fn load(
        &self,
        key: &SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> Result<Loaded, StoreError> {
        for _ in 0..ROUNDS {
            let call = self
                .scripts
                .load
                .call()
                .key(self.session(key)?)
                .key(self.names.trace(key))
                .key(self.names.grave(key))
                .number(now.as_millis())
                .number(whole_millis(step));
            let answer = self.run(call).await?;
            let rest = || answer.rest().first().ok_or_else(unexpected);
            let record = || -> Result<_, StoreError> {
                Ok(Box::new(text::read(rest()?, &self.options.mapping)?))
            };
            return match answer.word() {
                b"absent" => Ok(Loaded::Absent),
                b"expired" => Ok(Loaded::Expired(record()?)),
                b"live" => Ok(Loaded::Live {
                    record: record()?,
                    renewed: false,
                }),
                b"renewed" => Ok(Loaded::Live {
                    record: record()?,
                    renewed: true,
                }),
                b"strange" => match self.adopt(key, rest()?, now).await? {
                    true => continue,
                    false => Ok(Loaded::Absent),
                },
                _ => Ok(Loaded::Trace(answer.trace()?)),
            };
        }
        Err(StoreError::unavailable("the session changes all the time"))
    }

    /// Enters a session in our books that reads as `found`. Says `false` if it is one that was revoked.
    async fn adopt(&self, key: &SessionKey, found: &[u8], now: UnixMs) -> Result<bool, StoreError> {
        let (mapping, policy) = (&self.options.mapping, &self.options.policy);
        let book = text::entered(found, mapping, policy, now)?;
        let mut call = self.scripts.adopt.call().key(self.session(key)?);
        if let Some(owner) = &book.owner {
            call = call
                .key(self.names.sids(owner))
                .key(self.names.epoch(owner));
        }
        let call = call
            .number(now.as_millis())
            .arg(found)
            .arg(book.to_json())
            .number(book.meta.started.as_millis())
            .arg(sid(key)?);
        let answer = self.run(call).await?;
        match answer.word() {
            b"done" | b"changed" => Ok(true),
            b"revoked" => Ok(false),
            _ => Err(answer.refusal()),
        }
    }

    async fn commit(
        &self,
        key: &SessionKey,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        let call = self
            .scripts
            .commit
            .call()
            .key(self.session(key)?)
            .key(self.names.grave(key))
            .number(now.as_millis());
        self.run(self.with_delta(call, delta)?).await?.committed()
    }

    async fn rotate(
        &self,
        old: &SessionKey,
        new: &SessionKey,
        owner: Option<&OwnerId>,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        let mut call = self
            .scripts
            .rotate
            .call()
            .key(self.session(old)?)
            .key(self.session(new)?)
            .key(self.names.trace(old))
            .key(self.names.grave(old));
        if let Some(owner) = owner {
            call = call.key(self.names.sids(owner));
        }
        let call = call.number(now.as_millis()).arg(sid(old)?).arg(sid(new)?);
        self.run(self.with_delta(call, delta)?).await?.committed()
    }

    async fn admit(&self, admission: &Admission<'_>, now: UnixMs) -> Result<Admitted, StoreError> {
        let Admission {
            key, record, owner, ..
        } = admission;
        let mapping = &self.options.mapping;
        let carry = admission
            .replaces
            .as_ref()
            .and_then(|replaced| replaced.carry);
        match carry {
            Some(delta) => mapping.check_delta(delta)?,
            None => mapping.check(record.data.iter().map(|(name, _)| name))?,
        }
        let mut call = self
            .scripts
            .admit
            .call()
            .key(self.session(key)?)
            .key(self.names.sids(owner))
            .key(self.names.epoch(owner));
        let mut replaced_sid = "";
        if let Some(replaced) = &admission.replaces {
            replaced_sid = sid(replaced.key)?;
            call = call
                .key(self.session(replaced.key)?)
                .key(self.names.trace(replaced.key))
                .key(self.names.grave(replaced.key));
            if let Some(other) = replaced.owner.filter(|other| other != owner) {
                call = call.key(self.names.sids(other));
            }
        }
        let (at_cap, cap) = match admission.cap {
            SessionCap::PruneOldest(cap) => ("prune", cap),
            SessionCap::RefuseNewest(cap) => ("refuse", cap),
            SessionCap::Unlimited => ("allow", 0),
        };
        let mut call = call
            .number(now.as_millis())
            .number(admission.epoch.0)
            .arg(at_cap)
            .number(cap.into())
            .arg(text::of(record, &self.options))
            .arg(Book::of(record, admission.epoch.0).to_json())
            .number(millis(record.clocks.idle))
            .number(record.meta.started.as_millis())
            .arg(sid(key)?)
            .arg(self.names.shared(""))
            .arg(replaced_sid);
        if let Some(delta) = carry {
            call = with_data_part(call, delta);
        }
        let answer = self.run(call).await?;
        match answer.word() {
            b"done" => {
                let pruned = answer.rest().iter().map(|member| key_of(member));
                Ok(Admitted::Done {
                    pruned: pruned.collect::<Result<_, _>>()?,
                })
            }
            b"revoked" => Ok(Admitted::Revoked),
            b"at cap" => Ok(Admitted::AtCap),
            _ => Err(answer.refusal()),
        }
    }

    async fn end(
        &self,
        key: &SessionKey,
        owner: Option<&OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> Result<Ended, StoreError> {
        if key.is_attempts() {
            return self.end_counter(key).await;
        }
        let mut call = self
            .scripts
            .end
            .call()
            .key(self.session(key)?)
            .key(self.names.trace(key))
            .key(self.names.grave(key));
        if let Some(owner) = owner {
            call = call.key(self.names.sids(owner));
        }
        let mut call = call.arg(sid(key)?).number(now.as_millis());
        if let Some(trace) = trace {
            call = with_trace(call, trace);
        }
        self.run(call).await?.ended()
    }

    /// Express knows none of them, so that none has to stay dead for a while.
    async fn end_counter(&self, key: &SessionKey) -> Result<Ended, StoreError> {
        let delete = Question::Command {
            verb: "DEL",
            name: self.session(key)?,
            rest: &[],
        };
        match self.servers.ask(&delete).await? {
            Value::Int(0) => Ok(Ended::Absent),
            Value::Int(_) => Ok(Ended::Removed),
            _ => Err(unexpected()),
        }
    }

    async fn note(&self, key: &SessionKey, trace: Trace, now: UnixMs) -> Result<Trace, StoreError> {
        let call = self
            .scripts
            .note
            .call()
            .key(self.names.trace(key))
            .number(now.as_millis());
        self.run(with_trace(call, trace)).await?.noted()
    }

    async fn epoch(&self, owner: &OwnerId) -> Result<Epoch, StoreError> {
        let get = Question::Command {
            verb: "GET",
            name: self.names.epoch(owner),
            rest: &[],
        };
        answer::epoch(self.servers.ask(&get).await?)
    }

    async fn list(&self, owner: &OwnerId, page: Page, now: UnixMs) -> Result<Listed, StoreError> {
        let mut call = self
            .scripts
            .list
            .call()
            .key(self.names.sids(owner))
            .number(now.as_millis())
            .arg(self.names.shared(""))
            .number(page.limit.into());
        if let Some(Cursor(after)) = &page.after {
            // A cursor that this store did not make may come from a user: it ends the list.
            let digits =
                |score: &str| !score.is_empty() && score.bytes().all(|b| b.is_ascii_digit());
            let Some((score, member)) = after.split_once('-').filter(|(score, _)| digits(score))
            else {
                return Ok(Listed {
                    sessions: Vec::new(),
                    next: None,
                });
            };
            call = call.arg(score).arg(member);
        }
        let answer = self.run(call).await?;
        let (b"page", [score, last, found @ ..]) = (answer.word(), answer.rest()) else {
            return Err(answer.refusal());
        };
        let sessions = found
            .chunks_exact(2)
            .map(|pair| {
                Ok((
                    key_of(&pair[0])?,
                    text::read(&pair[1], &self.options.mapping)?,
                ))
            })
            .collect::<Result<_, StoreError>>()?;
        let next = (!last.is_empty()).then(|| {
            let text = [score.as_slice(), b"-", last.as_slice()].concat();
            Cursor(String::from_utf8_lossy(&text).into_owned())
        });
        Ok(Listed { sessions, next })
    }

    /// Ends what is in the owner's index, in one step with the epoch. Returns how many sessions ended, and the epoch.
    async fn end_known(
        &self,
        owner: &OwnerId,
        except: Option<&SessionKey>,
        now: UnixMs,
    ) -> Result<(u64, Epoch), StoreError> {
        // Express may bring a session back at any time. As long as it could live, the epoch says that it is dead.
        let longest = self.options.policy.absolute(None).get() + Duration::from_secs(3600);
        let call = self
            .scripts
            .end_all
            .call()
            .key(self.names.sids(owner))
            .key(self.names.epoch(owner))
            .number(now.as_millis())
            .arg(self.names.shared(""))
            .arg(except.map(sid).transpose()?.unwrap_or_default())
            .number(millis(longest));
        let answer = self.run(call).await?;
        match (answer.word(), answer.rest()) {
            (b"done", [ended, epoch]) => Ok((number(ended)?, Epoch(number(epoch)?))),
            _ => Err(answer.refusal()),
        }
    }

    /// Ends what is in no index: sessions that only Express has seen.
    async fn end_unknown(
        &self,
        owner: &OwnerId,
        except: Option<&SessionKey>,
        epoch: Epoch,
    ) -> Result<u64, StoreError> {
        const STEP: u64 = 500;
        let (mut cursor, mut ended) = (b"0".to_vec(), 0);
        let except = except.map(|key| self.session(key)).transpose()?;
        loop {
            let call = self
                .scripts
                .walk
                .call()
                .key(self.names.ping(Bucket::from_number(0)))
                .arg(cursor)
                .arg(self.names.all_sessions())
                .number(STEP)
                .number(epoch.0)
                .arg(except.clone().unwrap_or_default())
                .arg(json(&owner.as_str()));
            let answer = self.run(call).await?;
            let (b"page", [next, count]) = (answer.word(), answer.rest()) else {
                return Err(answer.refusal());
            };
            ended += number::<u64>(count)?;
            cursor = next.clone();
            if cursor == b"0" {
                return Ok(ended);
            }
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let set = Question::Command {
            verb: "SET",
            name: self.names.ping(Bucket::from_number(0)),
            rest: &["1", "PX", "1000"],
        };
        self.servers.ask(&set).await?;
        Ok(())
    }
}

impl fmt::Debug for ExpressStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpressStore")
            .field("servers", &self.0.servers)
            .finish_non_exhaustive()
    }
}

impl Store for ExpressStore {
    fn name(&self) -> &'static str {
        "express"
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        Box::pin(self.0.create(key, record))
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        Box::pin(self.0.load(key, step, now))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(self.0.commit(key, delta, now))
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(self.0.rotate(old, new, owner, delta, now))
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        Box::pin(self.0.admit(admission, now))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        Box::pin(self.0.end(key, owner, trace, now))
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        Box::pin(self.0.note(key, trace, now))
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, _now: UnixMs) -> StoreFuture<'a, Epoch> {
        Box::pin(self.0.epoch(owner))
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        Box::pin(self.0.list(owner, page, now))
    }

    /// Not one step: the sessions that are in our books end in one with the epoch, and those that only Express has seen in a walk
    /// over all names after it. If that takes longer than half the response time-out, it goes on after this has returned.
    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let (ended, epoch) = self.0.end_known(owner, except, now).await?;
            let (inner, owner, except) = (Arc::clone(&self.0), owner.clone(), except.copied());
            let mut walk = tokio::spawn(async move {
                let walked = inner.end_unknown(&owner, except.as_ref(), epoch).await;
                if let Err(error) = &walked {
                    tracing::warn!(%error, "sessions that only Express has seen may not have ended");
                }
                walked
            });
            let patience = self.0.options.redis.patience() / 2;
            match tokio::time::timeout(patience, &mut walk).await {
                Ok(Ok(walked)) => Ok(ended + walked?),
                Ok(Err(_)) => Err(StoreError::unavailable(
                    "the walk over all sessions broke off",
                )),
                Err(_) => Ok(ended),
            }
        })
    }

    fn reclaim(&self, _limit: u32, _now: UnixMs) -> StoreFuture<'_, u64> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.0.ping())
    }
}
