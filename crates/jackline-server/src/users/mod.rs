//! The users. A change that was acknowledged is on disk. Names compare without case; ids never change and are never used again.
//! The demo user exists for as long as it has its published password, and [`Users::remove_demo_user`] takes it away before
//! production starts. Times are handed in.
//!
//! Here is what users are; where they are kept is behind [`UserTable`]: in a file in the data folder (`sqlite`), or in the
//! database that several servers share (`postgres`).

mod account;
mod factors;
mod postgres;
mod sqlite;
mod table;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::account::{Credentials, InvalidUsername, NewUser, Role, User, UserId, Username};
pub use self::factors::{FactorChange, FactorTable, StoredFactor};
pub use self::postgres::PostgresUsers;
pub use self::sqlite::SqliteUsers;
pub use self::table::{By, Change, Search, StoredUser, UserTable, UsersFuture};
use crate::passwords::PhcHash;
use crate::random;

/// The file's name in the data folder.
pub const FILE_NAME: &str = "users.db";

/// How many users one page of a search has.
const SEARCHED: u32 = 50;

const DEMO_ID: &str = "user-1001";
const DEMO_NAME: &str = "alice";

/// The users. Cheap to clone; clones share the table.
#[derive(Debug, Clone)]
pub struct Users {
    table: Arc<dyn UserTable>,
    /// Whether the demo user, whose password is public, may log in.
    demo: bool,
}

/// Why the users could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There is a user of this name already, in this or other letter case.
    #[error("the name is taken")]
    NameTaken,
    /// The database cannot be used right now: no space, locked for too long, gone, or the program is shutting down.
    #[error("cannot {operation} in the user database")]
    Unavailable {
        /// What was attempted.
        operation: &'static str,
        /// What went wrong underneath.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database holds something that this program did not write.
    #[error("the user database holds a value that makes no sense in {column}")]
    Corrupt {
        /// Where.
        column: &'static str,
    },
    /// The file was written by a later version.
    #[error(
        "the user database has schema version {found}, written by a later jackline; this one knows {known}"
    )]
    TooNew {
        /// The file's version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
}

impl Users {
    /// The users of a table.
    pub fn new(table: impl UserTable) -> Self {
        Self {
            table: Arc::new(table),
            demo: true,
        }
    }

    /// The same without the demo user: whoever tries its published password finds nobody. For production, also while a server in
    /// development shares the table and puts it back.
    #[must_use]
    pub fn without_demo_user(self) -> Self {
        Self {
            demo: false,
            ..self
        }
    }

    /// The id of the user of this name, in whatever letter case.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`]. A name that nobody has, or could have, is `None`.
    pub async fn find_id(&self, username: &str) -> Result<Option<UserId>, UsersError> {
        let Ok(username) = Username::parse(username) else {
            return Ok(None);
        };
        let found = self
            .find("find a name", By::NameKey(&username.key()))
            .await?;
        Ok(found.map(|user| user.id))
    }

    /// What a login of this user is checked against.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`], or [`UsersError::Corrupt`] if the stored hash or role makes no sense.
    pub async fn credentials(&self, id: &UserId) -> Result<Option<Credentials>, UsersError> {
        let found = self.find("read credentials", By::Id(id.as_str())).await?;
        let found = found.filter(|user| self.demo || !user.demo);
        found.map(Credentials::try_from).transpose()
    }

    /// The user with this id.
    ///
    /// # Errors
    ///
    /// As [`Users::credentials`].
    pub async fn by_id(&self, id: &UserId) -> Result<Option<User>, UsersError> {
        let found = self.find("look up a user", By::Id(id.as_str())).await?;
        found.map(User::try_from).transpose()
    }

    async fn find(
        &self,
        operation: &'static str,
        by: By<'_>,
    ) -> Result<Option<StoredUser>, UsersError> {
        tracing::trace!(operation, "the user database is asked");
        self.table.find(by).await
    }

    /// Adds a user with a fresh id.
    ///
    /// # Errors
    ///
    /// [`UsersError::NameTaken`] or [`UsersError::Unavailable`].
    pub async fn add(&self, user: NewUser, now_ms: i64) -> Result<User, UsersError> {
        let digits = random::base32(16).map_err(|error| unavailable("make an id", error))?;
        let id = UserId::stored(format!("user-{}", *digits));
        let user = StoredUser::new(id, user, now_ms);
        if self.table.insert(&user).await? {
            user.try_into()
        } else {
            Err(UsersError::NameTaken)
        }
    }

