//! What fails, fails closed: a handler that fails has changed nothing, and a store that fails logs nobody in or out.

use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::{Method, StatusCode};
use jackline::engine::{Connection, Engine, Environment, Incoming};
use jackline::lifecycle::Role;
use jackline::proxy::Scheme;
use jackline::{LazySession, Session, SessionError};
use serde_json::json;

use crate::site::{Answer, Answered, Browser, HOUR, Log, Nonsense, Site, csrf, keys, owner, param};

/// Does to the session what the path says, and then fails as the query says.
async fn meddle(session: Session, uri: http::Uri) -> axum::response::Response {
    let what = uri.path().trim_start_matches("/meddle/");
    let done = match what {
        "insert" => session.insert("meddled", &true),
        "remove" => session.remove("theme").map(drop),
        "clear" => session.clear(),
        "rotate" => session.rotate(),
        "step-up" => session.step_up(),
        "log-out" => session.log_out(),
        "csrf" => session.csrf_token().map(drop),
        "log-in" => {
            let attempt = session.begin_login(&owner("mallory")).await.unwrap();
            session.log_in(attempt, "mallory", Role::admin())
        }
        "await" => {
            let attempt = session.begin_login(&owner("mallory")).await.unwrap();
            session.await_second_factor(attempt)
        }
        other => panic!("{other}"),
    };
    done.unwrap();
    match param(&uri, "fail").as_deref() {
        Some("panic") => panic!("as the test asked"),
        Some(status) => status.parse::<StatusCode>().unwrap().into_response(),
        None => StatusCode::OK.into_response(),
    }
}

const MEDDLING: &[&str] = &[
    "insert", "remove", "clear", "rotate", "step-up", "log-out", "csrf", "log-in", "await",
];

fn meddling_site() -> Site {
    let mut routes = Router::new();
    for what in MEDDLING {
        routes = routes.route(&format!("/meddle/{what}"), get(meddle));
    }
    Site::serving(routes)
}

// Proves: J8
#[tokio::test]
async fn a_handler_that_fails_has_changed_nothing() {
    for what in MEDDLING {
        for status in [500, 502, 503, 504] {
            let site = meddling_site();
            let mut alice = site.logged_in("alice").await;
            alice.submit("/set?theme=dark").await;
            let cookie = alice.cookie();
            site.spy.reset();

            let answer = alice.get(&format!("/meddle/{what}?fail={status}")).await;

            assert_eq!(answer.status, status);
            assert!(answer.keeps_cookie(), "{what}: {answer:?}");
            assert_eq!(answer.header("clear-site-data"), None);
            assert!(
                site.spy
                    .calls()
                    .iter()
                    .all(|call| matches!(*call, "load" | "epoch")),
                "{what}: {:?}",
                site.spy.calls()
            );
            assert_eq!(alice.cookie(), cookie);
            assert_eq!(alice.user().await.as_deref(), Some("alice"), "{what}");
            assert_eq!(alice.data().await, json!({ "theme": "dark" }), "{what}");
        }
    }
}

// Proves: J8
#[tokio::test]
async fn a_handler_that_refuses_keeps_what_it_changed() {
    // A failed login attempt that is counted in the session answers 401, and must be counted.
    for status in [400, 401, 404, 429] {
        let site = meddling_site();
        let mut alice = site.logged_in("alice").await;
        alice.get(&format!("/meddle/insert?fail={status}")).await;
        assert_eq!(alice.data().await, json!({ "meddled": true }));
    }
}

// Proves: S80, J8
#[tokio::test]
async fn a_handler_that_panics_has_changed_nothing_and_the_server_lives_on() {
    for what in MEDDLING {
        let site = meddling_site();
        let mut alice = site.logged_in("alice").await;
        alice.submit("/set?theme=dark").await;
        let request = alice.request(Method::GET, &format!("/meddle/{what}?fail=panic"));
        let panicked = site.start(request).await.unwrap_err();
        assert!(panicked.is_panic(), "{what}");
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{what}");
        assert_eq!(alice.data().await, json!({ "theme": "dark" }), "{what}");
        assert_eq!(site.memory.len(), 1);
    }
}

