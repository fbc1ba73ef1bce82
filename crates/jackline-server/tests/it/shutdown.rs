//! Stopping: nobody new is let in, what is under way is finished within a limit, and the event says what was not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::dawdle::Dawdling;
use crate::stores::{on_each_store, on_sqlite};

/// The last security event that a program wrote.
fn last_event(output: &str) -> Value {
    let line = output.lines().rfind(|line| line.starts_with('{')).unwrap();
    serde_json::from_str(line).unwrap()
}

// Proves: S73, S69
#[test]
fn sigterm_ends_the_server_in_good_order() {
    let on = on_sqlite();
    let program = on.place.serve();
    // Neither a browser that keeps its connection nor one that opened one in advance holds it up.
    let mut kept = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    kept.read_exact(&mut [0; b"HTTP/1.1 200".len()]).unwrap();
    let _in_advance = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    let (status, output) = program.stop();
    assert_eq!(status.code(), Some(0), "{output}");
    assert_eq!(last_event(&output)["event"], "shutdown");
}

// Proves: J8, S69
#[test]
fn a_request_that_is_under_way_when_the_server_is_told_to_stop_is_answered() {
    on_each_store(|on| {
        on.place.be_patient();
        let program = on.place.serve();
        let mut alice = Browser::new(&program);
        alice.log_in();
        let patch = r#"{"last":"words"}"#;
        let dawdling = Dawdling::begin(&mut alice, program.port, "PATCH /session/data", patch);
        let cookies = alice.cookies.clone();
        program.tell_to_stop();

        let answer = dawdling.end();

        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (status, output) = program.wait();
        assert_eq!(status.code(), Some(0), "{output}");
        assert_eq!(last_event(&output)["event"], "shutdown");
        let program = on.place.serve();
        let mut alice = Browser::new(&program);
        alice.cookies = cookies;
        assert_eq!(
            alice.get("/session/data").json(),
            json!({ "last": "words" })
        );
    });
}

// Proves: J8, S69
#[test]
fn a_request_that_takes_longer_than_the_limit_is_cut_off_and_the_event_says_so() {
    on_each_store(|on| {
        on.place.be_patient();
        on.place.set("JACKLINE_SHUTDOWN_TIMEOUT", "1s");
        let program = on.place.serve();
        let mut alice = Browser::new(&program);
        alice.log_in();
        let mut dawdling = Dawdling::begin(&mut alice, program.port, "PATCH /session/data", "{}");
        let cookies = alice.cookies.clone();
        program.signal("-TERM");

        assert_eq!(dawdling.rest(), "");

        let (status, output) = program.wait();
        assert_eq!(status.code(), Some(0), "{output}");
        let event = last_event(&output);
        assert_eq!(event["event"], "shutdown");
        assert_eq!(event["reason"], "requests_cut_off");
        assert_eq!(event["count"], 1);
        let said =
            "1 requests at least did not finish within JACKLINE_SHUTDOWN_TIMEOUT, and were cut off";
        assert!(output.contains(said), "{output}");
        let program = on.place.serve();
        let mut alice = Browser::new(&program);
        alice.cookies = cookies;
        assert_eq!(alice.get("/profile").status, 200, "the session is whole");
    });
}

// Proves: S69
#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut on = on_sqlite();
    on.place.set("JACKLINE_SHUTDOWN_TIMEOUT", "10m");
    let program = on.place.serve();
    let mut visitor = Browser::new(&program);
    let mut dawdling = Dawdling::begin(&mut visitor, program.port, "PATCH /session/data", "{}");
    program.tell_to_stop();
    program.signal("-INT");
    assert_eq!(dawdling.rest(), "");
    let (status, output) = program.wait();
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("before the second signal"), "{output}");
}

// Proves: S69
#[test]
fn a_server_that_was_told_to_stop_is_not_ready_but_alive() {
    for (path, expected) in [("/readyz", "503"), ("/healthz", "200")] {
        let on = on_sqlite();
        let program = on.place.serve();
        // The connection was there before, and half of the request.
        let mut stream = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // This one is answered after the server has read what came before it.
        assert_eq!(Browser::new(&program).get("/readyz").status, 200);
        program.tell_to_stop();
        stream.write_all(b"\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{answer}"
        );
        assert_eq!(program.wait().0.code(), Some(0));
    }
}
