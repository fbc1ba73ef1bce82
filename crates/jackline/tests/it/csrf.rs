//! Another site can make a browser send requests, and nothing comes of it. The browser here attaches its cookies to all of
//! them: nothing in this file relies on SameSite.

use axum::body::Body;
use axum::routing::{any, get};
use axum::{Json, Router};
use http::header::{CONTENT_TYPE, HOST, ORIGIN, REFERER};
use http::{HeaderName, HeaderValue, Method, Request};
use jackline::{Session, SessionError};
use serde_json::json;

use crate::site::{Answer, Browser, Log, Site, csrf};

const INVALID: (u16, &str) = (403, "Invalid CSRF token");

fn assert_refused(answer: &Answer, case: &str) {
    assert_eq!(
        answer.refusal(),
        (INVALID.0, INVALID.1.to_owned()),
        "{case}"
    );
    assert!(answer.keeps_cookie(), "{case}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{case}");
}

/// `POST /set?a=1` with the session's token and with exactly these headers about its provenance.
async fn post_from(browser: &mut Browser, token: &str, provenance: &[(&str, &str)]) -> Answer {
    let mut request = browser.request(Method::POST, "/set?a=1");
    let headers = request.headers_mut();
    for name in ["sec-fetch-site", "origin", "referer"] {
        headers.remove(name);
    }
    for (name, value) in provenance {
        headers.append(
            name.parse::<HeaderName>().unwrap(),
            value.parse::<HeaderValue>().unwrap(),
        );
    }
    headers.insert("x-csrf-token", token.parse().unwrap());
    browser.send(request).await
}

fn form(browser: &Browser, path: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = browser.request(Method::POST, path);
    *request.body_mut() = body.into();
    request.headers_mut().insert(
        CONTENT_TYPE,
        "application/x-www-form-urlencoded; charset=UTF-8"
            .parse()
            .unwrap(),
    );
    request
}

// Proves: S51, S52, S53, S58
#[tokio::test]
async fn where_an_unsafe_request_comes_from_decides_even_if_it_has_the_token() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    let own = "http://app.example";
    let passes: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "same-origin"), ("origin", own)],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("origin", own)],
        &[("origin", "http://app.example:80")],
        &[("referer", "http://app.example/page?query")],
        &[],
    ];
    for provenance in passes {
        let answer = post_from(&mut alice, &token, provenance).await;
        assert_eq!(answer.status, 200, "{provenance:?}: {answer:?}");
    }
    let refused: &[&[(&str, &str)]] = &[
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ],
        &[("sec-fetch-site", "cross-site"), ("origin", own)],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "http://blog.app.example"),
        ],
        &[("sec-fetch-site", "SAME-ORIGIN")],
        &[("sec-fetch-site", "")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[("origin", "null")],
        &[("origin", "https://app.example")],
        &[("origin", "http://app.example:8080")],
        &[("origin", "http://app.example.evil.example")],
        &[("origin", "http://evil-app.example")],
        &[("origin", "http://app.example@evil.example")],
        &[("origin", "http://sub.app.example")],
        &[("origin", "http://app.example.")],
        &[("origin", "")],
        &[
            ("origin", "http://evil.example"),
            ("referer", "http://app.example/"),
        ],
        &[("referer", "http://evil.example/?http://app.example/")],
        &[("referer", "http://app.example.evil.example/")],
        &[("referer", "app.example")],
        &[("origin", own), ("origin", own)],
    ];
    let log = Log::start();
    for provenance in refused {
        let answer = post_from(&mut alice, &token, provenance).await;
        assert_refused(&answer, &format!("{provenance:?}"));
    }
    let events = log.events();
    assert_eq!(events.len(), refused.len());
    assert!(
        events
            .iter()
            .all(|event| event.starts_with("csrf_failure/"))
    );
}

// Proves: S51, S53
#[tokio::test]
async fn a_trusted_origin_still_needs_the_token() {
    let site =
        Site::with(|engine| engine.csrf(csrf().trust("https://admin.example".parse().unwrap())));
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    for site_is in ["cross-site", "same-site"] {
        let from = |origin| [("sec-fetch-site", site_is), ("origin", origin)];
        let trusted = from("https://admin.example");
        assert_eq!(post_from(&mut alice, &token, &trusted).await.status, 200);
        assert_refused(&post_from(&mut alice, "guess", &trusted).await, site_is);
        for other in ["http://admin.example", "https://admin.example.evil.example"] {
            assert_refused(&post_from(&mut alice, &token, &from(other)).await, other);
        }
    }
}

