//! The cookie as it travels: what it looks like, which one is believed, and what the answers that carry it say to caches.

use axum::routing::get;
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, COOKIE};
use http::{HeaderValue, Method};
use jackline::cookie::{CookieSpec, Keyring, SigningKey};
use jackline::proxy::Scheme;
use jackline::{Session, SessionError};
use serde_json::json;

use crate::site::{Answer, Browser, IDLE, Log, SECRET, STEP, Site};

/// The production cookie, over HTTPS.
fn production() -> Site {
    Site::with(|engine| engine.cookie(CookieSpec::production()))
}

async fn with_cookies(browser: &mut Browser, path: &str, headers: &[String]) -> Answer {
    let mut request = browser.request(Method::GET, path);
    request.headers_mut().remove(COOKIE);
    for header in headers {
        let value = HeaderValue::from_str(header).unwrap();
        request.headers_mut().append(COOKIE, value);
    }
    browser.send(request).await
}

// Proves: T4.1, S13, S14, S17, P3
#[tokio::test]
async fn the_cookie_of_development_is_marked_as_it_should_be() {
    let site = Site::new();
    let answer = site.browser().log_in("alice").await;
    let cookie = answer.set_cookies()[0];
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("sid=s%3A"), "{pair}");
    assert!(pair.contains('.'));
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(
        attributes,
        ["HttpOnly", "Max-Age=1800", "Path=/", "SameSite=Lax"]
    );
}

// Proves: S11, S12, A1, T4.1
#[tokio::test]
async fn the_cookie_of_production_is_bound_to_its_host_and_removed_as_it_was_set() {
    let site = production();
    let mut alice = site.browser();
    alice.scheme = Scheme::Https;
    let set = alice.log_in("alice").await;
    assert!(alice.cookie().is_some(), "the browser took it");
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    let removed = alice.post("/logout").await;
    assert_eq!(alice.cookie(), None, "the browser obeyed the removal");
    for answer in [&set, &removed] {
        let cookie = answer.set_cookies()[0];
        assert!(cookie.starts_with("__Host-sid="), "{cookie}");
        for attribute in ["Secure", "Path=/", "HttpOnly", "SameSite=Lax"] {
            assert!(cookie.split("; ").any(|a| a == attribute), "{cookie}");
        }
        assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
    }
    assert!(removed.removes_cookie());
}

