//! Where am I logged in, and how do I end it: the list of devices, ending one, ending all others. Ending a session asks for
//! a recent authentication (here: within ten seconds, so that it is seen to matter), and `/reauth` gives one.
//!
//! ```text
//! cargo run -p example-sign-out-everywhere
//! login() { curl -s -c "$1" -b "$1" -A "$2" -H 'content-type: application/json' \
//!      -d '{"username":"alice","password":"correct-horse"}' http://localhost:3000/login; }
//! login laptop 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
//! login phone  'Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 Chrome/143.0.0.0 Mobile Safari/537.36'
//! agent='Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
//! as_laptop() { curl -s -c laptop -b laptop -A "$agent" "$@"; }
//!
//! as_laptop http://localhost:3000/sessions                       # both, with a handle each
//! csrf() { as_laptop http://localhost:3000/csrf-token | cut -d '"' -f 4; }
//! as_laptop -X POST -H "x-csrf-token: $(csrf)" http://localhost:3000/sessions/end-others
//!                                                                # {"ended":1}; after ten seconds 401, until:
//! as_laptop -H "x-csrf-token: $(csrf)" -H 'content-type: application/json' \
//!      -d '{"password":"correct-horse"}' http://localhost:3000/reauth
//! as_laptop -X DELETE -H "x-csrf-token: $(csrf)" http://localhost:3000/sessions/HANDLE
//! ```
//!
//! `PORT` says where it listens. Sessions are in memory and end with the program.

mod users;

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{CsrfDefence, Engine, Environment};
use jackline::lifecycle::{AbsoluteLimit, IdleLimit, Policy, Role};
use jackline::session::SessionInfo;
use jackline::store::memory::MemoryStore;
use jackline::token::Handle;
use jackline::{Authenticated, Session, SessionError, SessionLayer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use users::Users;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let policy = Policy::builder(
        IdleLimit::new(Duration::from_secs(30 * 60))?,
        AbsoluteLimit::new(Duration::from_secs(8 * 3600))?,
    )
    .step_up_age(Duration::from_secs(10))
    .build()?;
    let csrf = CsrfDefence::new()
        .exempt_from_token(Method::POST, "/login")
        .exempt_from_token(Method::POST, "/logout");
    let engine = Engine::builder(MemoryStore::new(), Keyring::new(SigningKey::generate()))
        .environment(Environment::Development)
        .policy(policy)
        .csrf(csrf)
        .build()?;

    let app = Router::new()
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/csrf-token", get(csrf_token))
        .route("/reauth", post(reauthenticate))
        .route("/sessions", get(list))
        .route("/sessions/{handle}", delete(end_one))
        .route("/sessions/end-others", post(end_others))
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
    session: Session,
    Json(login): Json<Login>,
) -> Result<Response, SessionError> {
    let owner = users.owner(&login.username);
    let attempt = session.begin_login(&owner).await?;
    let Some(name) = users.check(&login.username, login.password).await else {
        session.report_login_failure(None, "wrong_credentials");
        return Ok(invalid_credentials());
    };
    session.log_in(attempt, name, Role::user())?;
    Ok(Json(json!({ "ok": true })).into_response())
}

async fn log_out(session: Session) -> Result<Json<Value>, SessionError> {
    session.log_out()?;
    Ok(Json(json!({ "ok": true })))
}

async fn csrf_token(session: Session) -> Result<Json<Value>, SessionError> {
    let token = session.csrf_token()?;
    Ok(Json(json!({ "csrfToken": token.expose() })))
}

#[derive(Deserialize)]
struct Reauthentication {
    password: String,
}

/// The session gets a new token, and with it new CSRF tokens. Its end does not move.
async fn reauthenticate(
    State(users): State<Users>,
    Authenticated { session, identity }: Authenticated,
    Json(presented): Json<Reauthentication>,
) -> Result<Response, SessionError> {
    if users
        .check(&identity.name, presented.password)
        .await
        .is_none()
    {
        session.report_step_up_failure("wrong_password");
        return Ok(invalid_credentials());
    }
    session.step_up()?;
    Ok(Json(json!({ "ok": true })).into_response())
}

/// One page, of up to 100 sessions: nobody here may have more than ten.
async fn list(
    Authenticated { session, .. }: Authenticated,
) -> Result<Json<Vec<Value>>, SessionError> {
    let (sessions, _next) = session.siblings(None).await?;
    Ok(Json(sessions.iter().map(for_its_owner).collect()))
}

fn for_its_owner(info: &SessionInfo) -> Value {
    json!({
        "handle": info.handle.as_str(),
        "current": info.current,
        "device": info.origin.agent.display_name(),
        "lastSeenMs": info.last_seen.as_millis(),
    })
}

/// Another user's handle is as unknown as one that never was.
async fn end_one(
    Authenticated { session, .. }: Authenticated,
    Path(handle): Path<String>,
) -> Result<Response, SessionError> {
    let ended = session.end_sibling(&Handle::from_text(handle)).await?;
    Ok(match ended {
        true => Json(json!({ "ok": true })).into_response(),
        false => (StatusCode::NOT_FOUND, Json(json!({ "error": "Not found" }))).into_response(),
    })
}

/// Logins of this user that are under way end too.
async fn end_others(
    Authenticated { session, .. }: Authenticated,
) -> Result<Json<Value>, SessionError> {
    let ended = session.end_others().await?;
    Ok(Json(json!({ "ended": ended })))
}

fn invalid_credentials() -> Response {
    let answer = json!({ "error": "Invalid credentials" });
    (StatusCode::UNAUTHORIZED, Json(answer)).into_response()
}
