//! axum alone: the same routes and answers, and nobody is asked who they are.

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

pub(crate) fn app() -> Router {
    Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/views", get(views))
        .route("/none", get(async || "none"))
}

async fn log_in(_user: String) -> Json<Value> {
    Json(json!({ "ok": true }))
}

async fn profile() -> Json<Value> {
    Json(json!({ "userId": "user-1001" }))
}

async fn views() -> Json<Value> {
    Json(json!({ "views": 1 }))
}
