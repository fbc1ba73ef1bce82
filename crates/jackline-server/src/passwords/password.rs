//! The texts themselves: a password as somebody typed it, one that is fit to be set, and the hash that is stored. They do not convert
//! into each other by accident, do not print themselves, and passwords are wiped when dropped.

use std::fmt;

use argon2::Params;
use argon2::password_hash::phc;
use serde::{Deserialize, Deserializer};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// A password as it was presented, whatever it is: it may belong to nobody.
pub struct Password {
    typed: Zeroizing<String>,
    /// What is checked and hashed: NFKC, so that keyboards that spell one character in two ways type one password (NIST SP 800-63B-4,
    /// section 3.1.1.2).
    normal: Zeroizing<String>,
}

impl Password {
    /// Takes a password that somebody typed. It is neither trimmed nor cut.
    pub fn presented(text: impl Into<String>) -> Self {
        let typed = Zeroizing::new(text.into());
        let normal = Zeroizing::new(normalised(&typed));
        Self { typed, normal }
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.normal.as_bytes()
    }

    /// The password itself, for a login elsewhere and nothing else.
    pub(crate) fn as_typed(&self) -> &str {
        &self.typed
    }
}

/// NFKC. Made in one piece, so that no copy that grew is left behind unwiped.
fn normalised(text: &str) -> String {
    let mut normal = String::with_capacity(text.nfkc().map(char::len_utf8).sum());
    normal.extend(text.nfkc());
    normal
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

/// A password that is fit to be set: 15 characters or more, at most 1024 bytes, and not one that attackers try first.
///
/// NIST SP 800-63B-4, section 3.1.1.2, asks for 15 characters where the password is the only factor, and for 8 where there is a second. Here
/// it is 15 for everybody: a second factor can be removed later, and then the password would have to be changed. There are no rules
/// about digits or capitals, which make passwords worse.
pub struct NewPassword(Password);

/// How a new password is unfit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It has fewer than 15 characters.
    #[error(
        "the password needs at least {} characters; a few words that do not belong together make a good one",
        NewPassword::LEAST_CHARACTERS
    )]
    Short,
    /// It has more than 1024 bytes.
    #[error("the password may have at most {} bytes", NewPassword::MOST_BYTES)]
    Long,
    /// It can be guessed in few attempts: common words, the username, a row of keys, a date.
    #[error(
        "the password is easy to guess: common words, names, rows of keys and dates are what attackers try first; add words that do not belong together"
    )]
    Guessable,
}

impl NewPassword {
    /// The fewest characters of a new password.
    pub const LEAST_CHARACTERS: usize = 15;
    /// The most bytes of a new password. Whole sentences fit; a megabyte to hash does not.
    pub const MOST_BYTES: usize = 1024;
    /// In fewer guesses than this no new password may be found, as zxcvbn estimates them: the least that withstands somebody who has
    /// stolen the hashes and has some days.
    const LEAST_GUESSES: u64 = 100_000_000;

    /// Takes a password for `username`, if it is fit.
    ///
    /// # Errors
    ///
    /// [`WeakPassword`] says what to change.
    pub fn parse(password: Password, username: &str) -> Result<Self, WeakPassword> {
        let text = password.normal.as_str();
        if password.typed.len().max(text.len()) > Self::MOST_BYTES {
            return Err(WeakPassword::Long);
        }
        if text.chars().count() < Self::LEAST_CHARACTERS {
            return Err(WeakPassword::Short);
        }
        // Bounded: no more than the first hundred characters are looked at.
        let estimate = zxcvbn::zxcvbn(text, &[username.trim(), "jackline", DEMO]);
        if estimate.guesses() < Self::LEAST_GUESSES {
            return Err(WeakPassword::Guessable);
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
        let long = |characters| {
            "kelp anchor Zürich 7 quoin; "
                .chars()
                .cycle()
                .take(characters)
        };
        let sentence = |characters: usize| weak(&long(characters).collect::<String>());
        assert_eq!(sentence(14), Some(WeakPassword::Short));
        assert_eq!(sentence(15), None);
        assert_eq!(sentence(64), None);
        assert_eq!(sentence(900), None);
        assert_eq!(sentence(1025), Some(WeakPassword::Long));
        for text in [
            "nodigitsnorcapitalsbutquoin",
            "pelikan möwe kormoran",
            "  spaces  all around quoins  ",
            "船乗りは皆ロープにつながれているべきだ",
        ] {
            assert_eq!(weak(text), None, "{text}");
        }
    }

    // Proves: R1
    #[test]
    fn passwords_that_are_guessed_in_few_attempts_are_refused() {
        for text in [
            "passwordpassword",
            "Password123456789",
            "P4ssw0rd!P4ssw0rd!",
            "qwertyuiopasdfghjkl",
            "1234567890123456",
            "aaaaaaaaaaaaaaaaaaaa",
            "               ",
            "alice-liddell-1",
            "Alice-Liddell2024",
            "correct-horse-2",
            "jacklinejackline",
            "iloveyouiloveyou",
        ] {
            assert_eq!(weak(text), Some(WeakPassword::Guessable), "{text}");
        }
    }

    // Proves: R1, J9
    #[test]
    fn judging_a_password_is_bounded_work_whatever_it_is() {
        // No more than a hundred characters are looked at: what comes after them makes nothing better, and costs nothing.
        let beginning = "a".repeat(100);
        let rest = "kelp anchor Zürich 7 quoin; ";
        assert_eq!(
            weak(&format!("{beginning}{rest}")),
            Some(WeakPassword::Guessable)
        );
        assert_eq!(weak(&format!("{rest}{beginning}")), None);
    }

    // Proves: R1
    #[test]
    fn one_password_in_two_spellings_is_one_password() {
        let precomposed = Password::presented("Zürich \u{2163} ﬁnale");
        let decomposed = Password::presented("Zu\u{308}rich IV finale");
        assert_eq!(precomposed.expose(), decomposed.expose());
        assert_eq!(precomposed.as_typed(), "Zürich \u{2163} ﬁnale");
        // Not without case or spaces: those were typed on purpose.
        for other in ["zürich IV finale", " Zürich IV finale", "Zürich IV finale "] {
            assert_ne!(Password::presented(other).expose(), decomposed.expose());
        }
        // Characters count as they are hashed.
        assert_eq!(
            weak("e\u{301}".repeat(14).as_str()),
            Some(WeakPassword::Short)
        );
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
