//! Secure sessions.

pub mod csrf;
pub mod headers;
pub mod origin;
pub mod proxy;
