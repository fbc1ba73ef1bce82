//! The one place that says what becomes of a session when somebody uses it.

use std::time::Duration;

use super::policy::Policy;
use super::record::{Clocks, Meta};
use super::time::UnixMs;

/// What becomes of a session that is used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It lives, and nothing needs writing down.
    Keep,
    /// It lives, and this use is to be written down.
    Renew,
    /// It is over.
    End(EndReason),
}

/// Which clock ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was not used for too long.
    Idle,
    /// It has lived as long as any session may.
    Absolute,
}

impl EndReason {
    /// A word for logs: `idle` or `absolute`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Absolute => "absolute",
        }
    }
}

/// Decides what becomes of a session that is used at `now`.
///
/// Both the limits that were granted and those in force today apply, whichever is shorter: a policy made stricter works
/// at once, and one made laxer gives nothing to sessions that are there already (J5).
#[must_use]
pub fn decide(clocks: &Clocks, meta: &Meta, policy: &Policy, now: UnixMs) -> Decision {
    let role = meta.identity.as_ref().map(|identity| &identity.role);
    if clocks.absolute_expired(now) || now >= meta.started.after(policy.absolute(role).get()) {
        return Decision::End(EndReason::Absolute);
    }
    if clocks.idle_expired(now) || now >= clocks.seen.after(policy.idle().get()) {
        return Decision::End(EndReason::Idle);
    }
    if clocks.renewal_due(now, policy.renewal_step()) {
        Decision::Renew
    } else {
        Decision::Keep
    }
}

/// Whether the last authentication is recent enough, at `now`, for an action that asks for one within `age`.
#[must_use]
pub fn step_up_is_fresh(meta: &Meta, age: Duration, now: UnixMs) -> bool {
    !meta.step_up_due && meta.authenticated.is_some_and(|at| now.since(at) < age)
}
