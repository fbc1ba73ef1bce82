//! What a person sees. The routes are the same as a program's: [`Wants`] says which of the two asks, and whoever names neither is a
//! program. Pages are rendered on the server from `templates/`, checked when this is compiled, and work without scripts.
//!
//! A handler answers a person with a `page` or sends them on with `see_other`. Whatever else goes wrong, in a handler,
//! in an extractor or in the session layer, is dressed as a page by [`for_people`]: whoever is not signed in is sent to sign in, and
//! back to where they were.

mod arrival;
mod assets;
mod for_people;
mod frame;
mod input;
mod moment;
mod next;
mod wants;

pub use self::arrival::{Arrival, Notice};
pub use self::assets::asset;
pub use self::for_people::{ErrorText, for_people};
pub(crate) use self::frame::page;
pub use self::frame::{Frame, Place};
pub use self::input::Input;
pub use self::moment::Moment;
pub use self::next::Next;
pub use self::wants::{PageOnly, Wants};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// Sends a browser on, after a form, with a `GET`.
pub(crate) fn see_other(to: &str) -> Response {
    // What is no header value is no path of ours.
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// Where somebody is who was not going anywhere.
pub(crate) const HOME: &str = "/profile";
