//! `POST /logout`: the record goes, and the cookie with it. It needs no CSRF token: being logged out by a stranger is a
//! nuisance, and not being able to log out a danger.

use axum::Json;
use jackline::{Session, SessionError};

use super::Done;

/// `{"ok":true}`, also for those who were not logged in.
///
/// # Errors
/// `503` if the store is away: then nobody is logged out.
pub async fn log_out(session: Session) -> Result<Json<Done>, SessionError> {
    session.log_out()?;
    Ok(Done::json())
}
