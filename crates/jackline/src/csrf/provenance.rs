//! Layer one: where an unsafe request comes from, by what browsers say and pages cannot forge. A pure function of method, headers and the
//! expected origin; each refusal names its reason and never repeats what was sent.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::origin::{ExpectedOrigin, OriginParseError, TrustedOrigin, WebOrigin};

/// Whose unsafe requests are let in. By default only our own origin's.
///
/// ```
/// use http::{HeaderMap, Method};
/// use jackline::{
///     csrf::{CsrfPolicy, CsrfRejection, ExpectedOrigin},
///     proxy::Scheme,
/// };
///
/// let policy = CsrfPolicy::default();
/// let ours = ExpectedOrigin::new(Scheme::Https, "app.example")?;
/// let mut headers = HeaderMap::new();
/// headers.insert("sec-fetch-site", "cross-site".parse()?);
///
/// assert_eq!(policy.check_provenance(&Method::POST, &headers, Some(&ours)), Err(CsrfRejection::CrossSite));
/// assert_eq!(policy.check_provenance(&Method::GET, &headers, Some(&ours)), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsrfPolicy {
    /// Other origins whose pages may send unsafe requests. Default: none. Each of them can do whatever its visitors can do here.
    pub trusted_origins: Vec<TrustedOrigin>,
}

impl CsrfPolicy {
    /// Checks a request. `expected` is the origin which the browser addressed, or `None` if the request does not say.
    ///
    /// Whoever lets this decide a response should send `Vary: Sec-Fetch-Site, Origin` if that response can be cached.
    ///
    /// # Errors
    ///
    /// [`CsrfRejection`], to be answered with `403`. OWASP CSRF Prevention Cheat Sheet, "Fetch Metadata" and "Verifying origin".
    pub fn check_provenance(
        &self,
        method: &Method,
        headers: &HeaderMap,
        expected: Option<&ExpectedOrigin>,
    ) -> Result<(), CsrfRejection> {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Ok(()),
            // Everything else, methods not yet invented included.
            _ => self.check_any_method(headers, expected),
        }
    }

    /// The same without regard to the method: for a WebSocket handshake, which is a `GET`, carries cookies and is not held back by CORS
    /// (RFC 6455 §10.2).
    ///
    /// # Errors
    ///
    /// As [`check_provenance`](Self::check_provenance).
    pub fn check_any_method(
        &self,
        headers: &HeaderMap,
        expected: Option<&ExpectedOrigin>,
    ) -> Result<(), CsrfRejection> {
        let site = only(headers, SEC_FETCH_SITE)?;
        let origin = only(headers, header::ORIGIN)?;
        let referer = only(headers, header::REFERER)?;
        match site.map(HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") => Ok(()),
            Some(b"same-site") => self.trusted(origin).ok_or(CsrfRejection::SameSite),
            Some(b"cross-site") => self.trusted(origin).ok_or(CsrfRejection::CrossSite),
            Some(_) => Err(CsrfRejection::UnknownFetchSite),
            None => match (origin, referer) {
                (Some(origin), _) => self
                    .matches(parse_origin(origin)?, expected)
                    .map_err(|no| no.unwrap_or(CsrfRejection::OriginMismatch)),
                (None, Some(referer)) => self
                    .matches(parse_referer(referer)?, expected)
                    .map_err(|no| no.unwrap_or(CsrfRejection::RefererMismatch)),
                (None, None) => Ok(()),
            },
        }
    }

    fn trusted(&self, origin: Option<&HeaderValue>) -> Option<()> {
        let origin = parse_origin(origin?).ok()?;
        self.lists(&origin).then_some(())
    }

    fn lists(&self, origin: &WebOrigin) -> bool {
        self.trusted_origins
            .iter()
            .any(|trusted| trusted.0 == *origin)
    }

    /// `Err(None)` is a mismatch. A request that does not even say whom it is for is refused, listed origin or not.
    fn matches(
        &self,
        origin: WebOrigin,
        expected: Option<&ExpectedOrigin>,
    ) -> Result<(), Option<CsrfRejection>> {
        let expected = expected.ok_or(Some(CsrfRejection::NoExpectedOrigin))?;
        match expected.0 == origin || self.lists(&origin) {
            true => Ok(()),
            false => Err(None),
        }
    }
}

