//! `POST /login`: from a user name and a password to a new session. Unknown user, wrong password and disabled user are one
//! answer, and take the same steps in the same order.

use axum::Json;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::AppendHeaders;
use jackline::LazySession;
use jackline::lifecycle::{OwnerId, Role};
use serde::{Deserialize, Serialize};

use super::judged;
use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::passwords::{Password, Verdict};
use crate::users::{Credentials, UserId};

/// `{"username":"alice","password":"…"}`
#[derive(Debug, Deserialize)]
pub struct Login {
    username: String,
    password: Password,
}

/// `{"ok":true,"user":"alice"}`
#[derive(Debug, Serialize)]
pub struct LoggedIn {
    ok: bool,
    user: String,
}

/// The cookie by which a device is known from its first login on.
pub type DeviceHeader = AppendHeaders<Option<(HeaderName, HeaderValue)>>;

/// Checks the password, and logs the user in with a new token.
///
/// # Errors
/// `401` for whatever is wrong with the credentials, `429` after too many that failed or while too many are being checked, `503` if a
/// store is away.
pub async fn log_in(
    State(app): State<App>,
    session: LazySession,
    headers: HeaderMap,
    JsonBody(login): JsonBody<Login>,
) -> Result<(DeviceHeader, Json<LoggedIn>), ApiError> {
    let (guessing, now) = (&app.guessing, app.now_ms.moment());
    let trial = guessing
        .login(&session, &headers, &login.username, now)
        .await?;
    let known = app.users.find_id(&login.username).await?;
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
    let verified = app.hasher.verify(login.password, hash).await;
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
        strengthen(&app, id, &user, stronger).await;
    }
    session.log_in(
        attempt,
        user.username.as_str(),
        Role::new(user.role.as_str()),
    )?;
    let device = guessing
        .remember(&session, &headers, &login.username, now)
        .map_err(ApiError::Internal)?;
    Ok((
        AppendHeaders(device.map(|cookie| (SET_COOKIE, cookie))),
        Json(LoggedIn {
            ok: true,
            user: user.username.as_str().to_owned(),
        }),
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
