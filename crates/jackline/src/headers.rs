//! Security headers on every response, also on the one whose handler forgot them. With no configuration the set is what helmet 8 sends
//! to an Express application, value for value, with one strengthening: the policy says `base-uri 'none'`. A header which the handler
//! set itself is left alone, `X-Powered-By` is removed, and a value that browsers would ignore is an error when the layer is built,
//! never a silent gap.
//!
//! | header | value |
//! |---|---|
//! | `Content-Security-Policy` | `default-src 'self';base-uri 'none';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests` |
//! | `Cross-Origin-Opener-Policy` | `same-origin` |
//! | `Cross-Origin-Resource-Policy` | `same-origin` |
//! | `Origin-Agent-Cluster` | `?1` |
//! | `Referrer-Policy` | `no-referrer` |
//! | `Strict-Transport-Security` | `max-age=31536000; includeSubDomains` |
//! | `X-Content-Type-Options` | `nosniff` |
//! | `X-DNS-Prefetch-Control` | `off` |
//! | `X-Download-Options` | `noopen` |
//! | `X-Frame-Options` | `SAMEORIGIN` |
//! | `X-Permitted-Cross-Domain-Policies` | `none` |
//! | `X-XSS-Protection` | `0` |
//!
//! # Example
//!
//! ```
//! use http::{Request, Response};
//! use jackline::headers::SecurityHeadersLayer;
//! use tower::{ServiceExt, service_fn};
//! use tower_layer::Layer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let handler = service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new("hello")) });
//! let response = SecurityHeadersLayer::default().layer(handler).oneshot(Request::new(())).await?;
//!
//! assert_eq!(response.headers()["x-content-type-options"], "nosniff");
//! assert_eq!(response.headers()["x-frame-options"], "SAMEORIGIN");
//! # Ok(())
//! # }
//! ```
//!
//! # Deployment
//!
//! - `Strict-Transport-Security` is sent over plain HTTP too, as helmet does. Browsers must ignore it there (RFC 6797 §8.1), so it costs
//!   a few bytes in development; a proxy that terminates TLS passes it on.
//! - `includeSubDomains` binds every subdomain to HTTPS for a year. If one of them has to stay on plain HTTP, replace the header.
//! - `upgrade-insecure-requests` makes Safari fetch a page's own scripts and styles from `https://localhost` in development. Replace the
//!   policy there if you test with Safari and without TLS.
//! - `Referrer-Policy: no-referrer` makes browsers send `Origin: null` with a form's POST (Fetch §3.2, "append a request `Origin`
//!   header"). Browsers that send `Sec-Fetch-Site` are told apart by that; for those that do not (Safari before 16.4, and every browser on
//!   plain HTTP outside of localhost) choose `same-origin` here, or their forms are refused by [`csrf`](crate::csrf).
//!
//! Sources: OWASP ASVS 5.0 §3.4, OWASP HTTP Headers Cheat Sheet, RFC 6797, CSP Level 3.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header, header::Entry};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Puts [`SecurityHeaders`] around a service. Cloning shares the values; nothing is formatted per request.
///
/// [`Default`] is the full set in the [module's table](self). To change it:
///
/// ```
/// use jackline::headers::{SecurityHeader, SecurityHeadersLayer};
///
/// let layer = SecurityHeadersLayer::builder()
///     .replace(SecurityHeader::XFrameOptions, "DENY")
///     .replace(SecurityHeader::ReferrerPolicy, "same-origin")
///     .build()?;
/// # Ok::<(), jackline::headers::SecurityHeadersError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SecurityHeadersLayer {
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl SecurityHeadersLayer {
    /// Starts from the full set; see [`SecurityHeadersBuilder`].
    pub fn builder() -> SecurityHeadersBuilder {
        SecurityHeadersBuilder::default()
    }
}

