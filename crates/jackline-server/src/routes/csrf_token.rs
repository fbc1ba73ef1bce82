//! `GET /csrf-token`: a token for the session's unsafe requests, different each time and good until the session's own token
//! changes.

use axum::Json;
use jackline::{Session, SessionError};
use serde_json::{Value, json};

/// `{"csrfToken":"…"}`. A visitor gets a session by it.
///
/// # Errors
/// `401` if the session has just run out, `503` if the store is away.
pub async fn issue(session: Session) -> Result<Json<Value>, SessionError> {
    session.refuse_expired()?;
    let token = session.csrf_token()?;
    Ok(Json(json!({ "csrfToken": token.expose() })))
}