// Proves: J8
#[tokio::test]
async fn a_request_that_is_abandoned_has_changed_nothing() {
    let gate = crate::site::Gate::default();
    let handler = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            session.insert("half", "done")?;
            session.rotate()?;
            gate.pass().await;
            Ok::<_, SessionError>("")
        })
    };
    let site = Site::serving(Router::new().route("/abandoned", handler));
    let mut alice = site.logged_in("alice").await;
    let running = site.start(alice.request(Method::GET, "/abandoned"));
    gate.arrival().await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert_eq!(alice.data().await, json!({}));
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J8
#[tokio::test]
async fn an_increment_is_at_once_and_takes_nothing_else_along() {
    let routes = Router::new().route(
        "/count-and-fail",
        get(|session: Session| async move {
            session.insert("draft", "unfinished")?;
            session.step_up()?;
            session.increment("attempts", 1).await?;
            Ok::<_, SessionError>(StatusCode::INTERNAL_SERVER_ERROR)
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    site.wait(HOUR / 4);
    let stale = (401, "Recent authentication required".to_owned());
    assert_eq!(alice.get("/sensitive").await.refusal(), stale);

    alice.get("/count-and-fail").await;

    assert_eq!(alice.data().await, json!({ "attempts": 1 }));
    // Nor is the step-up half done: it comes with a new token or not at all.
    assert_eq!(alice.get("/sensitive").await.refusal(), stale);
}

// Proves: J8, J3
#[tokio::test]
async fn an_increment_that_fails_loses_nothing_of_the_request() {
    let routes = Router::new().route(
        "/careless",
        get(|session: Session| async move {
            session.insert("order", "placed")?;
            // A developer who does not care.
            let refused = session.increment("theme", 1).await;
            assert!(matches!(refused, Err(SessionError::Refused(_))));
            Ok::<_, SessionError>("all is well")
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?theme=dark").await;
    assert_eq!(alice.get("/careless").await.status, 200);
    assert_eq!(
        alice.data().await,
        json!({ "theme": "dark", "order": "placed" })
    );
}

// Proves: J8, J7
#[tokio::test]
async fn an_increment_that_the_store_missed_loses_nothing_of_the_request() {
    let spy = Arc::<std::sync::OnceLock<Site>>::default();
    let handler = {
        let spy = Arc::clone(&spy);
        get(move |session: Session| async move {
            session.insert("order", "placed")?;
            spy.get().unwrap().spy.fail_next(1);
            let missed = session.increment("n", 1).await;
            assert!(matches!(missed, Err(SessionError::Unavailable)));
            Ok::<_, SessionError>("all is well")
        })
    };
    let site = Site::serving(Router::new().route("/careless", handler));
    spy.set(site.clone()).ok().unwrap();
    let mut alice = site.logged_in("alice").await;
    assert_eq!(alice.get("/careless").await.status, 200);
    assert_eq!(alice.data().await, json!({ "order": "placed" }));
}

// Proves: J3
#[tokio::test]
async fn an_increment_sees_what_its_own_request_has_set_removed_and_cleared() {
    let routes = Router::new().route(
        "/mixed",
        get(|session: Session| async move {
            session.insert("set", &5)?;
            session.remove("removed")?;
            let sums = [
                session.increment("set", 1).await?,
                session.increment("set", 1).await?,
                session.increment("removed", 2).await?,
                session.increment("kept", 3).await?,
                session.increment("kept", -1).await?,
            ];
            assert!(session.increment("text", 1).await.is_err());
            session.clear()?;
            let after = session.increment("kept", 1).await?;
            Ok::<_, SessionError>(Json(json!([sums, after])))
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.browser();
    for path in ["/views", "/data"] {
        alice.get(path).await;
    }
    alice.submit("/set?removed=x&text=x").await;
    assert_eq!(
        alice.get("/mixed").await.json(),
        json!([[6, 7, 2, 3, 2], 1])
    );
    assert_eq!(alice.data().await, json!({ "kept": 1 }));
}

// Proves: J3
#[tokio::test]
async fn counters_keep_to_the_integers_that_every_reader_holds() {
    const MAX: i64 = (1 << 53) - 1;
    let routes = Router::new().route(
        "/far",
        get(|session: Session| async move {
            let mut outcomes = vec![session.increment("n", MAX).await?];
            assert!(session.increment("n", 1).await.is_err());
            assert!(session.increment("n", i64::MAX).await.is_err());
            outcomes.push(session.increment("n", -MAX).await?);
            assert!(session.increment("n", i64::MIN).await.is_err());
            outcomes.push(session.increment("n", -MAX).await?);
            Ok::<_, SessionError>(Json(json!(outcomes)))
        }),
    );
    let site = Site::serving(routes);
    let mut visitor = site.browser();
    // First in a session that only this request knows, then in one that is stored.
    assert_eq!(visitor.get("/far").await.json(), json!([MAX, 0, -MAX]));
    let mut alice = site.logged_in("alice").await;
    assert_eq!(alice.get("/far").await.json(), json!([MAX, 0, -MAX]));
}

fn assert_unavailable(answer: &Answer, case: &str) {
    let expected = (503, "Service unavailable".to_owned());
    assert_eq!(answer.refusal(), expected, "{case}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{case}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{case}");
    assert!(answer.keeps_cookie(), "{case}: {answer:?}");
    assert_eq!(answer.header("clear-site-data"), None, "{case}");
}

/// Everything that a page can want of the store.
async fn try_everything(browser: &mut Browser, token: &str) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for path in ["/data", "/me", "/csrf", "/views", "/sensitive", "/sessions"] {
        answers.push((path.to_owned(), browser.get(path).await));
    }
    for path in ["/login?user=alice", "/logout"] {
        answers.push((path.to_owned(), browser.post(path).await));
    }
    for path in [
        "/set?a=1",
        "/remove?name=theme",
        "/clear",
        "/rotate",
        "/step-up",
        "/sessions/end-others",
    ] {
        answers.push((path.to_owned(), browser.submit_with(path, token).await));
    }
    answers
}

// Proves: J7, S79
#[tokio::test]
async fn with_the_store_down_or_hung_nobody_is_logged_in_or_out() {
    for hang in [false, true] {
        let site = Site::with(|engine| engine.store_timeout(Duration::from_millis(2)));
        let mut alice = site.logged_in("alice").await;
        alice.submit("/set?theme=dark").await;
        let token = alice.csrf_token().await;
        let cookie = alice.cookie();
        site.spy.fail_all(!hang);
        site.spy.hang(hang);

        for (path, answer) in try_everything(&mut alice, &token).await {
            assert_unavailable(&answer, &path);
        }
        assert_eq!(alice.get("/").await.status, 200, "nobody needs it here");
        // A visitor can still read, and can store nothing.
        let mut visitor = site.browser();
        assert_eq!(visitor.get("/data").await.status, 200);
        assert_eq!(visitor.get("/me").await.status, 401);
        assert_unavailable(&visitor.get("/csrf").await, "visitor's first token");
        assert_unavailable(&visitor.post("/login?user=bob").await, "visitor's login");
        assert_eq!(visitor.cookie(), None);

        site.spy.fail_all(false);
        site.spy.hang(false);
        assert_eq!(alice.cookie(), cookie);
        assert_eq!(alice.user().await.as_deref(), Some("alice"));
        assert_eq!(alice.data().await, json!({ "theme": "dark" }));
        assert_eq!(site.memory.len(), 1);
    }
}

// Proves: J7, J8, S79
#[tokio::test]
async fn a_store_that_fails_when_the_response_is_ready_makes_it_a_503_without_a_cookie() {
    for what in MEDDLING {
        for hang in [false, true] {
            let site = meddling_site();
            let mut alice = site.logged_in("alice").await;
            alice.submit("/set?theme=dark").await;
            let slow = site.beside(|engine| engine.store_timeout(Duration::from_millis(2)));
            let broken = Breaking { site: &slow, hang };
            if *what == "csrf" {
                // A stored session has its token already: nothing to write.
                continue;
            }
            let answer = broken.at_finish(&alice, what).await;

            assert_eq!(answer, Some("Service unavailable"), "{what}");
            assert_eq!(alice.user().await.as_deref(), Some("alice"), "{what}");
            assert_eq!(alice.data().await, json!({ "theme": "dark" }), "{what}");
        }
    }
}

/// Drives the engine by hand, so that the store can break between the handler and the response.
struct Breaking<'a> {
    site: &'a Site,
    hang: bool,
}

impl Breaking<'_> {
    /// What the response is replaced by.
    async fn at_finish(&self, browser: &Browser, what: &str) -> Option<&'static str> {
        let (head, _) = browser.request(Method::GET, "/").into_parts();
        let incoming = Incoming {
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
            connection: head.extensions.get().copied(),
        };
        let lazy = self.site.engine.open(&incoming);
        let session = lazy.load().await.unwrap();
        let uri = format!("/meddle/{what}").parse().unwrap();
        assert_eq!(meddle(session, uri).await.status(), 200);
        self.site.spy.fail_all(!self.hang);
        self.site.spy.hang(self.hang);
        let changes = self.site.engine.finish(&lazy, StatusCode::OK).await;
        let instead = changes.instead().map(SessionError::public_message);
        let mut headers = http::HeaderMap::new();
        changes.apply(&mut headers);
        assert!(!headers.contains_key("set-cookie"), "{what}: {headers:?}");
        assert!(!headers.contains_key("clear-site-data"), "{what}");
        instead
    }
}

// Proves: J7
#[tokio::test]
async fn a_failed_load_is_not_taken_for_an_empty_session_even_by_a_handler_that_ignores_it() {
    let routes = Router::new().route(
        "/ignores",
        get(|lazy: LazySession| async move {
            assert!(matches!(lazy.load().await, Err(SessionError::Unavailable)));
            // Not asked again, so that a page costs one time-out and not one per look.
            assert!(lazy.load().await.is_err());
            "as if nothing had happened"
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?theme=dark").await;
    site.spy.reset();
    site.spy.fail_all(true);
    let answer = alice.get("/ignores").await;
    assert_eq!(site.spy.calls(), ["load"]);
    assert!(answer.keeps_cookie());
    site.spy.fail_all(false);
    assert_eq!(alice.data().await, json!({ "theme": "dark" }));
}

// Proves: J7, J1
#[tokio::test]
async fn a_login_whose_acknowledgement_was_lost_is_not_acknowledged() {
    let site = Site::new();
    let mut visitor = site.browser();
    visitor.submit("/set?cart=full").await;
    site.spy.lose_answers(true);
    assert_unavailable(&visitor.post("/login?user=alice").await, "login");
    site.spy.lose_answers(false);
    assert_eq!(visitor.user().await, None);
    visitor.log_in("alice").await;
    assert_eq!(visitor.user().await.as_deref(), Some("alice"));
}

// Proves: J7
#[tokio::test]
async fn a_session_whose_end_cannot_be_written_is_not_called_ended() {
    let site = Site::with(|engine| engine.store_timeout(Duration::from_secs(20)));
    let mut alice = site.logged_in("alice").await.hoarding();
    site.wait(HOUR);
    site.spy.hang(true);
    site.spy.reset();
    let running = site.start(alice.request(Method::GET, "/me"));
    site.spy.called("load", 1).await;
    // The look-up is on its way and will be answered; what follows it will not.
    site.spy.fail_all(true);
    site.spy.hang(false);
    let answer = running.await.unwrap();
    assert_eq!(site.spy.calls(), ["load", "end"]);
    assert_unavailable(&answer, "expiry");
    site.spy.fail_all(false);
    assert_eq!(
        alice.get("/me").await.refusal(),
        (401, "Session expired".into())
    );
}

// Proves: J7, S79, S73
#[tokio::test]
async fn the_store_going_and_coming_is_one_event_each() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let log = Log::start();
    site.spy.fail_all(true);
    for _ in 0..3 {
        alice.get("/me").await;
    }
    assert_eq!(log.events(), ["store_unavailable/load"]);
    assert!(site.engine.ready().await.is_err());
    site.spy.fail_all(false);
    for _ in 0..3 {
        assert_eq!(alice.get("/me").await.status, 200);
    }
    assert_eq!(log.events(), [""; 0], "a full store answers reads too");
    for _ in 0..3 {
        assert!(site.engine.ready().await.is_ok());
    }
    assert_eq!(log.events(), ["store_recovered"]);
}

// Proves: S79, J7
#[tokio::test]
async fn a_store_that_answers_nonsense_authenticates_nobody_and_is_logged() {
    let engine = Engine::builder(Nonsense, keys())
        .environment(Environment::Development)
        .csrf(csrf())
        .build()
        .unwrap();
    let alice = Site::new().logged_in("alice").await;
    let (head, _) = alice.request(Method::GET, "/me").into_parts();
    let incoming = Incoming {
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        connection: Some(Connection {
            peer: [127, 0, 0, 1].into(),
            scheme: Scheme::Http,
        }),
    };
    let log = Log::start();
    let lazy = engine.open(&incoming);
    assert!(matches!(lazy.load().await, Err(SessionError::Unavailable)));
    let changes = engine.finish(&lazy, StatusCode::SERVICE_UNAVAILABLE).await;
    let mut headers = http::HeaderMap::new();
    changes.apply(&mut headers);
    assert!(!headers.contains_key("set-cookie"));
    assert_eq!(log.events(), ["store_corrupt/load"]);
}

// Proves: S78
#[tokio::test]
async fn errors_tell_a_client_nothing_of_the_inside() {
    let routes = Router::new()
        .route(
            "/decode",
            get(|session: Session| async move {
                let n: Option<u32> = session.get("password")?;
                Ok::<_, SessionError>(n.unwrap_or_default().to_string())
            }),
        )
        .route(
            "/refused",
            get(|session: Session| async move {
                session.increment("password", 1).await?;
                Ok::<_, SessionError>("")
            }),
        );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?password=hunter2").await;
    for path in ["/decode", "/refused"] {
        let answer = alice.get(path).await;
        assert_eq!(
            answer.refusal(),
            (500, "Internal server error".into()),
            "{path}"
        );
    }
}

// Proves: S78, J6
#[tokio::test]
async fn a_value_of_another_type_is_not_shown_by_its_error() {
    let routes = Router::new().route(
        "/decode",
        get(|session: Session| async move {
            let error = session.get::<u32>("password").unwrap_err();
            let mut shown = format!("{error} {error:?}");
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                shown += &format!(" {error} {error:?}");
                source = error.source();
            }
            shown
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?password=hunter2").await;
    let shown = alice.get("/decode").await.body;
    assert!(!shown.contains("hunter2"), "{shown}");
}

// Proves: S78
#[tokio::test]
async fn a_handler_without_a_session_layer_is_a_500_that_says_so_in_the_log() {
    use tower::ServiceExt as _;

    let log = Log::start();
    let app: Router = Router::new().route("/", get(|_: Session| async { "" }));
    let request = http::Request::new(axum::body::Body::empty());
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(log.text().contains("SessionLayer"), "{}", log.text());
}

// Proves: J8
#[tokio::test]
async fn a_response_leaves_only_after_the_store_has_committed() {
    for (what, method) in [
        ("insert", "commit"),
        ("rotate", "rotate"),
        ("log-out", "end"),
        ("log-in", "admit"),
    ] {
        let gate = crate::site::Gate::default();
        let handler = {
            let gate = gate.clone();
            get(move |session: Session, uri: http::Uri| async move {
                let response = meddle(session, uri).await;
                gate.pass().await;
                response
            })
        };
        let routes = Router::new().route(&format!("/meddle/{what}"), handler);
        let site = Site::with_routes(
            |engine| engine.store_timeout(Duration::from_secs(20)),
            routes,
        );
        let alice = site.logged_in("alice").await;
        let running = site.start(alice.request(Method::GET, &format!("/meddle/{what}")));
        gate.arrival().await;
        site.spy.reset();
        site.spy.hang(true);
        gate.open();
        site.spy.called(method, 1).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!running.is_finished(), "{what}");
        site.spy.hang(false);
        let answer = running.await.unwrap();
        assert_eq!((answer.status, answer.keeps_cookie()), (200, false));
        assert_eq!(site.spy.calls(), [method]);
    }
}

// Proves: J2
#[tokio::test]
async fn a_handler_may_not_write_to_a_session_it_has_logged_out() {
    let routes = Router::new().route(
        "/out",
        get(|session: Session| async move {
            session.log_out()?;
            assert!(session.identity().is_none());
            assert!(session.handle().is_none());
            assert!(session.require_identity().is_err());
            assert!(session.siblings(None).await.is_err());
            assert_eq!(session.data_json(), "{}");
            assert!(matches!(session.rotate(), Err(SessionError::Ended)));
            assert!(matches!(session.csrf_token(), Err(SessionError::Ended)));
            assert!(matches!(session.clear(), Err(SessionError::Ended)));
            assert!(matches!(
                session.increment("n", 1).await,
                Err(SessionError::Ended)
            ));
            session.log_out()
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    let answer = alice.get("/out").await;
    assert_eq!(answer.status, 200);
    assert!(answer.removes_cookie());
    assert!(site.memory.is_empty());
}

// Proves: J8
#[tokio::test]
async fn what_a_handler_answers_itself_is_kept() {
    let routes = Router::new().route(
        "/teapot",
        get(|session: Session| async move {
            session.insert("a", &1).unwrap();
            let answered: Answered = Ok(Json(json!({ "own": "body" })));
            (StatusCode::IM_A_TEAPOT, [("x-own", "header")], answered)
        }),
    );
    let site = Site::serving(routes);
    let answer = site.browser().get("/teapot").await;
    assert_eq!(answer.status, 418);
    assert_eq!(answer.json(), json!({ "own": "body" }));
    assert_eq!(answer.header("x-own"), Some("header"));
    assert!(answer.gives_cookie());
}
