//! An owner's other sessions, and the cap on them.

use axum::Router;
use axum::routing::get;
use jackline::lifecycle::{Role, SessionCap};
use jackline::token::Handle;
use jackline::{Session, SessionError};
use serde_json::{Value, json};

use crate::site::{ABSOLUTE, Browser, HOUR, IDLE, Log, MINUTE, SECOND, Site, limits, owner};

async fn list(browser: &mut Browser) -> Vec<Value> {
    browser
        .get("/sessions")
        .await
        .json()
        .as_array()
        .unwrap()
        .clone()
}

async fn current(browser: &mut Browser) -> String {
    let list = list(browser).await;
    let current: Vec<_> = list.iter().filter(|info| info["current"] == true).collect();
    assert_eq!(current.len(), 1);
    current[0]["handle"].as_str().unwrap().to_owned()
}

async fn end(browser: &mut Browser, handle: &str) -> (u16, Value) {
    let answer = browser
        .submit(&format!("/sessions/end?handle={handle}"))
        .await;
    (answer.status, answer.json()["ended"].clone())
}

// Proves: S37, S9, J6
#[tokio::test]
async fn owners_list_their_own_sessions_newest_first_and_without_tokens() {
    let site = Site::new();
    let mut old = site.browser();
    old.user_agent = "curl/8.5.0";
    old.log_in("alice").await;
    site.wait(SECOND);
    let mut alice = site.logged_in("alice").await;
    site.logged_in("bob").await;

    let answer = alice.get("/sessions").await;
    let sessions = answer.json();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    assert_eq!(sessions[0]["current"], true);
    assert_eq!(sessions[0]["agent"], "Firefox on Linux");
    assert_eq!(sessions[1]["current"], false);
    assert_eq!(sessions[1]["agent"], "curl");
    for browser in [&alice, &old] {
        let cookie = browser.cookie().unwrap();
        assert!(!answer.body.contains(&cookie[4..39]));
    }
    assert_eq!(site.browser().get("/sessions").await.status, 401);
}

// Proves: S37, A2
#[tokio::test]
async fn ending_a_session_elsewhere_is_at_once() {
    let site = Site::new();
    let mut telephone = site.logged_in("alice").await;
    let mut alice = site.logged_in("alice").await;
    let handle = current(&mut telephone).await;
    assert_eq!(end(&mut alice, &handle).await, (200, json!(true)));
    assert_eq!(telephone.user().await, None);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(end(&mut alice, &handle).await, (200, json!(false)));
}

// Proves: S37
#[tokio::test]
async fn a_handle_of_somebody_elses_does_not_exist() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let mut bob = site.logged_in("bob").await;
    let bobs = current(&mut bob).await;
    let cookie = bob.cookie().unwrap();
    for handle in [bobs.as_str(), "never-was", "", "%00", &cookie] {
        assert_eq!(
            end(&mut alice, handle).await,
            (200, json!(false)),
            "{handle}"
        );
    }
    assert_eq!(bob.user().await.as_deref(), Some("bob"));
    // Nor for an administrator who names the wrong owner.
    let handle = Handle::from_text(bobs);
    assert!(
        !site
            .engine
            .end_session(&owner("alice"), &handle)
            .await
            .unwrap()
    );
    assert!(
        site.engine
            .end_session(&owner("bob"), &handle)
            .await
            .unwrap()
    );
    assert_eq!(bob.user().await, None);
}

// Proves: S37, S39
#[tokio::test]
async fn ending_sessions_asks_for_a_recent_authentication() {
    let site = Site::new();
    let mut telephone = site.logged_in("alice").await;
    let mut alice = site.logged_in("alice").await;
    let handle = current(&mut telephone).await;
    site.wait(MINUTE * 5);
    for path in [
        format!("/sessions/end?handle={handle}"),
        "/sessions/end-others".to_owned(),
    ] {
        let answer = alice.submit(&path).await;
        let stale = (401, "Recent authentication required".to_owned());
        assert_eq!(answer.refusal(), stale, "{path}");
    }
    assert_eq!(telephone.user().await.as_deref(), Some("alice"));
    alice.submit("/step-up").await;
    assert_eq!(end(&mut alice, &handle).await, (200, json!(true)));
}

