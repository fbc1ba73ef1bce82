//! Clocks only run out. The server keeps both limits; the browser's cookie may claim what it likes.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use jackline::lifecycle::{EndReason, Policy, Role};
use jackline::{LazySession, Session, SessionError};
use serde_json::json;

use crate::site::{ABSOLUTE, HOUR, IDLE, Log, MINUTE, SECOND, STEP, Site, limits, owner};

const EXPIRED: (u16, &str) = (401, "Session expired");
const NOBODY: (u16, &str) = (401, "Not authenticated");

fn refusal(expected: (u16, &str)) -> (u16, String) {
    (expected.0, expected.1.to_owned())
}

// Proves: J5, S28
#[tokio::test]
async fn a_quiet_look_is_no_use_and_finds_the_end_without_an_alarm() {
    let routes = Router::new().route(
        "/quiet",
        get(|lazy: LazySession| async move {
            assert_eq!(lazy.signed_in(), None, "nobody has asked the store");
            let session = lazy.load_quietly().await?;
            session.require_identity()?;
            assert_eq!(lazy.signed_in(), session.handle());
            Ok::<_, SessionError>("still here")
        }),
    );
    let site = Site::serving(routes);
    // A browser would have dropped the cookie, which lasts no longer than the session.
    let mut alice = site.logged_in("alice").await.hoarding();
    let log = Log::start();
    for _ in 0..2 {
        site.wait(IDLE / 2 - STEP);
        let answer = alice.get("/quiet").await;
        assert_eq!(answer.status, 200);
        assert!(answer.set_cookies().is_empty());
    }
    assert_eq!(log.events(), [""; 0], "not renewed");
    site.wait(2 * STEP);
    let mut replayed = alice.thief();
    assert_eq!(alice.get("/quiet").await.status, 401);
    assert_eq!(log.events(), ["idle_timeout/idle"]);
    replayed.get("/quiet").await;
    assert_eq!(log.events(), ["session_rejected/unknown"]);
}

// Proves: S23, T8.1, J5
#[tokio::test]
async fn a_second_before_the_idle_limit_a_session_works() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    site.wait(IDLE - SECOND);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    // And that use counts: the same again.
    site.wait(IDLE - SECOND);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: S23, S30, S22, T8.1
#[tokio::test]
async fn a_second_after_the_idle_limit_the_server_refuses_whatever_the_cookie_says() {
    let site = Site::new();
    let alice = site.logged_in("alice").await;
    let mut replayed = alice.hoarding();
    site.wait(IDLE + SECOND);
    assert_eq!(alice.cookie(), None, "the browser has forgotten it by now");

    let answer = replayed.get("/me").await;

    assert_eq!(answer.refusal(), refusal(EXPIRED));
    assert!(answer.removes_cookie());
    assert!(site.memory.is_empty());
}

// Proves: T8.2, S24, J5, P7
#[tokio::test]
async fn constant_use_does_not_outlast_the_absolute_limit() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let end = site.now().after(ABSOLUTE);
    while site.now().after(MINUTE) < end {
        site.wait(MINUTE);
        assert_eq!(alice.user().await.as_deref(), Some("alice"));
    }
    site.wait(MINUTE - SECOND);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));

    site.wait(SECOND);
    let answer = alice.get("/me").await;

    assert_eq!(answer.refusal(), refusal(EXPIRED));
    assert!(answer.removes_cookie());
    assert!(site.memory.is_empty());
    assert_eq!(alice.get("/me").await.refusal(), refusal(NOBODY));
}

// Proves: T8.1, T4.3
#[tokio::test]
async fn somebody_who_writes_all_the_time_stays_logged_in() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    // More often than the renewal step, so that loading alone never finds a renewal due.
    for _ in 0..130 {
        site.wait(STEP / 2);
        let answer = alice.submit("/set?draft=more").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: T8.1, T4.3, T4.5
#[tokio::test]
async fn somebody_whose_visits_are_counted_all_the_time_stays_logged_in() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    for n in 1..=130 {
        site.wait(STEP / 2);
        assert_eq!(alice.get("/views").await.json(), json!({ "views": n }));
    }
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: A5, J5
#[tokio::test]
async fn an_administrators_session_ends_after_an_hour() {
    let site = Site::new();
    let mut root = site.browser();
    root.post("/login?user=root&role=admin").await;
    for _ in 0..3 {
        site.wait(MINUTE * 19);
        assert_eq!(root.get("/admin").await.status, 200);
    }
    site.wait(MINUTE * 3);
    assert_eq!(root.get("/admin").await.refusal(), refusal(EXPIRED));
}

// Proves: J5, S28
#[tokio::test]
async fn stepping_up_and_rotating_leave_the_absolute_limit_where_it_is() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let end = site.now().after(ABSOLUTE);
    while site.now().after(MINUTE * 20) < end {
        site.wait(MINUTE * 20);
        assert_eq!(alice.submit("/step-up").await.status, 200);
        assert_eq!(alice.submit("/rotate").await.status, 200);
    }
    site.wait(MINUTE * 20);
    assert_eq!(alice.get("/me").await.refusal(), refusal(EXPIRED));
}

