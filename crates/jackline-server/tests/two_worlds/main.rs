//! One session, two worlds: Jackline and a real Express on one Redis, asked in turn and at once by browsers that cannot tell them
//! apart. Whatever one side does to a session, the other has to live with.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clocks;
mod cookies;
mod flow;
mod identity;
mod leaving;
mod load;
mod members;
mod secrets;
mod values;
mod worlds;
