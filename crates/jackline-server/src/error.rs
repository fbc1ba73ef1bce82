//! The one table from what went wrong to what a client is told: a status, and `{"error":"…"}`. What is inside stays in the
//! log.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jackline::SessionError;

use crate::factors::{FactorError, PasskeyError};
use crate::pages::{ErrorText, Wants, page};
use crate::passwords::HashingError;
use crate::users::UsersError;

/// What a form says of an error that [is one of too many](ApiError::is_too_often).
pub(crate) const TOO_OFTEN: &str = "Too many attempts. Wait a little, then try again.";

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request cannot be understood, for this reason.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The user name or the password is wrong, or the user is disabled. Which of them is not told.
    #[error("Invalid credentials")]
    InvalidCredentials,
    /// An administrator in production has none.
    #[error(
        "Administrators need a second factor: the operator makes recovery codes with jackline user recovery-codes"
    )]
    SecondFactorNeeded,
    /// There is no such thing, or not for this user.
    #[error("Not found")]
    NotFound,
    /// The path has a form for people, and for programs no such method.
    #[error("Method not allowed")]
    PageOnly,
    /// The path is known and the method is not.
    #[error("Method not allowed")]
    MethodNotAllowed,
    /// The client took too long to send its request.
    #[error("Request timeout")]
    TooSlow,
    /// What the session holds does not let it be done.
    #[error("{0}")]
    Conflict(&'static str),
    /// The body is too long.
    #[error("Payload too large")]
    TooLarge,
    /// The body is not JSON, or does not say so.
    #[error("Unsupported media type")]
    UnsupportedMediaType,
    /// Too many passwords are being checked.
    #[error("Too many requests")]
    TooManyRequests,
    /// Something about the session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The users cannot be read or written.
    #[error("Service unavailable")]
    Users(#[source] UsersError),
    /// The server was told to stop, and no work should be sent to it.
    #[error("Shutting down")]
    Stopping,
    /// Something else is broken.
    #[error("Internal server error")]
    Internal(#[source] anyhow::Error),
}

impl ApiError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::InvalidCredentials => StatusCode::UNAUTHORIZED,
            Self::SecondFactorNeeded => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::PageOnly | Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Session(error) => error.status(),
            Self::Users(_) | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::TooManyRequests | Self::Users(_) | Self::Stopping => Some(1),
            Self::Session(error) => error.retry_after_secs(),
            _ => None,
        }
    }
}

impl From<UsersError> for ApiError {
    fn from(error: UsersError) -> Self {
        Self::Users(error)
    }
}

impl From<FactorError> for ApiError {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Users(error) => Self::Users(error),
            FactorError::Gone => Self::NotFound,
            FactorError::TooMany => Self::Conflict("Too many of this kind: remove one first"),
            FactorError::Needed => {
                Self::Conflict("Administrators need a second factor: add another one first")
            }
            FactorError::NotAsked => {
                Self::Conflict("No passkey was asked for: get the options first")
            }
            FactorError::Refused => {
                Self::BadRequest("The passkey's answer does not fit what was asked: ask again")
            }
            FactorError::Unsealable | FactorError::Internal(_) => Self::Internal(error.into()),
        }
    }
}

impl From<PasskeyError> for ApiError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Session(error) => error.into(),
            PasskeyError::Factor(error) => error.into(),
        }
    }
}

impl From<HashingError> for ApiError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::TooManyRequests,
            HashingError::Failed => Self::Internal(error.into()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // The library has a table of its own.
        if let Self::Session(error) = self {
            return error.into_response();
        }
        match &self {
            Self::Users(error) => tracing::error!(%error, "the users are not available"),
            Self::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "a request failed")
            }
            _ => {}
        }
        let said = self.to_string();
        let body = axum::Json(serde_json::json!({ "error": said }));
        let mut response = (self.status(), body).into_response();
        self.add_headers(response.headers_mut());
        response.extensions_mut().insert(ErrorText(said));
        response
    }
}

impl ApiError {
    /// The page of a form with what is wrong on it, in place of the page that says nothing but that.
    pub(crate) fn on_page(&self, template: &impl Template) -> Result<Response, Self> {
        let mut response = page(self.status(), template)?;
        self.add_headers(response.headers_mut());
        Ok(response)
    }

    /// The same, or the error itself for a program.
    pub(crate) fn on_form<T: Template>(
        self,
        wants: Wants,
        form: impl FnOnce() -> T,
    ) -> Result<Response, Self> {
        match wants {
            Wants::Json => Err(self),
            Wants::Page => self.on_page(&form()),
        }
    }

    /// Whether the same may be right a little later: too many have failed, or too many are being checked.
    pub(crate) fn is_too_often(&self) -> bool {
        matches!(
            self,
            Self::TooManyRequests | Self::Session(SessionError::TooManyAttempts(_))
        )
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after_secs() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The same address may have something better for who asks in another way, or next time.
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        if matches!(self, Self::PageOnly) {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
    }
}
