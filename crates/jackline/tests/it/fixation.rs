//! Nobody becomes somebody without a new token, and what came before a login is worthless after it.

use std::collections::HashSet;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use jackline::engine::Incoming;
use jackline::lifecycle::{OwnerId, Role};
use jackline::session::LoginAttempt;
use jackline::token::SessionToken;
use jackline::{Session, SessionError};
use serde_json::json;

use crate::site::{Answered, SECOND, STEP, Site, carrying, owner};

// Proves: J1, T6.1, T6.2, S5, P1
#[tokio::test]
async fn a_login_gives_a_new_token_and_the_old_one_opens_nothing() {
    let site = Site::new();
    let mut alice = site.browser();
    alice.submit("/set?theme=dark").await;
    let mut before = alice.thief();

    let answer = alice.log_in("alice").await;

    assert_eq!(answer.json(), json!({ "ok": true, "user": "alice" }));
    assert_ne!(alice.cookie(), before.cookie());
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(before.user().await, None);
    assert_eq!(before.data().await, json!({}));
    assert_eq!(site.memory.len(), 1);
}

// Proves: J1, T6.2, S6
#[tokio::test]
async fn a_session_planted_before_the_login_does_not_become_the_victims() {
    let site = Site::new();
    let mut attacker = site.browser();
    attacker.submit("/set?cart=planted").await;
    let mut victim = site.browser();
    victim.plant(&attacker.cookie().unwrap());

    victim.log_in("alice").await;

    assert_eq!(attacker.user().await, None);
    assert_eq!(victim.data().await, json!({}), "planted data moved along");
}

// Proves: S6, S50
#[tokio::test]
async fn a_csrf_token_from_before_the_login_fails_with_either_cookie() {
    let site = Site::new();
    let mut alice = site.browser();
    let token = alice.csrf_token().await;
    let mut before = alice.thief();
    assert_eq!(alice.submit_with("/set?a=1", &token).await.status, 200);

    alice.log_in("alice").await;

    let refusal = (403, "Invalid CSRF token".to_owned());
    assert_eq!(
        alice.submit_with("/set?a=2", &token).await.refusal(),
        refusal
    );
    // The old pair still fits together, and reaches a stranger's session only.
    before.submit_with("/set?a=3", &token).await;
    assert_eq!(alice.data().await, json!({}));
    assert_eq!(before.user().await, None);
}

// Proves: J1, S5, S28
#[tokio::test]
async fn logging_in_again_replaces_the_session_of_the_same_user() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let mut before = alice.thief();
    alice.log_in("alice").await;
    assert_eq!(before.user().await, None);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(site.sessions_of("alice").await, 1);
}

// Proves: J1, J2
#[tokio::test]
async fn logging_in_as_somebody_else_ends_the_session_before_and_leaves_its_data_behind() {
    for site in [Site::new(), Site::with(|engine| engine.policy(carrying()))] {
        let mut browser = site.logged_in("alice").await;
        browser.submit("/set?diary=private").await;
        let mut before = browser.thief();

        browser.log_in("bob").await;

        assert_eq!(browser.user().await.as_deref(), Some("bob"));
        assert_eq!(browser.data().await, json!({}), "alice's data became bob's");
        assert_eq!(before.user().await, None);
        assert_eq!(site.sessions_of("alice").await, 0);
    }
}

// Proves: J1
#[tokio::test]
async fn data_that_looks_like_an_identity_is_data() {
    let site = Site::new();
    let mut visitor = site.browser();
    visitor
        .submit("/set?owner=id-of-alice&id=id-of-alice&name=alice&role=admin&identity=alice&user=alice&authenticated=1")
        .await;
    visitor.submit("/rotate").await;
    assert_eq!(visitor.user().await, None);
    assert_eq!(visitor.get("/admin").await.status, 401);
    assert_eq!(visitor.get("/sensitive").await.status, 401);
    assert_eq!(visitor.get("/sessions").await.status, 401);
}

