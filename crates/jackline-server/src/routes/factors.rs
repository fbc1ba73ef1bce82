//! `/factors`: the second factors of whoever is logged in. Apps take two requests, one for the secret and one with a code of it; passkeys
//! too, one for what the browser needs and one with what it made. Recovery codes come with the first factor, and new ones when asked.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use jackline::Authenticated;
use jackline::lifecycle::UnixMs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Done;
use super::second_factor::Code;
use super::sessions::rfc3339;
use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::factors::{
    Added, Factor, Kind, NewPasskey, RecoveryCode, RelyingParty, add_passkey, begin_passkey,
    begin_totp, confirm_totp, renew_recovery_codes,
};
use crate::users::UserId;

/// One factor, as its owner sees it. Times are RFC 3339.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    id: String,
    kind: Kind,
    name: String,
    added_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

impl From<&Factor> for Listed {
    fn from(factor: &Factor) -> Self {
        let time = |ms: i64| rfc3339(UnixMs::from_millis(u64::try_from(ms).unwrap_or_default()));
        Self {
            id: factor.id.clone(),
            kind: factor.kind,
            name: factor.name.clone(),
            added_at: time(factor.created_ms),
            last_used_at: factor.last_used_ms.map(time),
        }
    }
}

/// `{"factors":[…],"recoveryCodesLeft":10}`, oldest first.
///
/// # Errors
/// `401` if nobody is logged in, `503` if a store is away.
pub async fn list(
    State(app): State<App>,
    Authenticated { identity, .. }: Authenticated,
) -> Result<Json<Value>, ApiError> {
    let held = app
        .factors
        .of(&UserId::stored(identity.id.to_string()))
        .await?;
    let factors: Vec<_> = held.factors.iter().map(Listed::from).collect();
    Ok(Json(json!({
        "factors": factors,
        "recoveryCodesLeft": held.recovery_codes.unwrap_or(0),
    })))
}

/// `{"name":"Phone"}`, or `{}`
#[derive(Debug, Deserialize)]
pub struct Named {
    name: Option<String>,
}

/// `{"id":"…","secret":"…","uri":"otpauth://…"}`
#[derive(Serialize)]
pub struct Secret {
    id: String,
    secret: String,
    uri: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Makes a secret for an app.
///
/// # Errors
/// As [`begin_totp`].
pub async fn enrol_totp(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    JsonBody(given): JsonBody<Named>,
) -> Result<Json<Secret>, ApiError> {
    let made = begin_totp(&app, &session, given.name.as_deref()).await?;
    Ok(Json(Secret {
        id: made.id,
        secret: made.secret.to_string(),
        uri: made.uri.to_string(),
    }))
}

/// `{"id":"…","code":"123456"}`
#[derive(Debug, Deserialize)]
pub struct Confirmation {
    id: String,
    code: Code,
}

/// Makes the app count.
///
/// # Errors
/// As [`confirm_totp`].
pub async fn confirm(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    JsonBody(given): JsonBody<Confirmation>,
) -> Result<Json<Value>, ApiError> {
    let code = given.code.into_text();
    let added = confirm_totp(&app, &session, &given.id, &code).await?;
    Ok(Json(shown(&added)))
}

/// The options of `navigator.credentials.create`: `{"publicKey":…}`.
///
/// # Errors
/// As [`begin_passkey`].
pub async fn ask_for_passkey(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    party: RelyingParty,
) -> Result<Json<Value>, ApiError> {
    begin_passkey(&app, &session, &party).await.map(Json)
}

/// `{"name":"Key","credential":{…}}`
#[derive(Debug, Deserialize)]
pub struct Made {
    name: Option<String>,
    credential: Box<NewPasskey>,
}

/// Adds the passkey that the browser has made.
///
/// # Errors
/// As [`add_passkey`].
pub async fn register_passkey(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    JsonBody(made): JsonBody<Made>,
) -> Result<Json<Value>, ApiError> {
    let added = add_passkey(&app, &session, made.name.as_deref(), &made.credential).await?;
    Ok(Json(shown(&added)))
}

/// Removes an app or a passkey.
///
/// # Errors
/// As [`crate::factors::remove`].
pub async fn remove(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Done>, ApiError> {
    // What is no text names no factor.
    let Ok(Path(id)) = id else {
        return Err(ApiError::NotFound);
    };
    crate::factors::remove(&app, &session, &id).await?;
    Ok(Done::json())
}

/// New recovery codes: `{"ok":true,"recoveryCodes":[…]}`.
///
/// # Errors
/// As [`renew_recovery_codes`].
pub async fn renew_codes(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
) -> Result<Json<Value>, ApiError> {
    let codes = renew_recovery_codes(&app, &session).await?;
    Ok(Json(
        json!({ "ok": true, "recoveryCodes": exposed(&codes) }),
    ))
}

/// What is said of a factor that was added: also the recovery codes that came with it, this once.
fn shown(added: &Added) -> Value {
    let mut shown = json!({ "ok": true, "id": added.id });
    if let Some(codes) = &added.recovery_codes {
        shown["recoveryCodes"] = exposed(codes).into();
    }
    shown
}

fn exposed(codes: &[RecoveryCode]) -> Vec<&str> {
    codes.iter().map(RecoveryCode::expose).collect()
}
