//! axum alone: the same routes and answers, and nobody is asked who they are. A login gives a cookie, so that the requests behind it
//! are as long as everybody's; nobody reads it.

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cookie;
use crate::session::failed;

pub(crate) fn app() -> Router {
    Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/views", get(views))
        .route("/none", get(async || "none"))
}

async fn log_in(_user: String) -> Result<impl IntoResponse, StatusCode> {
    let (_, cookie) = cookie::new().map_err(failed)?;
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({ "ok": true }))))
}

async fn profile() -> Json<Value> {
    Json(json!({ "userId": "user-1001" }))
}

async fn views() -> Json<Value> {
    Json(json!({ "views": 1 }))
}
