//! Layer two: a token that only our own pages can read, made from the session's token and a signing key. Nothing is stored; rotating
//! the session's token kills it; two responses never carry the same bytes. Randomness is handed in, and no comparison of secret
//! material stops early.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// The keys of the CSRF tokens: the first mints, all verify. One derived per signing key, so that rotating signing keys neither logs
/// anybody out nor breaks a form that is being filled in.
///
/// ```
/// use jackline::csrf::CsrfKeys;
///
/// let keys = CsrfKeys::derive(&[b"a signing key of at least 32 bytes"])?;
/// // From the operating system's generator, fresh for each response.
/// let mask = [7; 32];
/// let token = keys.mint(b"the session token", mask);
///
/// assert!(keys.verify(b"the session token", token.expose().as_bytes()));
/// assert!(!keys.verify(b"the session token after login", token.expose().as_bytes()));
/// # Ok::<(), jackline::csrf::CsrfKeyError>(())
/// ```
///
/// OWASP CSRF Prevention Cheat Sheet, "Employing HMAC CSRF tokens"; ASVS 5.0 §3.5.1.
#[derive(Clone)]
pub struct CsrfKeys {
    /// Never empty.
    keys: Vec<Zeroizing<[u8; TAG_BYTES]>>,
}

impl CsrfKeys {
    /// Derives a key from each signing key, under a label of its own: what one use of a signing key reveals says nothing about the other.
    ///
    /// How long a signing key must be is the keyring's to judge.
    ///
    /// # Errors
    ///
    /// [`CsrfKeyError`] if there is no key, or one has no bytes: then anybody could mint tokens.
    pub fn derive(signing_keys: &[&[u8]]) -> Result<Self, CsrfKeyError> {
        if signing_keys.is_empty() {
            return Err(CsrfKeyError::NoKey);
        }
        if signing_keys.iter().any(|key| key.is_empty()) {
            return Err(CsrfKeyError::EmptyKey);
        }
        Ok(Self {
            keys: signing_keys.iter().map(|key| tag(key, LABEL)).collect(),
        })
    }

    /// Makes a token for the session with this session token. `mask` must be random and fresh; that, and not secrecy, is what it is for.
    pub fn mint(&self, session_token: &[u8], mask: [u8; 32]) -> CsrfToken {
        let mut bytes = Zeroizing::new([0; 2 * TAG_BYTES]);
        let (left, right) = bytes.split_at_mut(TAG_BYTES);
        let value = tag(&*self.keys[0], session_token);
        left.copy_from_slice(&mask);
        right.copy_from_slice(&*xor(&mask, &*value));

        let mut text = Zeroizing::new(String::with_capacity(TOKEN_CHARS));
        // A slice, since `*bytes` would leave an unwiped copy behind.
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        CsrfToken(text)
    }

    /// Whether `presented` was minted for this session token, under any of the keys.
    ///
    /// # Timing
    ///
    /// The length of `presented` and whether it is base64 are the sender's own doing and are judged first; both paths touch no secret.
    /// What follows does not depend on the bytes: HMAC-SHA256 runs the same instructions for every input of one length, XOR is one
    /// instruction per byte, [`subtle`]'s comparison reads all 32 bytes whatever they are, and its answers are joined by `|`, over all keys,
    /// without a branch. So neither how much of a guess was right nor which key it matched shows in the time.
    pub fn verify(&self, session_token: &[u8], presented: &[u8]) -> bool {
        let mut bytes = Zeroizing::new([0; 2 * TAG_BYTES]);
        if presented.len() != TOKEN_CHARS
            || URL_SAFE_NO_PAD.decode_slice(presented, &mut *bytes) != Ok(2 * TAG_BYTES)
        {
            return false;
        }
        let (mask, masked) = bytes.split_at(TAG_BYTES);
        let claimed = xor(mask, masked);
        let matches =
            |key: &Zeroizing<[u8; TAG_BYTES]>| tag(&**key, session_token).ct_eq(&*claimed);
        self.keys
            .iter()
            .fold(Choice::from(0), |found, key| found | matches(key))
            .into()
    }
}

