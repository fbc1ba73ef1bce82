//! Many requests at once, over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::json;
use ureq::http::Method;

use crate::browser::Browser;
use crate::stores::on_each_store;

// Proves: J3
#[test]
fn parallel_visits_are_counted_exactly_and_answered_distinctly() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.get("/views");
        let mut seen: Vec<i64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..10)
                .map(|_| {
                    let mut browser = browser.at(&program);
                    scope.spawn(move || -> Vec<i64> {
                        (0..20)
                            .map(|_| browser.get("/views").json()["views"].as_i64().unwrap())
                            .collect()
                    })
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        seen.sort_unstable();
        assert_eq!(seen, (2..=201).collect::<Vec<i64>>());
    });
}

// Proves: J3
#[test]
fn parallel_patches_of_different_members_all_survive() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        let token = browser.csrf_token();
        browser.headers.insert("x-csrf-token".to_owned(), token);
        let together = Barrier::new(50);
        std::thread::scope(|scope| {
            for n in 0..50 {
                let (mut browser, together) = (browser.at(&program), &together);
                scope.spawn(move || {
                    together.wait();
                    let patch = json!({ format!("key{n}"): n });
                    assert_eq!(
                        browser
                            .send(Method::PATCH, "/session/data", Some(&patch))
                            .status,
                        200
                    );
                });
            }
        });
        assert_eq!(
            browser
                .get("/session/data")
                .json()
                .as_object()
                .unwrap()
                .len(),
            50
        );
    });
}

// Proves: A2, S38
#[test]
fn parallel_logins_keep_to_the_cap() {
    on_each_store(|on| {
        on.place.set("JACKLINE_MAX_SESSIONS", "3");
        let program = on.place.serve();
        let together = Barrier::new(12);
        let browsers: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..12)
                .map(|_| {
                    scope.spawn(|| {
                        let mut browser = Browser::new(&program);
                        together.wait();
                        assert_eq!(browser.log_in().status, 200);
                        browser.cookies
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .collect()
        });
        let alive = browsers
            .into_iter()
            .filter(|cookies| {
                let mut browser = Browser::new(&program);
                browser.cookies = cookies.clone();
                browser.get("/profile").status == 200
            })
            .count();
        assert_eq!(alive, 3);
    });
}

/// Begins a `POST` whose body is yet to come, and returns once the server waits for that body: it says `100 Continue` when the
/// handler has its session and asks for more.
fn begin_post(browser: &mut Browser, port: u16, path: &str, length: usize) -> TcpStream {
    let csrf = browser.csrf_token();
    let cookie = &browser.cookies["sid"];
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: sid={cookie}\r\nX-CSRF-Token: {csrf}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut told).unwrap();
    assert!(told.starts_with(b"HTTP/1.1 100 "), "{told:?}");
    stream
}

// Proves: J2, J4
#[test]
fn a_session_revoked_while_its_request_dawdles_sets_no_password_and_ends_nobody() {
    on_each_store(|on| {
        let program = on.place.serve();
        let (mut alice, mut thief) = (Browser::new(&program), Browser::new(&program));
        alice.log_in();
        thief.log_in();
        let body = r#"{"newPassword":"the-thief-knows-it"}"#;
        let mut dawdling = begin_post(&mut thief, program.port, "/password", body.len());
        let ended = alice.send_safely(Method::POST, "/sessions/end-others", None);
        assert_eq!(ended.json(), json!({ "ok": true, "ended": 1 }));

        dawdling.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        dawdling.read_to_string(&mut answer).unwrap();

        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert_eq!(alice.get("/profile").status, 200);
        assert_eq!(Browser::new(&program).log_in().status, 200);
    });
}
