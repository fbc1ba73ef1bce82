//! Guessing is slow (NIST SP 800-63B-4, section 3.2.2; OWASP ASVS 6.3.1). Whoever checks a password or a code asks first, and every
//! attempt counts as failed until it is said to have succeeded, so that a client that hangs up gains nothing.
//!
//! Counters are kept in the session store, so that all instances share them: each is a record that is nobody's, under a key from which
//! neither account nor address can be computed, and it runs out by itself. Of many attempts at once the store lets through as many as
//! one after the other, since it counts in one step.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Context, LazySession, Session, SessionError, Shared};
use crate::events::EventKind;
use crate::lifecycle::{Clocks, Delta, DeltaError, Record, UnixMs, integer};
use crate::store::{Committed, Loaded, NO_RENEWAL};
use crate::token::SessionKey;

/// What attempts are counted for.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// An account, by the name that was typed: also by one that is nobody's, or the answer would tell. The caller makes spellings of one
    /// name one.
    Account(&'a str),
    /// A device that has been logged in to an account before: who owns it is not to be locked out by strangers.
    Device(&'a str),
    /// Where the request comes from: an IPv4 address, or an IPv6 network of 64 bits, which is what one customer has. If that is not
    /// known, it is not counted.
    Network,
}

impl Subject<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Device(_) => "device",
            Self::Network => "network",
        }
    }

    /// What is counted for a client at this address; `None` if that is not known.
    fn text(self, client: Option<IpAddr>) -> Option<String> {
        match self {
            Self::Account(text) | Self::Device(text) => Some(text.to_owned()),
            Self::Network => client.map(network_of),
        }
    }
}

fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

impl fmt::Debug for Subject<'_> {
    /// What kind it is: names and addresses are personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many attempts may fail, and how long the next ones wait.
///
/// ```
/// use std::time::Duration;
/// use jackline::session::Allowance;
///
/// let strict = Allowance::new(3).longest_wait(Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    free: u32,
    first_wait: Duration,
    longest_wait: Duration,
    forgotten_after: Duration,
}

impl Allowance {
    /// So many may fail in a row without a wait. After that the next waits for a second, and each that fails doubles the wait, up to 15
    /// minutes. All is forgotten 12 hours after the last one.
    #[must_use]
    pub const fn new(free: u32) -> Self {
        Self {
            free,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(15 * 60),
            forgotten_after: Duration::from_secs(12 * 3600),
        }
    }

    /// The first wait.
    #[must_use]
    pub const fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// The longest wait.
    #[must_use]
    pub const fn longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = wait;
        self
    }

    /// How long after the last attempt all is forgotten. At least as long as the longest wait, or that would be cut short.
    #[must_use]
    pub const fn forgotten_after(mut self, time: Duration) -> Self {
        self.forgotten_after = time;
        self
    }

    /// How long the next one waits after so many that failed, from the last of them.
    fn wait_after(&self, failed: i64) -> Duration {
        let Some(more) = u64::try_from(failed)
            .ok()
            .and_then(|failed| failed.checked_sub(self.free.into()))
        else {
            return Duration::ZERO;
        };
        let doubled = u32::try_from(more)
            .ok()
            .and_then(|more| 2_u32.checked_pow(more))
            .and_then(|times| self.first_wait.checked_mul(times));
        doubled.map_or(self.longest_wait, |wait| wait.min(self.longest_wait))
    }

    fn first_record(&self, now: UnixMs) -> Record {
        let mut record = Record::blank();
        record.clocks = Clocks {
            seen: now,
            idle: self.forgotten_after.max(self.longest_wait),
            ends: UnixMs::MAX,
            version: 0,
        };
        record.meta.created = now;
        record.data.set(FAILED, integer(1));
        record
    }
}

/// The one member of a counter.
const FAILED: &str = "failed";

/// How often a count that others race with is tried. Each time but the last one of them has counted, and soon it is refused.
const ROUNDS: u32 = 8;

/// An attempt that has been let through and counts as failed.
///
/// If it is the one that used up what was free, and is dropped without having succeeded, then that is an event: `account_throttled`.
#[must_use = "an attempt counts as failed until it is said to have succeeded"]
pub struct Attempt {
    shared: Arc<Shared>,
    counted: Vec<Counted>,
    user_id: Option<String>,
}