// Proves: S67, P4, D4, D2
#[tokio::test]
async fn over_plain_http_a_secure_cookie_is_neither_believed_nor_granted() {
    let site = production();
    let mut alice = site.browser();
    alice.scheme = Scheme::Https;
    alice.log_in("alice").await;
    let cookie = alice.cookie().unwrap();
    let mut plain = site.browser();
    site.spy.reset();
    let log = Log::start();

    let header = [format!("__Host-sid={cookie}")];
    let answer = with_cookies(&mut plain, "/me", &header).await;
    assert_eq!(answer.status, 401);
    assert!(answer.keeps_cookie());
    assert_eq!(log.events(), ["session_rejected/plaintext_transport"]);
    assert_eq!(site.spy.calls(), [""; 0]);

    let answer = plain.post("/login?user=alice").await;
    assert_eq!(answer.refusal(), (403, "HTTPS required".into()));
    assert!(answer.keeps_cookie());
    let answer = plain.get("/csrf").await;
    assert_eq!(answer.refusal(), (403, "HTTPS required".into()));
    let answer = plain.get("/views").await;
    assert_eq!(answer.refusal(), (403, "HTTPS required".into()));
    assert_eq!(plain.get("/data").await.json(), json!({}));
    assert_eq!(plain.post("/logout").await.status, 200);
    assert_eq!(log.events(), [""; 0], "nothing was presented");
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: T4.4, D4, S67
#[tokio::test]
async fn behind_a_trusted_proxy_that_ends_tls_it_works_and_behind_another_it_does_not() {
    let site = Site::with(|engine| {
        engine
            .cookie(CookieSpec::production())
            .trusted_proxies("10.0.0.0/8".parse().unwrap())
    });
    let log_in = async |address: &str, forwarded: Option<&str>| {
        let mut browser = site.browser();
        browser.address = address.parse().unwrap();
        let mut request = browser.request(Method::POST, "/login?user=alice");
        if let Some(proto) = forwarded {
            let value = proto.parse().unwrap();
            request.headers_mut().insert("x-forwarded-proto", value);
        }
        browser.send(request).await
    };
    assert!(log_in("10.1.2.3", Some("https")).await.gives_cookie());
    assert_eq!(log_in("10.1.2.3", Some("http")).await.status, 403);
    assert_eq!(log_in("10.1.2.3", Some("https, http")).await.status, 403);
    assert_eq!(log_in("10.1.2.3", None).await.status, 403);
    assert_eq!(log_in("203.0.113.9", Some("https")).await.status, 403);
}

// Proves: S67
#[tokio::test]
async fn a_request_from_nowhere_counts_as_unencrypted() {
    let site = production();
    let mut browser = site.browser();
    let mut request = browser.request(Method::POST, "/login?user=alice");
    request.extensions_mut().clear();
    let answer = browser.send(request).await;
    assert_eq!(answer.refusal(), (403, "HTTPS required".into()));
}

// Proves: J10
#[tokio::test]
async fn forged_duplicates_are_skipped_wherever_they_stand() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let good = format!("sid={}", alice.cookie().unwrap());
    let forged = "sid=s%3Atossed.by-a-sibling".to_owned();
    for headers in [
        vec![format!("{forged}; {good}")],
        vec![format!("{good}; {forged}")],
        vec![format!("a=b; {forged};{forged};  {good} ;c=d")],
        vec![forged.clone(), good.clone()],
        vec![good.clone(), forged.clone()],
        vec![format!("{good}; {good}")],
        vec![format!("sid=; {good}")],
        vec![format!("sid; {good}")],
        vec![format!("sid={}; {good}", "A".repeat(10_000))],
    ] {
        let answer = with_cookies(&mut alice, "/me", &headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
    }
}

// Proves: J10, S20, S8
#[tokio::test]
async fn two_different_valid_cookies_are_refused_and_logged() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let mallory = site.logged_in("mallory").await;
    let (one, two) = (alice.cookie().unwrap(), mallory.cookie().unwrap());
    site.spy.reset();
    let log = Log::start();
    for headers in [
        vec![format!("sid={one}; sid={two}")],
        vec![format!("sid={two}; sid={one}")],
        vec![format!("sid={one}"), format!("sid={two}")],
        vec![format!("sid={one}; sid={one}; sid={two}; sid={two}")],
    ] {
        let answer = with_cookies(&mut alice, "/me", &headers).await;
        assert_eq!(answer.status, 401);
        assert!(answer.keeps_cookie());
        assert_eq!(log.events(), ["session_rejected/ambiguous"]);
    }
    assert_eq!(site.spy.calls(), [""; 0]);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: S18, A1
#[tokio::test]
async fn only_the_exact_name_counts() {
    let site = production();
    let mut alice = site.browser();
    alice.scheme = Scheme::Https;
    alice.log_in("alice").await;
    let value = alice.cookie().unwrap();
    site.spy.reset();
    for name in [
        "__hOsT-sid",
        "__HOST-sid",
        "sid",
        "__Host-sid2",
        "x__Host-sid",
        "__Host-SID",
        "__Host%2Dsid",
        "$__Host-sid",
        "\"__Host-sid\"",
        "__Host-sid\\",
        "=__Host-sid",
        "__Secure-sid",
    ] {
        let answer = with_cookies(&mut alice, "/me", &[format!("{name}={value}")]).await;
        assert_eq!(answer.status, 401, "{name}");
    }
    // Blanks that a Unicode-minded parser would trim.
    for blank in ["\u{a0}", "\u{2003}", "\u{feff}", "\u{b}", "\u{c}"] {
        let mut request = alice.request(Method::GET, "/me");
        let header = format!("{blank}__Host-sid={value}");
        let Ok(header) = HeaderValue::from_bytes(header.as_bytes()) else {
            continue;
        };
        request.headers_mut().insert(COOKIE, header);
        assert_eq!(alice.send(request).await.status, 401, "{blank:?}");
    }
    assert_eq!(site.spy.calls(), [""; 0]);
}

// Proves: T9.1, D6
#[tokio::test]
async fn signing_keys_rotate_without_logging_anyone_out() {
    let old = || SigningKey::new(SECRET).unwrap();
    let new = SigningKey::generate();
    let site = Site::new();
    let during = site.beside_with_keys(Keyring::new(new.clone()).with_previous(old()));
    let after = site.beside_with_keys(Keyring::new(new));
    let alice = site.logged_in("alice").await;
    let late = site.logged_in("bob").await;

    let mut alice = alice.at(&during);
    let before = alice.cookie().unwrap();
    let answer = alice.get("/me").await;
    assert_eq!(answer.status, 200);
    assert!(answer.gives_cookie(), "it is signed anew at once");
    let token = |cookie: &str| cookie.split_once('.').unwrap().0.to_owned();
    let resigned = alice.cookie().unwrap();
    assert_eq!(token(&resigned), token(&before));
    assert_ne!(resigned, before);
    assert!(alice.get("/me").await.keeps_cookie(), "and once only");

    let mut alice = alice.at(&after);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    // Whoever did not come by meanwhile has a cookie of a removed key.
    site.spy.reset();
    let mut late = late.at(&after);
    let log = Log::start();
    assert_eq!(late.user().await, None);
    assert_eq!(log.events(), ["session_rejected/forged"]);
    assert_eq!(site.spy.calls(), [""; 0]);
}

// Proves: T7.1, P6, S33, S63
#[tokio::test]
async fn logout_removes_record_and_cookie_and_a_replay_opens_nothing() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    alice.submit("/set?a=1").await;
    let mut replayed = alice.thief();
    let answer = alice.post("/logout").await;
    assert_eq!(answer.json(), json!({ "ok": true }));
    assert!(answer.removes_cookie());
    assert_eq!(alice.cookie(), None);
    assert_eq!(
        answer.header("clear-site-data"),
        Some("\"cache\", \"storage\"")
    );
    assert!(site.memory.is_empty());
    for server in [site.clone(), site.beside(|engine| engine)] {
        replayed = replayed.at(&server);
        assert_eq!(
            replayed.get("/me").await.refusal(),
            (401, "Not authenticated".into())
        );
        assert_eq!(replayed.data().await, json!({}));
    }
}

