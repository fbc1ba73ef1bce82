//! A login in two steps: with the first factor alone a session is nobody's, and the second takes up the login as it began.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, Method, StatusCode, Uri};
use jackline::clock::{Clock as _, SystemClock};
use jackline::cookie::CookieForm;
use jackline::engine::{Connection, Engine, Environment, Incoming};
use jackline::lifecycle::Role;
use jackline::proxy::Scheme;
use jackline::session::LoginAttempt;
use jackline::store::Store;
use jackline::store::memory::MemoryStore;
use jackline::store::redis::express::ExpressStore;
use jackline::testing::ManualClock;
use jackline::{LazySession, Session, SessionError};
use serde_json::json;
use testkit::redis::RedisServer;

use crate::site::{
    ABSOLUTE, Answer, Answered, Browser, Gate, Log, MINUTE, SECOND, Site, carrying, keys, owner,
    param,
};
use crate::{store_contract, store_encrypted, store_express, store_postgres, store_redis};

/// The first factor was right.
async fn first(lazy: LazySession, uri: Uri) -> Answered {
    let user = param(&uri, "user").unwrap();
    let (session, attempt) = lazy.begin_login(&owner(&user)).await?;
    session.await_second_factor(attempt)?;
    Ok(Json(json!({ "ok": false })))
}

/// The second factor was right.
async fn second(session: Session) -> Answered {
    let attempt = session.resume_login()?;
    let name = attempt
        .owner()
        .as_str()
        .trim_start_matches("id-of-")
        .to_owned();
    session.log_in(attempt, name, Role::user())?;
    Ok(Json(json!({ "ok": true })))
}

async fn awaiting(session: Session) -> Answered {
    Ok(Json(json!({ "owner": session.awaiting_second_factor() })))
}

fn routes() -> Router {
    Router::new()
        .route("/first", get(first))
        .route("/second", get(second))
        .route("/awaiting", get(awaiting))
}

fn site() -> Site {
    Site::serving(routes())
}

