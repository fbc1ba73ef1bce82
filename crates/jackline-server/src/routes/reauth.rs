//! `GET|POST /reauth`: the owner proves again who they are, by whatever they have, for sensitive actions to follow.
//! `POST /reauth/passkey/options`: what a browser needs for that to ask for a passkey.

use askama::Template;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jackline::lifecycle::Identity;
use jackline::{Authenticated, Session};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::second_factor::{Code, Offered};
use crate::app::App;
use crate::error::{ApiError, TOO_OFTEN};
use crate::factors::{Assertion, RelyingParty};
use crate::login::{self, Proof};
use crate::pages::{Arrival, Frame, HOME, Input, Next, PageOnly, Place, Wants, page, see_other};
use crate::passwords::Password;
use crate::users::UserId;

/// The page.
#[derive(Template)]
#[template(path = "reauth.html")]
struct StepUpPage<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    offered: Offered,
    wrong_password: Option<&'a str>,
    wrong_code: Option<&'a str>,
}

impl<'a> StepUpPage<'a> {
    async fn of(
        app: &App,
        session: &Session,
        identity: &'a Identity,
        next: &'a Next,
    ) -> Result<Self, ApiError> {
        let id = UserId::stored(identity.id.to_string());
        Ok(Self {
            frame: Frame::of(session, "Confirm that it is you", Place::Elsewhere)?,
            username: &identity.name,
            next,
            offered: Offered::of(&app.factors.of(&id).await?.kinds()),
            wrong_password: None,
            wrong_code: None,
        })
    }
}

/// The page to do it on.
///
/// # Errors
/// `401` if nobody is logged in, `503` if a store is away.
pub async fn show(
    _: PageOnly,
    State(app): State<App>,
    Authenticated { session, identity }: Authenticated,
    Query(arrival): Query<Arrival>,
) -> Result<Response, ApiError> {
    let empty = StepUpPage::of(&app, &session, &identity, &arrival.next).await?;
    page(StatusCode::OK, &empty)
}

/// `{"password":"…"}`, `{"code":"…"}` or `{"passkey":{…}}`
#[derive(Debug, Deserialize)]
pub struct Reauthentication {
    password: Option<Password>,
    code: Option<Code>,
    passkey: Option<Box<Assertion>>,
    #[serde(default)]
    next: Next,
}

/// `{"ok":true}`, and how many recovery codes are left if one was used.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SteppedUp {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes_left: Option<usize>,
}

/// Checks what whoever is logged in shows. The session gets a new token.
///
/// # Errors
/// `400` unless it is one thing, and as [`login::step_up`].
pub async fn step_up(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, identity }: Authenticated,
    Input(presented): Input<Reauthentication>,
) -> Result<Response, ApiError> {
    let next = presented.next;
    let by_code = presented.code.is_some();
    let proof = match (presented.password, presented.code, presented.passkey) {
        (Some(password), None, None) => Proof::Password(password),
        (None, Some(code), None) => Proof::Code(code.into_text()),
        (None, None, Some(answer)) => Proof::Passkey(answer),
        _ => return Err(ApiError::BadRequest("Invalid request body")),
    };
    let error = match (login::step_up(&app, &session, proof).await, wants) {
        (Ok(recovery_codes_left), Wants::Json) => {
            return Ok(Json(SteppedUp {
                ok: true,
                recovery_codes_left,
            })
            .into_response());
        }
        (Ok(_), Wants::Page) => return Ok(see_other(next.path_or(HOME))),
        (Err(error), Wants::Json) => return Err(error),
        (Err(error), Wants::Page) => error,
    };
    let wrong = match &error {
        ApiError::InvalidCredentials if by_code => "That code is wrong, or was used already.",
        ApiError::InvalidCredentials => "The password is wrong.",
        error if error.is_too_often() => TOO_OFTEN,
        _ => return Err(error),
    };
    let mut again = StepUpPage::of(&app, &session, &identity, &next).await?;
    match by_code {
        true => again.wrong_code = Some(wrong),
        false => again.wrong_password = Some(wrong),
    }
    error.on_page(&again)
}

/// The options of `navigator.credentials.get`: `{"publicKey":…}`.
///
/// # Errors
/// As [`login::ask_again_for_passkey`].
pub async fn ask_for_passkey(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    party: RelyingParty,
) -> Result<Json<Value>, ApiError> {
    login::ask_again_for_passkey(&app, &session, &party)
        .await
        .map(Json)
}
