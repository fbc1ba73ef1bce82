//! The three names of a session, which do not compile when confused.
//!
//! [`SessionToken`] is the secret in the browser, [`SessionKey`] is all that a store sees of it, and [`Handle`] is the
//! harmless name for lists and logs. Each is computed from the one before, and none can be computed back.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::lifecycle::OwnerId;

/// The secret in the browser's cookie: 192 random bits (OWASP ASVS 7.2.3 asks for 128), and 16 bits that say in which
/// bucket a clustered store keeps the session.
///
/// It is never printed: `Debug` says `SessionToken(redacted)`, there is no `Display`, and its memory is wiped when dropped.
#[derive(Clone)]
pub struct SessionToken([u8; SessionToken::BYTES]);

impl SessionToken {
    /// Random bytes in a token.
    pub const RANDOM_BYTES: usize = 24;
    const BYTES: usize = Self::RANDOM_BYTES + 2;
    /// Characters of a token in a cookie.
    pub(crate) const CHARS: usize = 35;

    /// A token from fresh randomness, in `bucket`.
    #[must_use]
    pub fn from_random(random: [u8; Self::RANDOM_BYTES], bucket: Bucket) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[..Self::RANDOM_BYTES].copy_from_slice(&random);
        bytes[Self::RANDOM_BYTES..].copy_from_slice(&bucket.0.to_be_bytes());
        Self(bytes)
    }

    /// Reads the form that stands in a cookie; `None` for anything that this library would not have written.
    #[must_use]
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != Self::CHARS {
            return None;
        }
        let mut bytes = [0; Self::BYTES];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(Self::BYTES) => Some(Self(bytes)),
            _ => None,
        }
    }

    /// The form that stands in a cookie. A secret: callers put it there and nowhere else.
    #[must_use]
    pub(crate) fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The bytes, for deriving what must die with the token.
    #[must_use]
    pub(crate) fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What a store sees of this token.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        let bucket = Bucket(u16::from_be_bytes([
            self.0[Self::BYTES - 2],
            self.0[Self::BYTES - 1],
        ]));
        SessionKey {
            bucket,
            digest: Sha256::digest(self.0).into(),
        }
    }
}

impl PartialEq for SessionToken {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SessionToken {}

impl Drop for SessionToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(redacted)")
    }
}

/// Which of 65 536 buckets a session is kept in. All of an owner's sessions share one, and their index with them, so
/// that a store spread over many machines finds them in one place and can end them in one step.
///
/// It reveals next to nothing: it is 16 bits of a hash, shared by one owner in 65 536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket of an owner's sessions.
    #[must_use]
    pub fn of(owner: &OwnerId) -> Self {
        let digest = Sha256::new()
            .chain_update(b"jackline owner bucket\0")
            .chain_update(owner.as_str())
            .finalize();
        Self(u16::from_be_bytes([digest[0], digest[1]]))
    }

    /// Any bucket, for a session that has no owner.
    #[must_use]
    pub fn from_random(random: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(random))
    }

    /// The bucket of this number, as a store has kept it.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// The bucket's number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

/// What a store sees of a session: the SHA-256 of its token, and its bucket. Whoever reads a whole store learns no
/// token from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionKey {
    bucket: Bucket,
    digest: [u8; 32],
}

impl SessionKey {
    /// Puts a key together again from what a store has kept of it.
    #[must_use]
    pub fn from_parts(bucket: Bucket, digest: [u8; 32]) -> Self {
        Self { bucket, digest }
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The SHA-256 of the token.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The bucket, big-endian, and the digest: 34 bytes that sort as keys do.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 34] {
        let mut bytes = [0; 34];
        bytes[..2].copy_from_slice(&self.bucket.number().to_be_bytes());
        bytes[2..].copy_from_slice(&self.digest);
        bytes
    }

    /// The key of which [`SessionKey::to_bytes`] made these; `None` if they are not 34.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (bucket, digest) = bytes.split_first_chunk::<2>()?;
        let bucket = Bucket::from_number(u16::from_be_bytes(*bucket));
        Some(Self::from_parts(bucket, digest.try_into().ok()?))
    }

    /// The session's public name.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let digest = Sha256::new()
            .chain_update(b"jackline session handle\0")
            .chain_update(self.digest)
            .finalize();
        Handle(URL_SAFE_NO_PAD.encode(&digest[..12]))
    }
}

/// As text: [`SessionKey::to_bytes`] in base64url.
impl From<SessionKey> for String {
    fn from(key: SessionKey) -> Self {
        URL_SAFE_NO_PAD.encode(key.to_bytes())
    }
}

impl TryFrom<String> for SessionKey {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAKey)?;
        Self::from_bytes(&bytes).ok_or(NotAKey)
    }
}

/// A text is no [`SessionKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session's key is 34 bytes in base64url")]
pub struct NotAKey;

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", self.handle())
    }
}

/// The public name of a session, for device lists, logs and support: 16 characters that open nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

impl Handle {
    /// Takes what somebody typed or sent. Any text will do: a handle that names nothing ends nothing.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.0)
    }
}
