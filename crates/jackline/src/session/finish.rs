//! What happens to a session when its response is ready: everything that was changed or staged is written in one round
//! trip, and only then does the response leave (J8).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tracing::Instrument as _;

use super::presented::Presented;
use super::state::{CameWith, Phase, Sighting, Staged, State};
use super::{Context, LazySession, RequestInfo, SessionError, Shared};
use crate::events::EventKind;
use crate::lifecycle::{DeltaError, OwnerId, Record, UnixMs};
use crate::store::{
    Admission, Admitted, Committed, Ended, Epoch, LOGGED_OUT_KEPT, Loaded, NO_RENEWAL,
    REPLACED_KEPT, Replaced, Trace,
};
use crate::token::{SessionKey, SessionToken};

/// How long the store's word on a session is good for a response that changes its cookie: about as long as the response itself
/// takes to the browser, which nothing can call back.
const SIGHTING_GOOD: Duration = Duration::from_millis(2);

/// How long after it came a request still removes the cookie of a session that it has found dead. To remove it is a courtesy, and a browser that
/// has been given another cookie in between must keep that one.
const COURTESY: Duration = Duration::from_secs(2);

/// What the response must say about the session.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) cookie: CookieChange,
    /// What is answered instead of the handler's response.
    pub(crate) instead: Option<SessionError>,
    /// The response depends on the cookie.
    pub(crate) varies: bool,
    /// The response is for its owner's eyes.
    pub(crate) private: bool,
    /// The response holds a secret.
    pub(crate) secret: bool,
    /// Its owner has logged out.
    pub(crate) logged_out: bool,
}

/// What becomes of the cookie in the browser.
#[derive(Debug, Default)]
pub(crate) enum CookieChange {
    #[default]
    Keep,
    Set(SessionToken, Duration),
    Remove,
}

impl LazySession {
    /// Finishes a session that nobody has touched, or of which nothing is to be written: what nearly every request comes to. `None` if
    /// there is something to write, or to ask, or the store could not be asked.
    pub(crate) fn finish_at_once(&self) -> Option<Outcome> {
        let shared = self.shared();
        let finished = shared.state.finish_if(|state| match state.phase {
            Phase::Loaded => shared.is_settled(state),
            Phase::Unloaded | Phase::Finished => true,
            Phase::Failed => false,
        });
        finished.map(|state| match state {
            Some(state) if state.phase == Phase::Loaded => state.outcome(),
            _ => Outcome::default(),
        })
    }

    /// Writes what was changed, unless the response says that the handler failed.
    pub(crate) async fn finish(&self, status: StatusCode) -> Outcome {
        if let Some(outcome) = self.finish_at_once() {
            return outcome;
        }
        let shared = self.shared();
        // What failed stays so for whoever asks again.
        let state = shared.state.finish_if(|state| state.phase != Phase::Failed);
        match state.flatten() {
            Some(state) => shared.write_unless_failed(state, status).await,
            None => Outcome::default(),
        }
    }
}

impl State {
    fn came_with_identity(&self) -> bool {
        self.came_with
            .as_ref()
            .is_some_and(|came_with| came_with.identity.is_some())
    }

    /// What the response must say whatever is written.
    fn outcome(&self) -> Outcome {
        Outcome {
            varies: true,
            private: self.record.meta.identity.is_some()
                || self.record.meta.awaits.is_some()
                || self.came_with_identity(),
            secret: self.shows_csrf_token,
            ..Outcome::default()
        }
    }
}

impl Shared {
    /// Whether there is nothing to write and no cookie to change.
    fn is_settled(&self, state: &State) -> bool {
        let in_store = match state.came_with {
            Some(_) => state.delta.is_empty() && !state.renewed && !self.resigns(),
            None => !state.wanted,
        };
        in_store && state.staged.is_none() && !state.forget_cookie && !state.lost
    }

    /// Whether the presented cookie is to be signed anew.
    fn resigns(&self) -> bool {
        matches!(self.presented(), Presented::Token { resign: true, .. })
    }

    async fn write_unless_failed(&self, state: Box<State>, status: StatusCode) -> Outcome {
        let mut outcome = state.outcome();
        if state.forget_cookie && Box::pin(self.may_forget(&state)).await {
            outcome.cookie = CookieChange::Remove;
        }
        if status.is_server_error() {
            return outcome;
        }
        if state.lost {
            // Its handler may have said so itself; it must not say the contrary.
            if status.is_success() || status.is_redirection() {
                outcome.instead = Some(SessionError::Ended);
            }
            return outcome;
        }
        if let Err(error) = self.write(state, &mut outcome).await {
            outcome.cookie = CookieChange::Keep;
            outcome.logged_out = false;
            outcome.instead = Some(error);
        }
        outcome
    }

