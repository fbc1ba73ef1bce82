//! A session server that is right but for the faults that it is told to have. It speaks the routes that a visit asks for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What is wrong with the server, or with the proxy before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Speaks of something else.
    AnotherProgram,
    Redirects,
    StoreIsAway,
    /// Never believes that it is seen over https.
    TrustsNoProxy,
    /// Gets its clients' own X-Forwarded-Proto.
    ProxyPassesClientsHeader,
    /// Does not know under which host browsers see it.
    ProxyHidesHost,
    NoCookie,
    CacheAnswers,
    CacheSharesSession,
    ForgetsEveryRequest,
    /// Knows a session on every other request only.
    TwoStores,
    TwoCookies,
    KeepsIdAtLogin,
    OldIdLives,
    TwoCookiesAtLogin,
    ForgetsLogin,
    LogoutClearsCookieOnly,
    LogoutKeepsCookie,
    LogoutFails,
    RefusesCsrfTokens,
    AsksForNoCsrfToken,
    TrustsOtherSites,
    NoSecurityHeaders,
    Cacheable,
    NamesItself,
}

pub(super) const PASSWORD: &str = "a password that is never printed";

#[derive(Clone)]
struct Fake {
    faults: &'static [Fault],
    attributes: &'static str,
    /// Whether requests must come over https, which they do if a proxy says so or all of them do.
    wants_https: bool,
    always_https: bool,
    sessions: Arc<Mutex<Sessions>>,
}

#[derive(Default)]
struct Sessions {
    made: u32,
    requests: u32,
    /// By id: the visits, and whether somebody is logged in.
    live: BTreeMap<String, (u32, bool)>,
}

/// How the server is set up.
pub(super) struct Setup {
    pub(super) faults: &'static [Fault],
    pub(super) attributes: &'static str,
    pub(super) wants_https: bool,
    pub(super) always_https: bool,
}

