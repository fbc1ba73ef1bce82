//! Building an engine. Nothing that browsers or attackers punish gets past [`EngineBuilder::build`], and everything that is
//! wrong is said in one message (J11).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::{Engine, Inner};
use crate::clock::{Clock, SystemClock};
use crate::cookie::{CookieForm, CookieSpec, Keyring, SessionCookies};
use crate::csrf::{CsrfKeys, CsrfPolicy, TrustedOrigin};
use crate::events::{EventHook, Hooks};
use crate::lifecycle::{Delta, Policy};
use crate::proxy::TrustedProxies;
use crate::session::{Context, TimedStore};
use crate::store::{Durability, Store};

/// Where a service runs, which says what may be lax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// For people. Nothing is lax.
    Production,
    /// On a developer's machine: plain HTTP, a cookie without Secure, and sessions in memory are allowed.
    Development,
}

/// The CSRF defence. By default every unsafe request must come from this site and carry the session's token.
#[derive(Clone, Debug, Default)]
pub struct CsrfDefence {
    pub(super) policy: CsrfPolicy,
    exempt: Vec<(Method, String)>,
}

impl CsrfDefence {
    /// Nothing is exempt, and nobody else is trusted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts unsafe requests from another origin. They need the session's token all the same.
    #[must_use]
    pub fn trust(mut self, origin: TrustedOrigin) -> Self {
        self.policy.trusted_origins.push(origin);
        self
    }

    /// Does not ask for the session's token where `method` and the whole path match: for a login, which has no session yet.
    /// Where the request comes from is checked all the same.
    #[must_use]
    pub fn exempt_from_token(mut self, method: Method, path: impl Into<String>) -> Self {
        self.exempt.push((method, path.into()));
        self
    }

    pub(super) fn is_exempt(&self, method: &Method, path: &str) -> bool {
        self.exempt.iter().any(|(m, p)| m == method && p == path)
    }
}

/// Builds an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    store: Arc<dyn Store>,
    keys: Keyring,
    environment: Environment,
    policy: Policy,
    cookie: Option<CookieSpec>,
    form: CookieForm,
    express_cookie: Option<CookieSpec>,
    csrf: CsrfDefence,
    proxies: TrustedProxies,
    clock: Arc<dyn Clock>,
    store_timeout: Duration,
    max_data_bytes: usize,
    hooks: Vec<Arc<dyn EventHook>>,
}

impl EngineBuilder {
    pub(super) fn new(store: Arc<dyn Store>, keys: Keyring) -> Self {
        Self {
            store,
            keys,
            environment: Environment::Production,
            policy: Policy::default(),
            cookie: None,
            form: CookieForm::Native,
            express_cookie: None,
            csrf: CsrfDefence::new(),
            proxies: TrustedProxies::none(),
            clock: Arc::new(SystemClock),
            store_timeout: Duration::from_millis(500),
            max_data_bytes: Delta::DEFAULT_MAX_DATA_BYTES,
            hooks: Vec::new(),
        }
    }

    /// Where the service runs. Default: [`Environment::Production`].
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// How long sessions live, and the like. Default: [`Policy::default`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The cookie. Default: [`CookieSpec::production`], or [`CookieSpec::development`] in development; with
    /// [`CookieForm::Express`] its name is `connect.sid` in either.
    #[must_use]
    pub fn cookie(mut self, cookie: CookieSpec) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// What a cookie's value is made of. Default: [`CookieForm::Native`]. With [`CookieForm::Express`] sessions are shared with
    /// an Express application; the store is to be an `ExpressStore` then, and the keys are the texts of Express's secrets.
    #[must_use]
    pub fn cookie_form(mut self, form: CookieForm) -> Self {
        self.form = form;
        self
    }

    /// The cookie that sessions still come with that were shared with Express and have been
    /// [re-keyed](crate::store::redis::express::ExpressStore::rekey). It is read where there is none of ours, and renewed as long as its
    /// session keeps its token; a login, a rotation or a logout removes it. Default: none. Take it away when the last of those
    /// sessions has reached its absolute limit.
    #[must_use]
    pub fn accept_express_cookie(mut self, cookie: CookieSpec) -> Self {
        self.express_cookie = Some(cookie);
        self
    }