    /// The key of the session whose cookie the request came with, whatever became of it.
    fn presented_key(&self) -> Option<SessionKey> {
        match self.presented() {
            Presented::Token { token, .. } => {
                Some(self.moved.get().map_or_else(|| token.key(), |key| **key))
            }
            Presented::Nothing | Presented::InsecureTransport => None,
        }
    }

    /// Whether the request took so long that what happened meanwhile may be forgotten, or is about to be.
    fn is_slow(&self) -> bool {
        self.context.clock.now().since(self.arrived) > REPLACED_KEPT - LOGGED_OUT_KEPT
    }

    /// What the store says of the presented session now; `None` if what it said last is as good (J10).
    ///
    /// A request may wait for anything between its first look at the session and its response, and meanwhile the browser may get
    /// another cookie, from this instance or from any other. So a response that is about to change a cookie asks again, unless the
    /// store has answered just now and this process has ended no session since.
    async fn look_again(
        &self,
        key: &SessionKey,
        state: &State,
    ) -> Result<Option<Loaded>, SessionError> {
        let (store, now) = (&self.context.store, self.context.clock.now());
        let Sighting { at, endings } = state.sighting;
        // A live session that was not renewed may have been answered for from memory (`store::near`).
        let store_said_so = state.came_with.is_none() || state.renewed;
        if store_said_so && endings == store.endings() && now.since(at) <= SIGHTING_GOOD {
            return Ok(None);
        }
        store.load(key, NO_RENEWAL, now).await.map(Some)
    }

    /// Whether a response may still renew the cookie of the session that it came with.
    async fn may_renew(&self, key: &SessionKey, state: &State) -> bool {
        match self.look_again(key, state).await {
            Ok(None) => true,
            Ok(Some(Loaded::Live { record, .. })) => {
                !record.clocks.absolute_expired(self.context.clock.now())
            }
            // The use is written down, and a later response will renew the cookie.
            Ok(Some(Loaded::Absent | Loaded::Trace(_) | Loaded::Expired(_))) | Err(_) => false,
        }
    }

    /// Whether a response may still remove the cookie of the session that it has found expired.
    async fn may_forget(&self, state: &State) -> bool {
        let Some(key) = self.presented_key() else {
            return false;
        };
        if self.context.clock.now().since(self.arrived) > COURTESY {
            return false;
        }
        let seen = self.look_again(&key, state).await;
        matches!(seen, Ok(None | Some(Loaded::Absent)))
    }

    /// Notes that a visitor's session stands in for the dead one that this request came with. Fails if the browser has, or may have,
    /// got somebody's session in its place: a visitor's must not take that one's.
    async fn stand_in(&self, dead: &SessionKey) -> Result<(), SessionError> {
        let now = self.context.clock.now();
        match self.context.store.note(dead, Trace::StoodIn, now).await? {
            Trace::StoodIn if !self.is_slow() => Ok(()),
            _ => Err(SessionError::Ended),
        }
    }

    async fn write(
        &self,
        mut state: Box<State>,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        // Boxed but for changes, which are most of what is written: a future is as large as its largest part.
        match state.staged.take() {
            Some(Staged::LogOut) => Box::pin(self.write_log_out(&state, outcome)).await,
            Some(Staged::LogIn { epoch, carry }) => {
                Box::pin(self.write_log_in(state, epoch, carry, outcome)).await
            }
            Some(Staged::Await { new, afresh }) => {
                Box::pin(self.write_await(state, new, afresh, outcome)).await
            }
            Some(Staged::Rotate { new, step_up }) => {
                Box::pin(self.write_rotation(&state, new, step_up, outcome)).await
            }
            None if state.came_with.is_some() => self.write_changes(&mut state, outcome).await,
            None if state.wanted => Box::pin(self.write_new(state, outcome)).await,
            None => Ok(()),
        }
    }

    async fn write_log_out(
        &self,
        state: &State,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let Some(came_with) = &state.came_with else {
            return match state.superseded {
                Some(Trace::Replaced) => Err(SessionError::Ended),
                _ => Ok(()),
            };
        };
        let ending = end_by_owner(
            Arc::clone(&self.context),
            self.request.clone(),
            came_with.clone(),
        );
        // A task of its own: whoever logs out and closes the page hangs up, and is to be logged out all the same.
        let ended = tokio::spawn(ending.in_current_span())
            .await
            .map_err(|_| SessionError::Unavailable)??;
        if ended == Ended::Trace(Trace::Replaced) || (ended == Ended::Absent && self.is_slow()) {
            // It lives on under another token, which the browser has, or may: to say that its owner is logged out would be a lie
            // (J2).
            return Err(SessionError::Ended);
        }
        // If it had ended before, another response has taken the cookie away or replaced it, and that one stands (J10): somebody may
        // be logged in there by now.
        if ended == Ended::Removed {
            outcome.logged_out = true;
            outcome.cookie = CookieChange::Remove;
        }
        Ok(())
    }

