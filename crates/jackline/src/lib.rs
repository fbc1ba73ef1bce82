//! Secure sessions.

pub mod csrf;
pub mod origin;
pub mod proxy;
