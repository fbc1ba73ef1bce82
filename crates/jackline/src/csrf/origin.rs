//! Web origins: a scheme, a host and a port, compared exactly. There is no pattern, no suffix match and no way to write one. Two spellings
//! are equal when a browser would call them the same origin: the case of the host and the scheme's own port do not count.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use crate::proxy::{Client, Scheme};

/// An origin other than our own whose pages may send us unsafe requests.
///
/// ```
/// use jackline::csrf::TrustedOrigin;
///
/// let admin: TrustedOrigin = "https://admin.example:8443".parse()?;
/// assert_eq!(admin.to_string(), "https://admin.example:8443");
/// assert!("https://*.example".parse::<TrustedOrigin>().is_err());
/// # Ok::<(), jackline::csrf::OriginParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustedOrigin(pub(super) WebOrigin);

impl FromStr for TrustedOrigin {
    type Err = OriginParseError;

    fn from_str(text: &str) -> Result<Self, OriginParseError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for TrustedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Our own origin, as the browser sees it in the request at hand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExpectedOrigin(pub(super) WebOrigin);

impl ExpectedOrigin {
    /// From the scheme and the host of a request, the host with its port if that is not the scheme's own.
    ///
    /// ```
    /// use jackline::{csrf::ExpectedOrigin, proxy::Scheme};
    ///
    /// let ours = ExpectedOrigin::new(Scheme::Https, "App.example:443")?;
    /// assert_eq!(ours.to_string(), "https://app.example");
    /// # Ok::<(), jackline::csrf::OriginParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OriginParseError`] if the host is more, less or other than a host and a port.
    pub fn new(scheme: Scheme, host: &str) -> Result<Self, OriginParseError> {
        WebOrigin::from_authority(scheme, host).map(Self)
    }

    /// The origin which this client asked for, if its host is known and well-formed.
    pub fn of(client: &Client) -> Option<Self> {
        Self::new(client.scheme, client.host.as_deref()?).ok()
    }
}

impl fmt::Display for ExpectedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why something is not an origin. The text itself is not quoted: it may come from a stranger and go to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginParseError {
    /// The opaque origin, which any page can give itself.
    #[error("the origin null is anybody's")]
    Null,
    /// It does not begin with `http://` or `https://`.
    #[error("an origin begins with http:// or https://")]
    Scheme,
    /// It holds a user name or a password.
    #[error("an origin has no user name or password")]
    Userinfo,
    /// It holds a wildcard.
    #[error("an origin has no wildcards: list each one")]
    Wildcard,
    /// It goes on after the host and port; a single slash is enough.
    #[error("an origin ends after its host and port, without a slash")]
    Path,
    /// The host is missing or malformed. Names outside of ASCII are written in their `xn--` form.
    #[error(
        "an origin needs a host: a name in ASCII (xn--… for others) or an address, IPv6 in brackets"
    )]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("an origin's port is a number from 1 to 65535")]
    Port,
}

/// The canonical form, so that derived equality is the same-origin rule of RFC 6454 §5.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WebOrigin {
    scheme: Scheme,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    /// A name or an IPv4 address, in lower case.
    Name(String),
    V6(Ipv6Addr),
}

impl WebOrigin {
    /// The origin of a URL such as `Referer` holds: everything up to the path.
    pub(super) fn of_url(url: &str) -> Result<Self, OriginParseError> {
        let (scheme, rest) = split_scheme(url)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Self::from_authority(scheme, &rest[..end])
    }

    fn from_authority(scheme: Scheme, authority: &str) -> Result<Self, OriginParseError> {
        for (mark, complaint) in [
            ('@', OriginParseError::Userinfo),
            ('*', OriginParseError::Wildcard),
        ] {
            if authority.contains(mark) {
                return Err(complaint);
            }
        }
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(OriginParseError::Path);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (address, port) = bracketed.split_once(']').ok_or(OriginParseError::Host)?;
                (
                    Host::V6(address.parse().map_err(|_| OriginParseError::Host)?),
                    port,
                )
            }
            None => {
                let (name, port) =
                    authority.split_at(authority.find(':').unwrap_or(authority.len()));
                (Host::Name(host_name(name)?), port)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(number) => port_number(number)?,
            None if port.is_empty() => scheme.default_port(),
            None => return Err(OriginParseError::Host),
        };
        Ok(Self { scheme, host, port })
    }
}

/// The serialization of RFC 6454 §6.2, as `Origin` carries it, and nothing around it.
impl FromStr for WebOrigin {
    type Err = OriginParseError;

