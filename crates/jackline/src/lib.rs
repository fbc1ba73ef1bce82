//! Secure sessions.

pub mod clock;
pub mod cookie;
pub mod lifecycle;
pub mod origin;
pub mod store;
pub mod token;

#[cfg(feature = "testing")]
pub mod testing;
