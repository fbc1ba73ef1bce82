//! What a test of sessions needs: the store contract as a suite that anybody's store can prove itself with, a clock that
//! stands still until it is told, and a spy that shows what a store was asked and what it was not.
//!
//! Everything here panics when a promise is broken, as tests do. It belongs in `dev-dependencies`, behind the feature
//! `testing`.

mod clock;
pub mod contract;
mod spy;
pub mod wire;

pub use clock::ManualClock;
pub use spy::SpyStore;