/// Starts a server, which ends with the test's runtime.
pub(super) async fn start(setup: Setup) -> SocketAddr {
    let fake = Fake {
        faults: setup.faults,
        attributes: setup.attributes,
        wants_https: setup.wants_https,
        always_https: setup.always_https,
        sessions: Arc::default(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(fake);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut response = fake.route(&method, uri.path(), &headers, &body);
    let sets_cookie = response.headers().contains_key("set-cookie");
    let mut add = |name: &'static str, value: &'static str| {
        response.headers_mut().insert(name, value.parse().unwrap());
    };
    if !fake.has(Fault::NoSecurityHeaders) {
        add(
            "content-security-policy",
            "default-src 'self';frame-ancestors 'self'",
        );
        add("x-content-type-options", "nosniff");
        add("referrer-policy", "no-referrer");
        add("cross-origin-opener-policy", "same-origin");
        add("strict-transport-security", "max-age=31536000");
    }
    if sets_cookie && !fake.has(Fault::Cacheable) {
        add("cache-control", "no-store");
    }
    if fake.has(Fault::NamesItself) {
        add("x-powered-by", "Express");
    }
    response
}

impl Fake {
    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    fn route(&self, method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> Response {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if self.has(Fault::AnotherProgram) {
            return (StatusCode::OK, "Welcome to nginx!").into_response();
        }
        if self.has(Fault::Redirects) {
            return (
                StatusCode::FOUND,
                [("location", "https://app.example/login?x")],
            )
                .into_response();
        }
        if self.has(Fault::StoreIsAway) {
            return told(503, "Service unavailable");
        }
        let forwarded = header("x-forwarded-proto");
        let https = match forwarded {
            Some(scheme) if !self.always_https || self.has(Fault::ProxyPassesClientsHeader) => {
                scheme == "https"
            }
            _ => self.always_https,
        };
        if self.wants_https && (!https || self.has(Fault::TrustsNoProxy)) {
            return told(403, "HTTPS required");
        }

        let mut sessions = self.sessions.lock().unwrap();
        sessions.requests += 1;
        let mut id = header("cookie")
            .and_then(|cookie| Some(cookie.split_once("=s%3A")?.1.split_once('.')?.0.to_owned()))
            .filter(|id| sessions.live.contains_key(id));
        if self.has(Fault::ForgetsEveryRequest)
            || (self.has(Fault::TwoStores)
                && sessions.requests > 3
                && sessions.requests.is_multiple_of(2))
        {
            id = None;
        }
        match (method.as_str(), path) {
            ("GET", "/views") => self.count(&mut sessions, id),
            ("GET", "/csrf-token") => as_json(json!({ "csrfToken": "a-token" })),
            ("PATCH", "/session/data") => self.patch(headers, https),
            ("GET", "/session/data") => match id.and_then(|id| sessions.live.get(&id).copied()) {
                Some((views, _)) => as_json(json!({ "views": views })),
                None => as_json(json!({})),
            },
            ("POST", "/login") => self.log_in(&mut sessions, id, body),
            ("GET", "/profile") => match id.and_then(|id| sessions.live.get(&id).copied()) {
                Some((_, true)) if !self.has(Fault::ForgetsLogin) => {
                    as_json(json!({ "username": "alice" }))
                }
                _ => told(401, "Not authenticated"),
            },
            ("POST", "/logout") => self.log_out(&mut sessions, id),
            _ => told(404, "Not found"),
        }
    }

    fn count(&self, sessions: &mut Sessions, id: Option<String>) -> Response {
        if self.has(Fault::CacheSharesSession) {
            return as_json(json!({ "views": 17 }));
        }
        let known = id.is_some();
        let id = id.unwrap_or_else(|| sessions.new_id());
        let (views, _) = sessions.live.entry(id.clone()).or_default();
        *views += 1;
        let mut response = as_json(json!({ "views": views }));
        if self.has(Fault::CacheAnswers) {
            response.headers_mut().insert("age", "12".parse().unwrap());
        }
        if !known && !self.has(Fault::NoCookie) && !self.has(Fault::CacheAnswers) {
            self.set(&mut response, &id);
            if self.has(Fault::TwoCookies) {
                self.set(&mut response, &id);
            }
        }
        response
    }

    fn patch(&self, headers: &HeaderMap, https: bool) -> Response {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let host = if self.has(Fault::ProxyHidesHost) {
            "backend:3000"
        } else if self.always_https {
            "app.example"
        } else {
            header("host").unwrap()
        };
        let scheme = if https { "https" } else { "http" };
        let here = header("origin").is_none_or(|origin| origin == format!("{scheme}://{host}"));
        let token =
            header("x-csrf-token") == Some("a-token") && !self.has(Fault::RefusesCsrfTokens);
        if (token || self.has(Fault::AsksForNoCsrfToken))
            && (here || self.has(Fault::TrustsOtherSites))
        {
            as_json(json!({}))
        } else {
            told(403, "Invalid CSRF token")
        }
    }

    fn log_in(&self, sessions: &mut Sessions, id: Option<String>, body: &Bytes) -> Response {
        let body: Value = serde_json::from_slice(body).unwrap();
        if body != json!({ "username": "alice", "password": PASSWORD }) {
            return told(401, "Invalid credentials");
        }
        let mut response = as_json(json!({ "ok": true }));
        let old = id.unwrap();
        if self.has(Fault::KeepsIdAtLogin) {
            sessions.live.get_mut(&old).unwrap().1 = true;
            return response;
        }
        if !self.has(Fault::OldIdLives) {
            sessions.live.remove(&old);
        }
        let new = sessions.new_id();
        sessions.live.insert(new.clone(), (0, true));
        self.set(&mut response, &new);
        if self.has(Fault::TwoCookiesAtLogin) {
            self.set(&mut response, &new);
        }
        response
    }

    fn log_out(&self, sessions: &mut Sessions, id: Option<String>) -> Response {
        if self.has(Fault::LogoutFails) {
            return told(404, "Not found");
        }
        if let Some(id) = id
            && !self.has(Fault::LogoutClearsCookieOnly)
        {
            sessions.live.remove(&id);
        }
        let mut response = as_json(json!({ "ok": true }));
        if !self.has(Fault::LogoutKeepsCookie) {
            let line = format!("{}=; {}; Max-Age=0", self.name(), self.attributes);
            response
                .headers_mut()
                .append("set-cookie", line.parse().unwrap());
        }
        response
    }

    fn name(&self) -> &'static str {
        if self.wants_https {
            "__Host-sid"
        } else {
            "sid"
        }
    }

    fn set(&self, response: &mut Response, id: &str) {
        let line = format!("{}=s%3A{id}.signature; {}", self.name(), self.attributes);
        response
            .headers_mut()
            .append("set-cookie", line.parse().unwrap());
        // One that is none of ours, as networks of caches set it.
        response
            .headers_mut()
            .append("set-cookie", "balancer=3; Path=/".parse().unwrap());
    }
}

impl Sessions {
    fn new_id(&mut self) -> String {
        self.made += 1;
        format!("id-{}", self.made)
    }
}

fn as_json(body: Value) -> Response {
    axum::Json(body).into_response()
}

fn told(status: u16, error: &str) -> Response {
    (
        StatusCode::from_u16(status).unwrap(),
        as_json(json!({ "error": error })),
    )
        .into_response()
}
