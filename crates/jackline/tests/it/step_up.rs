//! Sensitive actions ask for a recent authentication, and so does a session that turns up somewhere else.

use axum::Router;
use axum::routing::get;
use http::Method;
use jackline::lifecycle::Binding;
use jackline::{Session, SessionError};

use crate::site::{ABSOLUTE, Gate, IDLE, Log, MINUTE, SECOND, Site, limits};

fn stale() -> (u16, String) {
    (401, "Recent authentication required".to_owned())
}

// Proves: A3, S39, S40
#[tokio::test]
async fn a_sensitive_action_is_open_for_the_step_up_age_and_then_closed() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    assert_eq!(alice.get("/sensitive").await.status, 200);
    site.wait(MINUTE * 5 - SECOND);
    assert_eq!(alice.get("/sensitive").await.status, 200);
    site.wait(SECOND);
    let log = Log::start();
    assert_eq!(alice.get("/sensitive").await.refusal(), stale());
    assert_eq!(log.events(), ["reauth_required"]);
    assert_eq!(
        alice.user().await.as_deref(),
        Some("alice"),
        "still logged in"
    );
    assert_eq!(
        site.browser().get("/sensitive").await.refusal(),
        (401, "Not authenticated".into())
    );
}

// Proves: J4, A3
#[tokio::test]
async fn an_authentication_that_was_recent_enough_does_not_age_within_a_request() {
    let gate = Gate::default();
    let before_gate = gate.clone();
    let routes = Router::new().route(
        "/change-password",
        get(move |session: Session| async move {
            session.require_recent_authentication()?;
            // A password is hashed and set.
            before_gate.pass().await;
            session.end_others().await?;
            Ok::<_, SessionError>("changed")
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    site.logged_in("alice").await;
    site.wait(MINUTE * 5 - SECOND);
    let running = site.start(alice.request(Method::GET, "/change-password"));
    gate.arrival().await;
    site.wait(SECOND);
    gate.open();
    assert_eq!(running.await.unwrap().body, "changed");
    assert_eq!(site.sessions_of("alice").await, 1);
    let answer = alice.get("/change-password").await;
    assert_eq!(answer.refusal(), stale(), "and the next one asks again");
}

// Proves: A3, S40, S5
#[tokio::test]
async fn stepping_up_opens_it_again_with_a_new_token() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?theme=dark").await;
    site.wait(MINUTE * 10);
    let mut before = alice.thief();
    let token = alice.csrf_token().await;
    let log = Log::start();
    assert_eq!(alice.submit_with("/step-up", &token).await.status, 200);
    assert_eq!(
        log.events(),
        ["reauth_success", "session_regenerated/step_up"]
    );
    assert_ne!(alice.cookie(), before.cookie());
    assert_eq!(alice.get("/sensitive").await.status, 200);
    assert_eq!(before.user().await, None);
    assert_eq!(alice.data().await["theme"], "dark");
    site.wait(MINUTE * 5);
    assert_eq!(alice.get("/sensitive").await.refusal(), stale());
}

// Proves: A4, S41
#[tokio::test]
async fn a_change_of_surroundings_asks_for_a_step_up_with_one_event_and_never_blocks() {
    let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";
    for (user_agent, address, reason) in [
        (Some(chrome), None, "agent"),
        (None, Some("198.51.100.1"), "network"),
        (Some(chrome), Some("198.51.100.1"), "agent_and_network"),
    ] {
        let site = Site::new();
        let mut alice = site.logged_in("alice").await;
        if let Some(user_agent) = user_agent {
            alice.user_agent = user_agent;
        }
        if let Some(address) = address {
            alice.address = address.parse().unwrap();
        }
        let log = Log::start();
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "not blocked");
        assert_eq!(log.events(), [format!("session_binding_changed/{reason}")]);
        // However recent the login: the next sensitive action waits.
        assert_eq!(alice.get("/sensitive").await.refusal(), stale());
        assert_eq!(alice.submit("/set?a=1").await.status, 200);
        assert_eq!(log.events(), ["reauth_required"], "told once");

        // It stays due even where they came from.
        let mut back = site.browser();
        back.plant(&alice.cookie().unwrap());
        assert_eq!(back.get("/sensitive").await.refusal(), stale());
        log.events();

        alice.submit("/step-up").await;
        assert_eq!(alice.get("/sensitive").await.status, 200);
        assert_eq!(
            log.events(),
            ["reauth_success", "session_regenerated/step_up"],
            "this place is the known one now"
        );
    }
}

// Proves: A4
#[tokio::test]
async fn a_browser_update_and_a_walk_around_the_corner_are_no_change() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    alice.user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0";
    alice.address = "203.0.7.7".parse().unwrap();
    let log = Log::start();
    assert_eq!(alice.get("/sensitive").await.status, 200);
    assert_eq!(log.events(), [""; 0]);
}

// Proves: A4
#[tokio::test]
async fn the_change_is_noted_even_if_the_first_handler_there_fails() {
    use axum::Router;
    use axum::routing::get;
    use jackline::Session;

    let routes = Router::new().route(
        "/fails",
        get(|_: Session| async { http::StatusCode::INTERNAL_SERVER_ERROR }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.address = "198.51.100.1".parse().unwrap();
    alice.get("/fails").await;
    assert_eq!(alice.get("/sensitive").await.refusal(), stale());
}

// Proves: A4
#[tokio::test]
async fn a_policy_may_ignore_surroundings_and_visitors_are_never_bound() {
    let policy = limits(IDLE, ABSOLUTE).binding(Binding::Ignore).build();
    let ignoring = Site::with(|engine| engine.policy(policy.unwrap()));
    let mut alice = ignoring.logged_in("alice").await;
    let bound = Site::new();
    let mut visitor = bound.browser();
    visitor.get("/views").await;
    let log = Log::start();
    for browser in [&mut alice, &mut visitor] {
        browser.address = "198.51.100.1".parse().unwrap();
        browser.get("/views").await;
    }
    assert_eq!(log.events(), [""; 0]);
    assert_eq!(alice.get("/sensitive").await.status, 200);
}
