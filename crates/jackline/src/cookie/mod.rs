//! The wire: how a session token travels in a cookie. Knows no store.
//!
//! A cookie's value is `s:<token>.<signature>`, percent-encoded, with the signature the HMAC-SHA256 of the token: the form
//! that the Node world knows. A cookie without a valid signature costs nothing but the computation of one (J9).

mod attributes;
mod device;
mod express;
mod keyring;
mod read;
mod session;

pub use attributes::{CookieBuilder, CookieMistake, CookieMistakes, CookieSpec, SameSite};
pub use device::DeviceCookie;
pub(crate) use keyring::KeyAge;
pub use keyring::{Keyring, SigningKey, WeakKey};
pub use read::CookieForm;
#[cfg(fuzzing)]
pub use read::fuzz_read;
pub(crate) use read::{as_written, write};
pub(crate) use session::SessionCookies;
