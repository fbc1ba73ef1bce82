//! A browser as far as cookies and request forgery go: it keeps and forgets cookies as it is told, refuses those that the
//! rules forbid, and says where its requests come from.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use cookie::Cookie;
use http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, Method, Request};
use jackline::engine::Connection;
use jackline::lifecycle::UnixMs;
use jackline::proxy::Scheme;
use serde_json::Value;

use super::Site;

pub(crate) const FIREFOX: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// One person's browser.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) site: Site,
    pub(crate) address: IpAddr,
    pub(crate) scheme: Scheme,
    pub(crate) user_agent: &'static str,
    /// Keeps cookies for as long as they are not removed, whatever their Max-Age.
    hoards: bool,
    jar: Vec<Kept>,
}

#[derive(Clone)]
struct Kept {
    name: String,
    value: String,
    secure: bool,
    expires: UnixMs,
}

impl Browser {
    pub(super) fn new(site: &Site) -> Self {
        Self {
            site: site.clone(),
            address: Ipv4Addr::new(203, 0, 113, 9).into(),
            scheme: Scheme::Http,
            user_agent: FIREFOX,
            hoards: false,
            jar: Vec::new(),
        }
    }

    /// The same browser, with the same cookies, at another server of the site.
    pub(crate) fn at(&self, site: &Site) -> Self {
        Self {
            site: site.clone(),
            ..self.clone()
        }
    }

    /// A browser with the same cookies that keeps them past their Max-Age.
    pub(crate) fn hoarding(&self) -> Self {
        let mut hoarding = self.clone();
        hoarding.hoards = true;
        for kept in &mut hoarding.jar {
            kept.expires = UnixMs::MAX;
        }
        hoarding
    }

    /// Somebody who stole this browser's cookies and has the same kind of machine.
    pub(crate) fn thief(&self) -> Self {
        self.clone()
    }

    pub(crate) async fn log_in(&mut self, user: &str) -> Answer {
        let answer = self.post(&format!("/login?user={user}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    /// Sends a request that changes something, without a CSRF token.
    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        let request = self.request(Method::POST, path);
        self.send(request).await
    }

    /// Sends a request that changes something, as a page of the site does: with a CSRF token.
    pub(crate) async fn submit(&mut self, path: &str) -> Answer {
        let token = self.csrf_token().await;
        self.submit_with(path, &token).await
    }

    pub(crate) async fn submit_with(&mut self, path: &str, token: &str) -> Answer {
        let mut request = self.request(Method::POST, path);
        request
            .headers_mut()
            .insert("x-csrf-token", token.parse().unwrap());
        self.send(request).await
    }

    pub(crate) async fn csrf_token(&mut self) -> String {
        let answer = self.get("/csrf").await;
        answer.json()["csrfToken"].as_str().unwrap().to_owned()
    }

    /// The data of the session.
    pub(crate) async fn data(&mut self) -> Value {
        self.get("/data").await.json()
    }

    /// Whose session it is, by the name of the user.
    pub(crate) async fn user(&mut self) -> Option<String> {
        let answer = self.get("/me").await;
        (answer.status == 200).then(|| answer.json()["username"].as_str().unwrap().to_owned())
    }

    /// A request with what a browser adds to it.
    pub(crate) fn request(&self, method: Method, path: &str) -> Request<Body> {
        let host = "app.example";
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header(HOST, host)
            .header(USER_AGENT, self.user_agent);
        if method != Method::GET {
            request = request.header(ORIGIN, format!("{}://{host}", self.scheme));
        }
        let cookies = self.cookie_header();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        request
            .header("sec-fetch-site", "same-origin")
            .extension(Connection {
                peer: self.address,
                scheme: self.scheme,
            })
            .body(Body::empty())
            .unwrap()
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Answer {
        let answer = self.site.serve(request).await;
        self.receive(&answer);
        answer
    }

    /// Obeys the `Set-Cookie` headers of an answer.
    pub(crate) fn receive(&mut self, answer: &Answer) {
        for header in answer.set_cookies() {
            let cookie = Cookie::parse(header).unwrap();
            let secure = cookie.secure() == Some(true);
            let host_rules = secure && cookie.path() == Some("/") && cookie.domain().is_none();
            if (secure && self.scheme == Scheme::Http)
                || (cookie.name().starts_with("__Host-") && !host_rules)
            {
                continue;
            }
            let max_age = cookie.max_age().unwrap();
            self.jar.retain(|kept| kept.name != cookie.name());
            if max_age.is_positive() {
                self.jar.push(Kept {
                    name: cookie.name().to_owned(),
                    value: cookie.value().to_owned(),
                    secure,
                    expires: if self.hoards {
                        UnixMs::MAX
                    } else {
                        self.site.now().after(max_age.unsigned_abs())
                    },
                });
            }
        }
    }

    /// The value of the session cookie, if there is one that has not expired.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.live().next().map(|kept| kept.value.clone())
    }

    /// Sets the session cookie to what somebody made up, or kept from before.
    pub(crate) fn plant(&mut self, value: &str) {
        self.jar = vec![Kept {
            name: "sid".to_owned(),
            value: value.to_owned(),
            secure: false,
            expires: UnixMs::MAX,
        }];
    }

    fn live(&self) -> impl Iterator<Item = &Kept> {
        let now = self.site.now();
        self.jar.iter().filter(move |kept| {
            now < kept.expires && (!kept.secure || self.scheme == Scheme::Https)
        })
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self
            .live()
            .map(|kept| format!("{}={}", kept.name, kept.value))
            .collect();
        pairs.join("; ")
    }
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The status, and what the body calls the error.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let error = self.json()["error"].as_str().unwrap_or_default().to_owned();
        (self.status, error)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    /// Whether it leaves the browser's cookies as they are.
    pub(crate) fn keeps_cookie(&self) -> bool {
        self.set_cookies().is_empty()
    }

    /// Whether it takes the cookie away.
    pub(crate) fn removes_cookie(&self) -> bool {
        matches!(self.set_cookies()[..], [cookie] if cookie.contains("Max-Age=0"))
    }

    /// Whether it gives the browser a cookie.
    pub(crate) fn gives_cookie(&self) -> bool {
        matches!(self.set_cookies()[..], [cookie] if !cookie.contains("Max-Age=0"))
    }
}
