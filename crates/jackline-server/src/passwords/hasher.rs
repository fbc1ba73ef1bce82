//! Hashing and checking, at most so many at once. Each takes 19 MiB and some tens of milliseconds of one core, which is the point, and
//! the reason to bound them. A caller that gives up while its password is being hashed leaves the permit with the work, so that giving
//! up and asking again does not add work.
//!
//! Hashing gives way to requests that only read, as far as the system can make it: it is begun at [`Pace::Leisure`]. What is late
//! then, since the cores are never at leisure, is begun once more at [`Pace::Steady`]; a thread cannot be hurried without a privilege.
//! No more hashes are left behind at leisure than are worked on at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::phc;
use argon2::{Algorithm, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use super::pace::Pace;
use super::password::{NewPassword, Password, PhcHash};
use super::pooled::PooledArgon2;
use crate::metrics::{PasswordCheck, Recorders};
use crate::random;

/// What one hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
        }
    }
}

/// How many logins may wait for a free core before others are turned away.
const MOST_WAITING: usize = 64;

/// How long is waited for a hash at leisure, at least.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
/// How many times what a hash took when the program started is waited for one at leisure.
const PATIENCE: u32 = 8;

/// Hashes and checks passwords. Cheap to clone; clones share the bounds.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    /// Running or waiting. Without a ticket there is no waiting.
    tickets: Arc<Semaphore>,
    /// Running, one for whoever waits for it.
    cores: Arc<Semaphore>,
    /// Running at leisure, whether somebody still waits for it or not.
    leisure: Arc<Semaphore>,
    patience: Duration,
    work: Arc<Work>,
    /// How many tickets there are.
    most: usize,
    recorders: Recorders,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The password is not this user's, or there is no such user.
    Wrong,
    /// The password is right.
    Right {
        /// A new hash of it, if the stored one is weaker than hashes are now. Store it with `Users::refresh_hash`.
        stronger: Option<PhcHash>,
    },
}

/// Why a password was neither found right nor wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// Too many are waiting already; try again in a moment.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// The hash could not be computed: no memory, no random numbers, a damaged stored hash, or the program is shutting down.
    #[error("a password hash could not be computed")]
    Failed,
}

impl PasswordHasher {
    /// A hasher that works on at most `max_concurrent` passwords at once, at least one.
    ///
    /// Takes as long as one hash.
    ///
    /// # Errors
    ///
    /// [`HashingError::Failed`] if the machine cannot compute one hash.
    pub fn new(max_concurrent: usize) -> Result<Self, HashingError> {
        Self::with_cost(max_concurrent, Cost::default())
    }

