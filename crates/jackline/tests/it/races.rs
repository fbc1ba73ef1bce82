//! Requests that are under way at once on one session. They are driven against each other by hand.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::Method;
use jackline::lifecycle::Role;
use jackline::store::LOGGED_OUT_KEPT;
use jackline::{LazySession, Session, SessionError};
use serde_json::json;

use crate::site::{Answer, Browser, Gate, HOUR, STEP, Site, carrying, owner};

/// A site with slow pages, and the gate that they all stand before.
fn slow_site(policy: Option<jackline::lifecycle::Policy>) -> (Site, Gate) {
    let gate = Gate::default();
    let page = |work: fn(&Session) -> Result<(), SessionError>| {
        let gate = gate.clone();
        get(move |session: Session| async move {
            gate.pass().await;
            work(&session)?;
            Ok::<_, SessionError>(session.data_json())
        })
    };
    let slow_login = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            session.insert("from", "the slow login")?;
            let attempt = session.begin_login(&owner("alice")).await?;
            gate.pass().await;
            session.log_in(attempt, "alice", Role::user())?;
            Ok::<_, SessionError>("logged in")
        })
    };
    let slow_counting_login = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            let attempt = session.begin_login(&owner("alice")).await?;
            session.log_in(attempt, "alice", Role::user())?;
            for _ in 0..2 {
                session.increment("views", 1).await?;
            }
            gate.pass().await;
            Ok::<_, SessionError>("logged in")
        })
    };
    let slow_count = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            gate.pass().await;
            session.increment("n", 1).await?;
            Ok::<_, SessionError>("counted")
        })
    };
    let stubborn_count = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            gate.pass().await;
            session.increment("n", 1).await.unwrap_err();
            session.insert("anyway", "written")?;
            Ok::<_, SessionError>("all is well")
        })
    };
    let routes = Router::new()
        .route("/slow-read", page(|_| Ok(())))
        .route(
            "/slow-write",
            page(|session| session.insert("late", "write")),
        )
        .route(
            "/slow-remove",
            page(|session| session.remove("theme").map(drop)),
        )
        .route("/slow-rotate", page(Session::rotate))
        .route("/slow-step-up", page(Session::step_up))
        .route("/slow-logout", page(Session::log_out))
        .route("/slow-login", slow_login)
        .route("/slow-counting-login", slow_counting_login)
        .route("/slow-count", slow_count)
        .route("/stubborn-count", stubborn_count);
    let policy = policy.unwrap_or_default();
    let site = Site::with_routes(|engine| engine.policy(policy), routes);
    (site, gate)
}

/// Begins a request and returns when its handler has the session.
async fn begin(browser: &Browser, gate: &Gate, path: &str) -> tokio::task::JoinHandle<Answer> {
    let request = browser.request(Method::GET, path);
    let mut running = browser.site.start(request);
    tokio::select! {
        () = gate.arrival() => running,
        answer = &mut running => panic!("it never came to the gate: {answer:?}"),
    }
}

async fn end(gate: &Gate, running: tokio::task::JoinHandle<Answer>) -> Answer {
    gate.open();
    running.await.unwrap()
}

/// What can end a session's token while another request is under way.
const ENDINGS: &[&str] = &[
    "rotate",
    "step-up",
    "login",
    "other login",
    "logout",
    "revoke",
];

async fn end_by(ending: &str, alice: &mut Browser) {
    match ending {
        "rotate" => drop(alice.submit("/rotate").await),
        "step-up" => drop(alice.submit("/step-up").await),
        "login" => drop(alice.log_in("alice").await),
        "other login" => drop(alice.log_in("bob").await),
        "logout" => drop(alice.post("/logout").await),
        "revoke" => {
            let ended = alice.site.engine.end_all(&owner("alice"), "test").await;
            assert_eq!(ended.unwrap(), 1);
        }
        other => panic!("{other}"),
    }
}

