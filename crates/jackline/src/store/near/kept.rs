//! What is kept, and what is known of it: which entries may be used, and which answers may become entries.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::NearOptions;
use super::announcements::Horizon;
use crate::lifecycle::{Record, UnixMs};
use crate::token::{Bucket, SessionKey};

/// How many buckets can be filled and withdrawn from at once. Two that share a turn merely wait for each other.
const TURNS: usize = 256;

/// How many buckets there are.
const BUCKETS: usize = 1 << 16;

/// About what an average session weighs; from it follows how many places there are to begin with.
const USUAL_BYTES: u64 = 1024;

/// The entries.
pub(super) struct Kept {
    entries: Cache<SessionKey, Arc<Entry>, ByBytes>,
    /// By bucket, so that all of an owner's sessions share one.
    turns: Box<[Mutex<Turn>]>,
    /// Counts up when everything is withdrawn. An entry of an earlier generation is none.
    generation: AtomicU64,
    /// The same for buckets, so that nobody looks through all entries for those of one. There are as many as there are places, and
    /// at most one for each bucket.
    generations: Box<[AtomicU32]>,
    bound: Duration,
    /// Up to when everything that changed was announced; `None` where nothing is, and an entry ages from when it was asked for.
    horizon: Option<Horizon>,
}

/// A record, as the store knew it at some time after `asked`.
struct Entry {
    record: Record,
    asked: Instant,
    generation: Generation,
    /// Whether somebody is about to renew it.
    renewing: AtomicBool,
}

/// Of everything, and of a bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Generation(u64, u32);

/// What happens to the sessions of some buckets.
#[derive(Default)]
struct Turn {
    /// How often something was withdrawn.
    withdrawn: u64,
    /// How many writes are under way.
    writing: u64,
}

/// What is known of a session.
pub(super) enum Found {
    /// It lives.
    Live(Box<Record>),
    /// It lives, and its use is to be written down by whoever holds this.
    Renew(Claim),
    /// Nothing.
    Nothing,
}

/// The right to renew a session. Without it, others take its life for granted; when it is dropped, the next may try.
pub(super) struct Claim(Arc<Entry>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.renewing.store(false, Ordering::Release);
    }
}

/// What was known before the store was asked: what it answers is kept only if that is still so.
#[must_use]
pub(super) struct Asked {
    key: SessionKey,
    at: Instant,
    generation: Generation,
    withdrawn: u64,
}

impl Kept {
    pub(super) fn by_age(options: NearOptions) -> Self {
        Self::new(options, None)
    }

    pub(super) fn announced(options: NearOptions) -> Self {
        Self::new(options, Some(Horizon::default()))
    }

    fn new(options: NearOptions, horizon: Option<Horizon>) -> Self {
        let places = options.size_bytes / USUAL_BYTES;
        let places = usize::try_from(places).unwrap_or(usize::MAX).max(1);
        Self {
            entries: Cache::with_weighter(places, options.size_bytes, ByBytes),
            turns: std::iter::repeat_with(Mutex::default).take(TURNS).collect(),
            generation: AtomicU64::new(0),
            generations: std::iter::repeat_with(AtomicU32::default)
                .take(places.clamp(TURNS, BUCKETS))
                .collect(),
            bound: options.bound,
            horizon,
        }
    }

    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    /// The horizon, where there is one.
    pub(super) fn horizon(&self) -> Option<&Horizon> {
        self.horizon.as_ref()
    }

    /// Looks for an entry that may be used at `now`.
    pub(super) fn find(&self, key: &SessionKey, step: Duration, now: UnixMs) -> Found {
        let Some(entry) = self.entries.get(key) else {
            return Found::Nothing;
        };
        let clocks = &entry.record.clocks;
        if !self.is_fresh(key, &entry) || clocks.idle_expired(now) || clocks.absolute_expired(now) {
            return Found::Nothing;
        }
        if clocks.renewal_due(now, step) && !entry.renewing.swap(true, Ordering::AcqRel) {
            return Found::Renew(Claim(entry));
        }
        Found::Live(Box::new(entry.record.clone()))
    }

    fn is_fresh(&self, key: &SessionKey, entry: &Entry) -> bool {
        let known = match &self.horizon {
            None => Some(entry.asked),
            Some(horizon) => horizon.moment(),
        };
        entry.generation == self.generation(key.bucket())
            && known.is_some_and(|known| known.elapsed() <= self.bound)
    }

