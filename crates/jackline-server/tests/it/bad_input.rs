//! What bad input gets: a clear answer, and nothing lost.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use ureq::http::Method;

use crate::browser::Browser;
use crate::program::Program;
use crate::stores::{on_each_store, on_redis, on_sqlite};

/// Sends bytes as they are and returns all that comes back.
fn raw(program: &Program, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A server that refuses early may reset the connection once it has answered.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get_with_cookie(program: &Program, path: &str, cookie: &[u8]) -> String {
    let mut request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: ")
            .into_bytes();
    request.extend_from_slice(cookie);
    request.extend_from_slice(b"\r\n\r\n");
    raw(program, &request)
}

// Proves: J9, S4, S7, S18
#[test]
fn garbage_cookies_make_fresh_visitors_and_cost_no_store_call() {
    let on = on_redis();
    let program = on.place.serve();
    on.redis_cli(&["config", "resetstat"]);
    let long = format!("sid={}", "x".repeat(5000)).into_bytes();
    let unsigned =
        b"sid=s%3AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            .to_vec();
    let cookies: [&[u8]; 9] = [
        b"sid=",
        b"sid=s%3A",
        b"sid=\xff\xfe\xfd",
        b"sid=s%3A%00.%00",
        b"sid=' OR 1=1; --",
        b"sid",
        b";;;=;sid=;",
        &long,
        &unsigned,
    ];
    for cookie in cookies {
        let answer = get_with_cookie(&program, "/profile", cookie);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(
            answer.ends_with(r#"{"error":"Not authenticated"}"#),
            "{answer}"
        );
        assert!(!answer.contains("set-cookie"), "{answer}");
    }
    let calls = on.redis_cli(&["info", "commandstats"]);
    assert!(!calls.contains("cmdstat_evalsha"), "{calls}");
    let rejected = program
        .events_so_far()
        .iter()
        .filter(|event| event["event"] == "session_rejected")
        .count();
    assert_eq!(
        rejected, 8,
        "one event each; a cookie without a value is none of ours"
    );

    let answer = get_with_cookie(&program, "/views", b"sid=s%3Aforged.cookie");
    assert!(
        answer.contains("set-cookie: sid=s%3A") && answer.ends_with(r#"{"views":1}"#),
        "{answer}"
    );
    let token = answer
        .split("sid=s%3A")
        .nth(1)
        .unwrap()
        .split('.')
        .next()
        .unwrap();
    assert!(!token.starts_with("forged"));
}

// Proves: S7
#[test]
fn a_nul_in_a_header_is_refused_by_the_protocol() {
    let on = on_sqlite();
    let program = on.place.serve();
    let answer = get_with_cookie(&program, "/views", b"sid=s%3A\0.x");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(
        Browser::new(&program).get("/views").seen(),
        (200, r#"{"views":1}"#)
    );
}

// Proves: S56
#[test]
fn bodies_that_are_not_what_they_should_be_get_their_status() {
    on_each_store(|on| {
        let program = on.place.serve();
        let post = |kind: &str, body: &str| {
            raw(
                &program,
                format!(
                    "POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .as_bytes(),
            )
        };
        let right = r#"{"username":"alice","password":"correct-horse"}"#;
        let huge = format!(
            r#"{{"username":"alice","password":"{}"}}"#,
            "x".repeat(70_000)
        );
        for (kind, body, status, error) in [
            ("application/json", "{", 400, "Invalid JSON"),
            ("application/json", "", 400, "Invalid JSON"),
            ("application/json", "\u{fffd}", 400, "Invalid JSON"),
            ("application/json", "[]", 400, "Invalid request body"),
            (
                "application/json",
                r#"{"username":1,"password":[]}"#,
                400,
                "Invalid request body",
            ),
            (
                "application/json",
                r#"{"username":"alice"}"#,
                400,
                "Invalid request body",
            ),
            ("text/plain", right, 415, "Unsupported media type"),
            (
                "application/octet-stream",
                right,
                415,
                "Unsupported media type",
            ),
            ("application/json", &huge, 413, "Payload too large"),
            (
                "application/json",
                r#"{"username":"al\u0000ice","password":"x"}"#,
                401,
                "Invalid credentials",
            ),
            (
                "application/json",
                r#"{"username":"' OR 1=1 --","password":"x"}"#,
                401,
                "Invalid credentials",
            ),
        ] {
            let answer = post(kind, body);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            assert!(
                answer.ends_with(&format!(r#"{{"error":"{error}"}}"#)),
                "{answer}"
            );
        }
        assert!(post("application/json; charset=utf-8", right).starts_with("HTTP/1.1 200 "));
        // A form that holds no CSRF token, which is exempt here, is still no JSON.
        assert!(post("application/x-www-form-urlencoded", right).starts_with("HTTP/1.1 415 "));
    });
}

// Proves: S78
#[test]
fn a_client_that_sends_megabytes_regardless_is_heard_out_and_told_why_not() {
    let on = on_sqlite();
    let program = on.place.serve();
    let megabytes = vec![b'x'; 10_000_000];
    for (target, kind, start) in [
        ("/login", "application/json", "HTTP/1.1 413 "),
        ("/login", "text/plain", "HTTP/1.1 415 "),
        ("/nowhere", "application/json", "HTTP/1.1 403 "),
    ] {
        let mut request = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            megabytes.len()
        )
        .into_bytes();
        request.extend_from_slice(&megabytes);
        // Fails if the connection breaks before everything is sent.
        let answer = raw(&program, &request);
        assert!(answer.starts_with(start), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.ends_with('}'), "{answer}");
    }
}

// Proves: S78
#[test]
fn a_map_that_grows_too_large_is_refused_whole() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        for n in 0..4 {
            let patch = json!({ format!("part{n}"): "x".repeat(60_000) });
            assert_eq!(
                browser
                    .send_safely(Method::PATCH, "/session/data", Some(&patch))
                    .status,
                200,
                "{n}"
            );
        }
        let patch = json!({ "part5": "x".repeat(60_000) });
        let answer = browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
        assert_eq!(
            answer.seen(),
            (413, r#"{"error":"Session data too large"}"#)
        );
        let kept = browser.get("/session/data").json();
        assert_eq!(kept.as_object().unwrap().len(), 4);
    });
}

// Proves: S78
#[test]
fn a_counter_that_was_patched_to_something_else_is_a_conflict_and_no_fault_of_the_servers() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        for odd in [
            json!("x"),
            json!(1.5),
            json!([]),
            json!(9_007_199_254_740_991_u64),
        ] {
            let patch = json!({ "views": odd });
            let patched = browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
            assert_eq!(patched.status, 200, "{odd}");
            assert_eq!(
                browser.get("/views").seen(),
                (409, r#"{"error":"Member views is not a counter"}"#),
                "{odd}"
            );
            assert_eq!(browser.get("/session/data").json()["views"], odd);
        }
        let patch = json!({ "views": null });
        browser.send_safely(Method::PATCH, "/session/data", Some(&patch));
        assert_eq!(browser.get("/views").seen(), (200, r#"{"views":1}"#));
    });
}

// Proves: J9
#[cfg(target_os = "linux")]
#[test]
fn a_crowd_of_strangers_with_wrong_passwords_leaves_no_memory_behind() {
    let on = on_sqlite();
    let program = on.place.serve();
    std::thread::scope(|scope| {
        for stranger in 0..24 {
            let program = &program;
            scope.spawn(move || {
                let mut browser = Browser::new(program);
                for attempt in 0..10 {
                    let name = format!("stranger-{stranger}-{attempt}");
                    let answer = browser.log_in_as(&name, "a wrong password");
                    assert_eq!(answer.seen(), (401, r#"{"error":"Invalid credentials"}"#));
                }
            });
        }
    });
    // A hash or two for every core may be kept, and not 240.
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let bound = (128 + 40 * cores) * 1024;
    let kib = program.resident_kib();
    assert!(kib < bound, "{kib} KiB are kept");
}

// Proves: S9
#[test]
fn a_token_in_the_query_is_ignored() {
    let on = on_sqlite();
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    browser.log_in();
    let value = browser.cookies["sid"].clone();
    let mut thief = Browser::new(&program);
    assert_eq!(thief.get(&format!("/profile?sid={value}")).status, 401);
}

#[test]
fn clients_that_keep_the_server_waiting_are_cut_off() {
    let on = on_sqlite();
    let program = on.place.serve();
    std::thread::scope(|scope| {
        for beginning in ["", "GET / HTTP/1.1\r\nHost: local"] {
            // Reads until the server closes the connection.
            scope.spawn(|| assert_eq!(raw(&program, beginning.as_bytes()), ""));
        }
        scope.spawn(|| {
            let beginning = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                             Content-Length: 50\r\n\r\n{";
            let answer = raw(&program, beginning.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        });
    });
}
