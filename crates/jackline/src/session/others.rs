//! An owner's other sessions: listing them, ending one, ending all others (OWASP ASVS 7.4.3 and 7.5.2).

use super::{Context, Session, SessionError};
use crate::events::EventKind;
use crate::lifecycle::{Decision, OwnerId, Record, UnixMs, decide};
use crate::origin::Origin;
use crate::store::{Cursor, Ended, Page};
use crate::token::{Handle, SessionKey};

/// What an owner may know about one of their sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its public name.
    pub handle: Handle,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it logged in.
    pub logged_in: UnixMs,
    /// When its owner last proved who they are.
    pub authenticated: Option<UnixMs>,
    /// When it was last used, to within the policy's renewal step.
    pub last_seen: UnixMs,
    /// When it ends, however active.
    pub ends: UnixMs,
    /// Browser family and coarse network.
    pub origin: Origin,
}

impl SessionInfo {
    pub(crate) fn of(key: &SessionKey, record: &Record, current: Option<&SessionKey>) -> Self {
        Self {
            handle: key.handle(),
            current: current == Some(key),
            logged_in: record.meta.started,
            authenticated: record.meta.authenticated,
            last_seen: record.clocks.seen,
            ends: record.clocks.ends,
            origin: record.meta.origin,
        }
    }
}

impl Context {
    /// One page of an owner's sessions that would live if they were used now.
    pub(crate) async fn sessions_of(
        &self,
        owner: &OwnerId,
        after: Option<Cursor>,
        current: Option<&SessionKey>,
    ) -> Result<(Vec<SessionInfo>, Option<Cursor>), SessionError> {
        let now = self.clock.now();
        let page = Page {
            after,
            ..Page::first()
        };
        let listed = self.store.list(owner, page, now).await?;
        let infos = listed
            .sessions
            .iter()
            .filter(|(_, record)| {
                let decision = decide(&record.clocks, &record.meta, &self.policy, now);
                !matches!(decision, Decision::End(_))
            })
            .map(|(key, record)| SessionInfo::of(key, record, current))
            .collect();
        Ok((infos, listed.next))
    }

    /// Ends the owner's session called `handle`. Says whether there was one.
    pub(crate) async fn end_by_handle(
        &self,
        owner: &OwnerId,
        handle: &Handle,
    ) -> Result<bool, SessionError> {
        let found = self
            .find_of(owner, |key, _| (key.handle() == *handle).then_some(*key))
            .await?;
        match found {
            None => Ok(false),
            Some(key) => {
                let ended = self
                    .store
                    .end(&key, Some(owner), None, self.clock.now())
                    .await?;
                Ok(ended == Ended::Removed)
            }
        }
    }
}

impl Session {
    /// One page of up to 100 of the owner's sessions, newest login first, and where the next page begins.
    ///
    /// # Errors
    /// [`SessionError::NotAuthenticated`], [`SessionError::Expired`] or [`SessionError::Unavailable`].
    pub async fn siblings(
        &self,
        after: Option<Cursor>,
    ) -> Result<(Vec<SessionInfo>, Option<Cursor>), SessionError> {
        let identity = self.require_identity()?;
        let current = self.0.lock().stored_key();
        self.0
            .context
            .sessions_of(&identity.id, after, current.as_ref())
            .await
    }

    /// Ends one of the owner's sessions, now. Says whether there was one of this name; another owner's is as unknown as one
    /// that never was. Ending the current one is [`Session::log_out`], staged.
    ///
    /// # Errors
    /// [`SessionError::RecentAuthenticationRequired`] (OWASP ASVS 7.5.2), and as [`Session::siblings`].
    pub async fn end_sibling(&self, handle: &Handle) -> Result<bool, SessionError> {
        let identity = self.require_recent_authentication()?;
        if self.handle().as_ref() == Some(handle) {
            self.log_out()?;
            return Ok(true);
        }
        let ended = self.0.context.end_by_handle(&identity.id, handle).await?;
        if ended {
            self.0
                .event(EventKind::SessionsRevoked)
                .user_id(identity.id.as_str())
                .session(handle.clone())
                .reason("ended_by_owner")
                .count(1)
                .emit();
        }
        Ok(ended)
    }

    /// Asks the store whether this session still lives, now: what was loaded may have been ended since, and a slow request can
    /// be made to last. For a handler about to do something that cannot be taken back outside the session, such as setting a
    /// password. It counts as a use.
    ///
    /// # Errors
    /// [`SessionError::Ended`] if it does not; [`SessionError::Unavailable`]. A session that is not stored yet cannot have ended.
    pub async fn ensure_live(&self) -> Result<(), SessionError> {
        let key = {
            let state = self.0.lock();
            if state.lost {
                return Err(SessionError::Ended);
            }
            state.stored_key()
        };
        if let Some(key) = key {
            let mut nothing = self.0.context.new_delta();
            self.0.lock().base(&mut nothing);
            self.0.commit(&key, &nothing).await?;
        }
        Ok(())
    }

    /// Ends all of the owner's sessions but this one, now, and refuses logins of theirs that are under way. Returns how many
    /// sessions ended.
    ///
    /// A login that this very request has begun is one of them: after a change of password end the others first, then
    /// [`begin_login`](Session::begin_login) and [`log_in`](Session::log_in).
    ///
    /// # Errors
    /// [`SessionError::RecentAuthenticationRequired`], and as [`Session::siblings`].
    pub async fn end_others(&self) -> Result<u64, SessionError> {
        let identity = self.require_recent_authentication()?;
        let (current, handle) = {
            let state = self.0.lock();
            (state.stored_key(), state.handle())
        };
        let context = &self.0.context;
        let now = context.clock.now();
        let count = context
            .store
            .end_all(&identity.id, current.as_ref(), now)
            .await?;
        self.0
            .event(EventKind::SessionsRevoked)
            .user_id(identity.id.as_str())
            .session(handle)
            .reason("others_ended_by_owner")
            .count(count)
            .emit();
        Ok(count)
    }
}
