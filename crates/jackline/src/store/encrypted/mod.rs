//! Encryption at rest: a wrapper that lets any store see the data of sessions as ciphertext only.
//!
//! What an application keeps in a session is encrypted with AES-256-GCM (NIST SP 800-38D) before it reaches the store, with the
//! session's key as associated data, so that ciphertext moved to another session does not open there. Every session has an encryption
//! key of its own, derived from the configured one (HKDF, RFC 5869), and every write a random nonce.
//!
//! What a store needs to do its work stays readable: the hashes of tokens, owner, role and name, clocks, browser family and coarse
//! network, and about how much data there is.
//!
//! There is no way back to plain text. A record whose data is not encrypted was not written here, and is no session: its owner logs in
//! again. Data that does not open, or was encrypted with a key that is not listed, is [`StoreError::Corrupt`]: a `503`, and nobody is
//! logged in or out by it.
//!
//! ```
//! use std::sync::Arc;
//! use jackline::store::encrypted::{EncryptedStore, EncryptionKey, EncryptionKeys};
//! use jackline::store::memory::MemoryStore;
//!
//! # let secret = "an-encryption-key-that-is-not-the-signing-key-0123456789";
//! # let older = "an-encryption-key-from-before-the-last-rotation-9876543210";
//! let keys = EncryptionKeys::new(EncryptionKey::new(secret)?).with_previous(EncryptionKey::new(older)?);
//! let store = EncryptedStore::new(Arc::new(MemoryStore::new()), keys);
//! # Ok::<(), jackline::cookie::WeakKey>(())
//! ```
//!
//! # Cost
//! A write is two round trips instead of one, since the store cannot apply a change to what it cannot read: the data is loaded,
//! changed here, and written back if the record is still at the version that was read. Writers of one session take turns within a
//! process, so only writers of different processes ever have to begin again. A writer that came too late waits for a moment, and then
//! touches the record before it reads it: whoever was about to be faster once more comes too late in turn, and so nobody starves.

mod keys;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

pub use self::keys::{EncryptionKey, EncryptionKeys};
use super::{
    Admission, Admitted, Committed, Durability, Ended, Epoch, Listed, Loaded, NO_RENEWAL, Page,
    Replaced, Store, StoreError, StoreFuture, Trace,
};
use crate::lifecycle::{Data, Delta, DeltaError, OwnerId, Record, UnixMs};
use crate::token::SessionKey;

/// How many sessions can be written at once: one for each first byte of a digest. Two that share a turn merely wait for each other.
const TURNS: usize = 1 << u8::BITS;

/// How often a write is begun because another process came first. The engine's time-out usually comes before.
const MOST_TRIES: u32 = 64;

/// How long a writer that came too late waits at most the first time; twice as long the next, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// A store whose data is encrypted before another store gets it.
pub struct EncryptedStore {
    inner: Arc<dyn Store>,
    keys: EncryptionKeys,
    turns: Vec<Mutex<()>>,
}

