//! The site's pages: one of each kind that a handler can be.

use axum::body::Bytes;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::Uri;
use jackline::lifecycle::Role;
use jackline::session::SessionInfo;
use jackline::token::Handle;
use jackline::{Authenticated, Session, SessionError};
use serde_json::{Value, json};

use super::owner;

/// What most handlers return.
pub(crate) type Answered = Result<Json<Value>, SessionError>;

pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "Server is running." }))
        .route(
            "/data",
            get(|session: Session| async move { session.data_json() }),
        )
        .route("/views", get(views))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .route("/set", post(set))
        .route("/remove", post(remove))
        .route("/clear", post(clear))
        .route("/rotate", post(rotate))
        .route("/step-up", post(step_up))
        .route("/sensitive", get(sensitive))
        .route("/admin", get(admin))
        .route("/csrf", get(csrf))
        .route("/form", post(|body: Bytes| async move { body }))
        .route("/sessions", get(sessions))
        .route("/sessions/end", post(end_session))
        .route("/sessions/end-others", post(end_others))
}

/// The value of one parameter of the query.
pub(crate) fn param(uri: &Uri, name: &str) -> Option<String> {
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

async fn views(session: Session) -> Answered {
    Ok(Json(
        json!({ "views": session.increment("views", 1).await? }),
    ))
}

async fn login(session: Session, uri: Uri) -> Answered {
    let user = param(&uri, "user").unwrap_or_default();
    let role = param(&uri, "role").map_or(Role::user(), |role| Role::new(&role));
    let attempt = session.begin_login(&owner(&user)).await?;
    session.log_in(attempt, user.as_str(), role)?;
    Ok(Json(json!({ "ok": true, "user": user })))
}

async fn logout(session: Session) -> Answered {
    session.log_out()?;
    Ok(Json(json!({ "ok": true })))
}

async fn me(Authenticated { identity, .. }: Authenticated) -> Json<Value> {
    Json(json!({ "userId": identity.id, "username": identity.name, "role": identity.role }))
}

async fn set(session: Session, uri: Uri) -> Answered {
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        session.insert(&name, &*value)?;
    }
    Ok(Json(json!({ "ok": true })))
}

async fn remove(session: Session, uri: Uri) -> Answered {
    let removed = session.remove(&param(&uri, "name").unwrap_or_default())?;
    Ok(Json(json!({ "removed": removed })))
}

async fn clear(session: Session) -> Answered {
    session.clear()?;
    Ok(Json(json!({ "ok": true })))
}

async fn rotate(session: Session) -> Answered {
    session.rotate()?;
    Ok(Json(json!({ "ok": true })))
}

async fn step_up(session: Session) -> Answered {
    session.step_up()?;
    Ok(Json(json!({ "ok": true })))
}

async fn sensitive(session: Session) -> Answered {
    let identity = session.require_recent_authentication()?;
    Ok(Json(json!({ "userId": identity.id })))
}

async fn admin(session: Session) -> Answered {
    let identity = session.require_role(&Role::admin())?;
    Ok(Json(json!({ "userId": identity.id })))
}

async fn csrf(session: Session) -> Answered {
    Ok(Json(json!({ "csrfToken": session.csrf_token()?.expose() })))
}

async fn sessions(session: Session) -> Answered {
    let (sessions, _) = session.siblings(None).await?;
    Ok(Json(sessions.iter().map(session_info).collect()))
}

fn session_info(info: &SessionInfo) -> Value {
    json!({
        "handle": info.handle.as_str(),
        "current": info.current,
        "agent": info.origin.agent.display_name(),
    })
}

async fn end_session(session: Session, uri: Uri) -> Answered {
    let handle = Handle::from_text(param(&uri, "handle").unwrap_or_default());
    Ok(Json(
        json!({ "ended": session.end_sibling(&handle).await? }),
    ))
}

async fn end_others(session: Session) -> Answered {
    Ok(Json(json!({ "ended": session.end_others().await? })))
}
