//! The whole life of a session within one request, without a framework: [`Engine::open`] reads the cookies, the handler
//! works with the [`Session`](crate::Session), and [`Engine::finish`] writes what was changed and says what the response must
//! carry. The tower layer is a thin adapter over this; whoever has another framework writes one like it.
//!
//! ```
//! use http::{HeaderMap, Method, StatusCode, Uri};
//! use jackline::cookie::{Keyring, SigningKey};
//! use jackline::engine::{Connection, Engine, Environment, Incoming};
//! use jackline::proxy::Scheme;
//! use jackline::store::memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder(MemoryStore::new(), Keyring::new(SigningKey::generate()))
//!     .environment(Environment::Development)
//!     .build()?;
//!
//! let (method, uri, headers) = (Method::GET, Uri::from_static("/"), HeaderMap::new());
//! let incoming = Incoming {
//!     method: &method,
//!     uri: &uri,
//!     headers: &headers,
//!     connection: Some(Connection { peer: [127, 0, 0, 1].into(), scheme: Scheme::Http }),
//! };
//! let lazy = engine.open(&incoming);
//! let session = lazy.load().await?;
//! session.insert("theme", "dark")?;
//!
//! let mut response_headers = HeaderMap::new();
//! engine.finish(&lazy, StatusCode::OK).await.apply(&mut response_headers);
//! assert!(response_headers.contains_key("set-cookie"));
//! # Ok(()) }
//! ```

mod builder;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

pub use builder::{CsrfDefence, EngineBuilder, Environment, Misconfigured, Mistake};

use crate::cookie::{CookieSpec, Keyring};
use crate::csrf::{CsrfRejection, ExpectedOrigin};
use crate::events::{EventKind, SecurityEvent};
use crate::lifecycle::{OwnerId, Policy};
use crate::proxy::{Client, Scheme, TrustedProxies};
use crate::session::{
    Context, CookieChange, Cookies, LazySession, Outcome, RequestInfo, SessionError, SessionInfo,
};
use crate::store::{Cursor, Store};
use crate::token::Handle;

/// The header that carries a CSRF token.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// The form field that carries a CSRF token, for pages without scripts.
pub const CSRF_FIELD: &str = "csrf_token";

static CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Opens and finishes sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Arc<Context>,
    csrf: CsrfDefence,
    proxies: TrustedProxies,
}

/// The connection that a request came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The other end.
    pub peer: IpAddr,
    /// Whether the connection itself is encrypted.
    pub scheme: Scheme,
}

/// The head of a request.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its target.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// How it got here; `None` if that is not known, which counts as unencrypted and from nowhere.
    pub connection: Option<Connection>,
}

impl fmt::Debug for Incoming<'_> {
    /// Names the headers without their values, among which are the cookie and the CSRF token, and the path without its query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not `keys()` itself, whose own `Debug` shows the values too.
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Incoming")
            .field("method", self.method)
            .field("path", &self.uri.path())
            .field("headers", &names)
            .field("connection", &self.connection)
            .finish()
    }
}

/// How a request stands with the CSRF defence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CsrfCheck {
    /// It may go on.
    Passed,
    /// It may go on if the form in its body has the session's CSRF token in the field [`CSRF_FIELD`]: see
    /// [`Engine::check_csrf_form`].
    AskForm,
}

impl Engine {
    /// Starts an engine with the two things that nobody can choose for you. Everything else begins at its strictest: production,
    /// `__Host-sid`, both layers of CSRF defence, no trusted proxies.
    #[must_use]
    pub fn builder(store: impl Store, keys: Keyring) -> EngineBuilder {
        EngineBuilder::new(Arc::new(store), keys)
    }

    /// As [`Engine::builder`], with a store that is shared or chosen at run time.
    #[must_use]
    pub fn builder_with(store: Arc<dyn Store>, keys: Keyring) -> EngineBuilder {
        EngineBuilder::new(store, keys)
    }

    /// Takes a request's cookies. They are read, and the store is asked, when somebody wants to know: that is left to
    /// [`LazySession::load`]. A request whose session nobody looks at costs next to nothing.
    #[must_use]
    pub fn open(&self, incoming: &Incoming<'_>) -> LazySession {
        let sender = incoming.connection.map(|Connection { peer, scheme }| {
            self.0
                .proxies
                .resolve_address(peer, scheme, incoming.headers)
        });
        let request = RequestInfo {
            ip: sender.map(|(ip, _)| ip),
            user_agent: incoming.headers.get(http::header::USER_AGENT).cloned(),
            uri: incoming.uri.clone(),
        };
        let encrypted = sender.is_some_and(|(_, scheme)| scheme.is_secure());
        let cookies = Cookies::new(incoming.headers, encrypted);
        LazySession::new(Arc::clone(&self.0.context), request, cookies)
    }

