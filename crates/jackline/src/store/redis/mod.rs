//! Sessions in Redis or Valkey. Every method is one script and one round trip, so no reader sees half of anything; on a
//! cluster a login that replaces a session in another slot takes a few. Expiry is
//! the server's job, so `reclaim` does nothing: each session's TTL is its idle limit, and each owner's index outlives its
//! sessions by an hour. Every answer arrives within the response time-out, or is [`StoreError::Unavailable`].
//!
//! # Deployment
//!
//! - **Version:** Redis 6.2 or later, or Valkey: one server, behind Sentinel, or as a Cluster. The user needs `~sess*
//!   +@read +@write +@scripting +@connection`; with Sentinel `+role`, on a cluster `+cluster|slots`. With `+info` more is
//!   checked at start.
//! - **Sentinel:** what most of the sentinels say counts. They are asked whenever a connection is made, and every second, so
//!   that a primary that hung while it was replaced is left.
//! - **Cluster:** all of an owner's sessions lie in one slot. While a slot moves, what concerns several of its keys waits, at
//!   most for the response time-out; following the keys could miss a session (J4). Needs `EVAL` over keys that it did not
//!   name, of the same slot.
//! - **Durability:** an acknowledged step survives a restart of Redis as far as its configuration makes it. With
//!   `appendonly yes` and `appendfsync always` nothing is lost; with `everysec`, the last second's logouts may be; with
//!   snapshots alone, minutes of them. Replication is asynchronous: a replica that takes over may lack what was
//!   acknowledged last, revocations included.
//! - **Memory:** `maxmemory-policy noeviction`. When memory is full, logins and writes fail with
//!   [`StoreError::Unavailable`] while logouts and revocations still work. A policy that evicts may take an owner's index
//!   and so hide sessions from [`end_all`](Store::end_all).
//! - **Near-cache:** with [`RedisOptions::announce_to`] every connection is told what others change. Redis then sends each change
//!   of a session to every instance, one name of some fifty bytes, and is asked for a proof four times per bound.
//! - **Clocks:** limits are measured with the clocks of the web servers. Redis's clock reclaims and decides nothing.

mod address;
#[cfg_attr(not(feature = "near-cache"), path = "unannounced.rs")]
mod announce;
mod answer;
mod apart;
mod cluster;
mod dial;
pub mod express;
mod keys;
mod link;
mod open;
mod question;
mod rights;
mod scripts;
mod sentinel;
mod servers;
mod slots;
mod tls;

use std::fmt;
use std::time::Duration;

use redis::Value;

use self::answer::{Answer, number, unexpected};
use self::keys::{Names, from_member, member};
use self::question::Question;
use self::scripts::{Call, Scripts, with_data_part, with_delta};
use self::servers::Servers;
use super::codec::line;
use super::{
    Admission, Admitted, Committed, Cursor, Durability, Ended, Epoch, Listed, Loaded, Page, Store,
    StoreError, StoreFuture, Trace,
};
use crate::lifecycle::{Delta, Foreseen, OwnerId, Record, SessionCap, UnixMs};
use crate::token::{Bucket, SessionKey};

pub use self::open::{RedisOpenError, RedisOptions};

/// Sessions in Redis.
pub struct RedisStore {
    names: Names,
    scripts: Scripts,
    servers: Servers,
}