// Proves: T4.3, J10
#[tokio::test]
async fn however_a_cookie_came_it_goes_out_again_as_it_was_first_written() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let value = alice.cookie().unwrap();
    let escaped = value.replacen("s%3A", "%73%3a", 1);
    assert_ne!(escaped, value);
    for came in [
        vec![format!("sid={value}")],
        vec![format!("a=b; sid ={value} ;c=d")],
        vec![format!("sid=\"{value}\"")],
        vec![format!("sid={escaped}")],
        vec![format!("sid={}", value.replacen("%3A", ":", 1))],
        vec!["sid=s%3Aforged.forged".to_owned(), format!("sid={value}")],
        vec![format!("sid={value}; sid={value}")],
    ] {
        site.clock.advance(STEP);
        let answer = with_cookies(&mut alice, "/me", &came).await;
        assert_eq!(answer.status, 200, "{came:?}");
        let sent = answer.set_cookies();
        assert_eq!(sent.len(), 1, "{came:?}");
        assert!(
            sent[0].starts_with(&format!("sid={value}; ")),
            "{came:?}: {sent:?}"
        );
    }
}

// Proves: S62, S59
#[tokio::test]
async fn caches_are_told_what_is_whose() {
    let routes = Router::new()
        .route(
            "/cacheable",
            get(|_: Session| async { ([(CACHE_CONTROL, "private, max-age=60")], "") }),
        )
        .route(
            "/cacheable-write",
            get(|session: Session| async move {
                session.insert("a", &1)?;
                Ok::<_, SessionError>(([(CACHE_CONTROL, "public, max-age=60")], ""))
            }),
        )
        .route(
            "/cacheable-token",
            get(|session: Session| async move {
                let token = session.csrf_token()?.expose().to_owned();
                Ok::<_, SessionError>(([(CACHE_CONTROL, "public, max-age=60")], token))
            }),
        );
    let site = Site::serving(routes);
    let mut visitor = site.browser();
    let of = |answer: &Answer| {
        let header = |name| answer.header(name).map(str::to_owned);
        (header("cache-control"), header("vary"))
    };
    let said = |cache: &str| (Some(cache.to_owned()), Some("cookie".to_owned()));

    // Nobody looked at the session.
    assert_eq!(of(&visitor.get("/").await), (None, None));
    // Somebody looked, and it is nobody's.
    assert_eq!(
        of(&visitor.get("/data").await),
        (None, Some("cookie".to_owned()))
    );
    // A cookie is set: never to be cached, whatever the handler says.
    let answer = visitor.get("/cacheable-write").await;
    assert!(answer.gives_cookie());
    assert_eq!(of(&answer), said("no-store"));
    // So is a CSRF token, a visitor's as well.
    let answer = visitor.get("/cacheable-token").await;
    assert!(answer.keeps_cookie());
    assert_eq!(of(&answer), said("no-store"));

    let mut alice = site.logged_in("alice").await;
    assert_eq!(of(&alice.get("/me").await), said("no-store"));
    assert_eq!(of(&alice.get("/data").await), said("no-store"));
    // The handler knows better.
    assert_eq!(
        of(&alice.get("/cacheable").await),
        said("private, max-age=60")
    );
    site.wait(STEP);
    let answer = alice.get("/cacheable").await;
    assert!(answer.gives_cookie());
    assert_eq!(of(&answer), said("no-store"));
    // Logins, logouts and refusals.
    assert_eq!(
        of(&site.browser().post("/login?user=bob").await),
        said("no-store")
    );
    let refused = site.browser().get("/me").await;
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let answer = alice.post("/logout").await;
    assert_eq!(of(&answer), said("no-store"));
    assert_eq!(alice.get("/").await.header("clear-site-data"), None);
}

