//! `POST /reauth`: the owner proves again who they are, by whatever they have, for sensitive actions to follow.
//! `POST /reauth/passkey/options`: what a browser needs for that to ask for a passkey.

use axum::Json;
use axum::extract::State;
use jackline::Authenticated;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::second_factor::Code;
use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::factors::{Assertion, RelyingParty};
use crate::login::{self, Proof};
use crate::passwords::Password;

/// `{"password":"…"}`, `{"code":"…"}` or `{"passkey":{…}}`
#[derive(Debug, Deserialize)]
pub struct Reauthentication {
    password: Option<Password>,
    code: Option<Code>,
    passkey: Option<Box<Assertion>>,
}

/// `{"ok":true}`, and how many recovery codes are left if one was used.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SteppedUp {
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
    Authenticated { session, .. }: Authenticated,
    JsonBody(presented): JsonBody<Reauthentication>,
) -> Result<Json<SteppedUp>, ApiError> {
    let proof = match (presented.password, presented.code, presented.passkey) {
        (Some(password), None, None) => Proof::Password(password),
        (None, Some(code), None) => Proof::Code(code.into_text()),
        (None, None, Some(answer)) => Proof::Passkey(answer),
        _ => return Err(ApiError::BadRequest("Invalid request body")),
    };
    let recovery_codes_left = login::step_up(&app, &session, proof).await?;
    Ok(Json(SteppedUp {
        ok: true,
        recovery_codes_left,
    }))
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
