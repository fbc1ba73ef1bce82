//! The parts of the program `jackline`. They are a library so that tests can hand in an environment, a folder and a clock;
//! `main.rs` hands in the real ones.

pub mod app;
pub mod body;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
mod connections;
mod ending_body;
pub mod error;
pub mod factors;
pub mod guessing;
mod lingering;
pub mod logging;
pub mod login;
pub mod metrics;
pub mod passwords;
mod random;
pub mod router;
pub mod routes;
pub mod serve;
pub mod sessions;
mod tls;
pub mod to_the_end;
pub mod unread;
pub mod users;
