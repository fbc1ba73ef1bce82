//! `POST /login/second-factor`: the second step of a login, by a code of an app or a recovery code. `POST /login/passkey/options` and
//! `POST /login/passkey`: the same by a passkey; without a login that waits, the whole login by a passkey.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use jackline::Session;
use serde::Deserialize;
use serde_json::Value;

use super::login::{DeviceHeader, LoginAnswer, answer};
use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::factors::{Assertion, RelyingParty};
use crate::login;

/// `{"code":"123456"}`
#[derive(Debug, Deserialize)]
pub struct SecondFactor {
    code: Code,
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
    JsonBody(given): JsonBody<SecondFactor>,
) -> Result<(DeviceHeader, Json<LoginAnswer>), ApiError> {
    let code = given.code.into_text();
    login::with_code(&app, &session, &headers, &code)
        .await
        .map(answer)
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
) -> Result<(DeviceHeader, Json<LoginAnswer>), ApiError> {
    login::with_passkey(&app, &session, &headers, &given)
        .await
        .map(answer)
}
