//! The built program, seen from outside: what it answers, what it prints, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod check;
mod command_line;
mod concurrency;
mod console;
mod costs;
mod encryption;
mod express;
mod factor_pages;
mod guessing;
mod hang_ups;
mod login_races;
mod metrics;
mod near_cache;
mod openapi;
mod ops;
mod otlp;
mod outages;
mod pages;
mod redis;
mod restarts;
mod routes;
mod second_factors;
mod shutdown;
mod startup;
mod stores;
mod timeouts;
mod tls;
mod transcripts;
mod webhook;

use testkit::{browser, dawdle, program};
