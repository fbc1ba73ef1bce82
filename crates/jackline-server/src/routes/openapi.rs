//! `GET /openapi.json`: all routes, described as OpenAPI 3.1. The document is written by hand beside this file; tests hold it to the router
//! and to what a running server answers, so that it cannot fall behind.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

/// The document.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The document, as it is.
pub async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
