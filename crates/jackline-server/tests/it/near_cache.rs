//! Several instances with a near-cache each are one service.

use axum::http::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::stores::{on_postgres, on_redis};

// Proves: J2, J4
#[test]
fn who_logs_out_or_is_logged_out_at_one_instance_is_out_at_the_other() {
    for mut on in [on_redis(), on_postgres()] {
        println!("on {}", on.name);
        on.place.be_patient();
        on.place.set("JACKLINE_NEAR_CACHE", "16MiB");
        let (one, two) = (on.place.serve(), on.place.serve());
        for leave in ["/logout", "/sessions/end-others"] {
            let mut browser = Browser::new(&one);
            assert_eq!(browser.log_in().status, 200);
            let mut there = browser.at(&two);
            for _ in 0..3 {
                assert_eq!(there.get("/profile").status, 200);
            }
            let mut leaving = Browser::new(&one);
            if leave == "/logout" {
                leaving = browser;
            } else {
                assert_eq!(leaving.log_in().status, 200);
            }
            let left = leaving.send_safely(Method::POST, leave, Some(&json!({})));
            assert_eq!(left.status, 200, "{leave}");
            while there.get("/profile").status != 401 {}
        }
    }
}
