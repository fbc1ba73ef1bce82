//! `GET /assets/{name}`: the few files that pages need, built into the program. Their addresses name their content, so browsers keep them
//! for good and never mix the old with the new.

use std::sync::LazyLock;

use axum::extract::{Path, Query};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    /// Hashed once, when it is first asked for.
    version: LazyLock<String>,
}

macro_rules! asset {
    ($file:literal, $kind:literal) => {
        Asset {
            name: $file,
            kind: $kind,
            content: include_str!(concat!("../../assets/", $file)),
            version: LazyLock::new(|| version(include_str!(concat!("../../assets/", $file)))),
        }
    };
}

pub(super) static STYLE: Asset = asset!("jackline.css", "text/css; charset=utf-8");
pub(super) static ICON: Asset = asset!("jackline.svg", "image/svg+xml");
pub(super) static CONSOLE_SCRIPT: Asset = asset!("console.js", "text/javascript; charset=utf-8");
pub(super) static PASSKEYS: Asset = asset!("passkeys.js", "text/javascript; charset=utf-8");
static ALL: [&Asset; 4] = [&STYLE, &ICON, &CONSOLE_SCRIPT, &PASSKEYS];

/// `?v=…`: which content was meant.
#[derive(Debug, Deserialize)]
pub struct Version {
    v: Option<String>,
}

/// The file of this name.
///
/// # Errors
/// `404` if there is none.
pub async fn asset(
    Path(name): Path<String>,
    Query(version): Query<Version>,
) -> Result<Response, ApiError> {
    let asset = ALL
        .iter()
        .find(|asset| asset.name == name)
        .ok_or(ApiError::NotFound)?;
    let kept = match version.v {
        Some(version) if version == *asset.version => "public, max-age=31536000, immutable",
        _ => "no-cache",
    };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, kept),
    ];
    Ok((headers, asset.content).into_response())
}

/// Eight bytes of the content's hash: enough to tell one release's file from another's.
fn version(content: &str) -> String {
    let digest = Sha256::digest(content);
    let mut number = 0;
    for byte in &digest[..8] {
        number = number << 8 | u64::from(*byte);
    }
    format!("{number:016x}")
}

impl Asset {
    /// Where it is, for pages.
    pub(super) fn path(&self) -> String {
        format!("/assets/{}?v={}", self.name, *self.version)
    }
}