// Proves: J2, J10
#[tokio::test]
async fn a_write_that_lost_to_the_end_of_its_session_says_so_and_changes_nothing() {
    for ending in ENDINGS {
        for path in [
            "/slow-write",
            "/slow-remove",
            "/slow-rotate",
            "/slow-step-up",
            "/slow-count",
            "/stubborn-count",
        ] {
            let (site, gate) = slow_site(None);
            let mut alice = site.logged_in("alice").await;
            alice.submit("/set?theme=dark").await;
            // A renewal is due, so that the answer would send the cookie again.
            site.wait(STEP);
            let old = alice.thief();
            let running = begin(&alice, &gate, path).await;
            end_by(ending, &mut alice).await;
            let (cookie, data) = (alice.cookie(), site.memory.len());

            let answer = end(&gate, running).await;

            let case = format!("{path} against {ending}");
            assert_eq!(answer.refusal(), (401, "Session ended".into()), "{case}");
            assert!(answer.keeps_cookie(), "{case}: {answer:?}");
            assert_eq!(site.memory.len(), data, "{case}");
            alice.receive(&answer);
            assert_eq!(alice.cookie(), cookie, "{case}");
            let mut old = old;
            assert_eq!(old.user().await, None, "{case}");
            if matches!(*ending, "rotate" | "step-up") {
                assert_eq!(alice.data().await, json!({ "theme": "dark" }), "{case}");
            }
        }
    }
}

// Proves: J2, J10
#[tokio::test]
async fn a_read_that_lost_to_the_end_of_its_session_passes_and_sets_no_cookie() {
    let elsewhere = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
    for (ending, user_agent) in ENDINGS
        .iter()
        .flat_map(|ending| [(ending, None), (ending, Some(elsewhere))])
    {
        let (site, gate) = slow_site(None);
        let mut alice = site.logged_in("alice").await;
        alice.submit("/set?theme=dark").await;
        site.wait(STEP);
        let mut reading = alice.thief();
        // A change that is not the application's: the session is at risk.
        reading.user_agent = user_agent.unwrap_or(reading.user_agent);
        let running = begin(&reading, &gate, "/slow-read").await;
        end_by(ending, &mut alice).await;
        if *ending == "revoke" {
            // Only somebody who has a new cookie can lose it.
            alice.log_in("alice").await;
        }
        let cookie = alice.cookie();

        let answer = end(&gate, running).await;

        assert_eq!(answer.status, 200, "{ending}");
        assert_eq!(answer.json(), json!({ "theme": "dark" }), "{ending}");
        assert!(answer.keeps_cookie(), "{ending}: {answer:?}");
        alice.receive(&answer);
        assert_eq!(alice.cookie(), cookie, "{ending}");
    }
}

// Proves: J2, J10
#[tokio::test]
async fn a_login_under_way_wins_even_if_the_session_it_came_with_has_moved() {
    let (site, gate) = slow_site(None);
    let mut visitor = site.browser();
    visitor.submit("/set?cart=full").await;
    let running = begin(&visitor, &gate, "/slow-login").await;
    visitor.submit("/rotate").await;
    let mut moved = visitor.thief();
    let answer = end(&gate, running).await;
    visitor.receive(&answer);
    assert_eq!(visitor.user().await.as_deref(), Some("alice"));
    // The store knows that the old key gave way, and not to which. What lives on there is nobody's.
    assert_eq!(moved.data().await, json!({ "cart": "full" }));
    assert_eq!(moved.user().await, None);
}

// Proves: J2
#[tokio::test]
async fn the_data_of_an_ended_session_does_not_come_back_by_moving_along() {
    let (site, gate) = slow_site(Some(carrying()));
    let mut visitor = site.browser();
    visitor.submit("/set?cart=full").await;
    let running = begin(&visitor, &gate, "/slow-login").await;
    // Meanwhile they empty their cart by leaving.
    visitor.post("/logout").await;
    assert!(site.memory.is_empty());

    let answer = end(&gate, running).await;

    visitor.receive(&answer);
    assert_eq!(answer.body, "logged in");
    assert_eq!(visitor.user().await.as_deref(), Some("alice"));
    let data = visitor.data().await;
    assert_eq!(data["cart"], json!(null), "{data}");
}

// Proves: J3
#[tokio::test]
async fn what_moves_along_at_login_is_what_the_store_holds_at_that_moment() {
    let (site, gate) = slow_site(Some(carrying()));
    let mut visitor = site.browser();
    visitor.submit("/set?cart=full").await;
    let running = begin(&visitor, &gate, "/slow-login").await;
    visitor.submit("/set?cart=fuller&wish=list").await;
    let answer = end(&gate, running).await;
    visitor.receive(&answer);
    assert_eq!(
        visitor.data().await,
        json!({ "cart": "fuller", "wish": "list", "from": "the slow login" })
    );
}