struct Counted {
    key: SessionKey,
    /// What kind of subject it was counted for.
    subject: &'static str,
    /// Whether the next has to wait, and did not have to until now.
    last_free: bool,
    /// Whether one success makes up for all that failed. Not for a network: whoever attacks from there may have an account too.
    forgets: bool,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt")
    }
}

impl Drop for Attempt {
    /// Here, and not when the first is refused: of many at once on many instances, one used up what was free.
    fn drop(&mut self) {
        for counted in self.counted.iter().filter(|counted| counted.last_free) {
            let concerned = self.user_id.as_deref().filter(|_| counted.forgets);
            self.shared
                .event(EventKind::AccountThrottled)
                .user_id(concerned)
                .reason(counted.subject)
                .emit();
        }
    }
}

impl Attempt {
    /// Whose account it is, for the event that it may become. Hand in their identifier if the account exists, never what was typed.
    pub fn concerning<'a>(mut self, user_id: impl Into<Option<&'a str>>) -> Self {
        self.user_id = user_id.into().map(str::to_owned);
        self
    }

    /// What was attempted succeeded: nothing that failed before counts any more against the account or the device, and this one not
    /// against the network.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`]; then it counts as failed.
    pub async fn succeeded(mut self) -> Result<(), SessionError> {
        let context = &self.shared.context;
        let now = context.clock.now();
        for Counted { key, forgets, .. } in &self.counted {
            if *forgets {
                // Not ended: of many at once each would begin a counter anew.
                context
                    .recount(key, |delta| delta.set(FAILED, integer(0)), now)
                    .await?;
            } else {
                context.take_back(key, now).await?;
            }
        }
        self.counted.clear();
        Ok(())
    }

    /// What was attempted has not been judged, since there was no time for it. It does not count.
    ///
    /// # Errors
    /// As [`Attempt::succeeded`].
    pub async fn not_judged(mut self) -> Result<(), SessionError> {
        let context = &self.shared.context;
        for Counted { key, .. } in &self.counted {
            context.take_back(key, context.clock.now()).await?;
        }
        self.counted.clear();
        Ok(())
    }
}

/// What became of a count.
enum Counting {
    /// `last_free`: the next has to wait, and this is the first of which that is so.
    Counted { last_free: bool },
    /// The next one may try in so long.
    Waits(Duration),
}

