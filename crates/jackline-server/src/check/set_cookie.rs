//! A `Set-Cookie` line as a browser takes it: what browsers refuse, and why (RFC 6265bis, sections 5.6 and 5.7). No `Debug`: the value
//! is somebody's session.

use cookie::{Cookie, SameSite};
use ureq::http::HeaderMap;

use super::topic::Topic;

/// One cookie that an answer sets.
#[derive(Clone)]
pub(super) struct SetCookie(Cookie<'static>);

/// Where a browser got the cookie from.
pub(super) struct Place<'a> {
    pub(super) https: bool,
    pub(super) host: &'a str,
    /// What the cookie is to be sent to.
    pub(super) path: &'a str,
    /// In seconds since 1970.
    pub(super) now: i64,
}

/// Why a browser does not send the cookie back.
pub(super) struct Refusal {
    pub(super) topic: Topic,
    pub(super) what: String,
    pub(super) fix: &'static str,
}

impl SetCookie {
    /// All cookies of an answer, as far as they can be read.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        headers
            .get_all("set-cookie")
            .iter()
            .filter_map(|line| Cookie::parse(line.to_str().ok()?.to_owned()).ok())
            .map(Self)
            .collect()
    }

    pub(super) fn name(&self) -> &str {
        self.0.name()
    }

    pub(super) fn value(&self) -> &str {
        self.0.value()
    }

    /// What stays the same when the value is signed with another key.
    pub(super) fn id(&self) -> &str {
        match self.value().rsplit_once('.') {
            Some((id, _signature)) => id,
            None => self.value(),
        }
    }

    /// Whether it looks like a signed session, whatever it is called.
    pub(super) fn is_signed(&self) -> bool {
        let value = self.value();
        ["s%3A", "s%3a", "s:"].iter().any(|s| value.starts_with(s))
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.secure() == Some(true)
    }

    /// Whether its name has a prefix that browsers protect.
    pub(super) fn is_prefixed(&self) -> bool {
        ["__Host-", "__Secure-"]
            .iter()
            .any(|prefix| self.name().starts_with(prefix))
    }

    /// Whether it makes the browser forget the cookie.
    pub(super) fn removes(&self, now: i64) -> bool {
        match (self.0.max_age(), self.0.expires_datetime()) {
            (Some(age), _) => age.whole_seconds() <= 0,
            (None, Some(end)) => end.unix_timestamp() <= now,
            (None, None) => false,
        }
    }

    /// Whether a browser that has `other` takes this for the same cookie: name, domain and path.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.0.domain() == other.0.domain()
            && self.0.path() == other.0.path()
    }

    /// What lets scripts or other sites at the cookie.
    pub(super) fn weaknesses(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        if self.0.http_only() != Some(true) {
            found.push((
                "HttpOnly",
                "a script that somebody slips into a page reads the session",
            ));
        }
        match self.0.same_site() {
            Some(SameSite::Lax | SameSite::Strict) => {}
            Some(SameSite::None) => {
                found.push(("SameSite=Lax", "other sites' requests carry the session"));
            }
            None => {
                found.push((
                    "SameSite=Lax",
                    "browsers differ on what other sites' requests carry",
                ));
            }
        }
        found
    }

    /// Why a browser would not store it, or not send it.
    pub(super) fn refusals(&self, place: &Place<'_>) -> Vec<Refusal> {
        let mut found = Vec::new();
        let mut refused = |topic, what: String, fix| found.push(Refusal { topic, what, fix });
        let name = self.name();
        let has_prefix = |prefix: &str| {
            name.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let (host, secure) = (has_prefix("__Host-"), has_prefix("__Secure-"));

        if self.is_secure() && !place.https {
            refused(
                Topic::PLAIN_HTTP,
                format!("the cookie `{name}` is Secure, and the address is http"),
                "on a developer's machine: JACKLINE_ENV=development, without JACKLINE_COOKIE_SECURE. Elsewhere: use the https address",
            );
        }
        if (host || secure) && !self.is_secure() {
            refused(
                Topic::NOT_SENT_BACK,
                format!("the cookie's name `{name}` promises Secure, and it is not"),
                "serve https with JACKLINE_ENV=production; in development, JACKLINE_COOKIE_NAME=sid",
            );
        }
        if host && self.0.path() != Some("/") {
            refused(
                Topic::NOT_SENT_BACK,
                format!("the cookie's name `{name}` promises Path=/, and it says otherwise"),
                "have the proxy leave the cookie's path alone (nginx: no proxy_cookie_path), or rename it: JACKLINE_COOKIE_NAME=__Secure-sid",
            );
        }
        if host && self.0.domain().is_some() {
            refused(
                Topic::NOT_SENT_BACK,
                format!("the cookie's name `{name}` promises no Domain, and it has one"),
                "have the proxy leave the cookie's domain alone (nginx: no proxy_cookie_domain), or rename it: JACKLINE_COOKIE_NAME=__Secure-sid",
            );
        }
        if self.0.same_site() == Some(SameSite::None) && !self.is_secure() {
            refused(
                Topic::NOT_SENT_BACK,
                format!("the cookie `{name}` is SameSite=None and not Secure"),
                "serve https with JACKLINE_ENV=production, and have the proxy leave the cookie alone",
            );
        }
        if let Some(domain) = self.0.domain().filter(|domain| !covers(domain, place.host)) {
            refused(
                Topic::NOT_SENT_BACK,
                format!(
                    "the cookie `{name}` is for the domain {domain}, not for {}",
                    place.host
                ),
                "have the proxy leave the cookie's domain alone (nginx: no proxy_cookie_domain)",
            );
        }
        if let Some(path) = self.0.path().filter(|path| !contains(path, place.path)) {
            refused(
                Topic::NOT_SENT_BACK,
                format!(
                    "the cookie `{name}` is for the path {path}, not for {}",
                    place.path
                ),
                "have the proxy leave the cookie's path alone (nginx: no proxy_cookie_path)",
            );
        }
        if self.removes(place.now) {
            refused(
                Topic::NOT_SENT_BACK,
                format!("the cookie `{name}` has run out when it arrives"),
                "set the clocks right, on the server and here (timedatectl status), and have the proxy leave the cookie alone",
            );
        }
        if name.len() + self.value().len() > 4096 {
            refused(
                Topic::NOT_SENT_BACK,
                format!("the cookie `{name}` is longer than 4096 bytes"),
                "have the proxy leave the cookie alone",
            );
        }
        found
    }
}

