//! Every route: its statuses and its bodies.

use serde_json::json;
use testkit::browser::Site as _;
use ureq::http::Method;

use crate::browser::{Browser, PASSWORD};
use crate::stores::{on_each_store, on_sqlite};

// Proves: T10.1, S47, S50, S6
#[test]
fn unsafe_requests_need_the_sessions_csrf_token() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        let invalid = (403, r#"{"error":"Invalid CSRF token"}"#);
        let patch = json!({ "theme": "dark" });
        assert_eq!(
            browser
                .send(Method::PATCH, "/session/data", Some(&patch))
                .seen(),
            invalid
        );

        let token = browser.csrf_token();
        assert_ne!(token, browser.csrf_token(), "masked anew each time");
        assert_eq!(
            browser
                .send(Method::PATCH, "/session/data", Some(&patch))
                .seen(),
            invalid
        );
        assert_eq!(
            browser
                .send_safely(Method::PATCH, "/session/data", Some(&patch))
                .seen(),
            (200, r#"{"theme":"dark"}"#)
        );
        let mut stranger = Browser::new(&program);
        let strangers = stranger.csrf_token();
        browser.headers.insert("x-csrf-token".to_owned(), strangers);
        assert_eq!(
            browser
                .send(Method::PATCH, "/session/data", Some(&patch))
                .seen(),
            invalid
        );

        // The token from before the login is worthless after it.
        browser.headers.clear();
        assert_eq!(browser.log_in().status, 200);
        browser.headers.insert("x-csrf-token".to_owned(), token);
        assert_eq!(
            browser
                .send(Method::PATCH, "/session/data", Some(&patch))
                .seen(),
            invalid
        );
    });
}

// Proves: J3
#[test]
fn session_data_is_merged_and_kept_as_it_was_written() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        assert_eq!(browser.get("/session/data").seen(), (200, "{}"));
        assert!(browser.cookies.is_empty(), "looking stores nothing");

        let patch = json!({ "z": 1, "a": { "deep": [1, {}, []] }, "n": null });
        browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
        let again = json!({ "a": { "more": "ü\u{0}\"" }, "z": null, "b": true });
        let answer = browser.send_safely(Method::PATCH, "/session/data", Some(&again));
        let expected = json!({ "a": { "deep": [1, {}, []], "more": "ü\u{0}\"" }, "b": true });
        assert_eq!(answer.json(), expected);
        assert_eq!(browser.get("/session/data").json(), expected);

        for reserved in ["userId", "cookie", "role", "__proto__"] {
            let answer = browser.send_safely(
                Method::PATCH,
                "/session/data",
                Some(&json!({ reserved: 1 })),
            );
            assert_eq!(
                answer.seen(),
                (400, r#"{"error":"Reserved member"}"#),
                "{reserved}"
            );
        }
        assert_eq!(browser.get("/session/data").json(), expected);
    });
}

