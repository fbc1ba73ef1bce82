//! The cookies that session tokens travel in: one, and while sessions that were shared with Express live on, Express's too.

use http::HeaderValue;

use super::attributes::CookieSpec;
use super::keyring::Keyring;
use super::read::{CookieForm, Reading, read};
use crate::token::SessionToken;

/// Which cookies are read and written.
#[derive(Debug)]
pub(crate) struct SessionCookies {
    pub(crate) spec: CookieSpec,
    /// What its value is made of, and which tokens are made.
    pub(crate) form: CookieForm,
    /// The cookie that re-keyed sessions come with.
    pub(crate) express: Option<CookieSpec>,
}

impl SessionCookies {
    /// Reads these cookie headers.
    pub(crate) fn read<'a>(
        &self,
        headers: impl IntoIterator<Item = &'a HeaderValue> + Copy,
        keys: &Keyring,
    ) -> Reading {
        let reading = read(headers, self.spec.name(), self.form, keys);
        match &self.express {
            // One of ours that is not good is no reason to believe another.
            Some(express) if reading.token.is_none() && reading.rejected.is_none() => {
                read(headers, express.name(), CookieForm::Express, keys)
            }
            _ => reading,
        }
    }

    /// The cookie that a token travels in.
    pub(crate) fn spec_for(&self, token: Option<&SessionToken>) -> &CookieSpec {
        match (&self.express, token) {
            (Some(express), Some(token)) if token.is_express() => express,
            _ => &self.spec,
        }
    }
}
