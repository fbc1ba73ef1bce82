//! Logging in. The one way to an identity (J1), and the reason why "log out everywhere" also catches a login that is under
//! way (J4).

use std::time::Duration;

use super::{LazySession, Look, Session, SessionError};
use crate::lifecycle::{AwaitedLogin, Identity, OwnerId, PreLoginData, Record, Role, UnixMs};
use crate::store::Epoch;
use crate::token::Bucket;

/// Evidence that a login began before its credentials were checked. [`Session::log_in`] asks for it.
///
/// It holds the owner's revocation epoch. If everything of theirs is revoked between the beginning and the end of the
/// login, the epochs differ and the login is refused.
///
/// Nobody can make one up, and without one there is no identity:
///
/// ```compile_fail,E0451
/// use jackline::session::LoginAttempt;
///
/// fn forged(genuine: LoginAttempt) -> LoginAttempt {
///     LoginAttempt { ..genuine }
/// }
/// ```
///
/// Proves: J1
#[derive(Debug)]
#[must_use = "a login that began is completed by `Session::log_in`"]
pub struct LoginAttempt {
    owner: OwnerId,
    epoch: Epoch,
    began: UnixMs,
}

impl LoginAttempt {
    /// The longest that a login may take. A store remembers an epoch for longer.
    pub const MAX_AGE: Duration = Duration::from_secs(10 * 60);

    /// Who is logging in.
    #[must_use]
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }
}

impl LazySession {
    /// Looks the session up and [begins a login](Session::begin_login): in one round trip, where one after the other would take two.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`].
    pub async fn begin_login(
        &self,
        owner: &OwnerId,
    ) -> Result<(Session, LoginAttempt), SessionError> {
        let began = self.shared().context.clock.now();
        let (session, epoch) = self.load_asking(Some(owner), Look::Use).await?;
        let attempt = match epoch {
            Some(epoch) => LoginAttempt {
                owner: owner.clone(),
                epoch,
                began,
            },
            // It had been looked up before, or there is none.
            None => session.begin_login(owner).await?,
        };
        Ok((session, attempt))
    }
}

impl Session {
    /// Begins a login: **before** the owner's credentials are read and checked. One round trip.
    ///
    /// In this order: find out whose login it is, `begin_login`, read their credentials, check them, [`Session::log_in`].
    /// What was read before could have been revoked meanwhile.
    ///
    /// ```
    /// use jackline::lifecycle::{OwnerId, Role};
    /// # async fn password_is_right(_: &OwnerId) -> bool { true }
    /// # async fn example(session: jackline::Session) -> Result<(), jackline::SessionError> {
    /// let owner = OwnerId::new("user-1001").expect("a constant that is a valid identifier");
    /// let attempt = session.begin_login(&owner).await?;
    /// if password_is_right(&owner).await {
    ///     session.log_in(attempt, "alice", Role::user())?;
    /// } else {
    ///     session.report_login_failure(Some(owner.as_str()), "wrong_password");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::Unavailable`].
    pub async fn begin_login(&self, owner: &OwnerId) -> Result<LoginAttempt, SessionError> {
        let context = &self.0.context;
        let began = context.clock.now();
        let epoch = context.store.epoch(owner, began).await?;
        Ok(LoginAttempt {
            owner: owner.clone(),
            epoch,
            began,
        })
    }

    /// Logs the owner in, when the response is ready: a new session with a new token and new limits begins, and the one that
    /// the request came with ends (OWASP ASVS 7.2.4). From here on this handle is the new session.
    ///
    /// The response is replaced by a `401` if the owner's sessions were revoked since the attempt began, and by a `403` if
    /// the policy's cap refuses the login.
    ///
    /// # Errors
    /// [`SessionError::LoginTooSlow`] after ten minutes; as [`Session::insert`], but for `Encode`.
    pub fn log_in(
        &self,
        attempt: LoginAttempt,
        name: impl Into<String>,
        role: Role,
    ) -> Result<(), SessionError> {
        let context = &self.0.context;
        let now = context.clock.now();
        if now.since(attempt.began) > LoginAttempt::MAX_AGE {
            return Err(SessionError::LoginTooSlow);
        }
        let token = context.fresh_token(Some(Bucket::of(&attempt.owner)))?;
        let identity = Identity::new(attempt.owner, name, role);
        let record = Record::logged_in(identity, &context.policy, self.0.request.origin(), now);
        let mut state = self.0.writable()?;
        // What a visitor has gathered, or the owner themself. Never what another owner left in this browser.
        let carry = context.policy.pre_login_data() == PreLoginData::Carry
            && state
                .record
                .owner()
                .is_none_or(|before| Some(before) == record.owner());
        state.stage_login(attempt.epoch, token, record, carry, context.new_delta());
        Ok(())
    }