async fn first_of(browser: &mut Browser, user: &str) -> Answer {
    let answer = browser.get(&format!("/first?user={user}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

async fn awaited(browser: &mut Browser) -> serde_json::Value {
    browser.get("/awaiting").await.json()["owner"].clone()
}

fn nobody() -> (u16, String) {
    (401, "Not authenticated".to_owned())
}

// Proves: R2, J1
#[tokio::test]
async fn the_first_factor_makes_nobody_somebody_and_the_token_changes_at_each() {
    let site = site();
    let mut alice = site.browser();
    alice.submit("/set?cart=full").await;
    let visitor = alice.thief();
    let log = Log::start();

    let answer = first_of(&mut alice, "alice").await;

    assert!(answer.gives_cookie());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        log.events(),
        [
            "second_factor_required",
            "session_regenerated/second_factor"
        ]
    );
    let mut half = alice.thief();
    assert_ne!(alice.cookie(), visitor.cookie());
    for path in ["/me", "/sensitive", "/admin", "/sessions"] {
        assert_eq!(alice.get(path).await.refusal(), nobody(), "{path}");
    }
    for path in ["/step-up", "/sessions/end-others"] {
        assert_eq!(alice.submit(path).await.refusal(), nobody(), "{path}");
    }
    assert_eq!(alice.user().await, None);
    assert_eq!(alice.data().await, json!({ "cart": "full" }));
    assert_eq!(site.sessions_of("alice").await, 0);
    assert_eq!(awaited(&mut alice).await, "id-of-alice");
    assert_eq!(awaited(&mut visitor.thief()).await, json!(null));

    log.events();
    assert_eq!(alice.get("/second").await.status, 200);

    assert_eq!(log.events(), ["login_success", "session_regenerated/login"]);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(alice.get("/sensitive").await.status, 200);
    assert_ne!(alice.cookie(), half.cookie());
    assert_eq!(half.user().await, None);
    assert_eq!(half.get("/second").await.refusal(), nobody());
    assert_eq!(awaited(&mut alice).await, json!(null));
    assert_eq!(alice.get("/second").await.refusal(), nobody());
    assert_eq!(site.memory.len(), 1);
}

// Proves: R2, J5
#[tokio::test]
async fn the_absolute_limit_begins_with_the_second_factor() {
    let site = site();
    let mut alice = site.browser();
    first_of(&mut alice, "alice").await;
    site.wait(9 * MINUTE);
    alice.get("/second").await;
    let mut alice = alice.hoarding();
    for _ in 0..ABSOLUTE.as_secs() / 600 - 1 {
        site.wait(10 * MINUTE);
        assert_eq!(alice.user().await.as_deref(), Some("alice"));
    }
    site.wait(10 * MINUTE - SECOND);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    site.wait(SECOND);
    assert_eq!(alice.user().await, None);
}

// Proves: R2, J1
#[tokio::test]
async fn who_waits_for_what_is_neither_in_the_data_nor_set_or_cleared_through_it() {
    let site = site();
    let mut visitor = site.browser();
    visitor
        .submit("/set?awaits=id-of-alice&owner=id-of-alice&epoch=0&began=0")
        .await;
    assert_eq!(awaited(&mut visitor).await, json!(null));
    assert_eq!(visitor.get("/second").await.refusal(), nobody());

    let mut alice = site.browser();
    first_of(&mut alice, "alice").await;
    assert_eq!(alice.data().await, json!({}));
    alice.submit("/set?awaits=id-of-mallory").await;
    alice.submit("/clear").await;
    alice.submit("/rotate").await;
    assert_eq!(awaited(&mut alice).await, "id-of-alice");
    assert_eq!(alice.get("/second").await.status, 200);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: R2, J4
#[tokio::test]
async fn what_is_revoked_between_the_factors_is_revoked_for_the_login() {
    let site = site();
    let mut elsewhere = site.logged_in("alice").await;
    let mut alice = site.browser();
    first_of(&mut alice, "alice").await;
    elsewhere.submit("/sessions/end-others").await;

    let log = Log::start();
    let refusal = alice.get("/second").await.refusal();

    assert_eq!(refusal, (401, "Please log in again".to_owned()));
    assert_eq!(log.events(), ["login_revoked"]);
    assert_eq!(alice.user().await, None);
    assert_eq!(site.sessions_of("alice").await, 1);
    // And however often it is tried.
    assert_eq!(alice.get("/second").await.status, 401);
    first_of(&mut alice, "alice").await;
    assert_eq!(alice.get("/second").await.status, 200);
}

// Proves: R2
#[tokio::test]
async fn a_second_factor_may_be_given_for_ten_minutes_from_the_beginning() {
    let site = site();
    let mut alice = site.browser();
    first_of(&mut alice, "alice").await;
    site.wait(LoginAttempt::MAX_AGE);
    let mut in_time = alice.thief();
    assert_eq!(in_time.get("/second").await.status, 200);

    let mut bob = site.browser();
    first_of(&mut bob, "bob").await;
    site.wait(LoginAttempt::MAX_AGE + Duration::from_millis(1));
    assert_eq!(awaited(&mut bob).await, json!(null));
    let refusal = bob.get("/second").await.refusal();
    assert_eq!(refusal, (401, "Please log in again".to_owned()));
    assert_eq!(bob.user().await, None);
}

// Proves: R2, J1, J2
#[tokio::test]
async fn whoever_was_logged_in_here_gives_way_and_leaves_nothing_behind() {
    let with = |engine: jackline::engine::EngineBuilder| engine.policy(carrying());
    for site in [site(), Site::with_routes(with, routes())] {
        for user in ["alice", "bob"] {
            let mut browser = site.logged_in("alice").await;
            browser.submit("/set?diary=private").await;
            let mut before = browser.thief();

            first_of(&mut browser, user).await;

            assert_eq!(browser.user().await, None);
            assert_eq!(browser.data().await, json!({}));
            assert_eq!(site.sessions_of("alice").await, 0);
            // It is known as replaced: what was under way with it gets no session in the place of the new one.
            let log = Log::start();
            assert_eq!(before.user().await, None);
            assert_eq!(log.events(), ["session_rejected/replaced"]);
            assert!(!before.get("/views").await.gives_cookie());

            browser.get("/second").await;
            assert_eq!(browser.user().await.as_deref(), Some(user));
            assert_eq!(browser.data().await, json!({}));
            browser.post("/logout").await;
        }
    }
}

// Proves: R2
#[tokio::test]
async fn what_a_visitor_has_gathered_moves_along_if_the_policy_says_so() {
    let site = Site::with_routes(|engine| engine.policy(carrying()), routes());
    let mut alice = site.browser();
    alice.submit("/set?cart=full").await;
    first_of(&mut alice, "alice").await;
    alice.submit("/set?coupon=10").await;
    alice.get("/second").await;
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(
        alice.data().await,
        json!({ "cart": "full", "coupon": "10" })
    );
}

// Proves: R2, J8
#[tokio::test]
async fn a_store_that_goes_away_between_the_steps_logs_nobody_out() {
    let site = site();
    let mut alice = site.logged_in("alice").await;
    // The load with its epoch, then the new session; the end of the one before no more.
    for through in 0..3 {
        site.spy.fail_after(through);
        let answer = alice.get("/first?user=bob").await;
        site.spy.fail_all(false);
        assert_eq!(answer.status, 503, "{through}: {answer:?}");
        assert!(answer.keeps_cookie());
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{through}");
    }
    first_of(&mut alice, "bob").await;
    assert_eq!(site.sessions_of("alice").await, 0);
}

// Proves: R2, J10
#[tokio::test]
async fn a_late_response_does_not_take_the_cookie_of_a_session_that_waits() {
    let gate = Gate::default();
    let slow = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            gate.pass().await;
            session.insert("late", "visitor")?;
            Ok::<_, SessionError>("")
        })
    };
    let site = Site::serving(routes().route("/slow", slow));
    // With the cookie of a visitor, of somebody, and of one that is long dead.
    for case in 0..3 {
        let mut browser = site.browser().hoarding();
        match case {
            0 => drop(browser.submit("/set?a=1").await),
            1 => drop(browser.log_in("alice").await),
            _ => {
                browser.submit("/set?a=1").await;
                site.wait(ABSOLUTE + ABSOLUTE);
            }
        }
        let late = site.start(browser.request(Method::GET, "/slow"));
        gate.arrival().await;
        first_of(&mut browser, "bob").await;
        gate.open();
        let late = late.await.unwrap();
        assert!(late.keeps_cookie(), "{case}: {late:?}");
        assert_eq!(awaited(&mut browser).await, "id-of-bob", "{case}");
    }
}

