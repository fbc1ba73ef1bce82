//! A record belongs to both sides: each leaves what it does not know as it is, and what the other has ended stays ended.

use serde_json::{Value, json};
use testkit::browser::{Browser, PASSWORD};
use testkit::dawdle::Dawdling;
use ureq::http::Method;

use crate::worlds::{IDLE_MS, Worlds, key, on_each_pair, on_each_pair_and_among_expresses};

/// Members as an Express app may have written them: names and values that a careless re-encoding would change.
const ODD: &str = concat!(
    r#""zebra":1.50,"apple":[],"2":{},"1":{"b":1,"a":[[],{}]},"big":12345678901234567890,"small":1e-7,"#,
    r#""esc\u0061ped":"\u00e9\/\"","emoji":"😀","null":null,"passport":{"user":"7"}"#
);

// Proves: J3
#[test]
fn a_write_by_jackline_leaves_every_other_byte_as_express_wrote_it() {
    on_each_pair(|worlds| {
        let mut browser = Browser::new(&*worlds.express);
        browser.log_in();
        let written = worlds.record(&browser).unwrap();
        let before = format!("{},{ODD}}}", written.strip_suffix('}').unwrap());
        let set: String = worlds.ask(&["SET", &key(&browser), &before, "KEEPTTL"]);
        assert_eq!(set, "OK");

        browser.turn_to(&*worlds.jackline);
        assert_eq!(browser.get("/views").json(), json!({ "views": 1 }));
        let patch = json!({ "from": { "jackline": [] }, "apple": "pear" });
        let patched = browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
        assert_eq!(patched.status, 200, "{patched:?}");

        let after = worlds.record(&browser).unwrap();
        let changed_in_place = before.replace(r#""apple":[]"#, r#""apple":"pear""#);
        let kept = changed_in_place.strip_suffix('}').unwrap();
        assert!(after.starts_with(kept), "{before}\nbecame\n{after}");
        assert!(after[kept.len()..].contains(r#""views":1"#), "{after}");
        assert!(after.contains(r#""from":{"jackline":[]}"#), "{after}");
    });
}

// Proves: J3, J5
#[test]
fn a_use_that_only_renews_leaves_what_express_knows_as_it_is() {
    on_each_pair_and_among_expresses(|worlds| {
        let mut browser = Browser::new(&*worlds.express);
        browser.log_in();
        browser.turn_to(&*worlds.jackline);
        let before = worlds.record(&browser).unwrap();
        worlds.set_ttl_ms(&browser, 60_000);
        assert_eq!(browser.get("/profile").status, 200);
        // Jackline's own member comes last.
        let after = worlds.record(&browser).unwrap();
        let of_express = after.split(r#","jackline":"#).next().unwrap();
        assert_eq!(
            of_express.trim_end_matches('}'),
            before.trim_end_matches('}')
        );
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
            // Express reads its clock twice to work it out, so that its own may fall short by what went by in between.
            let original = cookie["originalMaxAge"].take().as_i64().unwrap();
            assert!((IDLE_MS - 1000..=IDLE_MS).contains(&original), "{original}");
            cookie
        });
        assert_eq!(cookies[0], cookies[1]);
    });
}

// Proves: J2
#[test]
fn what_express_destroyed_no_late_write_by_jackline_brings_back() {
    on_each_pair(|worlds| {
        for goodbye in ["/logout", "/test/regenerate"] {
            let mut browser = Browser::new(&*worlds.express);
            browser.log_in();
            browser.turn_to(&*worlds.jackline);
            let mut late = browser.at(&*worlds.jackline);
            let port = worlds.jackline.url("").rsplit(':').next().unwrap().parse();
            let patch = r#"{"late":"write"}"#;
            let dawdling = Dawdling::begin(&mut late, port.unwrap(), "PATCH /session/data", patch);
            browser.turn_to(&*worlds.express);
            assert_eq!(browser.post(goodbye, &json!({})).status, 200);

            let answer = dawdling.end();

            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
            assert_eq!(worlds.record(&late), None);
            assert_eq!(late.get("/profile").status, 401);
            assert_eq!(worlds.record(&late), None);
        }
    });
}

/// A write by Express that has begun with the session of now, and ends after `meanwhile`.
fn late_write(worlds: &Worlds, browser: &Browser, name: &str, meanwhile: impl FnOnce()) {
    let mut late = browser.at(&*worlds.express);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            let members = json!({ "late": "write" });
            let path = format!("/test/hold/{name}");
            late.send(Method::PUT, &path, Some(&members)).status
        });
        let mut control = Browser::new(&*worlds.express);
        control.get(&format!("/test/held/{name}"));
        meanwhile();
        control.post(&format!("/test/release/{name}"), &json!({}));
        assert_eq!(late.join().unwrap(), 200);
    });
}

/// What Express itself does not keep: its last writer wins, also over Jackline.
// Proves: J3
#[test]
fn a_late_write_by_express_takes_back_what_jackline_has_changed_and_nothing_worse() {
    on_each_pair_and_among_expresses(|worlds| {
        let mut browser = Browser::new(&*worlds.express);
        browser.log_in();
        browser.turn_to(&*worlds.jackline);
        assert_eq!(browser.get("/views").json(), json!({ "views": 1 }));
        let before = browser.at(&*worlds.jackline);
        late_write(worlds, &before, "over-a-change", || {
            assert_eq!(browser.get("/views").json(), json!({ "views": 2 }));
        });
        // Taken back, and counted on from there.
        assert_eq!(browser.get("/views").json(), json!({ "views": 2 }));
        assert_eq!(browser.get("/session/data").json()["late"], "write");
        assert_eq!(browser.get("/profile").status, 200);
    });
}

/// Nor does it keep an end. Here it is one all the same, and with the first look from here it is one there too.
// Proves: J2, S33, S5
#[test]
fn what_express_brings_back_after_its_end_is_dead_for_jackline_which_removes_it() {
    on_each_pair(|worlds| {
        let body = json!({ "password": PASSWORD });
        for (name, path, body) in [
            ("logout", "/logout", json!({})),
            ("reauth", "/reauth", body),
        ] {
            let mut browser = Browser::new(&*worlds.express);
            browser.log_in();
            browser.turn_to(&*worlds.jackline);
            assert_eq!(browser.get("/profile").status, 200);
            let mut old = browser.at(&*worlds.jackline);
            late_write(worlds, &old, name, || {
                let answer = browser.send_safely(Method::POST, path, Some(&body));
                assert_eq!(answer.status, 200, "{answer:?}");
            });
            assert!(worlds.record(&old).is_some(), "Express has brought it back");

            let replayed = old.at(&*worlds.jackline).get("/profile");

            assert_eq!(replayed.status, 401, "{replayed:?}");
            assert_eq!(worlds.record(&old), None);
            old.turn_to(&*worlds.express);
            assert_eq!(old.get("/profile").status, 401);
        }
    });
}
