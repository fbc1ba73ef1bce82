//! `GET /admin/users`: the users, by how their names begin.

use askama::Template;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Administrator;
use crate::app::App;
use crate::error::ApiError;
use crate::pages::{Frame, Moment, Place, Wants, page};
use crate::users::User;

/// `?begins=al&after=…`
#[derive(Debug, Deserialize)]
pub struct Searched {
    #[serde(default)]
    begins: String,
    #[serde(default)]
    after: String,
}

/// The page.
#[derive(Template)]
#[template(path = "admin_users.html")]
struct UsersPage {
    frame: Frame,
    begins: String,
    users: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: String,
    name: String,
    role: &'static str,
    disabled: bool,
    created: Moment,
}

/// One page of users, by name.
///
/// # Errors
/// `401` if nobody is logged in, `403` if they are no administrator, `503` if a store is away.
pub async fn search(
    State(app): State<App>,
    wants: Wants,
    Administrator { session, .. }: Administrator,
    query: Result<Query<Searched>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::BadRequest("Invalid query"))?;
    let (users, next) = app.users.search(&query.begins, &query.after).await?;
    if wants == Wants::Json {
        let users: Vec<_> = users.iter().map(in_json).collect();
        let found = match next {
            None => json!({ "users": users }),
            Some(next) => json!({ "users": users, "next": next }),
        };
        return Ok(Json(found).into_response());
    }
    let found = UsersPage {
        frame: Frame::of(&session, "Users", Place::Console)?,
        begins: query.begins,
        users: users.into_iter().map(Row::from).collect(),
        next,
    };
    page(StatusCode::OK, &found)
}

pub(super) fn in_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "role": user.role,
        "disabled": user.disabled,
        "createdAt": Moment::of_ms(user.created_ms).iso(),
        "passwordChangedAt": Moment::of_ms(user.password_changed_ms).iso(),
    })
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.username.as_str().to_owned(),
            role: user.role.as_str(),
            disabled: user.disabled,
            created: Moment::of_ms(user.created_ms),
        }
    }
}
