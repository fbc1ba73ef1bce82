//! A small browser: keeps cookies as a browser does, for one site, and remembers what it was given in secret.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use ureq::http::request::Builder;
use ureq::http::{Method, Request, Response};

/// The password of the demo user.
pub const PASSWORD: &str = "correct-horse";

/// By which a server says that a cookie is no more.
const GONE: [&str; 2] = ["Max-Age=0", "Expires=Thu, 01 Jan 1970"];

/// What Chromium accepts.
const PERSON: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// A running server.
pub trait Site {
    /// The whole address of a path.
    fn url(&self, path: &str) -> String;

    /// The authority by whose certificate its own is believed, if it is no public one.
    fn authority(&self) -> Option<&Path> {
        None
    }

    /// Takes note of what must never be printed.
    fn remember_secret(&self, secret: &str);
}

/// A browser that looks at one running server.
#[expect(missing_debug_implementations, reason = "a site need not have one")]
pub struct Browser<'a> {
    site: &'a (dyn Site + Sync),
    agent: ureq::Agent,
    /// Each cookie's value by its name.
    pub cookies: BTreeMap<String, String>,
    /// Sent with every request.
    pub headers: BTreeMap<String, String>,
}

/// An answer.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body, which is JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Status and body in one, to compare.
    #[must_use]
    pub fn seen(&self) -> (u16, &str) {
        (self.status, self.text.as_str())
    }

    /// Where it sends the browser.
    #[must_use]
    pub fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.headers["location"].to_str().unwrap()
    }

    /// The CSRF token in the page's first form that has one.
    #[must_use]
    pub fn csrf_field(&self) -> Option<String> {
        let (_, rest) = self.text.split_once(r#"name="csrf_token" value=""#)?;
        rest.split('"').next().map(str::to_owned)
    }

    /// Each `Set-Cookie`.
    #[must_use]
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }
}

impl<'a> Browser<'a> {
    /// A browser without a cookie.
    #[must_use]
    pub fn new(site: &'a (dyn Site + Sync)) -> Self {
        let mut tls = ureq::tls::TlsConfig::builder();
        if let Some(authority) = site.authority() {
            let pem = std::fs::read(authority).unwrap();
            let certificate = ureq::tls::Certificate::from_pem(&pem).unwrap();
            tls = tls.root_certs(ureq::tls::RootCerts::new_with_certs(&[certificate]));
        }
        let agent = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(std::time::Duration::from_secs(60)))
            .build()
            .new_agent();
        Self {
            site,
            agent,
            cookies: BTreeMap::new(),
            headers: BTreeMap::new(),
        }
    }

    /// The same browser, looking at another instance of the server.
    #[must_use]
    pub fn at<'b>(&self, site: &'b (dyn Site + Sync)) -> Browser<'b> {
        let mut browser = Browser {
            site,
            agent: self.agent.clone(),
            cookies: self.cookies.clone(),
            headers: self.headers.clone(),
        };
        browser.turn_to(site);
        browser
    }

    /// Looks at another server from now on, as at the same site.
    pub fn turn_to(&mut self, site: &'a (dyn Site + Sync)) {
        self.site = site;
        for value in self.cookies.values() {
            self.remember_token(value);
        }
    }

    /// Visits a page.
    pub fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    /// Sends JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body))
    }

    /// An unsafe request with the session's CSRF token.
    pub fn send_safely(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let token = self.csrf_token();
        self.headers.insert("x-csrf-token".to_owned(), token);
        let answer = self.send(method, path, body);
        self.headers.remove("x-csrf-token");
        answer
    }

    /// A token of the session's, which gets a session if there is none.
    pub fn csrf_token(&mut self) -> String {
        let answer = self.get("/csrf-token");
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["csrfToken"].as_str().unwrap().to_owned();
        self.site.remember_secret(&token);
        token
    }

    /// Logs the demo user in.
    pub fn log_in(&mut self) -> Answer {
        self.log_in_as("alice", PASSWORD)
    }

    /// Logs somebody in.
    pub fn log_in_as(&mut self, username: &str, password: &str) -> Answer {
        self.site.remember_secret(password);
        self.post(
            "/login",
            &serde_json::json!({ "username": username, "password": password }),
        )
    }

    /// Sends a request with the cookies, and keeps those that come back.
    pub fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        match body {
            None => {
                let request = self.request(method, path).body(()).unwrap();
                let response = self.agent.run(request).unwrap();
                self.take(response)
            }
            Some(body) => self.send_text(method, path, &body.to_string()),
        }
    }

    /// The same with a body that is JSON, down to its spelling.
    pub fn send_text(&mut self, method: Method, path: &str, json: &str) -> Answer {
        let request = self
            .request(method, path)
            .header("content-type", "application/json");
        let response = self.agent.run(request.body(json).unwrap()).unwrap();
        self.take(response)
    }

    /// Visits a page as a person does, who wants HTML.
    pub fn visit(&mut self, path: &str) -> Answer {
        self.as_person(|browser| browser.get(path))
    }

    /// Fills in and sends a form, as a person does.
    pub fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        for (name, value) in fields {
            if name.to_lowercase().contains("password") {
                self.site.remember_secret(value);
            }
        }
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.as_person(|browser| {
            let request = browser
                .request(Method::POST, path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form)
                .unwrap();
            let response = browser.agent.run(request).unwrap();
            browser.take(response)
        })
    }

    fn as_person(&mut self, act: impl FnOnce(&mut Self) -> Answer) -> Answer {
        let before = self.headers.insert("accept".to_owned(), PERSON.to_owned());
        let answer = act(self);
        match before {
            Some(before) => self.headers.insert("accept".to_owned(), before),
            None => self.headers.remove("accept"),
        };
        if let Some(token) = answer.csrf_field() {
            self.site.remember_secret(&token);
        }
        answer
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let mut request = Request::builder().method(method).uri(self.site.url(path));
        if !self.cookies.is_empty() {
            request = request.header("cookie", self.cookie_header());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    /// What it sends as `Cookie`.
    pub(crate) fn cookie_header(&self) -> String {
        let pairs = self.cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn take(&mut self, mut response: Response<ureq::Body>) -> Answer {
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.body_mut().read_to_string().unwrap(),
        };
        for line in answer.set_cookies() {
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if GONE.iter().any(|gone| attributes.contains(gone)) {
                self.cookies.remove(name);
            } else {
                self.remember_token(value);
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// The token and its signature, in each of their spellings.
    fn remember_token(&self, value: &str) {
        let signed = value.strip_prefix("s%3A").unwrap_or(value);
        let (token, signature) = signed.rsplit_once('.').unwrap();
        self.site.remember_secret(value);
        self.site.remember_secret(token);
        self.site.remember_secret(signature);
    }
}
