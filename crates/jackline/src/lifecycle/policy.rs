//! How long sessions live, how many a user may have, and what a change of surroundings means.
//!
//! There is no way to write a policy without an overall limit (NIST SP 800-63B-4, section 2.2.3; OWASP ASVS 7.3.2): both
//! limits are arguments of [`Policy::builder`], and neither can be zero or endless.

use std::collections::BTreeMap;
use std::time::Duration;

use super::record::Role;

/// How long a session outlives its last use. One second to 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdleLimit(Duration);

/// How long a session lives from its login, however active. One second to 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbsoluteLimit(Duration);

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

macro_rules! limit {
    ($name:ident, $out_of_range:ident) => {
        impl $name {
            /// Takes a limit of one second to 30 days.
            ///
            /// # Errors
            /// If `limit` lies outside that range.
            pub const fn new(limit: Duration) -> Result<Self, PolicyMistake> {
                let millis = limit.as_millis();
                if millis < SHORTEST.as_millis() || millis > LONGEST.as_millis() {
                    return Err(PolicyMistake::$out_of_range);
                }
                // Stores count whole milliseconds.
                Ok(Self(Duration::from_millis(millis as u64)))
            }

            /// The limit as a duration.
            #[must_use]
            pub const fn get(self) -> Duration {
                self.0
            }
        }
    };
}
limit!(IdleLimit, IdleOutOfRange);
limit!(AbsoluteLimit, AbsoluteOutOfRange);

/// How many sessions one user may have, and what happens to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionCap {
    /// The session that logged in longest ago ends to make room.
    PruneOldest(u32),
    /// The login is refused.
    RefuseNewest(u32),
    /// No cap.
    Unlimited,
}

impl SessionCap {
    /// Whether somebody with so many `others` may log in, and how many of these stay: the newest. `None` if the login is refused.
    ///
    /// ```
    /// use jackline::lifecycle::SessionCap;
    ///
    /// assert_eq!(SessionCap::PruneOldest(5).stay(7), Some(4));
    /// assert_eq!(SessionCap::RefuseNewest(5).stay(4), Some(4));
    /// assert_eq!(SessionCap::RefuseNewest(5).stay(5), None);
    /// assert_eq!(SessionCap::Unlimited.stay(7), Some(7));
    /// ```
    #[must_use]
    pub fn stay(self, others: usize) -> Option<usize> {
        match self {
            Self::PruneOldest(cap) => Some(others.min((cap as usize).saturating_sub(1))),
            Self::RefuseNewest(cap) => (others < cap as usize).then_some(others),
            Self::Unlimited => Some(others),
        }
    }
}

/// What follows when a session is used from another browser family or another coarse network than it was granted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding {
    /// An event, and sensitive actions wait for a fresh authentication. Never a block: telephones change networks.
    RequireStepUp,
    /// Nothing.
    Ignore,
}

/// What becomes of a visitor's data when they log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreLoginData {
    /// It is dropped with the old session: whoever planted that session cannot have planted data in the new one.
    Discard,
    /// It moves along, as it is in the store at that moment. For shopping carts; treat it as a stranger's input. What another
    /// owner's session held is dropped all the same.
    Carry,
}

/// The rules that sessions are granted under.
///
/// Without an absolute limit there are none:
///
/// ```compile_fail,E0061
/// use std::time::Duration;
/// use jackline::lifecycle::{IdleLimit, Policy};
///
/// let policy = Policy::builder(IdleLimit::new(Duration::from_secs(900)).unwrap()).build();
/// ```
///
/// Proves: S25, P7
///
/// ```
/// use std::time::Duration;
/// use jackline::lifecycle::{AbsoluteLimit, IdleLimit, Policy, Role, SessionCap};
///
/// let policy = Policy::builder(
///     IdleLimit::new(Duration::from_secs(15 * 60))?,
///     AbsoluteLimit::new(Duration::from_secs(4 * 3600))?,
/// )
/// .role_absolute(Role::admin(), AbsoluteLimit::new(Duration::from_secs(3600))?)
/// .cap(SessionCap::RefuseNewest(3))
/// .build()?;
/// assert_eq!(policy.absolute(Some(&Role::admin())).get(), Duration::from_secs(3600));
/// # Ok::<(), jackline::lifecycle::PolicyMistake>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    // Invariants, kept by `PolicyBuilder::build`: idle ≤ absolute, every role's limit ≤ absolute, step < idle.
    idle: IdleLimit,
    absolute: AbsoluteLimit,
    roles: BTreeMap<Role, AbsoluteLimit>,
    renewal_step: Duration,
    cap: SessionCap,
    binding: Binding,
    step_up_age: Duration,
    pre_login_data: PreLoginData,
}

