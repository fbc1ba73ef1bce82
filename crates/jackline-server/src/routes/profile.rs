//! `GET /profile`: who is logged in.

use axum::Json;
use jackline::Authenticated;
use serde::Serialize;

/// `{"userId":"user-1001","username":"alice"}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    user_id: String,
    username: String,
}

/// The user of this session.
pub async fn show(Authenticated { identity, .. }: Authenticated) -> Json<Profile> {
    Json(Profile {
        user_id: identity.id.to_string(),
        username: identity.name,
    })
}
