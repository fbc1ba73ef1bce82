//! A store of one's own. `store.rs` implements the whole contract over a journal file, and one line at its end proves so.
//! This program is `hello` over it: stop it, start it again, and the count goes on.
//!
//! ```text
//! cargo test -p example-own-store
//! export SESSION_SECRET="$(openssl rand -hex 64)"   # the same key for both runs, or the cookie is a stranger's
//! cargo run -p example-own-store &
//! curl -c jar -b jar http://localhost:3000/         # {"visits":1}
//! kill %1; cargo run -p example-own-store &
//! curl -c jar -b jar http://localhost:3000/         # {"visits":2}
//! ```
//!
//! `PORT` says where it listens, `JOURNAL` which file it uses (`./sessions.journal`).

mod journal;
mod line;
mod store;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::routing::get;
use axum::{Json, Router};
use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{Engine, Environment};
use jackline::{Session, SessionError, SessionLayer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use store::JournalStore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let secret = std::env::var("SESSION_SECRET").context("set SESSION_SECRET, as shown above")?;
    let path = std::env::var("JOURNAL").unwrap_or_else(|_| "sessions.journal".to_owned());
    let store = JournalStore::open(path.as_ref()).with_context(|| format!("cannot use {path}"))?;
    let engine = Engine::builder(store, Keyring::new(SigningKey::new(secret)?))
        .environment(Environment::Development)
        .build()?;
    tokio::spawn(reclaim(engine.clone()));

    let app = Router::new()
        .route("/", get(count))
        .layer(SessionLayer::new(engine));
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

async fn count(session: Session) -> Result<Json<Value>, SessionError> {
    let visits = session.increment("visits", 1).await?;
    Ok(Json(json!({ "visits": visits })))
}

/// Gives back what expired sessions take up.
async fn reclaim(engine: Engine) {
    let mut every = tokio::time::interval(Duration::from_secs(30));
    loop {
        every.tick().await;
        // An outage is an event already, and the next round tries again.
        let _ = engine.reclaim(500).await;
    }
}
