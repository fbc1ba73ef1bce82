//! `GET /admin/users/{id}` and what can be done there: disable and enable a user, end one or all of their sessions. Each asks for a recent
//! proof, and is an event with the administrator's id and the user's.

use askama::Template;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jackline::lifecycle::OwnerId;
use jackline::session::SessionInfo;
use jackline::store::Cursor;
use jackline::token::Handle;
use serde::Deserialize;
use serde_json::json;

use super::Administrator;
use super::users::in_json;
use crate::app::App;
use crate::error::ApiError;
use crate::pages::{Frame, Input, Moment, Notice, Place, Wants, page, see_other};
use crate::routes::Done;
use crate::routes::sessions::{Listed, Row};
use crate::users::{User, UserId};

/// `?after=…&said=…`
#[derive(Debug, Deserialize)]
pub struct Arrived {
    after: Option<String>,
    #[serde(default)]
    said: Notice,
}

/// The page.
#[derive(Template)]
#[template(path = "admin_user.html")]
struct UserPage {
    frame: Frame,
    notice: Notice,
    id: String,
    name: String,
    role: &'static str,
    disabled: bool,
    /// It is the administrator's own account.
    own: bool,
    created: Moment,
    password_changed: Moment,
    sessions: Vec<Row>,
    next: Option<String>,
}

/// A user, and where they are signed in.
///
/// # Errors
/// `401` if nobody is logged in, `403` if they are no administrator, `404` if there is no such user, `503` if a store is away.
pub async fn show(
    State(app): State<App>,
    wants: Wants,
    Administrator { session, identity }: Administrator,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<Arrived>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::BadRequest("Invalid query"))?;
    let (user, owner) = find(&app, id).await?;
    let after = query.after.map(Cursor);
    let (mut sessions, next) = app.engine.sessions_of(&owner, after).await?;
    let current = session.handle();
    for info in &mut sessions {
        info.current = Some(&info.handle) == current.as_ref();
    }
    let next = next.map(|Cursor(next)| next);
    if wants == Wants::Json {
        let sessions: Vec<Listed> = sessions.iter().map(Listed::from).collect();
        let mut shown = json!({ "user": in_json(&user), "sessions": sessions });
        if let Some(next) = next {
            shown["next"] = next.into();
        }
        return Ok(Json(shown).into_response());
    }
    let now = app.now_ms.moment();
    let row = |info: &SessionInfo| Row::of(info, now);
    let shown = UserPage {
        frame: Frame::of(&session, "User", Place::Console)?,
        notice: query.said,
        own: identity.id.as_str() == user.id.as_str(),
        id: user.id.to_string(),
        name: user.username.as_str().to_owned(),
        role: user.role.as_str(),
        disabled: user.disabled,
        created: Moment::of_ms(user.created_ms),
        password_changed: Moment::of_ms(user.password_changed_ms),
        sessions: sessions.iter().map(row).collect(),
        next,
    };
    page(StatusCode::OK, &shown)
}

/// Refuses the user's logins from now on, and ends their sessions: `{"ok":true,"ended":3}`.
///
/// # Errors
/// As [`show`]; `401` without a recent authentication; `409` for the administrator's own account.
pub async fn disable(
    State(app): State<App>,
    wants: Wants,
    admin: Administrator,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    admin.may_act().await?;
    let (user, owner) = find(&app, id).await?;
    if admin.identity.id == owner {
        return Err(ApiError::Conflict("You cannot disable yourself"));
    }
    // Said before the sessions end: should that fail, the user is disabled all the same.
    let disabled = app.users.set_disabled(&user.id, true).await;
    admin.report("user_disabled", user.id.as_str(), &disabled);
    if !disabled? {
        return Err(ApiError::NotFound);
    }
    let ended = app
        .engine
        .end_all(&owner, "disabled_by_administrator")
        .await?;
    Ok(done(wants, &user, "user-disabled", Some(ended)))
}

/// Lets the user log in again.
///
/// # Errors
/// As [`disable`].
pub async fn enable(
    State(app): State<App>,
    wants: Wants,
    admin: Administrator,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    admin.may_act().await?;
    let (user, _) = find(&app, id).await?;
    let enabled = app.users.set_disabled(&user.id, false).await;
    admin.report("user_enabled", user.id.as_str(), &enabled);
    if !enabled? {
        return Err(ApiError::NotFound);
    }
    Ok(done(wants, &user, "user-enabled", None))
}

/// Ends all of the user's sessions, and refuses logins that are under way: `{"ok":true,"ended":3}`.
///
/// # Errors
/// As [`disable`].
pub async fn end_sessions(
    State(app): State<App>,
    wants: Wants,
    admin: Administrator,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    admin.may_act().await?;
    let (user, owner) = find(&app, id).await?;
    let ended = app.engine.end_all(&owner, "ended_by_administrator").await;
    admin.report("sessions_ended", user.id.as_str(), &ended);
    Ok(done(wants, &user, "all-ended", Some(ended?)))
}

/// `{"handle":"…"}`
#[derive(Debug, Deserialize)]
pub struct Named {
    handle: String,
}

/// Ends one of the user's sessions.
///
/// # Errors
/// As [`disable`]; `404` if the user has no session of that name.
pub async fn end_session(
    State(app): State<App>,
    wants: Wants,
    admin: Administrator,
    id: Result<Path<String>, PathRejection>,
    Input(named): Input<Named>,
) -> Result<Response, ApiError> {
    admin.may_act().await?;
    let (user, owner) = find(&app, id).await?;
    let handle = Handle::from_text(named.handle);
    let ended = app.engine.end_session(&owner, &handle).await;
    if !matches!(ended, Ok(false)) {
        admin.report("session_ended", user.id.as_str(), &ended);
    }
    match (ended?, wants) {
        (true, _) => Ok(done(wants, &user, "session-ended", None)),
        (false, Wants::Page) => Ok(done(wants, &user, "session-unknown", None)),
        (false, Wants::Json) => Err(ApiError::NotFound),
    }
}

async fn find(
    app: &App,
    id: Result<Path<String>, PathRejection>,
) -> Result<(User, OwnerId), ApiError> {
    // What is no text, or cannot be an id, is nobody's.
    let Ok(Path(id)) = id else {
        return Err(ApiError::NotFound);
    };
    let owner = OwnerId::new(&id).map_err(|_| ApiError::NotFound)?;
    if id.contains(char::is_control) {
        return Err(ApiError::NotFound);
    }
    let user = app.users.by_id(&UserId::stored(id)).await?;
    Ok((user.ok_or(ApiError::NotFound)?, owner))
}

fn done(wants: Wants, user: &User, said: &str, ended: Option<u64>) -> Response {
    match (wants, ended) {
        (Wants::Page, _) => see_other(&format!("/admin/users/{}?said={said}", user.id)),
        (Wants::Json, None) => Done::json().into_response(),
        (Wants::Json, Some(ended)) => Json(json!({ "ok": true, "ended": ended })).into_response(),
    }
}
