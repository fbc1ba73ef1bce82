//! The session as a handler holds it.
//!
//! Reading and changing data is immediate and local; what a request changes is written once, when its response is ready
//! and before it leaves. Logging in, stepping up, rotating and logging out are *staged* in the same way: a handler that
//! fails with a `5xx` or panics has done none of it (J8). Only [`Session::increment`] and the calls that end other sessions go
//! to the store at once, since their answers are wanted at once.
//!
//! Identity and role come from [`Session::log_in`] alone, and it always makes a new token (J1).

mod attempts;
mod context;
mod error;
mod finish;
mod held;
mod login;
mod others;
mod presented;
mod state;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;

pub use attempts::{Allowance, Attempt, Subject};
pub use error::{Refusal, SessionError};
pub use login::LoginAttempt;
pub use others::SessionInfo;

pub(crate) use context::{Context, TimedStore};
pub(crate) use finish::{CookieChange, Outcome};
pub(crate) use presented::Cookies;

use crate::csrf::CsrfToken;
use crate::events::{EventKind, Hooks, SecurityEvent};
use crate::lifecycle::{
    Decision, Delta, EndReason, Identity, Meta, OwnerId, Record, Role, UnixMs, decide,
    step_up_is_fresh,
};
use crate::origin::Origin;
use crate::store::{Committed, Ended, Epoch, Loaded, NO_RENEWAL, Trace};
use crate::token::{Handle, SessionKey, SessionToken};
use held::{Held, Locked};
use presented::Presented;
use state::{Phase, Sighting, Staged, State};

/// A session that nobody has looked at yet. It stands in every request's extensions and costs the store nothing.
#[derive(Clone)]
pub struct LazySession(Arc<Shared>);

/// A session that has been looked at.
///
/// Clones share one session.
///
/// ```
/// # async fn example(session: jackline::Session) -> Result<(), jackline::SessionError> {
/// session.insert("theme", "dark")?;
/// let theme: Option<String> = session.get("theme")?;
/// assert_eq!(theme.as_deref(), Some("dark"));
/// let visits = session.increment("visits", 1).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Shared>);

/// What one request's handles share.
pub(crate) struct Shared {
    pub(crate) context: Arc<Context>,
    pub(crate) request: RequestInfo,
    cookies: Cookies,
    /// Where the session lies, if that is not where its token says.
    moved: OnceLock<Box<SessionKey>>,
    /// When the request came.
    arrived: UnixMs,
    state: Held,
    /// Held while the session is loaded, so that it is loaded once however many ask.
    loading: tokio::sync::Mutex<()>,
}

/// What a session's events and its binding need to know of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestInfo {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) uri: Uri,
}

impl RequestInfo {
    pub(crate) fn origin(&self) -> Origin {
        let user_agent = self
            .user_agent
            .as_ref()
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        Origin {
            agent: crate::origin::AgentFamily::from_user_agent(user_agent),
            network: self.ip.map(crate::origin::CoarseNetwork::of),
        }
    }

    /// An event about this request, of which the engine's hooks are told.
    pub(crate) fn event<'a>(&'a self, hooks: &'a Hooks, kind: EventKind) -> SecurityEvent<'a> {
        hooks
            .event(kind)
            .ip(self.ip)
            .user_agent(self.user_agent.as_ref())
            .path(self.uri.path())
    }
}

/// What a look at the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// A sign of its owner.
    Use,
    /// Nothing of theirs.
    Quiet,
}

impl LazySession {
    pub(crate) fn new(context: Arc<Context>, request: RequestInfo, cookies: Cookies) -> Self {
        Self(Arc::new(Shared {
            arrived: context.clock.now(),
            context,
            request,
            cookies,
            moved: OnceLock::new(),
            state: Held::default(),
            loading: tokio::sync::Mutex::new(()),
        }))
    }

