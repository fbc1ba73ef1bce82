//! The signature of a message, as the Standard Webhooks specification has it: HMAC-SHA256 over its id, the time of this attempt and its
//! body, so that a receiver can refuse what is forged, changed or old.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::WebhookSecret;

/// The value of `webhook-signature`: one signature by each secret, so that a receiver may hold either while they change.
pub(super) fn sign(secrets: &[WebhookSecret], id: &str, seconds: i64, body: &str) -> String {
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| {
            let mac = Hmac::<Sha256>::new_from_slice(secret.expose())
                .expect("HMAC takes keys of every length")
                .chain_update(format!("{id}.{seconds}.{body}"))
                .finalize();
            format!("v1,{}", STANDARD.encode(mac.into_bytes()))
        })
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: S45
    #[test]
    fn signatures_are_those_of_the_specifications_vector_one_by_each_secret() {
        let secrets = [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        ]
        .map(|text| WebhookSecret::parse(text).unwrap());
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let vector = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(&secrets[..1], id, 1_614_265_330, body), vector);
        let both = sign(&secrets, id, 1_614_265_330, body);
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(first, vector);
        assert_eq!(second, sign(&secrets[1..], id, 1_614_265_330, body));
        assert_ne!(sign(&secrets[..1], id, 1_614_265_331, body), vector);
    }
}
