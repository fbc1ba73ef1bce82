//! axum with Jackline, as somebody would use it who wants what the other contenders offer: `bench-jackline redis URL`, the same with
//! `each-time` at the end, `bench-jackline near URL`, `bench-jackline sqlite FILE`, `bench-jackline memory`.
//!
//! Policy, cookie and defence are the defaults, but for the environment: without TLS in front, no Secure cookie would be granted.
//! By default a session's expiry moves on once a minute, so most requests find nothing to renew; `each-time` renews with every
//! request, as the other contenders do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::routing::{get, post};
use axum::{Json, Router};
use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{CsrfDefence, Engine, EngineBuilder, Environment};
use jackline::lifecycle::{OwnerId, Policy, Role};
use jackline::store::memory::MemoryStore;
use jackline::store::near::{Announcements, NearCache, NearOptions};
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::sqlite::SqliteStore;
use jackline::{Authenticated, LazySession, Session, SessionError, SessionLayer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let keys = Keyring::new(SigningKey::generate());
    let builder = match arguments[..] {
        ["redis", url] => Engine::builder(redis(url, "jackline:", None).await?, keys),
        ["redis", url, "each-time"] => {
            renewing(Engine::builder(redis(url, "each-time:", None).await?, keys))?
        }
        ["near", url] => Engine::builder(near(url).await?, keys),
        ["sqlite", file] => Engine::builder(SqliteStore::open(file)?, keys),
        ["memory"] => Engine::builder(MemoryStore::new(), keys),
        _ => bail!("say redis URL [each-time], near URL, sqlite FILE or memory"),
    };
    let engine = builder
        .environment(Environment::Development)
        .csrf(CsrfDefence::new().exempt_from_token(axum::http::Method::POST, "/login"))
        .build()?;

    let app = Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/views", get(views))
        .route("/none", get(async || "none"))
        .layer(SessionLayer::new(engine));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

async fn near(url: &str) -> Result<NearCache> {
    let announcements = Announcements::new(NearOptions::new(64 << 20));
    let store = redis(url, "near:", Some(&announcements)).await?;
    Ok(NearCache::announced(Arc::new(store), &announcements))
}

/// Each way of using it has keys of its own: nobody is logged in with two of them.
async fn redis(url: &str, prefix: &str, announce_to: Option<&Announcements>) -> Result<RedisStore> {
    let mut options = RedisOptions::default().prefix(prefix);
    if let Some(announcements) = announce_to {
        options = options.announce_to(announcements);
    }
    RedisStore::connect(url, options)
        .await
        .with_context(|| format!("cannot use {url}"))
}

/// Moves expiry on with every request.
fn renewing(builder: EngineBuilder) -> Result<EngineBuilder> {
    let default = Policy::default();
    let policy = Policy::builder(default.idle(), default.absolute(None))
        .renewal_step(Duration::ZERO)
        .build()?;
    Ok(builder.policy(policy))
}

/// The body is the user. There is no password: hashing one would be all that one sees.
async fn log_in(session: LazySession, user: String) -> Result<Json<Value>, SessionError> {
    let owner = OwnerId::new(user.as_str()).map_err(|_| SessionError::NotAuthenticated)?;
    let (session, attempt) = session.begin_login(&owner).await?;
    session.log_in(attempt, user, Role::user())?;
    Ok(Json(json!({ "ok": true })))
}

async fn profile(Authenticated { identity, .. }: Authenticated) -> Json<Value> {
    Json(json!({ "userId": identity.id.as_str() }))
}

async fn views(session: Session) -> Result<Json<Value>, SessionError> {
    let views = session.increment("views", 1).await?;
    Ok(Json(json!({ "views": views })))
}