// Proves: S28
#[tokio::test]
async fn logging_in_again_starts_both_limits_anew() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    for _ in 0..15 {
        site.wait(MINUTE * 29);
        alice.get("/me").await;
    }
    alice.log_in("alice").await;
    for _ in 0..15 {
        site.wait(MINUTE * 29);
        assert_eq!(alice.user().await.as_deref(), Some("alice"));
    }
}

// Proves: J5
#[tokio::test]
async fn a_stricter_policy_works_at_once() {
    let site = Site::new();
    let strict = |idle, absolute| {
        let policy = limits(idle, absolute).build().unwrap();
        site.beside(|engine| engine.policy(policy))
    };
    let (short_idle, short_absolute) = (strict(MINUTE * 10, ABSOLUTE), strict(MINUTE * 30, HOUR));

    // Idle for longer than the new limit.
    let mut alice = site.logged_in("alice").await;
    site.wait(MINUTE * 9);
    assert!(alice.at(&short_idle).user().await.is_some());
    site.wait(MINUTE * 11);
    let answer = alice.at(&short_idle).get("/me").await;
    assert_eq!(answer.refusal(), refusal(EXPIRED));
    assert_eq!(alice.user().await, None, "ended here is ended everywhere");

    // Logged in longer ago than the new limit.
    let mut bob = site.logged_in("bob").await;
    for _ in 0..3 {
        site.wait(MINUTE * 19);
        assert!(bob.user().await.is_some());
    }
    assert!(bob.at(&short_absolute).user().await.is_some());
    site.wait(MINUTE * 3);
    let answer = bob.at(&short_absolute).get("/me").await;
    assert_eq!(answer.refusal(), refusal(EXPIRED));
}

// Proves: J5
#[tokio::test]
async fn a_laxer_policy_gives_nothing_to_sessions_that_are_there() {
    let site = Site::new();
    let policy = limits(HOUR * 10, HOUR * 24 * 7).build().unwrap();
    let lax = site.beside(|engine| engine.policy(policy));
    let alice = site.logged_in("alice").await;
    let bob = site.logged_in("bob").await;
    let mut alice = alice.at(&lax).hoarding();
    let mut bob = bob.at(&lax).hoarding();

    // Neither does touching, writing or rotating under it.
    for _ in 0..16 {
        site.wait(MINUTE * 29);
        assert!(bob.user().await.is_some());
        bob.submit("/set?a=1").await;
        bob.submit("/rotate").await;
        bob.submit("/step-up").await;
    }
    let idle = alice.get("/me").await;
    assert_eq!(idle.refusal(), refusal(EXPIRED));
    site.wait(MINUTE * 17);
    assert_eq!(bob.get("/me").await.refusal(), refusal(EXPIRED));
    // A login under it is another matter.
    bob.log_in("bob").await;
    site.wait(HOUR * 9);
    assert!(bob.user().await.is_some());
}

// Proves: T8.2
#[tokio::test]
async fn whoever_has_run_out_can_log_in_in_the_same_request() {
    let site = Site::new();
    let alice = site.logged_in("alice").await;
    let mut alice = alice.hoarding();
    let old = alice.cookie();
    site.wait(HOUR);
    let answer = alice.log_in("alice").await;
    assert!(answer.gives_cookie());
    assert_ne!(alice.cookie(), old);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_eq!(site.memory.len(), 1);
}

// Proves: T8.2
#[tokio::test]
async fn what_a_session_held_is_gone_when_it_has_run_out() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?diary=private").await;
    let mut alice = alice.hoarding();
    site.wait(HOUR);
    let answer = alice.get("/data").await;
    assert_eq!(answer.json(), json!({}));
    assert!(answer.removes_cookie());
}

