//! A record belongs to both sides: each leaves what it does not know as it is, and what the other has ended stays ended.

use serde_json::{Value, json};
use testkit::browser::Browser;
use ureq::http::Method;

use crate::worlds::on_each_pair_and_among_expresses;

// Proves: J3, J5
#[test]
fn a_use_that_only_renews_leaves_the_record_as_it_is() {
    on_each_pair_and_among_expresses(|worlds| {
        let mut browser = Browser::new(&*worlds.express);
        browser.log_in();
        browser.turn_to(&*worlds.jackline);
        // From the second use on there is nothing to note down.
        browser.get("/profile");
        let before = worlds.record(&browser);
        worlds.set_ttl_ms(&browser, 60_000);
        assert_eq!(browser.get("/profile").status, 200);
        assert_eq!(worlds.record(&browser), before);
    });
}

// Proves: J1, J3, T5.2
#[test]
fn a_write_by_express_leaves_jacklines_members_and_its_login_alone() {
    on_each_pair_and_among_expresses(|worlds| {
        let mut browser = Browser::new(&*worlds.jackline);
        browser.log_in();
        let patch = json!({ "rust": { "list": [1, 2.5, "three", [], {}], "none": false } });
        browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
        let written: Value = serde_json::from_str(&worlds.record(&browser).unwrap()).unwrap();

        browser.turn_to(&*worlds.express);
        assert_eq!(browser.get("/views").json(), json!({ "views": 1 }));
        browser.send(Method::PUT, "/test/members", Some(&json!({ "node": 1 })));

        let mut rewritten: Value = serde_json::from_str(&worlds.record(&browser).unwrap()).unwrap();
        let members = rewritten.as_object_mut().unwrap();
        assert_eq!(members.remove("views"), Some(json!(1)));
        assert_eq!(members.remove("node"), Some(json!(1)));
        let mut written = written;
        // The one thing that Express brings up to date.
        for record in [&mut written, &mut rewritten] {
            let cookie = record["cookie"].as_object_mut().unwrap();
            assert!(cookie.remove("expires").unwrap().is_string());
        }
        assert_eq!(rewritten, written);
        browser.turn_to(&*worlds.jackline);
        assert_eq!(browser.get("/profile").status, 200);
        assert_eq!(browser.get("/session/data").json()["rust"], patch["rust"]);
    });
}

// Proves: T4.1, T5.1
#[test]
fn a_record_by_jackline_has_the_cookie_that_express_would_have_given_it() {
    on_each_pair_and_among_expresses(|worlds| {
        let cookies = worlds.both_ways().map(|[side, _]| {
            let mut browser = Browser::new(side);
            browser.get("/views");
            let record: Value = serde_json::from_str(&worlds.record(&browser).unwrap()).unwrap();
            let mut cookie = record["cookie"].clone();
            let expires = cookie["expires"].take();
            // As `Date.prototype.toISOString` has it.
            let expires = expires.as_str().unwrap();
            assert_eq!(expires.len(), "2026-11-23T23:55:49.582Z".len(), "{expires}");
            assert!(expires.ends_with('Z'), "{expires}");
            cookie
        });
        assert_eq!(cookies[0], cookies[1]);
    });
}

/// What Express itself does not keep, so that the table in the documentation says the truth: its last writer wins.
// Proves: J3
#[test]
fn a_late_write_by_express_takes_back_what_jackline_has_changed_and_nothing_worse() {
    on_each_pair_and_among_expresses(|worlds| {
        let mut browser = Browser::new(&*worlds.express);
        browser.log_in();
        browser.turn_to(&*worlds.jackline);
        assert_eq!(browser.get("/views").json(), json!({ "views": 1 }));
        let mut late = browser.at(&*worlds.express);
        std::thread::scope(|scope| {
            let late = scope.spawn(|| {
                let members = json!({ "late": "write" });
                late.send(Method::PUT, "/test/hold/a", Some(&members))
                    .status
            });
            let mut control = Browser::new(&*worlds.express);
            control.get("/test/held/a");
            assert_eq!(browser.get("/views").json(), json!({ "views": 2 }));
            control.post("/test/release/a", &json!({}));
            assert_eq!(late.join().unwrap(), 200);
        });
        // Taken back, and counted on from there.
        assert_eq!(browser.get("/views").json(), json!({ "views": 2 }));
        assert_eq!(browser.get("/session/data").json()["late"], "write");
        assert_eq!(browser.get("/profile").status, 200);
    });
}