// Proves: S37, T7.1
#[tokio::test]
async fn ending_the_current_session_by_its_handle_is_a_logout() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let handle = current(&mut alice).await;
    let token = alice.csrf_token().await;
    let answer = alice
        .submit_with(&format!("/sessions/end?handle={handle}"), &token)
        .await;
    assert_eq!(answer.json(), json!({ "ended": true }));
    assert!(answer.removes_cookie());
    assert!(site.memory.is_empty());
}

// Proves: A2, S35, J4
#[tokio::test]
async fn ending_all_others_spares_this_one_and_other_people() {
    let site = Site::new();
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(site.logged_in("alice").await);
    }
    let mut bob = site.logged_in("bob").await;
    let mut alice = site.logged_in("alice").await;
    let log = Log::start();
    let answer = alice.submit("/sessions/end-others").await;
    assert_eq!(answer.json(), json!({ "ended": 3 }));
    assert_eq!(log.events(), ["sessions_revoked/others_ended_by_owner"]);
    for mut other in others {
        assert_eq!(other.user().await, None);
    }
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(bob.user().await.as_deref(), Some("bob"));
    assert_eq!(list(&mut alice).await.len(), 1);
}

// Proves: S35, J4
#[tokio::test]
async fn after_a_password_change_one_request_ends_the_others_and_logs_in_again() {
    let routes = Router::new().route(
        "/change-password",
        get(|session: Session| async move {
            let identity = session.require_recent_authentication()?;
            session.end_others().await?;
            let attempt = session.begin_login(&identity.id).await?;
            session.log_in(attempt, identity.name.clone(), Role::user())
        }),
    );
    let site = Site::serving(routes);
    let mut other = site.logged_in("alice").await;
    let mut alice = site.logged_in("alice").await;
    let before = alice.cookie();
    assert_eq!(alice.get("/change-password").await.status, 200);
    assert_ne!(alice.cookie(), before);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(other.user().await, None);
    assert_eq!(site.sessions_of("alice").await, 1);
}

// Proves: S34, S36, J4
#[tokio::test]
async fn an_administrator_ends_everything_of_a_user_and_that_is_on_record() {
    let site = Site::new();
    let mut first = site.logged_in("alice").await;
    let mut second = site.logged_in("alice").await;
    let mut bob = site.logged_in("bob").await;
    let log = Log::start();
    let ended = site.engine.end_all(&owner("alice"), "disabled").await;
    assert_eq!(ended.unwrap(), 2);
    let event = &log.security_events()[0];
    assert_eq!(event["event"], "sessions_revoked");
    assert_eq!(event["owasp"], "authn_token_revoked");
    assert_eq!(event["user_id"], "id-of-alice");
    assert_eq!(event["reason"], "disabled");
    assert_eq!(event["count"], "2");
    assert_eq!(first.user().await, None);
    assert_eq!(second.user().await, None);
    assert_eq!(bob.user().await.as_deref(), Some("bob"));
    assert_eq!(
        site.engine.end_all(&owner("alice"), "again").await.unwrap(),
        0
    );
}

// Proves: S38, A2
#[tokio::test]
async fn at_the_cap_the_oldest_session_makes_room_with_an_event() {
    let policy = || {
        limits(IDLE, ABSOLUTE)
            .cap(SessionCap::PruneOldest(2))
            .build()
    };
    let site = Site::with(|engine| engine.policy(policy().unwrap()));
    let mut browsers = Vec::new();
    for _ in 0..2 {
        browsers.push(site.logged_in("alice").await);
        site.wait(SECOND);
    }
    site.logged_in("bob").await;
    // Being used does not make a session younger: the oldest is the one that logged in longest ago.
    browsers[0].submit("/set?a=1").await;
    let log = Log::start();
    browsers.push(site.logged_in("alice").await);
    assert_eq!(
        log.events(),
        [
            "session_cap_reached/oldest_pruned",
            "login_success",
            "session_created/login"
        ]
    );
    let mut alive = Vec::new();
    for browser in &mut browsers {
        alive.push(browser.user().await.is_some());
    }
    assert_eq!(alive, [false, true, true]);
    // To log in again from one of them replaces it, and prunes nothing.
    browsers[1].log_in("alice").await;
    assert!(browsers[2].user().await.is_some());
}

