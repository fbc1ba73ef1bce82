//! The routes of the reference system, every one on either side, with one cookie jar.

use serde_json::json;
use testkit::browser::{Browser, Site};
use ureq::http::Method;

use crate::worlds::{COOKIE, key, on_each_pair_and_among_expresses};

const NOBODY: (u16, &str) = (401, r#"{"error":"Not authenticated"}"#);
const ALICE: (u16, &str) = (200, r#"{"userId":"user-1001","username":"alice"}"#);

// Proves: T3.1, T4.5, T5.2, T6.1, T6.2, T6.3, P1
#[test]
fn whoever_logs_in_on_one_side_is_logged_in_on_both_with_a_new_id() {
    on_each_pair_and_among_expresses(|worlds| {
        for [here, there] in worlds.both_ways() {
            let mut browser = Browser::new(here);
            assert_eq!(browser.get("/").seen(), (200, "Server is running."));
            for views in [1, 3, 5] {
                browser.turn_to(here);
                assert_eq!(browser.get("/views").json(), json!({ "views": views }));
                browser.turn_to(there);
                assert_eq!(browser.get("/views").json(), json!({ "views": views + 1 }));
                assert_eq!(browser.get("/profile").seen(), NOBODY);
            }
            let mut visitor = browser.at(there);
            for side in [here, there] {
                browser.turn_to(side);
                let refused = browser.log_in_as("alice", "wrong-horse");
                assert_eq!(refused.seen(), (401, r#"{"error":"Invalid credentials"}"#));
            }

            browser.turn_to(here);
            let welcome = browser.log_in();

            assert_eq!(welcome.seen(), (200, r#"{"ok":true,"user":"alice"}"#));
            assert_ne!(browser.cookies[COOKIE], visitor.cookies[COOKIE]);
            assert_eq!(worlds.record(&visitor), None);
            for side in [there, here, there] {
                browser.turn_to(side);
                assert_eq!(browser.get("/profile").seen(), ALICE);
                visitor.turn_to(side);
                assert_eq!(visitor.get("/profile").seen(), NOBODY);
            }
            assert_eq!(worlds.record(&visitor), None);
        }
    });
}

// Proves: T7.1, P6, S33, J2
#[test]
fn whoever_logs_out_on_one_side_is_out_on_both() {
    on_each_pair_and_among_expresses(|worlds| {
        for [at_login, at_logout] in worlds.both_ways() {
            for leave_at in [at_login, at_logout] {
                let mut browser = Browser::new(at_login);
                browser.log_in();
                let mut old = browser.at(at_logout);
                assert_eq!(old.get("/profile").seen(), ALICE);
                old.cookies.clone_from(&browser.cookies);

                browser.turn_to(leave_at);
                let goodbye = browser.post("/logout", &json!({}));

                assert_eq!(goodbye.seen(), (200, r#"{"ok":true}"#));
                assert!(!browser.cookies.contains_key(COOKIE), "{goodbye:?}");
                assert_eq!(worlds.record(&old), None);
                for side in [at_login, at_logout] {
                    let mut replay = old.at(side);
                    assert_eq!(replay.get("/profile").seen(), NOBODY);
                    assert_eq!(worlds.record(&old), None);
                }
            }
        }
    });
}

// Proves: T10.1, T5.2
#[test]
fn what_is_patched_on_one_side_is_read_on_the_other() {
    on_each_pair_and_among_expresses(|worlds| {
        for [here, there] in worlds.both_ways() {
            let mut browser = Browser::new(here);
            browser.log_in();
            let patch = json!({ "basket": { "apples": 3 }, "seen": ["a", "b"], "gone": 1 });
            let refused = browser.send(Method::PATCH, "/session/data", Some(&patch));
            assert_eq!(refused.seen(), (403, r#"{"error":"Invalid CSRF token"}"#));
            let patched = browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
            assert_eq!(patched.status, 200, "{patched:?}");

            browser.turn_to(there);
            assert_eq!(
                browser.get("/session/data").json()["basket"],
                patch["basket"]
            );
            let removal = json!({ "gone": null, "there": true });
            let patched = browser.send_safely(Method::PATCH, "/session/data", Some(&removal));
            assert_eq!(patched.status, 200, "{patched:?}");

            browser.turn_to(here);
            let data = browser.get("/session/data").json();
            assert_eq!(data["seen"], patch["seen"]);
            assert_eq!(data["there"], true);
            assert_eq!(data.get("gone"), None);
            assert_eq!(browser.get("/profile").seen(), ALICE);
        }
    });
}

// Proves: J2, T4.3, T5.1
#[test]
fn however_express_saves_and_renews_sessions_are_shared() {
    on_each_pair_and_among_expresses(|worlds| {
        for (resave, rolling) in [("true", "true"), ("true", "false"), ("false", "false")] {
            let express = worlds.express_with(&[("RESAVE", resave), ("ROLLING", rolling)]);
            let sides: [&(dyn Site + Sync); 2] = [&*worlds.jackline, &express];
            for [here, there] in [sides, [sides[1], sides[0]]] {
                let mut browser = Browser::new(here);
                browser.log_in();
                let patch = json!({ "list": [], "resave": resave });
                browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
                for views in [1, 3] {
                    browser.turn_to(there);
                    assert_eq!(browser.get("/views").json(), json!({ "views": views }));
                    assert_eq!(browser.get("/profile").seen(), ALICE);
                    browser.turn_to(here);
                    assert_eq!(browser.get("/views").json(), json!({ "views": views + 1 }));
                }
                assert_eq!(browser.get("/session/data").json()["list"], json!([]));
                let mut old = browser.at(there);
                browser.turn_to(there);
                assert_eq!(browser.post("/logout", &json!({})).status, 200);
                for side in sides {
                    old.turn_to(side);
                    assert_eq!(old.get("/profile").seen(), NOBODY, "{resave} {rolling}");
                }
                assert_eq!(worlds.record(&old), None);
            }
        }
    });
}

// Proves: J2, S5
#[test]
fn a_session_that_express_regenerates_is_dead_for_jackline_and_its_successor_lives() {
    on_each_pair_and_among_expresses(|worlds| {
        let mut browser = Browser::new(&*worlds.express);
        browser.log_in();
        let mut old = browser.at(&*worlds.jackline);
        assert_eq!(old.get("/profile").seen(), ALICE);
        old.cookies.clone_from(&browser.cookies);

        let members = json!({ "userId": "user-1001", "username": "alice", "kept": "by hand" });
        browser.post("/test/regenerate", &members);

        assert_ne!(key(&browser), key(&old));
        assert_eq!(old.get("/profile").seen(), NOBODY);
        assert_eq!(worlds.record(&old), None);
        browser.turn_to(&*worlds.jackline);
        assert_eq!(browser.get("/profile").seen(), ALICE);
        assert_eq!(browser.get("/session/data").json()["kept"], "by hand");
    });
}
