//! One route, one file: its request, its answer and its handler, in the order in which a request meets them.

pub mod admin;
pub mod csrf_token;
pub mod data;
pub mod factors;
pub mod health;
pub mod login;
pub mod logout;
pub mod openapi;
pub mod password;
pub mod profile;
pub mod reauth;
pub mod root;
pub mod second_factor;
pub mod sessions;
pub mod views;

use jackline::Session;
use jackline::events::EventKind;
use jackline::session::Attempt;
use serde::Serialize;

use crate::error::ApiError;
use crate::passwords::HashingError;

/// `{"ok":true}`
#[derive(Debug, Serialize)]
pub struct Done {
    ok: bool,
}

impl Done {
    pub(crate) fn json() -> axum::Json<Self> {
        axum::Json(Self { ok: true })
    }
}

/// Reports that a password was turned away unchecked, if that is what the error says.
pub(crate) fn report_busy(session: &Session) -> impl Fn(&HashingError) {
    |error| {
        if *error == HashingError::Busy {
            session.report(EventKind::RateLimited);
        }
    }
}

/// An attempt whose password was checked. One that was turned away unchecked does not count as failed.
pub(crate) async fn judged<T>(
    attempt: Attempt,
    session: &Session,
    checked: Result<T, HashingError>,
) -> Result<(Attempt, T), ApiError> {
    match checked.inspect_err(report_busy(session)) {
        Ok(verdict) => Ok((attempt, verdict)),
        Err(error) => {
            attempt.not_judged().await?;
            Err(error.into())
        }
    }
}
