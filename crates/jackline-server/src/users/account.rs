//! What a user is: an id that never changes, a name to log in with, a role, and whether the user may log in at all.

use std::fmt;

use serde::Serialize;

use crate::passwords::PhcHash;

/// A user's id, `user-` and random characters. Public: it is in logs and answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct UserId(String);

impl UserId {
    pub(crate) fn stored(id: String) -> Self {
        Self(id)
    }

    /// An id that no user has: theirs begin with `user-`.
    pub(crate) fn nobody() -> Self {
        Self("nobody".to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name to log in with: 1 to 128 characters without control or invisible ones, and without spaces around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Username(String);

/// A name that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a username has 1 to {} characters, none of them control characters or invisible",
    Username::MOST_CHARACTERS
)]
pub struct InvalidUsername;

impl Username {
    /// The most characters of a name.
    pub const MOST_CHARACTERS: usize = 128;

    /// Takes a name, without the spaces around it.
    ///
    /// # Errors
    ///
    /// [`InvalidUsername`].
    pub fn parse(text: &str) -> Result<Self, InvalidUsername> {
        let text = text.trim();
        // Bytes first: counting the characters of a megabyte is work for a stranger's asking.
        let fits = text.len() <= 4 * Self::MOST_CHARACTERS
            && (1..=Self::MOST_CHARACTERS).contains(&text.chars().count());
        if fits && !text.chars().any(is_unseen) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidUsername)
        }
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes two names the same name.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Control characters and those that make one name look like another on a screen.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everyone.
    User,
    /// May end others' sessions; has a shorter absolute limit.
    Admin,
}

impl Role {
    /// The role as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// A user as others may see it: without the password's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Never changes.
    pub id: UserId,
    /// The name to log in with.
    pub username: Username,
    /// What the user may do.
    pub role: Role,
    /// Whether logging in is refused.
    pub disabled: bool,
    /// When the user was added, in milliseconds since 1970.
    pub created_ms: i64,
    /// When the password was set, in milliseconds since 1970.
    pub password_changed_ms: i64,
}

/// What a login is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name as it is stored, whatever letters the login used.
    pub username: Username,
    /// What the user may do.
    pub role: Role,
    /// Whether to refuse even the right password.
    pub disabled: bool,
    /// The password's hash.
    pub hash: PhcHash,
}

/// A user to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name to log in with.
    pub username: Username,
    /// What the user may do.
    pub role: Role,
    /// The password's hash.
    pub hash: PhcHash,
}
