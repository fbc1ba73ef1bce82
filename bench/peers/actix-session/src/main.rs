//! actix-web with actix-session, as its documentation has it: `bench-actix-session URL`. A session's time to live begins anew with
//! every request that brings it; the cookie is encrypted, as it is by default.

use actix_session::config::{PersistentSession, TtlExtensionPolicy};
use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::{Key, time::Duration};
use actix_web::error::{ErrorInternalServerError, ErrorUnauthorized};
use actix_web::web::{Json, get, post};
use actix_web::{App, Error, HttpServer};
use serde_json::{Value, json};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("say which Redis: URL")?;
    let (store, key) = (RedisSessionStore::new(url).await?, Key::generate());
    let server = HttpServer::new(move || {
        let lifecycle = PersistentSession::default()
            .session_ttl(Duration::minutes(30))
            .session_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
        let sessions = SessionMiddleware::builder(store.clone(), key.clone())
            .cookie_secure(false)
            .session_lifecycle(lifecycle)
            .build();
        App::new()
            .wrap(sessions)
            .route("/login", post().to(log_in))
            .route("/profile", get().to(profile))
            .route("/views", get().to(views))
            .route("/none", get().to(async || "none"))
    })
    .bind(("127.0.0.1", 0))?;
    for address in server.addrs() {
        println!("{}", address.port());
    }
    server.run().await?;
    Ok(())
}

async fn log_in(session: Session, user: String) -> Result<Json<Value>, Error> {
    session.renew();
    session
        .insert("user", user)
        .map_err(ErrorInternalServerError)?;
    Ok(Json(json!({ "ok": true })))
}

async fn profile(session: Session) -> Result<Json<Value>, Error> {
    let user: Option<String> = session.get("user").map_err(ErrorInternalServerError)?;
    let user = user.ok_or_else(|| ErrorUnauthorized("Not authenticated"))?;
    Ok(Json(json!({ "userId": user })))
}

async fn views(session: Session) -> Result<Json<Value>, Error> {
    let views: Option<u64> = session.get("views").map_err(ErrorInternalServerError)?;
    let views = views.unwrap_or_default() + 1;
    session
        .insert("views", views)
        .map_err(ErrorInternalServerError)?;
    Ok(Json(json!({ "views": views })))
}
