//! JSON bodies: at most 64 KiB, and only when they say that they are JSON. A form or `text/plain` that happens to hold JSON is
//! what another site's page can send, so it is refused (S56).

use axum::extract::rejection::{BytesRejection, FailedToBufferBody, JsonRejection};
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The longest body that any route reads, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A request's JSON body.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(ApiError::UnsupportedMediaType),
            Err(JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(
                FailedToBufferBody::LengthLimitError(_),
            ))) => Err(ApiError::TooLarge),
            Err(JsonRejection::JsonDataError(_)) => {
                Err(ApiError::BadRequest("Invalid request body"))
            }
            Err(_) => Err(ApiError::BadRequest("Invalid JSON")),
        }
    }
}
