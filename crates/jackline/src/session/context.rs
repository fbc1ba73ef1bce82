//! What all sessions of an engine share, and the store behind a time-out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::SessionError;
use crate::clock::Clock;
use crate::cookie::{CookieForm, Keyring, SessionCookies};
use crate::csrf::CsrfKeys;
use crate::events::{EventKind, Hooks};
use crate::lifecycle::{Delta, OwnerId, Policy, Record, UnixMs};
use crate::store::{
    Admission, Admitted, Committed, CorruptRecord, ENCRYPTED_MEMBER, Ended, Epoch, Listed, Loaded,
    Page, Store, StoreError, StoreFuture, Trace,
};
use crate::token::{Bucket, SessionKey, SessionToken};

/// What all sessions of an engine share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: TimedStore,
    /// Who is told of events.
    pub(crate) hooks: Hooks,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Keyring,
    pub(crate) csrf_keys: CsrfKeys,
    pub(crate) max_data_bytes: usize,
    /// What the tokens travel in.
    pub(crate) cookies: SessionCookies,
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

    /// A new token, in this bucket or in any. Express's know none.
    pub(crate) fn fresh_token(&self, bucket: Option<Bucket>) -> Result<SessionToken, SessionError> {
        if self.cookies.form == CookieForm::Express {
            return Ok(SessionToken::express_from_random(self.random()?));
        }
        let bucket = match bucket {
            Some(bucket) => bucket,
            None => Bucket::from_random(self.random()?),
        };
        Ok(SessionToken::from_random(self.random()?, bucket))
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

/// The calls that a store may answer although it takes no writes.
const READS: [&str; 4] = ["load", "load_for_login", "epoch", "list"];

/// A store that answers within a bound or counts as unavailable (J7).
#[derive(Debug)]
pub(crate) struct TimedStore {
    store: Arc<dyn Store>,
    timeout: Duration,
    /// What was last heard of the store, so that going and coming are an event each and not one per request.
    available: AtomicBool,
    /// How often this process has ended sessions or put others in their place.
    endings: AtomicU64,
    hooks: Hooks,
}

impl TimedStore {
    pub(crate) fn new(store: Arc<dyn Store>, timeout: Duration, hooks: Hooks) -> Self {
        Self {
            store,
            timeout,
            available: AtomicBool::new(true),
            endings: AtomicU64::new(0),
            hooks,
        }
    }

    /// A number that changes whenever this process has ended a session, or put another in its place. What it said of a session
    /// before may no longer be so.
    pub(crate) fn endings(&self) -> u64 {
        self.endings.load(Ordering::Acquire)
    }

    /// A call after which sessions may be gone, whatever its answer: one that got lost may have been carried out.
    async fn ending_call<T>(
        &self,
        operation: &'static str,
        future: StoreFuture<'_, T>,
    ) -> Result<T, SessionError> {
        let result = self.call(operation, future).await;
        self.endings.fetch_add(1, Ordering::AcqRel);
        result
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

    /// Says whether it was created, and not there before.
    pub(crate) async fn create_unless_there(
        &self,
        key: &SessionKey,
        record: &Record,
    ) -> Result<bool, SessionError> {
        let create = async {
            match self.store.create(key, record).await {
                Ok(()) => Ok(true),
                Err(StoreError::Conflict) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.call("create", create).await
    }

    pub(crate) async fn load(
        &self,
        key: &SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> Result<Loaded, SessionError> {
        let load = async {
            let loaded = self.store.load(key, step, now).await?;
            readable(&loaded)?;
            Ok(loaded)
        };
        self.call("load", load).await
    }

    pub(crate) async fn load_for_login(
        &self,
        key: &SessionKey,
        step: Duration,
        owner: &OwnerId,
        now: UnixMs,
    ) -> Result<(Loaded, Epoch), SessionError> {
        let load = async {
            let (loaded, epoch) = self.store.load_for_login(key, step, owner, now).await?;
            readable(&loaded)?;
            Ok((loaded, epoch))
        };
        self.call("load_for_login", load).await
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
        self.ending_call("rotate", self.store.rotate(old, new, owner, delta, now))
            .await
    }

    pub(crate) async fn admit(
        &self,
        admission: &Admission<'_>,
        now: UnixMs,
    ) -> Result<Admitted, SessionError> {
        self.ending_call("admit", self.store.admit(admission, now))
            .await
    }

    pub(crate) async fn end(
        &self,
        key: &SessionKey,
        owner: Option<&OwnerId>,
        trace: Option<Trace>,
        now: UnixMs,
    ) -> Result<Ended, SessionError> {
        self.ending_call("end", self.store.end(key, owner, trace, now))
            .await
    }

    pub(crate) async fn note(
        &self,
        key: &SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> Result<Trace, SessionError> {
        self.ending_call("note", self.store.note(key, trace, now))
            .await
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
        self.ending_call("end_all", self.store.end_all(owner, except, now))
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
        future: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, SessionError> {
        let error = match tokio::time::timeout(self.timeout, future).await {
            Ok(Ok(value)) => {
                // A full or a read-only store still answers reads, which does not mean that it is well again.
                if !READS.contains(&operation) {
                    self.note_available();
                }
                return Ok(value);
            }
            Ok(Err(StoreError::Refused(error))) => {
                self.note_available();
                return Err(SessionError::Refused(error));
            }
            Ok(Err(StoreError::Corrupt(error))) => {
                tracing::error!(store = self.name(), operation, %error, "the session store answered nonsense");
                self.hooks
                    .event(EventKind::StoreCorrupt)
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
            self.hooks
                .event(EventKind::StoreUnavailable)
                .reason(operation)
                .emit();
        }
        Err(SessionError::Unavailable)
    }

    fn note_available(&self) {
        // Read first: a store that is well is the common case, and a write would move the cache line between cores.
        if !self.available.load(Ordering::Relaxed) && !self.available.swap(true, Ordering::Relaxed)
        {
            self.hooks.event(EventKind::StoreRecovered).emit();
        }
    }
}

/// An instance that was started without the key must neither show the ciphertext nor write beside it.
fn readable(loaded: &Loaded) -> Result<(), CorruptRecord> {
    match loaded {
        Loaded::Live { record, .. }
            if record.data.len() == 1 && record.data.raw(ENCRYPTED_MEMBER).is_some() =>
        {
            Err(CorruptRecord::new(
                "it is encrypted, and no encryption key is set",
            ))
        }
        _ => Ok(()),
    }
}