// Proves: S37, A2, S33
#[test]
fn a_user_sees_and_ends_their_sessions() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut here = Browser::new(&program);
        here.headers.insert(
            "user-agent".to_owned(),
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        );
        let mut there = Browser::new(&program);
        let mut elsewhere = Browser::new(&program);
        for browser in [&mut here, &mut there, &mut elsewhere] {
            assert_eq!(browser.log_in().status, 200);
        }
        assert_eq!(
            Browser::new(&program).get("/sessions").seen(),
            (401, r#"{"error":"Not authenticated"}"#)
        );

        let listed = here.get("/sessions").json();
        let sessions = listed["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 3);
        let own: Vec<_> = sessions
            .iter()
            .filter(|session| session["current"] == true)
            .collect();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0]["device"], "Firefox on Linux");
        let theirs = there.get("/sessions").json();
        let handle = theirs["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["current"] == true)
            .unwrap()["handle"]
            .as_str()
            .unwrap()
            .to_owned();

        let path = format!("/sessions/{handle}");
        assert_eq!(
            here.send_safely(Method::DELETE, &path, None).seen(),
            (200, r#"{"ok":true}"#)
        );
        assert_eq!(there.get("/profile").status, 401);
        assert_eq!(
            here.send_safely(Method::DELETE, &path, None).seen(),
            (404, r#"{"error":"Not found"}"#)
        );
        assert_eq!(
            here.send_safely(Method::DELETE, "/sessions/%00%ff'\"", None)
                .status,
            404
        );

        let answer = here.send_safely(Method::POST, "/sessions/end-others", None);
        assert_eq!(answer.seen(), (200, r#"{"ended":1,"ok":true}"#));
        assert_eq!(elsewhere.get("/profile").status, 401);
        assert_eq!(here.get("/profile").status, 200);
    });
}

// Proves: S37
#[test]
fn another_users_session_is_unknown() {
    let on = on_sqlite();
    let added = on
        .place
        .run_with_input(&["user", "add", "bob"], "quoins-kelp-and-buoys\n");
    assert!(added.status.success(), "{}", added.stderr);
    let program = on.place.serve();
    let (mut alice, mut bob) = (Browser::new(&program), Browser::new(&program));
    alice.log_in();
    assert_eq!(bob.log_in_as("bob", "quoins-kelp-and-buoys").status, 200);
    let handle = bob.get("/sessions").json()["sessions"][0]["handle"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = alice.send_safely(Method::DELETE, &format!("/sessions/{handle}"), None);
    assert_eq!(answer.seen(), (404, r#"{"error":"Not found"}"#));
    assert_eq!(bob.get("/profile").status, 200);
}

// Proves: A3, S5, S39
#[test]
fn reauthentication_rotates_and_asks_for_the_right_password() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        let before = browser.cookies["sid"].clone();
        let wrong = json!({ "password": "wrong-horse" });
        let answer = browser.send_safely(Method::POST, "/reauth", Some(&wrong));
        assert_eq!(answer.seen(), (401, r#"{"error":"Invalid credentials"}"#));
        assert_eq!(browser.cookies["sid"], before);

        let right = json!({ "password": PASSWORD });
        let answer = browser.send_safely(Method::POST, "/reauth", Some(&right));
        assert_eq!(answer.seen(), (200, r#"{"ok":true}"#));
        assert_ne!(browser.cookies["sid"], before);
        let mut old = Browser::new(&program);
        old.cookies.insert("sid".to_owned(), before);
        assert_eq!(old.get("/profile").status, 401);
        assert_eq!(browser.get("/profile").status, 200);
    });
}

// Proves: R1, S33, S35
#[test]
fn a_new_password_ends_the_other_sessions_and_the_old_password() {
    on_each_store(|on| {
        let program = on.place.serve();
        let (mut here, mut there) = (Browser::new(&program), Browser::new(&program));
        here.log_in();
        there.log_in();
        let before = here.cookies["sid"].clone();
        let short = here.send_safely(
            Method::POST,
            "/password",
            Some(&json!({ "newPassword": "short" })),
        );
        assert_eq!(short.status, 400);

        let new = "a-very-different-horse";
        program.remember_secret(new);
        let answer = here.send_safely(
            Method::POST,
            "/password",
            Some(&json!({ "newPassword": new })),
        );
        assert_eq!(answer.seen(), (200, r#"{"ok":true}"#));
        assert_ne!(here.cookies["sid"], before);
        assert_eq!(here.get("/profile").status, 200);
        assert_eq!(there.get("/profile").status, 401);
        assert_eq!(there.log_in().status, 401);
        assert_eq!(there.log_in_as("alice", new).status, 200);
    });
}

// Proves: A3, S40
#[test]
fn sensitive_actions_wait_for_a_recent_authentication() {
    on_each_store(|on| {
        on.place.set("JACKLINE_STEP_UP_AGE", "1s");
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        let required = (401, r#"{"error":"Recent authentication required"}"#);
        let body = json!({ "newPassword": "another-long-horse" });
        // Too soon at first; asked until the second is over.
        let mut answer = browser.send_safely(Method::POST, "/sessions/end-others", None);
        while answer.status == 200 {
            answer = browser.send_safely(Method::POST, "/sessions/end-others", None);
        }
        assert_eq!(answer.seen(), required);
        assert_eq!(
            browser
                .send_safely(Method::POST, "/password", Some(&body))
                .seen(),
            required
        );
        assert_eq!(
            browser.get("/profile").status,
            200,
            "everything else goes on"
        );
    });
}

// Proves: T10.2, S62, S63, S64, S65, S66
#[test]
fn every_answer_carries_the_security_headers() {
    let on = on_sqlite();
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    for path in ["/", "/profile", "/nowhere", "/views"] {
        let answer = browser.get(path);
        for name in [
            "content-security-policy",
            "strict-transport-security",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
        ] {
            assert!(answer.headers.contains_key(name), "{name} on {path}");
        }
        assert!(!answer.headers.contains_key("x-powered-by"));
    }
    assert_eq!(browser.log_in().headers["cache-control"], "no-store");
    assert_eq!(browser.get("/profile").headers["cache-control"], "no-store");
    let logout = browser.post("/logout", &json!({}));
    assert_eq!(logout.headers["clear-site-data"], r#""cache", "storage""#);
}

// Proves: S51, S60, S55, S57
#[test]
fn other_sites_requests_are_refused() {
    let on = on_sqlite();
    let program = on.place.serve();
    let refused = (403, r#"{"error":"Invalid CSRF token"}"#);
    let own = format!("http://localhost:{}", program.port);
    for (name, value, passes) in [
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "same-origin", true),
        ("sec-fetch-site", "none", true),
        ("origin", "https://attacker.example", false),
        ("origin", "null", false),
        ("origin", own.as_str(), true),
    ] {
        let mut browser = Browser::new(&program);
        browser.headers.insert(name.to_owned(), value.to_owned());
        let answer = browser.log_in();
        if passes {
            assert_eq!(answer.status, 200, "{name}: {value}");
        } else {
            assert_eq!(answer.seen(), refused, "{name}: {value}");
            assert!(answer.set_cookies().is_empty());
        }
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

#[test]
fn unknown_paths_and_methods_say_so_in_json() {
    let on = on_sqlite();
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    assert_eq!(
        browser.get("/nowhere").seen(),
        (404, r#"{"error":"Not found"}"#)
    );
    assert_eq!(
        browser.get("/login").seen(),
        (405, r#"{"error":"Method not allowed"}"#)
    );
    assert_eq!(browser.get("/healthz").seen(), (200, r#"{"status":"ok"}"#));
    assert_eq!(
        browser.get("/readyz").seen(),
        (200, r#"{"status":"ready"}"#)
    );
}

// Proves: T11.1, T11.3, S69, S72, S75, S76
#[test]
fn every_security_event_is_one_json_line() {
    let on = on_sqlite();
    let program = on.place.serve();
    program.wait_for_event("startup");
    let mut browser = Browser::new(&program);
    browser.headers.insert(
        "user-agent".to_owned(),
        r#"evil "quoted" \u001b[31m agent"#.to_owned(),
    );
    browser.log_in_as("alice", "wrong-horse");
    let failure = program.wait_for_event("login_failure");
    assert_eq!(failure["userId"], "user-1001");
    assert_eq!(failure["owasp"], "authn_login_fail");
    assert_eq!(failure["ip"], "127.0.0.1");
    assert_eq!(failure["userAgent"], r#"evil "quoted" \u001b[31m agent"#);
    assert!(failure["ts"].as_str().unwrap().ends_with('Z'), "{failure}");

    browser.log_in();
    assert_eq!(
        program.wait_for_event("login_success")["userId"],
        "user-1001"
    );
    browser.send(Method::PATCH, "/session/data", Some(&json!({})));
    let csrf = program.wait_for_event("csrf_failure");
    assert_eq!(
        (&csrf["reason"], &csrf["path"]),
        (&json!("missing_token"), &json!("/session/data"))
    );
    browser.post("/logout", &json!({}));
    program.wait_for_event("logout");
    browser
        .cookies
        .insert("sid".to_owned(), "s%3Amade.up".to_owned());
    browser.get("/profile?sid=s%3Asecret.in.the.query");
    let rejected = program.wait_for_event("session_rejected");
    assert_eq!(rejected["reason"], "malformed");
    assert_eq!(rejected["path"], "/profile");
}
