//! Secure sessions for the web.

pub mod clock;
pub mod cookie;
pub mod csrf;
pub mod events;
pub mod headers;
pub mod lifecycle;
pub mod origin;
pub mod proxy;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
