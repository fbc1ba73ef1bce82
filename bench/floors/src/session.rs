//! What is stored.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// How long a session outlives its last use.
pub(crate) const IDLE_SECONDS: u64 = 1800;

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) views: u64,
}

/// The key of a session in Redis.
pub(crate) fn key(prefix: &str, token: &str) -> String {
    format!("{prefix}:{token}")
}

/// Whatever fails that should not.
pub(crate) fn failed(error: impl Into<crate::Error>) -> StatusCode {
    eprintln!("error: {}", error.into());
    StatusCode::INTERNAL_SERVER_ERROR
}