    /// To be called before the store is asked.
    pub(super) fn ask(&self, key: &SessionKey) -> Asked {
        Asked {
            key: *key,
            at: Instant::now(),
            generation: self.generation(key.bucket()),
            withdrawn: self.turn(key.bucket()).withdrawn,
        }
    }

    /// Keeps what the store has answered, unless it may have changed since it was asked.
    pub(super) fn keep(&self, asked: Asked, record: Record) {
        let entry = Entry {
            record,
            asked: asked.at,
            generation: asked.generation,
            renewing: AtomicBool::new(false),
        };
        // Held until the entry is there, so that whatever is withdrawn from now on finds it.
        let turn = self.turn(asked.key.bucket());
        if turn.withdrawn == asked.withdrawn && turn.writing == 0 {
            self.entries.insert(asked.key, Arc::new(entry));
        }
    }

    /// Forgets a session, and what is being asked about it.
    pub(super) fn withdraw(&self, key: &SessionKey) {
        self.turn(key.bucket()).withdrawn += 1;
        self.entries.remove(key);
    }

    /// Forgets everything, and what is being asked about anything.
    pub(super) fn withdraw_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.entries.clear();
    }

    /// To be held while the store is told to change these sessions.
    pub(super) fn write<'a>(&self, keys: impl IntoIterator<Item = &'a SessionKey>) -> Write<'_> {
        let keys: Vec<_> = keys.into_iter().copied().collect();
        for key in &keys {
            self.turn(key.bucket()).writing += 1;
            self.withdraw(key);
        }
        Write {
            kept: self,
            keys,
            bucket: None,
        }
    }

    /// Forgets what is in a bucket, and what is being asked about it.
    pub(super) fn withdraw_bucket(&self, bucket: Bucket) {
        let mut turn = self.turn(bucket);
        turn.withdrawn += 1;
        self.bucket_generation(bucket)
            .fetch_add(1, Ordering::AcqRel);
    }

    fn generation(&self, bucket: Bucket) -> Generation {
        Generation(
            self.generation.load(Ordering::Acquire),
            self.bucket_generation(bucket).load(Ordering::Acquire),
        )
    }

    fn bucket_generation(&self, bucket: Bucket) -> &AtomicU32 {
        &self.generations[usize::from(bucket.number()) % self.generations.len()]
    }

    fn turn(&self, bucket: Bucket) -> MutexGuard<'_, Turn> {
        self.turns[usize::from(bucket.number()) % TURNS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is under way. When it is over, however it ended, what it may have changed is forgotten.
#[must_use]
pub(super) struct Write<'a> {
    kept: &'a Kept,
    keys: Vec<SessionKey>,
    bucket: Option<(Bucket, Over)>,
}

/// What of a bucket goes when a write is over.
enum Over {
    Everything,
    These(Vec<SessionKey>),
}

impl Write<'_> {
    /// It may end any session in this bucket.
    pub(super) fn may_end_all_in(&mut self, bucket: Bucket) {
        self.kept.turn(bucket).writing += 1;
        self.bucket = Some((bucket, Over::Everything));
    }

    /// It has ended none but these of those that it might have.
    pub(super) fn has_ended_only(&mut self, ended: &[SessionKey]) {
        if let Some((_, over)) = &mut self.bucket {
            *over = Over::These(ended.to_vec());
        }
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        for key in &self.keys {
            self.kept.turn(key.bucket()).writing -= 1;
            self.kept.withdraw(key);
        }
        if let Some((bucket, over)) = &self.bucket {
            self.kept.turn(*bucket).writing -= 1;
            match over {
                Over::Everything => self.kept.withdraw_bucket(*bucket),
                Over::These(keys) => keys.iter().for_each(|key| self.kept.withdraw(key)),
            }
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Kept({} entries, {} bytes)",
            self.entries.len(),
            self.entries.weight()
        )
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<SessionKey, Arc<Entry>> for ByBytes {
    fn weight(&self, _: &SessionKey, entry: &Arc<Entry>) -> u64 {
        /// What the map and the allocator take per member, and what they take per entry.
        const PER_MEMBER: usize = size_of::<(usize, String, Box<str>)>() + 48;
        const PER_ENTRY: usize = size_of::<(SessionKey, Entry)>() + 160;
        let members = entry.record.data.iter();
        let data = members.map(|(name, value)| name.len() + value.get().len() + PER_MEMBER);
        let identity = entry.record.meta.identity.as_ref();
        let identity = identity.map_or(0, |identity| {
            identity.id.as_str().len() + identity.name.len() + identity.role.as_str().len()
        });
        (data.sum::<usize>() + identity + PER_ENTRY) as u64
    }
}
