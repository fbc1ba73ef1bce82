//! The signing keys. The first signs, all verify, and a cookie that verified with an older key is signed anew, so a key is
//! replaced without logging anybody out (T9.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A secret that cookies are signed with: at least 32 bytes (RFC 2104, section 3: no shorter than the hash's output).
///
/// Keys cannot be compared, so nobody compares them byte by byte until one differs:
///
/// ```compile_fail,E0369
/// use jackline::cookie::SigningKey;
///
/// assert!(SigningKey::generate() == SigningKey::generate());
/// ```
///
/// Proves: T9.2
#[derive(Clone)]
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// The shortest key accepted, in bytes.
    pub const MIN_BYTES: usize = 32;

    /// Takes a secret as it stands in the environment. The bytes of the text are the key, whatever alphabet they are in.
    ///
    /// # Errors
    /// If it is shorter than [`SigningKey::MIN_BYTES`], or made of so few different bytes that somebody typed it.
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, WeakKey> {
        let secret = Zeroizing::new(secret.into());
        if secret.len() < Self::MIN_BYTES {
            return Err(WeakKey::TooShort);
        }
        let mut seen = [false; 256];
        for byte in secret.iter() {
            seen[usize::from(*byte)] = true;
        }
        // Random hex of this length shows fewer than eight different digits once in more than ten million keys.
        if seen.iter().filter(|seen| **seen).count() < 8 {
            return Err(WeakKey::TooPlain);
        }
        Ok(Self(secret))
    }

    /// A fresh key of 64 bytes from the operating system's generator, for tests and for programs that run once: cookies that
    /// it signed are worthless after a restart.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = vec![0; 64];
        getrandom::fill(&mut bytes).expect("the operating system provides randomness");
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// Why a secret is no signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakKey {
    /// Shorter than 32 bytes.
    #[error("a signing key must have at least 32 bytes; 64 random ones are better")]
    TooShort,
    /// Fewer than eight different bytes.
    #[error("a signing key must be random; this one repeats a few characters")]
    TooPlain,
}

/// How a cookie was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyAge {
    Current,
    Older,
}

/// The signing keys in use, newest first.
#[derive(Clone)]
pub struct Keyring {
    // Never empty. Each key is kept beside the HMAC state that it starts from: hashing it again for every cookie would double
    // the cost of a verification.
    keys: Vec<(SigningKey, Hmac<Sha256>)>,
}

impl Keyring {
    /// Signs with `current`, and verifies with it.
    #[must_use]
    pub fn new(current: SigningKey) -> Self {
        Self {
            keys: vec![keyed(current)],
        }
    }

    /// Also verifies with `previous`. Leave a key here for as long as the longest idle limit.
    #[must_use]
    pub fn with_previous(mut self, previous: SigningKey) -> Self {
        self.keys.push(keyed(previous));
        self
    }

    /// Whether the value of a cookie was signed with one of these keys. For tools that look at a service from outside: it says
    /// whether these keys are the service's (D6), and nothing about whether there is such a session.
    ///
    /// ```
    /// use jackline::cookie::{Keyring, SigningKey};
    ///
    /// let keys = Keyring::new(SigningKey::generate());
    /// assert!(!keys.verifies("s%3AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.forged"));
    /// ```
    #[must_use]
    pub fn verifies(&self, cookie_value: &str) -> bool {
        super::read::is_signed(cookie_value.as_bytes(), self)
    }

    pub(crate) fn expose(&self) -> Vec<&[u8]> {
        self.keys.iter().map(|(key, _)| key.expose()).collect()
    }

    /// The signature of `id`: 43 characters of base64.
    pub(crate) fn sign(&self, id: &[u8]) -> String {
        let mac = self.keys[0]
            .1
            .clone()
            .chain_update(id)
            .finalize()
            .into_bytes();
        STANDARD_NO_PAD.encode(mac)
    }

