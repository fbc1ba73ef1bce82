//! Guessing passwords is slow here: how often somebody may try, and by what a device is known whose owner is not to be locked out by
//! strangers. The library counts; these are the numbers.
//!
//! Second factors are counted in the same way and apart.
//!
//! A login from a device that has been logged in to the account before is counted for that device alone. Every other is counted for its
//! network first and then for the account, whether or not there is one of that name.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use jackline::cookie::{CookieSpec, DeviceCookie};
use jackline::lifecycle::UnixMs;
use jackline::session::{Allowance, Attempt, Subject};
use jackline::{LazySession, Session, SessionError};

use crate::config::Config;
use crate::random;
use crate::sessions::keyring;
use crate::users::Username;

/// How many more may fail from one network than on one account: others share it.
const NETWORK_FACTOR: u32 = 4;

/// Who tries.
enum Who {
    /// A device that has been logged in to the account before.
    Device(String),
    /// Anybody else.
    Stranger { account: String },
}

/// Lets people try, and not too often.
#[derive(Debug, Clone)]
pub struct Guessing {
    devices: DeviceCookie,
    account: Allowance,
    network: Allowance,
}

impl Guessing {
    /// What the settings say.
    ///
    /// # Errors
    /// If there is no signing secret.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let name = match config.cookie.secure() {
            true => CookieSpec::builder("__Host-device"),
            false => CookieSpec::builder("device").danger_plain_http(),
        };
        let free = config.login_attempts.get();
        Ok(Self {
            devices: DeviceCookie::new(name.build()?, keyring(config)?),
            account: Allowance::new(free),
            network: Allowance::new(free.saturating_mul(NETWORK_FACTOR))
                .longest_wait(Duration::from_secs(5 * 60))
                .forgotten_after(Duration::from_secs(3600)),
        })
    }

    /// Lets somebody try to log in under this name.
    ///
    /// # Errors
    /// [`SessionError::TooManyAttempts`]; [`SessionError::Unavailable`].
    pub async fn login(
        &self,
        session: &LazySession,
        headers: &HeaderMap,
        username: &str,
        now: UnixMs,
    ) -> Result<Attempt, SessionError> {
        let who = self.who(headers, username, now);
        session.attempt(&self.subjects(&who)).await
    }

    /// Lets somebody whose password was right try a second factor. Counted apart from passwords, or whoever knows the password could begin
    /// anew with every login.
    ///
    /// # Errors
    /// As for [`Guessing::login`].
    pub async fn second_factor(
        &self,
        session: &Session,
        headers: &HeaderMap,
        username: &str,
        now: UnixMs,
    ) -> Result<Attempt, SessionError> {
        let who = match self.who(headers, username, now) {
            Who::Device(name) => Who::Device(second(&name)),
            Who::Stranger { account } => Who::Stranger {
                account: second(&account),
            },
        };
        session.attempt(&self.subjects(&who)).await
    }

    fn who(&self, headers: &HeaderMap, username: &str, now: UnixMs) -> Who {
        let account = account_of(username);
        match self.devices.find(headers, &account, now) {
            Some(device) => Who::Device(device),
            None => Who::Stranger { account },
        }
    }

    /// What is counted for them, in this order.
    fn subjects<'a>(&self, who: &'a Who) -> Vec<(Subject<'a>, Allowance)> {
        match who {
            Who::Device(name) => vec![(Subject::Device(name), self.account)],
            Who::Stranger { account } => vec![
                (Subject::Network, self.network),
                (Subject::Account(account), self.account),
            ],
        }
    }

    /// Lets somebody try a passkey without having said who they are. There is nothing to guess, and yet it is work.
    ///
    /// # Errors
    /// As for [`Guessing::login`].
    pub async fn passkey(&self, session: &Session) -> Result<Attempt, SessionError> {
        session.attempt(&[(Subject::Network, self.network)]).await
    }

    /// Lets whoever is logged in try to prove again who they are. Counted for their session: whoever has stolen it locks nobody out.
    ///
    /// # Errors
    /// As for [`Guessing::login`].
    pub async fn again(&self, session: &Session) -> Result<Attempt, SessionError> {
        let identity = session.identity();
        let user_id = identity.as_ref().map(|identity| identity.id.as_str());
        let handle = session.handle();
        let handle = handle.as_ref().map_or("", |handle| handle.as_str());
        let device = (Subject::Device(handle), self.account);
        let attempt = session.attempt(&[device]).await?;
        Ok(attempt.concerning(user_id))
    }

    /// The cookie by which this device will be known, unless it is: then the login that `session` stages is one from a new device, and
    /// that is an event. An account's very first login is one too.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub fn remember(
        &self,
        session: &Session,
        headers: &HeaderMap,
        username: &str,
        now: UnixMs,
    ) -> anyhow::Result<Option<HeaderValue>> {
        let account = account_of(username);
        if self.devices.find(headers, &account, now).is_some() {
            return Ok(None);
        }
        let random = random::bytes()?;
        session.note_new_device();
        Ok(Some(self.devices.issue(&account, random, now)))
    }
}

/// A NUL is in no name that can be somebody's.
fn second(subject: &str) -> String {
    format!("{subject}\0second factor")
}

/// All spellings of a name that log in the same user are one account. What can be nobody's name is one too.
fn account_of(username: &str) -> String {
    match Username::parse(username) {
        Ok(name) => name.key(),
        Err(_) => username.to_owned(),
    }
}
