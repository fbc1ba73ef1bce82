//! What all sessions of an engine share, and the store behind a time-out.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::SessionError;
use crate::clock::Clock;
use crate::csrf::CsrfKeys;
use crate::events::{EventKind, SecurityEvent};
use crate::lifecycle::{Delta, OwnerId, Policy, Record, UnixMs};
use crate::store::{
    Admission, Admitted, Committed, Epoch, Listed, Loaded, Page, Store, StoreError, StoreFuture,
};
use crate::token::{Bucket, SessionKey, SessionToken};

/// What all sessions of an engine share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: TimedStore,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) csrf_keys: CsrfKeys,
    pub(crate) max_data_bytes: usize,
    /// Sessions that this process has ended.
    pub(crate) recently_ended: RecentKeys,
    /// Owners all of whose sessions, but perhaps one, this process has ended.
    pub(crate) recently_revoked: RecentOwners,
    /// Sessions, live or long dead, in whose place this process has given a browser another cookie.
    pub(crate) recently_superseded: RecentKeys,
    /// Those among them that gave way to a session with an owner: at a login, or when one got a new token.
    pub(crate) recently_logged_in: RecentKeys,
}

impl Context {
    pub(crate) fn new_delta(&self) -> Delta {
        Delta::new(self.max_data_bytes)
    }

    /// Bytes from the operating system's generator.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], SessionError> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).map_err(|error| {
            tracing::error!(%error, "the operating system has no randomness to give");
            SessionError::Unavailable
        })?;
        Ok(bytes)
    }

    /// A new token, in this bucket or in any.
    pub(crate) fn fresh_token(&self, bucket: Option<Bucket>) -> Result<SessionToken, SessionError> {
        let bucket = match bucket {
            Some(bucket) => bucket,
            None => Bucket::from_random(self.random()?),
        };
        Ok(SessionToken::from_random(self.random()?, bucket))
    }

    /// Whether a response that goes on with this session, loaded at `loaded`, would undo what another has done since.
    pub(crate) fn is_outrun(
        &self,
        key: &SessionKey,
        owner: Option<&OwnerId>,
        loaded: UnixMs,
    ) -> bool {
        let now = self.clock.now();
        self.recently_ended.contains(key, now)
            || self.recently_superseded.contains(key, now)
            || owner.is_some_and(|owner| self.recently_revoked.contains(owner, key, loaded))
    }

    /// Pages through all of an owner's sessions until `visit` has seen enough.
    pub(crate) async fn find_of<T>(
        &self,
        owner: &OwnerId,
        mut visit: impl FnMut(&SessionKey, &Record) -> Option<T>,
    ) -> Result<Option<T>, SessionError> {
        let mut page = Page::first();
        loop {
            let listed = self.store.list(owner, page, self.clock.now()).await?;
            for (key, record) in &listed.sessions {
                if let Some(found) = visit(key, record) {
                    return Ok(Some(found));
                }
            }
            match listed.next {
                None => return Ok(None),
                next => {
                    page = Page {
                        after: next,
                        ..Page::first()
                    }
                }
            }
        }
    }
}

/// Keys of sessions to which something has happened in the last minute. A response that was under way meanwhile and would
/// renew or remove such a session's cookie must not: it would undo the cookie that won (J10). What was under way for longer
/// than is remembered here must not either.
#[derive(Debug, Default)]
pub(crate) struct RecentKeys {
    inner: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    // Both hold the same keys: one in the order in which they came, one to look them up.
    order: VecDeque<SessionKey>,
    known: HashMap<SessionKey, UnixMs>,
}

impl RecentKeys {
    /// How long a key is remembered.
    pub(crate) const KEEP: Duration = Duration::from_secs(60);
    const CAPACITY: usize = 16_384;

    pub(crate) fn note(&self, key: SessionKey, now: UnixMs) {
        let mut keys = self.lock();
        while let Some(oldest) = keys.order.front().copied() {
            let is_recent = keys
                .known
                .get(&oldest)
                .is_some_and(|at| now.since(*at) <= Self::KEEP);
            if keys.order.len() < Self::CAPACITY && is_recent {
                break;
            }
            keys.order.pop_front();
            keys.known.remove(&oldest);
        }
        if let Entry::Vacant(place) = keys.known.entry(key) {
            place.insert(now);
            keys.order.push_back(key);
        }
    }

