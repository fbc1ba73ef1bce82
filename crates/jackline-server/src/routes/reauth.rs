//! `POST /reauth`: the owner proves again who they are, for sensitive actions to follow.

use axum::Json;
use axum::extract::State;
use jackline::Authenticated;
use serde::Deserialize;

use super::{Done, judged};
use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::passwords::{Password, Verdict};
use crate::users::UserId;

/// `{"password":"…"}`
#[derive(Debug, Deserialize)]
pub struct Reauthentication {
    password: Password,
}

/// Checks the password of whoever is logged in. The session gets a new token.
///
/// # Errors
/// `401` if it is wrong or nobody is logged in, `429` after too many that failed or while too many are being checked, `503` if a store is away.
pub async fn step_up(
    State(app): State<App>,
    Authenticated { session, identity }: Authenticated,
    JsonBody(presented): JsonBody<Reauthentication>,
) -> Result<Json<Done>, ApiError> {
    let trial = app.guessing.again(&session).await?;
    let id = UserId::stored(identity.id.to_string());
    let credentials = app.users.credentials(&id).await?;
    let hash = credentials
        .as_ref()
        .map(|credentials| credentials.hash.clone());
    let verified = app.hasher.verify(presented.password, hash).await;
    let (trial, verdict) = judged(trial, &session, verified).await?;
    if verdict == Verdict::Wrong {
        session.report_step_up_failure("wrong_password");
        return Err(ApiError::InvalidCredentials);
    }
    if credentials.is_none_or(|credentials| credentials.disabled) {
        session.report_step_up_failure("disabled");
        return Err(ApiError::InvalidCredentials);
    }
    trial.succeeded().await?;
    session.step_up()?;
    Ok(Done::json())
}
