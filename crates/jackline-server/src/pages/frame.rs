//! What is around every page: its title, who is signed in, the ways to the other pages; and the headers that keep it safe. Pages run no
//! script and take no style but this server's own files, stand in no frame, and are kept by no cache.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jackline::lifecycle::Role;
use jackline::{Session, SessionError};

use super::assets;
use crate::error::ApiError;

/// Which page it is, for the way to it that is marked as the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// None that the ways lead to.
    Elsewhere,
    /// The account.
    Account,
    /// Where somebody is signed in.
    Sessions,
    /// A new password.
    Password,
    /// Second factors.
    Factors,
    /// The console, for administrators.
    Console,
}

/// What the template `base.html` shows.
pub struct Frame {
    title: &'static str,
    place: Place,
    user: Option<String>,
    admin: bool,
    csrf: String,
}

impl std::fmt::Debug for Frame {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

impl Frame {
    /// Around a page for whoever: it knows nobody.
    pub fn for_anybody(title: &'static str) -> Self {
        Self {
            title,
            place: Place::Elsewhere,
            user: None,
            admin: false,
            csrf: String::new(),
        }
    }

    /// Around a page of somebody's session, with the CSRF token for its forms.
    ///
    /// # Errors
    /// As [`Session::csrf_token`].
    pub fn of(session: &Session, title: &'static str, place: Place) -> Result<Self, SessionError> {
        let identity = session.identity();
        Ok(Self {
            title,
            place,
            admin: identity
                .as_ref()
                .is_some_and(|identity| identity.role == Role::admin()),
            user: identity.map(|identity| identity.name.clone()),
            csrf: session.csrf_token()?.expose().to_owned(),
        })
    }

    pub(crate) fn title(&self) -> &str {
        self.title
    }

    /// Who is signed in.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The token for the page's forms.
    pub(crate) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// The ways to the main pages: where each leads, what it is called, and whether one is there.
    pub(crate) fn ways(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let open = WAYS
            .iter()
            .filter(|(place, ..)| self.admin || *place != Place::Console);
        open.map(|(place, path, name)| (*path, *name, *place == self.place))
    }

    pub(crate) fn style(&self) -> String {
        assets::STYLE.path()
    }

    /// The script of the console's pages. They do without.
    pub(crate) fn console_script(&self) -> String {
        assets::CONSOLE_SCRIPT.path()
    }

    /// The script for passkeys, on the pages that offer them.
    pub(crate) fn passkeys(&self) -> String {
        assets::PASSKEYS.path()
    }

    pub(crate) fn icon(&self) -> String {
        assets::ICON.path()
    }
}

const WAYS: [(Place, &str, &str); 5] = [
    (Place::Account, "/profile", "Account"),
    (Place::Sessions, "/sessions", "Your sessions"),
    (Place::Password, "/password", "Password"),
    (Place::Factors, "/factors", "Two-step sign-in"),
    (Place::Console, "/admin", "Console"),
];

/// A page as a response.
///
/// # Errors
/// If the template cannot be rendered, which only a formatter of ours can cause.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Result<Response, ApiError> {
    let html = template
        .render()
        .map_err(|error| ApiError::Internal(error.into()))?;
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Stricter than those of the answers to programs: `default-src 'none'`, and no style in the page itself.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none';script-src 'self';style-src 'self';img-src 'self';connect-src 'self';form-action 'self';\
         base-uri 'none';frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer`, forms would say that they come from the origin `null`.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    // The same address gives a program JSON.
    (header::VARY, "accept"),
];