    /// Looks the session up, unless somebody has. One round trip to the store, none for a visitor without a cookie.
    ///
    /// Once the response is on its way there is nothing to see any more, and every change is [`SessionError::TooLate`].
    ///
    /// A session that is past its limits is ended here and handed out as a new, empty one, so that its owner can log in
    /// again at once; [`Session::refuse_expired`] and [`Session::require_identity`] tell it apart.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`] if the store did not answer in time. The session is then neither there nor gone, and the
    /// response must be a `503`.
    pub async fn load(&self) -> Result<Session, SessionError> {
        Ok(self.load_asking(None, Look::Use).await?.0)
    }

    /// As [`load`](Self::load), but no use of the session: its idle limit goes on running out. For what an open page asks for by itself,
    /// which is no sign that anybody sits before it. If the session has been looked up before, that was a use.
    ///
    /// # Errors
    /// As there.
    pub async fn load_quietly(&self) -> Result<Session, SessionError> {
        Ok(self.load_asking(None, Look::Quiet).await?.0)
    }

    /// The public name of the session that this request came with, if somebody has looked it up and it is somebody's. Asks no store.
    #[must_use]
    pub fn signed_in(&self) -> Option<Handle> {
        let state = self.0.lock();
        let came_with = state.came_with.as_ref()?;
        came_with.owner().map(|_| came_with.key.handle())
    }

    /// As [`load`](Self::load). If that is for a login of `owner`, the store is asked for their epoch as well, if it is asked at all.
    async fn load_asking(
        &self,
        owner: Option<&OwnerId>,
        look: Look,
    ) -> Result<(Session, Option<Epoch>), SessionError> {
        let shared = &self.0;
        let _only_one = shared.loading.lock().await;
        match shared.state.phase() {
            Phase::Unloaded => match shared.look_up(owner, look).await {
                Ok(epoch) => Ok((Session(Arc::clone(shared)), epoch)),
                Err(error) => {
                    shared.lock().phase = Phase::Failed;
                    Err(error)
                }
            },
            Phase::Failed => Err(SessionError::Unavailable),
            Phase::Loaded | Phase::Finished => Ok((Session(Arc::clone(shared)), None)),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The token that the request came with, if there was one to be believed.
    pub(crate) fn token(&self) -> Option<&SessionToken> {
        match self.0.presented() {
            Presented::Token { token, .. } => Some(token),
            Presented::Nothing | Presented::InsecureTransport => None,
        }
    }

    /// Whether the request came over a connection that the cookie must not travel on.
    pub(crate) fn came_unencrypted(&self) -> bool {
        matches!(self.0.presented(), Presented::InsecureTransport)
    }

    /// Whether `presented` is this session's CSRF token. No store call: the token follows from the cookie.
    pub(crate) fn csrf_matches(&self, presented: &[u8]) -> bool {
        match self.0.presented() {
            Presented::Token { token, .. } => self
                .0
                .context
                .csrf_keys
                .verify(token.expose_bytes(), presented),
            Presented::Nothing | Presented::InsecureTransport => false,
        }
    }
}

impl Session {
    /// The value of `name`.
    ///
    /// # Errors
    /// [`SessionError::Decode`] if it is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        self.0
            .lock()
            .record
            .data
            .get(name)
            .map_err(SessionError::Decode)
    }

    /// All of the session's data as JSON text.
    #[must_use]
    pub fn data_json(&self) -> String {
        self.0.lock().record.data.to_json()
    }

    /// Sets `name`. A visitor's session is stored, and the cookie sent, only once something was set.
    ///
    /// # Errors
    /// [`SessionError::Encode`] if `value` has no JSON form; [`SessionError::InsecureTransport`],
    /// [`SessionError::Ended`] after [`Session::log_out`], or [`SessionError::TooLate`].
    pub fn insert<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), SessionError> {
        let value = to_raw_value(value).map_err(SessionError::Encode)?;
        self.0.writable()?.set(name, value);
        Ok(())
    }

