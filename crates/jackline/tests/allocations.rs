//! What the layer allocates for a request whose handler leaves the session alone: nothing but what stands in the request's extensions.
//! Alone in its program, since a counting allocator is everybody's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::future::Ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use http::header::{COOKIE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use jackline::SessionLayer;
use jackline::cookie::{CookieSpec, Keyring, SigningKey};
use jackline::engine::{Connection, Engine, Environment};
use jackline::proxy::Scheme;
use jackline::store::memory::MemoryStore;
use jackline::testing::wire;
use jackline::token::{Bucket, SessionToken};
use tower::{Layer as _, Service as _};

fn keys() -> Keyring {
    Keyring::new(SigningKey::new("0123456789abcdefghijklmnopqrstuvwxyz").unwrap())
}

fn request(cookie: Option<HeaderValue>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost:3000"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0"));
    if let Some(cookie) = cookie {
        headers.insert(COOKIE, cookie);
    }
    request.extensions_mut().insert(Connection {
        peer: [203, 0, 113, 9].into(),
        scheme: Scheme::Http,
    });
    request
}

type Answer = Ready<Result<Response<Body>, Infallible>>;

fn handler(_: Request<Body>) -> Answer {
    std::future::ready(Ok(Response::new(Body::empty())))
}

/// How much is allocated while a request is answered.
fn allocated(request: Request<Body>) -> u64 {
    let engine = Engine::builder(MemoryStore::new(), keys())
        .environment(Environment::Development)
        .build()
        .unwrap();
    let mut service = SessionLayer::new(engine).layer(tower::service_fn(handler));
    let counted = allocation_counter::measure(|| {
        let mut answer = pin!(service.call(request));
        let polled = answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))));
    });
    counted.count_total
}

// Proves: J9
#[test]
fn an_untouched_session_costs_its_place_in_the_extensions_and_no_other_allocation() {
    // The session, which whoever asks for it shares, and the box in which extensions keep it.
    const EXTENSION: u64 = 2;
    assert_eq!(allocated(request(None)), EXTENSION);
    let token = SessionToken::from_random([7; 24], Bucket::from_random([7; 2]));
    let half_an_hour = std::time::Duration::from_secs(1800);
    let set = wire::set_cookie(&CookieSpec::development(), &keys(), &token, half_an_hour);
    let pair = set.to_str().unwrap().split(';').next().unwrap();
    let cookie: HeaderValue = pair.parse().unwrap();
    // As a server hands it over: cut out of what was read from the connection, which all of the head shares. One that was made from text,
    // as here, allocates when it is shared for the first time.
    let _head = cookie.clone();
    assert_eq!(allocated(request(Some(cookie))), EXTENSION);
}