    /// Holds a request against the CSRF defence: where it comes from, and then the session's token. Neither asks the store.
    ///
    /// # Errors
    /// [`SessionError::CrossSite`] or [`SessionError::NoSessionToProtect`], with the reason in an event;
    /// [`SessionError::InsecureTransport`].
    pub fn check_csrf(
        &self,
        incoming: &Incoming<'_>,
        session: &LazySession,
    ) -> Result<CsrfCheck, SessionError> {
        let csrf = &self.0.csrf;
        if matches!(
            *incoming.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
        ) {
            return Ok(CsrfCheck::Passed);
        }
        let expected = self.expected_origin(incoming);
        let refuse = |rejection: CsrfRejection| {
            session
                .shared()
                .event(EventKind::CsrfFailure)
                .reason(rejection.reason())
                .emit();
            SessionError::CrossSite
        };
        csrf.policy
            .check_provenance(incoming.method, incoming.headers, expected.as_ref())
            .map_err(refuse)?;
        if csrf.is_exempt(incoming.method, incoming.uri.path()) {
            return Ok(CsrfCheck::Passed);
        }
        // Whatever it carries cannot be believed, and "Invalid CSRF token" would send its developer searching in the wrong place.
        if session.came_unencrypted() {
            return Err(SessionError::InsecureTransport);
        }
        match incoming.headers.get(CSRF_HEADER) {
            Some(presented) if session.csrf_matches(presented.as_bytes()) => Ok(CsrfCheck::Passed),
            Some(_) => Err(refuse(CsrfRejection::InvalidToken)),
            // Without a session there is no token that could be right, so a stranger's form is not read.
            None if is_form(incoming.headers) && session.token().is_some() => {
                Ok(CsrfCheck::AskForm)
            }
            None => {
                let error = refuse(CsrfRejection::MissingToken);
                Err(match session.token() {
                    Some(_) => error,
                    None => SessionError::NoSessionToProtect,
                })
            }
        }
    }

    /// Looks for the CSRF token in the body of a form.
    ///
    /// # Errors
    /// [`SessionError::CrossSite`] if it is not there, there twice, or wrong.
    pub fn check_csrf_form(&self, body: &[u8], session: &LazySession) -> Result<(), SessionError> {
        let mut fields = form_urlencoded::parse(body).filter(|(name, _)| name == CSRF_FIELD);
        let rejection = match (fields.next(), fields.next()) {
            (Some((_, presented)), None) if session.csrf_matches(presented.as_bytes()) => {
                return Ok(());
            }
            (None, _) => CsrfRejection::MissingToken,
            _ => CsrfRejection::InvalidToken,
        };
        session
            .shared()
            .event(EventKind::CsrfFailure)
            .reason(rejection.reason())
            .emit();
        Err(SessionError::CrossSite)
    }

    /// Writes what the request changed, and says what its response must carry. `status` is the handler's: after a `5xx`
    /// nothing is written.
    pub async fn finish(&self, session: &LazySession, status: StatusCode) -> ResponseChanges {
        self.changes(session, session.finish(status).await)
    }

    /// As [`Engine::finish`], if there is nothing to write: what nearly every request comes to, and then nobody has to wait. `None`
    /// if there is something; then [`Engine::finish`] must be called.
    #[must_use]
    pub fn finish_at_once(&self, session: &LazySession) -> Option<ResponseChanges> {
        session
            .finish_at_once()
            .map(|outcome| self.changes(session, outcome))
    }

    fn changes(&self, session: &LazySession, outcome: Outcome) -> ResponseChanges {
        let cookies = &self.0.context.cookies;
        let presented = || cookies.spec_for(session.token());
        let (set_cookie, remove_cookie) = match outcome.cookie {
            CookieChange::Keep => (None, None),
            CookieChange::Set(token, max_age) => {
                let cookie = cookies.spec_for(Some(&token));
                let value = session.shared().cookie_value(&token);
                // If the session leaves Express's cookie for ours, that one goes.
                let left = Some(presented()).filter(|presented| *presented != cookie);
                (
                    Some(cookie.set(&value, max_age)),
                    left.map(CookieSpec::remove),
                )
            }
            CookieChange::Remove => (None, Some(presented().remove())),
        };
        ResponseChanges {
            set_cookie,
            remove_cookie,
            instead: outcome.instead,
            varies: outcome.varies,
            private: outcome.private,
            secret: outcome.secret,
            logged_out: outcome.logged_out,
        }
    }

