//! The server as a browser would talk to it, but with cookies in hand: what is sent and what is set is seen exactly. Five seconds for
//! an answer, no redirects, and no more than 64 KiB of it.

use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request};
use zeroize::Zeroizing;

use super::set_cookie::SetCookie;
use super::target::Target;

const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BYTES: u64 = 64 * 1024;

/// A server at an address.
pub(super) struct Site {
    /// The address that browsers see.
    pub(super) target: Target,
    /// The address that requests go to: the same, but for tests, which have no certificate.
    reached: Target,
    agent: ureq::Agent,
    /// Whether requests say what a proxy that ends TLS would say.
    behind_proxy: bool,
    /// Whether browsers see it over https.
    pub(super) https: bool,
}

/// Why a request got no answer, in words for a person.
#[derive(Debug)]
pub(super) struct NoAnswer(pub(super) String);

impl Site {
    pub(super) fn new(target: Target) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("jackline-check/", env!("CARGO_PKG_VERSION")));
        if target.is_loopback() {
            // A proxy for the way out would look for the server on its own machine.
            config = config.proxy(None);
        }
        Self {
            https: target.is_https(),
            reached: target.clone(),
            agent: config.build().new_agent(),
            behind_proxy: false,
            target,
        }
    }

    /// The same server, asked as a proxy that ends TLS would ask it.
    pub(super) fn as_its_proxy(&self) -> Self {
        Self {
            target: self.target.clone(),
            reached: self.reached.clone(),
            agent: self.agent.clone(),
            behind_proxy: true,
            https: true,
        }
    }

    /// The same server, with all requests going to `reached`.
    #[cfg(test)]
    pub(super) fn reached_at(self, reached: Target) -> Self {
        Self { reached, ..self }
    }

    /// The origin that a browser on this site sends.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        self.target.origin(scheme)
    }

    pub(super) fn get<'a>(&'a self, path: &'a str) -> Ask<'a> {
        self.ask(Method::GET, path)
    }

    pub(super) fn ask<'a>(&'a self, method: Method, path: &'a str) -> Ask<'a> {
        Ask {
            site: self,
            method,
            path,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// A request, being put together.
pub(super) struct Ask<'a> {
    site: &'a Site,
    method: Method,
    path: &'a str,
    headers: Vec<(&'static str, Zeroizing<String>)>,
    body: Option<Zeroizing<String>>,
}

impl Ask<'_> {
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Zeroizing::new(value.into())));
        self
    }

    /// Sends a cookie back as it came, whatever a browser would do.
    #[must_use]
    pub(super) fn cookie(self, cookie: &SetCookie) -> Self {
        let pair = format!("{}={}", cookie.name(), cookie.value());
        self.header("cookie", pair)
    }

    #[must_use]
    pub(super) fn json(mut self, body: Zeroizing<String>) -> Self {
        self.body = Some(body);
        self.header("content-type", "application/json")
    }

    pub(super) fn send(self) -> Result<Answer, NoAnswer> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.site.reached.route(self.path));
        if self.site.behind_proxy {
            request = request.header("x-forwarded-proto", "https");
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value.as_str());
        }
        let response = match &self.body {
            None => request.body(()).map(|request| self.site.agent.run(request)),
            Some(body) => request
                .body(body.as_str())
                .map(|request| self.site.agent.run(request)),
        };
        let mut response = response
            .map_err(|_| NoAnswer("the request cannot be written".to_owned()))?
            .map_err(NoAnswer::from)?;
        let body = response
            .body_mut()
            .with_config()
            .limit(MOST_BYTES)
            .lossy_utf8(true)
            .read_to_string()
            .map_err(NoAnswer::from)?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Zeroizing::new(body),
        })
    }
}

impl From<ureq::Error> for NoAnswer {
    fn from(error: ureq::Error) -> Self {
        Self(match error {
            ureq::Error::Timeout(_) => format!("it does not answer within {PATIENCE:?}"),
            ureq::Error::HostNotFound => "no such host is known".to_owned(),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                "nothing listens there".to_owned()
            }
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Rustls(error) => format!("its certificate is refused ({error})"),
            other => other.to_string(),
        })
    }
}

/// An answer. No `Debug`: its headers and body hold tokens.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    body: Zeroizing<String>,
}

impl Answer {
    /// Its body, or `null` if that is not JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a header's value contains `text`, without regard to case.
    pub(super) fn header_has(&self, name: &str, text: &str) -> bool {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.to_ascii_lowercase().contains(text))
    }

    pub(super) fn cookies(&self) -> Vec<SetCookie> {
        SetCookie::all(&self.headers)
    }
}
