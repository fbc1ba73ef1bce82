//! The commands beside `serve`, against the same data as a running server.

use serde_json::Value;

use crate::browser::Browser;
use crate::program::Place;
use crate::stores::on_each_store;

// Proves: T2.1
#[test]
fn secret_prints_a_fresh_one_of_64_bytes() {
    let place = Place::new(&[]);
    let (one, two) = (place.run(&["secret"]), place.run(&["secret"]));
    assert!(one.status.success());
    let secret = one.stdout.trim();
    assert_eq!(secret.len(), 128);
    assert!(secret.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(one.stdout, two.stdout);
}

// Proves: S34, J4
#[test]
fn disabling_a_user_ends_their_sessions_and_refuses_their_logins() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        let disabled = on.place.run(&["user", "disable", "alice"]);
        assert!(disabled.status.success(), "{}", disabled.stderr);
        assert!(
            disabled.stdout.contains("one session is ended"),
            "{}",
            disabled.stdout
        );
        assert_eq!(browser.get("/profile").status, 401);
        assert_eq!(
            browser.log_in().seen(),
            (401, r#"{"error":"Invalid credentials"}"#)
        );
        assert!(on.place.run(&["user", "enable", "alice"]).status.success());
        assert_eq!(browser.log_in().status, 200);
    });
}

// Proves: S36
#[test]
fn an_administrator_lists_and_ends_sessions() {
    on_each_store(|on| {
        let program = on.place.serve();
        let (mut here, mut there) = (Browser::new(&program), Browser::new(&program));
        here.log_in();
        there.log_in();
        let listed = on
            .place
            .run(&["sessions", "list", "--user", "alice", "--json"]);
        assert!(listed.status.success(), "{}", listed.stderr);
        let sessions: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(sessions.as_array().unwrap().len(), 2);
        let own = here.get("/sessions").json();
        let own = own["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["current"] == true)
            .unwrap()
            .clone();
        let handle = own["handle"].as_str().unwrap();

        let ended = on
            .place
            .run(&["sessions", "end", "--user", "alice", handle]);
        assert!(ended.status.success(), "{}", ended.stderr);
        assert_eq!(here.get("/profile").status, 401);
        assert_eq!(there.get("/profile").status, 200);
        assert!(
            !on.place
                .run(&["sessions", "end", "--user", "alice", handle])
                .status
                .success()
        );
        assert!(
            on.place
                .run(&["sessions", "end", "--user", "alice", "--all"])
                .status
                .success()
        );
        assert_eq!(there.get("/profile").status, 401);
    });
}
