//! What a database must do to keep users: five steps, each one statement, and so whole or not at all. What the values mean is
//! [`Users`](super::Users)'s business; here they are as they are stored.

use std::fmt;
use std::pin::Pin;

use super::factors::FactorTable;
use super::{UserId, Username, UsersError};
use crate::passwords::PhcHash;

/// What the steps return.
pub type UsersFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, UsersError>> + Send + 'a>>;

/// A table of users. A change that was acknowledged is on disk.
pub trait UserTable: FactorTable + fmt::Debug + Send + Sync + 'static {
    /// The user whom this names, if there is one.
    fn find<'a>(&'a self, by: By<'a>) -> UsersFuture<'a, Option<StoredUser>>;

    /// All users, by name.
    fn all(&self) -> UsersFuture<'_, Vec<StoredUser>>;

    /// Users by name, up to a number.
    fn search<'a>(&'a self, search: &'a Search) -> UsersFuture<'a, Vec<StoredUser>>;

    /// Adds a user. `false` if the id or the name is taken, in whatever letter case.
    fn insert<'a>(&'a self, user: &'a StoredUser) -> UsersFuture<'a, bool>;

    /// Changes a user. `false` if there is no such user, or if the condition does not hold.
    fn change<'a>(&'a self, id: &'a UserId, change: &'a Change) -> UsersFuture<'a, bool>;

    /// Removes the user who is marked as the demo, and says who it was.
    fn remove_demo(&self) -> UsersFuture<'_, Option<UserId>>;
}

/// Which users are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// How their names begin, in lower case.
    pub begins: String,
    /// The name, in lower case, after which to go on; empty for the first page.
    pub after: String,
    /// How many at most.
    pub limit: u32,
}

impl Search {
    /// What comes after every name that begins so, byte by byte: no name has this character, which is none.
    pub(super) fn end(&self) -> String {
        format!("{}\u{10FFFF}", self.begins)
    }
}

/// How a user is named.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// By what never changes.
    Id(&'a str),
    /// By name, in lower case.
    NameKey(&'a str),
}

/// A row.
#[derive(Clone)]
pub struct StoredUser {
    /// Never changes.
    pub id: UserId,
    /// The name to log in with.
    pub username: Username,
    /// The password's hash, as text that may have been damaged.
    pub hash: String,
    /// The role, likewise.
    pub role: String,
    /// Whether logging in is refused.
    pub disabled: bool,
    /// Whether this is the demo user with its published password.
    pub demo: bool,
    /// When the user was added, in milliseconds since 1970.
    pub created_ms: i64,
    /// When the password was set, in milliseconds since 1970.
    pub password_changed_ms: i64,
}

impl fmt::Debug for StoredUser {
    /// Without the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredUser")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What changes; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Only if this is still the password's hash.
    pub only_if: Option<PhcHash>,
    /// Another hash.
    pub hash: Option<PhcHash>,
    /// The password itself changed, at this time. A demo user with a password of its own is a user like others.
    pub password_changed_ms: Option<i64>,
    /// Whether logging in is refused.
    pub disabled: Option<bool>,
}
