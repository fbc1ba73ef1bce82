//! The public promises of the library, in one binary: kept against real engines, and shown with a spy, a hand-held clock
//! and a small browser.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arbitrary;
mod as_in_rust;
mod attempts;
mod cookies;
mod costs;
mod csrf;
mod events;
mod express_cookie;
mod failures;
mod fixation;
mod lifecycle_props;
mod near_instance;
mod others;
mod races;
mod second_factor;
mod site;
mod startup;
mod step_up;
mod store_contract;
mod store_encrypted;
mod store_express;
mod store_observed;
mod store_postgres;
mod store_redis;
mod store_sqlite;
mod timeouts;