    /// A hasher for this machine: one password at a time for each core but one, so that whoever reads finds a core that nobody hashes on.
    ///
    /// # Errors
    ///
    /// As [`PasswordHasher::new`].
    pub fn for_this_machine() -> Result<Self, HashingError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(cores.saturating_sub(1).max(1))
    }

    /// A hasher with another cost, such as a trifling one in tests.
    ///
    /// # Errors
    ///
    /// As [`PasswordHasher::new`], also if Argon2 does not know such a cost.
    pub fn with_cost(max_concurrent: usize, cost: Cost) -> Result<Self, HashingError> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)
            .map_err(|_| HashingError::Failed)?;
        let argon2 = PooledArgon2::new(params);
        let nobodys = random::hex(32).map_err(|_| HashingError::Failed)?;
        let began = Instant::now();
        let nobody = argon2
            .hash_password(nobodys.as_bytes())
            .map_err(|_| HashingError::Failed)?;
        let patience = LEAST_PATIENCE.max(began.elapsed() * PATIENCE);
        let max_concurrent = max_concurrent.clamp(1, 1024);
        let at_leisure = if Pace::HAS_LEISURE { max_concurrent } else { 0 };
        Ok(Self {
            tickets: Arc::new(Semaphore::new(max_concurrent + MOST_WAITING)),
            most: max_concurrent + MOST_WAITING,
            recorders: Recorders::default(),
            cores: Arc::new(Semaphore::new(max_concurrent)),
            leisure: Arc::new(Semaphore::new(at_leisure)),
            patience,
            work: Arc::new(Work {
                argon2,
                nobody,
                computed: AtomicU64::new(0),
            }),
        })
    }

    /// Checks a password against a stored hash. Without one (no such user) it does the same work for nobody and says [`Verdict::Wrong`].
    ///
    /// # Errors
    ///
    /// [`HashingError`]; neither kind says anything about the password.
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<PhcHash>,
    ) -> Result<Verdict, HashingError> {
        let began = Instant::now();
        let verdict = self
            .run(move |work| work.verify(&password, stored.as_ref()))
            .await;
        let outcome = match &verdict {
            Ok(Verdict::Right { .. }) => PasswordCheck::Right,
            Ok(Verdict::Wrong) => PasswordCheck::Wrong,
            Err(HashingError::Busy) => PasswordCheck::Busy,
            Err(HashingError::Failed) => PasswordCheck::Failed,
        };
        self.recorders.password_check(outcome, began.elapsed());
        verdict
    }

    /// Hashes a new password.
    ///
    /// # Errors
    ///
    /// [`HashingError`].
    pub async fn hash(&self, password: NewPassword) -> Result<PhcHash, HashingError> {
        self.run(move |work| work.hash(password.expose())).await
    }

    /// The same hasher, whose checks are told to these.
    #[must_use]
    pub fn told_to(self, recorders: Recorders) -> Self {
        Self { recorders, ..self }
    }

    /// How many passwords are in work or wait for it.
    pub fn in_hand(&self) -> usize {
        self.most - self.tickets.available_permits()
    }

    /// How many hashes were computed so far, for tests.
    pub fn computed(&self) -> u64 {
        self.work.computed.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        task: impl Fn(&Work) -> Result<T, HashingError> + Send + Sync + 'static,
    ) -> Result<T, HashingError> {
        let ticket = self.ticket()?;
        tracing::debug!(
            free = self.tickets.available_permits(),
            "a password waits for its turn"
        );
        let core = Arc::clone(&self.cores)
            .acquire_owned()
            .await
            .map_err(|_| HashingError::Failed)?;
        let at_leisure = Arc::clone(&self.leisure).try_acquire_owned().ok();
        let work = Arc::clone(&self.work);
        let task = Arc::new(move || task(&work));
        // They belong to the work, not to the caller, who may be gone.
        let hashing = at_leisure_or_steadily(task, at_leisure, self.patience, (ticket, core));
        tokio::spawn(hashing)
            .await
            .map_err(|_| HashingError::Failed)?
    }

    fn ticket(&self) -> Result<OwnedSemaphorePermit, HashingError> {
        match Arc::clone(&self.tickets).try_acquire_owned() {
            Ok(ticket) => Ok(ticket),
            Err(TryAcquireError::NoPermits) => Err(HashingError::Busy),
            Err(TryAcquireError::Closed) => Err(HashingError::Failed),
        }
    }
}

/// What is held while a password is worked on: a ticket, and a core.
type Held = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Does what is to be done while nobody else wants the core, given a permit for that; without one, or if it is late, steadily.
async fn at_leisure_or_steadily<T: Send + 'static>(
    task: Arc<impl Fn() -> Result<T, HashingError> + Send + Sync + 'static>,
    at_leisure: Option<OwnedSemaphorePermit>,
    patience: Duration,
    held: Held,
) -> Result<T, HashingError> {
    let Some(permit) = at_leisure else {
        return begin(task, Pace::Steady, held)?.await;
    };
    let mut first = begin(Arc::clone(&task), Pace::Leisure, permit)?;
    if let Ok(done) = tokio::time::timeout(patience, &mut first).await {
        return done;
    }
    tracing::debug!("a password waits for a core at leisure, and is hashed steadily");
    // It keeps the core until it ends, also if the first has the answer before it.
    let Ok(second) = begin(task, Pace::Steady, held) else {
        return first.await;
    };
    tokio::select! {
        done = first => done,
        done = second => done,
    }
}

