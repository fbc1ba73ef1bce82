//! `GET|POST /login/second-factor`: the second step of a login, by a code of an app or a recovery code. `POST /login/passkey/options` and
//! `POST /login/passkey`: the same by a passkey; without a login that waits, the whole login by a passkey.

use askama::Template;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jackline::{Session, SessionError};
use serde::Deserialize;
use serde_json::Value;

use super::login::answer;
use crate::app::App;
use crate::body::JsonBody;
use crate::error::{ApiError, TOO_OFTEN};
use crate::factors::{Assertion, Kind, RelyingParty};
use crate::login::{self, Step};
use crate::pages::{Arrival, Frame, HOME, Input, Next, PageOnly, Place, Wants, page, see_other};

/// The page.
#[derive(Template)]
#[template(path = "second_factor.html")]
struct SecondFactorPage<'a> {
    frame: Frame,
    next: &'a Next,
    offered: Offered,
    wrong: Option<&'a str>,
}

/// What it offers, or the page to prove again who one is.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) passkey: bool,
    pub(super) app: bool,
    pub(super) recovery: bool,
}

impl Offered {
    pub(super) fn of(kinds: &[Kind]) -> Self {
        Self {
            passkey: kinds.contains(&Kind::Passkey),
            app: kinds.contains(&Kind::Totp),
            recovery: kinds.contains(&Kind::Recovery),
        }
    }

    /// Whether there is any code to be typed.
    pub(super) fn code(&self) -> bool {
        self.app || self.recovery
    }
}

impl<'a> SecondFactorPage<'a> {
    fn of(
        session: &Session,
        kinds: &[Kind],
        next: &'a Next,
        wrong: Option<&'a str>,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            frame: Frame::of(session, "One more step", Place::Elsewhere)?,
            next,
            offered: Offered::of(kinds),
            wrong,
        })
    }
}

/// The page to take it on. Where no login waits for it, it begins anew.
///
/// # Errors
/// `503` if a store is away.
pub async fn show(
    _: PageOnly,
    State(app): State<App>,
    session: Session,
    Query(arrival): Query<Arrival>,
) -> Result<Response, ApiError> {
    if session.identity().is_some() {
        return Ok(see_other(arrival.next.path_or(HOME)));
    }
    match login::awaited(&app, &session).await {
        Ok(kinds) => page(
            StatusCode::OK,
            &SecondFactorPage::of(&session, &kinds, &arrival.next, None)?,
        ),
        Err(error) if waits_no_more(&error) => Ok(see_other(&arrival.next.after("/login"))),
        Err(error) => Err(error),
    }
}

fn waits_no_more(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::Session(
            SessionError::NotAuthenticated
                | SessionError::Expired(_)
                | SessionError::LoginTooSlow
                | SessionError::LoginRevoked
        )
    )
}

/// `{"code":"123456"}`
#[derive(Debug, Deserialize)]
pub struct SecondFactor {
    code: Code,
    #[serde(default)]
    next: Next,
}

/// A code as it was typed.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Code(String);

impl Code {
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(hidden)")
    }
}

/// Checks the code, and logs in whoever's password was right before.
///
/// # Errors
/// As [`login::with_code`].
pub async fn give(
    State(app): State<App>,
    session: Session,
    headers: HeaderMap,
    wants: Wants,
    Input(given): Input<SecondFactor>,
) -> Result<Response, ApiError> {
    let SecondFactor { code, next } = given;
    let done = login::with_code(&app, &session, &headers, &code.into_text()).await;
    let error = match done {
        Ok(done) => return Ok(answer(Step::LoggedIn(done), wants, &next)),
        Err(error) if wants == Wants::Page && waits_no_more(&error) => {
            return Ok(see_other(&next.after("/login")));
        }
        Err(error) => error,
    };
    let wrong = match &error {
        ApiError::InvalidCredentials => "That code is wrong, or was used already.",
        error if error.is_too_often() => TOO_OFTEN,
        _ => return Err(error),
    };
    if wants == Wants::Json {
        return Err(error);
    }
    let kinds = login::awaited(&app, &session).await?;
    error.on_page(&SecondFactorPage::of(&session, &kinds, &next, Some(wrong))?)
}

/// The options of `navigator.credentials.get`: `{"publicKey":…}`.
///
/// # Errors
/// As [`login::ask_for_passkey`].
pub async fn ask_for_passkey(
    State(app): State<App>,
    session: Session,
    party: RelyingParty,
) -> Result<Json<Value>, ApiError> {
    login::ask_for_passkey(&app, &session, &party)
        .await
        .map(Json)
}

/// Checks the passkey's answer, and logs its owner in.
///
/// # Errors
/// As [`login::with_passkey`].
pub async fn give_passkey(
    State(app): State<App>,
    session: Session,
    headers: HeaderMap,
    JsonBody(given): JsonBody<Assertion>,
) -> Result<Response, ApiError> {
    let done = login::with_passkey(&app, &session, &headers, &given).await?;
    // Only scripts speak with authenticators.
    Ok(answer(Step::LoggedIn(done), Wants::Json, &Next::default()))
}
