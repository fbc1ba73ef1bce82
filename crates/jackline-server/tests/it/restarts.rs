//! Restarts, several instances, and new secrets: nobody is logged out who should not be.

use testkit::browser::Site as _;

use crate::browser::Browser;
use crate::program::SECRET;
use crate::stores::{on_each_store, on_sqlite};

const NEWER: &str = "c0ffee1234567890abcdef0123456789fedcba98765432100123456789abcdef";

// Proves: T9.1, D6
#[test]
fn secrets_are_replaced_without_logging_anybody_out() {
    on_each_store(|on| {
        on.place.set("SESSION_SECRET", SECRET);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        let (cookies, old) = (browser.cookies.clone(), browser.cookies["sid"].clone());
        drop(program);

        on.place.set("SESSION_SECRET", NEWER);
        on.place.set("SESSION_SECRET_PREVIOUS", SECRET);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.cookies = cookies;
        assert_eq!(browser.get("/profile").status, 200);
        let resigned = browser.cookies["sid"].clone();
        assert_ne!(resigned, old, "signed anew");
        assert_eq!(
            resigned.split('.').next(),
            old.split('.').next(),
            "and the same session"
        );
        let cookies = browser.cookies.clone();
        drop(program);

        on.place.unset("SESSION_SECRET_PREVIOUS");
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.cookies = cookies;
        assert_eq!(browser.get("/profile").status, 200);
        browser.cookies.insert("sid".to_owned(), old);
        assert_eq!(
            browser.get("/profile").status,
            401,
            "the removed secret has stopped working"
        );
    });
}

// Proves: J8, T5.2
#[test]
fn what_was_acknowledged_survives_a_crash_of_the_program() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        assert_eq!(browser.get("/views").json()["views"], 1);
        let cookies = browser.cookies.clone();
        program.kill();

        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.cookies = cookies;
        assert_eq!(browser.get("/views").json()["views"], 2);
        assert_eq!(browser.get("/profile").status, 200);
    });
}

// Proves: T5.2, S33
#[test]
fn two_instances_on_one_store_are_one_service() {
    on_each_store(|on| {
        let (one, two) = (on.place.serve(), on.place.serve());
        let mut browser = Browser::new(&one);
        browser.log_in();
        browser.get("/views");
        let mut beside = browser.at(&two);
        assert_eq!(beside.get("/views").json()["views"], 2);
        assert_eq!(browser.get("/views").json()["views"], 3);
        assert_eq!(beside.post("/logout", &serde_json::json!({})).status, 200);
        assert_eq!(browser.get("/profile").status, 401);
    });
}

// Proves: T2.2, P5
#[test]
fn the_development_secret_is_kept_and_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let on = on_sqlite();
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    browser.log_in();
    let cookies = browser.cookies.clone();
    let file = on.place.path().join("data/session-secret");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    program.remember_secret(std::fs::read_to_string(&file).unwrap().trim());
    drop(program);
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    browser.cookies = cookies;
    assert_eq!(browser.get("/profile").status, 200);
}