// Proves: S60, S58
#[tokio::test]
async fn another_site_can_neither_log_a_visitor_in_nor_out() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let cookie = alice.cookie();
    site.spy.reset();
    for path in ["/login?user=mallory", "/logout"] {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("referer", "https://evil.example/"),
        ] {
            let mut request = alice.request(Method::POST, path);
            let headers = request.headers_mut();
            headers.remove("sec-fetch-site");
            headers.remove(ORIGIN);
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            let answer = alice.send(request).await;
            assert_refused(&answer, &format!("{path} {name}: {value}"));
        }
    }
    assert_eq!(site.spy.calls(), [""; 0]);
    assert_eq!(alice.cookie(), cookie);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}

// Proves: T6.1, T7.1
#[tokio::test]
async fn a_client_that_is_no_browser_logs_in_and_out_without_a_token() {
    let site = Site::new();
    let mut curl = site.browser();
    for path in ["/login?user=alice", "/logout"] {
        let mut request = curl.request(Method::POST, path);
        for name in ["sec-fetch-site", "origin"] {
            request.headers_mut().remove(name);
        }
        assert_eq!(curl.send(request).await.status, 200);
    }
    assert!(site.memory.is_empty());
}

// Proves: T10.1, S47
#[tokio::test]
async fn an_unsafe_request_without_the_sessions_own_token_is_refused() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let mut bob = site.logged_in("bob").await;
    let bobs = bob.csrf_token().await;
    let own = alice.csrf_token().await;
    site.spy.reset();

    assert_refused(&alice.post("/set?a=1").await, "missing");
    let flipped = own
        .char_indices()
        .map(|(at, c)| match (at, c) {
            (50, 'A') => 'B',
            (50, _) => 'A',
            _ => c,
        })
        .collect::<String>();
    for token in [
        "",
        " ",
        "guess",
        "null",
        &bobs,
        &own[1..],
        &format!("{own}A"),
        &flipped,
        &own.to_uppercase(),
        &"A".repeat(86),
        &alice.cookie().unwrap(),
    ] {
        assert_refused(&alice.submit_with("/set?a=1", token).await, token);
    }
    assert_eq!(site.spy.calls(), [""; 0], "judged without the store");
    assert_eq!(alice.submit_with("/set?a=1", &own).await.status, 200);
}

// Proves: T10.1, S47
#[tokio::test]
async fn every_token_of_a_session_is_different_and_good() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let (one, two) = (alice.csrf_token().await, alice.csrf_token().await);
    assert_ne!(one, two);
    for token in [one, two] {
        assert_eq!(alice.submit_with("/set?a=1", &token).await.status, 200);
    }
}

// Proves: S50
#[tokio::test]
async fn rotation_step_up_and_login_make_tokens_worthless() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    for path in ["/rotate", "/step-up", "/login?user=alice", "/logout"] {
        let token = alice.csrf_token().await;
        assert_eq!(alice.submit_with(path, &token).await.status, 200);
        assert_refused(&alice.submit_with("/set?a=1", &token).await, path);
    }
}

