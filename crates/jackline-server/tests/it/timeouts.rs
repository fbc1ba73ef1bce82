//! Limits as a user of the program meets them. The library's tests hold them to the millisecond under a hand-held clock; here
//! the clock is the machine's, so limits are short and the test asks until they have run out.

use crate::browser::Browser;
use crate::stores::on_each_store;

// Proves: T8.2, S24, S33
#[test]
fn an_active_session_ends_at_its_absolute_limit() {
    on_each_store(|on| {
        on.place.set("JACKLINE_ABSOLUTE_TIMEOUT", "2s");
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        let mut answer = browser.get("/profile");
        assert_eq!(answer.status, 200);
        while answer.status == 200 {
            answer = browser.get("/profile");
        }
        assert_eq!(answer.seen(), (401, r#"{"error":"Session expired"}"#));
        assert!(answer.set_cookies()[0].contains("Max-Age=0"), "{answer:?}");
        assert_eq!(
            program.wait_for_event("absolute_timeout")["userId"],
            "user-1001"
        );
        assert_eq!(
            program.wait_for_event("session_use_after_expire")["owasp"],
            "session_use_after_expire"
        );
        assert_eq!(
            browser.get("/profile").seen(),
            (401, r#"{"error":"Not authenticated"}"#)
        );
        assert_eq!(browser.log_in().status, 200);
    });
}
