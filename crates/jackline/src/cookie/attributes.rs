//! A cookie's name and attributes, checked when built: what browsers would refuse or attackers welcome does not become a
//! [`CookieSpec`] (J11). The cookie that sets and the cookie that removes carry the same attributes, made from one value,
//! for a browser ignores a removal that differs.

use std::fmt::{self, Write as _};
use std::time::Duration;

use cookie::Cookie;
use http::HeaderValue;

/// When a browser attaches the cookie to requests that other sites cause.
///
/// `SameSite=None` exists only as [`CookieBuilder::danger_same_site_none`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// With top-level navigations. The default: a link from a letter arrives logged in.
    Lax,
    /// Never. A link from elsewhere arrives as a stranger until the next click.
    Strict,
}

/// How the session cookie is named and marked.
///
/// It is always `HttpOnly` and always says its `SameSite`.
///
/// ```
/// use jackline::cookie::CookieSpec;
///
/// let spec = CookieSpec::production();
/// assert_eq!(spec.name(), "__Host-sid");
///
/// // A `__Host-` cookie without `Secure` is one that no browser would store.
/// let mistakes = CookieSpec::builder("__Host-sid").danger_plain_http().build().unwrap_err();
/// assert!(mistakes.to_string().contains("__Host-"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSpec {
    name: String,
    secure: bool,
    same_site: cookie::SameSite,
    path: String,
    domain: Option<String>,
    /// How a header goes on behind the value: the attributes that are always the same. Follows from those above.
    fixed: String,
}

impl CookieSpec {
    /// `__Host-sid`; Secure; Path=/; HttpOnly; SameSite=Lax. The strictest that a site with links from elsewhere can use.
    #[must_use]
    pub fn production() -> Self {
        Self::builder("__Host-sid")
            .build()
            .expect("the production cookie keeps the rules of its prefix")
    }

    /// `sid`; Path=/; HttpOnly; SameSite=Lax, without Secure, so that it works on `http://localhost` in every browser (P3).
    #[must_use]
    pub fn development() -> Self {
        Self::builder("sid")
            .danger_plain_http()
            .build()
            .expect("the development cookie has no prefix")
    }

    /// `connect.sid`; Path=/; HttpOnly; SameSite=Lax, and Secure unless it is for plain HTTP on `localhost`.
    #[must_use]
    pub fn express(secure: bool) -> Self {
        let builder = Self::builder("connect.sid");
        let builder = match secure {
            true => builder,
            false => builder.danger_plain_http(),
        };
        builder.build().expect("the name has no prefix")
    }

