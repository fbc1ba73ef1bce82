//! `GET /sessions`, `DELETE /sessions/{handle}`, `POST /sessions/end-others`: where a user is logged in, and how to end it.
//! Sessions go by their public names, and another user's is as unknown as one that never was.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use jackline::Authenticated;
use jackline::SessionError;
use jackline::lifecycle::UnixMs;
use jackline::session::SessionInfo;
use jackline::store::Cursor;
use jackline::token::Handle;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Done;
use crate::error::ApiError;

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
}

/// `{"sessions":[…]}`, newest login first, and `"next"` if there are more than fit one page.
///
/// # Errors
/// `401` if nobody is logged in, `503` if the store is away.
pub async fn list(
    Authenticated { session, .. }: Authenticated,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::BadRequest("Invalid query"))?;
    let (sessions, next) = session.siblings(query.after.map(Cursor)).await?;
    let sessions: Vec<Listed> = sessions.iter().map(Listed::from).collect();
    Ok(Json(match next {
        None => json!({ "sessions": sessions }),
        Some(Cursor(next)) => json!({ "sessions": sessions, "next": next }),
    }))
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
    if session.end_sibling(&Handle::from_text(handle)).await? {
        Ok(Done::json())
    } else {
        Err(ApiError::NotFound)
    }
}

/// Ends all of the user's sessions but this one: `{"ok":true,"ended":3}`.
///
/// # Errors
/// `401` without a recent authentication, `503` if the store is away.
pub async fn end_others(
    Authenticated { session, .. }: Authenticated,
) -> Result<Json<Value>, SessionError> {
    let ended = session.end_others().await?;
    Ok(Json(json!({ "ok": true, "ended": ended })))
}

/// A time as RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(at: UnixMs) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}
