//! The program in the Express keyspace: what it writes is what Express reads, and what Express writes to the same Redis counts.

use serde_json::{Value, json};
use testkit::block_on;
use testkit::redis::RedisServer;
use ureq::http::Method;

use crate::browser::Browser;
use crate::program::Place;

const SECRET: &str = "5f1d7c0b9a3e8642d7f0c1b2a3948576e0d1c2b3a4958677869504132abcdef0";

/// Where Express and the program share sessions.
struct Shared {
    server: RedisServer,
    place: Place,
}

impl Shared {
    fn start() -> Self {
        let server = block_on(RedisServer::start());
        let place = Place::new(&[
            ("REDIS_URL", &server.url()),
            ("JACKLINE_KEYSPACE", "express"),
            ("SESSION_SECRET", SECRET),
        ]);
        Self { server, place }
    }

    fn record(&self, sid: &str) -> Value {
        let text: String = block_on(self.server.ask(&["GET", &format!("sess:{sid}")]));
        serde_json::from_str(&text).unwrap()
    }

    fn express_saves(&self, sid: &str, record: &Value) {
        let (name, text) = (format!("sess:{sid}"), record.to_string());
        let _: String = block_on(self.server.ask(&["SET", &name, &text, "EX", "1800"]));
    }

    fn express_destroys(&self, sid: &str) {
        let _: i64 = block_on(self.server.ask(&["DEL", &format!("sess:{sid}")]));
    }
}

/// The id in the browser's cookie.
fn sid(browser: &Browser<'_>) -> String {
    let signed = browser.cookies["connect.sid"].strip_prefix("s%3A").unwrap();
    signed.split_once('.').unwrap().0.to_owned()
}

// Proves: T4.1, J2
#[test]
fn a_login_here_is_one_for_express_whose_logout_is_one_here() {
    let shared = Shared::start();
    let program = shared.place.serve();
    let mut browser = Browser::new(&program);
    assert_eq!(browser.get("/views").json()["views"], 1);
    let visitor = sid(&browser);
    assert_eq!(shared.record(&visitor)["views"], 1);

    assert_eq!(browser.log_in().status, 200);
    let logged_in = sid(&browser);
    assert_eq!((logged_in.len(), logged_in == visitor), (32, false));
    let record = shared.record(&logged_in);
    let profile = browser.get("/profile").json();
    assert_eq!(record["userId"], profile["userId"]);
    assert_eq!(record["username"], "alice");
    assert_eq!(record["cookie"]["originalMaxAge"], 1_800_000);

    shared.express_destroys(&logged_in);
    assert_eq!(browser.get("/profile").status, 401);
}

// Proves: J1, J3
#[test]
fn a_login_and_data_of_express_count_here_and_are_not_data_of_ours() {
    let shared = Shared::start();
    let program = shared.place.serve();
    let mut browser = Browser::new(&program);
    browser.get("/views");
    let sid = sid(&browser);
    shared.express_saves(
        &sid,
        &json!({ "cookie": { "originalMaxAge": 1_800_000 }, "userId": 7, "username": "bob", "views": 5, "cart": [] }),
    );
    let profile = json!({ "userId": "7", "username": "bob" });
    assert_eq!(browser.get("/profile").json(), profile);
    assert_eq!(browser.get("/views").json()["views"], 6);
    let record = shared.record(&sid);
    assert_eq!(
        (&record["userId"], &record["cart"]),
        (&json!(7), &json!([]))
    );

    for name in ["userId", "role", "cookie", "save", "jackline"] {
        let change = json!({ name: "admin" });
        let answer = browser.send_safely(Method::PATCH, "/session/data", Some(&change));
        assert_eq!(
            answer.seen(),
            (400, r#"{"error":"Reserved member"}"#),
            "{name}"
        );
    }
    assert_eq!(browser.get("/profile").json(), profile);
    assert_eq!(browser.post("/logout", &json!({})).status, 200);
    let left: Vec<String> = block_on(shared.server.ask(&["KEYS", "sess:*"]));
    assert!(
        left.is_empty(),
        "Express finds nothing of it either: {left:?}"
    );
}