impl Default for Policy {
    /// Idle 30 minutes, absolute 8 hours, one hour for the role `admin`, renewal every minute, ten sessions per user with
    /// the oldest pruned, step-up on a change of surroundings, five minutes of recency for sensitive actions.
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self::builder(IdleLimit(hour / 2), AbsoluteLimit(hour * 8))
            .role_absolute(Role::admin(), AbsoluteLimit(hour))
            .build()
            .expect("the default policy keeps its own rules")
    }
}

impl Policy {
    /// Starts a policy with its two limits.
    #[must_use]
    pub fn builder(idle: IdleLimit, absolute: AbsoluteLimit) -> PolicyBuilder {
        PolicyBuilder {
            ceilings: Vec::new(),
            policy: Self {
                idle,
                absolute,
                roles: BTreeMap::new(),
                renewal_step: Duration::from_secs(60).min(idle.get() / 2),
                cap: SessionCap::PruneOldest(10),
                binding: Binding::RequireStepUp,
                step_up_age: Duration::from_secs(5 * 60),
                pre_login_data: PreLoginData::Discard,
            },
        }
    }

    /// Authenticator Assurance Level 2 (NIST SP 800-63B-4, section 2.2.3): at most 24 hours overall and one hour idle.
    /// These are the longest that the level allows; shorter is as good.
    #[must_use]
    pub fn aal2() -> Self {
        let hour = Duration::from_secs(3600);
        Self::builder(IdleLimit(hour), AbsoluteLimit(hour * 24))
            .build()
            .expect("the AAL2 preset keeps the policy's own rules")
    }

    /// Authenticator Assurance Level 3 (NIST SP 800-63B-4, section 2.3.3): at most 12 hours overall and 15 minutes idle.
    #[must_use]
    pub fn aal3() -> Self {
        let hour = Duration::from_secs(3600);
        Self::builder(IdleLimit(hour / 4), AbsoluteLimit(hour * 12))
            .build()
            .expect("the AAL3 preset keeps the policy's own rules")
    }

    /// Says whether this policy is at least as strict as `other` in both limits, for every role.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.idle <= other.idle
            && self.absolute <= other.absolute
            && other
                .roles
                .iter()
                .all(|(role, limit)| self.absolute(Some(role)) <= *limit)
    }

    /// The idle limit.
    #[must_use]
    pub fn idle(&self) -> IdleLimit {
        self.idle
    }

    /// The absolute limit for `role`; for a visitor, hand in `None`.
    #[must_use]
    pub fn absolute(&self, role: Option<&Role>) -> AbsoluteLimit {
        role.and_then(|role| self.roles.get(role))
            .copied()
            .unwrap_or(self.absolute)
    }

    /// How much of the idle time must be gone before a use is written down and the cookie is sent again. A use that changes the
    /// session does both at once.
    #[must_use]
    pub fn renewal_step(&self) -> Duration {
        self.renewal_step
    }

    /// The cap per user.
    #[must_use]
    pub fn cap(&self) -> SessionCap {
        self.cap
    }

    /// What a change of surroundings means.
    #[must_use]
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// How long after an authentication sensitive actions are allowed.
    #[must_use]
    pub fn step_up_age(&self) -> Duration {
        self.step_up_age
    }

    /// What becomes of a visitor's data at login.
    #[must_use]
    pub fn pre_login_data(&self) -> PreLoginData {
        self.pre_login_data
    }
}

/// Builds a [`Policy`].
#[derive(Clone, Debug)]
pub struct PolicyBuilder {
    policy: Policy,
    ceilings: Vec<Policy>,
}

impl PolicyBuilder {
    /// A shorter absolute limit for one role. Default: none but what [`Policy::default`] gives to `admin`.
    #[must_use]
    pub fn role_absolute(mut self, role: Role, limit: AbsoluteLimit) -> Self {
        self.policy.roles.insert(role, limit);
        self
    }