// Proves: J3
#[tokio::test]
async fn what_is_counted_during_a_login_is_added_to_what_others_have_counted_meanwhile() {
    let (site, gate) = slow_site(Some(carrying()));
    let mut visitor = site.browser();
    visitor.get("/views").await;
    let running = begin(&visitor, &gate, "/slow-counting-login").await;
    visitor.get("/views").await;
    let answer = end(&gate, running).await;
    visitor.receive(&answer);
    assert_eq!(visitor.data().await, json!({ "views": 4 }));
}

// Proves: J10
#[tokio::test]
async fn a_late_removal_does_not_take_the_cookie_of_a_newer_login_away() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    alice = alice.hoarding();
    site.wait(HOUR);
    // This request finds the session expired, and is slow.
    let running = begin(&alice, &gate, "/slow-read").await;
    // Meanwhile another tab logs in.
    alice.log_in("alice").await;
    let answer = end(&gate, running).await;
    alice.receive(&answer);
    assert_eq!(alice.user().await.as_deref(), Some("alice"), "{answer:?}");
}

// Proves: J10
#[tokio::test]
async fn a_visitors_late_first_write_does_not_replace_the_cookie_of_a_newer_login() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    alice = alice.hoarding();
    site.wait(HOUR);
    for _ in 0..2 {
        // Once with a session that has just expired, once with one that is unknown by now.
        let running = begin(&alice, &gate, "/slow-write").await;
        alice.log_in("alice").await;
        let records = site.memory.len();
        let answer = end(&gate, running).await;
        alice.receive(&answer);
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{answer:?}");
        assert_eq!(site.memory.len(), records);
        let old = alice.cookie().unwrap();
        alice.post("/logout").await;
        alice.plant(&old);
    }
}

// Proves: J10
#[tokio::test]
async fn the_many_requests_of_the_first_page_after_an_expiry_are_all_answered() {
    let (site, gate) = slow_site(None);
    let mut visitor = site.browser();
    visitor.get("/views").await;
    let mut visitor = visitor.hoarding();
    site.wait(HOUR);
    let running = begin(&visitor, &gate, "/slow-write").await;
    visitor.get("/views").await;
    let answer = end(&gate, running).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    visitor.receive(&answer);
    // Whichever came last is a session that works.
    assert_eq!(visitor.data().await, json!({ "late": "write" }));
}

// Proves: J10
#[tokio::test]
async fn a_page_that_takes_minutes_does_not_bring_an_old_cookie_back() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    site.wait(STEP);
    // A long poll.
    let running = begin(&alice, &gate, "/slow-read").await;
    alice.submit("/rotate").await;
    // Much else happens for minutes.
    for _ in 0..5 {
        site.wait(STEP);
        site.logged_in("bob").await.post("/logout").await;
    }
    let answer = end(&gate, running).await;
    alice.receive(&answer);
    assert_eq!(alice.user().await.as_deref(), Some("alice"), "{answer:?}");
}

// Proves: J10
#[tokio::test]
async fn of_two_logouts_at_once_one_takes_the_cookie_and_a_login_between_keeps_its_own() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    let running = begin(&alice, &gate, "/slow-logout").await;
    assert!(alice.post("/logout").await.removes_cookie());
    alice.log_in("alice").await;
    let answer = end(&gate, running).await;
    assert_eq!(answer.status, 200);
    assert!(answer.keeps_cookie(), "{answer:?}");
    alice.receive(&answer);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J2, J10
#[tokio::test]
async fn a_logout_that_lost_to_a_new_token_does_not_claim_to_have_ended_the_session() {
    for ending in ["rotate", "step-up", "login"] {
        let (site, gate) = slow_site(None);
        let mut alice = site.logged_in("alice").await;
        let running = begin(&alice, &gate, "/slow-logout").await;
        end_by(ending, &mut alice).await;
        let answer = end(&gate, running).await;
        assert_eq!(answer.status, 401, "{ending}: {answer:?}");
        assert!(answer.keeps_cookie(), "{ending}: {answer:?}");
        alice.receive(&answer);
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{ending}");
        assert!(alice.post("/logout").await.removes_cookie());
    }
}

