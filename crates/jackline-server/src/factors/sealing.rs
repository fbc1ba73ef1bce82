//! Secrets at rest. A time-based code can be computed by whoever has its secret, and a password's hash beside it is of no use to them, so
//! that secret is never stored as it is: it is encrypted (AES-256-GCM) under a key derived from the server's signing secret, which is
//! not in the database. Whoever has a backup of the users has no second factors by it.
//!
//! The first signing secret seals, all open. What an older one has sealed is sealed anew when the server starts.

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::random;

const NONCE_BYTES: usize = 12;

/// Seals and opens.
#[derive(Clone)]
pub struct Seals(Vec<Seal>);

#[derive(Clone)]
struct Seal {
    cipher: Aes256Gcm,
    /// Says by which key something was sealed. Derived, so it tells nothing of the key.
    id: String,
}

/// What was sealed, and by which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) key: String,
    pub(super) text: String,
}

impl Seals {
    /// Keys made of the signing secrets, the current one first.
    ///
    /// # Panics
    /// If there is no secret at all, with which no server starts.
    pub fn new(secrets: &[Secret]) -> Self {
        assert!(!secrets.is_empty(), "a server has a signing secret");
        Self(secrets.iter().map(Seal::new).collect())
    }

    /// The name of the key that seals.
    pub(super) fn newest(&self) -> &str {
        &self.0[0].id
    }

    /// Seals `plain` for a place: it opens nowhere else.
    pub(super) fn seal(&self, place: &str, plain: &[u8]) -> anyhow::Result<Sealed> {
        let seal = &self.0[0];
        let nonce: [u8; NONCE_BYTES] = random::bytes()?;
        let payload = Payload {
            msg: plain,
            aad: place.as_bytes(),
        };
        let ciphertext = seal
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| anyhow::anyhow!("a secret is too long to seal"))?;
        let mut bytes = nonce.to_vec();
        bytes.extend(ciphertext);
        Ok(Sealed {
            key: seal.id.clone(),
            text: URL_SAFE_NO_PAD.encode(bytes),
        })
    }

    /// Opens what was sealed for this place. `None` if the key is not here any more, or it was tampered with.
    pub(super) fn open(&self, place: &str, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = URL_SAFE_NO_PAD.decode(&sealed.text).ok()?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        self.0
            .iter()
            .filter(|seal| seal.id == sealed.key)
            .find_map(|seal| {
                let payload = Payload {
                    msg: ciphertext,
                    aad: place.as_bytes(),
                };
                seal.cipher.decrypt(&Nonce::from(*nonce), payload).ok()
            })
            .map(Zeroizing::new)
    }
}

impl Seal {
    fn new(secret: &Secret) -> Self {
        let root = Hkdf::<Sha256>::new(None, secret.expose());
        let mut key = Zeroizing::new([0; 32]);
        let mut id = [0; 4];
        for (purpose, out) in [
            ("jackline second factors", &mut key[..]),
            ("jackline second factors, key id", &mut id[..]),
        ] {
            root.expand(purpose.as_bytes(), out)
                .expect("no more is asked for than one hash");
        }
        Self {
            cipher: Aes256Gcm::new((&*key).into()),
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.0.iter().map(|seal| &seal.id).collect();
        f.debug_tuple("Seals").field(&ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str) -> Secret {
        Secret::parse(&format!("{name}: zqx-wvk-jhg-pdf-mnb-ytr-0123456789")).unwrap()
    }

    // Proves: R2, J6
    #[test]
    fn what_is_sealed_opens_in_its_place_only_and_by_older_secrets_too() {
        let before = Seals::new(&[secret("old")]);
        let sealed = before.seal("bob/a", b"zqzqzq").unwrap();
        let rotated = Seals::new(&[secret("new"), secret("old")]);
        assert_eq!(**rotated.open("bob/a", &sealed).unwrap(), *b"zqzqzq");
        assert_eq!(rotated.open("bob/b", &sealed), None);
        assert_eq!(Seals::new(&[secret("new")]).open("bob/a", &sealed), None);
        let anew = rotated.seal("bob/a", b"zqzqzq").unwrap();
        assert_eq!(anew.key, rotated.newest());
        assert_ne!(anew.key, sealed.key);
        let again = rotated.seal("bob/a", b"zqzqzq").unwrap();
        assert_ne!(anew.text, again.text);
        let mut tampered = anew.clone();
        tampered.text.replace_range(20..21, "_");
        assert!(tampered == anew || rotated.open("bob/a", &tampered).is_none());
        for text in ["", "AAAA", "!"] {
            let text = text.to_owned();
            let cut = Sealed {
                text,
                ..anew.clone()
            };
            assert_eq!(rotated.open("bob/a", &cut), None);
        }
        let shown = format!("{rotated:?} {anew:?}");
        assert!(
            !shown.contains("zqzqzq") && !shown.contains("zqx"),
            "{shown}"
        );
    }
}
