//! What the library writes and reads on the way of a request, piece by piece: for benchmarks, and for whoever wants to see it.

use std::time::Duration;

use http::HeaderValue;

use crate::cookie::{CookieSpec, Keyring};
use crate::token::SessionToken;

/// The `Set-Cookie` header by which a browser gets a token.
#[must_use]
pub fn set_cookie(
    spec: &CookieSpec,
    keys: &Keyring,
    token: &SessionToken,
    max_age: Duration,
) -> HeaderValue {
    spec.set(&crate::cookie::write(token, keys), max_age)
}

/// A record as it stands in Redis.
#[cfg(feature = "redis")]
#[must_use]
pub fn record_to_line(record: &crate::lifecycle::Record) -> Vec<u8> {
    crate::store::codec::line::encode(record)
}

/// A record from what stands in Redis.
///
/// # Errors
/// If that is no record.
#[cfg(feature = "redis")]
pub fn record_from_line(
    line: &[u8],
) -> Result<crate::lifecycle::Record, crate::store::CorruptRecord> {
    crate::store::codec::line::decode_line(line)
}

/// The command that commits a delta to a session in Redis.
#[cfg(feature = "redis")]
#[must_use]
pub fn delta_to_command(
    key: &crate::token::SessionKey,
    delta: &crate::lifecycle::Delta,
    now: crate::lifecycle::UnixMs,
) -> Vec<u8> {
    crate::store::redis::commit_command(key, delta, now)
}