// Proves: J2, J10
#[tokio::test]
async fn nor_does_a_logout_that_outlasted_the_memory_of_that() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    let running = begin(&alice, &gate, "/slow-logout").await;
    alice.submit("/rotate").await;
    site.wait(Duration::from_secs(61));
    let answer = end(&gate, running).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.keeps_cookie(), "{answer:?}");
    assert_eq!(answer.header("clear-site-data"), None);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J10
#[tokio::test]
async fn a_write_with_a_token_that_was_just_replaced_does_not_replace_the_new_one() {
    for ending in ["rotate", "step-up", "login"] {
        let (site, _gate) = slow_site(None);
        let mut alice = site.logged_in("alice").await;
        let old = alice.cookie().unwrap();
        end_by(ending, &mut alice).await;
        let mut late = site.browser();
        late.plant(&old);
        let answer = late.get("/views").await;
        assert_eq!(answer.status, 401, "{ending}: {answer:?}");
        assert!(answer.keeps_cookie(), "{ending}: {answer:?}");
    }
}

// Proves: J10, T7.1
#[tokio::test]
async fn a_logout_with_a_dead_cookie_leaves_the_browsers_cookie_alone() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let mut old = alice.thief();
    alice.log_in("alice").await;
    let answer = old.post("/logout").await;
    assert_eq!(
        answer.status, 401,
        "who has another cookie by now is not logged out"
    );
    assert!(answer.keeps_cookie());
    assert_eq!(answer.header("clear-site-data"), None);
    site.wait(Duration::from_secs(61));
    let answer = old.post("/logout").await;
    assert_eq!(answer.status, 200, "an unknown cookie is nobody's");
    assert!(answer.keeps_cookie());
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J2, S33
#[tokio::test]
async fn a_logout_whose_client_hangs_up_is_carried_out_all_the_same() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    let running = begin(&alice, &gate, "/slow-logout").await;
    site.spy.hang(true);
    gate.open();
    site.spy.called("end", 1).await;
    // Nobody waits for the answer, and the store has not begun.
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert_eq!(site.memory.len(), 1);
    site.spy.hang(false);
    testkit::eventually("logged out", async || site.memory.is_empty()).await;
    assert_eq!(alice.user().await, None);
}

// Proves: J3
#[tokio::test]
async fn requests_that_change_different_members_at_once_all_survive() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?theme=dark&lang=en").await;
    let running = begin(&alice, &gate, "/slow-write").await;
    alice.submit("/set?other=change&theme=light").await;
    assert_eq!(end(&gate, running).await.status, 200);
    assert_eq!(
        alice.data().await,
        json!({ "theme": "light", "lang": "en", "other": "change", "late": "write" })
    );
}

// Proves: J3
#[tokio::test]
async fn a_removal_is_a_removal_even_if_another_request_has_set_the_member_meanwhile() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    let running = begin(&alice, &gate, "/slow-remove").await;
    alice.submit("/set?theme=dark").await;
    end(&gate, running).await;
    assert_eq!(alice.data().await, json!({}));
}

// Proves: J3, T4.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_increments_at_once_get_fifty_different_sums() {
    let site = Site::new();
    let alice = site.logged_in("alice").await;
    let running: Vec<_> = (0..50)
        .map(|_| site.start(alice.request(Method::GET, "/views")))
        .collect();
    let mut sums = Vec::new();
    for request in running {
        sums.push(request.await.unwrap().json()["views"].as_i64().unwrap());
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=50).collect::<Vec<_>>());
}

// Proves: J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_members_set_at_once_are_all_there() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    let running: Vec<_> = (0..50)
        .map(|n| {
            let mut request = alice.request(Method::POST, &format!("/set?member-{n}=here"));
            let value = token.parse().unwrap();
            request.headers_mut().insert("x-csrf-token", value);
            site.start(request)
        })
        .collect();
    for request in running {
        assert_eq!(request.await.unwrap().status, 200);
    }
    assert_eq!(alice.data().await.as_object().unwrap().len(), 50);
}