/// Why a request was taken for forged. Nothing in it comes from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("request refused as cross-site: {}", self.reason())]
#[non_exhaustive]
pub enum CsrfRejection {
    /// `Sec-Fetch-Site: cross-site`, and the origin is not on the list.
    CrossSite,
    /// `Sec-Fetch-Site: same-site`, from a sibling domain that is not on the list.
    SameSite,
    /// A value of `Sec-Fetch-Site` that the standard does not know.
    UnknownFetchSite,
    /// `Sec-Fetch-Site`, `Origin` or `Referer` came twice.
    DuplicateHeader,
    /// `Origin: null`: a sandboxed frame, a redirect across origins, or a page that forbids referrers.
    NullOrigin,
    /// `Origin` is no origin.
    MalformedOrigin,
    /// `Origin` is neither ours nor on the list.
    OriginMismatch,
    /// `Referer` has no origin.
    MalformedReferer,
    /// The origin of `Referer` is neither ours nor on the list.
    RefererMismatch,
    /// The browser says where it comes from, but the request does not say to which host it goes.
    NoExpectedOrigin,
    /// The session's CSRF token was not sent. Layer two; never made by [`CsrfPolicy`].
    MissingToken,
    /// A CSRF token was sent, but not one of this session. Layer two; never made by [`CsrfPolicy`].
    InvalidToken,
}

impl CsrfRejection {
    /// A short, stable name for logs and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::CrossSite => "cross_site",
            Self::SameSite => "same_site",
            Self::UnknownFetchSite => "unknown_fetch_site",
            Self::DuplicateHeader => "duplicate_header",
            Self::NullOrigin => "null_origin",
            Self::MalformedOrigin => "malformed_origin",
            Self::OriginMismatch => "origin_mismatch",
            Self::MalformedReferer => "malformed_referer",
            Self::RefererMismatch => "referer_mismatch",
            Self::NoExpectedOrigin => "no_expected_origin",
            Self::MissingToken => "missing_token",
            Self::InvalidToken => "invalid_token",
        }
    }
}

fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, CsrfRejection> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(CsrfRejection::DuplicateHeader),
    }
}

fn parse_origin(value: &HeaderValue) -> Result<WebOrigin, CsrfRejection> {
    let text = value.to_str().map_err(|_| CsrfRejection::MalformedOrigin)?;
    text.parse().map_err(|error| match error {
        OriginParseError::Null => CsrfRejection::NullOrigin,
        _ => CsrfRejection::MalformedOrigin,
    })
}

