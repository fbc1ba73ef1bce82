//! The encryption keys, and data on its way through them. The first encrypts, all decrypt; what was encrypted with an older one is
//! encrypted anew with the next change of the session.

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use serde_json::value::to_raw_value;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::cookie::{SigningKey, WeakKey};
use crate::lifecycle::Data;
use crate::store::{CorruptRecord, ENCRYPTED_MEMBER, StoreError};
use crate::token::SessionKey;

/// How the value of [`ENCRYPTED_MEMBER`] begins: `A1.<key>.<nonce and ciphertext>`.
const FORMAT: &str = "A1";
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

/// A secret that data is encrypted with: at least 32 bytes, and not the signing key.
#[derive(Clone)]
pub struct EncryptionKey {
    root: Hkdf<Sha256>,
    /// Says with which key something was encrypted. Derived, so it tells nothing of the key.
    id: String,
}

impl EncryptionKey {
    /// Takes a secret as it stands in the environment. The bytes of the text are the key, whatever alphabet they are in.
    ///
    /// # Errors
    /// As [`SigningKey::new`].
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, WeakKey> {
        // The same bar for both: whoever guesses either of them has every session.
        let secret = SigningKey::new(secret)?;
        let root = Hkdf::new(None, secret.expose());
        let mut id = [0; 4];
        expand(&root, b"jackline encryption at rest, key id", &[], &mut id);
        Ok(Self {
            root,
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// A session's own cipher. A random nonce of 96 bits may serve for 2³² messages under one key (NIST SP 800-38D, section 8.3);
    /// with a key for each session that is 2³² writes of one session and no limit for all of them.
    fn cipher(&self, session: &[u8]) -> Aes256Gcm {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        expand(
            &self.root,
            b"jackline encryption at rest",
            session,
            &mut *key,
        );
        Aes256Gcm::new((&*key).into())
    }
}

fn expand(root: &Hkdf<Sha256>, purpose: &[u8], subject: &[u8], out: &mut [u8]) {
    root.expand_multi_info(&[purpose, b"\0", subject], out)
        .expect("no more is asked for than one hash");
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({})", self.id)
    }
}

/// The encryption keys in use, newest first.
#[derive(Clone)]
pub struct EncryptionKeys(Vec<EncryptionKey>);

impl EncryptionKeys {
    /// Encrypts with `current`, and decrypts with it.
    #[must_use]
    pub fn new(current: EncryptionKey) -> Self {
        Self(vec![current])
    }

    /// Also decrypts with `previous`. Leave a key here for as long as the longest absolute limit: data is encrypted anew only when it
    /// changes.
    #[must_use]
    pub fn with_previous(mut self, previous: EncryptionKey) -> Self {
        self.0.push(previous);
        self
    }

    /// The data of the session under `key`, encrypted.
    pub(super) fn seal(&self, key: &SessionKey, data: &Data) -> Result<Data, StoreError> {
        let [newest, ..] = self.0.as_slice() else {
            return Err(StoreError::unavailable("there is no encryption key"));
        };
        let subject = key.to_bytes();
        let mut sealed = vec![0; NONCE_BYTES];
        getrandom::fill(&mut sealed).map_err(StoreError::unavailable)?;
        let nonce = nonce(&sealed)?;
        let plain = data.to_json();
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: &subject,
        };
        let ciphertext = newest
            .cipher(&subject)
            .encrypt(&nonce, payload)
            .map_err(|_| StoreError::unavailable("the data is too long to encrypt"))?;
        sealed.extend(ciphertext);
        let text = format!("{FORMAT}.{}.{}", newest.id, URL_SAFE_NO_PAD.encode(sealed));
        let mut data = Data::new();
        data.set(
            ENCRYPTED_MEMBER,
            to_raw_value(&text).expect("a string always serialises"),
        );
        Ok(data)
    }

    /// The data of the session under `key`, in plain text; `None` if it never was encrypted.
    pub(super) fn open(&self, key: &SessionKey, sealed: &Data) -> Result<Option<Data>, StoreError> {
        // An application may have a member of this name too, in data that is not encrypted.
        let text = match (sealed.len(), sealed.get::<String>(ENCRYPTED_MEMBER)) {
            (1, Ok(Some(text))) => text,
            _ => return Ok(None),
        };
        let mut parts = text.split('.');
        let (Some(FORMAT), Some(id), Some(sealed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let Some(used) = self.0.iter().find(|known| known.id == id) else {
            return Err(CorruptRecord::new("it is encrypted with a key that is not listed").into());
        };
        let damaged = || CorruptRecord::new("the encrypted data does not open");
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| damaged())?;
        let (nonce_bytes, ciphertext) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let subject = key.to_bytes();
        let payload = Payload {
            msg: ciphertext,
            aad: &subject,
        };
        let plain = used
            .cipher(&subject)
            .decrypt(&nonce(nonce_bytes)?, payload)
            .map_err(|_| damaged())?;
        let plain = std::str::from_utf8(&plain).map_err(|_| damaged())?;
        Data::from_json(plain)
            .map(Some)
            .map_err(|_| damaged().into())
    }
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

fn nonce(bytes: &[u8]) -> Result<Nonce<aes_gcm::aead::consts::U12>, StoreError> {
    Nonce::try_from(bytes).map_err(|_| StoreError::unavailable("a nonce has twelve bytes"))
}
