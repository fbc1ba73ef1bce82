//! Requests that end sessions go to their end. When a client hangs up, its request is dropped wherever it happens to wait, and
//! that is right for most: nobody is there to see the outcome. But whoever logs out and closes the page wants to be logged
//! out, and a change of password or of second factors has steps that must not be parted (J4).

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::error::ApiError;

/// Deliberately not all: a login whose cookie nobody gets would push another session out, and the new token of a
/// re-authentication would be lost together with the old one.
const ROUTES: [&str; 14] = [
    "/admin/users/{id}/disable",
    "/admin/users/{id}/enable",
    "/admin/users/{id}/end-sessions",
    "/admin/users/{id}/end-session",
    "/factors/totp/confirm",
    "/factors/passkeys",
    "/factors/remove",
    "/factors/{id}",
    "/factors/recovery-codes",
    "/logout",
    "/password",
    "/sessions/{handle}",
    "/sessions/end",
    "/sessions/end-others",
];

/// Runs a request that ends sessions, or changes an account, on a task of its own, which the server waits for when it stops.
pub async fn to_the_end(State(app): State<App>, request: Request, next: Next) -> Response {
    let concerned = request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|path| ROUTES.contains(&path.as_str()));
    if !concerned {
        return next.run(request).await;
    }
    let running = next.run(request);
    // The other task's store calls belong to this request's trace.
    #[cfg(feature = "otlp")]
    let running = opentelemetry::context::FutureExt::with_current_context(running);
    match app.tasks.spawn(running).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            // As if it had happened here.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => ApiError::Internal(error.into()).into_response(),
        },
    }
}