    /// How much of the idle time must be gone before a use is written down. Default: one minute, or half of a shorter idle
    /// limit. A session may end up to one step earlier than its last use plus the idle limit; never later.
    #[must_use]
    pub fn renewal_step(mut self, step: Duration) -> Self {
        self.policy.renewal_step = step;
        self
    }

    /// The cap per user. Default: ten, the oldest pruned.
    #[must_use]
    pub fn cap(mut self, cap: SessionCap) -> Self {
        self.policy.cap = cap;
        self
    }

    /// What a change of surroundings means. Default: [`Binding::RequireStepUp`].
    #[must_use]
    pub fn binding(mut self, binding: Binding) -> Self {
        self.policy.binding = binding;
        self
    }

    /// How long after an authentication sensitive actions are allowed. Default: five minutes.
    #[must_use]
    pub fn step_up_age(mut self, age: Duration) -> Self {
        self.policy.step_up_age = age;
        self
    }

    /// What becomes of a visitor's data at login. Default: [`PreLoginData::Discard`].
    #[must_use]
    pub fn pre_login_data(mut self, choice: PreLoginData) -> Self {
        self.policy.pre_login_data = choice;
        self
    }

    /// Refuses whatever is laxer than `ceiling`, such as [`Policy::aal3`], also if it is set later.
    #[must_use]
    pub fn at_most(mut self, ceiling: &Policy) -> Self {
        self.ceilings.push(ceiling.clone());
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// If the parts contradict each other.
    pub fn build(self) -> Result<Policy, PolicyMistake> {
        let policy = self.policy;
        if self
            .ceilings
            .iter()
            .any(|ceiling| !policy.is_within(ceiling))
        {
            return Err(PolicyMistake::LaxerThanCeiling);
        }
        if policy.idle.get() > policy.absolute.get() {
            return Err(PolicyMistake::IdleExceedsAbsolute);
        }
        if policy.roles.values().any(|limit| *limit > policy.absolute) {
            return Err(PolicyMistake::RoleExceedsAbsolute);
        }
        if policy.renewal_step >= policy.idle.get() {
            return Err(PolicyMistake::StepReachesIdle);
        }
        if matches!(
            policy.cap,
            SessionCap::PruneOldest(0) | SessionCap::RefuseNewest(0)
        ) {
            return Err(PolicyMistake::CapOfZero);
        }
        if policy.step_up_age.is_zero() {
            return Err(PolicyMistake::StepUpAgeOfZero);
        }
        Ok(policy)
    }
}

/// Why a policy cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyMistake {
    /// The idle limit is out of range.
    #[error("the idle limit must lie between one second and 30 days")]
    IdleOutOfRange,
    /// The absolute limit is out of range.
    #[error("the absolute limit must lie between one second and 30 days")]
    AbsoluteOutOfRange,
    /// The idle limit is longer than the absolute one, so it would never be reached.
    #[error("the idle limit is longer than the absolute limit; shorten it")]
    IdleExceedsAbsolute,
    /// A role's limit is longer than everybody's.
    #[error("a role's absolute limit is longer than the general one; shorten it")]
    RoleExceedsAbsolute,
    /// With such a step an active session would run out of idle time.
    #[error("the renewal step must be shorter than the idle limit")]
    StepReachesIdle,
    /// Nobody could log in.
    #[error("the cap on sessions per user must be at least one")]
    CapOfZero,
    /// No authentication would ever be recent enough.
    #[error("the step-up age must be longer than zero")]
    StepUpAgeOfZero,
    /// The policy is laxer than the ceiling that it was held against.
    #[error("a limit of the policy is longer than its ceiling allows")]
    LaxerThanCeiling,
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J5
    #[test]
    fn the_renewal_step_is_a_minute_or_half_of_a_short_idle_limit() {
        let step = |idle| {
            let idle = IdleLimit::new(Duration::from_secs(idle)).unwrap();
            let absolute = AbsoluteLimit::new(Duration::from_secs(24 * 3600)).unwrap();
            let policy = Policy::builder(idle, absolute).build().unwrap();
            policy.renewal_step()
        };
        for (idle, expected) in [(10, 5), (119, 59), (120, 60), (1800, 60)] {
            assert_eq!(step(idle).as_secs(), expected, "{idle}");
        }
    }
}
