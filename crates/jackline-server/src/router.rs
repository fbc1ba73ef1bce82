//! The table of contents: every route, and what stands around all of them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use jackline::SessionLayer;
use jackline::headers::SecurityHeadersLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::app::App;
use crate::body::MAX_BODY_BYTES;
use crate::connections::{BODY_PATIENCE, within_patience};
use crate::console::note_active;
use crate::error::ApiError;
use crate::pages::{asset, for_people};
use crate::routes::{
    admin, csrf_token, data, factors, health, login, logout, openapi, password, profile, reauth,
    root, second_factor, sessions, views,
};
use crate::to_the_end::to_the_end;
use crate::unread::announce_close;

/// All routes, over `app`.
pub fn router(app: App) -> Router {
    let session_layer = SessionLayer::new(app.engine.clone());
    Router::new()
        .route("/", get(root::show))
        .route("/views", get(views::count))
        .route("/csrf-token", get(csrf_token::issue))
        .route("/login", get(login::show).post(login::log_in))
        .route(
            "/login/second-factor",
            get(second_factor::show).post(second_factor::give),
        )
        .route(
            "/login/passkey/options",
            post(second_factor::ask_for_passkey),
        )
        .route("/login/passkey", post(second_factor::give_passkey))
        .route("/logout", post(logout::log_out))
        .route("/profile", get(profile::show))
        .route("/reauth", get(reauth::show).post(reauth::step_up))
        .route("/reauth/passkey/options", post(reauth::ask_for_passkey))
        .route("/factors", get(factors::list))
        .route("/factors/remove", post(factors::remove_by_form))
        .route("/factors/{id}", delete(factors::remove))
        .route("/factors/totp", post(factors::enrol_totp))
        .route("/factors/totp/confirm", post(factors::confirm))
        .route("/factors/passkeys/options", post(factors::ask_for_passkey))
        .route("/factors/passkeys", post(factors::register_passkey))
        .route("/factors/recovery-codes", post(factors::renew_codes))
        .route("/password", get(password::show).post(password::change))
        .route("/session/data", get(data::show).patch(data::merge))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{handle}", delete(sessions::end))
        .route("/sessions/end", post(sessions::end_by_form))
        .route("/sessions/end-others", post(sessions::end_others))
        .route("/admin", get(admin::show))
        .route("/admin/figures", get(admin::refresh))
        .route("/admin/users", get(admin::users::search))
        .route("/admin/users/{id}", get(admin::user::show))
        .route("/admin/users/{id}/disable", post(admin::user::disable))
        .route("/admin/users/{id}/enable", post(admin::user::enable))
        .route(
            "/admin/users/{id}/end-sessions",
            post(admin::user::end_sessions),
        )
        .route(
            "/admin/users/{id}/end-session",
            post(admin::user::end_session),
        )
        .route("/admin/events", get(admin::events::show))
        .route("/admin/events/stream", get(admin::events::stream))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/assets/{name}", get(asset))
        .route("/openapi.json", get(openapi::show))
        .fallback(|| async { ApiError::NotFound })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            note_active,
        ))
        .layer(session_layer)
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            to_the_end,
        ))
        // Outside the sessions, so that a handler that panics has changed none.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn(within_patience))
        // Outside all that may refuse.
        .layer(axum::middleware::from_fn(for_people))
        .layer(SecurityHeadersLayer::default())
        .layer(axum::middleware::from_fn(announce_close))
        .layer(RequestBodyTimeoutLayer::new(BODY_PATIENCE))
        .with_state(app)
}

fn panicked(_what: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    let body = axum::Json(serde_json::json!({ "error": "Internal server error" }));
    (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
}
