//! The TTL in Redis is the idle limit of both sides, and the absolute one runs from a login on either.

use serde_json::json;
use testkit::browser::Browser;
use ureq::http::Method;

use crate::worlds::{IDLE_MS, Worlds, on_each_pair_and_among_expresses};

/// As much time as a busy machine may let pass between a write and the look at it.
const MARGIN_MS: i64 = 60_000;

fn assert_has_left(worlds: &Worlds, browser: &Browser, ms: i64) {
    let left = worlds.ttl_ms(browser);
    assert!((ms - MARGIN_MS..=ms).contains(&left), "{left} ms, not {ms}");
}

// Proves: T4.3, T5.1, T8.1, D9
#[test]
fn either_side_renews_what_the_other_has_begun() {
    on_each_pair_and_among_expresses(|worlds| {
        for [here, there] in worlds.both_ways() {
            let mut browser = Browser::new(here);
            browser.log_in();
            assert_has_left(worlds, &browser, IDLE_MS);
            for side in [there, here] {
                browser.turn_to(side);
                worlds.set_ttl_ms(&browser, IDLE_MS / 3);
                let before = browser.cookies.clone();
                let answer = browser.get("/profile");
                assert_eq!(answer.status, 200);
                assert_has_left(worlds, &browser, IDLE_MS);
                // The browser hears of it, and keeps its id.
                assert_eq!(answer.set_cookies().len(), 1, "{answer:?}");
                assert_eq!(browser.cookies, before);
            }
        }
    });
}

// Proves: T5.1, T8.1
#[test]
fn a_session_keeps_the_limit_that_its_express_gave_it() {
    on_each_pair_and_among_expresses(|worlds| {
        let short_ms = IDLE_MS / 6;
        let express = worlds.express_with(&[("MAX_AGE_MS", &short_ms.to_string())]);
        let mut browser = Browser::new(&express);
        browser.log_in();
        assert_has_left(worlds, &browser, short_ms);
        worlds.set_ttl_ms(&browser, short_ms / 2);
        browser.turn_to(&*worlds.jackline);
        assert_eq!(browser.get("/profile").status, 200);
        assert_has_left(worlds, &browser, short_ms);
    });
}

// Proves: T8.1, S30
#[test]
fn a_session_that_has_run_out_is_out_on_both_sides() {
    on_each_pair_and_among_expresses(|worlds| {
        for [here, there] in worlds.both_ways() {
            let mut browser = Browser::new(here);
            browser.log_in();
            let old = browser.at(here);
            worlds.set_ttl_ms(&browser, 1);
            testkit::block_on(testkit::eventually("the record is gone", async || {
                worlds
                    .redis
                    .ask::<i64>(&["EXISTS", &crate::worlds::key(&old)])
                    .await
                    == 0
            }));
            for side in [here, there] {
                assert_eq!(old.at(side).get("/profile").status, 401);
                assert_eq!(worlds.record(&old), None);
            }
        }
    });
}

// Proves: T8.2, J5, P7, S24
#[test]
fn a_login_by_express_ends_at_jacklines_absolute_limit() {
    on_each_pair_and_among_expresses(|worlds| {
        let (now_s, _micros): (i64, i64) = worlds.ask(&["TIME"]);
        let nine_hours_ago = jiff::Timestamp::from_second(now_s - 9 * 60 * 60).unwrap();
        // Apps write it either way.
        for login_at in [
            json!(nine_hours_ago.to_string()),
            json!(nine_hours_ago.as_millisecond()),
        ] {
            let mut browser = Browser::new(&*worlds.express);
            browser.log_in();
            let members = json!({ "loginAt": login_at });
            browser.send(Method::PUT, "/test/members", Some(&members));
            let mut old = browser.at(&*worlds.jackline);

            let answer = old.get("/profile");

            assert_eq!(answer.seen(), (401, r#"{"error":"Session expired"}"#));
            assert!(old.cookies.is_empty(), "{answer:?}");
            assert_eq!(worlds.record(&browser), None);
            assert_eq!(browser.get("/profile").status, 401);
        }
    });
}

// Proves: J5
#[test]
fn a_login_without_a_time_is_a_login() {
    on_each_pair_and_among_expresses(|worlds| {
        let mut browser = Browser::new(&*worlds.express);
        let members = json!({ "userId": "user-1001", "username": "alice" });
        browser.post("/test/regenerate", &members);
        for side in [&*worlds.jackline, &*worlds.express, &*worlds.jackline] {
            browser.turn_to(side);
            assert_eq!(browser.get("/profile").status, 200);
        }
    });
}
