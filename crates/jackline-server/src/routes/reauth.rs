//! `GET|POST /reauth`: the owner proves again who they are, for sensitive actions to follow.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jackline::lifecycle::Identity;
use jackline::{Authenticated, Session, SessionError};
use serde::Deserialize;

use super::{Done, judged};
use crate::app::App;
use crate::error::ApiError;
use crate::pages::{Arrival, Frame, HOME, Input, Next, PageOnly, Place, Wants, page, see_other};
use crate::passwords::{Password, Verdict};
use crate::users::UserId;

/// The page.
#[derive(Template)]
#[template(path = "reauth.html")]
struct StepUpPage<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    wrong: Option<&'a str>,
}

/// The page to do it on.
///
/// # Errors
/// `401` if nobody is logged in, `503` if the store is away.
pub async fn show(
    _: PageOnly,
    Authenticated { session, identity }: Authenticated,
    Query(arrival): Query<Arrival>,
) -> Result<Response, ApiError> {
    let empty = StepUpPage {
        frame: Frame::of(&session, "Confirm that it is you", Place::Elsewhere)?,
        username: &identity.name,
        next: &arrival.next,
        wrong: None,
    };
    page(StatusCode::OK, &empty)
}

/// `{"password":"…"}`
#[derive(Debug, Deserialize)]
pub struct Reauthentication {
    password: Password,
    #[serde(default)]
    next: Next,
}

/// Checks the password of whoever is logged in. The session gets a new token.
///
/// # Errors
/// `401` if it is wrong or nobody is logged in, `429` after too many that failed or while too many are being checked, `503` if a store is away.
pub async fn step_up(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, identity }: Authenticated,
    Input(presented): Input<Reauthentication>,
) -> Result<Response, ApiError> {
    let Reauthentication { password, next } = presented;
    match (wants, prove(&app, &session, &identity, password).await) {
        (Wants::Json, outcome) => outcome.map(|()| Done::json().into_response()),
        (Wants::Page, Ok(())) => Ok(see_other(next.path_or(HOME))),
        (Wants::Page, Err(error)) => {
            let wrong = match &error {
                ApiError::InvalidCredentials => "The password is wrong.",
                ApiError::TooManyRequests | ApiError::Session(SessionError::TooManyAttempts(_)) => {
                    "Too many attempts. Wait a little, then try again."
                }
                _ => return Err(error),
            };
            let again = StepUpPage {
                frame: Frame::of(&session, "Confirm that it is you", Place::Elsewhere)?,
                username: &identity.name,
                next: &next,
                wrong: Some(wrong),
            };
            error.on_page(&again)
        }
    }
}

async fn prove(
    app: &App,
    session: &Session,
    identity: &Identity,
    password: Password,
) -> Result<(), ApiError> {
    let trial = app.guessing.again(session).await?;
    let id = UserId::stored(identity.id.to_string());
    let credentials = app.users.credentials(&id).await?;
    let hash = credentials
        .as_ref()
        .map(|credentials| credentials.hash.clone());
    let verified = app.hasher.verify(password, hash).await;
    let (trial, verdict) = judged(trial, session, verified).await?;
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
    Ok(())
}