    fn from_str(text: &str) -> Result<Self, OriginParseError> {
        if text == "null" {
            return Err(OriginParseError::Null);
        }
        let (scheme, authority) = split_scheme(text)?;
        Self::from_authority(scheme, authority)
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{}://{name}", self.scheme)?,
            Host::V6(address) => write!(f, "{}://[{address}]", self.scheme)?,
        }
        match self.port == self.scheme.default_port() {
            true => Ok(()),
            false => write!(f, ":{}", self.port),
        }
    }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), OriginParseError> {
    let (scheme, rest) = text.split_once("://").ok_or(OriginParseError::Scheme)?;
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known.as_str()))
        .map(|scheme| (scheme, rest))
        .ok_or(OriginParseError::Scheme)
}

/// Labels of letters, digits, `-` and `_`. The dot at the end is kept: to browsers, `a.example.` is another origin.
fn host_name(name: &str) -> Result<String, OriginParseError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels = name.strip_suffix('.').unwrap_or(name);
    match name.len() <= MAX_NAME_BYTES && labels.split('.').all(is_label) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(OriginParseError::Host),
    }
}

fn port_number(text: &str) -> Result<u16, OriginParseError> {
    // Digit by digit, since `u16::from_str` also takes a plus sign.
    match text.parse() {
        Ok(port) if port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(OriginParseError::Port),
    }
}

/// RFC 1035 §2.3.4, written out and with a dot at the end.
const MAX_NAME_BYTES: usize = 254;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<String, OriginParseError> {
        text.parse::<TrustedOrigin>()
            .map(|origin| origin.to_string())
    }

    // Proves: S53
    #[test]
    fn origins_are_read_into_one_spelling() {
        let cases = [
            ("https://a.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("https://a.example:8443", "https://a.example:8443"),
            ("https://a.example:08443", "https://a.example:8443"),
            ("HTTPS://A.Example", "https://a.example"),
            ("https://a.example.", "https://a.example."),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
    }

    // Proves: S53
    #[test]
    fn what_is_not_exactly_an_origin_is_refused() {
        use OriginParseError::{Host, Null, Path, Port, Scheme, Userinfo, Wildcard};
        let cases = [
            ("null", Null),
            ("", Scheme),
            ("a.example", Scheme),
            ("//a.example", Scheme),
            ("ftp://a.example", Scheme),
            ("chrome-extension://abc", Scheme),
            (" https://a.example", Scheme),
            ("https:/a.example", Scheme),
            ("https://a.example/", Path),
            ("https://a.example/x", Path),
            ("https://a.example?x", Path),
            ("https://a.example#x", Path),
            ("https://a.example\\x", Path),
            ("https://*.example", Wildcard),
            ("https://*", Wildcard),
            ("https://user@a.example", Userinfo),
            ("https://a.example:443@evil.example", Userinfo),
            ("https://", Host),
            ("https://:443", Host),
            ("https://.example", Host),
            ("https://a..example", Host),
            ("https://a example", Host),
            ("https://a.example https://b.example", Path),
            ("https://a.example, https", Host),
            ("https://bücher.example", Host),
            ("https://a%2eexample", Host),
            ("https://[::1", Host),
            ("https://[::1]x", Host),
            ("https://[a.example]", Host),
            ("https://[fe80::1%251]", Host),
            ("https://::1", Host),
            ("https://a.example:", Port),
            ("https://a.example:0", Port),
            ("https://a.example:65536", Port),
            ("https://a.example:+443", Port),
            ("https://a.example:443:443", Port),
            ("https://a.example\0", Host),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{text:?}");
        }
        assert_eq!(parse(&format!("https://{}", "a".repeat(255))), Err(Host));
    }

    #[test]
    fn an_expected_origin_comes_from_scheme_and_host() {
        let ours =
            |scheme, host| ExpectedOrigin::new(scheme, host).map(|origin| origin.to_string());
        assert_eq!(
            ours(Scheme::Https, "a.example").as_deref(),
            Ok("https://a.example")
        );
        assert_eq!(
            ours(Scheme::Http, "a.example:443").as_deref(),
            Ok("http://a.example:443")
        );
        assert_eq!(
            ours(Scheme::Http, "[::1]:3000").as_deref(),
            Ok("http://[::1]:3000")
        );
        assert_eq!(ours(Scheme::Http, ""), Err(OriginParseError::Host));
        assert_eq!(
            ours(Scheme::Http, "a.example/x"),
            Err(OriginParseError::Path)
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_origin_reads_back_as_itself(text in "(https?://)?[a-z0-9.:@/\\[\\]*%-]{0,40}|\\PC{0,40}") {
            if let Ok(origin) = text.parse::<WebOrigin>() {
                prop_assert_eq!(origin.to_string().parse::<WebOrigin>(), Ok(origin.clone()));
                prop_assert_eq!(WebOrigin::of_url(&format!("{text}/path?query")), Ok(origin));
            }
            let _ = WebOrigin::of_url(&text);
        }
    }
}