// Proves: T10.1
#[tokio::test]
async fn a_token_that_a_rotating_page_holds_is_that_of_the_new_token() {
    let routes = Router::new().route(
        "/rotate-and-ask",
        get(|session: Session| async move {
            session.rotate()?;
            Ok::<_, SessionError>(session.csrf_token()?.expose().to_owned())
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    let token = alice.get("/rotate-and-ask").await.body;
    assert_eq!(alice.submit_with("/set?a=1", &token).await.status, 200);
}

// Proves: T10.1, S47
#[tokio::test]
async fn a_form_carries_the_token_in_a_field_and_the_handler_reads_the_form_all_the_same() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    for body in [
        format!("csrf_token={token}"),
        format!("amount=1&csrf_token={token}&to=bob"),
        format!("csrf%5Ftoken={token}&note=a+b%26c"),
    ] {
        let answer = alice.send(form(&alice, "/form", body.clone())).await;
        assert_eq!((answer.status, &answer.body), (200, &body));
    }
}

// Proves: S47
#[tokio::test]
async fn a_form_without_the_token_or_with_two_is_refused() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let mut bob = site.logged_in("bob").await;
    let (token, bobs) = (alice.csrf_token().await, bob.csrf_token().await);
    for body in [
        String::new(),
        "amount=1".into(),
        "csrf_token=".into(),
        "csrf_token".into(),
        format!("CSRF_TOKEN={token}"),
        format!("csrf_token[]={token}"),
        format!("x={token}"),
        format!("csrf_token={bobs}"),
        format!("csrf_token={token}&csrf_token={token}"),
        format!("csrf_token={bobs}&csrf_token={token}"),
        format!("csrf_token={token}x"),
        format!("{{\"csrf_token\":\"{token}\"}}"),
    ] {
        let answer = alice.send(form(&alice, "/form", body.clone())).await;
        assert_refused(&answer, &body);
    }
    // A wrong header is not made good by a right form.
    let mut request = form(&alice, "/form", format!("csrf_token={token}"));
    let wrong = "wrong".parse().unwrap();
    request.headers_mut().insert("x-csrf-token", wrong);
    assert_refused(&alice.send(request).await, "wrong header, right form");
}

// Proves: S47, S56
#[tokio::test]
async fn a_token_in_a_body_that_is_no_form_does_not_count() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    for kind in [
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencodedx",
        "text/plain; application/x-www-form-urlencoded",
        "",
    ] {
        let mut request = form(&alice, "/form", format!("csrf_token={token}"));
        let value = kind.parse().unwrap();
        request.headers_mut().insert(CONTENT_TYPE, value);
        assert_refused(&alice.send(request).await, kind);
    }
}

// Proves: J9, S47
#[tokio::test]
async fn a_form_that_is_too_long_to_search_is_refused_unless_the_header_has_the_token() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    let fill = |bytes: usize| {
        let head = format!("csrf_token={token}&note=");
        format!("{head}{}", "x".repeat(bytes - head.len()))
    };
    let fits = alice.send(form(&alice, "/form", fill(64 * 1024))).await;
    assert_eq!((fits.status, fits.body.len()), (200, 64 * 1024));
    let long = alice.send(form(&alice, "/form", fill(64 * 1024 + 1))).await;
    assert_eq!(long.refusal(), (413, "Payload too large".into()));
    assert!(long.keeps_cookie());
    let mut request = form(&alice, "/form", fill(100_000));
    let value = token.parse().unwrap();
    request.headers_mut().insert("x-csrf-token", value);
    assert_eq!(alice.send(request).await.body.len(), 100_000);
}

