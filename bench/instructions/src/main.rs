//! Requests through axum and the session layer, without a network in front, to be counted by callgrind: `bench-instructions SUBJECT
//! STORE`, where the store is `memory`, `near` or the URL of a Redis. What is counted happens inside [`counted`]; everything
//! before it is preparation.
//!
//! One thread and one request at a time: so nothing depends on who is scheduled when, and counts repeat to within a percent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{CsrfDefence, Engine, Environment};
use jackline::lifecycle::{OwnerId, Policy, Role};
use jackline::store::Store;
use jackline::store::memory::MemoryStore;
use jackline::store::near::{NearCache, NearOptions};
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::{Authenticated, LazySession, Session, SessionError, SessionLayer};
use serde_json::{Value, json};
use tower_service::Service;

/// How many requests are counted. The sum is divided by this, so that what happens once in a while is spread.
const REQUESTS: usize = 200;

/// How many come before: caches are filled, scripts are known to Redis.
const WARM_UP: usize = 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [subject, store] = &arguments[..] else {
        bail!("say a subject and a store");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let subject = Subject::named(subject)?;
    let mut browser = runtime.block_on(prepare(subject, store))?;
    runtime.block_on(browser.ask_often(subject, WARM_UP))?;
    counted(&runtime, &mut browser, subject)?;
    println!("{REQUESTS}");
    Ok(())
}

/// The name that callgrind is given.
#[inline(never)]
fn counted(
    runtime: &tokio::runtime::Runtime,
    browser: &mut Browser,
    subject: Subject,
) -> Result<()> {
    runtime.block_on(browser.ask_often(subject, REQUESTS))
}

/// What is counted.
#[derive(Clone, Copy)]
struct Subject {
    method: &'static str,
    path: &'static str,
    /// Whether the request brings the cookie of a login.
    cookie: bool,
    /// Whether the layer is there.
    layer: bool,
    /// Whether every use is written down.
    renewing: bool,
}

impl Subject {
    fn named(name: &str) -> Result<Self> {
        let plain = Self {
            method: "GET",
            path: "/none",
            cookie: true,
            layer: true,
            renewing: false,
        };
        Ok(match name {
            "bare" => Self {
                layer: false,
                ..plain
            },
            "stranger" => Self {
                cookie: false,
                ..plain
            },
            "untouched" => plain,
            "profile" => Self {
                path: "/profile",
                ..plain
            },
            "renewal" => Self {
                path: "/profile",
                renewing: true,
                ..plain
            },
            "views" => Self {
                path: "/views",
                ..plain
            },
            "login" => Self {
                method: "POST",
                path: "/login",
                ..plain
            },
            _ => bail!("no subject {name}"),
        })
    }
}

/// One that sends what browsers send.
struct Browser {
    app: Router,
    cookie: Option<HeaderValue>,
}

impl Browser {
    async fn ask_often(&mut self, subject: Subject, times: usize) -> Result<()> {
        for _ in 0..times {
            let response = self.ask(subject).await?;
            ensure!(response.status() == StatusCode::OK, "{}", response.status());
            self.take_cookie(&response)?;
        }
        Ok(())
    }

    async fn ask(&mut self, subject: Subject) -> Result<Response<Body>> {
        let mut request = Request::new(match subject.method {
            "POST" => Body::from("user-1001"),
            _ => Body::empty(),
        });
        *request.method_mut() = Method::from_bytes(subject.method.as_bytes())?;
        *request.uri_mut() = subject.path.parse()?;
        let headers = request.headers_mut();
        for (name, value) in [
            (header::HOST, "localhost:3000"),
            (header::USER_AGENT, USER_AGENT),
            (header::ACCEPT, "text/html,application/xhtml+xml"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if subject.cookie
            && let Some(cookie) = &self.cookie
        {
            headers.insert(header::COOKIE, cookie.clone());
        }
        let peer = SocketAddr::from(([203, 0, 113, 9], 40_000));
        request.extensions_mut().insert(ConnectInfo(peer));
        Ok(self.app.call(request).await?)
    }

    fn take_cookie(&mut self, response: &Response<Body>) -> Result<()> {
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            let pair = set.to_str()?.split(';').next().context("a cookie")?;
            self.cookie = Some(pair.parse()?);
        }
        Ok(())
    }
}

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

async fn prepare(subject: Subject, store: &str) -> Result<Browser> {
    let routes = Router::new()
        .route("/login", post(log_in))
        .route("/profile", get(profile))
        .route("/views", get(views))
        .route("/none", get(async || "none"));
    let app = match subject.layer {
        false => routes,
        true => layered(routes, open(store).await?, subject)?,
    };
    let mut browser = Browser { app, cookie: None };
    if subject.layer {
        browser.ask_often(Subject::named("login")?, 1).await?;
        ensure!(browser.cookie.is_some(), "a login brings a cookie");
    }
    Ok(browser)
}

async fn open(store: &str) -> Result<Arc<dyn Store>> {
    Ok(match store {
        "memory" => Arc::new(MemoryStore::new()),
        "near" => Arc::new(NearCache::in_process(
            Arc::new(MemoryStore::new()),
            NearOptions::new(1 << 20),
        )),
        url => Arc::new(RedisStore::connect(url, RedisOptions::default()).await?),
    })
}

fn layered(routes: Router, store: Arc<dyn Store>, subject: Subject) -> Result<Router> {
    let key = SigningKey::new("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")?;
    let default = Policy::default();
    let mut policy = Policy::builder(default.idle(), default.absolute(None));
    if subject.renewing {
        policy = policy.renewal_step(Duration::ZERO);
    }
    let engine = Engine::builder_with(store, Keyring::new(key))
        .environment(Environment::Development)
        .policy(policy.build()?)
        .csrf(CsrfDefence::new().exempt_from_token(Method::POST, "/login"))
        .build()?;
    Ok(routes.layer(SessionLayer::new(engine)))
}

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
