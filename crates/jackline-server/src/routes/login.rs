//! `POST /login`: from a user name and a password to a new session, or to one that waits for a second factor. Unknown user, wrong password
//! and disabled user are one answer.

use axum::Json;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::AppendHeaders;
use jackline::LazySession;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::factors::Kind;
use crate::login::{self, LoggedIn, Step};
use crate::passwords::Password;

/// `{"username":"alice","password":"…"}`
#[derive(Debug, Deserialize)]
pub struct Login {
    username: String,
    password: Password,
}

/// `{"ok":true,"user":"alice"}`, or `{"ok":false,"secondFactor":["passkey","totp","recovery"]}`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum LoginAnswer {
    /// Somebody is logged in.
    #[serde(rename_all = "camelCase")]
    LoggedIn {
        /// They are.
        ok: bool,
        /// Who.
        user: String,
        /// How many recovery codes are left, if one was used.
        #[serde(skip_serializing_if = "Option::is_none")]
        recovery_codes_left: Option<usize>,
    },
    /// The password was right, and nobody is logged in yet.
    #[serde(rename_all = "camelCase")]
    SecondFactor {
        /// Nobody is.
        ok: bool,
        /// With what the second step can be taken.
        second_factor: Vec<Kind>,
    },
}

/// The cookie by which a device is known from its first login on.
pub type DeviceHeader = AppendHeaders<Option<(HeaderName, HeaderValue)>>;

/// Checks the password, and logs the user in with a new token, or asks for the second factor.
///
/// # Errors
/// As [`login::with_password`].
pub async fn log_in(
    State(app): State<App>,
    session: LazySession,
    headers: HeaderMap,
    JsonBody(login): JsonBody<Login>,
) -> Result<(DeviceHeader, Json<LoginAnswer>), ApiError> {
    let step =
        login::with_password(&app, &session, &headers, &login.username, login.password).await?;
    Ok(match step {
        Step::LoggedIn(done) => answer(done),
        Step::SecondFactor(second_factor) => (
            AppendHeaders(None),
            Json(LoginAnswer::SecondFactor {
                ok: false,
                second_factor,
            }),
        ),
    })
}

/// What a login is answered with.
pub(super) fn answer(done: LoggedIn) -> (DeviceHeader, Json<LoginAnswer>) {
    (
        AppendHeaders(done.device.map(|cookie| (SET_COOKIE, cookie))),
        Json(LoginAnswer::LoggedIn {
            ok: true,
            user: done.username,
            recovery_codes_left: done.recovery_codes_left,
        }),
    )
}