impl Default for SecurityHeadersLayer {
    fn default() -> Self {
        let default = |header: SecurityHeader| {
            (
                header.name(),
                HeaderValue::from_static(header.default_value()),
            )
        };
        Self {
            headers: SecurityHeader::ALL.into_iter().map(default).collect(),
        }
    }
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeaders<S>;

    fn layer(&self, inner: S) -> SecurityHeaders<S> {
        SecurityHeaders {
            inner,
            headers: Arc::clone(&self.headers),
        }
    }
}

/// Adds the security headers to every response of the service inside. Made by [`SecurityHeadersLayer`].
///
/// Errors of the inner service pass through untouched: where they become responses, put the layer outside of that.
#[derive(Clone, Debug)]
pub struct SecurityHeaders<S> {
    inner: S,
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl<S, Req, Res> Service<Request<Req>> for SecurityHeaders<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
{
    type Response = Response<Res>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> ResponseFuture<S::Future> {
        ResponseFuture {
            inner: self.inner.call(request),
            headers: Arc::clone(&self.headers),
        }
    }
}

pin_project! {
    /// The response of [`SecurityHeaders`], on its way.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        headers: Arc<[(HeaderName, HeaderValue)]>,
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        add_missing(response.headers_mut(), this.headers);
        Poll::Ready(Ok(response))
    }
}

fn add_missing(response: &mut HeaderMap, headers: &[(HeaderName, HeaderValue)]) {
    response.remove("x-powered-by");
    for (name, value) in headers {
        if let Entry::Vacant(vacant) = response.entry(name) {
            vacant.insert(value.clone());
        }
    }
}

/// One of the headers which [`SecurityHeadersLayer`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecurityHeader {
    /// What a page may load and run. Replacements must name `default-src`, and `base-uri`, `form-action` and `frame-ancestors`, which do
    /// not fall back on it (CSP 3 §6).
    ///
    /// Strengthened over helmet: `base-uri 'none'`. An injected `<base>` redirects every relative script and form of a page.
    ContentSecurityPolicy,
    /// Keeps windows of other origins out of the page's browsing context group.
    CrossOriginOpenerPolicy,
    /// Who may embed the response as image, script and the like.
    CrossOriginResourcePolicy,
    /// Asks for a process per origin.
    OriginAgentCluster,
    /// What other sites learn about the page's address.
    ReferrerPolicy,
    /// HTTPS only, from now on. Replacements need a `max-age` of at least 31,536,000 seconds (one year, ASVS 5.0 §3.4.1).
    StrictTransportSecurity,
    /// Only `nosniff` exists.
    XContentTypeOptions,
    /// Whether names in links are looked up ahead of a click.
    XDnsPrefetchControl,
    /// Only `noopen` exists. For Internet Explorer.
    XDownloadOptions,
    /// `frame-ancestors` for browsers that do not know it.
    XFrameOptions,
    /// What Flash and Acrobat may load across domains.
    XPermittedCrossDomainPolicies,
    /// Only `0` is accepted: the auditors it used to switch on could be turned against the page.
    XXssProtection,
}

impl SecurityHeader {
    /// All of them, in the order in which they are sent.
    pub const ALL: [Self; 12] = [
        Self::ContentSecurityPolicy,
        Self::CrossOriginOpenerPolicy,
        Self::CrossOriginResourcePolicy,
        Self::OriginAgentCluster,
        Self::ReferrerPolicy,
        Self::StrictTransportSecurity,
        Self::XContentTypeOptions,
        Self::XDnsPrefetchControl,
        Self::XDownloadOptions,
        Self::XFrameOptions,
        Self::XPermittedCrossDomainPolicies,
        Self::XXssProtection,
    ];