impl fmt::Debug for CsrfKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CsrfKeys({} redacted)", self.keys.len())
    }
}

/// A signing key from which no CSRF key can be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrfKeyError {
    /// The list is empty.
    #[error("csrf tokens need at least one signing key")]
    NoKey,
    /// A key has no bytes.
    #[error("a signing key is empty")]
    EmptyKey,
}

/// A token as it goes into a page: 86 characters of base64url, different in every response. Wiped when dropped.
///
/// It can be shown only by calling [`expose`](Self::expose): there is no `Display`, no `Serialize`, and `Debug` hides it.
///
/// ```compile_fail,E0277
/// # let keys = jackline::csrf::CsrfKeys::derive(&[b"key"]).unwrap();
/// println!("{}", keys.mint(b"session", [0; 32]));
/// ```
pub struct CsrfToken(Zeroizing<String>);

impl CsrfToken {
    /// The token itself, for a page's form field, a JSON answer or a header. Not for a URL, a log or a cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken(redacted)")
    }
}

fn tag(key: &[u8], message: &[u8]) -> Zeroizing<[u8; TAG_BYTES]> {
    let mut mac = hmac_for(key);
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn hmac_for(key: &[u8]) -> Hmac<Sha256> {
    // HMAC is defined for keys of every length (RFC 2104 §2), and the crate takes them all.
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn xor(left: &[u8], right: &[u8]) -> Zeroizing<[u8; TAG_BYTES]> {
    let mut both = Zeroizing::new([0; TAG_BYTES]);
    for (out, (left, right)) in both.iter_mut().zip(left.iter().zip(right)) {
        *out = left ^ right;
    }
    both
}

/// Bytes of an HMAC-SHA256.
const TAG_BYTES: usize = 32;

/// 64 bytes in base64 without padding.
const TOKEN_CHARS: usize = 86;

/// Ends in NUL, which no session id contains: no signature over an id can ever be a derived key. Changing it invalidates all tokens.
const LABEL: &[u8] = b"jackline/csrf/v1\0";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const OLD: &[u8] = b"keyboard cat keyboard cat keyboard cat";
    const NEW: &[u8] = b"another cat another cat another cat";

    fn keys(signing_keys: &[&[u8]]) -> CsrfKeys {
        CsrfKeys::derive(signing_keys).expect("usable keys")
    }

    // Proves: T10.1
    #[test]
    fn the_bytes_of_a_token_are_pinned() {
        // Computed with Python's hmac and base64: forms open during an upgrade must stay valid.
        let mask = std::array::from_fn(|index| index as u8);
        let token = keys(&[OLD]).mint(b"session-token", mask);
        assert_eq!(
            token.expose(),
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_wDgcW4x2QMjSop-4bb7iPI1sB7XkJIjP3QnGt_OzcJQ"
        );
        assert_eq!(token.expose().len(), TOKEN_CHARS);
    }

    // Proves: S47, T10.1
    #[test]
    fn a_token_is_good_for_its_own_session_only() {
        let keys = keys(&[NEW]);
        let token = keys.mint(b"session a", [1; 32]);
        assert!(keys.verify(b"session a", token.expose().as_bytes()));
        assert!(!keys.verify(b"session b", token.expose().as_bytes()));
        assert!(!keys.verify(b"", token.expose().as_bytes()));
    }

    // Proves: S50, S6
    #[test]
    fn rotating_kills_the_old_csrf_token() {
        let keys = keys(&[NEW]);
        let before = keys.mint(b"token before login", [1; 32]);
        let after = keys.mint(b"token after login", [2; 32]);
        assert!(!keys.verify(b"token after login", before.expose().as_bytes()));
        assert!(keys.verify(b"token after login", after.expose().as_bytes()));
    }

    // Proves: T9.1
    #[test]
    fn tokens_survive_a_new_signing_key_and_die_with_the_old_one() {
        let old = keys(&[OLD]).mint(b"session", [1; 32]);
        assert!(keys(&[NEW, OLD]).verify(b"session", old.expose().as_bytes()));
        assert!(!keys(&[NEW]).verify(b"session", old.expose().as_bytes()));
        let new = keys(&[NEW, OLD]).mint(b"session", [1; 32]);
        assert!(keys(&[NEW]).verify(b"session", new.expose().as_bytes()));
        assert!(!keys(&[OLD]).verify(b"session", new.expose().as_bytes()));
    }

    // Proves: S47
    #[test]
    fn two_responses_never_carry_the_same_bytes() {
        let keys = keys(&[NEW]);
        let minted: Vec<_> = (0..=255)
            .map(|mask| keys.mint(b"session", [mask; 32]))
            .collect();
        assert_eq!(
            minted
                .iter()
                .map(CsrfToken::expose)
                .collect::<HashSet<_>>()
                .len(),
            256
        );
        assert!(
            minted
                .iter()
                .all(|token| keys.verify(b"session", token.expose().as_bytes()))
        );
    }

    // Proves: S47
    #[test]
    fn what_is_not_a_token_is_refused() {
        let keys = keys(&[NEW]);
        let good = keys.mint(b"session", [9; 32]).expose().to_owned();
        let zeros = "A".repeat(TOKEN_CHARS);
        let standard_alphabet = keys
            .mint(b"session", [0xff; 32])
            .expose()
            .replace('_', "/")
            .replace('-', "+");
        let mut trailing_bits = good.clone();
        trailing_bits.pop();
        let wrong = [
            "",
            "A",
            &good[1..],
            &good[..85],
            &format!("{good}="),
            &format!("{good}A"),
            &format!(" {good}"),
            &zeros,
            &standard_alphabet,
            &trailing_bits,
        ];
        for presented in wrong {
            assert!(
                !keys.verify(b"session", presented.as_bytes()),
                "{presented}"
            );
        }
        assert!(!keys.verify(b"session", &[0xff; TOKEN_CHARS]));
        assert!(!keys.verify(b"session", &vec![b'A'; 1_000_000]));
        // The unmasked value itself is not a token either.
        assert!(!keys.verify(b"session", &*tag(&*keys.keys[0], b"session")));
    }

    #[test]
    fn a_signing_key_is_not_used_as_it_is() {
        let direct = CsrfKeys {
            keys: vec![Zeroizing::new([7; 32])],
        };
        let derived = keys(&[&[7; 32]]);
        assert!(!derived.verify(
            b"session",
            direct.mint(b"session", [1; 32]).expose().as_bytes()
        ));
    }

    // Proves: J11
    #[test]
    fn no_key_and_an_empty_key_are_refused() {
        assert_eq!(CsrfKeys::derive(&[]).err(), Some(CsrfKeyError::NoKey));
        assert_eq!(
            CsrfKeys::derive(&[NEW, b""]).err(),
            Some(CsrfKeyError::EmptyKey)
        );
    }

    // Proves: J6, S48, T11.2
    #[test]
    fn debug_shows_neither_keys_nor_tokens() {
        let keys = keys(&[NEW, OLD]);
        assert_eq!(format!("{keys:?}"), "CsrfKeys(2 redacted)");
        assert_eq!(
            format!("{:?}", keys.mint(b"session", [1; 32])),
            "CsrfToken(redacted)"
        );
    }

    proptest! {
        // Proves: S47
        #[test]
        fn one_changed_character_is_enough(session in prop::collection::vec(any::<u8>(), 0..80), mask: [u8; 32], at in 0..TOKEN_CHARS, to: u8) {
            let keys = keys(&[NEW]);
            let mut presented = keys.mint(&session, mask).expose().as_bytes().to_vec();
            prop_assert!(keys.verify(&session, &presented));
            prop_assume!(presented[at] != to);
            presented[at] = to;
            prop_assert!(!keys.verify(&session, &presented));
        }

        #[test]
        fn no_bytes_panic(presented in prop::collection::vec(any::<u8>(), 80..92)) {
            prop_assert!(!keys(&[NEW]).verify(b"session", &presented));
        }
    }
}
