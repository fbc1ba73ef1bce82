//! The secrets that sign cookies. A [`SigningSecret`] that exists is long enough and none of the well-known ones: whoever guesses it can
//! forge cookies (P5). It is never printed and is wiped from memory when dropped.

use std::collections::BTreeSet;
use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::deployment::Deployment;
use super::environment::Environment;
use super::names::Setting;
use super::source::Reader;

/// The fewest bytes a secret may have: the size of an HMAC-SHA256 key.
pub const LEAST_SECRET_BYTES: usize = 32;

/// One secret, at least [`LEAST_SECRET_BYTES`] long.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<String>);

impl SigningSecret {
    /// Takes a secret that is long and strange enough, or says what is wrong with it.
    ///
    /// # Errors
    ///
    /// [`WeakSecret`] says how it is weak, without quoting it.
    pub fn parse(text: &str) -> Result<Self, WeakSecret> {
        if is_well_known(text) {
            return Err(WeakSecret::WellKnown);
        }
        if text.len() < LEAST_SECRET_BYTES {
            return Err(WeakSecret::Short { bytes: text.len() });
        }
        if is_repetitive(text) {
            return Err(WeakSecret::Repetitive);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for the keyring and nothing else.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn is(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(hidden)")
    }
}

/// How a secret is too weak to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// It has too few bytes.
    #[error("it is {bytes} bytes long; at least {LEAST_SECRET_BYTES} are needed")]
    Short {
        /// How many it has.
        bytes: usize,
    },
    /// It is one that examples and tutorials use.
    #[error("it is a well-known example, which attackers try first")]
    WellKnown,
    /// It is one short text, written several times, or uses very few different characters.
    #[error("it repeats itself, and so is far weaker than it is long")]
    Repetitive,
}

/// What signs cookies, as configured.
#[derive(Debug, Clone)]
pub enum Signing {
    /// The secrets were set: the first signs, all of them verify.
    Given {
        /// Signs new cookies.
        current: SigningSecret,
        /// Still verify.
        previous: Vec<SigningSecret>,
    },
    /// In development without `SESSION_SECRET`: one is made and kept in the data folder.
    KeptInDataDir {
        /// Still verify.
        previous: Vec<SigningSecret>,
    },
}

const RUN_SECRET: &str =
    "run `jackline secret` and set SESSION_SECRET to what it prints, outside of version control";

pub(crate) fn read(
    reader: &mut Reader,
    deployment: Deployment,
    environment: &Environment,
) -> Signing {
    let current = read_current(reader);
    if !reader.is_given(Setting::SESSION_SECRET) && deployment.is_production() {
        let fix = match similar_name(environment) {
            Some(name) => format!("{RUN_SECRET}. ({name} is set: is it that one?)"),
            None => RUN_SECRET.to_owned(),
        };
        reader.report(
            Setting::SESSION_SECRET,
            "it is not set, in production",
            "a secret made up at start would differ between instances and log everybody out at each restart (P5, D6)",
            fix,
        );
    }
    let previous = read_previous(reader, current.as_ref());
    match current {
        Some(current) => Signing::Given { current, previous },
        None => Signing::KeptInDataDir { previous },
    }
}

fn read_current(reader: &mut Reader) -> Option<SigningSecret> {
    let text = reader.one(Setting::SESSION_SECRET)?;
    let comma = text.contains(',');
    let parsed = SigningSecret::parse(text);
    if comma {
        reader.report(
            Setting::SESSION_SECRET,
            "it holds a comma",
            "it is one secret, not a list, and could not move to the comma-separated SESSION_SECRET_PREVIOUS later",
            "set only the newest secret here and the older ones in SESSION_SECRET_PREVIOUS",
        );
        return None;
    }
    match parsed {
        Ok(secret) => Some(secret),
        Err(weak) => {
            reader.report(
                Setting::SESSION_SECRET,
                weak.to_string(),
                "whoever guesses it can forge a cookie for any session (P5)",
                RUN_SECRET,
            );
            None
        }
    }
}

fn read_previous(reader: &mut Reader, current: Option<&SigningSecret>) -> Vec<SigningSecret> {
    let parsed: Vec<_> = reader
        .list(Setting::SESSION_SECRET_PREVIOUS)
        .into_iter()
        .map(SigningSecret::parse)
        .collect();
    let mut previous: Vec<SigningSecret> = Vec::new();
    for (index, parsed) in parsed.into_iter().enumerate() {
        let nth = index + 1;
        match parsed {
            Err(weak) => reader.report(
                Setting::SESSION_SECRET_PREVIOUS,
                format!("secret number {nth}: {weak}"),
                "a previous secret still verifies cookies, so whoever guesses it can forge one (P5)",
                "remove it; sessions signed with it must log in again",
            ),
            Ok(secret) if current.is_some_and(|current| current.is(&secret)) => reader.report(
                Setting::SESSION_SECRET_PREVIOUS,
                format!("secret number {nth} is SESSION_SECRET itself"),
                "the secret was not rotated, though it looks as if it had been",
                "set SESSION_SECRET to a new one (`jackline secret`), or remove it from the previous ones",
            ),
            Ok(secret) if previous.iter().any(|other| other.is(&secret)) => reader.report(
                Setting::SESSION_SECRET_PREVIOUS,
                format!("secret number {nth} is there twice"),
                "removing it in one place would not remove it",
                "keep each previous secret once",
            ),
            Ok(secret) => previous.push(secret),
        }
    }
    previous
}

/// A variable that someone may have meant for `SESSION_SECRET`.
fn similar_name(environment: &Environment) -> Option<&str> {
    environment.names().find(|name| {
        *name != Setting::SESSION_SECRET.variable
            && *name != Setting::SESSION_SECRET_PREVIOUS.variable
            && name.len() <= 32
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && strsim::osa_distance(&name.to_uppercase(), Setting::SESSION_SECRET.variable) <= 3
    })
}

/// Secrets of tutorials and examples, as letters and digits only.
const WELL_KNOWN: [&str; 24] = [
    "123456",
    "1234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "abcdefghijklmnopqrstuvwxyz012345",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "changeit",
    "changeme",
    "changemeinproduction",
    "changethis",
    "default",
    "development",
    "keyboardcat",
    "mysecret",
    "mysecretkey",
    "password",
    "secret",
    "secretkey",
    "sessionsecret",
    "shhhh",
    "supersecret",
    "tobiiscool",
    "yoursecret",
    "yoursecrethere",
    "yoursessionsecret",
];

/// Compares without case, spaces and punctuation, so that `Keyboard-Cat!!!` is no better than `keyboard cat`.
fn is_well_known(text: &str) -> bool {
    WELL_KNOWN.contains(&plain(text).as_str())
}

fn plain(text: &str) -> Zeroizing<String> {
    Zeroizing::new(
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(|c| c.to_ascii_lowercase())
            .collect(),
    )
}

/// Whether a text is one shorter text over and over, or made of a handful of characters. As many different ones
/// as the library asks of a signing key; of 32 random hexadecimal digits, fewer than one in a million has so few.
fn is_repetitive(text: &str) -> bool {
    const FEWEST_DIFFERENT: usize = 8;
    let different: BTreeSet<u8> = text.bytes().collect();
    different.len() < FEWEST_DIFFERENT
        || has_period(text.as_bytes())
        || has_period(plain(text).as_bytes())
}

fn has_period(bytes: &[u8]) -> bool {
    // A longer period than this is as good as a secret of that length.
    (1..=(bytes.len() / 2).min(LEAST_SECRET_BYTES - 1))
        .any(|period| bytes.iter().zip(&bytes[period..]).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: P5, J11
    #[test]
    fn weak_secrets_are_told_apart_by_how_they_are_weak() {
        for (text, weak) in [
            ("", WeakSecret::Short { bytes: 0 }),
            (
                "31 bytes, one less than needed.",
                WeakSecret::Short { bytes: 31 },
            ),
            ("keyboard cat", WeakSecret::WellKnown),
            (
                "Keyboard Cat!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
                WeakSecret::WellKnown,
            ),
            ("changeme", WeakSecret::WellKnown),
            ("secret", WeakSecret::WellKnown),
            (
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                WeakSecret::Repetitive,
            ),
            (
                "keyboard cat keyboard cat keyboard cat",
                WeakSecret::Repetitive,
            ),
            ("0123456789abcdef0123456789abcdef", WeakSecret::Repetitive),
            (
                "abababcabababcababacbabababcabababab",
                WeakSecret::Repetitive,
            ),
        ] {
            assert_eq!(SigningSecret::parse(text).unwrap_err(), weak, "{text}");
        }
    }

    // Proves: P5
    #[test]
    fn a_secret_of_exactly_32_bytes_will_do() {
        assert!(SigningSecret::parse("6f2ac91d7e5b40388d1c2b9a0f3e4d57").is_ok());
    }

    // Proves: J6
    #[test]
    fn debug_does_not_show_a_secret() {
        let secret = SigningSecret::parse("6f2ac91d7e5b40388d1c2b9a0f3e4d57").unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(hidden)");
    }
}