// Proves: S55
#[tokio::test]
async fn a_method_is_what_it_is_whatever_a_parameter_says() {
    let routes = Router::new().route(
        "/method",
        any(|method: Method, _: Session| async move { Json(json!(method.as_str())) }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    assert_eq!(
        alice.get("/method?_method=DELETE").await.json(),
        json!("GET")
    );
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "CONNECT", "PURGE", "get", "Get",
    ] {
        let mut request = alice.request(Method::from_bytes(method.as_bytes()).unwrap(), "/method");
        for (name, value) in [
            ("x-http-method-override", "GET"),
            ("x-method-override", "GET"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = alice.send(request).await;
        assert_refused(&answer, method);
    }
    for method in [Method::HEAD, Method::OPTIONS] {
        let request = alice.request(method, "/method");
        assert_eq!(alice.send(request).await.status, 200);
    }
}

// Proves: S47
#[tokio::test]
async fn an_exemption_is_for_one_method_and_one_whole_path() {
    let routes = Router::new()
        .route("/login/admin", any(|| async { "reached" }))
        .route("/login/", any(|| async { "reached" }))
        .route("/Login", any(|| async { "reached" }));
    let site = Site::serving(routes);
    let mut visitor = site.browser();
    for (method, path) in [
        (Method::POST, "/login/admin"),
        (Method::POST, "/login/"),
        (Method::POST, "/Login"),
        (Method::POST, "/set?/login"),
        (Method::POST, "/set?a=/login"),
        (Method::PUT, "/login"),
        (Method::DELETE, "/logout"),
    ] {
        let answer = visitor.send(visitor.request(method, path)).await;
        assert_refused(&answer, path);
    }
}

// Proves: S54
#[tokio::test]
async fn a_forwarded_host_counts_from_a_trusted_proxy_only() {
    let behind = Site::with(|engine| engine.trusted_proxies("10.0.0.0/8".parse().unwrap()));
    let ask = async |address: &str| {
        let mut browser = behind.browser();
        browser.address = address.parse().unwrap();
        let mut request = browser.request(Method::POST, "/login?user=alice");
        let headers = request.headers_mut();
        headers.remove("sec-fetch-site");
        headers.insert(HOST, "inner.internal".parse().unwrap());
        headers.insert("x-forwarded-host", "app.example".parse().unwrap());
        headers.insert(ORIGIN, "http://app.example".parse().unwrap());
        browser.send(request).await.status
    };
    assert_eq!(ask("10.0.0.1").await, 200);
    assert_eq!(ask("203.0.113.9").await, 403);
}

// Proves: S52
#[tokio::test]
async fn a_request_that_does_not_say_whom_it_is_for_matches_no_origin() {
    let site = Site::new();
    let mut visitor = site.browser();
    for name in [ORIGIN, REFERER] {
        let mut request = visitor.request(Method::POST, "/login?user=alice");
        let headers = request.headers_mut();
        headers.remove("sec-fetch-site");
        headers.remove(ORIGIN);
        headers.remove(HOST);
        headers.insert(name, "http://app.example".parse().unwrap());
        assert_refused(&visitor.send(request).await, "no host");
    }
}

// Proves: T9.1, T10.1
#[tokio::test]
async fn a_form_that_was_open_during_a_change_of_signing_keys_still_works() {
    use jackline::cookie::{Keyring, SigningKey};

    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    let old = SigningKey::new(crate::site::SECRET).unwrap();
    let new = site.beside_with_keys(Keyring::new(SigningKey::generate()).with_previous(old));
    let mut alice = alice.at(&new);
    alice.get("/me").await;
    assert_eq!(alice.submit_with("/set?a=1", &token).await.status, 200);
}

// Proves: J9, S47
#[tokio::test]
async fn the_form_of_somebody_without_a_session_is_refused_unread() {
    let site = Site::new();
    let mut stranger = site.browser();
    // Endless: whoever waited for its end would wait for ever.
    let endless = Body::new(Endless);
    let answer = stranger.send(form(&stranger, "/form", endless)).await;
    assert_refused(&answer, "no session, no token");
}

struct Endless;

impl http_body::Body for Endless {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

// Proves: D4, D8, S67
#[tokio::test]
async fn over_plain_http_a_change_is_refused_for_what_is_wrong_and_not_for_its_token() {
    use jackline::cookie::CookieSpec;
    use jackline::proxy::Scheme;

    let site = Site::with(|engine| engine.cookie(CookieSpec::production()));
    let mut alice = site.browser();
    alice.scheme = Scheme::Https;
    alice.log_in("alice").await;
    let token = alice.csrf_token().await;
    let cookie = alice.cookie().unwrap();
    let mut plain = site.browser();
    let log = Log::start();
    let mut request = plain.request(Method::POST, "/set?a=1");
    let headers = request.headers_mut();
    headers.insert("x-csrf-token", token.parse().unwrap());
    headers.insert("cookie", format!("__Host-sid={cookie}").parse().unwrap());
    let answer = plain.send(request).await;
    assert_eq!(answer.refusal(), (403, "HTTPS required".into()));
    assert_eq!(log.events(), ["session_rejected/plaintext_transport"]);
    let answer = plain.send(form(&plain, "/form", "a=b")).await;
    assert_eq!(answer.refusal(), (403, "HTTPS required".into()));
    // Another site is told nothing of that.
    let mut request = plain.request(Method::POST, "/set?a=1");
    let value = "cross-site".parse().unwrap();
    request.headers_mut().insert("sec-fetch-site", value);
    assert_refused(&plain.send(request).await, "cross-site");
}
