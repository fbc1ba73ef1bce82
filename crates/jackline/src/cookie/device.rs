//! The cookie by which a browser shows that it has been logged in to an account before, so that its owner is not locked out by strangers
//! who guess (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). It opens nothing: whoever has it still needs the password,
//! and their attempts are counted too.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::attributes::CookieSpec;
use super::keyring::Keyring;
use super::read::values;
use crate::lifecycle::UnixMs;

/// Makes and recognises the cookies of known devices.
#[derive(Clone, Debug)]
pub struct DeviceCookie {
    spec: CookieSpec,
    keys: Keyring,
}

/// Bytes of a device's name, and of the time at which it got it.
const BODY_BYTES: usize = 16 + 8;

impl DeviceCookie {
    /// How long a device is known after a login. Browsers keep no cookie for longer than 400 days (RFC 6265bis, section 5.5).
    pub const LASTS: Duration = Duration::from_secs(180 * 24 * 3600);

    /// Cookies with this name and these attributes, signed by the first of these keys and recognised by all.
    #[must_use]
    pub fn new(spec: CookieSpec, keys: Keyring) -> Self {
        Self { spec, keys }
    }

    /// A cookie for a browser that has just been logged in to `account`. `random` is fresh: it becomes the device's name.
    #[must_use]
    pub fn issue(&self, account: &str, random: [u8; 16], now: UnixMs) -> HeaderValue {
        let mut body = [0; BODY_BYTES];
        body[..16].copy_from_slice(&random);
        body[16..].copy_from_slice(&now.as_millis().to_be_bytes());
        let name = URL_SAFE_NO_PAD.encode(body);
        let signature = self.keys.sign(&signed(account, &name));
        self.spec.set(&format!("{name}.{signature}"), Self::LASTS)
    }

    /// The name of the device that a request comes from, if it has been logged in to `account` within [`DeviceCookie::LASTS`].
    #[must_use]
    pub fn find(&self, headers: &HeaderMap, account: &str, now: UnixMs) -> Option<String> {
        values(headers.get_all(COOKIE), self.spec.name()).find_map(|value| {
            let (name, signature) = std::str::from_utf8(value).ok()?.split_once('.')?;
            let mut body = [0; BODY_BYTES];
            let whole = URL_SAFE_NO_PAD.decode_slice(name, &mut body) == Ok(BODY_BYTES);
            let issued = body
                .last_chunk()
                .map(|millis| u64::from_be_bytes(*millis))?;
            let known = whole
                && self
                    .keys
                    .verify(&signed(account, name), signature.as_bytes())
                    .is_some()
                && now.since(UnixMs::from_millis(issued)) < Self::LASTS;
            known.then(|| name.to_owned())
        })
    }
}

/// Holds a NUL, which no session id contains: no signature over an id is one of a device.
fn signed(account: &str, name: &str) -> Vec<u8> {
    format!("jackline/device/v1\0{name}\0{account}").into_bytes()
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::super::keyring::for_tests;
    use super::*;

    fn devices(keys: Keyring) -> DeviceCookie {
        DeviceCookie::new(CookieSpec::builder("device").build().unwrap(), keys)
    }

    fn jar(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, cookies.parse().unwrap())])
    }

    fn now() -> UnixMs {
        UnixMs::from_millis(1_800_000_000_000)
    }

    // Proves: S81, S13, S14
    #[test]
    fn a_device_is_known_for_one_account_for_half_a_year_and_by_older_keys() {
        let (old, new) = (for_tests("old"), for_tests("new"));
        let devices_before = devices(Keyring::new(old.clone()));
        let set = devices_before.issue("alice", [7; 16], now());
        let set = set.to_str().unwrap();
        for attribute in [
            "HttpOnly",
            "Secure",
            "SameSite=Lax",
            "Path=/",
            "Max-Age=15552000",
        ] {
            assert!(set.contains(attribute), "{set}");
        }
        let cookie = set.split(';').next().unwrap();
        assert!(!cookie.contains("alice"));
        let devices_now = devices(Keyring::new(new.clone()).with_previous(old));
        let name = devices_now.find(&jar(cookie), "alice", now()).unwrap();
        let both = format!("device=planted; {cookie}");
        assert_eq!(devices_now.find(&jar(&both), "alice", now()), Some(name));

        let later = now().after(DeviceCookie::LASTS);
        assert!(
            devices_now
                .find(
                    &jar(cookie),
                    "alice",
                    UnixMs::from_millis(later.as_millis() - 1)
                )
                .is_some()
        );
        assert_eq!(devices_now.find(&jar(cookie), "alice", later), None);
        assert_eq!(devices_now.find(&jar(cookie), "bob", now()), None);
        assert_eq!(
            devices(Keyring::new(new)).find(&jar(cookie), "alice", now()),
            None
        );
        assert_eq!(devices_now.find(&HeaderMap::new(), "alice", now()), None);
    }

    // Proves: S81, S2
    #[test]
    fn what_was_not_issued_is_no_device() {
        let devices = devices(Keyring::new(for_tests("key")));
        let set = devices.issue("alice", [7; 16], now());
        let cookie = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let (name, signature) = cookie.split_once('.').unwrap();
        let other = devices.issue("alice", [8; 16], now());
        let other = other
            .to_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .to_owned();
        for forged in [
            name.to_owned(),
            format!("{name}."),
            format!("{other}.{signature}"),
            format!("{name}A.{signature}"),
            "device=.".to_owned(),
            "device=\u{e9}.x".to_owned(),
        ] {
            assert_eq!(
                devices.find(&jar(&forged), "alice", now()),
                None,
                "{forged}"
            );
        }
        // One that is from the future is as young as can be.
        let soon = devices.issue("alice", [7; 16], now().after(DeviceCookie::LASTS));
        let soon = soon.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert!(devices.find(&jar(&soon), "alice", now()).is_some());
    }
}
