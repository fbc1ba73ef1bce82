//! The secrets that sign cookies and those that encrypt the data of sessions. A [`Secret`] that exists is long enough and none of the well-known ones: whoever guesses it can
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
pub struct Secret(Zeroizing<String>);

impl Secret {
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

    /// The secret itself, for the keys made of it and nothing else.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn is(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// How a secret is too weak.
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
        current: Secret,
        /// Still verify.
        previous: Vec<Secret>,
    },
    /// In development without `SESSION_SECRET`: one is made and kept in the data folder.
    KeptInDataDir {
        /// Still verify.
        previous: Vec<Secret>,
    },
}

const RUN_SECRET: &str =
    "run `jackline secret` and set SESSION_SECRET to what it prints, outside of version control";

/// What encrypts the data of sessions in the store, as configured: the first encrypts, all of them decrypt.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// Encrypts.
    pub current: Secret,
    /// Still decrypt.
    pub previous: Vec<Secret>,
}

/// A secret and the ones before it: which settings hold them, and what is at stake.
struct Kind {
    current: Setting,
    previous: Setting,
    /// What follows if somebody guesses the current one, or one of the previous.
    guessed: &'static str,
    previous_guessed: &'static str,
    /// What is lost with a previous one.
    removed: &'static str,
    make: &'static str,
}

const SIGNING: Kind = Kind {
    current: Setting::SESSION_SECRET,
    previous: Setting::SESSION_SECRET_PREVIOUS,
    guessed: "whoever guesses it can forge a cookie for any session (P5)",
    previous_guessed: "a previous secret still verifies cookies, so whoever guesses it can forge one (P5)",
    removed: "remove it; sessions signed with it must log in again",
    make: RUN_SECRET,
};

const ENCRYPTION: Kind = Kind {
    current: Setting::ENCRYPTION_KEY,
    previous: Setting::ENCRYPTION_KEY_PREVIOUS,
    guessed: "whoever guesses it can read the data of sessions wherever the store or a backup of it lies",
    previous_guessed: "what was encrypted with it lies in backups still",
    removed: "remove it, once no session is left that was encrypted with it",
    make: "run `jackline secret` and set JACKLINE_ENCRYPTION_KEY to what it prints, outside of version control",
};

pub(crate) fn read(
    reader: &mut Reader,
    deployment: Deployment,
    environment: &Environment,
) -> Signing {
    let current = read_current(reader, &SIGNING);
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
    let previous = read_previous(reader, &SIGNING, current.as_ref());
    match current {
        Some(current) => Signing::Given { current, previous },
        None => Signing::KeptInDataDir { previous },
    }
}

pub(crate) fn read_encryption(reader: &mut Reader, signing: &Signing) -> Option<Encryption> {
    let current = read_current(reader, &ENCRYPTION);
    let previous = read_previous(reader, &ENCRYPTION, current.as_ref());
    if !reader.is_given(Setting::ENCRYPTION_KEY)
        && reader.is_given(Setting::ENCRYPTION_KEY_PREVIOUS)
    {
        reader.report(
            Setting::ENCRYPTION_KEY_PREVIOUS,
            "it is set, and JACKLINE_ENCRYPTION_KEY is not",
            "data would be written in plain text from now on, and there is no way back to that",
            "set JACKLINE_ENCRYPTION_KEY too; to give up encryption, unset both and begin with an empty store",
        );
    }
    let signs = |secret: &Secret| match signing {
        Signing::Given { current, previous } => {
            current.is(secret) || previous.iter().any(|other| other.is(secret))
        }
        Signing::KeptInDataDir { previous } => previous.iter().any(|other| other.is(secret)),
    };
    if current.as_ref().is_some_and(signs) || previous.iter().any(signs) {
        reader.report(
            Setting::ENCRYPTION_KEY,
            "it, or a previous one, signs cookies as well",
            "one secret for two purposes is lost for both at once, and cannot be rotated for one alone",
            ENCRYPTION.make,
        );
    }
    Some(Encryption {
        current: current?,
        previous,
    })
}

fn read_current(reader: &mut Reader, kind: &Kind) -> Option<Secret> {
    let text = reader.one(kind.current)?;
    let comma = text.contains(',');
    let parsed = Secret::parse(text);
    if comma {
        let (current, previous) = (kind.current.variable, kind.previous.variable);
        reader.report(
            kind.current,
            "it holds a comma",
            format!("it is one secret, not a list, and could not move to the comma-separated {previous} later"),
            format!("set only the newest secret in {current} and the older ones in {previous}"),
        );
        return None;
    }
    match parsed {
        Ok(secret) => Some(secret),
        Err(weak) => {
            reader.report(kind.current, weak.to_string(), kind.guessed, kind.make);
            None
        }
    }
}

fn read_previous(reader: &mut Reader, kind: &Kind, current: Option<&Secret>) -> Vec<Secret> {
    let parsed: Vec<_> = reader
        .list(kind.previous)
        .into_iter()
        .map(Secret::parse)
        .collect();
    let name = kind.current.variable;
    let mut previous: Vec<Secret> = Vec::new();
    for (index, parsed) in parsed.into_iter().enumerate() {
        let nth = index + 1;
        match parsed {
            Err(weak) => reader.report(
                kind.previous,
                format!("secret number {nth}: {weak}"),
                kind.previous_guessed,
                kind.removed,
            ),
            Ok(secret) if current.is_some_and(|current| current.is(&secret)) => reader.report(
                kind.previous,
                format!("secret number {nth} is {name} itself"),
                "the secret was not rotated, though it looks as if it had been",
                format!("set {name} to a new one (`jackline secret`), or remove it from the previous ones"),
            ),
            Ok(secret) if previous.iter().any(|other| other.is(&secret)) => reader.report(
                kind.previous,
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
            assert_eq!(Secret::parse(text).unwrap_err(), weak, "{text}");
        }
    }

    // Proves: P5
    #[test]
    fn a_secret_of_exactly_32_bytes_will_do() {
        assert!(Secret::parse("6f2ac91d7e5b40388d1c2b9a0f3e4d57").is_ok());
    }

    // Proves: J6
    #[test]
    fn debug_does_not_show_a_secret() {
        let secret = Secret::parse("6f2ac91d7e5b40388d1c2b9a0f3e4d57").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
    }
}
