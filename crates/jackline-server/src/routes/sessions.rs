//! `GET /sessions`, `DELETE /sessions/{handle}`, `POST /sessions/end`, `POST /sessions/end-others`: where a user is logged in, and how to
//! end it. Sessions go by their public names, and another user's is as unknown as one that never was.

use askama::Template;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jackline::lifecycle::UnixMs;
use jackline::session::SessionInfo;
use jackline::store::Cursor;
use jackline::token::Handle;
use jackline::{Authenticated, Session};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Done;
use crate::app::App;
use crate::error::ApiError;
use crate::pages::{Frame, Input, Moment, Notice, Place, Wants, page, see_other};

/// One session, as its owner sees it. Times are RFC 3339.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    handle: String,
    current: bool,
    device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    logged_in_at: String,
    last_seen_at: String,
    expires_at: String,
}

impl From<&SessionInfo> for Listed {
    fn from(info: &SessionInfo) -> Self {
        Self {
            handle: info.handle.to_string(),
            current: info.current,
            device: info.origin.agent.display_name(),
            network: info.origin.network.map(|network| network.to_string()),
            logged_in_at: rfc3339(info.logged_in),
            last_seen_at: rfc3339(info.last_seen),
            expires_at: rfc3339(info.ends),
        }
    }
}

/// `?after=…`: where the page before ended.
#[derive(Debug, Deserialize)]
pub struct After {
    after: Option<String>,
    #[serde(default)]
    said: Notice,
}

/// "Your sessions".
#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    frame: Frame,
    notice: Notice,
    sessions: Vec<Row>,
    /// There are others than this one.
    others: bool,
    next: Option<String>,
}

/// One session on it.
pub(crate) struct Row {
    pub(crate) handle: String,
    pub(crate) current: bool,
    pub(crate) device: String,
    pub(crate) network: Option<String>,
    pub(crate) logged_in: Moment,
    pub(crate) last_seen: Moment,
}

impl Row {
    pub(crate) fn of(info: &SessionInfo, now: UnixMs) -> Self {
        Self {
            handle: info.handle.to_string(),
            current: info.current,
            device: info.origin.agent.display_name(),
            network: info.origin.network.map(|network| network.to_string()),
            logged_in: Moment::of(info.logged_in),
            last_seen: Moment::before(info.last_seen, now),
        }
    }
}

/// `{"sessions":[…]}`, newest login first, and `"next"` if there are more than fit one page.
///
/// # Errors
/// `401` if nobody is logged in, `503` if the store is away.
pub async fn list(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, .. }: Authenticated,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::BadRequest("Invalid query"))?;
    let first = query.after.is_none();
    let (sessions, next) = session.siblings(query.after.map(Cursor)).await?;
    let next = next.map(|Cursor(next)| next);
    if wants == Wants::Json {
        let sessions: Vec<Listed> = sessions.iter().map(Listed::from).collect();
        let listed = match next {
            None => json!({ "sessions": sessions }),
            Some(next) => json!({ "sessions": sessions, "next": next }),
        };
        return Ok(Json(listed).into_response());
    }
    let now = app.now_ms.moment();
    let listed = SessionsPage {
        frame: Frame::of(&session, "Your sessions", Place::Sessions)?,
        notice: query.said,
        others: !first || next.is_some() || sessions.iter().any(|info| !info.current),
        sessions: sessions.iter().map(|info| Row::of(info, now)).collect(),
        next,
    };
    page(StatusCode::OK, &listed)
}

/// Ends one session; the current one logs out.
///
/// # Errors
/// `401` without a recent authentication, `404` if this user has no session of that name, `503` if the store is away.
pub async fn end(
    Authenticated { session, .. }: Authenticated,
    handle: Result<Path<String>, PathRejection>,
) -> Result<Json<Done>, ApiError> {
    // What is no text names no session.
    let Ok(Path(handle)) = handle else {
        return Err(ApiError::NotFound);
    };
    end_named(&session, handle).await?;
    Ok(Done::json())
}

/// `{"handle":"…"}`
#[derive(Debug, Deserialize)]
pub struct Named {
    handle: String,
}

/// The same for a form, which has no `DELETE`.
///
/// # Errors
/// As [`end`].
pub async fn end_by_form(
    wants: Wants,
    Authenticated { session, .. }: Authenticated,
    Input(named): Input<Named>,
) -> Result<Response, ApiError> {
    let ended = end_named(&session, named.handle).await;
    match (wants, ended) {
        (Wants::Json, ended) => ended.map(|()| Done::json().into_response()),
        // The current one logs out, and then there is nobody to show the list to.
        (Wants::Page, Ok(())) if session.identity().is_none() => {
            Ok(see_other("/login?said=signed-out"))
        }
        (Wants::Page, Ok(())) => Ok(see_other("/sessions?said=session-ended")),
        (Wants::Page, Err(ApiError::NotFound)) => Ok(see_other("/sessions?said=session-unknown")),
        (Wants::Page, Err(error)) => Err(error),
    }
}

async fn end_named(session: &Session, handle: String) -> Result<(), ApiError> {
    match session.end_sibling(&Handle::from_text(handle)).await? {
        true => Ok(()),
        false => Err(ApiError::NotFound),
    }
}

/// Ends all of the user's sessions but this one: `{"ok":true,"ended":3}`.
///
/// # Errors
/// `401` without a recent authentication, `503` if the store is away.
pub async fn end_others(
    wants: Wants,
    Authenticated { session, .. }: Authenticated,
) -> Result<Response, ApiError> {
    let ended = session.end_others().await?;
    Ok(match wants {
        Wants::Json => Json(json!({ "ok": true, "ended": ended })).into_response(),
        Wants::Page => see_other("/sessions?said=others-ended"),
    })
}

/// A time as RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(at: UnixMs) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}