// Proves: S59
#[tokio::test]
async fn vary_is_added_to_what_the_handler_says() {
    let routes = Router::new().route(
        "/vary",
        get(|_: Session| async { ([("vary", "accept")], Json(json!({}))) }),
    );
    let site = Site::serving(routes);
    let answer = site.browser().get("/vary").await;
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["accept", "cookie"]);
}

// Proves: S13, J6
#[tokio::test]
async fn no_body_repeats_the_token() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let cookie = alice.cookie().unwrap();
    let token = &cookie[4..39];
    for path in [
        "/",
        "/data",
        "/me",
        "/csrf",
        "/sessions",
        "/views",
        "/sensitive",
    ] {
        let answer = alice.get(path).await;
        assert!(!answer.body.contains(token), "{path}");
    }
    let answer = alice.submit("/set?a=1").await;
    assert!(!answer.body.contains(token));
}

// Proves: S22, S30
#[tokio::test]
async fn a_cookie_that_claims_to_live_for_ever_does_not() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let cookie = alice.cookie().unwrap();
    alice.plant(&cookie);
    site.wait(IDLE);
    assert_eq!(alice.user().await, None);
}

// Proves: J10
#[tokio::test]
async fn a_handlers_own_cookies_are_left_alone() {
    let routes = Router::new().route(
        "/own",
        get(|session: Session| async move {
            session.insert("a", &1)?;
            Ok::<_, SessionError>(([("set-cookie", "lang=en; Max-Age=10")], ""))
        }),
    );
    let site = Site::serving(routes);
    let mut visitor = site.browser();
    let answer = visitor.get("/own").await;
    assert_eq!(answer.set_cookies().len(), 2);
    assert!(answer.set_cookies().contains(&"lang=en; Max-Age=10"));
}