// Proves: R2, J1
#[tokio::test]
async fn steps_of_one_request_end_as_the_last_of_them_says() {
    let both = |session: Session| async move {
        session.await_second_factor(session.begin_login(&owner("alice")).await?)?;
        session.insert("kept", "by the login")?;
        session.rotate()?;
        session.log_in(session.resume_login()?, "alice", Role::user())?;
        Ok::<_, SessionError>("")
    };
    let back = |session: Session| async move {
        let attempt = session.begin_login(&owner("alice")).await?;
        session.log_in(attempt, "alice", Role::user())?;
        session.await_second_factor(session.begin_login(&owner("bob")).await?)?;
        session.insert("waits", "with the login")?;
        Ok::<_, SessionError>("")
    };
    let more = Router::new()
        .route("/both", get(both))
        .route("/back", get(back));
    let site = Site::with_routes(|engine| engine.policy(carrying()), routes().merge(more));
    for visitor in [false, true] {
        let mut browser = site.browser();
        if visitor {
            browser.submit("/set?a=1").await;
        }
        assert_eq!(browser.get("/back").await.status, 200);
        assert_eq!(browser.user().await, None);
        assert_eq!(awaited(&mut browser).await, "id-of-bob");
        assert_eq!(browser.data().await, json!({ "waits": "with the login" }));
        assert_eq!(browser.get("/both").await.status, 200);
        assert_eq!(browser.user().await.as_deref(), Some("alice"));
        assert_eq!(browser.data().await["kept"], "by the login");
        assert_eq!(awaited(&mut browser).await, json!(null));
        // Somebody who is logged in, in one request to the end.
        browser.submit("/set?diary=private").await;
        assert_eq!(browser.get("/both").await.status, 200);
        assert_eq!(browser.data().await, json!({ "kept": "by the login" }));
        browser.post("/logout").await;
    }
    assert_eq!(site.memory.len(), 0);
}

// Proves: R2, J1
#[tokio::test]
async fn logging_out_ends_the_wait() {
    let site = site();
    let mut alice = site.browser();
    first_of(&mut alice, "alice").await;
    let mut before = alice.thief();
    assert!(alice.post("/logout").await.removes_cookie());
    assert_eq!(before.get("/second").await.refusal(), nobody());
}

