//! One session, two worlds: two servers on one Redis, asked in turn by browsers that cannot tell them apart. Whatever one side does to
//! a session, the other has to live with. So far both are of Express: what they keep between them is what is asked of Jackline.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clocks;
mod cookies;
mod flow;
mod members;
mod secrets;
mod values;
mod worlds;
