//! The running program in a real browser: what is in the cookie jar, what other sites can do, and what people see.
//!
//! Each test has a server and a browser of its own; `testkit::chromium` says what it needs. A test that fails at a page shows its text.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod app;
mod console;
mod cookies;
mod cross_site;
mod devices;
mod factors;
mod instrument;
mod keyboard;
mod person;
mod production;
mod proofs;
mod sign_in;
mod stranger;
mod tour;
mod troubles;

use serde_json::{Value, json};
use testkit::browser::{PASSWORD, Site as _};
use testkit::chromium::Chromium;
use testkit::program::Program;

/// Has the page send JSON to its own server, as a script of it would. Returns the status and the body.
fn send(browser: &Chromium, method: &str, path: &str, body: &Value) -> (u64, Value) {
    let answer = browser.run_async(
        "const [method, path, body] = arguments_;
         const token = method === 'GET' || path === '/login' ? '' :
             (await (await fetch('/csrf-token')).json()).csrfToken;
         const response = await fetch(path, {
             method,
             headers: { 'content-type': 'application/json', 'accept': 'application/json', 'x-csrf-token': token },
             body: method === 'GET' ? undefined : JSON.stringify(body),
         });
         return [response.status, await response.json()];",
        &[json!(method), json!(path), body.clone()],
    );
    (answer[0].as_u64().unwrap(), answer[1].clone())
}

/// Logs the demo user in by way of JSON; the browser stays where it is, on a page of the program's.
fn log_in(browser: &Chromium, program: &Program, session_cookie: &str) {
    log_in_as(browser, program, ("alice", PASSWORD), session_cookie);
}

/// The same for somebody else.
fn log_in_as(
    browser: &Chromium,
    program: &Program,
    (name, password): (&str, &str),
    session_cookie: &str,
) {
    let credentials = json!({ "username": name, "password": password });
    let (status, answer) = send(browser, "POST", "/login", &credentials);
    assert_eq!(status, 200, "{answer}");
    program.remember_secret(&browser.cookie(session_cookie).value);
}
