//! The store goes and comes back while the server runs.

use serde_json::json;
use testkit::block_on;
use ureq::http::Method;

use crate::browser::Browser;
use crate::stores::{on_own_postgres, on_redis, on_sqlite};

fn until_ready(browser: &mut Browser<'_>) {
    block_on(testkit::eventually("the server is ready", async || {
        browser.get("/readyz").status == 200
    }));
}

// Proves: J7, S79, D7
#[test]
fn a_store_that_is_away_means_503_and_nobody_is_logged_out() {
    for mut on in [on_redis(), on_own_postgres()] {
        println!("on {}", on.name);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        on.crash();

        let answer = browser.get("/profile");
        assert_eq!(answer.seen(), (503, r#"{"error":"Service unavailable"}"#));
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(answer.set_cookies().is_empty(), "the cookie stays");
        assert_eq!(browser.get("/readyz").status, 503);
        assert_eq!(browser.get("/healthz").status, 200);
        assert_eq!(browser.log_in().status, 503);
        program.wait_for_event("store_unavailable");

        on.start_again();
        until_ready(&mut browser);
        // That Redis saved nothing: the session is gone with it, and its owner is a stranger.
        let kept = on.postgres.is_some();
        let status = browser.get("/profile").status;
        assert_eq!(status, if kept { 200 } else { 401 });
        assert_eq!(browser.log_in().status, 200);
        program.wait_for_event("store_recovered");
    }
}

// Proves: J7, S79
#[test]
fn a_store_that_hangs_means_503_and_the_session_is_there_afterwards() {
    for on in [on_redis(), on_own_postgres()] {
        println!("on {}", on.name);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        on.freeze();
        assert_eq!(browser.get("/profile").status, 503);
        on.thaw();
        until_ready(&mut browser);
        assert_eq!(browser.get("/profile").status, 200);
    }
}

// Proves: J7, J8, S79
#[test]
fn a_full_disk_means_503_and_not_ready_until_there_is_room() {
    let on = on_sqlite();
    let program = on.place.serve_with_file_limits();
    let mut browser = Browser::new(&program);
    browser.log_in();
    assert_eq!(browser.get("/readyz").status, 200);
    program.limit_files(Some(200 * 1024));

    let fill = |browser: &mut Browser<'_>, name: String| {
        let body = json!({ name: "x".repeat(20_000) });
        browser.send_safely(Method::PATCH, "/session/data", Some(&body))
    };
    let kept = (0..)
        .take_while(|n| fill(&mut browser, format!("m{n}")).status == 200)
        .count();
    program.wait_for_event("store_unavailable");
    assert_eq!(browser.get("/readyz").status, 503);
    assert_eq!(browser.get("/healthz").status, 200);
    assert_eq!(
        browser.get("/profile").status,
        200,
        "what is there can be read"
    );

    program.limit_files(None);
    assert_eq!(browser.get("/readyz").status, 200);
    let data = browser.get("/session/data").json();
    assert!(
        (0..kept).all(|n| data.get(format!("m{n}")).is_some()),
        "what was acknowledged"
    );
    assert!(data.get(format!("m{kept}")).is_none(), "what was refused");
    assert_eq!(fill(&mut browser, format!("m{kept}")).status, 200);
    program.wait_for_event("store_recovered");
}