// Proves: J4, S34
#[tokio::test]
async fn a_login_under_way_does_not_outlive_the_revocation_of_its_user() {
    let (site, gate) = slow_site(None);
    let mut elsewhere = site.logged_in("alice").await;
    let mut visitor = site.browser();
    visitor.submit("/set?cart=full").await;
    let cookie = visitor.cookie();
    let running = begin(&visitor, &gate, "/slow-login").await;
    assert_eq!(
        site.engine
            .end_all(&owner("alice"), "disabled")
            .await
            .unwrap(),
        1
    );

    let answer = end(&gate, running).await;

    assert_eq!(answer.refusal(), (401, "Please log in again".into()));
    assert!(answer.keeps_cookie());
    visitor.receive(&answer);
    assert_eq!(visitor.cookie(), cookie);
    assert_eq!(visitor.user().await, None);
    assert_eq!(elsewhere.user().await, None);
    assert_eq!(site.sessions_of("alice").await, 0);
    assert_eq!(visitor.data().await, json!({ "cart": "full" }));
    // The next one begins after the revocation.
    visitor.log_in("alice").await;
}

// Proves: J4, A2
#[tokio::test]
async fn a_login_under_way_does_not_outlive_log_out_everywhere() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    let thief = site.browser();
    let running = begin(&thief, &gate, "/slow-login").await;
    let answer = alice.submit("/sessions/end-others").await;
    assert_eq!(answer.json(), json!({ "ended": 0 }));
    assert_eq!(end(&gate, running).await.status, 401);
    assert_eq!(site.sessions_of("alice").await, 1);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J4
#[tokio::test]
async fn revoking_one_user_leaves_the_login_of_another_alone() {
    let (site, gate) = slow_site(None);
    let mut browser = site.browser();
    let running = begin(&browser, &gate, "/slow-login").await;
    site.engine
        .end_all(&owner("bob"), "disabled")
        .await
        .unwrap();
    let answer = end(&gate, running).await;
    browser.receive(&answer);
    assert_eq!(browser.user().await.as_deref(), Some("alice"));
}

