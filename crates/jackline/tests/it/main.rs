//! The public promises of the library, kept against real engines and as a browser sees them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cookies;
mod costs;
mod csrf;
mod events;
mod failures;
mod fixation;
mod lifecycle_props;
mod others;
mod races;
mod redis_server;
mod site;
mod startup;
mod step_up;
mod store_redis;
mod timeouts;