    /// Whether something has happened to `key` in the last minute. Keys are forgotten when others come, so on a quiet server
    /// one may be known for longer, and must not count.
    pub(crate) fn contains(&self, key: &SessionKey, now: UnixMs) -> bool {
        let keys = self.lock();
        keys.known
            .get(key)
            .is_some_and(|at| now.since(*at) <= Self::KEEP)
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owners whose sessions have ended in the last minute, all but one: the same for keys that nobody here has seen.
#[derive(Debug, Default)]
pub(crate) struct RecentOwners {
    inner: Mutex<VecDeque<(OwnerId, Option<SessionKey>, UnixMs)>>,
}

impl RecentOwners {
    pub(crate) fn note(&self, owner: &OwnerId, except: Option<&SessionKey>, now: UnixMs) {
        let mut owners = self.lock();
        while let Some((.., at)) = owners.front() {
            if owners.len() < RecentKeys::CAPACITY && now.since(*at) <= RecentKeys::KEEP {
                break;
            }
            owners.pop_front();
        }
        owners.push_back((owner.clone(), except.copied(), now));
    }

    /// Whether the owner's session under `key`, which was live at `loaded`, has ended since.
    pub(crate) fn contains(&self, owner: &OwnerId, key: &SessionKey, loaded: UnixMs) -> bool {
        let owners = self.lock();
        let since = owners.iter().rev().take_while(|(.., at)| *at >= loaded);
        since
            .into_iter()
            .any(|(of, except, _)| of == owner && except.as_ref() != Some(key))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(OwnerId, Option<SessionKey>, UnixMs)>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store that answers within a bound or counts as unavailable (J7).
#[derive(Debug)]
pub(crate) struct TimedStore {
    store: Arc<dyn Store>,
    timeout: Duration,
    /// What was last heard of the store, so that going and coming are an event each and not one per request.
    available: AtomicBool,
}

impl TimedStore {
    pub(crate) fn new(store: Arc<dyn Store>, timeout: Duration) -> Self {
        Self {
            store,
            timeout,
            available: AtomicBool::new(true),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.store.name()
    }

    pub(crate) async fn create(
        &self,
        key: &SessionKey,
        record: &Record,
    ) -> Result<(), SessionError> {
        self.call("create", self.store.create(key, record)).await
    }

    pub(crate) async fn load(
        &self,
        key: &SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> Result<Loaded, SessionError> {
        self.call("load", self.store.load(key, step, now)).await
    }

    pub(crate) async fn commit(
        &self,
        key: &SessionKey,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, SessionError> {
        self.call("commit", self.store.commit(key, delta, now))
            .await
    }

    pub(crate) async fn rotate(
        &self,
        old: &SessionKey,
        new: &SessionKey,
        owner: Option<&OwnerId>,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, SessionError> {
        self.call("rotate", self.store.rotate(old, new, owner, delta, now))
            .await
    }

    pub(crate) async fn admit(
        &self,
        admission: &Admission<'_>,
        now: UnixMs,
    ) -> Result<Admitted, SessionError> {
        self.call("admit", self.store.admit(admission, now)).await
    }

    pub(crate) async fn end(
        &self,
        key: &SessionKey,
        owner: Option<&OwnerId>,
    ) -> Result<bool, SessionError> {
        self.call("end", self.store.end(key, owner)).await
    }

    pub(crate) async fn epoch(&self, owner: &OwnerId, now: UnixMs) -> Result<Epoch, SessionError> {
        self.call("epoch", self.store.epoch(owner, now)).await
    }

    pub(crate) async fn list(
        &self,
        owner: &OwnerId,
        page: Page,
        now: UnixMs,
    ) -> Result<Listed, SessionError> {
        self.call("list", self.store.list(owner, page, now)).await
    }

    pub(crate) async fn end_all(
        &self,
        owner: &OwnerId,
        except: Option<&SessionKey>,
        now: UnixMs,
    ) -> Result<u64, SessionError> {
        self.call("end_all", self.store.end_all(owner, except, now))
            .await
    }

    pub(crate) async fn reclaim(&self, limit: u32, now: UnixMs) -> Result<u64, SessionError> {
        self.call("reclaim", self.store.reclaim(limit, now)).await
    }

    pub(crate) async fn ping(&self) -> Result<(), SessionError> {
        self.call("ping", self.store.ping()).await
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        future: StoreFuture<'_, T>,
    ) -> Result<T, SessionError> {
        let error = match tokio::time::timeout(self.timeout, future).await {
            Ok(Ok(value)) => {
                self.note_available();
                return Ok(value);
            }
            Ok(Err(StoreError::Refused(error))) => {
                self.note_available();
                return Err(SessionError::Refused(error));
            }
            Ok(Err(StoreError::Corrupt(error))) => {
                tracing::error!(store = self.name(), operation, %error, "the session store answered nonsense");
                SecurityEvent::new(EventKind::StoreCorrupt)
                    .reason(operation)
                    .emit();
                return Err(SessionError::Unavailable);
            }
            Ok(Err(StoreError::Unavailable(error))) => error.to_string(),
            Ok(Err(error @ StoreError::Conflict)) => {
                tracing::error!(store = self.name(), operation, %error, "the session store answered nonsense");
                return Err(SessionError::Unavailable);
            }
            Err(_) => "no answer within the time-out".to_owned(),
        };
        tracing::warn!(
            store = self.name(),
            operation,
            error,
            "the session store is not available"
        );
        if self.available.swap(false, Ordering::Relaxed) {
            SecurityEvent::new(EventKind::StoreUnavailable)
                .reason(operation)
                .emit();
        }
        Err(SessionError::Unavailable)
    }

    fn note_available(&self) {
        // Read first: a store that is well is the common case, and a write would move the cache line between cores.
        if !self.available.load(Ordering::Relaxed) && !self.available.swap(true, Ordering::Relaxed)
        {
            SecurityEvent::new(EventKind::StoreRecovered).emit();
        }
    }
}