/// A browser's requests over some store, without a site.
async fn in_two_steps(store: Arc<dyn Store>, form: CookieForm) {
    let clock = ManualClock::new(SystemClock.now());
    let engine = Engine::builder_with(store, keys())
        .environment(Environment::Development)
        .clock(clock.clone())
        .cookie_form(form)
        .store_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut cookie = None;
    let open = |cookie: &Option<String>| {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = cookie {
            headers.insert("cookie", cookie.parse().unwrap());
        }
        let incoming = Incoming {
            method: &Method::POST,
            uri: &Uri::from_static("/login"),
            headers: &headers,
            connection: Some(Connection {
                peer: "203.0.113.9".parse().unwrap(),
                scheme: Scheme::Http,
            }),
        };
        engine.open(&incoming)
    };
    let finish = async |lazy: &LazySession, cookie: &mut Option<String>| {
        let changes = engine.finish(lazy, StatusCode::OK).await;
        assert!(changes.instead().is_none(), "{:?}", changes.instead());
        let mut headers = HeaderMap::new();
        changes.apply(&mut headers);
        let value = headers.get("set-cookie").expect("the token changes");
        let pair = value.to_str().unwrap().split(';').next().unwrap();
        *cookie = Some(pair.to_owned());
    };
    // A new session; a visitor's that moves; one in the place of somebody's.
    for round in 0..3 {
        let alice = owner("alice");
        let lazy = open(&cookie);
        let (session, attempt) = lazy.begin_login(&alice).await.unwrap();
        session.await_second_factor(attempt).unwrap();
        finish(&lazy, &mut cookie).await;

        let half = cookie.clone();
        let lazy = open(&cookie);
        let session = lazy.load().await.unwrap();
        assert_eq!(session.identity(), None);
        assert_eq!(session.awaiting_second_factor(), Some(alice.clone()));
        let attempt = session.resume_login().unwrap();
        session.log_in(attempt, "alice", Role::user()).unwrap();
        finish(&lazy, &mut cookie).await;

        let session = open(&cookie).load().await.unwrap();
        assert_eq!(session.identity().unwrap().id, alice);
        assert_eq!(session.awaiting_second_factor(), None);
        let stale = open(&half).load().await.unwrap();
        assert_eq!(stale.awaiting_second_factor(), None);
        if round == 0 {
            cookie = None;
            let lazy = open(&cookie);
            let session = lazy.load().await.unwrap();
            session.insert("cart", "full").unwrap();
            finish(&lazy, &mut cookie).await;
        }
    }
    // What is revoked in between.
    let lazy = open(&cookie);
    let (session, attempt) = lazy.begin_login(&owner("alice")).await.unwrap();
    session.await_second_factor(attempt).unwrap();
    finish(&lazy, &mut cookie).await;
    engine.end_all(&owner("alice"), "test").await.unwrap();
    let lazy = open(&cookie);
    let session = lazy.load().await.unwrap();
    let attempt = session.resume_login().unwrap();
    session.log_in(attempt, "alice", Role::user()).unwrap();
    let changes = engine.finish(&lazy, StatusCode::OK).await;
    assert!(matches!(
        changes.instead(),
        Some(SessionError::LoginRevoked)
    ));
}

async fn beside_express() -> (Arc<dyn Store>, RedisServer) {
    let server = RedisServer::start().await;
    let store = ExpressStore::connect(&server.url(), store_express::options()).await;
    (Arc::new(store.unwrap()), server)
}

macro_rules! in_every_store {
    ($($name:ident: $form:ident, $store:expr;)*) => {$(
        // Proves: R2, J1, J4
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (store, _kept) = $store;
            in_two_steps(store, CookieForm::$form).await;
        }
    )*};
}

in_every_store! {
    a_login_in_two_steps_in_memory: Native, (Arc::new(MemoryStore::new()) as Arc<dyn Store>, ());
    a_login_in_two_steps_in_sqlite: Native, store_contract::in_sqlite().await;
    a_login_in_two_steps_in_postgres: Native, store_postgres::contract::fresh().await;
    a_login_in_two_steps_in_redis: Native, store_redis::contract::on_one_server().await;
    a_login_in_two_steps_beside_express: Express, beside_express().await;
    a_login_in_two_steps_under_encryption: Native, (store_encrypted::encrypted(Arc::new(MemoryStore::new())), ());
    a_login_in_two_steps_behind_a_near_cache: Native, (store_contract::near(Arc::new(MemoryStore::new())), ());
}
