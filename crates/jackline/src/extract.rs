//! Extractors for axum.
//!
//! [`Session`] looks the session up; a handler that does not ask for it costs the store nothing. [`Authenticated`] is for
//! handlers that somebody must be logged in for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::lifecycle::Identity;
use crate::session::{LazySession, Session, SessionError};

impl<S: Sync> FromRequestParts<S> for LazySession {
    type Rejection = SessionError;

    /// Fails if no [`SessionLayer`](crate::SessionLayer) wraps the handler.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, SessionError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler asks for a session, and no SessionLayer wraps it");
            SessionError::NoLayer
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = SessionError;

    /// Fails with `503` if the store does not answer.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionError> {
        LazySession::from_request_parts(parts, state)
            .await?
            .load()
            .await
    }
}

/// A session that somebody is logged in to. Others get `401 {"error":"Not authenticated"}`, or `401
/// {"error":"Session expired"}` if the session they came with has just run out.
///
/// ```
/// use jackline::Authenticated;
///
/// async fn profile(Authenticated { identity, .. }: Authenticated) -> String {
///     format!("Hello {}", identity.name)
/// }
/// # let _: axum::Router = axum::Router::new().route("/profile", axum::routing::get(profile));
/// ```
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub identity: Arc<Identity>,
}

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionError> {
        let session = Session::from_request_parts(parts, state).await?;
        let identity = session.require_identity()?;
        Ok(Self { session, identity })
    }
}

impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        if self.status().is_server_error() {
            tracing::error!(error = %self, "a request failed on its session");
        }
        crate::layer::refusal(self)
    }
}
