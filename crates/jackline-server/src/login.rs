//! Logging in, step by step, for whoever asks: a program by JSON or a person by a page. A password alone logs in whoever has nothing
//! else; who has a second factor gets a session that waits for it and is nobody's. A passkey is both in one.
//!
//! Unknown user, wrong password and disabled user are one answer, and take the same steps in the same order. Only after the right password
//! does an answer say more.

use axum::http::{HeaderMap, HeaderValue};
use jackline::lifecycle::{OwnerId, Role};
use jackline::session::LoginAttempt;
use jackline::{LazySession, Session, SessionError};
use serde_json::Value;

use crate::app::App;
use crate::error::ApiError;
use crate::factors::{Assertion, Ceremony, Kind, Purpose, RelyingParty, Used};
use crate::passwords::{Password, PhcHash, Verdict};
use crate::routes::judged;
use crate::users::{self, Credentials, UserId};

/// What a step came to.
#[derive(Debug)]
pub enum Step {
    /// Somebody is logged in.
    LoggedIn(LoggedIn),
    /// The password was right, and one of these is awaited.
    SecondFactor(Vec<Kind>),
}

/// A login, as far as its answer is concerned.
#[derive(Debug)]
pub struct LoggedIn {
    /// The user's name, as it is stored.
    pub username: String,
    /// The `Set-Cookie` by which this device is known from now on, unless it is already.
    pub device: Option<HeaderValue>,
    /// How many recovery codes are left, if one was used.
    pub recovery_codes_left: Option<usize>,
}

/// The first step: name and password.
///
/// # Errors
/// `401` for whatever is wrong with them, `403` for an administrator in production who has no second factor, `429` after too many that
/// failed or while too many are being checked, `503` if a store is away.
pub async fn with_password(
    app: &App,
    session: &LazySession,
    headers: &HeaderMap,
    username: &str,
    password: Password,
) -> Result<Step, ApiError> {
    let now = app.now_ms.moment();
    let trial = app.guessing.login(session, headers, username, now).await?;
    let known = app.users.find_id(username).await?;
    let trial = trial.concerning(known.as_ref().map(UserId::as_str));
    // For a user that is not there the same questions are asked in vain, so that it takes as long.
    let asked = known.clone().unwrap_or_else(UserId::nobody);
    let owner = owner(&asked)?;
    // Before the credentials are read: what is revoked from here on is revoked for this login too (J4).
    let (session, attempt) = session.begin_login(&owner).await?;
    let credentials = app.users.credentials(&asked).await?;
    let hash = credentials
        .as_ref()
        .map(|credentials| credentials.hash.clone());
    let verified = app.hasher.verify(password, hash).await;
    let (trial, verdict) = judged(trial, &session, verified).await?;
    let refused = |reason| {
        session.report_login_failure(known.as_ref().map(UserId::as_str), reason);
        Err(ApiError::InvalidCredentials)
    };
    let (Some(id), Some(user)) = (&known, credentials) else {
        return refused("unknown_user");
    };
    let Verdict::Right { stronger } = verdict else {
        return refused("wrong_password");
    };
    if user.disabled {
        return refused("disabled");
    }
    let held = app.factors.of(id).await?;
    trial.succeeded().await?;
    if let Some(stronger) = stronger {
        strengthen(app, id, &user, stronger).await;
    }
    if held.asks_for_second() {
        session.await_second_factor(attempt)?;
        return Ok(Step::SecondFactor(held.kinds()));
    }
    if app.admins_need_second_factor && user.role == users::Role::Admin {
        session.report_login_failure(Some(id.as_str()), "no_second_factor");
        return Err(ApiError::SecondFactorNeeded);
    }
    complete(app, &session, headers, attempt, &user, None).map(Step::LoggedIn)
}

/// The second step: a code of an app, or a recovery code.
///
/// # Errors
/// `401` if it is wrong, was used before, or no login waits for it; `429` after too many that failed; `503` if a store is away.
pub async fn with_code(
    app: &App,
    session: &Session,
    headers: &HeaderMap,
    code: &str,
) -> Result<LoggedIn, ApiError> {
    let attempt = session.resume_login()?;
    let (id, user) = waiting(app, session, &attempt).await?;
    let (name, now) = (user.username.as_str(), app.now_ms.moment());
    let trial = app
        .guessing
        .second_factor(session, headers, name, now)
        .await?;
    let used = app.factors.check_code(&id, code, app.now_ms.get()).await?;
    let left = match used {
        None => {
            session.report_login_failure(Some(id.as_str()), "wrong_code");
            return Err(ApiError::InvalidCredentials);
        }
        Some(Used::Totp) => None,
        Some(Used::Recovery { left }) => Some(left),
    };
    trial.succeeded().await?;
    complete(app, session, headers, attempt, &user, left)
}

