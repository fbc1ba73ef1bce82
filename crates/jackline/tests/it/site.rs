//! A small site with sessions, for the promises that a browser can see. No socket and no real clock: requests are handed to
//! the router, time passes when a test says so, and a spy stands before the store.

mod app;
mod browser;
mod gate;
mod log;
mod nonsense;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use jackline::SessionLayer;
use jackline::clock::Clock as _;
use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{CsrfDefence, Engine, EngineBuilder, Environment};
use jackline::lifecycle::{
    AbsoluteLimit, IdleLimit, OwnerId, Policy, PolicyBuilder, PreLoginData, Role, UnixMs,
};
use jackline::store::Store;
use jackline::store::memory::MemoryStore;
use jackline::store::near::{NearCache, NearOptions};
use jackline::testing::{ManualClock, SpyStore};
use tower::ServiceExt as _;

pub(crate) use app::{Answered, param};
pub(crate) use browser::{Answer, Browser};
pub(crate) use gate::Gate;
pub(crate) use log::Log;
pub(crate) use nonsense::Nonsense;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The default policy's limits and its renewal step, written out: a test that computed them would prove nothing.
pub(crate) const IDLE: Duration = Duration::from_secs(30 * 60);
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(8 * 3600);
pub(crate) const STEP: Duration = MINUTE;

pub(crate) const SECRET: &str = "a-signing-secret-that-no-log-may-show-0123456789";

/// A server over a store.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) clock: ManualClock,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) spy: Arc<SpyStore>,
    pub(crate) engine: Engine,
    router: Router,
}

type Parts = (Arc<MemoryStore>, Arc<SpyStore>, ManualClock);

impl Site {
    /// With the defaults of development.
    pub(crate) fn new() -> Self {
        Self::with(|engine| engine)
    }

    /// With other settings.
    pub(crate) fn with(configure: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::with_routes(configure, Router::new())
    }

    /// With routes of a test's own beside the usual ones. They are `GET` mostly, which spares them the CSRF token.
    pub(crate) fn serving(routes: Router) -> Self {
        Self::with_routes(|engine| engine, routes)
    }

    pub(crate) fn with_routes(
        configure: impl FnOnce(EngineBuilder) -> EngineBuilder,
        routes: Router,
    ) -> Self {
        let memory = Arc::new(MemoryStore::new());
        let clock = ManualClock::new(UnixMs::from_millis(1_800_000_000_000));
        Self::over(memory, clock, configure, routes)
    }

    /// Another server of the same site: the same store and clock, perhaps other settings.
    pub(crate) fn beside(&self, configure: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::over(
            Arc::clone(&self.memory),
            self.clock.clone(),
            configure,
            Router::new(),
        )
    }

    fn over(
        memory: Arc<MemoryStore>,
        clock: ManualClock,
        configure: impl FnOnce(EngineBuilder) -> EngineBuilder,
        routes: Router,
    ) -> Self {
        let spy = Arc::new(SpyStore::new(Arc::clone(&memory) as _));
        let store = Arc::clone(&spy) as _;
        Self::keyed((memory, spy, clock), store, keys(), configure, routes)
    }

    /// Another server of the same site with other signing keys.
    pub(crate) fn beside_with_keys(&self, keys: Keyring) -> Self {
        Self::keyed(
            self.parts(),
            Arc::clone(&self.spy) as _,
            keys,
            |engine| engine,
            Router::new(),
        )
    }

    /// Another server of the same site, which asks the spy through a near-cache.
    pub(crate) fn beside_with_a_near_cache(&self) -> Self {
        let spy = Arc::clone(&self.spy) as _;
        let near = NearCache::in_process(spy, NearOptions::new(1 << 20));
        Self::keyed(
            self.parts(),
            Arc::new(near),
            keys(),
            |engine| engine,
            Router::new(),
        )
    }

    fn parts(&self) -> Parts {
        let Self {
            memory, spy, clock, ..
        } = self.clone();
        (memory, spy, clock)
    }

    /// `store` is the spy, or stands before it.
    fn keyed(
        (memory, spy, clock): Parts,
        store: Arc<dyn Store>,
        keys: Keyring,
        configure: impl FnOnce(EngineBuilder) -> EngineBuilder,
        routes: Router,
    ) -> Self {
        let builder = Engine::builder_with(store, keys)
            .environment(Environment::Development)
            .clock(clock.clone())
            .csrf(csrf());
        let engine = configure(builder).build().unwrap();
        let router = app::router()
            .merge(routes)
            .layer(SessionLayer::new(engine.clone()));
        Self {
            clock,
            memory,
            spy,
            engine,
            router,
        }
    }

    /// Somebody who has never been here.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self)
    }

    /// Somebody who has just logged in.
    pub(crate) async fn logged_in(&self, user: &str) -> Browser {
        let mut browser = self.browser();
        browser.log_in(user).await;
        browser
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Answers one request, as it is.
    pub(crate) async fn serve(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.into()).unwrap(),
        }
    }

    /// Begins to answer a request, while the test goes on.
    pub(crate) fn start(&self, request: Request<Body>) -> tokio::task::JoinHandle<Answer> {
        let site = self.clone();
        tokio::spawn(async move { site.serve(request).await })
    }

    /// How many sessions of somebody's are in the store.
    pub(crate) async fn sessions_of(&self, user: &str) -> usize {
        let (sessions, _) = self.engine.sessions_of(&owner(user), None).await.unwrap();
        sessions.len()
    }
}

pub(crate) fn keys() -> Keyring {
    Keyring::new(SigningKey::new(SECRET).unwrap())
}

pub(crate) fn csrf() -> CsrfDefence {
    CsrfDefence::new()
        .exempt_from_token(Method::POST, "/login")
        .exempt_from_token(Method::POST, "/logout")
}

pub(crate) fn owner(user: &str) -> OwnerId {
    OwnerId::new(format!("id-of-{user}")).unwrap()
}

/// A policy with these limits, and an hour for administrators if that is shorter.
pub(crate) fn limits(idle: Duration, absolute: Duration) -> PolicyBuilder {
    let (idle, absolute) = (IdleLimit::new(idle), AbsoluteLimit::new(absolute));
    let admin = absolute.unwrap().min(AbsoluteLimit::new(HOUR).unwrap());
    Policy::builder(idle.unwrap(), absolute.unwrap()).role_absolute(Role::admin(), admin)
}

/// The default limits, and a visitor's data moves along at login.
pub(crate) fn carrying() -> Policy {
    limits(IDLE, ABSOLUTE)
        .pre_login_data(PreLoginData::Carry)
        .build()
        .unwrap()
}
