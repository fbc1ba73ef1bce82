//! Security events: what a defender counts and alerts on.
//!
//! Each is one `tracing` event with the target [`TARGET`], and carries the name that the Node world uses for it (`event`)
//! beside the name in the OWASP Logging Vocabulary (`owasp`). None ever holds a token, a key, a password or a CSRF token; a
//! session is named by its [`Handle`], and a path comes without its query (J6).

use std::net::IpAddr;

use http::HeaderValue;
use tracing::Level;

use crate::token::Handle;

/// The `tracing` target of all security events.
pub const TARGET: &str = "jackline::security";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $name:literal, $owasp:literal, $level:ident;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventKind { $($(#[$doc])* $kind,)* }

        impl EventKind {
            /// Every kind, for those who make a counter of each.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The name in the log: `login_success`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The name in the OWASP Logging Vocabulary: `authn_login_success`.
            #[must_use]
            pub const fn owasp(self) -> &'static str {
                match self { $(Self::$kind => $owasp,)* }
            }

            /// How grave it is: `ERROR` stands for the vocabulary's CRITICAL.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$kind => Level::$level,)* }
            }
        }
    };
}

kinds! {
    /// A session was stored for a visitor or a login.
    SessionCreated => "session_created", "session_created", INFO;
    /// A use was written down, and the cookie sent again.
    SessionRenewed => "session_renewed", "session_renewed", INFO;
    /// A session got a new token: at login, at step-up, or when asked to.
    SessionRegenerated => "session_regenerated", "authn_token_created", INFO;
    /// A cookie was not accepted: `reason` is `malformed`, `oversize`, `forged`, `ambiguous`, `unknown` or
    /// `plaintext_transport`.
    SessionRejected => "session_rejected", "malicious_direct_reference", WARN;
    /// The idle limit ended a session.
    IdleTimeout => "idle_timeout", "session_expired", INFO;
    /// The absolute limit ended a session.
    AbsoluteTimeout => "absolute_timeout", "session_expired", INFO;
    /// Somebody used a session after its end.
    UseAfterExpire => "session_use_after_expire", "session_use_after_expire", ERROR;
    /// Somebody logged in.
    LoginSuccess => "login_success", "authn_login_success", INFO;
    /// Somebody failed to.
    LoginFailure => "login_failure", "authn_login_fail", WARN;
    /// A login was under way while everything of its owner's was revoked, and was refused.
    LoginRevoked => "login_revoked", "authn_token_revoked", WARN;
    /// Somebody logged out.
    Logout => "logout", "session_expired", INFO;
    /// Somebody proved again who they are.
    StepUpSuccess => "reauth_success", "authn_login_success", INFO;
    /// Somebody failed to.
    StepUpFailure => "reauth_failure", "authn_login_fail", WARN;
    /// A sensitive action waited for a fresh authentication.
    StepUpRequired => "reauth_required", "authz_fail", INFO;
    /// The first factor of a login was right, and the session waits for the second.
    SecondFactorRequired => "second_factor_required", "authn_token_created", INFO;
    /// Somebody's second factors changed: `reason` says how.
    SecondFactorChanged => "second_factor_changed", "user_updated", WARN;
    /// A session moved to another browser family or network.
    BindingChanged => "session_binding_changed", "authn_impossible_travel", WARN;
    /// The cap per user ended the oldest session, or refused the newest.
    SessionCapReached => "session_cap_reached", "excess_sessions_exceeded", WARN;
    /// Sessions were ended from outside: by their owner elsewhere, by an administrator, or by a change of password.
    SessionsRevoked => "sessions_revoked", "authn_token_revoked", WARN;
    /// A request failed one of the two layers of CSRF defence.
    CsrfFailure => "csrf_failure", "malicious_csrf", WARN;
    /// The session store stopped answering.
    StoreUnavailable => "store_unavailable", "sys_monitor_disabled", ERROR;
    /// The session store takes writes again.
    StoreRecovered => "store_recovered", "sys_monitor_enabled", INFO;
    /// The store holds a record that cannot be read.
    StoreCorrupt => "store_corrupt", "sys_crash", ERROR;
    /// A password was changed.
    PasswordChanged => "password_changed", "authn_password_change", INFO;
    /// Work is refused until some of what is under way is done.
    RateLimited => "rate_limited", "excess_rate_limit_exceeded", WARN;
    /// The service has started.
    Startup => "startup", "sys_startup", WARN;
    /// The service stops.
    Shutdown => "shutdown", "sys_shutdown", WARN;
}

/// A security event under construction. It is sent by [`SecurityEvent::emit`].
///
/// ```
/// use jackline::events::{EventKind, SecurityEvent};
///
/// SecurityEvent::new(EventKind::PasswordChanged).user_id("user-1001").emit();
/// ```
#[derive(Clone, Debug)]
#[must_use = "an event is sent by `emit`"]
pub struct SecurityEvent<'a> {
    kind: EventKind,
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    user_id: Option<&'a str>,
    session: Option<Handle>,
    reason: Option<&'a str>,
    path: Option<&'a str>,
    count: Option<u64>,
}

impl<'a> SecurityEvent<'a> {
    /// An event of this kind, with nothing else known.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            ip: None,
            user_agent: None,
            user_id: None,
            session: None,
            reason: None,
            path: None,
            count: None,
        }
    }

    /// Where the request came from.
    pub fn ip(mut self, ip: Option<IpAddr>) -> Self {
        self.ip = ip;
        self
    }

    /// What the client calls itself: the first 512 bytes of it, whatever they are.
    pub fn user_agent(mut self, user_agent: Option<&HeaderValue>) -> Self {
        self.user_agent = user_agent.map(|value| {
            let bytes = value.as_bytes();
            String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).into_owned()
        });
        self
    }

    /// Who it concerns.
    pub fn user_id(mut self, user_id: impl Into<Option<&'a str>>) -> Self {
        self.user_id = user_id.into();
        self
    }

    /// Which session it concerns.
    pub fn session(mut self, session: impl Into<Option<Handle>>) -> Self {
        self.session = session.into();
        self
    }

    /// Why, in a word that can be counted.
    pub fn reason(mut self, reason: impl Into<Option<&'a str>>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The path of the request, without its query.
    pub fn path(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.path = path.into();
        self
    }

    /// How many.
    pub fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Sends it.
    pub fn emit(self) {
        // `tracing` wants the level of an event at compile time.
        macro_rules! send {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    event = self.kind.name(),
                    owasp = self.kind.owasp(),
                    user_id = self.user_id,
                    ip = self.ip.map(tracing::field::display),
                    user_agent = self.user_agent.as_deref(),
                    session = self.session.as_ref().map(Handle::as_str),
                    reason = self.reason,
                    path = self.path,
                    count = self.count,
                )
            };
        }
        match self.kind.level() {
            Level::ERROR => send!(Level::ERROR),
            Level::WARN => send!(Level::WARN),
            _ => send!(Level::INFO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let mut names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventKind::ALL.len());
    }
}
