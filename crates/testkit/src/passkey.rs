//! A passkey, and the browser before it: what both of them say when a page asks, as JSON. It signs with ES256, attests to nothing, and does
//! as a test tells it, honest or not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// One passkey.
#[derive(Debug)]
pub struct Passkey {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    rp_id: String,
    user: String,
    /// How often it says that it has signed. Zero, as synchronised ones do, unless a test sets it.
    pub count: u32,
    /// Whether it says that its user was verified.
    pub verifies: bool,
    /// The origin of the page that asks.
    pub origin: String,
}

const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const NEW: u8 = 1 << 6;

impl Passkey {
    /// Made for a page at `origin`, from the options for `navigator.credentials.create`, with the answer of that.
    #[must_use]
    pub fn make(options: &Value, origin: &str) -> (Self, Value) {
        let options = &options["publicKey"];
        let random = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(alg, document.as_ref(), &random).unwrap();
        let id = Sha256::digest(key.public_key()).to_vec();
        let passkey = Self {
            key,
            id,
            rp_id: text(&options["rp"]["id"]),
            user: text(&options["user"]["id"]),
            count: 0,
            verifies: true,
            origin: origin.to_owned(),
        };
        let answer = passkey.creation(&text(&options["challenge"]));
        (passkey, answer)
    }

    /// Its answer to the options for `navigator.credentials.get`.
    #[must_use]
    pub fn answer(&self, options: &Value) -> Value {
        let options = &options["publicKey"];
        let client = self.client_data("webauthn.get", &text(&options["challenge"]));
        let data = self.authenticator_data(0);
        let mut signed = data.clone();
        signed.extend(Sha256::digest(&client));
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "authenticatorData": base64url(&data),
                "clientDataJSON": base64url(&client),
                "signature": base64url(signature.as_ref()),
                "userHandle": self.user,
            },
        })
    }

    /// Whether the options ask for it, or for any.
    #[must_use]
    pub fn is_asked_for(&self, options: &Value) -> bool {
        let allowed = options["publicKey"]["allowCredentials"].as_array();
        let id = base64url(&self.id);
        allowed.is_none_or(|allowed| {
            allowed.is_empty() || allowed.iter().any(|one| one["id"] == id.as_str())
        })
    }

    fn creation(&self, challenge: &str) -> Value {
        let client = self.client_data("webauthn.create", challenge);
        let mut data = self.authenticator_data(NEW);
        data.extend([0; 16]);
        data.extend([0, u8::try_from(self.id.len()).unwrap()]);
        data.extend(&self.id);
        // The key in COSE: of two coordinates, on P-256, for ES256.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32]);
        data.extend(x);
        data.extend([0x22, 0x58, 32]);
        data.extend(y);
        // {"fmt": "none", "attStmt": {}, "authData": …} in CBOR.
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(u8::try_from(data.len()).unwrap());
        attestation.extend(data);
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "attestationObject": base64url(&attestation),
                "clientDataJSON": base64url(&client),
            },
        })
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let data = json!({
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    fn authenticator_data(&self, more: u8) -> Vec<u8> {
        let verified = if self.verifies { VERIFIED } else { 0 };
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(PRESENT | verified | more);
        data.extend(self.count.to_be_bytes());
        data
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