impl EncryptedStore {
    /// Encrypts what `inner` is to keep.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, keys: EncryptionKeys) -> Self {
        Self {
            inner,
            keys,
            turns: std::iter::repeat_with(Mutex::default).take(TURNS).collect(),
        }
    }

    /// Waits until nobody else in this process writes the session. First come, first served.
    async fn turn(&self, key: &SessionKey) -> MutexGuard<'_, ()> {
        self.turns[usize::from(key.digest()[0])].lock().await
    }

    /// The record with its data in plain text; `None` if it was never encrypted.
    fn opened(&self, key: &SessionKey, mut record: Record) -> Result<Option<Record>, StoreError> {
        let Some(data) = self.keys.open(key, &record.data)? else {
            tracing::warn!(
                store = self.name(),
                session = %key.handle(),
                "the data of a session is not encrypted; it is treated as unknown"
            );
            return Ok(None);
        };
        record.data = data;
        Ok(Some(record))
    }

    async fn live(&self, key: &SessionKey, now: UnixMs) -> Result<Option<Record>, StoreError> {
        match self.inner.load(key, NO_RENEWAL, now).await? {
            Loaded::Live { record, .. } => self.opened(key, *record),
            Loaded::Absent | Loaded::Trace(_) | Loaded::Expired(_) => Ok(None),
        }
    }

    /// Before every attempt but the first: lets others pass, and then makes those begin again who are about to.
    async fn pause_and_touch(
        &self,
        key: &SessionKey,
        attempt: u32,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        if attempt == 0 {
            return Ok(());
        }
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(StoreError::unavailable)?;
        let share = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        let most = FIRST_PAUSE
            .saturating_mul(1 << attempt.min(8))
            .min(LONGEST_PAUSE);
        #[expect(
            clippy::disallowed_methods,
            reason = "it is time itself that is waited for: the others are to be through by then"
        )]
        tokio::time::sleep(most.mul_f64(share)).await;
        self.inner
            .commit(key, &Delta::new(usize::MAX), now)
            .await
            .map(drop)
    }

    /// What the inner store is to do so that `delta` has been applied to the record under `from`, whose data is `data`, by the time
    /// that it lies under `to`. With the new values of the counters.
    fn translated(
        &self,
        record: &mut Record,
        delta: &Delta,
        to: &SessionKey,
    ) -> Result<(Delta, Vec<i64>), StoreError> {
        let version = record.clocks.version;
        delta.check_version(Some(version))?;
        let counters = delta.apply(&mut record.data)?.counters;
        let mut inner = self.replacement(&record.data, to)?;
        inner.only_for_version(version);
        if let Some(meta) = delta.meta() {
            inner.set_meta(meta.clone());
        }
        Ok((inner, counters))
    }

    /// A delta that leaves nothing but this data, encrypted.
    fn replacement(&self, data: &Data, key: &SessionKey) -> Result<Delta, StoreError> {
        // The limit was kept in plain text; ciphertext in base64 is longer by a third.
        let mut delta = Delta::new(usize::MAX);
        delta.clear();
        for (name, value) in self.keys.seal(key, data)?.iter() {
            delta.set(name, value.to_owned());
        }
        Ok(delta)
    }

    fn encrypted(&self, key: &SessionKey, record: &Record) -> Result<Record, StoreError> {
        let mut record = record.clone();
        record.data = self.keys.seal(key, &record.data)?;
        Ok(record)
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<(), StoreError> {
        let record = self.encrypted(key, record)?;
        self.inner.create(key, &record).await
    }

    async fn load(
        &self,
        key: &SessionKey,
        step: Duration,
        now: UnixMs,
    ) -> Result<Loaded, StoreError> {
        let loaded = self.inner.load(key, step, now).await?;
        self.opened_of(key, loaded)
    }

    /// What was found, decrypted.
    fn opened_of(&self, key: &SessionKey, loaded: Loaded) -> Result<Loaded, StoreError> {
        Ok(match loaded {
            Loaded::Live { record, renewed } => match self.opened(key, *record)? {
                Some(record) => Loaded::Live {
                    record: Box::new(record),
                    renewed,
                },
                None => Loaded::Absent,
            },
            Loaded::Expired(record) => match self.opened(key, *record)? {
                Some(record) => Loaded::Expired(Box::new(record)),
                None => Loaded::Absent,
            },
            nothing @ (Loaded::Absent | Loaded::Trace(_)) => nothing,
        })
    }

    async fn commit(
        &self,
        key: &SessionKey,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        let _turn = self.turn(key).await;
        for attempt in 0..MOST_TRIES {
            self.pause_and_touch(key, attempt, now).await?;
            let Some(mut record) = self.live(key, now).await? else {
                return Ok(Committed::Gone);
            };
            let (inner, counters) = self.translated(&mut record, delta, key)?;
            match self.inner.commit(key, &inner, now).await {
                Ok(Committed::Applied { .. }) => return Ok(Committed::Applied { counters }),
                Err(StoreError::Refused(DeltaError::Outdated)) => {}
                other => return other,
            }
        }
        Err(contended())
    }

    async fn rotate(
        &self,
        old: &SessionKey,
        new: &SessionKey,
        owner: Option<&OwnerId>,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<Committed, StoreError> {
        let _turn = self.turn(old).await;
        for attempt in 0..MOST_TRIES {
            self.pause_and_touch(old, attempt, now).await?;
            let Some(mut record) = self.live(old, now).await? else {
                return Ok(Committed::Gone);
            };
            let (inner, counters) = self.translated(&mut record, delta, new)?;
            match self.inner.rotate(old, new, owner, &inner, now).await {
                Ok(Committed::Applied { .. }) => return Ok(Committed::Applied { counters }),
                Err(StoreError::Refused(DeltaError::Outdated)) => {}
                other => return other,
            }
        }
        Err(contended())
    }

    async fn admit(&self, admission: &Admission<'_>, now: UnixMs) -> Result<Admitted, StoreError> {
        let carry = admission
            .replaces
            .as_ref()
            .and_then(|replaced| Some((replaced.key, replaced.carry?)));
        let Some((replaced, delta)) = carry else {
            let record = self.encrypted(admission.key, admission.record)?;
            let admission = Admission {
                record: &record,
                ..admission.clone()
            };
            return self.inner.admit(&admission, now).await;
        };
        let _turn = self.turn(replaced).await;
        for attempt in 0..MOST_TRIES {
            self.pause_and_touch(replaced, attempt, now).await?;
            let inner = match self.live(replaced, now).await? {
                Some(mut record) => self.translated(&mut record, delta, admission.key)?.0,
                None => {
                    delta.check_version(None)?;
                    let mut data = Data::new();
                    delta.apply(&mut data)?;
                    self.replacement(&data, admission.key)?
                }
            };
            let replaces = admission.replaces.as_ref().map(|replaced| Replaced {
                carry: Some(&inner),
                ..replaced.clone()
            });
            let admission = Admission {
                replaces,
                ..admission.clone()
            };
            match self.inner.admit(&admission, now).await {
                Err(StoreError::Refused(DeltaError::Outdated)) => {}
                other => return other,
            }
        }
        Err(contended())
    }

    async fn list(&self, owner: &OwnerId, page: Page, now: UnixMs) -> Result<Listed, StoreError> {
        let Listed { sessions, next } = self.inner.list(owner, page, now).await?;
        let opened = sessions.into_iter().filter_map(|(key, mut record)| {
            match self.keys.open(&key, &record.data) {
                Ok(data) => record.data = data?,
                // One session that cannot be opened must not hide the others from their owner, who may want to end it.
                Err(error) => {
                    tracing::warn!(store = self.name(), session = %key.handle(), %error, "a session is listed without its data");
                    record.data.clear();
                }
            }
            Some((key, record))
        });
        Ok(Listed {
            sessions: opened.collect(),
            next,
        })
    }
}

fn contended() -> StoreError {
    StoreError::unavailable("other processes write this session all the time")
}

impl fmt::Debug for EncryptedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedStore")
            .field("inner", &self.inner)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Store for EncryptedStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
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
        self.inner.end(key, owner, trace, now)
    }

    fn note<'a>(
        &'a self,
        key: &'a SessionKey,
        trace: Trace,
        now: UnixMs,
    ) -> StoreFuture<'a, Trace> {
        self.inner.note(key, trace, now)
    }

    fn epoch<'a>(&'a self, owner: &'a OwnerId, now: UnixMs) -> StoreFuture<'a, Epoch> {
        self.inner.epoch(owner, now)
    }

    fn load_for_login<'a>(
        &'a self,
        key: &'a SessionKey,
        step: Duration,
        owner: &'a OwnerId,
        now: UnixMs,
    ) -> StoreFuture<'a, (Loaded, Epoch)> {
        Box::pin(async move {
            let (loaded, epoch) = self.inner.load_for_login(key, step, owner, now).await?;
            Ok((self.opened_of(key, loaded)?, epoch))
        })
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
        self.inner.end_all(owner, except, now)
    }

    fn reclaim(&self, limit: u32, now: UnixMs) -> StoreFuture<'_, u64> {
        self.inner.reclaim(limit, now)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.inner.ping()
    }
}