/// Does it on a thread of its own, which is nothing beside a hash: a thread that has given way may not be able to take that back, and
/// the runtime's are for others too. What it holds is given back before the answer is. If nobody waits any more, it is not begun.
fn begin<T: Send + 'static>(
    task: Arc<impl Fn() -> Result<T, HashingError> + Send + Sync + 'static>,
    pace: Pace,
    held: impl Send + 'static,
) -> Result<impl Future<Output = Result<T, HashingError>> + Unpin, HashingError> {
    let (tell, told) = oneshot::channel();
    let hashing = move || {
        // In this order, so that also a panic gives back what is held before it tells.
        let tell = tell;
        let held = held;
        pace.take();
        if tell.is_closed() {
            return;
        }
        let done = task();
        drop((task, held));
        let _ = tell.send(done);
    };
    std::thread::Builder::new()
        .name("password".to_owned())
        .spawn(hashing)
        .map_err(|_| HashingError::Failed)?;
    Ok(told.map(|told| told.map_err(|_| HashingError::Failed)?))
}

#[derive(Debug)]
struct Work {
    argon2: PooledArgon2,
    /// The hash of a password that nobody has.
    nobody: phc::PasswordHash,
    computed: AtomicU64,
}

impl Work {
    fn verify(
        &self,
        password: &Password,
        stored: Option<&PhcHash>,
    ) -> Result<Verdict, HashingError> {
        let Some(stored) = stored else {
            let _ = self.matches(password, &self.nobody)?;
            return Ok(Verdict::Wrong);
        };
        let hash = stored.parts().map_err(|_| HashingError::Failed)?;
        if !self.matches(password, &hash)? {
            return Ok(Verdict::Wrong);
        }
        let stronger = if self.is_weaker(&hash) {
            Some(self.hash(password.expose())?)
        } else {
            None
        };
        Ok(Verdict::Right { stronger })
    }

