//! `GET /assets/{name}`: the few files that pages need, built into the program. Their addresses name their content, so browsers keep them
//! for good and never mix the old with the new.

use std::sync::LazyLock;

use axum::extract::{Path, Query};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

const STYLE: Asset = Asset {
    name: "jackline.css",
    kind: "text/css; charset=utf-8",
    content: include_str!("../../assets/jackline.css"),
};
const ICON: Asset = Asset {
    name: "jackline.svg",
    kind: "image/svg+xml",
    content: include_str!("../../assets/jackline.svg"),
};
const CONSOLE_SCRIPT: Asset = Asset {
    name: "console.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("../../assets/console.js"),
};
const PASSKEYS: Asset = Asset {
    name: "passkeys.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("../../assets/passkeys.js"),
};
const ALL: [Asset; 4] = [STYLE, ICON, CONSOLE_SCRIPT, PASSKEYS];

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
        Some(version) if version == asset.version() => "public, max-age=31536000, immutable",
        _ => "no-cache",
    };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, kept),
    ];
    Ok((headers, asset.content).into_response())
}

impl Asset {
    fn version(&self) -> String {
        let digest = Sha256::digest(self.content);
        let mut number = 0;
        for byte in &digest[..8] {
            number = number << 8 | u64::from(*byte);
        }
        format!("{number:016x}")
    }

    fn path(&self) -> String {
        format!("/assets/{}?v={}", self.name, self.version())
    }
}

pub(super) fn style_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| STYLE.path());
    &PATH
}

pub(super) fn console_script_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| CONSOLE_SCRIPT.path());
    &PATH
}

pub(super) fn passkeys_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| PASSKEYS.path());
    &PATH
}

pub(super) fn icon_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| ICON.path());
    &PATH
}
