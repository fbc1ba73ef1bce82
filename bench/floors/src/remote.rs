//! One round trip for a read, two for a write, and not a step beyond.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use crate::cookie;
use crate::session::{IDLE_SECONDS, Session, failed, key};

pub(crate) fn app(redis: MultiplexedConnection) -> Router {
    Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/views", get(views))
        .route("/none", get(async || "none"))
        .with_state(redis)
}

async fn log_in(
    State(mut redis): State<MultiplexedConnection>,
    user: String,
) -> Result<impl IntoResponse, StatusCode> {
    let (token, cookie) = cookie::new().map_err(failed)?;
    write(
        &mut redis,
        &key("floor", &token),
        &Session { user, views: 0 },
    )
    .await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({ "ok": true }))))
}

async fn profile(
    State(mut redis): State<MultiplexedConnection>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let session = read(&mut redis, &key("floor", cookie::token(&headers)?)).await?;
    Ok(Json(json!({ "userId": session.user })))
}

async fn views(
    State(mut redis): State<MultiplexedConnection>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let key = key("floor", cookie::token(&headers)?);
    let mut session = read(&mut redis, &key).await?;
    session.views += 1;
    write(&mut redis, &key, &session).await?;
    Ok(Json(json!({ "views": session.views })))
}

async fn read(redis: &mut MultiplexedConnection, key: &str) -> Result<Session, StatusCode> {
    let text: Option<Vec<u8>> = redis::cmd("GETEX")
        .arg(key)
        .arg("EX")
        .arg(IDLE_SECONDS)
        .query_async(redis)
        .await
        .map_err(failed)?;
    let text = text.ok_or(StatusCode::UNAUTHORIZED)?;
    serde_json::from_slice(&text).map_err(failed)
}

/// Stores a session.
pub(crate) async fn write(
    redis: &mut MultiplexedConnection,
    key: &str,
    session: &Session,
) -> Result<(), StatusCode> {
    redis::cmd("SET")
        .arg(key)
        .arg(serde_json::to_vec(session).map_err(failed)?)
        .arg("EX")
        .arg(IDLE_SECONDS)
        .query_async(redis)
        .await
        .map_err(failed)
}