    /// Removes `name`. Says whether it was there.
    ///
    /// # Errors
    /// As [`Session::insert`], but for `Encode`.
    pub fn remove(&self, name: &str) -> Result<bool, SessionError> {
        Ok(self.0.writable()?.remove(name))
    }

    /// Removes all of these members, in one pass however many they are.
    ///
    /// # Errors
    /// As [`Session::remove`].
    pub fn remove_all<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), SessionError> {
        let names = names.into_iter().collect();
        self.0.writable()?.remove_all(&names);
        Ok(())
    }

    /// Removes all data. Who is logged in does not change.
    ///
    /// # Errors
    /// As [`Session::remove`].
    pub fn clear(&self) -> Result<(), SessionError> {
        self.0.writable()?.clear();
        Ok(())
    }

    /// Adds `by` to the integer under `name` (absent counts as zero) and returns the sum. Exact: of any number of requests
    /// that add at once, each gets a sum of its own. For a session that is in the store this is one round trip, made now,
    /// with nothing else of the request in it: a member that the request has itself set or removed waits with the rest.
    ///
    /// # Errors
    /// [`SessionError::Refused`] if the member is no integer or the sum would leave ±(2⁵³ − 1);
    /// [`SessionError::Ended`] if the session has ended meanwhile; [`SessionError::Unavailable`]; and as [`Session::insert`].
    pub async fn increment(&self, name: &str, by: i64) -> Result<i64, SessionError> {
        let key = {
            let mut state = self.0.writable()?;
            match state.stored_key() {
                // Deliberately not along with what the request has changed so far: that is staged, and must neither be written
                // if the handler fails later nor be lost if this call does.
                Some(key) if !state.decides(name) => key,
                // Nobody else can count in a session, or from a value, that only this request knows.
                _ => return state.increment_locally(name, by),
            }
        };
        let mut delta = self.0.context.new_delta();
        delta.increment(name, by);
        self.0.lock().base(&mut delta);
        let counters = self.0.commit(&key, &delta).await?;
        let sum = counters.last().copied().ok_or(SessionError::Unavailable)?;
        // It shares the members with this request's view, which is to change.
        drop(delta);
        let mut state = self.0.lock();
        state.record.data.set(name, crate::lifecycle::integer(sum));
        Ok(sum)
    }

    /// Who is logged in; `None` for a visitor.
    #[must_use]
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.0.lock().record.meta.identity.clone()
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// [`SessionError::Expired`] if this very session has just run out; [`SessionError::NotAuthenticated`] for a visitor.
    pub fn require_identity(&self) -> Result<Arc<Identity>, SessionError> {
        self.refuse_expired()?;
        self.identity().ok_or(SessionError::NotAuthenticated)
    }

    /// Who is logged in, if their role is `role`.
    ///
    /// # Errors
    /// As [`Session::require_identity`], and [`SessionError::Forbidden`] for any other role.
    pub fn require_role(&self, role: &Role) -> Result<Arc<Identity>, SessionError> {
        let identity = self.require_identity()?;
        if identity.role == *role {
            Ok(identity)
        } else {
            Err(SessionError::Forbidden)
        }
    }

    /// Who is logged in, if they proved it within the policy's step-up age and nothing suspicious has happened since
    /// (OWASP ASVS 7.5.3). Once that is so, it stays so for this request: an action of several steps is not refused halfway.
    ///
    /// # Errors
    /// As [`Session::require_identity`], and [`SessionError::RecentAuthenticationRequired`].
    pub fn require_recent_authentication(&self) -> Result<Arc<Identity>, SessionError> {
        let identity = self.require_identity()?;
        let (fresh, handle) = {
            let mut state = self.0.lock();
            let (age, now) = (
                self.0.context.policy.step_up_age(),
                self.0.context.clock.now(),
            );
            state.recent = state.recent || step_up_is_fresh(&state.record.meta, age, now);
            (state.recent, state.handle())
        };
        if fresh {
            return Ok(identity);
        }
        self.0
            .event(EventKind::StepUpRequired)
            .user_id(identity.id.as_str())
            .session(handle)
            .emit();
        Err(SessionError::RecentAuthenticationRequired)
    }

    /// Which limit ended the session that this request came with, if one did.
    #[must_use]
    pub fn expired(&self) -> Option<EndReason> {
        self.0.lock().expired
    }

    /// Fails if the session that this request came with had an owner and has run out. For handlers that would otherwise
    /// go on with a fresh session as if nothing had happened.
    ///
    /// # Errors
    /// [`SessionError::Expired`].
    pub fn refuse_expired(&self) -> Result<(), SessionError> {
        let state = self.0.lock();
        match state.expired {
            Some(reason) if state.staged.is_none() && state.expired_owner => {
                Err(SessionError::Expired(reason))
            }
            _ => Ok(()),
        }
    }

    /// The session's public name; `None` while nothing is stored.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        self.0.lock().handle()
    }

    /// When the session ends, however active; `None` while nothing is stored.
    #[must_use]
    pub fn ends_at(&self) -> Option<UnixMs> {
        let state = self.0.lock();
        state.token.is_some().then_some(state.record.clocks.ends)
    }

    /// What is known of the session besides its data.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.0.lock().record.meta.clone()
    }

    /// A CSRF token for this session, different each time and good until the session's token changes. A visitor's session is
    /// stored for it.
    ///
    /// # Errors
    /// As [`Session::insert`], but for `Encode`.
    pub fn csrf_token(&self) -> Result<CsrfToken, SessionError> {
        let mask = self.0.context.random()?;
        let fresh = self.0.context.fresh_token(None)?;
        let mut state = self.0.writable()?;
        state.wanted = true;
        state.shows_csrf_token = true;
        let token = state.next_token(fresh);
        Ok(self.0.context.csrf_keys.mint(token.expose_bytes(), mask))
    }

    /// Gives the session a new token when the response is ready. Its data, identity and clocks stay; the old token dies in the
    /// same step.
    ///
    /// # Errors
    /// As [`Session::insert`], but for `Encode`.
    pub fn rotate(&self) -> Result<(), SessionError> {
        self.stage_rotation(None)
    }

    /// Notes that the owner has just proved again who they are: sensitive actions are open for the policy's step-up age, what
    /// was suspicious is settled, and the token changes. The absolute limit goes on running (J5).
    ///
    /// Call it only when their password, or another factor, was checked in this request.
    ///
    /// # Errors
    /// [`SessionError::NotAuthenticated`] for a visitor; as [`Session::insert`], but for `Encode`.
    pub fn step_up(&self) -> Result<(), SessionError> {
        self.require_identity()?;
        self.stage_rotation(Some(self.0.context.clock.now()))
    }

    /// Stages a new token for a session that is in the store. One that is not gets its first token anyway, and a login in
    /// this very request is as fresh as can be.
    fn stage_rotation(&self, stepped_up: Option<UnixMs>) -> Result<(), SessionError> {
        let origin = self.0.request.origin();
        let mut state = self.0.writable()?;
        if matches!(state.staged, Some(Staged::Await { .. })) {
            // A new token is what it gets.
            return Ok(());
        }
        let Some(bucket) = state.stored_key().map(|key| key.bucket()) else {
            return Ok(());
        };
        if let Some(now) = stepped_up {
            let meta = state.record.meta.clone().stepped_up(origin, now);
            state.record.meta = meta.clone();
            state.delta.set_meta(meta);
        }
        // The old token's bucket: for an owner's session it is the owner's, and a visitor's may stay where it is.
        let new = self.0.context.fresh_token(Some(bucket))?;
        let again = matches!(state.staged, Some(Staged::Rotate { step_up: true, .. }));
        state.staged = Some(Staged::Rotate {
            new,
            step_up: stepped_up.is_some() || again,
        });
        Ok(())
    }

    /// Ends the session when the response is ready: the record goes, and the cookie with it. From now on this request is
    /// nobody's.
    ///
    /// # Errors
    /// [`SessionError::TooLate`] once the response is on its way.
    pub fn log_out(&self) -> Result<(), SessionError> {
        let mut state = self.0.lock();
        if state.phase == Phase::Finished {
            return Err(SessionError::TooLate);
        }
        state.stage_log_out();
        Ok(())
    }

    /// Reports that somebody failed to log in. Hand in their identifier if the account exists, never what was typed.
    pub fn report_login_failure(&self, user_id: Option<&str>, reason: &str) {
        self.0
            .event(EventKind::LoginFailure)
            .user_id(user_id)
            .reason(reason)
            .emit();
    }

    /// Notes that the login which this request stages comes from a device that the account is not known on. It is an event,
    /// `new_device`, once the login is stored, and not if it is refused.
    ///
    /// What a known device is, the caller says: [`DeviceCookie`](crate::cookie::DeviceCookie) tells.
    pub fn note_new_device(&self) {
        self.0.lock().new_device = true;
    }

    /// Reports that the owner failed to prove again who they are.
    pub fn report_step_up_failure(&self, reason: &str) {
        self.report_with(EventKind::StepUpFailure, |event| {
            event.reason(reason).emit()
        });
    }

    /// Reports that whoever is logged in has used an administrator's rights: for what, in a word, and on whom.
    pub fn report_admin_action(&self, action: &str, target: &str) {
        self.report_with(EventKind::AdminAction, |event| {
            event.reason(action).target(target).emit();
        });
    }

    /// Sends an event about this session and request.
    pub fn report(&self, kind: EventKind) {
        self.report_with(kind, |event| event.emit());
    }

    /// The same with a reason: a word that can be counted.
    pub fn report_because(&self, kind: EventKind, reason: &'static str) {
        self.report_with(kind, |event| event.reason(reason).emit());
    }

    fn report_with(&self, kind: EventKind, emit: impl FnOnce(SecurityEvent<'_>)) {
        let (identity, handle) = {
            let state = self.0.lock();
            (state.record.meta.identity.clone(), state.handle())
        };
        let user_id = identity.as_ref().map(|identity| identity.id.as_str());
        emit(self.0.event(kind).user_id(user_id).session(handle));
    }
}