/// What a browser needs to ask for a passkey: as the second step, if a login waits for it, else to log in without a password.
///
/// # Errors
/// `404` if whoever logs in has no passkey, `409` if this server goes by no name, `503` if a store is away.
pub async fn ask_for_passkey(
    app: &App,
    session: &Session,
    party: &RelyingParty,
) -> Result<Value, ApiError> {
    let waiting = session.awaiting_second_factor();
    let user = waiting.map(|owner| UserId::stored(owner.to_string()));
    let purpose = match user {
        Some(_) => Purpose::SecondFactor,
        None => Purpose::SignIn,
    };
    let now_ms = app.now_ms.get();
    let options = app
        .factors
        .ask_for_passkey(session, party, purpose, user.as_ref(), now_ms)
        .await?;
    Ok(options)
}

/// A passkey's answer: the second step, if a login waits for it, else the only one.
///
/// # Errors
/// As [`with_code`].
pub async fn with_passkey(
    app: &App,
    session: &Session,
    headers: &HeaderMap,
    answer: &Assertion,
) -> Result<LoggedIn, ApiError> {
    match session.awaiting_second_factor() {
        Some(_) => with_second_passkey(app, session, headers, answer).await,
        None => with_passkey_alone(app, session, headers, answer).await,
    }
}

async fn with_second_passkey(
    app: &App,
    session: &Session,
    headers: &HeaderMap,
    answer: &Assertion,
) -> Result<LoggedIn, ApiError> {
    let attempt = session.resume_login()?;
    let (id, user) = waiting(app, session, &attempt).await?;
    let (name, now) = (user.username.as_str(), app.now_ms.moment());
    let trial = app
        .guessing
        .second_factor(session, headers, name, now)
        .await?;
    if !answers(app, session, Purpose::SecondFactor, &id, answer).await? {
        session.report_login_failure(Some(id.as_str()), "wrong_passkey");
        return Err(ApiError::InvalidCredentials);
    }
    trial.succeeded().await?;
    complete(app, session, headers, attempt, &user, None)
}

async fn with_passkey_alone(
    app: &App,
    session: &Session,
    headers: &HeaderMap,
    answer: &Assertion,
) -> Result<LoggedIn, ApiError> {
    let now_ms = app.now_ms.get();
    let trial = app.guessing.passkey(session).await?;
    let asked = Ceremony::take(session, Purpose::SignIn, now_ms).await?;
    let claimed = app.factors.claimed_owner(answer).await?;
    let refused = |id: Option<&UserId>, reason| {
        session.report_login_failure(id.map(UserId::as_str), reason);
        Err(ApiError::InvalidCredentials)
    };
    let (Some(asked), Some(id)) = (asked, claimed) else {
        return refused(None, "wrong_passkey");
    };
    // Before the passkey and its owner are read for good: what is revoked from here on is revoked for this login too (J4).
    let attempt = session.begin_login(&owner(&id)?).await?;
    let right = app.factors.check_passkey(&asked, &id, answer, now_ms);
    if !right.await? {
        return refused(Some(&id), "wrong_passkey");
    }
    let Some(user) = app.users.credentials(&id).await? else {
        return refused(None, "unknown_user");
    };
    if user.disabled {
        return refused(Some(&id), "disabled");
    }
    trial.succeeded().await?;
    complete(app, session, headers, attempt, &user, None)
}

/// Whether a passkey of this user's answers what their session was asked for this purpose.
async fn answers(
    app: &App,
    session: &Session,
    purpose: Purpose,
    id: &UserId,
    answer: &Assertion,
) -> Result<bool, ApiError> {
    let now_ms = app.now_ms.get();
    let Some(asked) = Ceremony::take(session, purpose, now_ms).await? else {
        return Ok(false);
    };
    Ok(app
        .factors
        .check_passkey(&asked, id, answer, now_ms)
        .await?)
}

/// Whose login waits.
async fn waiting(
    app: &App,
    session: &Session,
    attempt: &LoginAttempt,
) -> Result<(UserId, Credentials), ApiError> {
    let id = UserId::stored(attempt.owner().to_string());
    match app.users.credentials(&id).await? {
        Some(user) if !user.disabled => Ok((id, user)),
        _ => {
            session.report_login_failure(Some(id.as_str()), "disabled");
            Err(ApiError::InvalidCredentials)
        }
    }
}

