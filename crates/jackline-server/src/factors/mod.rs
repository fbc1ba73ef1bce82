//! Second factors: codes of an app (`totp`), passkeys (`passkeys`), and recovery codes for when those are lost (`recovery`). What a
//! request asks for is done here, and what it answers is the routes' business. Secrets are sealed, codes are hashed, and each counts once,
//! whoever comes at once.
//!
//! An account has a second factor once it has one that counts: a confirmed app, a passkey, or recovery codes that an administrator
//! was given. From then on a password alone logs nobody in.

mod ceremony;
mod changing;
mod passkeys;
mod recovery;
mod rp;
mod sealing;
mod totp;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::ceremony::{Ceremony, Purpose};
pub use self::changing::{
    Added, NewPasskey, add_passkey, begin_passkey, begin_totp, confirm_totp, remove,
    renew_recovery_codes,
};
pub use self::passkeys::{Assertion, PasskeyError};
pub use self::recovery::{CODES, RecoveryCode};
pub use self::rp::RelyingParty;
pub use self::sealing::Seals;
pub use self::totp::TotpEnrolment;
use crate::users::{StoredFactor, UserId, Users, UsersError};

/// The second factors of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Factors {
    users: Users,
    seals: Seals,
}

/// What a factor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A passkey or a security key.
    Passkey,
    /// An app that shows codes.
    Totp,
    /// Recovery codes.
    Recovery,
}

impl Kind {
    /// The word for it: `totp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Totp => "totp",
            Self::Recovery => "recovery",
        }
    }
}

/// Why something could not be done with a factor.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The users cannot be read or written.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// There is no such factor of this user's, or no such user any more.
    #[error("there is no such factor")]
    Gone,
    /// The user has as many of the kind as one may have.
    #[error("the user has as many factors of this kind as one may have")]
    TooMany,
    /// It is the last one of somebody who must have one.
    #[error("the last second factor of an administrator stays")]
    Needed,
    /// Nothing was asked that this would be the answer to, or too long ago.
    #[error("no passkey was asked for")]
    NotAsked,
    /// What the client sent is not what was asked for.
    #[error("the passkey's answer does not fit")]
    Refused,
    /// A secret was sealed under a signing secret that the server does not have any more.
    #[error(
        "a second factor was sealed under a signing secret that is not here any more; add it to SESSION_SECRET_PREVIOUS, or give the \
         user recovery codes: jackline user recovery-codes"
    )]
    Unsealable,
    /// Something else is broken.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// A factor as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// By which it is removed.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What its owner calls it.
    pub name: String,
    /// When it was added, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was last used to prove something, likewise.
    pub last_used_ms: Option<i64>,
}

/// What a user has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Apps and passkeys, oldest first.
    pub factors: Vec<Factor>,
    /// How many recovery codes are left; `None` if there are none that were made.
    pub recovery_codes: Option<usize>,
}

impl Held {
    /// Whether a password alone logs this user in no more. Also if all recovery codes are used up: or using them would take the second
    /// factor away.
    pub fn asks_for_second(&self) -> bool {
        !self.factors.is_empty() || self.recovery_codes.is_some()
    }

    /// With which kinds the second step can be taken, the safest first.
    pub fn kinds(&self) -> Vec<Kind> {
        let has = |kind| self.factors.iter().any(|factor| factor.kind == kind);
        let mut kinds = Vec::new();
        kinds.extend(has(Kind::Passkey).then_some(Kind::Passkey));
        kinds.extend(has(Kind::Totp).then_some(Kind::Totp));
        let codes = self.recovery_codes.is_some_and(|left| left > 0);
        kinds.extend(codes.then_some(Kind::Recovery));
        kinds
    }
}

/// With what a code was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// An app showed it.
    Totp,
    /// It was a recovery code.
    Recovery {
        /// How many are left.
        left: usize,
    },
}

impl Factors {
    /// The factors of these users, whose secrets are sealed by these keys.
    pub fn new(users: Users, seals: Seals) -> Self {
        Self { users, seals }
    }