    /// Keeps a login for its second factor, when the response is ready: the first was right, and the owner has a second. The session gets
    /// a new token and remembers the login, and it is nobody's: whoever asks who is logged in hears that nobody is. What
    /// a visitor has gathered stays; if somebody was logged in, their session ends as at a login, and nothing of it moves along.
    ///
    /// The next request asks [`Session::awaiting_second_factor`] whose factor to check, and after that takes the login up again with
    /// [`Session::resume_login`].
    ///
    /// ```
    /// use jackline::lifecycle::{OwnerId, Role};
    /// # async fn password_is_right(_: &OwnerId) -> bool { true }
    /// # async fn code_is_right(_: &OwnerId) -> bool { true }
    /// async fn first(session: jackline::Session) -> Result<(), jackline::SessionError> {
    ///     let owner = OwnerId::new("user-1001").expect("a constant that is a valid identifier");
    ///     let attempt = session.begin_login(&owner).await?;
    ///     if password_is_right(&owner).await {
    ///         session.await_second_factor(attempt)?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// async fn second(session: jackline::Session) -> Result<(), jackline::SessionError> {
    ///     let Some(owner) = session.awaiting_second_factor() else {
    ///         return Err(jackline::SessionError::NotAuthenticated);
    ///     };
    ///     if code_is_right(&owner).await {
    ///         session.log_in(session.resume_login()?, "alice", Role::user())?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Session::log_in`]. The response is replaced by a `401` if the visitor's session ended meanwhile.
    pub fn await_second_factor(&self, attempt: LoginAttempt) -> Result<(), SessionError> {
        let (context, now) = (&self.0.context, self.0.context.clock.now());
        if now.since(attempt.began) > LoginAttempt::MAX_AGE {
            return Err(SessionError::LoginTooSlow);
        }
        let login = AwaitedLogin {
            owner: attempt.owner,
            epoch: attempt.epoch.0,
            began: attempt.began,
        };
        let mut state = self.0.writable()?;
        let record = state
            .awaits_afresh()
            .then(|| Record::visitor(&context.policy, self.0.request.origin(), now));
        // One that moves stays in its bucket.
        let bucket = match record {
            Some(_) => None,
            None => state.stored_key().map(|key| key.bucket()),
        };
        let new = context.fresh_token(bucket)?;
        state.stage_await(login, new, record, context.new_delta());
        Ok(())
    }

    /// Whose second factor this session waits for; `None` if it waits for none, or has for longer than [`LoginAttempt::MAX_AGE`].
    #[must_use]
    pub fn awaiting_second_factor(&self) -> Option<OwnerId> {
        let now = self.0.context.clock.now();
        let state = self.0.lock();
        let login = state.record.meta.awaits.as_ref()?;
        let in_time = now.since(login.began) <= LoginAttempt::MAX_AGE;
        in_time.then(|| login.owner.clone())
    }

    /// The login that waits for its second factor, for [`Session::log_in`], with the epoch and the time of its beginning: everything
    /// that was revoked since is revoked for it too, and no pause makes it longer.
    ///
    /// Call it only when the owner's second factor was checked in this request.
    ///
    /// # Errors
    /// [`SessionError::Expired`] if the session has just run out; [`SessionError::NotAuthenticated`] if it waits for nothing;
    /// [`SessionError::LoginTooSlow`] ten minutes after the login began.
    pub fn resume_login(&self) -> Result<LoginAttempt, SessionError> {
        self.refuse_expired()?;
        let now = self.0.context.clock.now();
        let login = self.0.lock().record.meta.awaits.clone();
        let login = login.ok_or(SessionError::NotAuthenticated)?;
        if now.since(login.began) > LoginAttempt::MAX_AGE {
            return Err(SessionError::LoginTooSlow);
        }
        Ok(LoginAttempt {
            owner: login.owner,
            epoch: Epoch(login.epoch),
            began: login.began,
        })
    }
}
