//! `GET /views`: counts a session's visits, exactly, however many come at once.

use axum::Json;
use jackline::{Session, SessionError};
use serde::Serialize;

/// `{"views":1}`
#[derive(Debug, Serialize)]
pub struct Views {
    views: i64,
}

/// Counts this visit. A visitor gets a session by it.
///
/// # Errors
/// `401` if the session has just run out or ended, `503` if the store is away.
pub async fn count(session: Session) -> Result<Json<Views>, SessionError> {
    session.refuse_expired()?;
    Ok(Json(Views {
        views: session.increment("views", 1).await?,
    }))
}
