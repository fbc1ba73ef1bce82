//! Secure sessions for the web: who is logged in, for how long, and that it ends when it should, also when requests race,
//! stores fail and cookies are forged.
//!
//! * [`Engine`](engine::Engine) is the whole life of a session within a request, without a framework.
//! * [`SessionLayer`] is the same for tower, and [`Session`] and [`Authenticated`] are extractors for axum.
//! * [`Policy`](lifecycle::Policy) says how long sessions live, [`CookieSpec`](cookie::CookieSpec) how their cookie is marked,
//!   and [`Store`](store::Store) is the contract of whatever keeps them: [`sqlite`](store::sqlite),
//!   [`postgres`](store::postgres), [`redis`](store::redis), [`memory`](store::memory), or one of your own, which [`testing`]
//!   puts to the test.
//! * [`events`] are what a defender counts; [`headers`] are what browsers should be told; [`proxy`] says who is really there.
//!
//! What is laxer than the default goes by a name that begins with `danger_`.
//!
//! # Features
//! `axum` (on by default): extractors. `sqlite`, `postgres` and `redis`: stores. `testing`: the store contract as a test suite,
//! a hand-held clock and a spy store. A feature adds; none changes what the others do.

pub mod clock;
pub mod cookie;
pub mod csrf;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod driver;
pub mod engine;
pub mod events;
#[cfg(feature = "axum")]
mod extract;
pub mod headers;
pub mod layer;
pub mod lifecycle;
pub mod origin;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod proxy;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;

#[cfg(feature = "axum")]
pub use extract::Authenticated;
pub use layer::SessionLayer;
pub use session::{LazySession, Session, SessionError};

/// The example in the README compiles.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// And so does the one in docs/express.md.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../../../docs/express.md")]
struct SharedWithExpress;
