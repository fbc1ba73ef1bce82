//! `GET /`: says that the server is there. Touches no session.

/// `200 Server is running.`
pub async fn show() -> &'static str {
    "Server is running."
}
