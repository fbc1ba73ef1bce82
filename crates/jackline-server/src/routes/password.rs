//! `GET|POST /password`: a new password for whoever has just proved who they are. Their other sessions end, logins with the old
//! password that are under way are refused, and this session gets a new token.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jackline::events::EventKind;
use jackline::{Authenticated, Session, SessionError};
use serde::Deserialize;

use super::{Done, report_busy};
use crate::app::App;
use crate::error::ApiError;
use crate::pages::{Frame, Input, PageOnly, Place, Wants, page, see_other};
use crate::passwords::{NewPassword, Password, WeakPassword};
use crate::users::UserId;

/// The page.
#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    frame: Frame,
    username: &'a str,
    wrong: Option<&'a str>,
}

/// The page to change it on, for whoever has just proved who they are.
///
/// # Errors
/// `401` without a recent authentication, `503` if the store is away.
pub async fn show(
    _: PageOnly,
    Authenticated { session, .. }: Authenticated,
) -> Result<Response, ApiError> {
    let identity = session.require_recent_authentication()?;
    let empty = PasswordPage {
        frame: Frame::of(&session, "Change your password", Place::Password)?,
        username: &identity.name,
        wrong: None,
    };
    page(StatusCode::OK, &empty)
}

/// `{"newPassword":"…"}`; a page has it typed twice.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordChange {
    new_password: Password,
    again: Option<Password>,
}

/// Sets the password.
///
/// # Errors
/// `401` without a recent authentication, `400` if the password is unfit, `429` while too many are being hashed, `503` if a
/// store is away. If the *session* store fails after the password is set, its owner is told so by the `503` and can ask again
/// with the same new password.
pub async fn change(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, identity }: Authenticated,
    Input(change): Input<PasswordChange>,
) -> Result<Response, ApiError> {
    match (wants, set(&app, &session, change).await) {
        (Wants::Json, outcome) => outcome.map(|()| Done::json().into_response()),
        (Wants::Page, Ok(())) => Ok(see_other("/profile?said=password-changed")),
        (Wants::Page, Err(error)) => {
            let wrong = match &error {
                ApiError::BadRequest(wrong) => wrong,
                ApiError::TooManyRequests => "Too much is going on. Wait a moment, then try again",
                _ => return Err(error),
            };
            let again = PasswordPage {
                frame: Frame::of(&session, "Change your password", Place::Password)?,
                username: &identity.name,
                wrong: Some(wrong),
            };
            error.on_page(&again)
        }
    }
}

async fn set(app: &App, session: &Session, change: PasswordChange) -> Result<(), ApiError> {
    let identity = session.require_recent_authentication()?;
    if let Some(again) = &change.again
        && again.as_typed() != change.new_password.as_typed()
    {
        return Err(ApiError::BadRequest("The two passwords are not the same"));
    }
    let new = NewPassword::parse(change.new_password, &identity.name).map_err(unfit)?;
    let hash = app
        .hasher
        .hash(new)
        .await
        .inspect_err(report_busy(session))?;
    let id = UserId::stored(identity.id.to_string());
    let Some(before) = app.users.credentials(&id).await? else {
        return Err(ApiError::InvalidCredentials);
    };
    // The client decides how long its body takes, so this session may have been revoked since it was loaded (J4). In this
    // order: the password that is replaced was read before this session was seen alive, and the other sessions end before it is
    // replaced. So of two changes at once the one whose session the other has ended cannot come last.
    session.ensure_live().await?;
    session.end_others().await?;
    if !app
        .users
        .change_password(&id, before.hash, hash, app.now_ms.get())
        .await?
    {
        // What this session has proved is a password that was replaced meanwhile.
        return Err(SessionError::RecentAuthenticationRequired.into());
    }
    session.report(EventKind::PasswordChanged);
    // Again, after: the old password must be worthless before the epoch changes, or a login with it could begin after.
    session.end_others().await?;
    session.rotate()?;
    Ok(())
}

/// What to do about it.
fn unfit(weak: WeakPassword) -> ApiError {
    ApiError::BadRequest(match weak {
        WeakPassword::Short => "Password must have at least 15 characters",
        WeakPassword::Long => "Password must have at most 1024 bytes",
        WeakPassword::Guessable => {
            "Password is too easy to guess: add words that do not belong together"
        }
    })
}
