//! Secure sessions.

pub mod proxy;
