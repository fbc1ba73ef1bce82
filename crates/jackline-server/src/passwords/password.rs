//! The texts themselves: a password as somebody typed it, one that is fit to be set, and the hash that is stored. They do not convert
//! into each other by accident, do not print themselves, and passwords are wiped when dropped.

use std::fmt;

use argon2::Params;
use argon2::password_hash::phc;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A password as it was presented, whatever it is: it may belong to nobody.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password that somebody typed. It is neither trimmed nor cut.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The password itself, for a login elsewhere and nothing else.
    pub(crate) fn as_typed(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::presented)
    }
}

/// A password that is fit to be set: 8 characters or more, at most 1024 bytes, and not one that attackers try first.
///
/// There are no rules about digits or capitals, which make passwords worse (NIST SP 800-63B-4, section 3.1.1.2).
pub struct NewPassword(Password);

/// How a new password is unfit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It has fewer than 8 characters.
    #[error(
        "the password needs at least {} characters",
        NewPassword::LEAST_CHARACTERS
    )]
    Short,
    /// It has more than 1024 bytes.
    #[error("the password may have at most {} bytes", NewPassword::MOST_BYTES)]
    Long,
    /// It is one that everybody knows, or the username.
    #[error("the password is one that attackers try first")]
    Common,
}

impl NewPassword {
    /// The fewest characters of a new password.
    pub const LEAST_CHARACTERS: usize = 8;
    /// The most bytes of a new password. Whole sentences fit; a megabyte to hash does not.
    pub const MOST_BYTES: usize = 1024;

    /// Takes a password for `username`, if it is fit.
    ///
    /// # Errors
    ///
    /// [`WeakPassword`] says what to change.
    pub fn parse(password: Password, username: &str) -> Result<Self, WeakPassword> {
        let text = password.0.as_str();
        if text.len() > Self::MOST_BYTES {
            return Err(WeakPassword::Long);
        }
        if text.chars().count() < Self::LEAST_CHARACTERS {
            return Err(WeakPassword::Short);
        }
        let lower = Zeroizing::new(text.to_lowercase());
        if COMMON.contains(&lower.as_str()) || *lower == username.trim().to_lowercase() {
            return Err(WeakPassword::Common);
        }
        Ok(Self(password))
    }

    /// The password of the demo user. It is published, so no one else may set it.
    pub fn of_demo_user() -> Self {
        Self(Password::presented(DEMO))
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(hidden)")
    }
}

const DEMO: &str = "correct-horse";

/// The commonest passwords of eight characters or more, and the published ones of our own.
const COMMON: [&str; 26] = [
    DEMO,
    "correct-horse-battery-staple",
    "correcthorsebatterystaple",
    "00000000",
    "11111111",
    "12341234",
    "12345678",
    "123456789",
    "1234567890",
    "87654321",
    "abcd1234",
    "adminadmin",
    "administrator",
    "baseball",
    "changeme",
    "changeme123",
    "football",
    "iloveyou",
    "letmein123",
    "password",
    "password1",
    "password123",
    "princess",
    "qwertyui",
    "qwertyuiop",
    "sunshine",
];

/// A stored hash in PHC form (`$argon2id$v=19$m=19456,t=2,p=1$…`), known to be one this program can check.
#[derive(Clone, PartialEq, Eq)]
pub struct PhcHash(String);

/// A stored hash that cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored password hash is damaged or of an unknown kind")]
pub struct MalformedHash;

impl PhcHash {
    /// More memory than this, in KiB, is not a password hash but an attack or an accident.
    const MOST_MEMORY_KIB: u32 = 1024 * 1024;
    const MOST_PASSES: u32 = 64;

    /// Takes a stored hash.
    ///
    /// # Errors
    ///
    /// [`MalformedHash`] if it is not an Argon2 hash with salt and output, or would cost absurdly much to check.
    pub fn parse(text: &str) -> Result<Self, MalformedHash> {
        let hash = phc::PasswordHash::new(text).map_err(|_| MalformedHash)?;
        let params = Params::try_from(&hash).map_err(|_| MalformedHash)?;
        let known = matches!(hash.algorithm.as_str(), "argon2id" | "argon2i" | "argon2d");
        let complete = hash.salt.is_some() && hash.hash.is_some();
        let affordable =
            params.m_cost() <= Self::MOST_MEMORY_KIB && params.t_cost() <= Self::MOST_PASSES;
        if known && complete && affordable {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedHash)
        }
    }

    /// The hash in PHC form, for the database and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn made(hash: &phc::PasswordHash) -> Self {
        Self(hash.to_string())
    }

    pub(super) fn parts(&self) -> Result<phc::PasswordHash, MalformedHash> {
        phc::PasswordHash::new(&self.0).map_err(|_| MalformedHash)
    }
}

impl fmt::Debug for PhcHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhcHash(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(text: &str) -> Option<WeakPassword> {
        NewPassword::parse(Password::presented(text), "Alice-Liddell").err()
    }

    // Proves: R1
    #[test]
    fn new_passwords_are_bounded_in_length_and_otherwise_free() {
        assert_eq!(weak("seven77"), Some(WeakPassword::Short));
        assert_eq!(weak("eight888"), None);
        assert_eq!(weak("äöüäöüä"), Some(WeakPassword::Short));
        assert_eq!(weak("äöüäöüäö"), None);
        assert_eq!(weak("        "), None);
        assert_eq!(weak(&"x".repeat(1024)), None);
        assert_eq!(weak(&"x".repeat(1025)), Some(WeakPassword::Long));
    }

    // Proves: R1
    #[test]
    fn passwords_that_everybody_knows_are_refused() {
        for text in ["password", "PassWord123", "correct-horse", "alice-liddell"] {
            assert_eq!(weak(text), Some(WeakPassword::Common), "{text}");
        }
    }

    // Proves: J6
    #[test]
    fn debug_shows_neither_passwords_nor_hashes() {
        let hash = "$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
        let shown = format!(
            "{:?} {:?} {:?}",
            Password::presented("zqzqzqzq"),
            NewPassword::of_demo_user(),
            PhcHash::parse(hash).unwrap()
        );
        assert_eq!(
            shown,
            "Password(hidden) NewPassword(hidden) PhcHash(hidden)"
        );
    }

    // Proves: R1, S79
    #[test]
    fn hashes_that_cannot_or_should_not_be_checked_are_malformed() {
        for text in [
            "",
            "plain",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2id$v=19$m=16,t=1,p=1",
            "$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=16,t=4000000,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$scrypt$ln=16,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        ] {
            assert_eq!(PhcHash::parse(text), Err(MalformedHash), "{text}");
        }
    }
}
