//! What happens to a session when its response is ready: everything that was changed or staged is written in one round
//! trip, and only then does the response leave (J8).

use std::sync::Arc;

use http::StatusCode;
use tracing::Instrument as _;

use super::state::{CameWith, Phase, Staged, State};
use super::{Context, LazySession, Presented, RecentKeys, RequestInfo, SessionError, Shared};
use crate::events::EventKind;
use crate::lifecycle::{Delta, DeltaError, Identity, OwnerId, Record};
use crate::store::{Admission, Admitted, Committed, Epoch, Replaced};
use crate::token::SessionToken;

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
    Set(SessionToken, std::time::Duration),
    Remove,
}

impl LazySession {
    /// Whether nobody has touched the session, so that there is nothing to finish. From then on it is too late to.
    pub(crate) fn finish_untouched(&self) -> bool {
        let mut state = self.shared().lock();
        let untouched = state.phase == Phase::Unloaded;
        if untouched {
            state.phase = Phase::Finished;
        }
        untouched
    }

    /// Writes what was changed, unless the response says that the handler failed.
    pub(crate) async fn finish(&self, status: StatusCode) -> Outcome {
        if self.finish_untouched() {
            return Outcome::default();
        }
        let shared = self.shared();
        let state = {
            let mut state = shared.lock();
            match state.phase {
                Phase::Loaded => {}
                Phase::Unloaded | Phase::Failed | Phase::Finished => return Outcome::default(),
            }
            let handle = State {
                phase: Phase::Finished,
                ..State::new()
            };
            std::mem::replace(&mut *state, handle)
        };
        let mut outcome = shared.write_unless_failed(state, status).await;
        shared.note_cookie(&mut outcome);
        outcome
    }
}

impl State {
    fn came_with_identity(&self) -> bool {
        self.came_with
            .as_ref()
            .is_some_and(|came_with| came_with.identity.is_some())
    }
}