impl RedisStore {
    /// Opens the store, and checks that its servers are there and will do.
    ///
    /// | `url` | leads to |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | one server; all but the host may be left out |
    /// | `redis+sentinel://user:password@host:26379,host:26379/service/0` | the primary that the sentinels name |
    /// | `redis+cluster://user:password@host:6379,host:6379` | the cluster that these are nodes of |
    ///
    /// `rediss` in place of `redis` means TLS, with every server and sentinel. The store keeps one connection to each
    /// primary, which it shares and restores by itself. Call this on the Tokio runtime that will serve the requests.
    ///
    /// ```no_run
    /// use jackline::store::redis::{RedisOptions, RedisStore};
    ///
    /// # async fn example() -> Result<(), jackline::store::redis::RedisOpenError> {
    /// let store = RedisStore::connect("redis://127.0.0.1:6379", RedisOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If an option will not do, or the server cannot be used. The message says what to do and holds no password.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn connect(url: &str, options: RedisOptions) -> Result<Self, RedisOpenError> {
        let opened = open::open(url, options).await?;
        Ok(Self {
            names: opened.names,
            scripts: Scripts::new(),
            servers: opened.servers,
        })
    }

    /// Reads a URL without connecting, for whoever reports mistakes of a configuration together.
    ///
    /// # Errors
    /// If the URL cannot be read, or asks for something that is not to be had.
    pub fn check_url(url: &str) -> Result<(), RedisOpenError> {
        address::Address::read(url).map(drop)
    }

    /// Looks at some of the sessions for ones that Redis would keep for ever (D9). Every session that this store writes runs
    /// out; one that does not was written or changed by something else.
    ///
    /// Walks past at most `limit` names, of whatever kind, in steps of 500, so that no other caller waits for long.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sample_expiry(&self, limit: u32) -> Result<ExpirySample, StoreError> {
        let buckets = self.servers.bucket_of_each();
        let each = limit.div_ceil(u32::try_from(buckets.len()).unwrap_or(u32::MAX).max(1));
        let mut sample = ExpirySample::default();
        for bucket in buckets {
            self.sample_one(bucket, each, &mut sample).await?;
        }
        Ok(sample)
    }

    /// Looks at the server that holds this bucket.
    async fn sample_one(
        &self,
        bucket: Bucket,
        limit: u32,
        sample: &mut ExpirySample,
    ) -> Result<(), StoreError> {
        const STEP: u32 = 500;
        let mut cursor = b"0".to_vec();
        for _ in 0..limit.div_ceil(STEP) {
            let call = self
                .scripts
                .sample
                .call()
                .key(self.names.ping(bucket))
                .arg(cursor)
                .arg(self.names.all_sessions())
                .number(STEP.into());
            let answer = self.run(call).await?;
            let (b"page", [next, seen, endless]) = (answer.word(), answer.rest()) else {
                return Err(answer.refusal());
            };
            sample.seen += number::<u64>(seen)?;
            sample.endless += number::<u64>(endless)?;
            cursor = next.clone();
            if cursor == b"0" {
                break;
            }
        }
        Ok(())
    }

    async fn run(&self, call: Call<'_>) -> Result<Answer, StoreError> {
        Answer::read(self.servers.ask(&Question::Script(call)).await?)
    }

    /// The name of the index of `owner`, who owns the session under `key`.
    ///
    /// A key in another bucket would be entered in an index that cannot lead to it, and would escape revocation (J4).
    /// Whoever hands one in has a bug; nothing is stored.
    fn index_for(&self, key: &SessionKey, owner: &OwnerId) -> Result<String, StoreError> {
        if key.bucket() == Bucket::of(owner) {
            Ok(self.names.index(owner))
        } else {
            Err(StoreError::unavailable(
                "the key of an owner's session lies outside of the owner's bucket",
            ))
        }
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<(), StoreError> {
        let mut call = self.scripts.create.call().key(self.names.session(key));
        if let Some(owner) = record.owner() {
            call = call.key(self.index_for(key, owner)?);
        }
        let call = call
            .arg(line::encode(record))
            .arg(member(key))
            .number(record.meta.started.as_millis());
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
        let call = self.scripts.load.call().key(self.names.session(key));
        let call = call.number(now.as_millis()).number(whole_millis(step));
        loaded(self.servers.ask(&Question::Script(call)).await?)
    }

    async fn load_for_login(
        &self,
        key: &SessionKey,
        step: Duration,
        owner: &OwnerId,
        now: UnixMs,
    ) -> Result<(Loaded, Epoch), StoreError> {
        if !self.servers.together(key.bucket(), Bucket::of(owner)) {
            return tokio::try_join!(self.load(key, step, now), self.epoch(owner));
        }
        let call = self.scripts.load.call().key(self.names.session(key));
        let call = call.key(self.names.epoch(owner));
        let call = call.number(now.as_millis()).number(whole_millis(step));
        let Value::Array(both) = self.servers.ask(&Question::Script(call)).await? else {
            return Err(unexpected());
        };
        let Ok([found, Value::BulkString(epoch)]) = <[Value; 2]>::try_from(both) else {
            return Err(unexpected());
        };
        Ok((loaded(found)?, number(&epoch).map(Epoch)?))
    }

    async fn commit(
        &self,
        key: &SessionKey,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        let foreseen = foreseen(delta);
        let call = commit_call(
            &self.scripts,
            &self.names,
            key,
            delta,
            foreseen.as_ref(),
            now,
        );
        match (self.servers.ask(&Question::Script(call)).await?, foreseen) {
            (Value::BulkString(word), Some(Foreseen { counters, .. })) if word == b"foreseen" => {
                Ok(Committed::Applied { counters })
            }
            (answer, _) => Answer::read(answer)?.committed(),
        }
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
            .key(self.names.session(old))
            .key(self.names.session(new))
            .key(self.names.trace(old));
        if let Some(owner) = owner {
            call = call.key(self.index_for(new, owner)?);
        }
        let call = call
            .number(now.as_millis())
            .arg(member(old))
            .arg(member(new));
        self.run(with_delta(call, delta)).await?.committed()
    }

    /// The one step whose keys may lie in different buckets: the session that a login replaces is a visitor's, or another
    /// owner's. Where one script cannot reach both, there are two steps ([`apart`]).
    async fn admit(&self, admission: &Admission<'_>, now: UnixMs) -> Result<Admitted, StoreError> {
        match &admission.replaces {
            Some(replaced)
                if !self
                    .servers
                    .together(admission.key.bucket(), replaced.key.bucket()) =>
            {
                self.admit_apart(admission, replaced, now).await
            }
            _ => self.admit_together(admission, now).await,
        }
    }

    async fn admit_together(
        &self,
        admission: &Admission<'_>,
        now: UnixMs,
    ) -> Result<Admitted, StoreError> {
        let Admission {
            key, record, owner, ..
        } = admission;
        let mut call = self
            .scripts
            .admit
            .call()
            .key(self.names.session(key))
            .key(self.index_for(key, owner)?)
            .key(self.names.epoch(owner));
        if let Some(replaced) = &admission.replaces {
            call = call
                .key(self.names.session(replaced.key))
                .key(self.names.trace(replaced.key));
            if let Some(other) = replaced.owner.filter(|other| other != owner) {
                call = call.key(self.names.index(other));
            }
        }
        let (at_cap, cap) = match admission.cap {
            SessionCap::PruneOldest(cap) => ("prune", cap),
            SessionCap::RefuseNewest(cap) => ("refuse", cap),
            SessionCap::Unlimited => ("allow", 0),
        };
        let replaced = admission.replaces.as_ref();
        let mut call = call
            .number(now.as_millis())
            .number(admission.epoch.0)
            .arg(at_cap)
            .number(cap.into())
            .arg(line::encode(record))
            .arg(member(key))
            .number(record.meta.started.as_millis())
            .arg(self.names.sessions_in(key.bucket()))
            .arg(replaced.map_or_else(String::new, |replaced| member(replaced.key)));
        if let Some(delta) = replaced.and_then(|replaced| replaced.carry) {
            call = with_data_part(call, delta);
        }
        let answer = self.run(call).await?;
        match answer.word() {
            b"done" => {
                let pruned: Result<_, _> = answer
                    .rest()
                    .iter()
                    .map(|member| from_member(owner, member))
                    .collect();
                Ok(Admitted::Done { pruned: pruned? })
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
        let mut call = self
            .scripts
            .end
            .call()
            .key(self.names.session(key))
            .key(self.names.trace(key));
        if let Some(owner) = owner {
            call = call.key(self.names.index(owner));
        }
        let mut call = call.arg(member(key)).number(now.as_millis());
        if let Some(trace) = trace {
            call = with_trace(call, trace);
        }
        self.run(call).await?.ended()
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
            .key(self.names.index(owner))
            .number(now.as_millis())
            .arg(self.names.sessions_in(Bucket::of(owner)))
            .number(page.limit.into());
        if let Some(Cursor(after)) = &page.after {
            // A cursor that this store did not make may come from a user: it ends the list.
            let Some((score, member)) = cursor_parts(owner, after) else {
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
            .map(|pair| Ok((from_member(owner, &pair[0])?, line::decode_line(&pair[1])?)))
            .collect::<Result<_, StoreError>>()?;
        let next = (!last.is_empty()).then(|| {
            let text = [score.as_slice(), b"-", last.as_slice()].concat();
            Cursor(String::from_utf8_lossy(&text).into_owned())
        });
        Ok(Listed { sessions, next })
    }

    async fn end_all(
        &self,
        owner: &OwnerId,
        except: Option<&SessionKey>,
        now: UnixMs,
    ) -> Result<u64, StoreError> {
        let call = self
            .scripts
            .end_all
            .call()
            .key(self.names.index(owner))
            .key(self.names.epoch(owner))
            .number(now.as_millis())
            .arg(self.names.sessions_in(Bucket::of(owner)))
            .arg(except.map(member).unwrap_or_default());
        let answer = self.run(call).await?;
        match (answer.word(), answer.rest()) {
            (b"done", [ended]) => number(ended),
            _ => Err(answer.refusal()),
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // A write, since a Redis that is full, read-only or unable to save still answers `PING`.
        for bucket in self.servers.bucket_of_each() {
            let set = Question::Command {
                verb: "SET",
                name: self.names.ping(bucket),
                rest: &["1", "PX", "1000"],
            };
            self.servers.ask(&set).await?;
        }
        Ok(())
    }
}

/// What [`RedisStore::sample_expiry`] saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpirySample {
    /// How many sessions were looked at. While others write, one may count twice.
    pub seen: u64,
    /// How many of those have no TTL.
    pub endless: u64,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }

    fn create<'a>(&'a self, key: &'a SessionKey, record: &'a Record) -> StoreFuture<'a, ()> {
        Box::pin(self.create(key, record))
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> StoreFuture<'a, Loaded> {
        Box::pin(self.load(key, step, now))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(self.commit(key, delta, now))
    }

    fn rotate<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        delta: &'a Delta,
        now: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        Box::pin(self.rotate(old, new, owner, delta, now))
    }

    fn admit<'a>(&'a self, admission: &'a Admission<'a>, now: UnixMs) -> StoreFuture<'a, Admitted> {
        Box::pin(self.admit(admission, now))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        owner: Option<&'a OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        Box::pin(self.end(key, owner, trace, now))
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        Box::pin(self.note(key, trace, now))
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, _now: UnixMs) -> StoreFuture<'a, Epoch> {
        Box::pin(self.epoch(owner))
    }

    fn load_for_login<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        owner: &'a OwnerId,
        now: UnixMs,
    ) -> StoreFuture<'a, (Loaded, Epoch)> {
        Box::pin(self.load_for_login(key, step, owner, now))
    }

    fn list<'a>(&'a self, owner: &'a OwnerId, page: Page, now: UnixMs) -> StoreFuture<'a, Listed> {
        Box::pin(self.list(owner, page, now))
    }

    fn end_all<'a>(
        &'a self,
        owner: &'a OwnerId,
        except: Option<&'a SessionKey>,
        now: UnixMs,
    ) -> StoreFuture<'a, u64> {
        Box::pin(self.end_all(owner, except, now))
    }

    fn reclaim(&self, _limit: u32, _now: UnixMs) -> StoreFuture<'_, u64> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.ping())
    }
}

