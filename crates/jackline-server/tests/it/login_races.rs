//! Logins that race: each other, a revocation, and the other requests of the browser that logs in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use testkit::at_once;
use ureq::http::Method;

use crate::browser::{Answer, Browser};
use crate::program::Program;
use crate::stores::on_each_store;

/// What the cookies of a browser are worth.
fn is_logged_in(program: &Program, cookies: &BTreeMap<String, String>) -> bool {
    let mut browser = Browser::new(program);
    browser.cookies.clone_from(cookies);
    browser.get("/profile").status == 200
}

// Proves: A2, J4, S38
#[test]
fn fifty_parallel_logins_with_a_cap_of_five_leave_exactly_five() {
    on_each_store(|on| {
        on.place.be_patient();
        on.place.set("JACKLINE_MAX_SESSIONS", "5");
        let program = on.place.serve();
        let jars = at_once(50, |_| {
            let mut browser = Browser::new(&program);
            let answer = browser.log_in();
            assert_eq!(answer.status, 200, "{answer:?}");
            browser.cookies
        });
        let alive: Vec<_> = jars
            .into_iter()
            .filter(|cookies| is_logged_in(&program, cookies))
            .collect();
        assert_eq!(alive.len(), 5);
        let mut one = Browser::new(&program);
        one.cookies.clone_from(&alive[0]);
        let listed = one.get("/sessions").json();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 5);
    });
}

/// Begins fifty logins, and once all of them wait for their password to be checked, does `revoke`. Returns the cookies that
/// they got.
fn revoke_during_fifty_logins(
    program: &Program,
    revoke: impl FnOnce() + Send,
) -> Vec<BTreeMap<String, String>> {
    const BEGAN: &str = "a password waits for its turn";
    let before = program.has_said(BEGAN);
    std::thread::scope(|scope| {
        let logins = scope.spawn(|| {
            at_once(50, |_| {
                let mut browser = Browser::new(program);
                let answer = browser.log_in();
                assert!(matches!(answer.status, 200 | 401), "{answer:?}");
                assert_eq!(answer.status == 200, browser.cookies.contains_key("sid"));
                browser.cookies
            })
        });
        program.wait_until_said(BEGAN, before + 50);
        revoke();
        logins.join().unwrap()
    })
}

// Proves: J4
#[test]
fn ending_all_others_during_fifty_logins_leaves_none_that_began_before() {
    on_each_store(|on| {
        on.place.be_patient();
        on.place.set("JACKLINE_MAX_SESSIONS", "100");
        let program = on.place.serve();
        let mut alice = Browser::new(&program);
        alice.log_in();
        let jars = revoke_during_fifty_logins(&program, || {
            let mut alice = alice.at(&program);
            let answer = alice.send_safely(Method::POST, "/sessions/end-others", None);
            assert_eq!(answer.status, 200, "{answer:?}");
        });
        assert!(!jars.iter().any(|cookies| is_logged_in(&program, cookies)));
        let listed = alice.get("/sessions").json();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(Browser::new(&program).log_in().status, 200);
    });
}

// Proves: J4
#[test]
fn an_administrator_ends_all_sessions_during_fifty_logins() {
    const WAYS: [&[&str]; 2] = [
        &["sessions", "end", "--user", "alice", "--all"],
        &["user", "disable", "alice"],
    ];
    on_each_store(|on| {
        on.place.be_patient();
        on.place.set("JACKLINE_MAX_SESSIONS", "100");
        let program = on.place.serve();
        for way in WAYS {
            let jars = revoke_during_fifty_logins(&program, || {
                let ended = on.place.run(way);
                assert!(ended.status.success(), "{}", ended.stderr);
            });
            let alive = jars.iter().any(|cookies| is_logged_in(&program, cookies));
            assert!(!alive, "{way:?}");
        }
        assert_eq!(Browser::new(&program).log_in().status, 401, "disabled");
    });
}

/// A visitor of `one` logs in there, while other requests of the same browser, sent before it has its new cookie, arrive at `two`.
fn log_in_among_old_requests(one: &Program, two: &Program) {
    let mut visitor = Browser::new(one);
    let csrf = visitor.csrf_token();
    let old = visitor.at(two);
    let token = |cookie: &str| cookie.split('.').next().unwrap().to_owned();
    let old_token = token(&old.cookies["sid"]);
    let request = |n: usize| -> Answer {
        let mut old = old.at(two);
        old.headers.insert("x-csrf-token".to_owned(), csrf.clone());
        match n % 4 {
            0 => old.get("/views"),
            1 => {
                let patch = json!({ format!("key{n}"): n });
                old.send(Method::PATCH, "/session/data", Some(&patch))
            }
            2 => old.get("/csrf-token"),
            _ => old.get("/profile"),
        }
    };
    let judge = |answer: &Answer| {
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
        // That same cookie again may have been on its way already. Any other, or none, would replace the new one.
        for cookie in answer.set_cookies() {
            let value = cookie.strip_prefix("sid=").unwrap();
            assert_eq!(token(value), old_token, "{answer:?}");
        }
    };

    let logged_in = AtomicBool::new(false);
    at_once(9, |n| {
        if n == 0 {
            let mut login = visitor.at(one);
            assert_eq!(login.log_in().status, 200);
            logged_in.store(true, Ordering::Release);
            assert!(is_logged_in(one, &login.cookies) && is_logged_in(two, &login.cookies));
            return;
        }
        let mut round = n;
        while !logged_in.load(Ordering::Acquire) {
            judge(&request(round));
            round += 1;
        }
    });
    // These are sent when the browser has its new cookie, and so can only be late.
    for n in 0..4 {
        let answer = request(n);
        judge(&answer);
        assert_eq!(answer.set_cookies(), Vec::<&str>::new(), "{answer:?}");
    }
}

// Proves: J10, J2
#[test]
fn parallel_requests_with_the_old_cookie_during_a_login_do_not_replace_the_new_one() {
    on_each_store(|on| {
        on.place.be_patient();
        let program = on.place.serve();
        log_in_among_old_requests(&program, &program);
    });
}

// Proves: J10, J2
#[test]
fn nor_do_they_at_another_instance() {
    on_each_store(|on| {
        on.place.be_patient();
        let (one, two) = (on.place.serve(), on.place.serve());
        log_in_among_old_requests(&one, &two);
    });
}