impl Shared {
    async fn write_unless_failed(&self, state: State, status: StatusCode) -> Outcome {
        let mut outcome = Outcome {
            varies: true,
            private: state.record.meta.identity.is_some() || state.came_with_identity(),
            secret: state.shows_csrf_token,
            ..Outcome::default()
        };
        if state.forget_cookie && !self.is_slow(&state) {
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

    /// Whether the request took so long that what happened meanwhile may be forgotten. It sends no cookie on the strength of
    /// what it saw when it began.
    fn is_slow(&self, state: &State) -> bool {
        self.context.clock.now().since(state.loaded) > RecentKeys::KEEP
    }

    /// Lets others know that the browser gets another cookie, and leaves one alone that it got from them meanwhile (J10).
    fn note_cookie(&self, outcome: &mut Outcome) {
        let Presented::Token { token, .. } = &self.presented else {
            return;
        };
        let superseded = &self.context.recently_superseded;
        let now = self.context.clock.now();
        match &outcome.cookie {
            CookieChange::Set(new, _) if new != token => {
                superseded.note(token.key(), now);
            }
            CookieChange::Remove if superseded.contains(&token.key(), now) => {
                outcome.cookie = CookieChange::Keep;
            }
            _ => {}
        }
    }

    async fn write(&self, mut state: State, outcome: &mut Outcome) -> Result<(), SessionError> {
        match state.staged.take() {
            Some(Staged::LogOut) => self.write_log_out(&state, outcome).await,
            Some(Staged::LogIn { epoch, carried }) => {
                self.write_log_in(state, epoch, carried, outcome).await
            }
            Some(Staged::Rotate { new, step_up }) => {
                self.write_rotation(&state, new, step_up, outcome).await
            }
            None if state.came_with.is_some() => self.write_changes(&state, outcome).await,
            None if state.wanted => self.write_new(state, outcome).await,
            None => Ok(()),
        }
    }

    async fn write_log_out(
        &self,
        state: &State,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let Some(came_with) = &state.came_with else {
            return Ok(());
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
        let context = &self.context;
        if !ended
            && context
                .recently_logged_in
                .contains(&came_with.key, context.clock.now())
        {
            // It lives on under another token, which the browser has: to say that its owner is logged out would be a lie (J2).
            return Err(SessionError::Ended);
        }
        outcome.logged_out = true;
        // If it had ended before, another response has taken the cookie away or replaced it, and that one stands (J10).
        if ended {
            outcome.cookie = CookieChange::Remove;
        }
        Ok(())
    }

    async fn write_log_in(
        &self,
        mut state: State,
        epoch: Epoch,
        carried: Option<Delta>,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let (Some(token), Some(Identity { id: owner, .. })) =
            (state.token, &state.record.meta.identity)
        else {
            return Err(SessionError::NotAuthenticated);
        };
        let owner = owner.clone();
        self.check_size(&state.record)?;
        if carried.is_some() {
            // The store moves the data along as it is then, and `delta` has what was set since. This request's copy of it is
            // stale, and the session that it is a copy of may have ended (J2).
            state.record.data.clear();
        }
        let (context, key, now) = (&self.context, token.key(), self.context.clock.now());
        let came_with = state.came_with.as_ref();
        // Data that moves along is taken from the store at that moment, so what this request changed must be there first.
        if let (Some(came_with), Some(delta)) = (came_with, &carried)
            && !delta.is_empty()
        {
            // Gone is no reason not to log in: then nothing is left to move along.
            context.store.commit(&came_with.key, delta, now).await?;
        }
        let admission = Admission {
            key: &key,
            record: &state.record,
            owner: &owner,
            epoch,
            cap: context.policy.cap(),
            replaces: came_with.map(|came_with| Replaced {
                key: &came_with.key,
                owner: came_with.owner(),
                carry_data: carried.is_some(),
            }),
        };
        let event = |kind| self.request.event(kind).user_id(owner.as_str());
        match context.store.admit(&admission, now).await? {
            Admitted::Done { pruned } => {
                if let Some(came_with) = came_with {
                    context.recently_ended.note(came_with.key, now);
                }
                if let Presented::Token { token, .. } = &self.presented {
                    context.recently_logged_in.note(token.key(), now);
                }
                for pruned in pruned {
                    context.recently_ended.note(pruned, now);
                    event(EventKind::SessionCapReached)
                        .session(pruned.handle())
                        .reason("oldest_pruned")
                        .emit();
                }
                event(EventKind::LoginSuccess).session(key.handle()).emit();
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
        // What was set after the login is in the record; where data moved along, the store's copy came first.
        if carried.is_some() && !state.delta.is_empty() {
            context.store.commit(&key, &state.delta, now).await?;
        }
        outcome.cookie = CookieChange::Set(token, state.record.clocks.idle);
        Ok(())
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
        context.recently_ended.note(old, now);
        if moved == Committed::Gone {
            return Err(SessionError::Ended);
        }
        if came_with.identity.is_some() {
            context.recently_logged_in.note(old, now);
        }
        let event = |kind| {
            self.request
                .event(kind)
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
        state: &State,
        outcome: &mut Outcome,
    ) -> Result<(), SessionError> {
        let (Some(came_with), Some(token)) = (&state.came_with, &state.token) else {
            return Ok(());
        };
        let mut renewed = state.renewed && !self.is_slow(state);
        if !state.delta.is_empty() {
            match self.commit(&came_with.key, &state.delta).await {
                // The application changed nothing, so nothing of it is lost: what it read was true when it was read.
                Err(SessionError::Ended) if !state.delta.changes_data() => return Ok(()),
                result => result?,
            };
            // Every write is a use, after which no renewal is due for a while. Without the cookie going along, the browser of
            // somebody who writes all the time would let it run out.
            renewed = true;
        }
        let resign =
            matches!(self.presented, Presented::Token { resign: true, .. }) && !self.is_slow(state);
        if (renewed || resign)
            && !self
                .context
                .is_outrun(&came_with.key, came_with.owner(), state.loaded)
        {
            outcome.cookie = CookieChange::Set(token.clone(), state.record.clocks.idle);
        }
        Ok(())
    }

    async fn write_new(&self, state: State, outcome: &mut Outcome) -> Result<(), SessionError> {
        // The browser came with a dead cookie and has got that of somebody's session since. Where it has merely got another visitor's cookie, either
        // will do: the first page after an expiry may send many requests at once.
        if let Presented::Token { token, .. } = &self.presented
            && (self.is_slow(&state)
                || self
                    .context
                    .recently_logged_in
                    .contains(&token.key(), self.context.clock.now()))
        {
            return Err(SessionError::Ended);
        }
        self.check_size(&state.record)?;
        let token = match state.token {
            Some(token) => token,
            None => self.context.fresh_token(None)?,
        };
        self.context
            .store
            .create(&token.key(), &state.record)
            .await?;
        self.request
            .event(EventKind::SessionCreated)
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

/// Ends a session because its owner said so. Says whether it was there.
async fn end_by_owner(
    context: Arc<Context>,
    request: RequestInfo,
    came_with: CameWith,
) -> Result<bool, SessionError> {
    let (key, owner) = (&came_with.key, came_with.owner());
    let ended = context.store.end(key, owner).await?;
    context.recently_ended.note(*key, context.clock.now());
    if let (true, Some(owner)) = (ended, owner) {
        request
            .event(EventKind::Logout)
            .user_id(owner.as_str())
            .session(key.handle())
            .emit();
    }
    Ok(ended)
}
