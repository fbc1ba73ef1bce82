//! A virtual authenticator, as a phone or a laptop has one built in: its owner has put a finger on it. Chromium's own, by the part of
//! the WebAuthn standard that is about automation.

use serde_json::{Value, json};

use super::Chromium;

/// An authenticator in a browser.
#[derive(Debug)]
pub struct Authenticator<'a> {
    browser: &'a Chromium,
    path: String,
}

impl Chromium {
    /// Builds one in. Whoever it asks agrees, and is who they should be.
    #[must_use]
    pub fn add_authenticator(&self) -> Authenticator<'_> {
        let id = self.tell(
            "/webauthn/authenticator",
            &json!({
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": true,
                "hasUserVerification": true,
                "isUserConsenting": true,
                "isUserVerified": true,
            }),
        );
        let path = format!("/webauthn/authenticator/{}", id.as_str().unwrap());
        Authenticator {
            browser: self,
            path,
        }
    }
}

impl Authenticator<'_> {
    /// The passkeys in it.
    #[must_use]
    pub fn credentials(&self) -> Vec<Value> {
        let held = self.browser.ask(&format!("{}/credentials", self.path));
        held.as_array().unwrap().clone()
    }

    /// Whether the next one whom it asks turns out to be its owner.
    pub fn user_is_verified(&self, verified: bool) {
        let body = json!({ "isUserVerified": verified });
        self.browser.tell(&format!("{}/uv", self.path), &body);
    }

    /// Takes it out, as when a key is pulled.
    pub fn remove(self) {
        self.browser.untell(&self.path);
    }
}
