//! Clients that hang up before they are answered.

use std::io::Write as _;
use std::net::TcpStream;

use testkit::block_on;
use testkit::browser::Site as _;

use crate::browser::{Browser, PASSWORD};
use crate::dawdle::Dawdling;
use crate::program::Program;
use crate::second_factors::{add_app, give};
use crate::stores::{On, on_redis};

/// A server whose Redis can be stopped for longer than a client waits.
fn patient() -> (On, Program) {
    let mut on = on_redis();
    on.place.be_patient();
    let program = on.place.serve();
    (on, program)
}

/// Has the server read what has come: it looks at its connections again before it answers this.
fn answer_others(program: &Program) {
    for _ in 0..20 {
        assert_eq!(Browser::new(program).get("/healthz").status, 200);
    }
}

/// Hangs up, and waits until the server has noticed: a client that it takes to be there is simply answered.
fn hang_up<T>(connection: T, program: &Program) {
    // Not that of a connection that is idle for too long.
    let noticed = "connection closed before message completed";
    let before = program.has_said(noticed);
    drop(connection);
    program.wait_until_said(noticed, before + 1);
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    block_on(testkit::eventually(what, async || condition()));
}

/// Sends a logout and hangs up. The store is silent meanwhile.
fn log_out_and_hang_up(alice: &Browser, program: &Program) {
    let mut stream = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    let cookie = &alice.cookies["sid"];
    let request = format!(
        "POST /logout HTTP/1.1\r\nHost: localhost\r\nCookie: sid={cookie}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    answer_others(program);
    hang_up(stream, program);
}

// Proves: J2, S33
#[test]
fn a_logout_happens_also_if_its_client_hangs_up_before_the_store_answers() {
    let (on, program) = patient();
    let mut alice = Browser::new(&program);
    alice.log_in();
    let redis = on.redis.as_ref().unwrap();
    redis.freeze();
    log_out_and_hang_up(&alice, &program);
    redis.thaw();
    assert_eq!(program.wait_for_event("logout")["userId"], "user-1001");
    assert_eq!(alice.get("/profile").status, 401);
}

// Proves: J2, S69
#[test]
fn a_server_that_stops_finishes_the_logout_of_a_client_that_hung_up() {
    let (on, program) = patient();
    let mut alice = Browser::new(&program);
    alice.log_in();
    let cookies = alice.cookies.clone();
    let redis = on.redis.as_ref().unwrap();
    redis.freeze();
    log_out_and_hang_up(&alice, &program);
    program.signal("-TERM");
    redis.thaw();
    let (status, output) = program.wait();
    assert_eq!(status.code(), Some(0), "{output}");
    let program = on.place.serve();
    let mut alice = Browser::new(&program);
    alice.cookies = cookies;
    assert_eq!(alice.get("/profile").status, 401);
}

// Proves: J4, S35
#[test]
fn a_new_password_ends_the_other_sessions_also_if_its_client_hangs_up() {
    let (on, program) = patient();
    let (mut alice, mut other) = (Browser::new(&program), Browser::new(&program));
    alice.log_in();
    other.log_in();
    let body = r#"{"newPassword":"a-very-different-horse"}"#;
    program.remember_secret("a-very-different-horse");
    let changing = Dawdling::begin(&mut alice, program.port, "POST /password", body);
    let redis = on.redis.as_ref().unwrap();
    redis.freeze();
    // The session was loaded before; what comes after the hash finds the store silent.
    let changing = changing.send();
    // Twice to log in, and once now.
    program.wait_until_said("read credentials", 3);
    hang_up(changing, &program);
    redis.thaw();
    eventually("the other session has ended", || {
        other.get("/profile").status == 401
    });
    eventually("the new password counts", || {
        let mut browser = Browser::new(&program);
        browser.log_in_as("alice", "a-very-different-horse").status == 200
    });
    let mut browser = Browser::new(&program);
    assert_eq!(browser.log_in_as("alice", PASSWORD).status, 401);
}

// Proves: J4, R2
#[test]
fn a_factor_that_is_removed_ends_the_other_sessions_also_if_its_client_hangs_up() {
    let (on, program) = patient();
    let (mut alice, mut other) = (Browser::new(&program), Browser::new(&program));
    alice.log_in();
    let (mut app, _) = add_app(&mut alice);
    other.log_in();
    assert_eq!(give(&mut other, &app.next_code()).status, 200);
    let factors = alice.get("/factors").json();
    let id = factors["factors"][0]["id"].as_str().unwrap();
    let (token, cookie) = (alice.csrf_token(), &alice.cookies["sid"]);
    let request = format!(
        "DELETE /factors/{id} HTTP/1.1\r\nHost: localhost\r\nCookie: sid={cookie}\r\nX-CSRF-Token: {token}\r\n\r\n"
    );
    let redis = on.redis.as_ref().unwrap();
    redis.freeze();
    let mut stream = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    answer_others(&program);
    hang_up(stream, &program);
    redis.thaw();
    eventually("the other session has ended", || {
        other.get("/profile").status == 401
    });
    program.wait_until_said("totp_removed", 1);
    let mut browser = Browser::new(&program);
    let ok = (200, r#"{"ok":true,"user":"alice"}"#);
    assert_eq!(browser.log_in().seen(), ok, "there is no factor any more");
}