// Proves: T8.2
#[tokio::test]
async fn a_visitor_whose_session_ran_out_goes_on_with_a_fresh_one() {
    let site = Site::new();
    let mut visitor = site.browser();
    visitor.get("/views").await;
    let mut visitor = visitor.hoarding();
    let old = visitor.cookie();
    site.wait(HOUR);
    assert_eq!(visitor.get("/views").await.json(), json!({ "views": 1 }));
    assert_ne!(visitor.cookie(), old);
    assert_eq!(site.memory.len(), 1);
}

// Proves: T8.2
#[tokio::test]
async fn a_handler_can_tell_which_limit_ran_out() {
    let routes = Router::new().route(
        "/why",
        get(|session: Session| async move {
            let reason = session.expired().map(EndReason::as_str);
            if reason.is_some() {
                let error = session.refuse_expired().unwrap_err();
                assert!(matches!(error, SessionError::Expired(_)));
                assert!(session.identity().is_none());
            }
            Ok::<_, SessionError>(reason.unwrap_or("none"))
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    assert_eq!(alice.get("/why").await.body, "none");
    let mut idle = alice.hoarding();
    site.wait(IDLE);
    assert_eq!(idle.get("/why").await.body, "idle");

    let mut busy = site.browser();
    busy.post("/login?user=root&role=admin").await;
    site.wait(MINUTE * 29);
    busy.get("/me").await;
    site.wait(MINUTE * 29);
    busy.get("/me").await;
    site.wait(MINUTE * 2);
    assert_eq!(busy.get("/why").await.body, "absolute");
}

// Proves: S71, T8.2
#[tokio::test]
async fn running_out_and_its_use_are_one_event_each() {
    let site = Site::new();
    // 16 uses, each a second before the idle limit, reach to 16 seconds before the absolute one.
    for (uses, wait, user, name, reason) in [
        (0, IDLE + SECOND, "alice", "idle_timeout", "idle"),
        (16, SECOND * 16, "root", "absolute_timeout", "absolute"),
    ] {
        let mut alice = site.logged_in(user).await.hoarding();
        for _ in 0..uses {
            site.wait(IDLE - SECOND);
            alice.get("/me").await;
        }
        let log = Log::start();
        site.wait(wait);
        // A device that does not obey the removal goes on sending it.
        let mut replayed = alice.clone();
        alice.get("/me").await;
        let fields = log.security_events();
        assert_eq!(
            log.events(),
            [
                format!("{name}/{reason}"),
                format!("session_use_after_expire/{reason}")
            ]
        );
        for event in fields {
            assert_eq!(event["user_id"], owner(user).as_str());
            assert_eq!(event["ip"], "203.0.113.9");
            assert!(event["user_agent"].contains("Firefox"));
        }
        replayed.get("/me").await;
        assert_eq!(log.events(), ["session_rejected/unknown"]);
    }
}

// Proves: S71
#[tokio::test]
async fn renewals_are_one_event_each() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let log = Log::start();
    alice.get("/me").await;
    assert_eq!(log.events(), [""; 0]);
    site.wait(STEP);
    alice.get("/me").await;
    alice.get("/me").await;
    assert_eq!(log.events(), ["session_renewed"]);
}

// Proves: J5
#[tokio::test]
async fn a_clock_that_is_set_back_extends_nothing() {
    let site = Site::new();
    let start = site.now();
    let alice = site.logged_in("alice").await;
    let mut alice = alice.hoarding();
    site.clock.set(start.after(MINUTE * 10));
    alice.get("/me").await;
    site.clock.set(start);
    alice.submit("/set?a=1").await;
    site.clock.set(start.after(MINUTE * 10 + IDLE));
    assert_eq!(alice.get("/me").await.refusal(), refusal(EXPIRED));
}

// Proves: J5, S24
#[tokio::test]
async fn the_end_that_a_session_tells_is_the_end_that_comes() {
    let routes = Router::new().route(
        "/ends",
        get(|session: Session| async move { session.ends_at().unwrap().as_millis().to_string() }),
    );
    let site = Site::serving(routes);
    let mut root = site.browser();
    root.post("/login?user=root&role=admin").await;
    let expected = site.now().after(HOUR).as_millis().to_string();
    for _ in 0..2 {
        assert_eq!(root.get("/ends").await.body, expected);
        site.wait(MINUTE * 20);
        root.submit("/rotate").await;
    }
}

// Proves: S25, P7
#[test]
fn policies_that_contradict_themselves_cannot_be_built() {
    use jackline::lifecycle::{AbsoluteLimit, IdleLimit, PolicyMistake, SessionCap};

    for out in [
        Duration::ZERO,
        Duration::from_millis(999),
        HOUR * 24 * 31,
        Duration::MAX,
    ] {
        assert_eq!(IdleLimit::new(out), Err(PolicyMistake::IdleOutOfRange));
        assert_eq!(
            AbsoluteLimit::new(out),
            Err(PolicyMistake::AbsoluteOutOfRange)
        );
    }
    let day = AbsoluteLimit::new(HOUR * 24).unwrap();
    let cases = [
        (limits(HOUR * 2, HOUR), PolicyMistake::IdleExceedsAbsolute),
        (
            limits(HOUR, HOUR * 2).role_absolute(Role::new("guest"), day),
            PolicyMistake::RoleExceedsAbsolute,
        ),
        (
            limits(HOUR, HOUR * 2).renewal_step(HOUR),
            PolicyMistake::StepReachesIdle,
        ),
        (
            limits(HOUR, HOUR * 2).cap(SessionCap::PruneOldest(0)),
            PolicyMistake::CapOfZero,
        ),
        (
            limits(HOUR, HOUR * 2).cap(SessionCap::RefuseNewest(0)),
            PolicyMistake::CapOfZero,
        ),
        (
            limits(HOUR, HOUR * 2).step_up_age(Duration::ZERO),
            PolicyMistake::StepUpAgeOfZero,
        ),
    ];
    for (builder, mistake) in cases {
        assert_eq!(builder.build().unwrap_err(), mistake);
    }
}

// Proves: S26, S27
#[test]
fn the_presets_are_what_their_levels_allow_and_refuse_more() {
    use jackline::lifecycle::PolicyMistake::LaxerThanCeiling;

    let (aal2, aal3) = (Policy::aal2(), Policy::aal3());
    assert_eq!(aal2.idle().get(), HOUR);
    assert_eq!(aal2.absolute(None).get(), HOUR * 24);
    assert_eq!(aal3.idle().get(), MINUTE * 15);
    assert_eq!(aal3.absolute(None).get(), HOUR * 12);
    for preset in [&aal2, &aal3] {
        for role in [Role::user(), Role::admin(), Role::new("nurse")] {
            assert!(preset.absolute(Some(&role)) <= preset.absolute(None));
        }
    }

    let kept = limits(MINUTE * 15, HOUR * 12).at_most(&aal3).build();
    assert!(kept.unwrap().is_within(&aal3));
    for (idle, absolute) in [
        (MINUTE * 15 + SECOND, HOUR * 12),
        (MINUTE * 15, HOUR * 12 + SECOND),
    ] {
        let builder = limits(idle, absolute).at_most(&aal3);
        assert_eq!(builder.build().unwrap_err(), LaxerThanCeiling);
    }
    assert_eq!(
        limits(HOUR, HOUR * 24 + SECOND)
            .at_most(&aal2)
            .build()
            .unwrap_err(),
        LaxerThanCeiling
    );
}

// Proves: S27, J11
#[test]
fn a_ceiling_holds_in_whatever_order_the_policy_is_written() {
    use jackline::lifecycle::{AbsoluteLimit, PolicyMistake::LaxerThanCeiling};

    let ceiling = Policy::default();
    let hours = |n| AbsoluteLimit::new(HOUR * n).unwrap();
    let start = || Policy::builder(jackline::lifecycle::IdleLimit::new(IDLE).unwrap(), hours(8));

    // An administrator may have one hour under this ceiling.
    let after = start()
        .at_most(&ceiling)
        .role_absolute(Role::admin(), hours(1));
    assert!(after.build().is_ok());
    let after = start()
        .role_absolute(Role::admin(), hours(1))
        .at_most(&ceiling)
        .role_absolute(Role::admin(), hours(5));
    assert_eq!(after.build().unwrap_err(), LaxerThanCeiling);
    assert_eq!(
        start().at_most(&ceiling).build().unwrap_err(),
        LaxerThanCeiling
    );
}
