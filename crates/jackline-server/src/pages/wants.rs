//! Who asks: a person's browser, or a program. By `Accept` (RFC 9110, section 12.5.1), and by nothing else.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use headers_accept::Accept;
use mediatype::MediaType;
use mediatype::names::{APPLICATION, HTML, JSON, TEXT};

use crate::error::ApiError;

const PAGE: MediaType<'_> = MediaType::new(TEXT, HTML);
const API: MediaType<'_> = MediaType::new(APPLICATION, JSON);
/// The first of them where both are equally welcome, as to `*/*`.
const OFFERED: &[MediaType<'_>] = &[API, PAGE];

/// What an answer should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// JSON: whoever does not say that they prefer a page.
    Json,
    /// HTML.
    Page,
}

impl Wants {
    /// What these headers ask for.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(ACCEPT).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Self::Json;
        };
        let accept = line
            .to_str()
            .ok()
            .and_then(|text| text.parse::<Accept>().ok());
        let best = accept.as_ref().and_then(|accept| accept.negotiate(OFFERED));
        match best {
            Some(best) if *best == PAGE => Self::Page,
            _ => Self::Json,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Wants {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// For the `GET` of a path that has a form and no JSON: to a program, there is no such method.
#[derive(Debug, Clone, Copy)]
pub struct PageOnly;

impl<S: Sync> FromRequestParts<S> for PageOnly {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Wants::of(&parts.headers) {
            Wants::Page => Ok(Self),
            Wants::Json => Err(ApiError::PageOnly),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &[&'static str]) -> Wants {
        let lines = accept.iter().map(|line| (ACCEPT, line.parse().unwrap()));
        Wants::of(&lines.collect())
    }

    #[test]
    fn browsers_get_pages_and_everybody_else_json() {
        let chrome =
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        for page in [
            chrome,
            "text/html",
            "text/*",
            "text/html;q=0.9, application/json;q=0.8",
            "application/xhtml+xml, text/html",
        ] {
            assert_eq!(wants(&[page]), Wants::Page, "{page}");
        }
        for json in [
            "",
            "*/*",
            "application/json",
            "application/json, text/html",
            "application/json, text/html;q=0.9",
            "text/html;q=0",
            "application/*, */*;q=0.1",
            "image/png",
            "nonsense",
        ] {
            assert_eq!(wants(&[json]), Wants::Json, "{json}");
        }
        assert_eq!(wants(&[]), Wants::Json);
        assert_eq!(wants(&["text/html", "text/html"]), Wants::Json);
    }
}