// Proves: J1
#[tokio::test]
async fn a_role_comes_with_a_login_only() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?role=admin").await;
    alice.submit("/step-up").await;
    assert_eq!(
        alice.get("/admin").await.refusal(),
        (403, "Forbidden".into())
    );
    alice.post("/login?user=alice&role=admin").await;
    assert_eq!(alice.get("/admin").await.status, 200);
}

// Proves: J1
#[tokio::test]
async fn stepping_up_makes_no_user_of_a_visitor() {
    let site = Site::new();
    let mut visitor = site.browser();
    assert_eq!(
        visitor.submit("/step-up").await.refusal(),
        (401, "Not authenticated".into())
    );
}

// Proves: J1
#[tokio::test]
async fn of_two_logins_in_one_request_the_last_one_counts() {
    let routes = Router::new().route("/twice", get(log_in_twice));
    for policy in [jackline::lifecycle::Policy::default(), carrying()] {
        let site = Site::with_routes(|engine| engine.policy(policy), routes.clone());
        let mut browser = site.browser();
        browser.submit("/set?cart=full").await;
        let answer = browser.get("/twice").await;
        assert!(answer.gives_cookie(), "{answer:?}");
        assert_eq!(browser.user().await.as_deref(), Some("bob"));
        assert_eq!(site.sessions_of("alice").await, 0);
        assert_eq!(browser.data().await["of_alice"], json!(null));
        assert_eq!(site.memory.len(), 1);
    }
}

async fn log_in_twice(session: Session) -> Answered {
    for user in ["alice", "bob"] {
        let attempt = session.begin_login(&owner(user)).await?;
        session.log_in(attempt, user, Role::user())?;
        session.insert(&format!("of_{user}"), "private")?;
    }
    Ok(Json(json!({})))
}

// Proves: J2, T7.1
#[tokio::test]
async fn a_login_and_a_logout_in_one_request_leave_nobody() {
    let routes = Router::new().route(
        "/in-and-out",
        get(|session: Session| async move {
            let attempt = session.begin_login(&owner("alice")).await?;
            session.log_in(attempt, "alice", Role::user())?;
            session.insert("secret", "data")?;
            session.log_out()?;
            assert!(session.identity().is_none());
            assert!(matches!(session.insert("a", "b"), Err(SessionError::Ended)));
            Ok::<_, SessionError>(session.data_json())
        }),
    );
    for policy in [jackline::lifecycle::Policy::default(), carrying()] {
        let site = Site::with_routes(|engine| engine.policy(policy), routes.clone());
        let mut browser = site.browser();
        browser.submit("/set?cart=full").await;
        let answer = browser.get("/in-and-out").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
        assert!(answer.removes_cookie(), "{answer:?}");
        assert_eq!(browser.user().await, None);
        assert!(site.memory.is_empty());

        // Also without anything to replace.
        let answer = site.browser().get("/in-and-out").await;
        assert!(answer.keeps_cookie());
        assert!(site.memory.is_empty());
    }
}

// Proves: J1
#[tokio::test]
async fn the_handler_that_logs_in_is_the_new_session_from_there_on() {
    let routes = Router::new().route(
        "/look",
        get(|session: Session| async move {
            session.insert("before", "login")?;
            let old = session.handle();
            let attempt = session.begin_login(&owner("alice")).await?;
            assert_eq!(attempt.owner(), &owner("alice"));
            session.log_in(attempt, "alice", Role::user())?;
            assert_ne!(session.handle(), old);
            assert_eq!(session.get::<String>("before")?, None);
            assert_eq!(session.require_recent_authentication()?.name, "alice");
            session.insert("after", "login")?;
            session.increment("count", 2).await?;
            session.increment("count", 3).await?;
            // Neither does more than the login does anyway.
            session.rotate()?;
            session.step_up()?;
            let token = session.csrf_token()?;
            Ok::<_, SessionError>(token.expose().to_owned())
        }),
    );
    let site = Site::serving(routes);
    let mut browser = site.browser();
    browser.submit("/set?cart=full").await;
    let token = browser.get("/look").await.body;
    assert_eq!(
        browser.data().await,
        json!({ "after": "login", "count": 5 })
    );
    // The CSRF token that the login's own page holds is the new session's.
    assert_eq!(browser.submit_with("/set?x=y", &token).await.status, 200);
    assert_eq!(site.memory.len(), 1);
}