    /// Starts from a name, with Secure, Path=/ and SameSite=Lax.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> CookieBuilder {
        CookieBuilder {
            spec: Self {
                name: name.into(),
                secure: true,
                same_site: cookie::SameSite::Lax,
                path: "/".to_owned(),
                domain: None,
                fixed: String::new(),
            },
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the cookie travels over HTTPS only.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// What Express keeps of a cookie: Secure, domain, path, and SameSite in lower case.
    #[cfg(feature = "redis")]
    pub(crate) fn parts(&self) -> (bool, Option<&str>, &str, &'static str) {
        let same_site = match self.same_site {
            cookie::SameSite::Lax => "lax",
            cookie::SameSite::Strict => "strict",
            cookie::SameSite::None => "none",
        };
        (self.secure, self.domain.as_deref(), &self.path, same_site)
    }

    /// The `Set-Cookie` header that gives the browser `value` for `max_age`.
    pub(crate) fn set(&self, value: &str, max_age: Duration) -> HeaderValue {
        // Whole seconds, rounded down: the browser must not outlive the server in claiming that a session lives.
        let seconds = max_age.as_secs();
        let most = self.name.len() + value.len() + self.fixed.len() + 40;
        let mut header = String::with_capacity(most);
        let (name, fixed) = (&self.name, &self.fixed);
        // A string takes whatever it is given.
        let _ = write!(header, "{name}={value}{fixed}; Max-Age={seconds}");
        sensitive(header)
    }

    /// The `Set-Cookie` header that makes the browser forget the cookie.
    pub(crate) fn remove(&self) -> HeaderValue {
        // `Expires` too, for clients that know no Max-Age.
        let cookie = self
            .attributes()
            .max_age(cookie::time::Duration::ZERO)
            .expires(cookie::time::OffsetDateTime::UNIX_EPOCH);
        sensitive(cookie.build().to_string())
    }

    /// An empty cookie with the attributes that are always the same.
    fn attributes(&self) -> cookie::CookieBuilder<'_> {
        let mut cookie = Cookie::build((self.name.as_str(), ""))
            .path(self.path.as_str())
            .http_only(true)
            .same_site(self.same_site);
        if self.secure {
            cookie = cookie.secure(true);
        }
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.as_str());
        }
        cookie
    }

    fn mistakes(&self) -> Vec<CookieMistake> {
        let mut found = Vec::new();
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            found.push(CookieMistake::NameNotAToken);
        }
        if self.name.len() + LONGEST_VALUE > 4096 {
            found.push(CookieMistake::TooLong);
        }
        // Browsers match these prefixes without regard to case and old ones do not; a name that differs in case only has
        // the protection here and not there (6265bis, section 4.1.3).
        let prefix = PREFIXES.iter().find(|prefix| prefixed(&self.name, prefix));
        let host = prefix.is_some_and(|prefix| prefix.starts_with("__Host-"));
        if prefix.is_some_and(|prefix| !self.name.starts_with(prefix)) {
            found.push(CookieMistake::PrefixMisspelt);
        }
        if prefix.is_some() && !self.secure {
            found.push(CookieMistake::PrefixWithoutSecure);
        }
        if host && self.path != "/" {
            found.push(CookieMistake::HostPrefixWithPath);
        }
        if host && self.domain.is_some() {
            found.push(CookieMistake::HostPrefixWithDomain);
        }
        if self.same_site == cookie::SameSite::None && !self.secure {
            found.push(CookieMistake::SameSiteNoneWithoutSecure);
        }
        if !self.path.starts_with('/')
            || !self
                .path
                .bytes()
                .all(|b| (0x21..0x7f).contains(&b) && b != b';')
        {
            found.push(CookieMistake::BadPath);
        }
        if self
            .domain
            .as_deref()
            .is_some_and(|domain| !is_domain(domain))
        {
            found.push(CookieMistake::BadDomain);
        }
        found
    }
}

/// The longest value that is ever written: `s%3A`, an id of Express, a dot, and a signature, with every character escaped.
const LONGEST_VALUE: usize = 4 + crate::token::SessionToken::MAX_SID_BYTES * 3 + 1 + 43 * 3;

/// Names that make browsers insist on attributes. Those that also ask for HttpOnly get it: every cookie here is.
const PREFIXES: [&str; 3] = ["__Host-", "__Secure-", "__Http-"];

fn prefixed(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_domain(domain: &str) -> bool {
    domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// Builds a [`CookieSpec`].
#[derive(Clone, Debug)]
pub struct CookieBuilder {
    spec: CookieSpec,
}

impl CookieBuilder {
    /// When other sites' requests carry the cookie. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.spec.same_site = match same_site {
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::Strict => cookie::SameSite::Strict,
        };
        self
    }

    /// The path that the cookie is sent to. Default: `/`. Not a security boundary: pages of one origin share everything.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.spec.path = path.into();
        self
    }

    /// Shares the cookie with every subdomain of `domain`, any of which can then read and overwrite it. Default: none.
    #[must_use]
    pub fn danger_domain(mut self, domain: impl Into<String>) -> Self {
        self.spec.domain = Some(domain.into());
        self
    }

    /// Lets the cookie travel over plain HTTP, where everybody on the way can read it. For development on localhost;
    /// the engine refuses it in production.
    #[must_use]
    pub fn danger_plain_http(mut self) -> Self {
        self.spec.secure = false;
        self
    }

    /// Lets every site's requests carry the cookie: for services that live in other sites' frames.
    #[must_use]
    pub fn danger_same_site_none(mut self) -> Self {
        self.spec.same_site = cookie::SameSite::None;
        self
    }

    /// The checked spec.
    ///
    /// # Errors
    /// With everything that is wrong with it, not just the first.
    pub fn build(self) -> Result<CookieSpec, CookieMistakes> {
        let mut spec = self.spec;
        let mistakes = spec.mistakes();
        if mistakes.is_empty() {
            let empty = spec.attributes().build().to_string();
            spec.fixed = empty[spec.name.len() + "=".len()..].to_owned();
            Ok(spec)
        } else {
            Err(CookieMistakes(mistakes))
        }
    }
}

