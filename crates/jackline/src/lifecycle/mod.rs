//! The heart: what a session is and when it ends.
//!
//! Everything here is a pure function of what it is handed. It never reads a clock, never draws a random number and
//! never awaits, so a year passes in a microsecond of test. Stores, the engine and the layer carry its decisions out.

mod data;
mod decide;
mod delta;
mod policy;
mod record;
mod time;

pub use data::{Data, MAX_COUNTER};
pub use decide::{Decision, EndReason, decide, step_up_is_fresh};
#[cfg(feature = "redis")]
pub(crate) use delta::Foreseen;
pub(crate) use delta::integer;
pub use delta::{Applied, Delta, DeltaError, Op};
pub use policy::{
    AbsoluteLimit, Binding, IdleLimit, Policy, PolicyBuilder, PolicyMistake, PreLoginData,
    SessionCap,
};
pub use record::{AwaitedLogin, Clocks, Identity, Meta, OwnerId, OwnerIdError, Record, Role};
pub use time::UnixMs;
