//! The parts of the program `jackline`: settings, users and passwords, the command line, and the log. They are a library so that tests
//! can hand in an environment, a folder and a clock; `main.rs` hands in the real ones.

pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod logging;
pub mod passwords;
mod random;
pub mod serve;
pub mod sessions;
pub mod users;
