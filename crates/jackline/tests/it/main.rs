//! The public promises of the library, kept against real engines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod store_redis;