// Proves: T6.2, J3
#[tokio::test]
async fn a_visitors_data_moves_along_if_the_policy_says_so() {
    let routes = Router::new().route("/checkout", get(check_out));
    let site = Site::with_routes(|engine| engine.policy(carrying()), routes);

    // With a stored session before.
    let mut browser = site.browser();
    browser.submit("/set?cart=full&coupon=old").await;
    let mut before = browser.thief();
    browser.get("/checkout").await;
    let data = json!({ "cart": "full", "before": 1, "after": 2, "count": 5 });
    assert_eq!(browser.data().await, data);
    assert_eq!(browser.user().await.as_deref(), Some("alice"));
    assert_eq!(before.data().await, json!({}));

    // And with one that began in the login request itself.
    let mut browser = site.browser();
    browser.get("/checkout").await;
    assert_eq!(
        browser.data().await,
        json!({ "before": 1, "after": 2, "count": 5 })
    );
}

async fn check_out(session: Session) -> Answered {
    session.insert("before", &1)?;
    session.remove("coupon")?;
    session.increment("count", 2).await?;
    let attempt = session.begin_login(&owner("alice")).await?;
    session.log_in(attempt, "alice", Role::user())?;
    session.insert("after", &2)?;
    session.increment("count", 3).await?;
    Ok(Json(json!({})))
}

// Proves: J3
#[tokio::test]
async fn what_is_set_between_two_logins_of_one_request_moves_along_too() {
    let routes = Router::new().route(
        "/twice",
        get(|session: Session| async move {
            session.insert("first", &1)?;
            for name in ["second", "third"] {
                let attempt = session.begin_login(&owner("alice")).await?;
                session.log_in(attempt, "alice", Role::user())?;
                session.insert(name, &2)?;
            }
            Ok::<_, SessionError>(session.data_json())
        }),
    );
    let site = Site::with_routes(|engine| engine.policy(carrying()), routes);
    let mut browser = site.browser();
    browser.submit("/set?cart=full").await;
    let answer = browser.get("/twice").await;
    assert_eq!(browser.data().await, answer.json());
    assert_eq!(
        answer.json(),
        json!({ "cart": "full", "first": 1, "second": 2, "third": 2 })
    );
}

// Proves: J8, T6.2
#[tokio::test]
async fn a_clear_after_the_login_clears_what_moved_along() {
    let routes = Router::new().route(
        "/fresh",
        get(|session: Session| async move {
            let attempt = session.begin_login(&owner("alice")).await?;
            session.log_in(attempt, "alice", Role::user())?;
            session.clear()?;
            session.insert("only", "this")?;
            Ok::<_, SessionError>(session.data_json())
        }),
    );
    let site = Site::with_routes(|engine| engine.policy(carrying()), routes);
    let mut browser = site.browser();
    browser.submit("/set?cart=full").await;
    browser.get("/fresh").await;
    assert_eq!(browser.data().await, json!({ "only": "this" }));
}

// Proves: J4
#[tokio::test]
async fn a_login_that_takes_too_long_is_refused() {
    let site = Site::new();
    let clock = site.clock.clone();
    let routes = Router::new().route(
        "/slow",
        get(move |session: Session| async move {
            let attempt = session.begin_login(&owner("alice")).await?;
            clock.advance(LoginAttempt::MAX_AGE + SECOND);
            session.log_in(attempt, "alice", Role::user())?;
            Ok::<_, SessionError>("logged in")
        }),
    );
    let slow = Site::with_routes(|engine| engine.clock(site.clock.clone()), routes);
    let answer = slow.browser().get("/slow").await;
    assert_eq!(answer.refusal(), (401, "Please log in again".into()));
    assert!(slow.memory.is_empty());
}