// Proves: J2, D5
#[tokio::test]
async fn a_session_kept_beyond_its_response_is_too_late() {
    use std::sync::{Arc, Mutex};

    let kept = Arc::<Mutex<Option<Session>>>::default();
    let keep = Arc::clone(&kept);
    let routes = Router::new().route(
        "/keep",
        get(move |session: Session| async move {
            *keep.lock().unwrap() = Some(session);
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?theme=dark").await;
    alice.get("/keep").await;
    let session = kept.lock().unwrap().take().unwrap();
    site.spy.reset();

    let attempt = session.begin_login(&owner("bob")).await.unwrap();
    let outcomes = [
        session.insert("a", &1),
        session.remove("theme").map(drop),
        session.clear(),
        session.increment("n", 1).await.map(drop),
        session.csrf_token().map(drop),
        session.rotate(),
        session.log_out(),
        session.log_in(attempt, "bob", Role::user()),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(SessionError::TooLate)), "{outcome:?}");
    }
    // It is nobody's by now, so nothing is granted either.
    assert!(session.step_up().is_err());
    assert!(session.require_recent_authentication().is_err());
    assert!(session.end_others().await.is_err());
    assert_eq!(site.spy.calls(), ["epoch"]);
    assert_eq!(alice.data().await, json!({ "theme": "dark" }));
}

// Proves: D5, J8
#[tokio::test]
async fn a_session_first_looked_at_after_its_response_is_too_late_as_well() {
    use std::sync::{Arc, Mutex};

    let kept = Arc::<Mutex<Option<LazySession>>>::default();
    let keep = Arc::clone(&kept);
    let routes = Router::new().route(
        "/keep",
        get(move |lazy: LazySession| async move {
            *keep.lock().unwrap() = Some(lazy);
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.get("/keep").await;
    let lazy = kept.lock().unwrap().take().unwrap();
    // A change that nobody will write must not be accepted.
    if let Ok(session) = lazy.load().await {
        let outcome = session.insert("lost", "silently");
        assert!(matches!(outcome, Err(SessionError::TooLate)), "{outcome:?}");
    }
}

// Proves: D5, J8
#[tokio::test]
async fn a_look_that_is_under_way_when_the_response_leaves_is_too_late() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = std::sync::Arc::new(std::sync::Mutex::new(Some(sender)));
    let routes = Router::new().route(
        "/behind",
        get(move |lazy: LazySession| async move {
            let looking = tokio::spawn(async move {
                let session = lazy.load().await?;
                session.insert("lost", "silently")
            });
            let _ = sender.lock().unwrap().take().unwrap().send(looking);
            tokio::task::yield_now().await;
        }),
    );
    let site = Site::with_routes(
        |engine| engine.store_timeout(Duration::from_secs(20)),
        routes,
    );
    let mut alice = site.logged_in("alice").await;
    site.spy.reset();
    site.spy.hang(true);
    let answer = alice.get("/behind").await;
    assert_eq!(answer.status, 200);
    site.spy.called("load", 1).await;
    site.spy.hang(false);
    let outcome = receiver.await.unwrap().await.unwrap();
    assert!(matches!(outcome, Err(SessionError::TooLate)), "{outcome:?}");
    assert_eq!(alice.data().await, json!({}));
}

/// What a browser is told by one server while another of the same site ends or replaces its session. As long as a request takes,
/// time passes.
async fn meanwhile_elsewhere(
    site: &Site,
    gate: &Gate,
    path: &str,
    ending: &str,
    alice: &mut Browser,
) -> Answer {
    let running = begin(alice, gate, path).await;
    let here = std::mem::replace(&mut alice.site, site.beside(|engine| engine));
    end_by(ending, alice).await;
    site.wait(Duration::from_millis(3));
    alice.site = here;
    end(gate, running).await
}

// Proves: J10
#[tokio::test]
async fn what_another_server_has_ended_or_replaced_is_not_renewed_here() {
    for ending in ENDINGS {
        let (site, gate) = slow_site(None);
        let mut alice = site.logged_in("alice").await;
        site.wait(STEP);
        let answer = meanwhile_elsewhere(&site, &gate, "/slow-read", ending, &mut alice).await;
        assert_eq!(answer.status, 200, "{ending}: what it read was true");
        assert!(answer.keeps_cookie(), "{ending}: {answer:?}");
    }
    let (site, gate) = slow_site(None);
    let alice = site.logged_in("alice").await;
    site.wait(STEP);
    let running = begin(&alice, &gate, "/slow-read").await;
    site.wait(Duration::from_millis(3));
    let answer = end(&gate, running).await;
    assert!(answer.gives_cookie(), "what lives is renewed: {answer:?}");
}

// Proves: J10
#[tokio::test]
async fn a_cookie_that_another_server_has_given_is_neither_removed_nor_replaced_here() {
    for path in ["/slow-read", "/slow-write"] {
        let (site, gate) = slow_site(None);
        let mut alice = site.logged_in("alice").await.hoarding();
        site.wait(HOUR);
        // The session has expired: the answer would remove its cookie, or give a visitor's.
        let answer = meanwhile_elsewhere(&site, &gate, path, "login", &mut alice).await;
        assert!(answer.keeps_cookie(), "{path}: {answer:?}");
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{path}");
    }
}

// Proves: J10
#[tokio::test]
async fn a_login_elsewhere_wins_over_a_visitors_session_that_is_being_stored_here() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await.hoarding();
    site.wait(HOUR);
    let running = begin(&alice, &gate, "/slow-write").await;
    site.spy.hang(true);
    gate.open();
    site.spy.called("create", 1).await;
    let here = std::mem::replace(&mut alice.site, site.beside(|engine| engine));
    alice.log_in("alice").await;
    alice.site = here;
    site.wait(Duration::from_millis(3));
    site.spy.hang(false);
    let answer = running.await.unwrap();
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.keeps_cookie(), "{answer:?}");
    assert_eq!(site.memory.len(), 1, "nobody has the visitor's token");
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J2, J10
#[tokio::test]
async fn a_request_with_a_token_that_another_server_has_replaced_is_refused_here() {
    for ending in ["rotate", "step-up", "login"] {
        for path in ["/slow-logout", "/slow-write"] {
            let (site, gate) = slow_site(None);
            let mut alice = site.logged_in("alice").await;
            let mut late = alice.thief();
            let answer = meanwhile_elsewhere(&site, &gate, path, ending, &mut alice).await;
            assert_eq!(answer.status, 401, "{ending}, {path}: {answer:?}");
            assert!(answer.keeps_cookie(), "{ending}, {path}: {answer:?}");
            let answer = late.get("/views").await;
            assert_eq!(answer.status, 401, "{ending}: {answer:?}");
            assert!(answer.keeps_cookie(), "{ending}: {answer:?}");
            assert_eq!(alice.user().await.as_deref(), Some("alice"), "{ending}");
        }
    }
}

// Proves: J10
#[tokio::test]
async fn a_browser_that_never_got_the_cookie_of_its_login_is_a_visitor_again_after_a_minute() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.get("/views").await;
    let mut unlucky = browser.hoarding();
    browser.log_in("alice").await;
    assert_eq!(
        unlucky.get("/views").await.status,
        401,
        "the login's cookie may be on its way"
    );

    // Nobody else comes in the meantime.
    site.wait(Duration::from_secs(61));
    let answer = unlucky.get("/views").await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.gives_cookie());
}