/// Made of a checked name, an encoded value and checked attributes, which are visible ASCII.
fn sensitive(header: String) -> HeaderValue {
    let mut header = HeaderValue::try_from(header).expect("visible ASCII");
    // Keeps the value out of `Debug` output and of header compression tables.
    header.set_sensitive(true);
    header
}

/// What is wrong with a cookie, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieMistake {
    /// The name holds what no cookie name may.
    #[error(
        "a cookie's name must be a token (RFC 9110, section 5.6.2): letters, digits and !#$%&'*+-.^_`|~"
    )]
    NameNotAToken,
    /// Name and value would not fit.
    #[error("the cookie's name is too long: name and value must fit into 4096 octets; shorten it")]
    TooLong,
    /// A prefix in another case.
    #[error(
        "write the cookie's prefix exactly as `__Host-`, `__Secure-` or `__Http-`; browsers differ on any other spelling"
    )]
    PrefixMisspelt,
    /// A prefix promises Secure.
    #[error(
        "browsers refuse a `__Host-`, `__Secure-` or `__Http-` cookie without Secure: use HTTPS, or drop the prefix in development"
    )]
    PrefixWithoutSecure,
    /// `__Host-` promises Path=/.
    #[error(
        "browsers refuse a `__Host-` cookie with a path other than `/`: drop the path or the prefix"
    )]
    HostPrefixWithPath,
    /// `__Host-` promises no Domain.
    #[error("browsers refuse a `__Host-` cookie with a domain: drop the domain or the prefix")]
    HostPrefixWithDomain,
    /// None requires Secure.
    #[error("browsers refuse `SameSite=None` without Secure: use HTTPS, or SameSite=Lax")]
    SameSiteNoneWithoutSecure,
    /// The path would not survive in a header.
    #[error("the cookie's path must start with `/` and hold visible ASCII without `;`")]
    BadPath,
    /// The domain is none.
    #[error(
        "the cookie's domain must be a domain name without a leading dot, such as `example.org`"
    )]
    BadDomain,
}

/// Everything that is wrong with a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieMistakes(pub Vec<CookieMistake>);

