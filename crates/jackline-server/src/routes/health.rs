//! `GET /healthz`: the process lives. `GET /readyz`: it can do its work, stores included.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;

/// `{"status":"ok"}`, whatever the stores do: a restart would not mend them.
pub async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `{"status":"ready"}`.
///
/// # Errors
/// `503` if the session store or the users' database does not answer, or if the server was told to stop.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    if *app.stopping.borrow() {
        return Err(ApiError::Stopping);
    }
    app.engine.ready().await?;
    app.users.ready().await?;
    Ok(Json(json!({ "status": "ready" })))
}