/// The most that is sent both ways, as what it comes to and as what to do.
const MOST_FORESEEN_BYTES: usize = 4096;

/// What a delta comes to, if that is known, short, and all that is asked.
fn foreseen(delta: &Delta) -> Option<Foreseen> {
    delta
        .version()
        .is_none()
        .then(|| delta.foreseen(MOST_FORESEEN_BYTES))?
}

fn commit_call<'a>(
    scripts: &'a Scripts,
    names: &Names,
    key: &SessionKey,
    delta: &Delta,
    foreseen: Option<&Foreseen>,
    now: UnixMs,
) -> Call<'a> {
    let call = scripts.commit.call().key(names.session(key));
    let call = call.number(now.as_millis());
    let call = match foreseen {
        Some(Foreseen { version, data, .. }) => call.arg(format!("{version:012}")).arg(data),
        None => call.arg("").arg(""),
    };
    with_delta(call, delta)
}

/// What Redis is sent to commit a delta, under the usual prefix.
#[cfg(feature = "testing")]
pub(crate) fn commit_command(key: &SessionKey, delta: &Delta, now: UnixMs) -> Vec<u8> {
    static SCRIPTS: std::sync::LazyLock<Scripts> = std::sync::LazyLock::new(Scripts::new);
    static NAMES: std::sync::LazyLock<Names> =
        std::sync::LazyLock::new(|| Names::new("sess:").expect("a prefix"));
    commit_call(&SCRIPTS, &NAMES, key, delta, None, now)
        .by_sha()
        .get_packed_command()
}

