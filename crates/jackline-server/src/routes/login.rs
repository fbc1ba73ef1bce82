//! `GET|POST /login`: from a user name and a password to a new session. Unknown user, wrong password and disabled user are one
//! answer, and take the same steps in the same order.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use jackline::lifecycle::{OwnerId, Role};
use jackline::{LazySession, Session, SessionError};
use serde::{Deserialize, Serialize};

use super::judged;
use crate::app::App;
use crate::error::ApiError;
use crate::pages::{Arrival, Frame, HOME, Input, Next, Notice, PageOnly, Wants, page, see_other};
use crate::passwords::{Password, Verdict};
use crate::users::{Credentials, UserId};

/// The page.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    notice: Notice,
    next: &'a Next,
    username: &'a str,
    wrong: Option<&'a str>,
}

/// The page to sign in on; whoever is signed in is sent on.
///
/// # Errors
/// `503` if the store is away.
pub async fn show(
    _: PageOnly,
    session: Session,
    Query(arrival): Query<Arrival>,
) -> Result<Response, ApiError> {
    if session.identity().is_some() {
        return Ok(see_other(arrival.next.path_or(HOME)));
    }
    let empty = LoginPage {
        frame: Frame::for_anybody("Sign in"),
        notice: arrival.said,
        next: &arrival.next,
        username: "",
        wrong: None,
    };
    page(StatusCode::OK, &empty)
}

/// `{"username":"alice","password":"…"}`
#[derive(Debug, Deserialize)]
pub struct Login {
    username: String,
    password: Password,
    #[serde(default)]
    next: Next,
}

/// `{"ok":true,"user":"alice"}`
#[derive(Debug, Serialize)]
pub struct LoggedIn {
    ok: bool,
    user: String,
}

/// The cookie by which a device is known from its first login on.
type DeviceHeader = AppendHeaders<Option<(HeaderName, HeaderValue)>>;

/// Checks the password, and logs the user in with a new token.
///
/// # Errors
/// `401` for whatever is wrong with the credentials, `429` after too many that failed or while too many are being checked, `503` if a
/// store is away.
pub async fn log_in(
    State(app): State<App>,
    session: LazySession,
    headers: HeaderMap,
    wants: Wants,
    Input(login): Input<Login>,
) -> Result<Response, ApiError> {
    let Login {
        username,
        password,
        next,
    } = login;
    let outcome = attempt(&app, session, &headers, &username, password).await;
    match (wants, outcome) {
        (Wants::Json, outcome) => outcome.map(|(device, user)| {
            (device, axum::Json(LoggedIn { ok: true, user })).into_response()
        }),
        (Wants::Page, Ok((device, _))) => {
            Ok((device, see_other(next.path_or(HOME))).into_response())
        }
        (Wants::Page, Err(error)) => {
            let wrong = match &error {
                ApiError::InvalidCredentials => "The user name or the password is wrong.",
                ApiError::TooManyRequests | ApiError::Session(SessionError::TooManyAttempts(_)) => {
                    "Too many attempts. Wait a little, then try again."
                }
                _ => return Err(error),
            };
            let again = LoginPage {
                frame: Frame::for_anybody("Sign in"),
                notice: Notice::default(),
                next: &next,
                username: &username,
                wrong: Some(wrong),
            };
            error.on_page(&again)
        }
    }
}

async fn attempt(
    app: &App,
    session: LazySession,
    headers: &HeaderMap,
    username: &str,
    password: Password,
) -> Result<(DeviceHeader, String), ApiError> {
    let (guessing, now) = (&app.guessing, app.now_ms.moment());
    let trial = guessing.login(&session, headers, username, now).await?;
    let known = app.users.find_id(username).await?;
    let trial = trial.concerning(known.as_ref().map(UserId::as_str));
    // For a user that is not there the same questions are asked in vain, so that it takes as long.
    let asked = known.clone().unwrap_or_else(UserId::nobody);
    let owner = OwnerId::new(asked.as_str()).map_err(|error| ApiError::Internal(error.into()))?;
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
    trial.succeeded().await?;
    if let Some(stronger) = stronger {
        strengthen(app, id, &user, stronger).await;
    }
    session.log_in(
        attempt,
        user.username.as_str(),
        Role::new(user.role.as_str()),
    )?;
    let device = guessing
        .remember(&session, headers, username, now)
        .map_err(ApiError::Internal)?;
    Ok((
        AppendHeaders(device.map(|cookie| (SET_COOKIE, cookie))),
        user.username.as_str().to_owned(),
    ))
}

/// Keeps the stronger hash. A login does not fail because that does.
async fn strengthen(
    app: &App,
    id: &UserId,
    user: &Credentials,
    stronger: crate::passwords::PhcHash,
) {
    if let Err(error) = app
        .users
        .refresh_hash(id, user.hash.clone(), stronger)
        .await
    {
        tracing::warn!(%error, "a password's stronger hash could not be kept");
    }
}
