//! Passwords and their hashes. A password is hashed with Argon2id and checked in bounded numbers at a time, off the threads that serve
//! requests; beyond a bounded queue the answer is [`HashingError::Busy`], so that a flood of logins cannot take all memory. A login for
//! a user that does not exist costs what a wrong password costs, so the time to answer does not say who exists. Neither passwords nor
//! hashes are ever printed.

mod hasher;
mod pace;
mod password;
mod pooled;

pub use self::hasher::{Cost, HashingError, PasswordHasher, Verdict};
pub use self::password::{MalformedHash, NewPassword, Password, PhcHash, WeakPassword};