fn parse_referer(value: &HeaderValue) -> Result<WebOrigin, CsrfRejection> {
    // The path may hold bytes that are not UTF-8; the origin before it may not.
    let bytes = value.as_bytes();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()])
            .map_err(|_| CsrfRejection::MalformedReferer)?,
    };
    WebOrigin::of_url(text).map_err(|_| CsrfRejection::MalformedReferer)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Scheme;

    /// A header line.
    type Line<'a> = (&'static str, &'a [u8]);

    const SITE: &str = "sec-fetch-site";
    const ORIGIN: &str = "origin";
    const REFERER: &str = "referer";

    fn check(method: &Method, lines: &[Line], expected: Option<&str>) -> Result<(), CsrfRejection> {
        let policy = CsrfPolicy {
            trusted_origins: vec!["https://partner.example:8443".parse().expect("an origin")],
        };
        let expected =
            expected.map(|host| ExpectedOrigin::new(Scheme::Https, host).expect("a host"));
        let headers = lines.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value).expect("a value"),
            )
        });
        policy.check_provenance(method, &headers.collect(), expected.as_ref())
    }

    fn post(lines: &[Line]) -> Result<(), CsrfRejection> {
        check(&Method::POST, lines, Some("app.example"))
    }

    // Proves: S51, S60
    #[test]
    fn fetch_metadata_decides_where_a_browser_sends_it() {
        use CsrfRejection::{CrossSite, DuplicateHeader, SameSite, UnknownFetchSite};
        let trusted: Line = (ORIGIN, b"https://partner.example:8443");
        let cases: &[(&[Line], Result<(), CsrfRejection>)] = &[
            (&[(SITE, b"same-origin")], Ok(())),
            (&[(SITE, b"none")], Ok(())),
            // It decides alone: our pages send `Origin: null` under `no-referrer`.
            (&[(SITE, b"same-origin"), (ORIGIN, b"null")], Ok(())),
            (&[(SITE, b"same-site")], Err(SameSite)),
            (
                &[(SITE, b"same-site"), (ORIGIN, b"https://evil.app.example")],
                Err(SameSite),
            ),
            (&[(SITE, b"same-site"), trusted], Ok(())),
            (&[(SITE, b"cross-site")], Err(CrossSite)),
            (&[(SITE, b"cross-site"), trusted], Ok(())),
            (
                &[(SITE, b"cross-site"), (ORIGIN, b"https://partner.example")],
                Err(CrossSite),
            ),
            (&[(SITE, b"cross-site"), (ORIGIN, b"null")], Err(CrossSite)),
            (&[(SITE, b"cross-site"), (ORIGIN, b"\xff")], Err(CrossSite)),
            // Our own origin does not help a request that the browser calls cross-site.
            (
                &[(SITE, b"cross-site"), (ORIGIN, b"https://app.example")],
                Err(CrossSite),
            ),
            (
                &[
                    (SITE, b"cross-site"),
                    (REFERER, b"https://partner.example:8443/"),
                ],
                Err(CrossSite),
            ),
            (&[(SITE, b"")], Err(UnknownFetchSite)),
            (&[(SITE, b"Same-Origin")], Err(UnknownFetchSite)),
            (
                &[(SITE, b"same-origin, same-origin")],
                Err(UnknownFetchSite),
            ),
            (&[(SITE, b"\xff")], Err(UnknownFetchSite)),
            (&[(SITE, b"brand-new"), trusted], Err(UnknownFetchSite)),
            (
                &[(SITE, b"same-origin"), (SITE, b"same-origin")],
                Err(DuplicateHeader),
            ),
            (
                &[
                    (SITE, b"same-origin"),
                    (ORIGIN, b"https://app.example"),
                    (ORIGIN, b"https://app.example"),
                ],
                Err(DuplicateHeader),
            ),
            (
                &[
                    (ORIGIN, b"https://app.example"),
                    (REFERER, b"https://app.example/"),
                    (REFERER, b"https://app.example/"),
                ],
                Err(DuplicateHeader),
            ),
        ];
        for (lines, expected) in cases {
            assert_eq!(post(lines), *expected, "{lines:?}");
        }
    }

    // Proves: S52, S53
    #[test]
    fn without_fetch_metadata_the_origin_must_match_exactly() {
        use CsrfRejection::{MalformedOrigin, NullOrigin, OriginMismatch};
        let cases: &[(&[u8], Result<(), CsrfRejection>)] = &[
            (b"https://app.example", Ok(())),
            (b"https://app.example:443", Ok(())),
            (b"https://APP.example", Ok(())),
            (b"https://partner.example:8443", Ok(())),
            (b"http://app.example", Err(OriginMismatch)),
            (b"https://app.example:8443", Err(OriginMismatch)),
            (b"https://app.example.attacker.com", Err(OriginMismatch)),
            (b"https://evil-app.example", Err(OriginMismatch)),
            (b"https://sub.app.example", Err(OriginMismatch)),
            (b"https://app.example.", Err(OriginMismatch)),
            (b"https://partner.example", Err(OriginMismatch)),
            (b"https://sub.partner.example:8443", Err(OriginMismatch)),
            (b"null", Err(NullOrigin)),
            (b"", Err(MalformedOrigin)),
            (b"*", Err(MalformedOrigin)),
            (b"https://app.example/", Err(MalformedOrigin)),
            (b"https://app.example@evil.example", Err(MalformedOrigin)),
            (
                b"https://app.example https://evil.example",
                Err(MalformedOrigin),
            ),
            (b"https://\xff", Err(MalformedOrigin)),
        ];
        for (origin, expected) in cases {
            assert_eq!(
                post(&[(ORIGIN, origin)]),
                *expected,
                "{}",
                origin.escape_ascii()
            );
            // A Referer of our own does not mend an Origin.
            assert_eq!(
                post(&[(ORIGIN, origin), (REFERER, b"https://app.example/")]),
                *expected,
                "{}",
                origin.escape_ascii()
            );
        }
    }

    // Proves: S52, S53
    #[test]
    fn without_an_origin_the_referer_must_match() {
        use CsrfRejection::{MalformedReferer, RefererMismatch};
        let cases: &[(&[u8], Result<(), CsrfRejection>)] = &[
            (b"https://app.example", Ok(())),
            (b"https://app.example/", Ok(())),
            (b"https://app.example/a/b?c=https://evil.example/#d", Ok(())),
            (b"https://app.example:443?x", Ok(())),
            (b"https://app.example/\xff", Ok(())),
            (b"https://partner.example:8443/page", Ok(())),
            (
                b"https://evil.example/https://app.example/",
                Err(RefererMismatch),
            ),
            (b"https://app.example.attacker.com/", Err(RefererMismatch)),
            (b"http://app.example/", Err(RefererMismatch)),
            (b"https://app.example@evil.example/", Err(MalformedReferer)),
            (
                b"https://app.example\\@evil.example/",
                Err(MalformedReferer),
            ),
            (b"about:blank", Err(MalformedReferer)),
            (b"null", Err(MalformedReferer)),
            (b"/page", Err(MalformedReferer)),
            (b"", Err(MalformedReferer)),
        ];
        for (referer, expected) in cases {
            assert_eq!(
                post(&[(REFERER, referer)]),
                *expected,
                "{}",
                referer.escape_ascii()
            );
        }
    }

    // Proves: S52
    #[test]
    fn a_client_that_is_no_browser_passes() {
        assert_eq!(post(&[]), Ok(()));
        assert_eq!(post(&[("user-agent", b"curl/8.5.0")]), Ok(()));
        assert_eq!(check(&Method::POST, &[], None), Ok(()));
    }

    // Proves: S52
    #[test]
    fn a_request_that_names_no_host_is_refused_if_a_browser_sent_it() {
        for line in [
            (ORIGIN, b"https://app.example".as_slice()),
            (ORIGIN, b"https://partner.example:8443"),
            (REFERER, b"https://app.example/"),
        ] {
            assert_eq!(
                check(&Method::POST, &[line], None),
                Err(CsrfRejection::NoExpectedOrigin),
                "{line:?}"
            );
        }
        assert_eq!(
            check(&Method::POST, &[(SITE, b"same-origin")], None),
            Ok(())
        );
    }

    // Proves: S51, S55
    #[test]
    fn safe_methods_pass_and_all_others_are_checked() {
        let cross: &[Line] = &[(SITE, b"cross-site"), (ORIGIN, b"https://evil.example")];
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert_eq!(
                check(&method, cross, Some("app.example")),
                Ok(()),
                "{method}"
            );
        }
        let invented = [
            "POST", "PUT", "PATCH", "DELETE", "CONNECT", "QUERY", "PROPFIND", "get",
        ];
        for method in invented {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(
                check(&method, cross, Some("app.example")),
                Err(CsrfRejection::CrossSite),
                "{method}"
            );
        }
    }

    #[test]
    fn a_websocket_handshake_is_checked_although_it_is_a_get() {
        let headers = HeaderMap::from_iter([(
            header::ORIGIN,
            HeaderValue::from_static("https://evil.example"),
        )]);
        let ours = ExpectedOrigin::new(Scheme::Https, "app.example").expect("a host");
        assert_eq!(
            CsrfPolicy::default().check_any_method(&headers, Some(&ours)),
            Err(CsrfRejection::OriginMismatch)
        );
    }

    // Proves: J6, S73
    #[test]
    fn a_rejection_says_why_and_repeats_nothing() {
        let rejection = post(&[(ORIGIN, b"https://secret.example")]).expect_err("not ours");
        assert_eq!(rejection.reason(), "origin_mismatch");
        assert_eq!(
            rejection.to_string(),
            "request refused as cross-site: origin_mismatch"
        );
    }
}
