//! What the browser keeps, and whom it tells.

use serde_json::json;
use testkit::browser::Site as _;
use testkit::certificates::Certificates;
use testkit::chromium::Chromium;
use testkit::program::{Place, SECRET};

use crate::{log_in, log_in_as, send};

// Proves: T4.1, S13, S14
#[test]
fn in_development_the_browser_keeps_the_cookie_from_scripts_and_from_other_sites() {
    let program = Place::new(&[]).serve();
    let browser = Chromium::start();
    browser.open(&program.url("/"));
    assert!(browser.cookies().is_empty(), "{:?}", browser.cookies());

    log_in(&browser, &program, "sid");
    let cookie = browser.cookie("sid");
    assert!(cookie.http_only && !cookie.secure && !cookie.session);
    assert_eq!(cookie.same_site.as_deref(), Some("Lax"));
    assert_eq!(
        (cookie.domain.as_str(), cookie.path.as_str()),
        ("localhost", "/")
    );

    assert_eq!(browser.run("return document.cookie;", &[]), "");
    let (status, profile) = send(&browser, "GET", "/profile", &json!(null));
    assert_eq!(status, 200);
    assert!(!profile.to_string().contains(&cookie.value));

    let (status, _) = send(&browser, "POST", "/logout", &json!(null));
    assert_eq!(status, 200);
    assert!(browser.cookies().iter().all(|kept| kept.name != "sid"));
}

// Proves: A1, S11, S12, S13
#[test]
fn in_production_the_browser_accepts_the_host_prefix_and_sends_the_cookie_over_tls_only() {
    let certificates = Certificates::make();
    let mut place = Place::new(&[("JACKLINE_ENV", "production"), ("SESSION_SECRET", SECRET)]);
    place.speak_tls(&certificates);
    let added = place.run_with_input(&["user", "add", "bob"], "a-long-password\n");
    assert!(added.status.success(), "{added:?}");
    let program = place.serve();
    let browser = Chromium::start_trusting(&certificates);
    browser.open(&program.url("/"));
    log_in_as(&browser, &program, ("bob", "a-long-password"), "__Host-sid");
    let cookies = browser.cookies();
    assert!(!cookies.is_empty());
    for cookie in &cookies {
        assert!(cookie.secure && cookie.http_only, "{cookie:?}");
        assert!(cookie.name.starts_with("__Host-"), "{cookie:?}");
        assert_eq!(
            (cookie.domain.as_str(), cookie.path.as_str()),
            ("localhost", "/")
        );
        assert_eq!(cookie.same_site.as_deref(), Some("Lax"), "{cookie:?}");
    }
    assert_eq!(browser.run("return document.cookie;", &[]), "");
    let (status, _) = send(&browser, "GET", "/profile", &json!(null));
    assert_eq!(status, 200);
}