// Proves: S38
#[tokio::test]
async fn at_the_cap_the_newest_session_is_refused_if_the_policy_says_so() {
    let policy = || {
        limits(IDLE, ABSOLUTE)
            .cap(SessionCap::RefuseNewest(2))
            .build()
    };
    let site = Site::with(|engine| engine.policy(policy().unwrap()));
    let mut first = site.logged_in("alice").await;
    let mut second = site.logged_in("alice").await;
    let mut third = site.browser();
    third.submit("/set?cart=full").await;
    let log = Log::start();
    let answer = third.post("/login?user=alice").await;
    assert_eq!(answer.refusal(), (403, "Too many sessions".into()));
    assert!(answer.keeps_cookie());
    assert_eq!(log.events(), ["session_cap_reached/newest_refused"]);
    assert_eq!(third.user().await, None);
    assert_eq!(third.data().await, json!({ "cart": "full" }));
    // Whoever is in may log in again, and who leaves makes room.
    second.log_in("alice").await;
    first.post("/logout").await;
    third.log_in("alice").await;
    assert_eq!(site.sessions_of("alice").await, 2);
}

// Proves: A2, S38
#[tokio::test]
async fn sessions_that_have_run_out_do_not_count_against_the_cap() {
    let policy = || {
        limits(IDLE, ABSOLUTE)
            .cap(SessionCap::RefuseNewest(1))
            .build()
    };
    let site = Site::with(|engine| engine.policy(policy().unwrap()));
    site.logged_in("alice").await;
    assert_eq!(site.browser().post("/login?user=alice").await.status, 403);
    site.wait(IDLE);
    site.logged_in("alice").await;
}

// Proves: S37
#[tokio::test]
async fn sessions_that_have_run_out_are_not_listed() {
    let site = Site::new();
    let mut root = site.browser();
    root.post("/login?user=alice&role=admin").await;
    for _ in 0..2 {
        site.wait(MINUTE * 25);
        root.get("/me").await;
    }
    // Past its hour, though not idle.
    site.wait(MINUTE * 10);
    site.logged_in("alice").await;
    assert_eq!(site.sessions_of("alice").await, 1);
    site.wait(HOUR);
    assert_eq!(site.sessions_of("alice").await, 0);
}

// Proves: S37
#[tokio::test]
async fn long_lists_come_in_pages_and_a_handle_on_the_last_page_is_found() {
    let routes = Router::new().route(
        "/pages",
        get(|session: Session| async move {
            let (mut sizes, mut after) = (Vec::new(), None);
            loop {
                let (page, next) = session.siblings(after).await?;
                sizes.push(page.len());
                match next {
                    None => return Ok::<_, SessionError>(axum::Json(sizes)),
                    next => after = next,
                }
            }
        }),
    );
    let policy = limits(IDLE, ABSOLUTE)
        .cap(SessionCap::Unlimited)
        .build()
        .unwrap();
    let site = Site::with_routes(|engine| engine.policy(policy), routes);
    let mut oldest = site.logged_in("alice").await;
    let handle = current(&mut oldest).await;
    for n in 0..230 {
        if n % 7 == 0 {
            site.wait(SECOND);
        }
        site.logged_in("alice").await;
    }
    let mut alice = site.logged_in("alice").await;
    assert_eq!(alice.get("/pages").await.json(), json!([100, 100, 32]));
    assert_eq!(end(&mut alice, &handle).await, (200, json!(true)));
    assert_eq!(oldest.user().await, None);
}
