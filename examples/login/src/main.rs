//! Logging in with a password, and out. There is one user, whose Argon2id hash is made at start; an unknown user costs as
//! much time as a wrong password.
//!
//! ```text
//! cargo run -p example-login
//! curl -c jar -b jar -H 'content-type: application/json' \
//!      -d '{"username":"alice","password":"correct-horse"}' http://localhost:3000/login
//!                                                                    # {"ok":true,"user":"alice"}
//! curl -c jar -b jar http://localhost:3000/profile                   # {"userId":"user-1001","username":"alice"}
//! curl -c jar -b jar -X POST http://localhost:3000/logout            # {"ok":true}
//! curl -c jar -b jar -i http://localhost:3000/profile                # 401 {"error":"Not authenticated"}
//! ```
//!
//! `PORT` says where it listens. Sessions are in memory and end with the program.

mod users;

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{CsrfDefence, Engine, Environment};
use jackline::lifecycle::Role;
use jackline::store::memory::MemoryStore;
use jackline::{Authenticated, LazySession, Session, SessionError, SessionLayer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use users::Users;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Every other unsafe request needs the session's CSRF token. A login has no session yet, and being logged out by
    // another site is a nuisance only. Where a request comes from is checked for these two as well.
    let csrf = CsrfDefence::new()
        .exempt_from_token(Method::POST, "/login")
        .exempt_from_token(Method::POST, "/logout");
    let engine = Engine::builder(MemoryStore::new(), Keyring::new(SigningKey::generate()))
        .environment(Environment::Development)
        .csrf(csrf)
        .build()?;

    let app = Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(engine))
        .with_state(Users::with_demo_user()?);

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

async fn log_in(
    State(users): State<Users>,
    session: LazySession,
    Json(login): Json<Login>,
) -> Result<Response, SessionError> {
    // The order matters: whose login it is, the beginning, then the credentials. If everything of this user's is revoked
    // after the beginning, `log_in` is refused, however right the password was.
    let owner = users.owner(&login.username);
    let (session, attempt) = session.begin_login(&owner).await?;
    match users.check(&login.username, login.password).await {
        Some(name) => {
            session.log_in(attempt, name.as_str(), Role::user())?;
            Ok(Json(json!({ "ok": true, "user": name })).into_response())
        }
        None => {
            session.report_login_failure(None, "wrong_credentials");
            let answer = json!({ "error": "Invalid credentials" });
            Ok((StatusCode::UNAUTHORIZED, Json(answer)).into_response())
        }
    }
}

async fn profile(Authenticated { identity, .. }: Authenticated) -> Json<Value> {
    Json(json!({ "userId": identity.id.as_str(), "username": identity.name }))
}

async fn log_out(session: Session) -> Result<Json<Value>, SessionError> {
    session.log_out()?;
    Ok(Json(json!({ "ok": true })))
}