impl LazySession {
    /// Asks whether somebody may try, **before** what they know is checked, and counts it as failed. In the given order, and no further
    /// than to the first that refuses.
    ///
    /// ```
    /// use jackline::session::{Allowance, Subject};
    /// # async fn password_is_right() -> bool { true }
    /// # async fn example(session: jackline::LazySession) -> Result<(), jackline::SessionError> {
    /// let attempt = session.attempt(&[(Subject::Account("alice"), Allowance::new(5))]).await?;
    /// if password_is_right().await {
    ///     attempt.succeeded().await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::TooManyAttempts`] with the time to wait; [`SessionError::Unavailable`].
    pub async fn attempt(
        &self,
        subjects: &[(Subject<'_>, Allowance)],
    ) -> Result<Attempt, SessionError> {
        self.shared().attempt(subjects).await
    }
}

impl Session {
    /// As [`LazySession::attempt`].
    ///
    /// # Errors
    /// As there.
    pub async fn attempt(
        &self,
        subjects: &[(Subject<'_>, Allowance)],
    ) -> Result<Attempt, SessionError> {
        self.0.attempt(subjects).await
    }
}

impl Shared {
    async fn attempt(
        self: &Arc<Self>,
        subjects: &[(Subject<'_>, Allowance)],
    ) -> Result<Attempt, SessionError> {
        let context = &self.context;
        let mut attempt = Attempt {
            shared: Arc::clone(self),
            counted: Vec::with_capacity(subjects.len()),
            user_id: None,
        };
        for (subject, allowance) in subjects {
            let Some(text) = subject.text(self.request.ip) else {
                continue;
            };
            let key = context.counter_of(subject.name(), &text);
            match context.count(&key, allowance).await? {
                Counting::Counted { last_free } => attempt.counted.push(Counted {
                    key,
                    subject: subject.name(),
                    last_free,
                    forgets: !matches!(subject, Subject::Network),
                }),
                Counting::Waits(wait) => {
                    let event = self.event(EventKind::RateLimited);
                    event.reason(subject.name()).emit();
                    return Err(SessionError::TooManyAttempts(wait));
                }
            }
        }
        Ok(attempt)
    }
}

impl Context {
    fn counter_of(&self, kind: &str, text: &str) -> SessionKey {
        // Holds a NUL, which no session id contains: no signature over an id is a counter's name.
        let label = format!("jackline/attempts/v1\0{kind}\0{text}");
        SessionKey::attempts(Sha256::digest(self.keys.sign(label.as_bytes())).into())
    }

    async fn count(
        &self,
        key: &SessionKey,
        allowance: &Allowance,
    ) -> Result<Counting, SessionError> {
        // Where nothing is free, the first is let through all the same.
        let used_up = i64::from(allowance.free).max(1);
        let counted = |count| Counting::Counted {
            last_free: count == used_up,
        };
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let record = match self.store.load(key, NO_RENEWAL, now).await? {
                Loaded::Live { record, .. } => record,
                Loaded::Expired(_) => {
                    self.store.end(key, None, None, now).await?;
                    continue;
                }
                Loaded::Absent | Loaded::Trace(_) => {
                    let first = allowance.first_record(now);
                    if self.store.create_unless_there(key, &first).await? {
                        return Ok(counted(1));
                    }
                    continue;
                }
            };
            let failed = record.data.get(FAILED).ok().flatten().unwrap_or(0);
            let free = failed < i64::from(allowance.free);
            let until = record.clocks.seen.after(allowance.wait_after(failed));
            // Of those that are free nobody waits, not even for one whose clock is a little ahead.
            if !free && now < until {
                return Ok(Counting::Waits(until.since(now)));
            }
            let mut delta = self.new_delta();
            delta.increment(FAILED, 1);
            if !free {
                // Of those that have waited for this moment one is let through.
                delta.only_for_version(record.clocks.version);
            }
            match self.store.commit(key, &delta, now).await {
                Ok(Committed::Applied { counters }) => {
                    let count = counters.last().copied().unwrap_or(i64::MAX);
                    if !free || count <= i64::from(allowance.free) {
                        return Ok(counted(count));
                    }
                    // Others were faster, and this one is one too many. It has not been let through and does not count.
                    self.take_back(key, now).await?;
                    return Ok(Counting::Waits(allowance.wait_after(count - 1)));
                }
                Ok(Committed::Gone) | Err(SessionError::Refused(DeltaError::Outdated)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Counting::Waits(allowance.first_wait))
    }

    async fn take_back(&self, key: &SessionKey, now: UnixMs) -> Result<(), SessionError> {
        self.recount(
            key,
            |delta| {
                delta.increment(FAILED, -1);
            },
            now,
        )
        .await
    }

    async fn recount(
        &self,
        key: &SessionKey,
        change: impl FnOnce(&mut Delta),
        now: UnixMs,
    ) -> Result<(), SessionError> {
        let mut delta = self.new_delta();
        change(&mut delta);
        // If it has run out, there is nothing to change.
        self.store.commit(key, &delta, now).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: S81
    #[test]
    fn waits_grow_from_the_first_to_the_longest() {
        let allowance = Allowance::new(3)
            .first_wait(Duration::from_secs(2))
            .longest_wait(Duration::from_secs(15));
        let waits: Vec<_> = (0..9)
            .map(|failed| allowance.wait_after(failed).as_secs())
            .collect();
        assert_eq!(waits, [0, 0, 0, 2, 4, 8, 15, 15, 15]);
        for failed in [100, i64::MAX] {
            assert_eq!(allowance.wait_after(failed).as_secs(), 15);
        }
        assert_eq!(allowance.wait_after(-1), Duration::ZERO);
    }

    // Proves: S81, J6
    #[test]
    fn a_network_is_an_address_of_four_bytes_or_the_half_of_one_of_sixteen() {
        let text = |address: &str| network_of(address.parse().unwrap());
        assert_eq!(text("203.0.113.9"), text("::ffff:203.0.113.9"));
        assert_ne!(text("203.0.113.9"), text("203.0.113.8"));
        assert_eq!(text("2001:db8:1:2::3"), text("2001:db8:1:2:ffff::"));
        assert_ne!(text("2001:db8:1:2::3"), text("2001:db8:1:3::3"));
        let shown = format!("{:?}", Subject::Account("alice"));
        assert_eq!(shown, "account");
    }
}
