//! `GET /profile`: who is logged in.

use std::sync::Arc;

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jackline::Authenticated;
use jackline::lifecycle::Identity;
use serde::Serialize;

use crate::error::ApiError;
use crate::pages::{Arrival, Frame, Moment, Notice, Place, Wants, page};

/// `{"userId":"user-1001","username":"alice"}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    user_id: String,
    username: String,
}

/// The account's page.
#[derive(Template)]
#[template(path = "profile.html")]
struct AccountPage {
    frame: Frame,
    notice: Notice,
    identity: Arc<Identity>,
    ends: Option<Moment>,
}

/// The user of this session.
///
/// # Errors
/// `401` if nobody is logged in, `503` if the store is away.
pub async fn show(
    wants: Wants,
    Authenticated { session, identity }: Authenticated,
    Query(arrival): Query<Arrival>,
) -> Result<Response, ApiError> {
    match wants {
        Wants::Json => Ok(axum::Json(Profile {
            user_id: identity.id.to_string(),
            username: identity.name.clone(),
        })
        .into_response()),
        Wants::Page => {
            let account = AccountPage {
                frame: Frame::of(&session, "Account", Place::Account)?,
                notice: arrival.said,
                identity,
                ends: session.ends_at().map(Moment::of),
            };
            page(StatusCode::OK, &account)
        }
    }
}