    /// Sets a user's password. `false` if there is no such user.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn set_password(
        &self,
        id: &UserId,
        hash: PhcHash,
        now_ms: i64,
    ) -> Result<bool, UsersError> {
        let change = Change {
            hash: Some(hash),
            password_changed_ms: Some(now_ms),
            ..Change::default()
        };
        self.table.change(id, &change).await
    }

    /// Sets a user's password if it is still the one that `old` is the hash of. `false` if it is not, or if there is no such user.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn change_password(
        &self,
        id: &UserId,
        old: PhcHash,
        new: PhcHash,
        now_ms: i64,
    ) -> Result<bool, UsersError> {
        let change = Change {
            only_if: Some(old),
            hash: Some(new),
            password_changed_ms: Some(now_ms),
            ..Change::default()
        };
        self.table.change(id, &change).await
    }

    /// Replaces the hash of an unchanged password. `false` if the password was changed meanwhile: then the new one stays.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn refresh_hash(
        &self,
        id: &UserId,
        old: PhcHash,
        new: PhcHash,
    ) -> Result<bool, UsersError> {
        let change = Change {
            only_if: Some(old),
            hash: Some(new),
            ..Change::default()
        };
        self.table.change(id, &change).await
    }

    /// Disables or enables a user. `false` if there is no such user.
    ///
    /// The caller must end the user's sessions after disabling.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn set_disabled(&self, id: &UserId, disabled: bool) -> Result<bool, UsersError> {
        let change = Change {
            disabled: Some(disabled),
            ..Change::default()
        };
        self.table.change(id, &change).await
    }

    /// All users, by name.
    ///
    /// # Errors
    ///
    /// As [`Users::credentials`].
    pub async fn list(&self) -> Result<Vec<User>, UsersError> {
        let all = self.table.all().await?;
        all.into_iter().map(User::try_from).collect()
    }

    /// One page of the users whose names begin so, in whatever letter case, by name; and the name after which the next page begins.
    ///
    /// # Errors
    ///
    /// As [`Users::credentials`].
    pub async fn search(
        &self,
        begins: &str,
        after: &str,
    ) -> Result<(Vec<User>, Option<String>), UsersError> {
        // No name is longer, so none begins with more; nor has one a character that PostgreSQL does not take.
        let fits = |text: &str| {
            text.chars().take(Username::MOST_CHARACTERS + 1).count() <= Username::MOST_CHARACTERS
                && !text.contains(char::is_control)
        };
        if !fits(begins) || !fits(after) {
            return Ok((Vec::new(), None));
        }
        let search = Search {
            begins: begins.trim_start().to_lowercase(),
            after: after.to_lowercase(),
            limit: SEARCHED + 1,
        };
        let found = self.table.search(&search).await?;
        let more = found.len() > SEARCHED as usize;
        let users = found
            .into_iter()
            .take(SEARCHED as usize)
            .map(User::try_from);
        let users = users.collect::<Result<Vec<_>, _>>()?;
        let next = users.last().filter(|_| more);
        let next = next.map(|user| user.username.key());
        Ok((users, next))
    }

    /// Makes sure that development has its demo user `alice`, with the hash of the published password. An `alice` that exists is left
    /// as she is.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn ensure_demo_user(&self, hash: PhcHash, now_ms: i64) -> Result<(), UsersError> {
        let demo = NewUser {
            username: Username::stored(DEMO_NAME.to_owned()),
            role: Role::User,
            hash,
        };
        let id = UserId::stored(DEMO_ID.to_owned());
        let demo = StoredUser {
            demo: true,
            ..StoredUser::new(id, demo, now_ms)
        };
        self.table.insert(&demo).await.map(drop)
    }

    /// Whether the demo user is missing, so that its password need not be hashed at each start.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn lacks_demo_user(&self) -> Result<bool, UsersError> {
        Ok(self.table.find(By::Id(DEMO_ID)).await?.is_none()
            && self.table.find(By::NameKey(DEMO_NAME)).await?.is_none())
    }

    /// Says whether the users can be read.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn ready(&self) -> Result<(), UsersError> {
        self.table.find(By::Id(DEMO_ID)).await.map(drop)
    }

    /// The demo user, if there is one with its published password still.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn demo_user(&self) -> Result<Option<UserId>, UsersError> {
        let found = self.table.find(By::Id(DEMO_ID)).await?;
        Ok(found.filter(|user| user.demo).map(|user| user.id))
    }

    /// Removes the demo user if it still has its published password, and says who it was.
    ///
    /// Production calls this before it serves, once its sessions have ended: the data folder may come from a developer's machine.
    ///
    /// # Errors
    ///
    /// [`UsersError::Unavailable`].
    pub async fn remove_demo_user(&self) -> Result<Option<UserId>, UsersError> {
        self.table.remove_demo().await
    }
}

impl StoredUser {
    fn new(id: UserId, user: NewUser, now_ms: i64) -> Self {
        Self {
            id,
            username: user.username,
            hash: user.hash.expose().to_owned(),
            role: user.role.as_str().to_owned(),
            disabled: false,
            demo: false,
            created_ms: now_ms,
            password_changed_ms: now_ms,
        }
    }
}

impl TryFrom<StoredUser> for User {
    type Error = UsersError;

    fn try_from(user: StoredUser) -> Result<Self, Self::Error> {
        Ok(Self {
            role: role(&user)?,
            id: user.id,
            username: user.username,
            disabled: user.disabled,
            created_ms: user.created_ms,
            password_changed_ms: user.password_changed_ms,
        })
    }
}

impl TryFrom<StoredUser> for Credentials {
    type Error = UsersError;

    fn try_from(user: StoredUser) -> Result<Self, Self::Error> {
        Ok(Self {
            role: role(&user)?,
            hash: PhcHash::parse(&user.hash).map_err(|_| UsersError::Corrupt {
                column: "password_hash",
            })?,
            username: user.username,
            disabled: user.disabled,
        })
    }
}

fn role(user: &StoredUser) -> Result<Role, UsersError> {
    Role::parse(&user.role).ok_or(UsersError::Corrupt { column: "role" })
}

fn unavailable(
    operation: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> UsersError {
    UsersError::Unavailable {
        operation,
        source: Box::new(source),
    }
}
