//! As whom passkeys know this server: the origin that the browser addressed, and its host. A passkey answers to the host that it was made
//! for and to no other, which is what makes it useless to a page that only looks like this one (WebAuthn Level 3, section 13.4.9).

use axum::extract::FromRequestParts;
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use jackline::engine::{Connection, Engine, Incoming};
use url::Url;
use webauthn_rs::prelude::{Webauthn, WebauthnBuilder};

use crate::app::App;
use crate::error::ApiError;

/// The origin under which a request's browser knows this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty(Url);

impl RelyingParty {
    /// From an origin such as `https://app.example.com`. `None` if its host is no name: passkeys are bound to names.
    pub fn of_origin(origin: &str) -> Option<Self> {
        let url = Url::parse(origin).ok()?;
        url.domain()?;
        Some(Self(url))
    }

    /// The name that passkeys are bound to.
    pub fn id(&self) -> &str {
        self.0.domain().unwrap_or_default()
    }

    /// The origin, as browsers write it.
    pub(super) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// What checks passkeys' answers.
    pub(super) fn webauthn(&self) -> anyhow::Result<Webauthn> {
        WebauthnBuilder::new(self.id(), &self.0)
            .and_then(|builder| builder.rp_name("Jackline").build())
            .map_err(|error| anyhow::anyhow!("no passkeys for this origin: {error}"))
    }

    /// If there are public origins, one of them: the one that the request is for, or comes from, or the first. Else the one that the
    /// request is for, as the CSRF defence has it.
    fn of_request(parts: &Parts, engine: &Engine, public: &[String]) -> Option<Self> {
        let incoming = Incoming {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            connection: parts.extensions.get::<Connection>().copied(),
        };
        let addressed = engine
            .expected_origin(&incoming)
            .map(|origin| origin.to_string());
        if public.is_empty() {
            return Self::of_origin(&addressed?);
        }
        let from = parts
            .headers
            .get(ORIGIN)
            .and_then(|value| value.to_str().ok());
        let named = [addressed.as_deref(), from]
            .into_iter()
            .flatten()
            .find_map(|origin| public.iter().find(|public| *public == origin));
        Self::of_origin(named.or(public.first())?)
    }
}

impl FromRequestParts<App> for RelyingParty {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Self::of_request(parts, &app.engine, &app.public_origins).ok_or(ApiError::Conflict(
            "Passkeys need a host name: open this site by its name, or as localhost",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: R2
    #[test]
    fn passkeys_are_bound_to_names_and_localhost_is_one() {
        for (origin, id) in [
            ("https://app.example.com", Some("app.example.com")),
            ("http://localhost:3000", Some("localhost")),
            ("http://127.0.0.1:3000", None),
            ("http://[::1]:3000", None),
            ("null", None),
        ] {
            let party = RelyingParty::of_origin(origin);
            assert_eq!(party.as_ref().map(RelyingParty::id), id, "{origin}");
            if let Some(party) = party {
                assert!(party.webauthn().is_ok(), "{origin}");
            }
        }
    }
}
