//! What can go wrong with a session, and the one table from error to status.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::lifecycle::{DeltaError, EndReason};

/// Why something could not be done with a session.
///
/// [`SessionError::status`] and [`SessionError::public_message`] are all that a client learns. Sources go to the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store did not answer in time, or answered nonsense. Nobody is logged out by that, and nobody logged in (J7).
    #[error("the session store is not available")]
    Unavailable,
    /// Nobody is logged in.
    #[error("nobody is logged in")]
    NotAuthenticated,
    /// The session that the request came with has just run out.
    #[error("the session has run out ({})", .0.as_str())]
    Expired(EndReason),
    /// Somebody is logged in, and may not do this.
    #[error("the owner of the session may not do this")]
    Forbidden,
    /// The last authentication is too old, or something suspicious has happened since.
    #[error("this needs a recent authentication")]
    RecentAuthenticationRequired,
    /// The session ended while the request was under way: what it changed is not kept.
    #[error("the session ended while the request was under way")]
    Ended,
    /// Everything of the owner's was revoked while they were logging in.
    #[error("the login was revoked while it was under way")]
    LoginRevoked,
    /// The login took longer than ten minutes from [`Session::begin_login`](super::Session::begin_login).
    #[error("the login took too long")]
    LoginTooSlow,
    /// Too many attempts have failed: the next may be made in so long.
    #[error("too many attempts have failed; the next may be made in {} s", .0.as_secs() + 1)]
    TooManyAttempts(Duration),
    /// The owner has as many sessions as they may.
    #[error("the owner has as many sessions as the policy allows")]
    TooManySessions,
    /// The cookie may travel over HTTPS only, and the request came over plain HTTP, or through a proxy that is not
    /// trusted to say otherwise.
    #[error("the session cookie needs HTTPS; behind a proxy, list it among the trusted ones")]
    InsecureTransport,
    /// A cross-site request, or one without the session's CSRF token.
    #[error("the request failed the CSRF defence")]
    CrossSite,
    /// A request of our own pages, or of no browser, that needs a CSRF token and comes without a session: it has lost it, or
    /// never had one.
    #[error("the request needs a CSRF token, and has no session to have one for")]
    NoSessionToProtect,
    /// The form is longer than what is read to find a CSRF token.
    #[error("the form is too long to look for a CSRF token; send the token in the header")]
    FormTooLarge,
    /// The store refused the change.
    #[error(transparent)]
    Refused(DeltaError),
    /// A value has no JSON form.
    #[error("a value cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// A value in the session is not of the type asked for.
    #[error("a value in the session is of another type")]
    Decode(#[source] serde_json::Error),
    /// The response is on its way, so nothing can be changed any more: change the session before you answer (D5).
    #[error("the response is on its way; the session cannot change any more")]
    TooLate,
    /// There is no session layer around this handler.
    #[error("no session layer wraps this handler")]
    NoLayer,
}

impl SessionError {
    /// The status that says so.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotAuthenticated
            | Self::Expired(_)
            | Self::RecentAuthenticationRequired
            | Self::Ended
            | Self::LoginRevoked
            | Self::LoginTooSlow => StatusCode::UNAUTHORIZED,
            Self::Forbidden
            | Self::TooManySessions
            | Self::InsecureTransport
            | Self::CrossSite
            | Self::NoSessionToProtect => StatusCode::FORBIDDEN,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::FormTooLarge | Self::Refused(DeltaError::TooLarge) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Refused(DeltaError::ReservedMember) => StatusCode::BAD_REQUEST,
            Self::Refused(_)
            | Self::Encode(_)
            | Self::Decode(_)
            | Self::TooLate
            | Self::NoLayer => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client is told: generic, and nothing of what is inside (S78).
    #[must_use]
    pub fn public_message(&self) -> &'static str {
        match self {
            Self::Unavailable => "Service unavailable",
            Self::NotAuthenticated => "Not authenticated",
            Self::Expired(_) => "Session expired",
            Self::Forbidden => "Forbidden",
            Self::RecentAuthenticationRequired => "Recent authentication required",
            Self::Ended => "Session ended",
            Self::LoginRevoked | Self::LoginTooSlow => "Please log in again",
            Self::TooManyAttempts(_) => "Too many attempts",
            Self::TooManySessions => "Too many sessions",
            Self::InsecureTransport => "HTTPS required",
            Self::CrossSite | Self::NoSessionToProtect => "Invalid CSRF token",
            Self::FormTooLarge => "Payload too large",
            Self::Refused(DeltaError::TooLarge) => "Session data too large",
            Self::Refused(DeltaError::ReservedMember) => "Reserved member",
            Self::Refused(_)
            | Self::Encode(_)
            | Self::Decode(_)
            | Self::TooLate
            | Self::NoLayer => "Internal server error",
        }
    }

    /// Seconds after which it is worth trying again, if it is.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::Unavailable => Some(1),
            // Rounded up, or the next would be refused too.
            Self::TooManyAttempts(wait) => {
                Some(u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
            }
            _ => None,
        }
    }

    /// The JSON body that says so: `{"error":"…"}`.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::json!({ "error": self.public_message() }).to_string()
    }
}

/// In the extensions of every response that was made of a [`SessionError`], by the layer or by an extractor: for an application that says
/// it in its own way, as a page or as a redirection to its sign-in.
///
/// ```
/// use http::Response;
/// use jackline::SessionError;
/// use jackline::session::Refusal;
///
/// fn needs_sign_in<B>(response: &Response<B>) -> bool {
///     let refusal = response.extensions().get::<Refusal>();
///     matches!(refusal.map(Refusal::error), Some(SessionError::NotAuthenticated))
/// }
/// # assert!(!needs_sign_in(&Response::new(())));
/// ```
#[derive(Clone, Debug)]
pub struct Refusal(Arc<SessionError>);

impl Refusal {
    pub(crate) fn of(error: SessionError) -> Self {
        Self(Arc::new(error))
    }

    /// What the response says.
    #[must_use]
    pub fn error(&self) -> &SessionError {
        &self.0
    }
}
