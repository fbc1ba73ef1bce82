//! The cookie: 32 random bytes and their HMAC-SHA256, both in base64.

use std::sync::LazyLock;

use axum::http::{HeaderMap, StatusCode, header};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Error;

static KEY: LazyLock<Hmac<Sha256>> =
    LazyLock::new(|| Hmac::new_from_slice(&[7; 64]).expect("HMAC takes keys of any length"));

/// A new token, and the `Set-Cookie` that brings it.
pub(crate) fn new() -> Result<(String, String), Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let mut mac = KEY.clone();
    mac.update(token.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let cookie = format!("sid={token}.{signature}; HttpOnly; SameSite=Lax; Path=/; Max-Age=1800");
    Ok((token, cookie))
}

/// The token that a request brings.
pub(crate) fn token(headers: &HeaderMap) -> Result<&str, StatusCode> {
    verified(headers).ok_or(StatusCode::UNAUTHORIZED)
}

fn verified(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let value = cookies
        .split("; ")
        .find_map(|cookie| cookie.strip_prefix("sid="))?;
    let (token, signature) = value.split_once('.')?;
    let mut bytes = [0; 32];
    BASE64_URL_SAFE_NO_PAD
        .decode_slice(signature, &mut bytes)
        .ok()?;
    let mut mac = KEY.clone();
    mac.update(token.as_bytes());
    mac.verify_slice(&bytes).ok()?;
    Some(token)
}
