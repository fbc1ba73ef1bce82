//! The array of secrets: the first signs, all verify, and both sides turn it over without logging anybody out.

use testkit::browser::Browser;
use testkit::program::SECRET;

use crate::worlds::{COOKIE, IDLE_MS, OTHER_SECRET, on_own_pairs};

// Proves: T9.1, D6
#[test]
fn secrets_rotate_on_both_sides_and_nobody_is_logged_out() {
    on_own_pairs(|worlds| {
        let (old, new) = (SECRET, OTHER_SECRET);
        let before = worlds.both_ways().map(|[side, _]| {
            let mut browser = Browser::new(side);
            browser.log_in();
            browser.cookies
        });

        worlds.restart(&[new, old]);
        let resigned = before.clone().map(|cookies| {
            let renewed = worlds.both_ways().map(|[side, _]| {
                let mut browser = Browser::new(side);
                browser.cookies = cookies.clone();
                assert_eq!(browser.get("/profile").status, 200);
                // What Express signs anew on each answer, Jackline does at the latest when it renews.
                worlds.set_ttl_ms(&browser, IDLE_MS / 3);
                assert_eq!(browser.get("/profile").status, 200);
                browser.cookies
            });
            // Both sign alike, byte for byte, and with the new secret.
            assert_eq!(renewed[0], renewed[1]);
            assert_ne!(renewed[0][COOKIE], cookies[COOKIE]);
            renewed[0].clone()
        });

        worlds.restart(&[new]);
        for (cookies, status) in [(&before, 401), (&resigned, 200)] {
            for cookies in cookies {
                for [side, _] in worlds.both_ways() {
                    let mut browser = Browser::new(side);
                    browser.cookies = cookies.clone();
                    assert_eq!(browser.get("/profile").status, status);
                }
            }
        }
    });
}