    /// Verifies a signature with each key in turn. Comparison is `hmac`'s own, in constant time; which key matched does show
    /// in the time, and is no secret.
    pub(crate) fn verify(&self, id: &[u8], signature: &[u8]) -> Option<KeyAge> {
        let mut mac = [0; 32];
        // Strict base64: one signature has one spelling.
        let decoded = STANDARD_NO_PAD.decode_slice(signature, &mut mac).ok()?;
        if decoded != mac.len() {
            return None;
        }
        self.keys
            .iter()
            .position(|(_, keyed)| keyed.clone().chain_update(id).verify_slice(&mac).is_ok())
            .map(|position| {
                if position == 0 {
                    KeyAge::Current
                } else {
                    KeyAge::Older
                }
            })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

fn keyed(key: SigningKey) -> (SigningKey, Hmac<Sha256>) {
    let state = Hmac::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    (key, state)
}

/// A key of any text, such as the vectors of others are made with.
#[cfg(test)]
pub(super) fn for_tests(text: &str) -> SigningKey {
    SigningKey(Zeroizing::new(text.into()))
}

#[cfg(test)]
mod tests {
    use super::for_tests as key;
    use super::*;

    // Proves: T4.1
    #[test]
    fn signatures_are_those_of_express() {
        let signature = Keyring::new(key("keyboard cat")).sign(b"abcdefghijklmnopqrstuvwxyz012345");
        assert_eq!(signature, "2T3g1YIBqofc0ViEUEt59cUq+a6Wlfi59xfb4RQsxSQ");
        assert_eq!(
            Keyring::new(key("tobiiscool")).sign(b"hello"),
            "DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI"
        );
    }

    // Proves: T9.1
    #[test]
    fn the_first_key_signs_and_all_verify_until_removed() {
        let old = Keyring::new(key("old"));
        let signature = old.sign(b"id");
        let both = Keyring::new(key("new")).with_previous(key("old"));
        assert_eq!(
            both.verify(b"id", signature.as_bytes()),
            Some(KeyAge::Older)
        );
        assert_eq!(
            both.verify(b"id", both.sign(b"id").as_bytes()),
            Some(KeyAge::Current)
        );
        assert_eq!(
            Keyring::new(key("new")).verify(b"id", signature.as_bytes()),
            None
        );
    }

    /// What CSRF tokens are derived from.
    #[test]
    fn the_keys_are_handed_on_as_they_are_and_in_order() {
        let ring = Keyring::new(key("new")).with_previous(key("old"));
        assert_eq!(ring.expose(), [b"new", b"old"]);
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let ring = Keyring::new(key("k"));
        let signature = ring.sign(b"id");
        for other in [
            format!("{signature}="),
            format!("{signature}A"),
            signature[1..].to_owned(),
            String::new(),
        ] {
            assert_eq!(ring.verify(b"id", other.as_bytes()), None, "{other}");
        }
        assert_eq!(ring.verify(b"other", signature.as_bytes()), None);
    }

    // Proves: P5, J11
    #[test]
    fn short_and_typed_secrets_are_refused() {
        assert_eq!(
            SigningKey::new("keyboard cat").unwrap_err(),
            WeakKey::TooShort
        );
        assert_eq!(
            SigningKey::new("x".repeat(31)).unwrap_err(),
            WeakKey::TooShort
        );
        assert_eq!(
            SigningKey::new("abc".repeat(40)).unwrap_err(),
            WeakKey::TooPlain
        );
        assert!(SigningKey::new("0123456789abcdef0123456789abcdef").is_ok());
    }

    // Proves: J6
    #[test]
    fn debug_shows_no_key() {
        let ring = Keyring::new(key("sesame-open")).with_previous(key("sesame-shut"));
        assert_eq!(format!("{ring:?}"), "Keyring(2 keys)");
        assert_eq!(format!("{:?}", ring.keys[0].0), "SigningKey(redacted)");
    }
}