impl Shared {
    /// An event about this request.
    pub(crate) fn event(&self, kind: EventKind) -> SecurityEvent<'_> {
        self.request.event(&self.context.hooks, kind)
    }

    /// What the request's cookies came to.
    fn presented(&self) -> &Presented {
        self.cookies.read(&self.context, &self.request)
    }

    /// The value of the cookie that brings `token`.
    pub(crate) fn cookie_value(&self, token: &SessionToken) -> Cow<'_, str> {
        self.cookies.value_for(token, &self.context, &self.request)
    }

    fn lock(&self) -> Locked<'_> {
        self.state.lock()
    }

    /// The state, if it may still change.
    fn writable(&self) -> Result<Locked<'_>, SessionError> {
        if matches!(self.presented(), Presented::InsecureTransport) {
            return Err(SessionError::InsecureTransport);
        }
        let state = self.lock();
        match (state.phase, &state.staged) {
            (Phase::Finished, _) => Err(SessionError::TooLate),
            (_, Some(Staged::LogOut)) => Err(SessionError::Ended),
            _ => Ok(state),
        }
    }

    /// Writes a [based](State::base) delta of this request's session.
    async fn commit(&self, key: &SessionKey, delta: &Delta) -> Result<Vec<i64>, SessionError> {
        let now = self.context.clock.now();
        let endings = self.context.store.endings();
        match self.context.store.commit(key, delta, now).await? {
            Committed::Applied { counters } => {
                let mut state = self.lock();
                state.sighting = self.sighting(endings);
                // Every write is a use, after which no renewal is due for a while. Without the cookie going along, the browser of
                // somebody who writes all the time would let it run out.
                state.renewed = true;
                Ok(counters)
            }
            Committed::Gone => {
                // Nothing of this request can be kept any more, and no cookie may say otherwise.
                self.lock().lose();
                Err(SessionError::Ended)
            }
        }
    }

    /// The store has just answered. `endings` is from before it was asked.
    fn sighting(&self, endings: u64) -> Sighting {
        Sighting {
            at: self.context.clock.now(),
            endings,
        }
    }

    /// Asks the store what the presented token is worth, if there is one; and, for a login, for its owner's epoch.
    async fn look_up(
        &self,
        login_of: Option<&OwnerId>,
        look: Look,
    ) -> Result<Option<Epoch>, SessionError> {
        let context = &self.context;
        let now = context.clock.now();
        let Presented::Token { token, .. } = self.presented() else {
            let visitor = Record::visitor(&context.policy, self.request.origin(), now);
            self.lock().become_visitor(visitor, context.new_delta());
            return Ok(None);
        };
        let key = token.key();
        let endings = context.store.endings();
        let store = &context.store;
        let step = match look {
            Look::Use => context.policy.renewal_step(),
            Look::Quiet => NO_RENEWAL,
        };
        // What few loads come to is boxed, so that the future of all the others is small: it is moved about as part of a handler's.
        let (mut loaded, epoch) = match login_of {
            None => (store.load(&key, step, now).await?, None),
            Some(owner) => {
                let both = Box::pin(store.load_for_login(&key, step, owner, now));
                let (loaded, epoch) = both.await?;
                (loaded, Some(epoch))
            }
        };
        // One more round trip, for sessions that were shared with Express and still come with its cookie.
        let moved = self.signpost(&key, &loaded);
        if let Some(moved) = moved {
            loaded = Box::pin(store.load(moved, step, now)).await?;
        }
        self.lock().sighting = self.sighting(endings);
        let key = moved.unwrap_or(&key);
        if let Some((record, reason)) = self.take(token, key, loaded, now) {
            Box::pin(self.end_expired(key, &record, reason, look, now)).await?;
        }
        Ok(epoch)
    }

    /// Makes what the store said of the presented token this request's session; or says which session is over, and why.
    fn take(
        &self,
        token: &SessionToken,
        key: &SessionKey,
        loaded: Loaded,
        now: UnixMs,
    ) -> Option<(Box<Record>, EndReason)> {
        let context = &self.context;
        let rejected = |reason| {
            self.event(EventKind::SessionRejected)
                .session(key.handle())
                .reason(reason)
                .emit();
        };
        let (record, renewed) = match loaded {
            Loaded::Absent | Loaded::Trace(Trace::StoodIn) => {
                rejected("unknown");
                self.lock()
                    .become_visitor(self.visitor_after(key, now), context.new_delta());
                return None;
            }
            Loaded::Trace(trace) => {
                rejected(match trace {
                    Trace::LoggedOut => "logged_out",
                    _ => "replaced",
                });
                let mut state = self.lock();
                state.superseded = trace.supersedes();
                state.become_visitor(self.visitor_after(key, now), context.new_delta());
                return None;
            }
            Loaded::Expired(record) => (record, false),
            Loaded::Live { record, renewed } => (record, renewed),
        };
        match decide(&record.clocks, &record.meta, &context.policy, now) {
            Decision::End(reason) => return Some((record, reason)),
            Decision::Keep | Decision::Renew => {}
        }
        if renewed {
            self.event(EventKind::SessionRenewed)
                .user_id(record.owner().map(OwnerId::as_str))
                .session(key.handle())
                .emit();
        }
        let mut state = self.lock();
        if state.become_stored(token.clone(), *key, *record, renewed, context.new_delta()) {
            if renewed {
                state.record.clocks.seen = now;
            }
            self.check_binding(&mut state);
        }
        None
    }

    /// A visitor's session in the place of one that is dead. Made only if there is no session: to read where a request came from is
    /// work.
    fn visitor_after(&self, dead: &SessionKey, now: UnixMs) -> Record {
        Record::visitor(&self.context.policy, self.request.origin(), now).standing_in_for(*dead)
    }

    /// Where the session lies, if what was found is a signpost to it.
    fn signpost(&self, key: &SessionKey, found: &Loaded) -> Option<&SessionKey> {
        let (Loaded::Live { record, .. } | Loaded::Expired(record)) = found else {
            return None;
        };
        let bucket = record.meta.lies_in?;
        Some(
            self.moved
                .get_or_init(|| Box::new(key.in_bucket(bucket)))
                .as_ref(),
        )
    }

    /// Ends a session whose limits have run out, and puts a visitor's in its place. Of several requests that find it so, one ends it,
    /// and tells.
    async fn end_expired(
        &self,
        key: &SessionKey,
        record: &Record,
        reason: EndReason,
        look: Look,
        now: UnixMs,
    ) -> Result<(), SessionError> {
        let (context, owner) = (&self.context, record.owner());
        let endings = context.store.endings();
        let ended = context
            .store
            .end(key, owner, None, context.clock.now())
            .await?;
        // One ending is its own, and no news to it.
        self.lock().sighting = self.sighting(endings + 1);
        let user_id = owner.map(OwnerId::as_str);
        if ended == Ended::Removed {
            let kind = match reason {
                EndReason::Idle => EventKind::IdleTimeout,
                EndReason::Absolute => EventKind::AbsoluteTimeout,
            };
            self.event(kind)
                .user_id(user_id)
                .session(key.handle())
                .reason(reason.as_str())
                .emit();
        }
        // An open page that finds its session over is how a session ends, and not somebody who uses it afterwards.
        if look == Look::Use || ended != Ended::Removed {
            self.event(EventKind::UseAfterExpire)
                .user_id(user_id)
                .session(key.handle())
                .reason(reason.as_str())
                .emit();
        }
        let mut state = self.lock();
        if state.become_visitor(self.visitor_after(key, now), context.new_delta()) {
            state.expired = Some(reason);
            state.expired_owner = owner.is_some();
            // If another request has ended it, that one's response says what becomes of the cookie (J10).
            state.forget_cookie = ended == Ended::Removed;
            state.superseded = match ended {
                Ended::Trace(trace) => trace.supersedes(),
                Ended::Removed | Ended::Absent => None,
            };
        }
        Ok(())
    }

    /// Loose binding (A4): a logged-in session that turns up with another browser family or in another network is at risk
    /// until its owner proves again who they are. It is never blocked.
    fn check_binding(&self, state: &mut State) {
        if self.context.policy.binding() == crate::lifecycle::Binding::Ignore
            || state.record.meta.identity.is_none()
            || state.record.meta.step_up_due
        {
            return;
        }
        let Some(change) = state.record.meta.origin.differs(&self.request.origin()) else {
            return;
        };
        let meta = state.record.meta.clone().at_risk();
        state.record.meta = meta.clone();
        state.delta.set_meta(meta);
        let reason = match (change.agent, change.network) {
            (true, true) => "agent_and_network",
            (true, false) => "agent",
            _ => "network",
        };
        self.event(EventKind::BindingChanged)
            .user_id(state.record.owner().map(OwnerId::as_str))
            .session(state.handle())
            .reason(reason)
            .emit();
    }
}

impl fmt::Debug for LazySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LazySession")
    }
}

impl fmt::Debug for Session {
    /// Shows the public name and nothing of what is inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.handle()).finish()
    }
}
