//! `GET /`: says that the server is there, and shows people the way in. Touches no session.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::pages::{HOME, Wants, see_other};

/// `200 Server is running.`
pub async fn show(wants: Wants) -> Response {
    match wants {
        Wants::Json => ([(header::VARY, "accept")], "Server is running.").into_response(),
        // Who is not signed in is sent on from there.
        Wants::Page => see_other(HOME),
    }
}