    fn matches(&self, password: &Password, hash: &phc::PasswordHash) -> Result<bool, HashingError> {
        self.computed.fetch_add(1, Ordering::Relaxed);
        match self.argon2.verify_password(password.expose(), hash) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(HashingError::Failed),
        }
    }

    fn hash(&self, password: &[u8]) -> Result<PhcHash, HashingError> {
        self.computed.fetch_add(1, Ordering::Relaxed);
        self.argon2
            .hash_password(password)
            .map(|hash| PhcHash::made(&hash))
            .map_err(|_| HashingError::Failed)
    }

    /// Whether a hash was made when hashes cost less. One that costs more is left alone.
    fn is_weaker(&self, hash: &phc::PasswordHash) -> bool {
        let now = self.argon2.params();
        let Ok(then) = Params::try_from(hash) else {
            return true;
        };
        hash.algorithm != Algorithm::Argon2id.ident()
            || hash.version != Some(Version::V0x13.into())
            || then.m_cost() < now.m_cost()
            || then.t_cost() < now.t_cost()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use std::sync::{Mutex, mpsc};

    use super::*;

    const CHEAP: Cost = Cost {
        memory_kib: 16,
        passes: 1,
        lanes: 1,
    };

    fn hasher() -> PasswordHasher {
        PasswordHasher::with_cost(2, CHEAP).unwrap()
    }

    async fn hash(hasher: &PasswordHasher, text: &str) -> PhcHash {
        let password = NewPassword::parse(Password::presented(text), "").unwrap();
        hasher.hash(password).await.unwrap()
    }

    /// Work that at leisure comes to no end until it may, and steadily to none before it is stuck at leisure.
    #[cfg(target_os = "linux")]
    fn stuck_at_leisure(
        may_end: mpsc::Receiver<()>,
    ) -> impl Fn(&Work) -> Result<Option<Pace>, HashingError> + Send + Sync + 'static {
        let (begin, begun) = mpsc::channel();
        let (may_end, begun) = (Mutex::new(may_end), Mutex::new(begun));
        move |_| {
            let pace = Pace::taken();
            if pace == Some(Pace::Leisure) {
                begin.send(()).unwrap();
                let _ = may_end.lock().unwrap().recv();
            } else {
                begun.lock().unwrap().recv().unwrap();
            }
            Ok(pace)
        }
    }

    // While its clock is paused, the runtime lets all time go by for whoever only waits for a thread.
    // Proves: J9
    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn what_is_late_at_leisure_is_done_steadily_and_little_is_left_behind() {
        let hasher = PasswordHasher::with_cost(1, CHEAP).unwrap();
        for _ in 0..2 {
            let (end, may_end) = mpsc::channel();
            let pace = hasher.run(stuck_at_leisure(may_end)).await;
            assert_eq!(pace, Ok(Some(Pace::Steady)));
            assert_eq!(hasher.in_hand(), 0, "nobody waits for what was left behind");
            let pace = hasher.run(|_| Ok(Pace::taken())).await;
            assert_eq!(pace, Ok(Some(Pace::Steady)), "not another at leisure");
            drop(end);
            drop(hasher.leisure.acquire().await.unwrap());
        }
    }

    // Proves: J9
    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_leaves_nothing_that_others_wait_for() {
        let hasher = PasswordHasher::with_cost(1, CHEAP).unwrap();
        let (_end, may_end) = mpsc::channel();
        let mut given_up = Box::pin(hasher.run(stuck_at_leisure(may_end)));
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(given_up.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        drop(given_up);
        assert_eq!(hasher.in_hand(), 1);
        assert_eq!(hasher.run(|_| Ok(7)).await, Ok(7));
        assert_eq!(hasher.in_hand(), 0);
    }

    // Proves: R1
    #[tokio::test]
    async fn a_hash_that_panics_fails_and_takes_no_place_of_others() {
        let hasher = hasher();
        for _ in 0..5 {
            // Without a message: whoever writes one holds a lock, and the next would wait for it, at leisure.
            let failed = hasher.run::<()>(|_| std::panic::resume_unwind(Box::new("a defect")));
            let failed = failed.await;
            assert_eq!(failed, Err(HashingError::Failed));
        }
        assert_eq!(hasher.in_hand(), 0);
        assert_eq!(hasher.run(|_| Ok(7)).await, Ok(7));
    }

    // Proves: R1, J6
    #[tokio::test]
    async fn the_default_is_argon2id_as_owasp_has_it() {
        let hasher = PasswordHasher::new(1).unwrap();
        let hash = hash(&hasher, "tolerable kelp, quoins").await;
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(PhcHash::parse(hash.expose()).is_ok());
    }

    // Proves: R1, T6.1
    #[tokio::test]
    async fn the_right_password_is_right_and_others_are_wrong() {
        let hasher = hasher();
        let stored = hash(&hasher, "purple rain on the quay").await;
        assert_ne!(
            stored,
            hash(&hasher, "purple rain on the quay").await,
            "salted"
        );
        for (presented, verdict) in [
            ("purple rain on the quay", Verdict::Right { stronger: None }),
            ("purple rain on the quay ", Verdict::Wrong),
            ("Purple rain on the quay", Verdict::Wrong),
            ("", Verdict::Wrong),
        ] {
            let found = hasher
                .verify(Password::presented(presented), Some(stored.clone()))
                .await;
            assert_eq!(found, Ok(verdict), "{presented:?}");
        }
    }

    // Proves: R1
    #[tokio::test]
    async fn long_passwords_are_not_cut() {
        let hasher = hasher();
        let long: String = "kelp anchor 7 quoin; ".chars().cycle().take(1024).collect();
        let stored = hash(&hasher, &long).await;
        let shorter = Password::presented(&long[..1023]);
        assert_eq!(
            hasher.verify(shorter, Some(stored)).await,
            Ok(Verdict::Wrong)
        );
    }

    // Proves: S78, T6.1
    #[tokio::test]
    async fn an_unknown_user_costs_as_many_hashes_as_a_wrong_password() {
        let hasher = hasher();
        // What is late at leisure would be counted twice.
        hasher.leisure.forget_permits(usize::MAX);
        let stored = hash(&hasher, "purple rain on the quay").await;
        for stored in [None, Some(stored)] {
            let before = hasher.computed();
            let verdict = hasher.verify(Password::presented("wrong"), stored).await;
            assert_eq!(verdict, Ok(Verdict::Wrong));
            assert_eq!(hasher.computed(), before + 1);
        }
        let params = Params::try_from(&hasher.work.nobody).unwrap();
        assert_eq!(params.m_cost(), CHEAP.memory_kib);
    }

    // Proves: R1
    #[tokio::test]
    async fn a_weaker_stored_hash_is_replaced_at_the_next_login() {
        let weak = hash(&hasher(), "purple rain on the quay").await;
        let strong = PasswordHasher::with_cost(1, Cost { passes: 2, ..CHEAP }).unwrap();
        let right = Password::presented("purple rain on the quay");
        let Ok(Verdict::Right {
            stronger: Some(new),
        }) = strong.verify(right, Some(weak)).await
        else {
            panic!("a stronger hash expected");
        };
        assert!(new.expose().contains("t=2"));
        // And the other way round it stays.
        let right = Password::presented("purple rain on the quay");
        let verdict = hasher().verify(right, Some(new)).await;
        assert_eq!(verdict, Ok(Verdict::Right { stronger: None }));
    }

    // Proves: J9, J7
    #[tokio::test]
    async fn beyond_the_queue_the_answer_is_busy_and_later_it_works_again() {
        let hasher = hasher();
        let all = u32::try_from(2 + MOST_WAITING).unwrap();
        let crowd = Arc::clone(&hasher.tickets)
            .try_acquire_many_owned(all)
            .unwrap();
        let turned_away = hasher.verify(Password::presented("x"), None).await;
        assert_eq!(turned_away, Err(HashingError::Busy));
        drop(crowd);
        let served = hasher.verify(Password::presented("x"), None).await;
        assert_eq!(served, Ok(Verdict::Wrong));
    }

    // Proves: J9
    #[tokio::test]
    async fn a_crowd_leaves_no_more_memory_behind_than_works_at_once() {
        let hasher = hasher();
        let crowd: Vec<_> = (0..MOST_WAITING)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.verify(Password::presented("x"), None).await })
            })
            .collect();
        for one in crowd {
            assert_eq!(one.await.unwrap(), Ok(Verdict::Wrong));
        }
        // Those that were left behind at leisure have ended.
        if Pace::HAS_LEISURE {
            drop(hasher.leisure.acquire_many(2).await.unwrap());
        }
        // Two that are waited for, and two that may be left behind.
        assert!((1..=4).contains(&hasher.work.argon2.kept()));
    }

    // Proves: J9
    #[tokio::test]
    async fn a_caller_that_gives_up_while_waiting_frees_its_place() {
        let hasher = hasher();
        let cores = Arc::clone(&hasher.cores).try_acquire_many_owned(2).unwrap();
        let mut waiting = Box::pin(hasher.verify(Password::presented("x"), None));
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        assert_eq!(hasher.tickets.available_permits(), 2 + MOST_WAITING - 1);
        drop(waiting);
        assert_eq!(hasher.tickets.available_permits(), 2 + MOST_WAITING);
        drop(cores);
    }
}
