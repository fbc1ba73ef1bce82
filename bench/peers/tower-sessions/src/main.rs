//! axum with tower-sessions, as its documentation has it: `bench-tower-sessions sliding URL`, or `fixed URL`.
//!
//! Expiry on inactivity alone moves a session's expiry on when it is changed; `sliding` has it saved after every request as well, so
//! that reading it keeps it alive. Signed cookies are a feature that is off by default, and off here.

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use time::Duration;
use tokio::net::TcpListener;
use tower_sessions::{Expiry, Session, SessionManagerLayer, session};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (sliding, url) = match arguments[..] {
        ["sliding", url] => (true, url),
        ["fixed", url] => (false, url),
        _ => return Err("say sliding URL or fixed URL".into()),
    };
    // Six connections, as its example has it.
    let pool = Pool::new(Config::from_url(url)?, None, None, None, 6)?;
    pool.init().await?;
    let layer = SessionManagerLayer::new(RedisStore::new(pool))
        .with_secure(false)
        .with_always_save(sliding)
        .with_expiry(Expiry::OnInactivity(Duration::minutes(30)));

    let app = Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/views", get(views))
        .route("/none", get(async || "none"))
        .layer(layer);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}

async fn log_in(session: Session, user: String) -> Result<Json<Value>, StatusCode> {
    session.cycle_id().await.map_err(failed)?;
    session.insert("user", user).await.map_err(failed)?;
    Ok(Json(json!({ "ok": true })))
}

async fn profile(session: Session) -> Result<Json<Value>, StatusCode> {
    let user: Option<String> = session.get("user").await.map_err(failed)?;
    let user = user.ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Json(json!({ "userId": user })))
}

async fn views(session: Session) -> Result<Json<Value>, StatusCode> {
    let views: Option<u64> = session.get("views").await.map_err(failed)?;
    let views = views.unwrap_or_default() + 1;
    session.insert("views", views).await.map_err(failed)?;
    Ok(Json(json!({ "views": views })))
}

fn failed(error: session::Error) -> StatusCode {
    eprintln!("error: {error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
