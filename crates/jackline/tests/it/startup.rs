//! A configuration that could hurt does not start, and says everything that is wrong in one message.

use std::time::Duration;

use jackline::cookie::CookieSpec;
use jackline::engine::{Engine, Environment, Misconfigured, Mistake};
use jackline::store::memory::MemoryStore;

use crate::site::{Nonsense, SECRET, keys};

// Proves: J11, P2
#[test]
fn the_memory_store_does_not_start_in_production() {
    let engine = Engine::builder(MemoryStore::new(), keys());
    assert_eq!(
        engine.build().unwrap_err(),
        Misconfigured(vec![Mistake::MemoryStoreInProduction])
    );
    assert!(Engine::builder(Nonsense, keys()).build().is_ok());
}

// Proves: J11, S11
#[test]
fn a_cookie_for_plain_http_does_not_start_in_production() {
    let engine = Engine::builder(Nonsense, keys()).cookie(CookieSpec::development());
    assert_eq!(
        engine.build().unwrap_err(),
        Misconfigured(vec![Mistake::PlainHttpCookieInProduction])
    );
}

// Proves: J11, P3
#[test]
fn development_may_have_either() {
    let engine = Engine::builder(MemoryStore::new(), keys());
    assert!(engine.environment(Environment::Development).build().is_ok());
}

// Proves: J11, J7
#[test]
fn a_store_timeout_that_is_none_does_not_start() {
    for timeout in [Duration::ZERO, Duration::from_millis(30_001), Duration::MAX] {
        let engine = Engine::builder(Nonsense, keys()).store_timeout(timeout);
        assert_eq!(
            engine.build().unwrap_err(),
            Misconfigured(vec![Mistake::StoreTimeoutOutOfRange])
        );
    }
}

// Proves: J11
#[test]
fn no_room_for_data_does_not_start() {
    let engine = Engine::builder(Nonsense, keys()).max_data_bytes(1);
    assert_eq!(
        engine.build().unwrap_err(),
        Misconfigured(vec![Mistake::NoRoomForData])
    );
}

// Proves: J11, J6
#[test]
fn all_mistakes_are_told_at_once_each_with_what_to_do_and_without_the_secret() {
    let error = Engine::builder(MemoryStore::new(), keys())
        .cookie(CookieSpec::development())
        .store_timeout(Duration::ZERO)
        .max_data_bytes(0)
        .build()
        .unwrap_err();
    assert_eq!(error.0.len(), 4);
    let message = error.to_string();
    for advice in [
        "use SQLite, Redis or another durable store",
        "use HTTPS and `CookieSpec::production()`",
        "between one millisecond and 30 seconds",
        "at least two bytes",
    ] {
        assert!(message.contains(advice), "{message}");
    }
    assert!(!format!("{error:?} {message}").contains(SECRET));
}

// Proves: J11, S12, S14, S16
#[test]
fn cookies_that_browsers_refuse_cannot_be_built() {
    let refused = [
        CookieSpec::builder("__Host-sid").danger_plain_http(),
        CookieSpec::builder("__Host-sid").path("/app"),
        CookieSpec::builder("__Host-sid").danger_domain("app.example"),
        CookieSpec::builder("__Secure-sid").danger_plain_http(),
        CookieSpec::builder("__hOsT-sid"),
        CookieSpec::builder("sid")
            .danger_same_site_none()
            .danger_plain_http(),
        CookieSpec::builder(""),
        CookieSpec::builder("s id"),
        CookieSpec::builder("sid;"),
        CookieSpec::builder("sid=x"),
        CookieSpec::builder("sïd"),
        CookieSpec::builder("sid").path("app"),
        CookieSpec::builder("sid").path("/; Domain=evil.example"),
        CookieSpec::builder("sid").danger_domain("app.example; Secure"),
        CookieSpec::builder("sid").danger_domain(""),
        CookieSpec::builder("x".repeat(4096)),
    ];
    for builder in refused {
        let shown = format!("{builder:?}");
        assert!(builder.build().is_err(), "{shown}");
    }
}
