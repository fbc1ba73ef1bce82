//! `POST /password`: a new password for whoever has just proved who they are. Their other sessions end, logins with the old
//! password that are under way are refused, and this session gets a new token.

use axum::Json;
use axum::extract::State;
use jackline::Authenticated;
use jackline::events::EventKind;
use serde::Deserialize;

use super::{Done, report_busy};
use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::passwords::{NewPassword, Password};
use crate::users::UserId;

/// `{"newPassword":"…"}`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordChange {
    new_password: Password,
}

/// Sets the password.
///
/// # Errors
/// `401` without a recent authentication, `400` if the password is unfit, `429` while too many are being hashed, `503` if a
/// store is away. If the *session* store fails after the password is set, its owner is told so by the `503` and can ask again
/// with the same new password.
pub async fn change(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    JsonBody(change): JsonBody<PasswordChange>,
) -> Result<Json<Done>, ApiError> {
    let identity = session.require_recent_authentication()?;
    let new = NewPassword::parse(change.new_password, &identity.name).map_err(|_| {
        ApiError::BadRequest("Password must have 8 to 1024 characters and not be your user name")
    })?;
    let hash = app
        .hasher
        .hash(new)
        .await
        .inspect_err(report_busy(&session))?;
    let id = UserId::stored(identity.id.to_string());
    if !app.users.set_password(&id, hash, app.now_ms.get()).await? {
        return Err(ApiError::InvalidCredentials);
    }
    session.report(EventKind::PasswordChanged);
    // In this order: the old password must be worthless before the epoch changes, or a login with it could begin after.
    session.end_others().await?;
    session.rotate()?;
    Ok(Done::json())
}
