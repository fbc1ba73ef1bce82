//! Secure sessions for the web.

pub mod clock;
pub mod cookie;
pub mod csrf;
pub mod engine;
pub mod events;
#[cfg(feature = "axum")]
mod extract;
pub mod headers;
pub mod layer;
pub mod lifecycle;
pub mod origin;
pub mod proxy;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;

#[cfg(feature = "axum")]
pub use extract::Authenticated;
pub use layer::SessionLayer;
pub use session::{LazySession, Session, SessionError};