    /// Its name on the wire.
    pub fn name(self) -> HeaderName {
        match self {
            Self::ContentSecurityPolicy => header::CONTENT_SECURITY_POLICY,
            Self::CrossOriginOpenerPolicy => HeaderName::from_static("cross-origin-opener-policy"),
            Self::CrossOriginResourcePolicy => {
                HeaderName::from_static("cross-origin-resource-policy")
            }
            Self::OriginAgentCluster => HeaderName::from_static("origin-agent-cluster"),
            Self::ReferrerPolicy => header::REFERRER_POLICY,
            Self::StrictTransportSecurity => header::STRICT_TRANSPORT_SECURITY,
            Self::XContentTypeOptions => header::X_CONTENT_TYPE_OPTIONS,
            Self::XDnsPrefetchControl => header::X_DNS_PREFETCH_CONTROL,
            Self::XDownloadOptions => HeaderName::from_static("x-download-options"),
            Self::XFrameOptions => header::X_FRAME_OPTIONS,
            Self::XPermittedCrossDomainPolicies => {
                HeaderName::from_static("x-permitted-cross-domain-policies")
            }
            Self::XXssProtection => header::X_XSS_PROTECTION,
        }
    }

    /// The value it has unless replaced.
    pub const fn default_value(self) -> &'static str {
        match self {
            Self::ContentSecurityPolicy => {
                "default-src 'self';base-uri 'none';font-src 'self' https: data:;form-action 'self';\
                 frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';\
                 script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests"
            }
            Self::CrossOriginOpenerPolicy | Self::CrossOriginResourcePolicy => "same-origin",
            Self::OriginAgentCluster => "?1",
            Self::ReferrerPolicy => "no-referrer",
            Self::StrictTransportSecurity => "max-age=31536000; includeSubDomains",
            Self::XContentTypeOptions => "nosniff",
            Self::XDnsPrefetchControl => "off",
            Self::XDownloadOptions => "noopen",
            Self::XFrameOptions => "SAMEORIGIN",
            Self::XPermittedCrossDomainPolicies => "none",
            Self::XXssProtection => "0",
        }
    }

    /// Says what is wrong with a value. A header that browsers ignore is worse than none: one believes to be protected.
    fn judge(self, value: &str) -> Result<(), &'static str> {
        let one_of = |allowed: &[&str], complaint| match allowed.contains(&value) {
            true => Ok(()),
            false => Err(complaint),
        };
        match self {
            Self::ContentSecurityPolicy => judge_content_security_policy(value),
            Self::CrossOriginOpenerPolicy => one_of(
                &[
                    "same-origin",
                    "same-origin-allow-popups",
                    "noopener-allow-popups",
                    "unsafe-none",
                ],
                "must be same-origin, same-origin-allow-popups, noopener-allow-popups or unsafe-none",
            ),
            Self::CrossOriginResourcePolicy => one_of(
                &["same-origin", "same-site", "cross-origin"],
                "must be same-origin, same-site or cross-origin",
            ),
            Self::OriginAgentCluster => one_of(&["?1", "?0"], "must be ?1 or ?0"),
            Self::ReferrerPolicy => match value
                .split(',')
                .all(|policy| REFERRER_POLICIES.contains(&policy.trim()))
            {
                true => Ok(()),
                false => Err(
                    "must be a policy of the Referrer Policy standard, or several, separated by commas",
                ),
            },
            Self::StrictTransportSecurity => judge_strict_transport_security(value),
            Self::XContentTypeOptions => one_of(&["nosniff"], "must be nosniff"),
            Self::XDnsPrefetchControl => one_of(&["on", "off"], "must be on or off"),
            Self::XDownloadOptions => one_of(&["noopen"], "must be noopen"),
            Self::XFrameOptions => one_of(
                &["DENY", "SAMEORIGIN"],
                "must be DENY or SAMEORIGIN; use the CSP's frame-ancestors for more",
            ),
            Self::XPermittedCrossDomainPolicies => one_of(
                &["none", "master-only", "by-content-type", "all"],
                "must be none, master-only, by-content-type or all",
            ),
            Self::XXssProtection => {
                one_of(&["0"], "must be 0: the old filters are themselves a hole")
            }
        }
    }
}

