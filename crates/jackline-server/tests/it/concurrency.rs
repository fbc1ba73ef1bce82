//! Many requests on one session at once, over HTTP: nothing that was acknowledged is lost, and what is over stays over.

use serde_json::json;
use testkit::at_once;
use ureq::http::Method;

use crate::browser::Browser;
use crate::dawdle::Dawdling;
use crate::stores::on_each_store;

// Proves: J3
#[test]
fn five_hundred_parallel_visits_are_counted_exactly_and_answered_distinctly() {
    on_each_store(|on| {
        on.place.be_patient();
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.get("/views");
        let mut seen = at_once(500, |_| {
            let answer = browser.at(&program).get("/views");
            answer.json()["views"].as_i64().unwrap()
        });
        seen.sort_unstable();
        assert_eq!(seen, (2..=501).collect::<Vec<i64>>());
        assert_eq!(browser.get("/views").json()["views"], 502);
    });
}

// Proves: J3
#[test]
fn two_hundred_parallel_patches_of_different_members_all_survive() {
    on_each_store(|on| {
        on.place.be_patient();
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        let token = browser.csrf_token();
        browser.headers.insert("x-csrf-token".to_owned(), token);
        at_once(200, |n| {
            let patch = json!({ format!("key{n}"): n });
            let mut browser = browser.at(&program);
            let answer = browser.send(Method::PATCH, "/session/data", Some(&patch));
            assert_eq!(answer.status, 200, "{answer:?}");
        });
        let data = browser.get("/session/data").json();
        assert_eq!(data.as_object().unwrap().len(), 200);
        for n in 0..200 {
            assert_eq!(data[format!("key{n}")], n);
        }
    });
}

// Proves: J2, J10
#[test]
fn a_slow_write_in_flight_over_a_logout_stays_dead() {
    on_each_store(|on| {
        on.place.be_patient();
        let program = on.place.serve();
        let mut alice = Browser::new(&program);
        alice.log_in();
        let mut old = alice.at(&program);
        let patch = r#"{"late":"write"}"#;
        let dawdling = Dawdling::begin(&mut old, program.port, "PATCH /session/data", patch);
        assert_eq!(alice.post("/logout", &json!({})).status, 200);

        let answer = dawdling.end().to_lowercase();

        assert!(answer.starts_with("http/1.1 401 "), "{answer}");
        assert!(answer.ends_with(r#"{"error":"session ended"}"#), "{answer}");
        assert!(!answer.contains("set-cookie"), "{answer}");
        assert_eq!(old.get("/profile").status, 401);
        assert_eq!(old.get("/session/data").json(), json!({}));
    });
}

// Proves: J2, J4
#[test]
fn a_session_revoked_while_its_request_dawdles_sets_no_password_and_ends_nobody() {
    on_each_store(|on| {
        on.place.be_patient();
        let program = on.place.serve();
        let (mut alice, mut thief) = (Browser::new(&program), Browser::new(&program));
        alice.log_in();
        thief.log_in();
        let body = r#"{"newPassword":"the-thief-knows-it"}"#;
        let dawdling = Dawdling::begin(&mut thief, program.port, "POST /password", body);
        let ended = alice.send_safely(Method::POST, "/sessions/end-others", None);
        assert_eq!(ended.json(), json!({ "ok": true, "ended": 1 }));

        let answer = dawdling.end();

        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert_eq!(alice.get("/profile").status, 200);
        assert_eq!(Browser::new(&program).log_in().status, 200);
    });
}