/// RFC 6265bis, section 5.1.3.
fn covers(domain: &str, host: &str) -> bool {
    let before = host.to_ascii_lowercase();
    let domain = domain.to_ascii_lowercase();
    match before.strip_suffix(domain.as_str()) {
        Some("") => true,
        Some(sub) => sub.ends_with('.') && host.parse::<std::net::IpAddr>().is_err(),
        None => false,
    }
}

/// RFC 6265bis, section 5.1.4.
fn contains(folder: &str, path: &str) -> bool {
    // What does not start with a slash, browsers replace by the folder of the request.
    if !folder.starts_with('/') {
        return true;
    }
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn parsed(line: &str) -> SetCookie {
        SetCookie(Cookie::parse(line.to_owned()).unwrap())
    }

    fn refusals(line: &str, https: bool) -> Vec<&'static str> {
        let place = Place {
            https,
            host: "app.example.org",
            path: "/shop/",
            now: NOW,
        };
        let refusals = parsed(line).refusals(&place);
        refusals.iter().map(|r| r.topic.number).collect()
    }

    // Proves: D3, P3
    #[test]
    fn what_browsers_refuse_is_found() {
        for (line, https, expected) in [
            (
                "sid=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=1800",
                false,
                &[][..],
            ),
            ("__Host-sid=v; Path=/; Secure", true, &[]),
            (
                "__Secure-sid=v; Path=/shop; Domain=.example.org; Secure",
                true,
                &[],
            ),
            ("sid=v; Path=/; Secure", false, &["P3"]),
            ("__Host-sid=v; Path=/", false, &["D3"]),
            ("__host-sid=v; Path=/", true, &["D3"]),
            ("__Secure-sid=v; Path=/", true, &["D3"]),
            ("__Host-sid=v; Path=/shop/; Secure", true, &["D3"]),
            ("__Host-sid=v; Secure", true, &["D3"]),
            (
                "__Host-sid=v; Path=/; Domain=example.org; Secure",
                true,
                &["D3"],
            ),
            ("sid=v; Path=/; SameSite=None", true, &["D3"]),
            ("sid=v; Path=/; Domain=internal", true, &["D3"]),
            ("sid=v; Path=/; Domain=ple.org", true, &["D3"]),
            ("sid=v; Path=/api", true, &["D3"]),
            ("sid=v; Path=/sho", true, &["D3"]),
            ("sid=v; Path=/; Max-Age=0", true, &["D3"]),
            (
                "sid=v; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                true,
                &["D3"],
            ),
        ] {
            assert_eq!(refusals(line, https), expected, "{line}");
        }
        assert_eq!(refusals(&format!("sid={}", "v".repeat(4096)), true), ["D3"]);
    }

    #[test]
    fn a_removal_is_told_from_a_cookie_that_lasts() {
        assert!(parsed("a=; Max-Age=0; Expires=Thu, 01 Jan 2099 00:00:00 GMT").removes(NOW));
        assert!(!parsed("a=b").removes(NOW));
        assert!(!parsed("a=b; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT").removes(NOW));
    }

    #[test]
    fn the_id_is_what_another_signature_leaves() {
        assert_eq!(
            parsed("sid=s%3Aabc.one").id(),
            parsed("sid=s%3Aabc.two").id()
        );
        assert_ne!(
            parsed("sid=s%3Aabc.one").id(),
            parsed("sid=s%3Aabd.one").id()
        );
    }
}