    /// What a user has.
    ///
    /// # Errors
    /// [`FactorError::Users`].
    pub async fn of(&self, user: &UserId) -> Result<Held, FactorError> {
        let mut held = Held::default();
        for row in self.users.factors_of(user).await? {
            let kind = match row.kind.as_str() {
                "totp" if !totp::counts(&row)? => continue,
                "totp" => Kind::Totp,
                "passkey" => Kind::Passkey,
                "recovery" => {
                    held.recovery_codes = Some(recovery::left(&row)?);
                    continue;
                }
                _ => return Err(corrupt("kind")),
            };
            held.factors.push(Factor {
                id: row.id,
                kind,
                name: row.name,
                created_ms: row.created_ms,
                last_used_ms: row.last_used_ms,
            });
        }
        Ok(held)
    }

    /// Whether `code` is one of the user's: of an app, or a recovery code. It is used by that, and right no second time.
    ///
    /// # Errors
    /// [`FactorError::Users`]; [`FactorError::Unsealable`].
    pub async fn check_code(
        &self,
        user: &UserId,
        code: &str,
        now_ms: i64,
    ) -> Result<Option<Used>, FactorError> {
        let digits = totp::digits(code);
        if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let rows = self.users.factors_of(user).await?;
            let right = self.check_totp(&rows, &digits, now_ms).await?;
            return Ok(right.then_some(Used::Totp));
        }
        let left = self.check_recovery(user, code, now_ms).await?;
        Ok(left.map(|left| Used::Recovery { left }))
    }

    /// Removes a user's app or passkey, and returns what it was.
    ///
    /// # Errors
    /// [`FactorError::Gone`] if they have none of this id; [`FactorError::Needed`] if `must_keep_one` and it is the last;
    /// [`FactorError::Users`].
    pub async fn remove(
        &self,
        user: &UserId,
        id: &str,
        must_keep_one: bool,
    ) -> Result<Kind, FactorError> {
        let held = self.of(user).await?;
        let found = held.factors.iter().find(|factor| factor.id == id);
        let kind = found.ok_or(FactorError::Gone)?.kind;
        if must_keep_one && held.factors.len() == 1 {
            return Err(FactorError::Needed);
        }
        if !self.users.remove_factor(user, id).await? {
            return Err(FactorError::Gone);
        }
        Ok(kind)
    }

    /// Forgets recovery codes that stand in for nothing, once the last factor is removed.
    ///
    /// # Errors
    /// [`FactorError::Users`].
    pub async fn forget_codes_of_nothing(&self, user: &UserId) -> Result<(), FactorError> {
        if self.of(user).await?.factors.is_empty() {
            self.users.remove_factor(user, &recovery::id(user)).await?;
        }
        Ok(())
    }

    async fn rows(&self, user: &UserId, kind: Kind) -> Result<Vec<StoredFactor>, FactorError> {
        let mut rows = self.users.factors_of(user).await?;
        rows.retain(|row| row.kind == kind.as_str());
        Ok(rows)
    }

    async fn own(&self, user: &UserId, id: &str, kind: Kind) -> Result<StoredFactor, FactorError> {
        // PostgreSQL takes no NUL for text, and no id has any.
        if id.contains(char::is_control) {
            return Err(FactorError::Gone);
        }
        let found = self.users.find_factor(id).await?;
        found
            .filter(|row| row.user == *user && row.kind == kind.as_str())
            .ok_or(FactorError::Gone)
    }
}

/// What a factor may be called: at most 64 characters, without control characters. Whatever is left of a name is enough.
pub fn name_of(given: Option<&str>, otherwise: &str) -> String {
    let name: String = given
        .unwrap_or_default()
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    match name.is_empty() {
        true => otherwise.to_owned(),
        false => name,
    }
}

fn parsed<T: DeserializeOwned>(row: &StoredFactor) -> Result<T, FactorError> {
    serde_json::from_str(&row.data).map_err(|_| corrupt("data"))
}

fn written(stored: &impl Serialize) -> String {
    serde_json::to_string(stored).expect("text and numbers always serialise")
}

fn corrupt(column: &'static str) -> FactorError {
    UsersError::Corrupt { column }.into()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
