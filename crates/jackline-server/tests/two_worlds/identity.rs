//! Who is logged in is in the members that Express writes, whatever they are called, and whoever is revoked here is revoked there.

use serde_json::{Value, json};
use testkit::browser::Browser;
use ureq::http::Method;

use crate::worlds::{Worlds, key, on_each_pair};

/// Logged in by Express.
fn logged_in_as<'a>(worlds: &'a Worlds, id: &str) -> Browser<'a> {
    let mut browser = Browser::new(&*worlds.express);
    let (now_s, _micros): (i64, i64) = worlds.ask(&["TIME"]);
    let members = json!({ "userId": id, "username": "carol", "loginAt": now_s * 1000 });
    assert_eq!(browser.post("/test/regenerate", &members).status, 200);
    browser
}

// Proves: J4, A2, S35
#[test]
fn ending_all_other_sessions_here_ends_those_that_only_express_has_seen() {
    on_each_pair(|worlds| {
        // Not Alice, who is logged in by other tests at the same time.
        let [mut here, mut unseen, mut seen] = [(); 3].map(|()| logged_in_as(worlds, "user-4004"));
        let mut visitor = Browser::new(&*worlds.express);
        visitor.get("/views");
        seen.turn_to(&*worlds.jackline);
        assert_eq!(seen.get("/profile").status, 200);
        here.turn_to(&*worlds.jackline);
        assert_eq!(here.get("/profile").status, 200);

        let answer = here.send_safely(Method::POST, "/sessions/end-others", None);

        assert_eq!(answer.status, 200, "{answer:?}");
        // The walk over what is in no index may go on after the answer.
        testkit::block_on(testkit::eventually("the walk is over", async || {
            worlds.redis.ask::<i64>(&["EXISTS", &key(&unseen)]).await == 0
        }));
        for [side, _] in worlds.both_ways() {
            assert_eq!(here.at(side).get("/profile").status, 200);
            assert_eq!(seen.at(side).get("/profile").status, 401);
            assert_eq!(unseen.at(side).get("/profile").status, 401);
        }
        unseen.turn_to(&*worlds.jackline);
        assert_eq!(unseen.get("/profile").status, 401);
        assert_eq!(visitor.get("/views").json(), json!({ "views": 2 }));
    });
}

// Proves: T5.2
#[test]
fn an_app_that_calls_its_members_otherwise_and_numbers_its_users_is_understood() {
    on_each_pair(|worlds| {
        let jackline = worlds.jackline_with(&[
            ("JACKLINE_EXPRESS_USER_ID", "uid"),
            ("JACKLINE_EXPRESS_USERNAME", "nick"),
            ("JACKLINE_EXPRESS_LOGIN_AT", "since"),
        ]);
        let mut browser = Browser::new(&*worlds.express);
        let (now_s, _micros): (i64, i64) = worlds.ask(&["TIME"]);
        let members = json!({ "uid": 1007, "nick": "bob", "since": now_s * 1000 });
        browser.post("/test/regenerate", &members);

        browser.turn_to(&jackline);
        let profile = browser.get("/profile");

        assert_eq!(
            profile.seen(),
            (200, r#"{"userId":"1007","username":"bob"}"#)
        );
        assert_eq!(browser.get("/views").json(), json!({ "views": 1 }));
        assert_eq!(browser.get("/session/data").json(), json!({ "views": 1 }));
        let record: Value = serde_json::from_str(&worlds.record(&browser).unwrap()).unwrap();
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&record[name], value);
        }
        // To the one that looks for `userId`, nobody.
        browser.turn_to(&*worlds.jackline);
        assert_eq!(browser.get("/profile").status, 401);
    });
}

// Proves: J1
#[test]
fn no_patch_by_jackline_makes_somebody_of_a_visitor() {
    on_each_pair(|worlds| {
        for name in [
            "userId",
            "username",
            "loginAt",
            "role",
            "cookie",
            "jackline",
            "regenerate",
        ] {
            let mut browser = Browser::new(&*worlds.jackline);
            browser.get("/views");
            let before = worlds.record(&browser);
            let patch = json!({ name: "user-1001", "harmless": 1 });
            let refused = browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
            assert_eq!(refused.status, 400, "{name}: {refused:?}");
            assert_eq!(worlds.record(&browser), before);
            browser.turn_to(&*worlds.express);
            assert_eq!(browser.get("/profile").status, 401);
        }
    });
}