impl fmt::Display for CookieMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for CookieMistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside 4 octets of `s%3A`, 384 of an id, a dot, and 129 of a signature: 4096 in all (RFC 6265bis, section 5.6).
    const LONGEST_NAME: usize = 3578;

    fn text(header: &HeaderValue) -> &str {
        header.to_str().unwrap()
    }

    // Proves: J11
    #[test]
    fn all_mistakes_stand_in_one_message() {
        let mistakes = vec![CookieMistake::BadPath, CookieMistake::BadDomain];
        let (path, domain) = (mistakes[0].to_string(), mistakes[1].to_string());
        assert!(path.contains("path") && domain.contains("domain"));
        assert_eq!(
            CookieMistakes(mistakes).to_string(),
            format!("{path}; {domain}")
        );
        assert_eq!(CookieMistakes(vec![]).to_string(), "");
    }

    // Proves: T4.1, A1, S11, S12, S13, S14
    #[test]
    fn set_cookie_says_every_attribute() {
        let minutes30 = Duration::from_secs(1800);
        insta::assert_snapshot!(
            text(&CookieSpec::production().set("v", minutes30)),
            @"__Host-sid=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=1800"
        );
        insta::assert_snapshot!(
            text(&CookieSpec::development().set("v", minutes30)),
            @"sid=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=1800"
        );
    }

    // Proves: S12, T7.1
    #[test]
    fn the_removal_carries_the_same_attributes() {
        insta::assert_snapshot!(
            text(&CookieSpec::production().remove()),
            @"__Host-sid=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
        let shared = CookieSpec::builder("__Secure-sid")
            .danger_domain("example.org")
            .path("/app")
            .build()
            .unwrap();
        assert!(text(&shared.remove()).contains("Path=/app; Domain=example.org"));
    }

    // Proves: S12, S16, J11, P3
    #[test]
    fn what_browsers_punish_does_not_build() {
        use CookieMistake as M;
        let cases = [
            (
                CookieSpec::builder("__Host-sid").danger_plain_http(),
                M::PrefixWithoutSecure,
            ),
            (
                CookieSpec::builder("__Secure-sid").danger_plain_http(),
                M::PrefixWithoutSecure,
            ),
            (CookieSpec::builder("__hOsT-sid"), M::PrefixMisspelt),
            (CookieSpec::builder("__http-sid"), M::PrefixMisspelt),
            (
                CookieSpec::builder("__Http-sid").danger_plain_http(),
                M::PrefixWithoutSecure,
            ),
            (
                CookieSpec::builder("__Host-sid").path("/app"),
                M::HostPrefixWithPath,
            ),
            (
                CookieSpec::builder("__Host-sid").danger_domain("example.org"),
                M::HostPrefixWithDomain,
            ),
            (
                CookieSpec::builder("sid")
                    .danger_same_site_none()
                    .danger_plain_http(),
                M::SameSiteNoneWithoutSecure,
            ),
            (CookieSpec::builder("s id"), M::NameNotAToken),
            (CookieSpec::builder(""), M::NameNotAToken),
            (CookieSpec::builder("sïd"), M::NameNotAToken),
            (
                CookieSpec::builder("n".repeat(LONGEST_NAME + 1)),
                M::TooLong,
            ),
            (CookieSpec::builder("sid").path("app"), M::BadPath),
            (CookieSpec::builder("sid").path("/;Domain=evil"), M::BadPath),
            (
                CookieSpec::builder("sid").danger_domain(".example.org"),
                M::BadDomain,
            ),
        ];
        for (builder, mistake) in cases {
            assert_eq!(builder.build().unwrap_err().0, [mistake]);
        }
        assert!(
            CookieSpec::builder("n".repeat(LONGEST_NAME))
                .build()
                .is_ok()
        );
    }

    // Proves: J11
    #[test]
    fn all_mistakes_are_reported_at_once() {
        let mistakes = CookieSpec::builder("__Host-s id")
            .danger_plain_http()
            .path("x")
            .build()
            .unwrap_err();
        assert_eq!(mistakes.0.len(), 4);
    }

    // Proves: S17
    #[test]
    fn no_limit_that_can_be_written_outlives_what_browsers_keep() {
        let longest =
            crate::lifecycle::IdleLimit::new(Duration::from_secs(30 * 24 * 3600)).unwrap();
        let header = CookieSpec::production().set("v", longest.get());
        assert!(text(&header).contains("Max-Age=2592000"));
        let too_long = Duration::from_secs(400 * 24 * 3600 + 1);
        assert!(crate::lifecycle::IdleLimit::new(too_long).is_err());
    }

    // Proves: J6
    #[test]
    fn debug_output_of_the_header_hides_the_token() {
        assert_eq!(
            format!(
                "{:?}",
                CookieSpec::production().set("secret", Duration::ZERO)
            ),
            "Sensitive"
        );
    }
}
