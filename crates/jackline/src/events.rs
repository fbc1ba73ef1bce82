//! Security events: what a defender counts and alerts on.
//!
//! Each is one `tracing` event with the target [`TARGET`], and carries the name that the Node world uses for it (`event`)
//! beside the name in the OWASP Logging Vocabulary (`owasp`). None ever holds a token, a key, a password or a CSRF token; a
//! session is named by its [`Handle`], and a path comes without its query (J6).
//!
//! A program that acts on events need not read its own log: an [`EventHook`] given to
//! [`EngineBuilder::hook`](crate::engine::EngineBuilder::hook) is told of each of that engine's as it happens.

use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

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
    /// Somebody logged in from a device that their account is not known on.
    NewDevice => "new_device", "authn_login_success", WARN;
    /// So many attempts have failed that the next has to wait; `reason` is `account`, `device` or `network`. Once, when that begins, and
    /// not for each that is refused.
    AccountThrottled => "account_throttled", "authn_login_lock", WARN;
    /// Somebody used an administrator's rights: `reason` says for what, `user_id` who they are and `target` whom it concerns.
    AdminAction => "admin_action", "authz_admin", WARN;
    /// The service has started.
    Startup => "startup", "sys_startup", WARN;
    /// The service stops.
    Shutdown => "shutdown", "sys_shutdown", WARN;
}

/// Is told of security events as they happen: to mail a person that somebody has logged in from a new device, or to page whoever is on
/// duty.
///
/// It is called on the request's own task, before the response leaves and after what the event says is so. It must not block: hand what
/// is to be done to a queue, and drop what does not fit. One that panics is reported to the log and stops nothing else.
///
/// ```
/// use std::sync::mpsc::{SyncSender, sync_channel};
///
/// use jackline::cookie::{Keyring, SigningKey};
/// use jackline::engine::{Engine, Environment};
/// use jackline::events::{EventHook, EventKind, Notice};
/// use jackline::store::memory::MemoryStore;
///
/// /// Tells people that somebody has logged in from a device that they have not used before.
/// #[derive(Debug)]
/// struct Mailer(SyncSender<String>);
///
/// impl EventHook for Mailer {
///     fn notice(&self, event: &Notice<'_>) {
///         if let (EventKind::NewDevice, Some(user)) = (event.kind, event.user_id) {
///             // A queue that is full loses a mail and keeps nobody waiting.
///             let _ = self.0.try_send(user.to_owned());
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mails, to_send) = sync_channel(100);
/// let engine = Engine::builder(MemoryStore::new(), Keyring::new(SigningKey::generate()))
///     .environment(Environment::Development)
///     .hook(Mailer(mails))
///     .build()?;
///
/// engine.event(EventKind::NewDevice).user_id("user-1001").emit();
/// assert_eq!(to_send.try_recv()?, "user-1001");
/// # Ok(()) }
/// ```
pub trait EventHook: fmt::Debug + Send + Sync + 'static {
    /// This has happened. Must not block.
    fn notice(&self, event: &Notice<'_>);
}

impl<H: EventHook + ?Sized> EventHook for Arc<H> {
    fn notice(&self, event: &Notice<'_>) {
        (**self).notice(event);
    }
}

/// A security event, as a hook sees it: what the log says of it, and nothing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice<'a> {
    /// What happened.
    pub kind: EventKind,
    /// Where the request came from.
    pub ip: Option<IpAddr>,
    /// What the client calls itself: at most its first 512 bytes, whatever they are.
    pub user_agent: Option<&'a str>,
    /// Who it concerns, or who did it.
    pub user_id: Option<&'a str>,
    /// Which session it concerns.
    pub session: Option<&'a Handle>,
    /// Why, in a word that can be counted.
    pub reason: Option<&'a str>,
    /// Whom an administrator's action concerns.
    pub target: Option<&'a str>,
    /// The path of the request, without its query.
    pub path: Option<&'a str>,
    /// How many.
    pub count: Option<u64>,
}

/// Who is told, in the order in which they were named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks(Arc<[Arc<dyn EventHook>]>);

impl Hooks {
    pub(crate) fn new(hooks: Vec<Arc<dyn EventHook>>) -> Self {
        Self(hooks.into())
    }

    /// An event that they will be told of.
    pub(crate) fn event(&self, kind: EventKind) -> SecurityEvent<'_> {
        SecurityEvent {
            hooks: &self.0,
            ..SecurityEvent::new(kind)
        }
    }
}

/// A security event under construction. It is sent by [`SecurityEvent::emit`]: to the log, and to an engine's hooks if it is one
/// [of an engine's](crate::engine::Engine::event).
///
/// ```
/// use jackline::events::{EventKind, SecurityEvent};
///
/// SecurityEvent::new(EventKind::PasswordChanged).user_id("user-1001").emit();
/// ```
#[derive(Clone, Debug)]
#[must_use = "an event is sent by `emit`"]
pub struct SecurityEvent<'a> {
    hooks: &'a [Arc<dyn EventHook>],
    kind: EventKind,
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    user_id: Option<&'a str>,
    session: Option<Handle>,
    reason: Option<&'a str>,
    target: Option<&'a str>,
    path: Option<&'a str>,
    count: Option<u64>,
}

impl<'a> SecurityEvent<'a> {
    /// An event of this kind, with nothing else known, for the log alone.
    pub fn new(kind: EventKind) -> Self {
        Self {
            hooks: &[],
            kind,
            ip: None,
            user_agent: None,
            user_id: None,
            session: None,
            reason: None,
            target: None,
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

    /// Whom an administrator's action concerns, who is another than [who did it](SecurityEvent::user_id).
    pub fn target(mut self, user_id: impl Into<Option<&'a str>>) -> Self {
        self.target = user_id.into();
        self
    }

    /// The path of the request, without its query: the first 512 bytes of it, for a stranger may send what they like.
    pub fn path(mut self, path: impl Into<Option<&'a str>>) -> Self {
        let path: Option<&str> = path.into();
        self.path = path.map(|path| &path[..path.floor_char_boundary(512)]);
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
                    target = self.target,
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
        if !self.hooks.is_empty() {
            self.tell();
        }
    }

    fn tell(&self) {
        let notice = Notice {
            kind: self.kind,
            ip: self.ip,
            user_agent: self.user_agent.as_deref(),
            user_id: self.user_id,
            session: self.session.as_ref(),
            reason: self.reason,
            target: self.target,
            path: self.path,
            count: self.count,
        };
        for hook in self.hooks {
            // What the event says is so, whatever a hook makes of it: a login that was stored must not end in a `500`.
            let told = catch_unwind(AssertUnwindSafe(|| hook.notice(&notice)));
            if told.is_err() {
                tracing::error!(event = self.kind.name(), "a hook panicked");
            }
        }
    }
}