    async fn write_log_in(
        &self,
        state: Box<State>,
        epoch: Epoch,
        carry: bool,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let (Some(token), Some(owner)) = (state.token, state.record.owner()) else {
            return Err(SessionError::NotAuthenticated);
        };
        if !carry {
            self.check_size(&state.record)?;
        }
        let (context, key, now) = (&self.context, token.key(), self.context.clock.now());
        let came_with = state.came_with.as_ref();
        // Replaced even if it is long dead: other instances must know that the browser has another cookie now (J10).
        let presented = self.presented_key();
        note_gone(context, came_with, now).await?;
        let admission = Admission {
            key: &key,
            record: &state.record,
            owner,
            epoch,
            cap: context.policy.cap(),
            replaces: presented.as_ref().map(|key| Replaced {
                key,
                owner: came_with.and_then(CameWith::owner),
                carry: carry.then_some(&state.delta),
            }),
        };
        let event = |kind| self.event(kind).user_id(owner.as_str());
        match context.store.admit(&admission, now).await? {
            Admitted::Done { pruned } => {
                for pruned in pruned {
                    event(EventKind::SessionCapReached)
                        .session(pruned.handle())
                        .reason("oldest_pruned")
                        .emit();
                }
                event(EventKind::LoginSuccess).session(key.handle()).emit();
                if state.new_device {
                    event(EventKind::NewDevice).session(key.handle()).emit();
                }
                // With no session to replace, one was created; else it got a new token.
                let kind = match came_with {
                    None => EventKind::SessionCreated,
                    Some(_) => EventKind::SessionRegenerated,
                };
                event(kind).session(key.handle()).reason("login").emit();
            }
            Admitted::Revoked => {
                event(EventKind::LoginRevoked).emit();
                return Err(SessionError::LoginRevoked);
            }
            Admitted::AtCap => {
                event(EventKind::SessionCapReached)
                    .reason("newest_refused")
                    .emit();
                return Err(SessionError::TooManySessions);
            }
        }
        outcome.cookie = CookieChange::Set(token, state.record.clocks.idle);
        Ok(())
    }

    /// Writes that a session waits for a second factor. As a login does, it goes before whatever the browser's cookie named, also if
    /// that is long dead (J10).
    async fn write_await(
        &self,
        state: Box<State>,
        new: SessionToken,
        afresh: bool,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let (context, key, now) = (&self.context, new.key(), self.context.clock.now());
        let came_with = state.came_with.as_ref();
        note_gone(context, came_with, now).await?;
        match came_with {
            Some(visitor) if !afresh => {
                let moved = context
                    .store
                    .rotate(&visitor.key, &key, None, &state.delta, now)
                    .await?;
                if moved == Committed::Gone {
                    return Err(SessionError::Ended);
                }
            }
            _ => {
                self.check_size(&state.record)?;
                // The new one first: if the store goes away in between, whoever was logged in still is (J8).
                context.store.create(&key, &state.record).await?;
                if let Err(error) = self.give_way(came_with).await {
                    // Nobody will get its token. If the store is away for this too, it runs out by itself.
                    let _ = context.store.end(&key, None, None, now).await;
                    return Err(error);
                }
            }
        }
        let awaits = state.record.meta.awaits.as_ref();
        let event = |kind| {
            self.event(kind)
                .user_id(awaits.map(|login| login.owner.as_str()))
                .session(key.handle())
        };
        event(EventKind::SecondFactorRequired).emit();
        let kind = match came_with {
            None => EventKind::SessionCreated,
            Some(_) => EventKind::SessionRegenerated,
        };
        event(kind).reason("second_factor").emit();
        outcome.cookie = CookieChange::Set(new, state.record.clocks.idle);
        Ok(())
    }

    /// Ends the session that the request came with, or notes of a dead one, that another has taken its place.
    async fn give_way(&self, came_with: Option<&CameWith>) -> Result<(), SessionError> {
        let (store, now) = (&self.context.store, self.context.clock.now());
        let replaced = Trace::Replaced;
        if let Some(before) = came_with {
            let ended = store.end(&before.key, before.owner(), Some(replaced), now);
            if ended.await? == Ended::Removed {
                return Ok(());
            }
        }
        match self.presented_key() {
            Some(dead) => store.note(&dead, replaced, now).await.map(drop),
            None => Ok(()),
        }
    }

