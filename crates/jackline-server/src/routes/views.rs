//! `GET /views`: counts a session's visits, exactly, however many come at once.

use axum::Json;
use jackline::lifecycle::DeltaError;
use jackline::{Session, SessionError};
use serde::Serialize;

use crate::error::ApiError;

/// `{"views":1}`
#[derive(Debug, Serialize)]
pub struct Views {
    views: i64,
}

/// Counts this visit. A visitor gets a session by it.
///
/// # Errors
/// `401` if the session has just run out or ended, `409` if its map was patched so that `views` cannot be counted on, `503` if
/// the store is away.
pub async fn count(session: Session) -> Result<Json<Views>, ApiError> {
    session.refuse_expired()?;
    match session.increment("views", 1).await {
        Ok(views) => Ok(Json(Views { views })),
        Err(SessionError::Refused(DeltaError::NotACounter | DeltaError::CounterOutOfRange)) => {
            Err(ApiError::Conflict("Member views is not a counter"))
        }
        Err(error) => Err(error.into()),
    }
}
