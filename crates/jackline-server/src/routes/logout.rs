//! `POST /logout`: the record goes, and the cookie with it. It needs no CSRF token: being logged out by a stranger is a
//! nuisance, and not being able to log out a danger.

use axum::response::{IntoResponse as _, Response};
use jackline::{Session, SessionError};

use super::Done;
use crate::pages::{Wants, see_other};

/// `{"ok":true}`, also for those who were not logged in.
///
/// # Errors
/// `503` if the store is away: then nobody is logged out.
pub async fn log_out(wants: Wants, session: Session) -> Result<Response, SessionError> {
    session.log_out()?;
    Ok(match wants {
        Wants::Json => Done::json().into_response(),
        Wants::Page => see_other("/login?said=signed-out"),
    })
}