    async fn write_rotation(
        &self,
        state: &State,
        new: SessionToken,
        step_up: bool,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let Some(came_with) = &state.came_with else {
            return Ok(());
        };
        let (context, now) = (&self.context, self.context.clock.now());
        let (old, key) = (came_with.key, new.key());
        let moved = context
            .store
            .rotate(&old, &key, came_with.owner(), &state.delta, now)
            .await?;
        if moved == Committed::Gone {
            return Err(SessionError::Ended);
        }
        let event = |kind| {
            self.event(kind)
                .user_id(came_with.owner().map(OwnerId::as_str))
                .session(key.handle())
        };
        if step_up {
            event(EventKind::StepUpSuccess).emit();
        }
        let reason = if step_up { "step_up" } else { "rotation" };
        event(EventKind::SessionRegenerated).reason(reason).emit();
        outcome.cookie = CookieChange::Set(new, state.record.clocks.idle);
        Ok(())
    }

    async fn write_changes(
        &self,
        state: &mut State,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let mut delta = std::mem::take(&mut state.delta);
        state.base(&mut delta);
        let (Some(came_with), Some(token)) = (&state.came_with, &state.token) else {
            return Ok(());
        };
        let renew = if delta.is_empty() {
            (state.renewed || self.resigns()) && self.may_renew(&came_with.key, state).await
        } else {
            match self.commit(&came_with.key, &delta).await {
                Ok(_) => true,
                // The application changed nothing, so nothing of it is lost: what it read was true when it was read.
                Err(SessionError::Ended) if !delta.changes_data() => false,
                Err(error) => return Err(error),
            }
        };
        if renew {
            outcome.cookie = CookieChange::Set(token.clone(), state.record.clocks.idle);
        }
        Ok(())
    }

    async fn write_new(
        &self,
        state: Box<State>,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let dead = self.presented_key();
        if state.superseded.is_some() {
            return Err(SessionError::Ended);
        }
        self.check_size(&state.record)?;
        let token = match state.token.clone() {
            Some(token) => token,
            None => self.context.fresh_token(None)?,
        };
        let (store, key) = (&self.context.store, token.key());
        store.create(&key, &state.record).await?;
        // Noted after it is stored, and not before: a login may win while it is.
        if let Some(dead) = dead
            && let Err(error) = self.stand_in(&dead).await
        {
            store
                .end(&key, None, None, self.context.clock.now())
                .await?;
            return Err(error);
        }
        self.event(EventKind::SessionCreated)
            .session(token.key().handle())
            .emit();
        outcome.cookie = CookieChange::Set(token, state.record.clocks.idle);
        Ok(())
    }

    /// Stores check what a delta makes of a record; a record that is written whole is checked here.
    fn check_size(&self, record: &Record) -> Result<(), SessionError> {
        if record.data.to_json().len() > self.context.max_data_bytes {
            return Err(SessionError::Refused(DeltaError::TooLarge));
        }
        Ok(())
    }
}

/// Before a session gives way: if it was itself begun in the place of a dead one, a late request with that one's cookie must not
/// put another in the place of what comes now.
async fn note_gone(
    context: &Context,
    giving_way: Option<&CameWith>,
    now: UnixMs,
) -> Result<(), SessionError> {
    let Some(CameWith {
        stands_in_for: Some(dead),
        created,
        ..
    }) = giving_way
    else {
        return Ok(());
    };
    // It was stored within a minute of its creation, and requests with the dead cookie are refused a minute after they came.
    if now.since(*created) <= 2 * REPLACED_KEPT {
        context.store.note(dead, Trace::Replaced, now).await?;
    }
    Ok(())
}

/// Ends a session because its owner said so.
async fn end_by_owner(
    context: Arc<Context>,
    request: RequestInfo,
    came_with: CameWith,
) -> Result<Ended, SessionError> {
    let (key, owner, now) = (&came_with.key, came_with.owner(), context.clock.now());
    // First, so that the response leaves with the news of its own ending: a login may win before any further step.
    note_gone(&context, Some(&came_with), now).await?;
    let trace = Some(Trace::LoggedOut);
    let ended = context.store.end(key, owner, trace, now).await?;
    if let (Ended::Removed, Some(owner)) = (ended, owner) {
        request
            .event(&context.hooks, EventKind::Logout)
            .user_id(owner.as_str())
            .session(key.handle())
            .emit();
    }
    Ok(ended)
}
