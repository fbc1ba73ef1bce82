//! No round trip for a read, one for a write: what a cache in the process could reach at best. It never forgets, and learns of
//! nobody else's changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use dashmap::DashMap;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use crate::cookie;
use crate::remote::write;
use crate::session::{IDLE_SECONDS, Session, failed, key};

/// A session and when it runs out.
struct Cached {
    session: Session,
    until: Instant,
}

#[derive(Clone)]
struct Sessions {
    cached: Arc<DashMap<String, Cached>>,
    redis: MultiplexedConnection,
}

pub(crate) fn app(redis: MultiplexedConnection) -> Router {
    Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/views", get(views))
        .route("/none", get(async || "none"))
        .with_state(Sessions {
            cached: Arc::default(),
            redis,
        })
}

async fn log_in(
    State(mut sessions): State<Sessions>,
    user: String,
) -> Result<impl IntoResponse, StatusCode> {
    let (token, cookie) = cookie::new().map_err(failed)?;
    let session = Session { user, views: 0 };
    write(&mut sessions.redis, &key("near", &token), &session).await?;
    let until = renewed();
    sessions.cached.insert(token, Cached { session, until });
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({ "ok": true }))))
}

async fn profile(
    State(sessions): State<Sessions>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let user = sessions.change(cookie::token(&headers)?, |session| session.user.clone())?;
    Ok(Json(json!({ "userId": user })))
}

async fn views(
    State(mut sessions): State<Sessions>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let token = cookie::token(&headers)?;
    let session = sessions.change(token, |session| {
        session.views += 1;
        session.clone()
    })?;
    write(&mut sessions.redis, &key("near", token), &session).await?;
    Ok(Json(json!({ "views": session.views })))
}

impl Sessions {
    /// Renews a session and does something with it.
    fn change<T>(
        &self,
        token: &str,
        with: impl FnOnce(&mut Session) -> T,
    ) -> Result<T, StatusCode> {
        let mut cached = self
            .cached
            .get_mut(token)
            .filter(|cached| Instant::now() < cached.until)
            .ok_or(StatusCode::UNAUTHORIZED)?;
        cached.until = renewed();
        Ok(with(&mut cached.session))
    }
}

fn renewed() -> Instant {
    Instant::now() + Duration::from_secs(IDLE_SECONDS)
}