    /// An event of which the engine's hooks are told, for what happens outside a session. About one there is
    /// [`Session::report`](crate::Session::report).
    pub fn event(&self, kind: EventKind) -> SecurityEvent<'_> {
        self.0.context.hooks.event(kind)
    }

    /// One page of an owner's sessions, newest login first, and where the next begins. For administrators.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`].
    pub async fn sessions_of(
        &self,
        owner: &OwnerId,
        after: Option<Cursor>,
    ) -> Result<(Vec<SessionInfo>, Option<Cursor>), SessionError> {
        self.0.context.sessions_of(owner, after, None).await
    }

    /// Ends one session of an owner. Says whether there was one of this name. For administrators.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`].
    pub async fn end_session(
        &self,
        owner: &OwnerId,
        handle: &Handle,
    ) -> Result<bool, SessionError> {
        let ended = self.0.context.end_by_handle(owner, handle).await?;
        if ended {
            self.event(EventKind::SessionsRevoked)
                .user_id(owner.as_str())
                .session(handle.clone())
                .reason("ended_by_administrator")
                .count(1)
                .emit();
        }
        Ok(ended)
    }

    /// Ends all sessions of an owner, and refuses logins of theirs that are under way: call it when a user is disabled or
    /// deleted, *after* that is on record (OWASP ASVS 7.4.2). Returns how many sessions ended.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`]; then try again until it succeeds.
    pub async fn end_all(&self, owner: &OwnerId, reason: &str) -> Result<u64, SessionError> {
        let context = &self.0.context;
        let now = context.clock.now();
        let count = context.store.end_all(owner, None, now).await?;
        self.event(EventKind::SessionsRevoked)
            .user_id(owner.as_str())
            .reason(reason)
            .count(count)
            .emit();
        Ok(count)
    }

    /// Reclaims up to `limit` records that have run out, and says how many. Call it now and then; a store that reclaims by
    /// itself has nothing to do.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`].
    pub async fn reclaim(&self, limit: u32) -> Result<u64, SessionError> {
        let context = &self.0.context;
        context.store.reclaim(limit, context.clock.now()).await
    }

    /// Says whether the store is there and takes writes.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`].
    pub async fn ready(&self) -> Result<(), SessionError> {
        self.0.context.store.ping().await
    }

    /// The rules that sessions are granted under.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0.context.policy
    }

    /// The store's name.
    #[must_use]
    pub fn store_name(&self) -> &'static str {
        self.0.context.store.name()
    }

    /// Who sent a request, as far as it can be believed.
    #[must_use]
    pub fn client(&self, incoming: &Incoming<'_>) -> Option<Client> {
        incoming.connection.map(|connection| {
            self.0.proxies.resolve_request(
                connection.peer,
                connection.scheme,
                incoming.uri,
                incoming.headers,
            )
        })
    }

    /// The origin under which the sender of a request knows this server, as the CSRF defence expects it: what the request says, and a trusted
    /// proxy if there is one. `None` if it does not say for which host it is.
    #[must_use]
    pub fn expected_origin(&self, incoming: &Incoming<'_>) -> Option<ExpectedOrigin> {
        match self.client(incoming) {
            Some(client) => ExpectedOrigin::of(&client),
            None => {
                let host = incoming.headers.get(http::header::HOST)?.to_str().ok()?;
                ExpectedOrigin::new(Scheme::Http, host).ok()
            }
        }
    }
}

/// Whether these headers announce a form as pages send it, `application/x-www-form-urlencoded`: the one kind in which the CSRF token is
/// looked for.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// What a response must carry.
#[derive(Debug, Default)]
#[must_use]
pub struct ResponseChanges {
    set_cookie: Option<HeaderValue>,
    remove_cookie: Option<HeaderValue>,
    instead: Option<SessionError>,
    varies: bool,
    private: bool,
    secret: bool,
    logged_out: bool,
}

impl ResponseChanges {
    /// What is to be answered instead of the handler's response, if what that response claims did not come true.
    #[must_use]
    pub fn instead(&self) -> Option<&SessionError> {
        self.instead.as_ref()
    }

    pub(crate) fn take_instead(&mut self) -> Option<SessionError> {
        self.instead.take()
    }

    /// Adds the headers to those of the response that will be sent.
    ///
    /// * `Set-Cookie`, if the browser's cookie changes.
    /// * `Cache-Control: no-store` with any `Set-Cookie` or CSRF token and with everything that is for its owner's eyes, unless
    ///   in the latter case the handler has said something itself (OWASP ASVS 14.3.2).
    /// * `Vary: Cookie` if the session was looked at.
    /// * `Clear-Site-Data: "cache", "storage"` at logout (OWASP ASVS 14.3.1). Not `"cookies"`: that would take those of other
    ///   applications on the same registrable domain along.
    pub fn apply(self, headers: &mut HeaderMap) {
        const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
        let unspoken = || !headers.contains_key(CACHE_CONTROL);
        let changes_cookie = self.set_cookie.is_some() || self.remove_cookie.is_some();
        if changes_cookie || self.secret || (self.private && unspoken()) {
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
        for cookie in [self.set_cookie, self.remove_cookie].into_iter().flatten() {
            headers.append(SET_COOKIE, cookie);
        }
        if self.varies {
            headers.append(VARY, HeaderValue::from_static("cookie"));
        }
        if self.logged_out {
            headers.insert(
                &CLEAR_SITE_DATA,
                HeaderValue::from_static("\"cache\", \"storage\""),
            );
        }
    }
}
