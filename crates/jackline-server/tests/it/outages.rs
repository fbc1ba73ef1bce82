//! The store goes and comes back while the server runs.

use crate::browser::Browser;
use crate::stores::{block_on, on_redis};

// Proves: J7, S79, D7
#[test]
fn a_store_that_is_away_means_503_and_nobody_is_logged_out() {
    let mut on = on_redis();
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    browser.log_in();
    on.redis.as_mut().unwrap().stop();

    let answer = browser.get("/profile");
    assert_eq!(answer.seen(), (503, r#"{"error":"Service unavailable"}"#));
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(answer.set_cookies().is_empty(), "the cookie stays");
    assert_eq!(browser.get("/readyz").status, 503);
    assert_eq!(browser.get("/healthz").status, 200);
    assert_eq!(browser.log_in().status, 503);
    program.wait_for_event("store_unavailable");

    on.redis.as_mut().unwrap().start_again();
    block_on(on.redis.as_ref().unwrap().answers());
    while browser.get("/readyz").status != 200 {}
    // That Redis saved nothing: the session is gone with it, and its owner is a stranger.
    assert_eq!(browser.get("/profile").status, 401);
    assert_eq!(browser.log_in().status, 200);
    program.wait_for_event("store_recovered");
}

// Proves: J7, S79
#[test]
fn a_store_that_hangs_means_503_and_the_session_is_there_afterwards() {
    let on = on_redis();
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    browser.log_in();
    let redis = on.redis.as_ref().unwrap();
    redis.freeze();
    assert_eq!(browser.get("/profile").status, 503);
    redis.thaw();
    while browser.get("/readyz").status != 200 {}
    assert_eq!(browser.get("/profile").status, 200);
}