/// Logs in whoever has proved all that is asked of them.
fn complete(
    app: &App,
    session: &Session,
    headers: &HeaderMap,
    attempt: LoginAttempt,
    user: &Credentials,
    recovery_codes_left: Option<usize>,
) -> Result<LoggedIn, ApiError> {
    let username = user.username.as_str();
    session.log_in(attempt, username, Role::new(user.role.as_str()))?;
    let device = app
        .guessing
        .remember(session, headers, username, app.now_ms.moment())
        .map_err(ApiError::Internal)?;
    Ok(LoggedIn {
        username: username.to_owned(),
        device,
        recovery_codes_left,
    })
}

fn owner(id: &UserId) -> Result<OwnerId, ApiError> {
    OwnerId::new(id.as_str()).map_err(|error| ApiError::Internal(error.into()))
}

/// Keeps the stronger hash. A login does not fail because that does.
async fn strengthen(app: &App, id: &UserId, user: &Credentials, stronger: PhcHash) {
    if let Err(error) = app
        .users
        .refresh_hash(id, user.hash.clone(), stronger)
        .await
    {
        tracing::warn!(%error, "a password's stronger hash could not be kept");
    }
}

/// What proves again who is logged in.
pub enum Proof {
    /// Their password.
    Password(Password),
    /// A code of an app, or a recovery code.
    Code(String),
    /// A passkey's answer to what [`ask_again_for_passkey`] asked.
    Passkey(Box<Assertion>),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(hidden)",
            Self::Code(_) => "Code(hidden)",
            Self::Passkey(_) => "Passkey(hidden)",
        })
    }
}

/// Takes any proof that the account has. The session gets a new token. Says how many recovery codes are left, if one was used.
///
/// # Errors
/// `401` if it is wrong or nobody is logged in, `429` after too many that failed or while too many are being checked, `503` if a store is
/// away.
pub async fn step_up(
    app: &App,
    session: &Session,
    proof: Proof,
) -> Result<Option<usize>, ApiError> {
    let identity = session.require_identity()?;
    let trial = app.guessing.again(session).await?;
    let (id, now_ms) = (UserId::stored(identity.id.to_string()), app.now_ms.get());
    let credentials = app.users.credentials(&id).await?;
    let refused = |reason| {
        session.report_step_up_failure(reason);
        Err(ApiError::InvalidCredentials)
    };
    let mut left = None;
    let trial = match proof {
        Proof::Password(password) => {
            let hash = credentials
                .as_ref()
                .map(|credentials| credentials.hash.clone());
            let verified = app.hasher.verify(password, hash).await;
            let (trial, verdict) = judged(trial, session, verified).await?;
            if verdict == Verdict::Wrong {
                return refused("wrong_password");
            }
            trial
        }
        Proof::Code(code) => {
            match app.factors.check_code(&id, &code, now_ms).await? {
                None => return refused("wrong_code"),
                Some(Used::Totp) => {}
                Some(Used::Recovery { left: now_left }) => left = Some(now_left),
            }
            trial
        }
        Proof::Passkey(answer) => {
            if !answers(app, session, Purpose::StepUp, &id, &answer).await? {
                return refused("wrong_passkey");
            }
            trial
        }
    };
    if credentials.is_none_or(|credentials| credentials.disabled) {
        return refused("disabled");
    }
    trial.succeeded().await?;
    session.step_up()?;
    Ok(left)
}

/// What a browser needs to ask whoever is logged in for one of their passkeys.
///
/// # Errors
/// `401` if nobody is logged in, `404` if they have none, `409` if this server goes by no name, `503` if a store is away.
pub async fn ask_again_for_passkey(
    app: &App,
    session: &Session,
    party: &RelyingParty,
) -> Result<Value, ApiError> {
    let identity = session.require_identity()?;
    let id = UserId::stored(identity.id.to_string());
    let now_ms = app.now_ms.get();
    let options = app
        .factors
        .ask_for_passkey(session, party, Purpose::StepUp, Some(&id), now_ms)
        .await?;
    Ok(options)
}

/// Whether a login waits here for its second step, and with what it can be taken.
///
/// # Errors
/// [`SessionError::NotAuthenticated`] or [`SessionError::LoginTooSlow`] if none waits; `503` if a store is away.
pub async fn awaited(app: &App, session: &Session) -> Result<Vec<Kind>, ApiError> {
    let Some(owner) = session.awaiting_second_factor() else {
        // Says why.
        let too_slow = session.resume_login().err();
        return Err(too_slow.unwrap_or(SessionError::NotAuthenticated).into());
    };
    let id = UserId::stored(owner.to_string());
    Ok(app.factors.of(&id).await?.kinds())
}
