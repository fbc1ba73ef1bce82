//! An authenticator app on somebody's phone.

use jackline::clock::{Clock as _, SystemClock};
use totp_rs::{Builder, Secret, Totp};
use url::Url;

/// The app with one secret, which shows each code once.
pub(crate) struct App {
    totp: Totp,
    last_step: u64,
    /// The secret as people would type it.
    pub(crate) key: String,
}

impl App {
    /// With what its camera has read.
    pub(crate) fn scan(read: &str) -> Self {
        let url = Url::parse(read).unwrap();
        assert_eq!((url.scheme(), url.host_str()), ("otpauth", Some("totp")));
        let (_, key) = url
            .query_pairs()
            .find(|(name, _)| name == "secret")
            .unwrap();
        let secret = Secret::try_from_base32(&key).unwrap();
        Self {
            totp: Builder::new().with_secret(secret).build().unwrap(),
            last_step: 0,
            key: key.into_owned(),
        }
    }

    /// The code of this step, or of the one after the last that was used. Two in half a minute are right, since a clock may be a step
    /// ahead.
    pub(crate) fn next_code(&mut self) -> String {
        let now_secs = SystemClock.now().as_millis() / 1000;
        self.last_step = (now_secs / 30).max(self.last_step + 1);
        self.totp.generate(self.last_step * 30).to_string()
    }
}
