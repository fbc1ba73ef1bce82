//! Logging in. The one way to an identity (J1), and the reason why "log out everywhere" also catches a login that is under
//! way (J4).

use std::time::Duration;

use super::{LazySession, Session, SessionError};
use crate::lifecycle::{Identity, OwnerId, PreLoginData, Record, Role, UnixMs};
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
        let (session, epoch) = self.load_asking(Some(owner)).await?;
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
}
