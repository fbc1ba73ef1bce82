//! `GET|POST /login`: from a user name and a password to a new session, or to one that waits for a second factor. Unknown user, wrong
//! password and disabled user are one answer.

use askama::Template;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use jackline::{LazySession, Session};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::{ApiError, TOO_OFTEN};
use crate::factors::Kind;
use crate::login::{self, LoggedIn, Step};
use crate::pages::{Arrival, Frame, HOME, Input, Next, Notice, PageOnly, Wants, page, see_other};
use crate::passwords::Password;

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

/// `{"ok":true,"user":"alice"}`, or `{"ok":false,"secondFactor":["passkey","totp","recovery"]}`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum LoginAnswer {
    /// Somebody is logged in.
    #[serde(rename_all = "camelCase")]
    LoggedIn {
        ok: bool,
        user: String,
        /// How many recovery codes are left, if one was used.
        #[serde(skip_serializing_if = "Option::is_none")]
        recovery_codes_left: Option<usize>,
    },
    /// The password was right, and nobody is logged in yet.
    #[serde(rename_all = "camelCase")]
    SecondFactor {
        ok: bool,
        /// With what the second step can be taken.
        second_factor: Vec<Kind>,
    },
}

/// Checks the password, and logs the user in with a new token, or asks for the second factor.
///
/// # Errors
/// As [`login::with_password`].
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
    let step = login::with_password(&app, &session, &headers, &username, password).await;
    let error = match step {
        Ok(step) => return Ok(answer(step, wants, &next)),
        Err(error) => error,
    };
    let wrong = match &error {
        ApiError::InvalidCredentials => "The user name or the password is wrong.",
        error if error.is_too_often() => TOO_OFTEN,
        _ => return Err(error),
    };
    error.on_form(wants, || LoginPage {
        frame: Frame::for_anybody("Sign in"),
        notice: Notice::default(),
        next: &next,
        username: &username,
        wrong: Some(wrong),
    })
}

/// What a step of a login is answered with.
pub(super) fn answer(step: Step, wants: Wants, next: &Next) -> Response {
    match (wants, step) {
        (Wants::Json, Step::SecondFactor(second_factor)) => Json(LoginAnswer::SecondFactor {
            ok: false,
            second_factor,
        })
        .into_response(),
        (Wants::Json, Step::LoggedIn(done)) => {
            let device = device(&done);
            let answer = Json(LoginAnswer::LoggedIn {
                ok: true,
                user: done.username,
                recovery_codes_left: done.recovery_codes_left,
            });
            (device, answer).into_response()
        }
        (Wants::Page, Step::SecondFactor(_)) => see_other(&next.after("/login/second-factor")),
        (Wants::Page, Step::LoggedIn(done)) => {
            // Whoever has used a recovery code has lost something, and is shown where to replace it.
            let then = match done.recovery_codes_left {
                Some(_) => "/factors?said=recovery-code-used",
                None => next.path_or(HOME),
            };
            (device(&done), see_other(then)).into_response()
        }
    }
}

/// The cookie by which this device is known from now on.
fn device(done: &LoggedIn) -> impl axum::response::IntoResponseParts + use<> {
    AppendHeaders(done.device.clone().map(|cookie| (SET_COOKIE, cookie)))
}
