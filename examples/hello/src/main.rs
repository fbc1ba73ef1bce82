//! The smallest program with sessions: it counts the visits of each visitor, exactly, however many come at once.
//!
//! ```text
//! cargo run -p example-hello
//! curl -c jar -b jar http://localhost:3000/        # {"visits":1}, and a cookie
//! curl -c jar -b jar http://localhost:3000/        # {"visits":2}
//! curl http://localhost:3000/                      # {"visits":1}: somebody else
//! curl -i http://localhost:3000/about              # no session, no cookie, no call of the store
//! ```
//!
//! `PORT` says where it listens. Sessions are in memory and end with the program.

use std::net::SocketAddr;

use axum::routing::get;
use axum::{Json, Router};
use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{Engine, Environment};
use jackline::store::memory::MemoryStore;
use jackline::{Session, SessionError, SessionLayer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // In production: a key from `jackline secret`, a store that lasts, and no `environment`: the default is the strict one.
    let keys = Keyring::new(SigningKey::generate());
    let engine = Engine::builder(MemoryStore::new(), keys)
        .environment(Environment::Development)
        .build()?;

    let app = Router::new()
        .route("/", get(count))
        .route("/about", get(about))
        .layer(SessionLayer::new(engine));

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    // The layer must know who is at the other end of the connection.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

async fn count(session: Session) -> Result<Json<Value>, SessionError> {
    let visits = session.increment("visits", 1).await?;
    Ok(Json(json!({ "visits": visits })))
}

/// Asks for no session, and so costs none.
async fn about() -> &'static str {
    "A program that counts."
}