/// Changes single headers of the full set. What is not mentioned keeps its default; of two calls for one header the later counts.
#[derive(Clone, Debug, Default)]
pub struct SecurityHeadersBuilder {
    changes: Vec<(SecurityHeader, Option<String>)>,
}

impl SecurityHeadersBuilder {
    /// Sends this value in place of the default.
    ///
    /// A policy that needs a fresh nonce per response is the handler's to set: headers which it set are kept.
    #[must_use]
    pub fn replace(mut self, header: SecurityHeader, value: impl Into<String>) -> Self {
        self.changes.push((header, Some(value.into())));
        self
    }

    /// Leaves this header away. Some protection ends with it: see [`SecurityHeader`] for which.
    ///
    /// ```
    /// use jackline::headers::{SecurityHeader, SecurityHeadersLayer};
    ///
    /// // The proxy in front of us already sends it.
    /// let layer = SecurityHeadersLayer::builder().danger_without(SecurityHeader::StrictTransportSecurity).build()?;
    /// # Ok::<(), jackline::headers::SecurityHeadersError>(())
    /// ```
    #[must_use]
    pub fn danger_without(mut self, header: SecurityHeader) -> Self {
        self.changes.push((header, None));
        self
    }

    /// Checks every value and makes the layer.
    ///
    /// # Errors
    ///
    /// [`SecurityHeadersError`], which lists all headers whose value browsers would ignore or which is weaker than the standards ask.
    pub fn build(self) -> Result<SecurityHeadersLayer, SecurityHeadersError> {
        let mut headers = Vec::with_capacity(SecurityHeader::ALL.len());
        let mut mistakes = Vec::new();
        for header in SecurityHeader::ALL {
            match self
                .changes
                .iter()
                .rev()
                .find(|(changed, _)| *changed == header)
            {
                None => headers.push((
                    header.name(),
                    HeaderValue::from_static(header.default_value()),
                )),
                Some((_, None)) => {}
                Some((_, Some(value))) => match parse(header, value) {
                    Ok(value) => headers.push((header.name(), value)),
                    Err(complaint) => mistakes.push((header, complaint)),
                },
            }
        }
        match mistakes.is_empty() {
            true => Ok(SecurityHeadersLayer {
                headers: headers.into(),
            }),
            false => Err(SecurityHeadersError { mistakes }),
        }
    }
}

/// Headers that were given values which protect nobody. The message names every one of them and says what would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityHeadersError {
    /// Never empty.
    mistakes: Vec<(SecurityHeader, &'static str)>,
}

impl SecurityHeadersError {
    /// The headers at fault.
    pub fn headers(&self) -> impl Iterator<Item = SecurityHeader> + '_ {
        self.mistakes.iter().map(|(header, _)| *header)
    }
}

impl fmt::Display for SecurityHeadersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("security headers that do not protect")?;
        for (index, (header, complaint)) in self.mistakes.iter().enumerate() {
            write!(
                f,
                "{} {} {complaint}",
                if index == 0 { ":" } else { ";" },
                header.name()
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for SecurityHeadersError {}

fn parse(header: SecurityHeader, value: &str) -> Result<HeaderValue, &'static str> {
    header.judge(value)?;
    // HeaderValue admits bytes above 127, which no browser reads the same way.
    match HeaderValue::from_str(value) {
        Ok(value) if value.to_str().is_ok() => Ok(value),
        _ => Err("must be printable ASCII"),
    }
}

fn judge_content_security_policy(value: &str) -> Result<(), &'static str> {
    if value.contains(',') {
        return Err("must be one policy: a comma begins a second one");
    }
    let mut seen: Vec<String> = Vec::new();
    for directive in value.split(';') {
        let Some(name) = directive.split_ascii_whitespace().next() else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        if seen.contains(&name) {
            return Err("must not name a directive twice: browsers ignore the second");
        }
        seen.push(name);
    }
    let names = |wanted: &str| seen.iter().any(|name| name == wanted);
    if !names("default-src") {
        return Err("must name default-src");
    }
    if !(names("base-uri") && names("form-action") && names("frame-ancestors")) {
        return Err(
            "must name base-uri, form-action and frame-ancestors: they do not fall back on default-src",
        );
    }
    Ok(())
}

