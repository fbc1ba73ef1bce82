//! Secure sessions.

pub mod csrf;
pub mod proxy;
