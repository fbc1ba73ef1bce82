//! The three names of a session, which do not compile when confused.
//!
//! [`SessionToken`] is the secret in the browser, [`SessionKey`] is all that a store sees of it, and [`Handle`] is the
//! harmless name for lists and logs. Each is computed from the one before, and none can be computed back; but for sessions
//! shared with Express, whose layout stores the id itself, so that their keys hold it ([`SessionKey::sid`]).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::lifecycle::OwnerId;

/// The secret in the browser's cookie: 192 random bits (OWASP ASVS 7.2.3 asks for 128), and 16 bits that say in which
/// bucket a clustered store keeps the session. Or, where sessions are shared with Express, an id as Express makes them.
///
/// It is never printed: `Debug` says `SessionToken(redacted)`, there is no `Display`, and its memory is wiped when dropped.
#[derive(Clone)]
pub struct SessionToken(Form);

#[derive(Clone)]
enum Form {
    Native(Zeroizing<[u8; SessionToken::BYTES]>),
    /// Not empty, and at most [`SessionToken::MAX_SID_BYTES`].
    Express(Zeroizing<String>),
}

impl SessionToken {
    /// Random bytes in a token.
    pub const RANDOM_BYTES: usize = 24;
    const BYTES: usize = Self::RANDOM_BYTES + 2;
    /// Characters of a token in a cookie.
    pub(crate) const CHARS: usize = 35;
    /// The longest id of Express that is taken, in bytes. Its own have 32.
    pub const MAX_SID_BYTES: usize = Sid::MAX_BYTES;

    /// A token from fresh randomness, in `bucket`.
    #[must_use]
    pub fn from_random(random: [u8; Self::RANDOM_BYTES], bucket: Bucket) -> Self {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        bytes[..Self::RANDOM_BYTES].copy_from_slice(&random);
        bytes[Self::RANDOM_BYTES..].copy_from_slice(&bucket.0.to_be_bytes());
        Self(Form::Native(bytes))
    }

    /// A token from fresh randomness, as Express makes its ids.
    #[must_use]
    pub fn express_from_random(random: [u8; Self::RANDOM_BYTES]) -> Self {
        let sid = URL_SAFE_NO_PAD.encode(Zeroizing::new(random).as_slice());
        Self(Form::Express(Zeroizing::new(sid)))
    }

    /// An id of Express, whatever its application made it of; `None` if it is empty or longer than
    /// [`SessionToken::MAX_SID_BYTES`].
    #[must_use]
    pub fn express(sid: &str) -> Option<Self> {
        Sid::new(sid)?;
        Some(Self(Form::Express(Zeroizing::new(sid.to_owned()))))
    }

    /// Reads the form that stands in a cookie; `None` for anything that this library would not have written.
    #[must_use]
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != Self::CHARS {
            return None;
        }
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        match URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()) {
            Ok(Self::BYTES) => Some(Self(Form::Native(bytes))),
            _ => None,
        }
    }

    /// The form that stands in a cookie. A secret: callers put it there and nowhere else.
    #[must_use]
    pub(crate) fn expose(&self) -> String {
        match &self.0 {
            Form::Native(bytes) => URL_SAFE_NO_PAD.encode(bytes.as_slice()),
            Form::Express(sid) => sid.to_string(),
        }
    }

    /// The bytes, for deriving what must die with the token.
    #[must_use]
    pub(crate) fn expose_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Native(bytes) => bytes.as_slice(),
            Form::Express(sid) => sid.as_bytes(),
        }
    }

    /// Whether it is an id of Express.
    pub(crate) fn is_express(&self) -> bool {
        matches!(self.0, Form::Express(_))
    }

    /// What a store sees of this token.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        match &self.0 {
            Form::Native(bytes) => {
                let [.., high, low] = **bytes;
                let bucket = Bucket(u16::from_be_bytes([high, low]));
                SessionKey::from_parts(bucket, Sha256::digest(bytes.as_slice()).into())
            }
            Form::Express(sid) => {
                SessionKey::express(sid).expect("the id was measured when it became a token")
            }
        }
    }
}

impl PartialEq for SessionToken {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        let same_form = matches!(self.0, Form::Native(_)) == matches!(other.0, Form::Native(_));
        same_form && bool::from(self.expose_bytes().ct_eq(other.expose_bytes()))
    }
}

impl Eq for SessionToken {}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(redacted)")
    }
}

/// Which of 65 536 buckets a session is kept in. All of an owner's sessions share one, and their index with them, so
/// that a store spread over many machines finds them in one place and can end them in one step.
///
/// It reveals next to nothing: it is 16 bits of a hash, shared by one owner in 65 536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
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
///
/// The key of a session that is shared with Express also holds the id as it is, for that is what stands in Express's Redis. Counters
/// of [attempts](crate::session::Allowance) have keys too, and a store may keep them apart.
///
/// Keys are equal if bucket and digest are, from which the id cannot differ. As text a key is without it.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionKey {
    bucket: Bucket,
    digest: [u8; 32],
    kind: Kind,
}

