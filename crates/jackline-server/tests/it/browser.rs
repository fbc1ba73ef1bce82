//! A small browser: keeps cookies as a browser does, for one site, and remembers what it was given in secret.

use std::collections::BTreeMap;

use serde_json::Value;
use ureq::http::{Method, Request, Response};

use crate::program::Program;

/// The password of the demo user.
pub(crate) const PASSWORD: &str = "correct-horse";

/// A browser that looks at one running server.
pub(crate) struct Browser<'a> {
    program: &'a Program,
    agent: ureq::Agent,
    pub(crate) cookies: BTreeMap<String, String>,
    /// Sent with every request.
    pub(crate) headers: BTreeMap<String, String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Status and body in one, to compare.
    pub(crate) fn seen(&self) -> (u16, &str) {
        (self.status, self.text.as_str())
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }
}

impl<'a> Browser<'a> {
    pub(crate) fn new(program: &'a Program) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(std::time::Duration::from_secs(60)))
            .build()
            .new_agent();
        Self {
            program,
            agent,
            cookies: BTreeMap::new(),
            headers: BTreeMap::new(),
        }
    }

    /// The same browser, looking at another instance of the server.
    pub(crate) fn at<'b>(&self, program: &'b Program) -> Browser<'b> {
        Browser {
            program,
            agent: self.agent.clone(),
            cookies: self.cookies.clone(),
            headers: self.headers.clone(),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body))
    }

    /// An unsafe request with the session's CSRF token.
    pub(crate) fn send_safely(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let token = self.csrf_token();
        self.headers.insert("x-csrf-token".to_owned(), token);
        let answer = self.send(method, path, body);
        self.headers.remove("x-csrf-token");
        answer
    }

    pub(crate) fn csrf_token(&mut self) -> String {
        let answer = self.get("/csrf-token");
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["csrfToken"].as_str().unwrap().to_owned();
        self.program.remember_secret(&token);
        token
    }

    pub(crate) fn log_in(&mut self) -> Answer {
        self.log_in_as("alice", PASSWORD)
    }

    pub(crate) fn log_in_as(&mut self, username: &str, password: &str) -> Answer {
        self.program.remember_secret(password);
        self.post(
            "/login",
            &serde_json::json!({ "username": username, "password": password }),
        )
    }

    pub(crate) fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(self.program.url(path));
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", pairs.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = match body {
            None => self.agent.run(request.body(()).unwrap()),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
        };
        self.take(response.unwrap())
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
            if attributes.contains("Max-Age=0") {
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
        let (token, signature) = value.strip_prefix("s%3A").unwrap().split_once('.').unwrap();
        self.program.remember_secret(value);
        self.program.remember_secret(token);
        self.program.remember_secret(signature);
    }
}