/// What a browser does while a request with a cookie that is dead by then is under way: it gets a visitor's session, and more.
async fn from_a_dead_cookie_to_a_login(path: &str, between: &str, elsewhere: bool) {
    let what = format!("{path}, {between}, elsewhere: {elsewhere}");
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await.hoarding();
    site.wait(HOUR);
    let running = begin(&alice, &gate, path).await;
    let here = alice.site.clone();
    if elsewhere {
        alice.site = site.beside(|engine| engine);
    }
    let visit = alice.get("/views").await;
    assert!(visit.gives_cookie(), "{what}: {visit:?}");
    match between {
        "rotate" => end_by("rotate", &mut alice).await,
        "logout" => {
            let answer = alice.post("/logout").await;
            assert_eq!(answer.status, 200, "{what}: {answer:?}");
        }
        _ => {}
    }
    if between != "nothing" {
        alice.log_in("alice").await;
    }
    alice.site = here;
    site.wait(Duration::from_millis(3));
    let answer = end(&gate, running).await;
    alice.receive(&answer);
    match between {
        // A page sends several requests at once, and each is answered; only its removal would be wrong.
        "nothing" => assert!(answer.keeps_cookie() || path == "/slow-write", "{what}"),
        _ => {
            assert!(answer.keeps_cookie(), "{what}: {answer:?}");
            assert_eq!(alice.user().await.as_deref(), Some("alice"), "{what}");
        }
    }
}

// Proves: J10
#[tokio::test]
async fn a_request_with_a_dead_cookie_leaves_the_cookie_of_a_login_alone_that_came_after_a_visit() {
    for path in ["/slow-read", "/slow-write"] {
        for between in ["nothing", "login", "rotate", "logout"] {
            for elsewhere in [false, true] {
                from_a_dead_cookie_to_a_login(path, between, elsewhere).await;
            }
        }
    }
}

// Proves: J10
#[tokio::test]
async fn a_request_sent_before_the_answer_to_a_logout_leaves_the_cookie_of_the_next_login_alone() {
    let (site, gate) = slow_site(None);
    let mut alice = site.logged_in("alice").await;
    let mut late = alice.thief();
    alice.post("/logout").await;
    let running = begin(&late, &gate, "/slow-write").await;
    alice.log_in("alice").await;
    site.wait(Duration::from_secs(50));
    let answer = end(&gate, running).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.keeps_cookie(), "{answer:?}");
    late.receive(&answer);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J10
#[tokio::test]
async fn a_browser_that_never_heard_of_its_logout_is_a_visitor_again_after_a_moment() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let mut deaf = alice.thief();
    alice.post("/logout").await;
    let answer = deaf.get("/views").await;
    assert_eq!(answer.status, 401, "the answer may be on its way");
    assert!(answer.keeps_cookie(), "{answer:?}");
    let answer = deaf.post("/logout").await;
    assert_eq!(answer.status, 200, "nobody is logged in: {answer:?}");
    site.wait(LOGGED_OUT_KEPT);
    let answer = deaf.get("/views").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.gives_cookie());
}