fn judge_strict_transport_security(value: &str) -> Result<(), &'static str> {
    let mut max_age_seconds = None;
    for directive in value.split(';').map(str::trim) {
        let (name, argument) = directive
            .split_once('=')
            .map_or((directive, None), |(name, argument)| (name, Some(argument)));
        match (name.to_ascii_lowercase().as_str(), argument) {
            ("max-age", Some(seconds)) if max_age_seconds.is_none() => {
                max_age_seconds = seconds.parse::<u64>().ok()
            }
            ("includesubdomains" | "preload", None) => {}
            _ => return Err("must be max-age=…, and optionally includeSubDomains and preload"),
        }
    }
    match max_age_seconds {
        Some(seconds) if seconds >= ONE_YEAR_SECONDS => Ok(()),
        Some(_) => Err("must have a max-age of at least 31536000 seconds (one year)"),
        None => Err("must have a max-age in seconds"),
    }
}

const ONE_YEAR_SECONDS: u64 = 31_536_000;

const REFERRER_POLICIES: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn respond(
        layer: SecurityHeadersLayer,
        set_by_handler: &[(&'static str, &'static str)],
    ) -> HeaderMap {
        let handler = service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(());
            for (name, value) in set_by_handler {
                response
                    .headers_mut()
                    .append(*name, HeaderValue::from_static(value));
            }
            Ok::<_, Infallible>(response)
        });
        let Ok(response) = layer.layer(handler).oneshot(Request::new(())).await;
        response.into_parts().0.headers
    }

    // Proves: T10.2, S64, S65, S66
    #[tokio::test]
    async fn the_defaults_are_those_of_helmet_8_but_for_base_uri() {
        let headers = respond(SecurityHeadersLayer::default(), &[]).await;
        // As printed by helmet 8.3.0.
        let helmet = [
            (
                "content-security-policy",
                "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' \
                 data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';\
                 upgrade-insecure-requests",
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("origin-agent-cluster", "?1"),
            ("referrer-policy", "no-referrer"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-dns-prefetch-control", "off"),
            ("x-download-options", "noopen"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-permitted-cross-domain-policies", "none"),
            ("x-xss-protection", "0"),
        ];
        assert_eq!(headers.len(), helmet.len());
        for (name, value) in helmet {
            assert_eq!(
                headers[name],
                value.replace("base-uri 'self'", "base-uri 'none'"),
                "{name}"
            );
        }
    }

    // Proves: T10.2
    #[tokio::test]
    async fn what_the_handler_set_stays_and_powered_by_goes() {
        let own = [
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "script-src 'nonce-1'"),
            ("referrer-policy", "origin"),
            ("x-powered-by", "PHP/5.2"),
            ("x-powered-by", "Express"),
            ("content-type", "text/plain"),
        ];
        let headers = respond(SecurityHeadersLayer::default(), &own).await;
        let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
        assert_eq!(policies, ["default-src 'none'", "script-src 'nonce-1'"]);
        assert_eq!(headers["referrer-policy"], "origin");
        assert_eq!(headers["content-type"], "text/plain");
        assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
        assert!(!headers.contains_key("x-powered-by"));
    }

    #[tokio::test]
    async fn single_headers_are_replaced_or_dropped_and_the_last_word_counts() {
        let layer = SecurityHeadersLayer::builder()
            .replace(SecurityHeader::XFrameOptions, "ALLOWALL")
            .replace(SecurityHeader::XFrameOptions, "DENY")
            .danger_without(SecurityHeader::StrictTransportSecurity)
            .build()
            .expect("the later value is valid");
        let headers = respond(layer, &[]).await;
        assert_eq!(headers["x-frame-options"], "DENY");
        assert!(!headers.contains_key("strict-transport-security"));
        assert_eq!(headers.len(), SecurityHeader::ALL.len() - 1);
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for header in SecurityHeader::ALL {
            assert_eq!(
                parse(header, header.default_value()),
                Ok(HeaderValue::from_static(header.default_value())),
                "{header:?}"
            );
        }
    }

    // Proves: S64, S65
    #[test]
    fn values_that_protect_nobody_are_refused() {
        use SecurityHeader as H;
        let useless = [
            (H::ContentSecurityPolicy, ""),
            (H::ContentSecurityPolicy, "script-src 'self'"),
            (H::ContentSecurityPolicy, "default-src 'self'"),
            (
                H::ContentSecurityPolicy,
                "default-src 'self';base-uri 'none';form-action 'self'",
            ),
            (
                H::ContentSecurityPolicy,
                "default-src *;default-src 'self';base-uri 'none';form-action 'self';frame-ancestors 'self'",
            ),
            (
                H::ContentSecurityPolicy,
                "default-src 'self';base-uri 'none';form-action 'self';frame-ancestors 'self', img-src *",
            ),
            (
                H::ContentSecurityPolicy,
                "default-src 'self';base-uri 'none';form-action 'self';frame-ancestors bücher.example",
            ),
            (
                H::ContentSecurityPolicy,
                "default-src 'self';base-uri 'none';form-action 'self';frame-ancestors 'self'\r\nset-cookie: a=b",
            ),
            (H::StrictTransportSecurity, ""),
            (H::StrictTransportSecurity, "includeSubDomains"),
            (H::StrictTransportSecurity, "max-age=31535999"),
            (H::StrictTransportSecurity, "max-age=-1"),
            (H::StrictTransportSecurity, "max-age=31536000; max-age=0"),
            (
                H::StrictTransportSecurity,
                "max-age=31536000, includeSubDomains",
            ),
            (
                H::StrictTransportSecurity,
                "max-age=31536000; includeSubdomain",
            ),
            (H::ReferrerPolicy, "never"),
            (H::ReferrerPolicy, ""),
            (H::XContentTypeOptions, "sniff"),
            (H::XFrameOptions, "ALLOW-FROM https://a.example"),
            (H::XXssProtection, "1; mode=block"),
            (H::CrossOriginOpenerPolicy, "none"),
            (H::CrossOriginResourcePolicy, "none"),
            (H::OriginAgentCluster, "1"),
            (H::XDnsPrefetchControl, "yes"),
            (H::XDownloadOptions, "open"),
            (H::XPermittedCrossDomainPolicies, "some"),
        ];
        for (header, value) in useless {
            let error = SecurityHeadersLayer::builder()
                .replace(header, value)
                .build()
                .expect_err(value);
            assert_eq!(error.headers().collect::<Vec<_>>(), [header], "{value}");
        }
    }

    // Proves: J11
    #[test]
    fn all_mistakes_come_in_one_message() {
        let error = SecurityHeadersLayer::builder()
            .replace(SecurityHeader::XFrameOptions, "NEVER")
            .replace(SecurityHeader::XXssProtection, "1")
            .build()
            .expect_err("two wrong values");
        assert_eq!(
            error.to_string(),
            "security headers that do not protect: x-frame-options must be DENY or SAMEORIGIN; use the CSP's frame-ancestors for more; \
             x-xss-protection must be 0: the old filters are themselves a hole"
        );
    }

    #[tokio::test]
    async fn an_error_of_the_inner_service_passes_untouched() {
        let failing = service_fn(|_: Request<()>| async { Err::<Response<()>, _>("down") });
        let outcome = SecurityHeadersLayer::default()
            .layer(failing)
            .oneshot(Request::new(()))
            .await;
        assert_eq!(outcome.expect_err("it failed"), "down");
    }
}
