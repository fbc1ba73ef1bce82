//! Second factors as they are stored beside the users: what they mean is [`crate::factors`]'s business. A row has a version that counts
//! up with every change, so that of two who use one code, or one counter, at once one comes too late.

use std::fmt;

use super::table::UsersFuture;
use super::{UserId, Users, UsersError};

/// What a database must do to keep second factors: six steps, each one statement, and so whole or not at all.
pub trait FactorTable {
    /// All of a user's, oldest first.
    fn factors_of<'a>(&'a self, user: &'a UserId) -> UsersFuture<'a, Vec<StoredFactor>>;

    /// The one of this id, whoever's it is.
    fn find_factor<'a>(&'a self, id: &'a str) -> UsersFuture<'a, Option<StoredFactor>>;

    /// Adds one. `false` if the id is taken, or if there is no such user.
    fn insert_factor<'a>(&'a self, factor: &'a StoredFactor) -> UsersFuture<'a, bool>;

    /// Sets data and time of use if the row still has this version, which counts up. `false` if it has not.
    fn change_factor<'a>(&'a self, id: &'a str, change: &'a FactorChange) -> UsersFuture<'a, bool>;

    /// Removes a user's. `false` if they have none of this id.
    fn remove_factor<'a>(&'a self, user: &'a UserId, id: &'a str) -> UsersFuture<'a, bool>;

    /// Up to a hundred of a kind, by id from behind `after`, whose data does not begin like this.
    fn factors_unlike<'a>(
        &'a self,
        kind: &'a str,
        beginning: &'a str,
        after: &'a str,
    ) -> UsersFuture<'a, Vec<StoredFactor>>;
}

/// A row.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredFactor {
    /// Never changes, and is no other factor's, whoever's that is.
    pub id: String,
    /// Whose it is.
    pub user: UserId,
    /// What it is.
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is checked against.
    pub data: String,
    /// How often it was changed.
    pub version: i64,
    /// When it was added, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was last used, likewise.
    pub last_used_ms: Option<i64>,
}

impl fmt::Debug for StoredFactor {
    /// Without the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFactor")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What changes.
#[derive(Clone)]
pub struct FactorChange {
    /// Only if the row has this version still.
    pub only_if: i64,
    /// What it is checked against from now on.
    pub data: String,
    /// When it was used, if it was.
    pub used_ms: Option<i64>,
}

impl fmt::Debug for FactorChange {
    /// Without the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorChange")
            .field("only_if", &self.only_if)
            .finish_non_exhaustive()
    }
}

/// How many rows [`FactorTable::factors_unlike`] returns at most.
pub(super) const PAGE: i64 = 100;

impl Users {
    /// All of a user's second factors, oldest first.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn factors_of(&self, user: &UserId) -> Result<Vec<StoredFactor>, UsersError> {
        self.table.factors_of(user).await
    }

    /// The factor of this id, whoever's it is.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn find_factor(&self, id: &str) -> Result<Option<StoredFactor>, UsersError> {
        self.table.find_factor(id).await
    }

    /// Adds a factor. `false` if its id is taken, or if there is no such user.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn add_factor(&self, factor: &StoredFactor) -> Result<bool, UsersError> {
        self.table.insert_factor(factor).await
    }

    /// Changes a factor if nobody has since it was read. `false` if somebody has, or it is gone.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn change_factor(
        &self,
        read: &StoredFactor,
        data: String,
        used_ms: Option<i64>,
    ) -> Result<bool, UsersError> {
        let change = FactorChange {
            only_if: read.version,
            data,
            used_ms,
        };
        self.table.change_factor(&read.id, &change).await
    }

    /// Removes one of a user's factors. `false` if they have none of this id.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn remove_factor(&self, user: &UserId, id: &str) -> Result<bool, UsersError> {
        self.table.remove_factor(user, id).await
    }

    /// Up to a hundred factors of a kind, by id from behind `after`, whose data does not begin like this. Fewer than a hundred: there
    /// are no more.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn factors_unlike(
        &self,
        kind: &str,
        beginning: &str,
        after: &str,
    ) -> Result<Vec<StoredFactor>, UsersError> {
        self.table.factors_unlike(kind, beginning, after).await
    }
}
