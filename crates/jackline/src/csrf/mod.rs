//! Two layers against cross-site request forgery, as pure functions: they are handed headers, tokens and random bytes, and answer yes or
//! no. The first asks where a request comes from ([`CsrfPolicy`]), the second whether its sender has read something that only our own
//! pages can read ([`CsrfKeys`]). Neither relies on `SameSite`, neither stores anything, and every doubt is a refusal.
//!
//! # Layer one: provenance
//!
//! Every request whose method is not `GET`, `HEAD`, `OPTIONS` or `TRACE`:
//!
//! 1. `Sec-Fetch-Site`, if present, decides: `same-origin` and `none` pass; `same-site` and `cross-site` pass only if `Origin` is on the list of
//!    trusted origins; any other value is refused.
//! 2. Else `Origin` must be the expected origin or on the list. `null` never is.
//! 3. Else the origin of `Referer` must be.
//! 4. A client that sends none of the three is no browser, carries no victim's cookies, and passes.
//!
//! Two lines of any of the three are refused. `GET` is not looked at, so nothing may change state on `GET`, and no `_method` field may
//! turn one method into another. A WebSocket begins with a `GET` too: see [`CsrfPolicy::check_any_method`].
//!
//! # Layer two: a masked token
//!
//! A session's token value is `t = HMAC-SHA256(k, session token)`, where `k` is derived from a signing key under a label of its own. It exists
//! only as long as its session token: rotation at login gives another one, and there is nothing to store or to expire. What a page
//! holds is `base64url(mask ‖ (mask ⊕ t))` with a fresh random mask, so that no two responses contain the same bytes and compression
//! does not betray them (BREACH).
//!
//! # Deployment
//!
//! The expected origin needs the host and scheme that the browser saw. A proxy that rewrites `Host` or ends TLS must be listed in
//! [`TrustedProxies`](crate::proxy::TrustedProxies), or older browsers are refused. A page's `Referrer-Policy: no-referrer` makes
//! browsers send `Origin: null` with its forms, which is refused wherever `Sec-Fetch-Site` is missing: on plain HTTP outside of localhost, and in
//! browsers from before 2023. `same-origin` does not have that effect.
//!
//! Sources: OWASP CSRF Prevention Cheat Sheet, OWASP ASVS 5.0 §3.5, W3C Fetch Metadata Request Headers, RFC 6454.

mod origin;
mod provenance;
mod token;

pub use origin::{ExpectedOrigin, OriginParseError, TrustedOrigin};
pub use provenance::{CsrfPolicy, CsrfRejection};
pub use token::{CsrfKeyError, CsrfKeys, CsrfToken};