/// What `found` of `load.lua` answered.
fn loaded(answer: Value) -> Result<Loaded, StoreError> {
    let answer = match answer {
        Value::BulkString(line) => {
            return Ok(Loaded::Live {
                record: Box::new(line::decode_line(&line)?),
                renewed: false,
            });
        }
        more => Answer::read(more)?,
    };
    let record = || -> Result<_, StoreError> {
        let line = answer.rest().first().ok_or_else(unexpected)?;
        Ok(Box::new(line::decode_line(line)?))
    };
    match answer.word() {
        b"absent" => Ok(Loaded::Absent),
        b"expired" => Ok(Loaded::Expired(record()?)),
        b"renewed" => Ok(Loaded::Live {
            record: record()?,
            renewed: true,
        }),
        _ => Ok(Loaded::Trace(answer.trace()?)),
    }
}

/// Whole milliseconds, rounded up: a time in whole milliseconds reaches `duration` when it reaches this.
fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Adds what `note` of `trace.lua` is told.
fn with_trace(call: Call<'_>, trace: Trace) -> Call<'_> {
    call.number(trace.weight().into())
        .number(whole_millis(trace.kept()))
}

fn cursor_parts<'a>(owner: &OwnerId, cursor: &'a str) -> Option<(&'a str, &'a str)> {
    let (score, member) = cursor.split_once('-')?;
    let digits = !score.is_empty() && score.bytes().all(|b| b.is_ascii_digit());
    (digits && from_member(owner, member.as_bytes()).is_ok()).then_some((score, member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_this_store_made_or_none() {
        let owner = OwnerId::new("alice").unwrap();
        let member = member(&SessionKey::from_parts(Bucket::of(&owner), [7; 32]));
        let good = format!("1764000000000-{member}");
        assert_eq!(
            cursor_parts(&owner, &good),
            Some(("1764000000000", member.as_str()))
        );
        for bad in [
            String::new(),
            member.clone(),
            format!("-{member}"),
            format!("1x-{member}"),
            format!("+1-{member}"),
            "1764000000000-".to_owned(),
            format!("1764000000000-{member}x"),
        ] {
            assert_eq!(cursor_parts(&owner, &bad), None, "{bad}");
        }
    }

    #[test]
    fn a_url_is_checked_without_a_connection() {
        assert!(RedisStore::check_url("redis://127.0.0.1:1").is_ok());
        assert!(RedisStore::check_url("http://127.0.0.1:1").is_err());
    }
}