/// What a key is for.
#[derive(Clone, Copy)]
enum Kind {
    Session,
    Shared(Sid),
    Attempts,
}

/// An id of Express, small enough to be copied.
#[derive(Clone, Copy)]
struct Sid {
    len: u8,
    bytes: [u8; Sid::MAX_BYTES],
}

impl Sid {
    const MAX_BYTES: usize = 128;

    fn new(sid: &str) -> Option<Self> {
        let mut bytes = [0; Self::MAX_BYTES];
        bytes.get_mut(..sid.len())?.copy_from_slice(sid.as_bytes());
        let len = u8::try_from(sid.len()).ok().filter(|len| *len > 0)?;
        Some(Self { len, bytes })
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("made of a string")
    }
}

impl SessionKey {
    /// Puts a key together again from what a store has kept of it.
    #[must_use]
    pub fn from_parts(bucket: Bucket, digest: [u8; 32]) -> Self {
        Self {
            bucket,
            digest,
            kind: Kind::Session,
        }
    }

    /// The key of a counter of attempts.
    #[must_use]
    pub fn attempts(digest: [u8; 32]) -> Self {
        Self {
            bucket: Bucket(u16::from_be_bytes([digest[0], digest[1]])),
            digest,
            kind: Kind::Attempts,
        }
    }

    /// Whether it is the key of a counter, and of no session.
    #[must_use]
    pub fn is_attempts(&self) -> bool {
        matches!(self.kind, Kind::Attempts)
    }

    /// The key of a session that is shared with Express; `None` for what is [no id](SessionToken::express).
    #[must_use]
    pub fn express(sid: &str) -> Option<Self> {
        // Not the bare hash of the id, so that no handle can be compared with hashes that others have of ids.
        let digest = Sha256::new()
            .chain_update(b"jackline express session\0")
            .chain_update(sid)
            .finalize();
        Some(Self {
            bucket: Bucket(u16::from_be_bytes([digest[0], digest[1]])),
            digest: digest.into(),
            kind: Kind::Shared(Sid::new(sid)?),
        })
    }

    /// The id that Express knows the session by, if it is shared with Express. A secret, and stored all the same: Express's
    /// layout has no place for a hash.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        match &self.kind {
            Kind::Shared(sid) => Some(sid.as_str()),
            Kind::Session | Kind::Attempts => None,
        }
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The key that this session has in another bucket: the same digest, and no id of Express.
    #[must_use]
    pub fn in_bucket(&self, bucket: Bucket) -> Self {
        Self::from_parts(bucket, self.digest)
    }

    /// The SHA-256 of the token, or one that follows from an id of Express.
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

impl PartialEq for SessionKey {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for SessionKey {}

impl PartialOrd for SessionKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SessionKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
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

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J6
    #[test]
    fn an_id_of_express_is_in_its_key_and_in_nothing_that_is_printed() {
        let sid = "abcdefghijklmnopqrstuvwxyz012345";
        let token = SessionToken::express(sid).unwrap();
        let key = token.key();
        assert_eq!(key.sid(), Some(sid));
        assert_eq!(Some(key), SessionKey::express(sid));
        let printed = format!("{token:?} {key:?} {}", key.handle());
        assert!(!printed.contains("abcdef"), "{printed}");
        assert_ne!(key.handle(), SessionKey::express("other").unwrap().handle());
    }

    #[test]
    fn any_text_of_1_to_128_bytes_is_an_id_of_express() {
        let longest = "é".repeat(64);
        for sid in ["a", "a.b", "%41\"';,", "日本", &longest] {
            assert_eq!(SessionToken::express(sid).unwrap().expose(), sid);
            assert_eq!(SessionKey::express(sid).unwrap().sid(), Some(sid));
        }
        for sid in ["", &"x".repeat(129), &"x".repeat(300)] {
            assert!(SessionToken::express(sid).is_none() && SessionKey::express(sid).is_none());
        }
    }

    #[test]
    fn fresh_ids_are_as_express_makes_them_and_no_form_equals_the_other() {
        let token = SessionToken::express_from_random([0xfb; 24]);
        assert_eq!(token.expose(), "-_v7".repeat(8));
        assert_eq!(Some(token), SessionToken::express(&"-_v7".repeat(8)));
        let bytes = [b'a'; 24];
        let native = SessionToken::from_random(bytes, Bucket::from_random([b'a', b'a']));
        assert_ne!(SessionToken::express(&"a".repeat(26)), Some(native));
    }
}
