//! What somebody sent: a program JSON, a person the form of a page. A form counts only from those who want a page in return, as browsers
//! do: `text/plain` and forms that happen to hold JSON stay refused (S56).

use axum::Form;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, FormRejection};
use axum::extract::{FromRequest, Request};
use jackline::engine::is_form;
use serde::de::DeserializeOwned;

use super::Wants;
use crate::body::JsonBody;
use crate::error::ApiError;

/// A body of JSON or, from a person, of a form.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !(is_form(request.headers()) && Wants::of(request.headers()) == Wants::Page) {
            let JsonBody(body) = JsonBody::from_request(request, state).await?;
            return Ok(Self(body));
        }
        match Form::from_request(request, state).await {
            Ok(Form(body)) => Ok(Self(body)),
            Err(FormRejection::BytesRejection(BytesRejection::FailedToBufferBody(
                FailedToBufferBody::LengthLimitError(_),
            ))) => Err(ApiError::TooLarge),
            Err(_) => Err(ApiError::BadRequest("Invalid form")),
        }
    }
}