    /// The CSRF defence. Default: both layers, nothing exempt.
    #[must_use]
    pub fn csrf(mut self, csrf: CsrfDefence) -> Self {
        self.csrf = csrf;
        self
    }

    /// The proxies whose forwarded headers count. Default: none. In production, behind a proxy that ends TLS, list it: without,
    /// every request looks unencrypted, and no session is granted (D4).
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Where time comes from. Default: the operating system.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long the store may take for one call. Default: 500 ms; at most 30 s.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// The most that the JSON text of one session's data may measure, in bytes. Default: 256 KiB.
    #[must_use]
    pub fn max_data_bytes(mut self, bytes: usize) -> Self {
        self.max_data_bytes = bytes;
        self
    }

    /// Who is told of security events as they happen. Default: nobody. Called again, it adds another, who is told after the first.
    #[must_use]
    pub fn hook(mut self, hook: impl EventHook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// With everything that is wrong, not just the first.
    pub fn build(self) -> Result<Engine, Misconfigured> {
        let cookie = self
            .cookie
            .unwrap_or_else(|| match (self.form, self.environment) {
                (CookieForm::Express, environment) => {
                    CookieSpec::express(environment == Environment::Production)
                }
                (CookieForm::Native, Environment::Production) => CookieSpec::production(),
                (CookieForm::Native, Environment::Development) => CookieSpec::development(),
            });
        let mut mistakes = Vec::new();
        if self.environment == Environment::Production {
            if self.store.durability() == Durability::Process {
                mistakes.push(Mistake::MemoryStoreInProduction);
            }
            let mut cookies = [Some(&cookie), self.express_cookie.as_ref()].into_iter();
            if !cookies.all(|cookie| cookie.is_none_or(CookieSpec::is_secure)) {
                mistakes.push(Mistake::PlainHttpCookieInProduction);
            }
        }
        if let Some(express) = &self.express_cookie
            && (self.form == CookieForm::Express || express.name() == cookie.name())
        {
            mistakes.push(Mistake::TwoCookiesInOne);
        }
        if self.store_timeout.is_zero() || self.store_timeout > Duration::from_secs(30) {
            mistakes.push(Mistake::StoreTimeoutOutOfRange);
        }
        if self.max_data_bytes < 2 {
            mistakes.push(Mistake::NoRoomForData);
        }
        if !mistakes.is_empty() {
            return Err(Misconfigured(mistakes));
        }
        let csrf_keys = CsrfKeys::derive(&self.keys.expose())
            .expect("a keyring is never empty, and neither is a signing key");
        let hooks = Hooks::new(self.hooks);
        Ok(Engine(Arc::new(Inner {
            context: Arc::new(Context {
                store: TimedStore::new(self.store, self.store_timeout, hooks.clone()),
                hooks,
                policy: self.policy,
                clock: self.clock,
                keys: self.keys,
                csrf_keys,
                max_data_bytes: self.max_data_bytes,
                cookies: SessionCookies {
                    spec: cookie,
                    form: self.form,
                    express: self.express_cookie,
                },
            }),
            csrf: self.csrf,
            proxies: self.proxies,
        })))
    }
}

/// What is wrong with an engine's settings, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// Sessions in memory are lost with every restart and shared by no two instances.
    #[error("the memory store is not for production: use SQLite, Redis or another durable store")]
    MemoryStoreInProduction,
    /// Everybody on the way could read the cookie.
    #[error(
        "a session cookie without Secure is not for production: use HTTPS and `CookieSpec::production()`"
    )]
    PlainHttpCookieInProduction,
    /// It could not be told which of the two is meant.
    #[error(
        "the cookie of sessions that were shared with Express needs a name of its own, and sessions that are still shared need none"
    )]
    TwoCookiesInOne,
    /// Nothing could be answered in no time, and nobody waits half a minute.
    #[error("the store's time-out must lie between one millisecond and 30 seconds")]
    StoreTimeoutOutOfRange,
    /// Even an empty map takes two bytes.
    #[error("the limit for a session's data must be at least two bytes")]
    NoRoomForData,
}

/// Everything that is wrong with an engine's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misconfigured(pub Vec<Mistake>);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Misconfigured {}