// Proves: S5
#[tokio::test]
async fn rotating_keeps_data_and_owner_and_kills_the_old_token() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?theme=dark").await;
    let mut before = alice.thief();
    let token = alice.csrf_token().await;

    assert_eq!(alice.submit_with("/rotate", &token).await.status, 200);

    assert_ne!(alice.cookie(), before.cookie());
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(alice.data().await, json!({ "theme": "dark" }));
    assert_eq!(before.user().await, None);
    assert_eq!(
        alice.submit_with("/set?a=1", &token).await.refusal(),
        (403, "Invalid CSRF token".into())
    );
    assert_eq!(site.memory.len(), 1);
}

// Proves: S5
#[tokio::test]
async fn rotating_writes_the_requests_other_changes_in_the_same_step() {
    let routes = Router::new().route(
        "/rotate-and-more",
        get(|session: Session| async move {
            session.insert("a", &1)?;
            session.rotate()?;
            session.remove("old")?;
            session.increment("n", 4).await?;
            session.rotate()?;
            session.insert("b", &2)?;
            Ok::<_, SessionError>("")
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?old=1").await;
    site.spy.reset();
    alice.get("/rotate-and-more").await;
    assert_eq!(site.spy.calls(), ["load", "commit", "rotate"]);
    assert_eq!(alice.data().await, json!({ "n": 4, "a": 1, "b": 2 }));
}

// Proves: S2, S4
#[tokio::test]
async fn a_token_that_was_never_issued_is_not_adopted() {
    let site = Site::new();
    // Signed with the right key, but unknown to the store: a server that lost its data, say.
    let elsewhere = Site::new();
    let mut browser = elsewhere.logged_in("alice").await.at(&site);
    let unknown = browser.cookie();
    assert_eq!(browser.user().await, None);
    browser.submit("/set?a=1").await;
    assert_ne!(browser.cookie(), unknown);
    assert_eq!(browser.data().await, json!({ "a": "1" }));
    let mut stale = site.browser();
    stale.plant(&unknown.unwrap());
    assert_eq!(stale.data().await, json!({}));
}

// Proves: S1
#[tokio::test]
async fn a_hundred_thousand_tokens_are_all_different() {
    let site = Site::new();
    let (head, _) = site.browser().request(http::Method::GET, "/").into_parts();
    let incoming = Incoming {
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        connection: None,
    };
    let mut seen = HashSet::new();
    for _ in 0..100_000 {
        let lazy = site.engine.open(&incoming);
        let session = lazy.load().await.unwrap();
        session.csrf_token().unwrap();
        // What the cookie would hold; the session itself is never stored here.
        assert!(seen.insert(session.handle().unwrap()));
    }
    const { assert!(SessionToken::RANDOM_BYTES * 8 >= 128) };
}

// Proves: S1, S3
#[tokio::test]
async fn cookies_are_unlike_each_other_and_say_nothing_about_their_owner() {
    let site = Site::new();
    let mut seen = HashSet::new();
    for _ in 0..500 {
        let alice = site.logged_in("alice").await;
        let value = alice.cookie().unwrap();
        assert!(!value.contains("alice"));
        // `s%3A`, 24 random bytes as 32 characters, and what follows from the owner and from these.
        assert_eq!(&value[..4], "s%3A");
        assert!(seen.insert(value[4..36].to_owned()));
    }
}

// Proves: S9
#[tokio::test]
async fn a_token_in_the_url_or_in_another_header_is_not_read() {
    let site = Site::new();
    let alice = site.logged_in("alice").await;
    let cookie = alice.cookie().unwrap();
    site.spy.reset();
    let mut stranger = site.browser();
    for path in [
        format!("/me?sid={cookie}"),
        format!("/me;sid={cookie}"),
        format!("/me?cookie=sid%3D{cookie}"),
    ] {
        assert_ne!(stranger.get(&path).await.status, 200);
    }
    for header in ["authorization", "x-session-id", "sid", "cookie2"] {
        let mut request = stranger.request(http::Method::GET, "/me");
        request
            .headers_mut()
            .insert(header, format!("sid={cookie}").parse().unwrap());
        assert_eq!(stranger.send(request).await.status, 401);
    }
    assert_eq!(site.spy.count("load"), 0);
}

// Proves: T6.1, S72
#[tokio::test]
async fn a_login_that_began_and_was_not_completed_changes_nothing() {
    let routes = Router::new().route(
        "/wrong",
        get(|session: Session| async move {
            let owner = OwnerId::new("id-of-alice").unwrap();
            let _attempt = session.begin_login(&owner).await?;
            session.report_login_failure(Some(owner.as_str()), "wrong_password");
            Err::<(), _>(SessionError::NotAuthenticated)
        }),
    );
    let site = Site::serving(routes);
    let mut browser = site.browser();
    let answer = browser.get("/wrong").await;
    assert_eq!(answer.status, 401);
    assert!(answer.keeps_cookie());
    assert!(site.memory.is_empty());

    let mut alice = site.logged_in("alice").await;
    site.wait(STEP + Duration::from_secs(1));
    alice.get("/wrong").await;
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: J1, J2
#[tokio::test]
async fn of_two_logins_at_once_from_one_visitor_neither_keeps_the_visitors_token() {
    let gate = crate::site::Gate::default();
    let handler = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            let attempt = session.begin_login(&owner("alice")).await?;
            gate.pass().await;
            session.log_in(attempt, "alice", Role::user())?;
            Ok::<_, SessionError>("")
        })
    };
    let site = Site::serving(Router::new().route("/slow-login", handler));
    let mut visitor = site.browser();
    visitor.submit("/set?cart=full").await;
    let mut before = visitor.thief();
    let running = site.start(visitor.request(http::Method::GET, "/slow-login"));
    gate.arrival().await;
    visitor.log_in("alice").await;
    gate.open();
    let answer = running.await.unwrap();
    let first = visitor.clone();
    visitor.receive(&answer);
    assert_ne!(visitor.cookie(), first.cookie());
    // A double click: both are sessions of hers, in her list, and both can be ended.
    for mut browser in [visitor, first] {
        assert_eq!(browser.user().await.as_deref(), Some("alice"));
    }
    assert_eq!(before.user().await, None);
    assert_eq!(site.sessions_of("alice").await, 2);
}

// Proves: J1, J2
#[tokio::test]
async fn after_a_logout_the_same_request_logs_nobody_in() {
    let routes = Router::new().route(
        "/out-and-in",
        get(|session: Session| async move {
            session.step_up()?;
            session.rotate()?;
            let attempt = session.begin_login(&owner("bob")).await?;
            session.log_out()?;
            session.log_in(attempt, "bob", Role::admin())
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    let answer = alice.get("/out-and-in").await;
    assert_eq!(answer.refusal(), (401, "Session ended".into()));
    assert!(answer.removes_cookie(), "the logout counts all the same");
    assert!(site.memory.is_empty());
}

// Proves: J1
#[tokio::test]
async fn a_login_after_a_step_up_in_one_request_is_a_login() {
    let routes = Router::new().route(
        "/both",
        get(|session: Session| async move {
            session.step_up()?;
            let attempt = session.begin_login(&owner("alice")).await?;
            session.log_in(attempt, "alice", Role::admin())
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    let mut before = alice.thief();
    alice.get("/both").await;
    assert_eq!(alice.get("/admin").await.status, 200);
    assert_eq!(before.user().await, None);
    assert_eq!(site.memory.len(), 1);
}

// Proves: S76, J6
#[test]
fn an_owner_is_named_by_what_fits_on_one_line() {
    for bad in [
        "",
        "a\nb",
        "a\rb",
        "a\0b",
        "\u{1b}[31m",
        "\u{85}",
        &"x".repeat(257),
    ] {
        assert!(OwnerId::new(bad).is_err(), "{bad:?}");
        let quoted = serde_json::to_string(bad).unwrap();
        assert!(serde_json::from_str::<OwnerId>(&quoted).is_err());
    }
    assert!(OwnerId::new("Zoë Müller <zoe@example.org>").is_ok());
}
