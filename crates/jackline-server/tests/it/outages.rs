//! The store goes and comes back while the server runs.

use crate::browser::Browser;
use crate::stores::{on_own_postgres, on_redis};

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
        while browser.get("/readyz").status != 200 {}
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
        while browser.get("/readyz").status != 200 {}
        assert_eq!(browser.get("/profile").status, 200);
    }
}
