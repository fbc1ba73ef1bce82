//! Codes of an authenticator app (RFC 6238): SHA-1, six digits, thirty seconds, which is what every app does. A code of the step before or
//! after counts too, for clocks that drift, and each step counts once: what was looked over somebody's shoulder, or caught by
//! a proxy, is worth nothing once it was used. That is one compare-and-swap in the database, whoever comes at once.

use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use super::sealing::{Sealed, Seals};
use super::{FactorError, Factors, Kind, parsed, written};
use crate::random;
use crate::users::{StoredFactor, UserId};

/// How long a new secret may wait for its first code.
const CONFIRM_WITHIN_MS: i64 = 15 * 60 * 1000;

/// The most apps of one user. Each is another code that a guess may meet.
const MOST: usize = 5;

/// Bytes of a secret: as many as SHA-1 makes (RFC 4226, section 4, R6).
const SECRET_BYTES: usize = 20;

/// What is stored. The key is first, so that what an older one has sealed is found by how the text begins.
#[derive(Serialize, Deserialize)]
struct Stored {
    key: String,
    secret: String,
    /// The last step that was used; `None` for a secret that waits for its first code.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_step: Option<u64>,
}

/// A new secret, to be shown once and confirmed with a code.
pub struct TotpEnrolment {
    /// By which it is confirmed.
    pub id: String,
    /// The secret as people type it: base32.
    pub secret: Zeroizing<String>,
    /// The same for a QR code: `otpauth://totp/…`.
    pub uri: Zeroizing<String>,
}

impl std::fmt::Debug for TotpEnrolment {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TotpEnrolment")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Factors {
    /// Makes a secret for an app. It counts as a factor once it is [confirmed](Factors::confirm_totp); one that was made before and
    /// never was is forgotten.
    ///
    /// # Errors
    /// [`FactorError::TooMany`]; [`FactorError::Users`].
    pub async fn enrol_totp(
        &self,
        user: &UserId,
        username: &str,
        name: &str,
        now_ms: i64,
    ) -> Result<TotpEnrolment, FactorError> {
        let mut confirmed = 0;
        for row in self.rows(user, Kind::Totp).await? {
            match parsed::<Stored>(&row)?.last_step {
                Some(_) => confirmed += 1,
                None => drop(self.users.remove_factor(user, &row.id).await?),
            }
        }
        if confirmed >= MOST {
            return Err(FactorError::TooMany);
        }
        let id = format!("totp-{}", *random::base32(16).map_err(anyhow::Error::from)?);
        let secret = Zeroizing::new(random::bytes::<SECRET_BYTES>().map_err(anyhow::Error::from)?);
        let sealed = self.seals.seal(&place(user, &id), &*secret)?;
        let row = StoredFactor {
            id: id.clone(),
            user: user.clone(),
            kind: Kind::Totp.as_str().to_owned(),
            name: name.to_owned(),
            data: written(&Stored::new(sealed, None)),
            version: 0,
            created_ms: now_ms,
            last_used_ms: None,
        };
        if !self.users.add_factor(&row).await? {
            return Err(FactorError::Gone);
        }
        // A colon would end the issuer's name in the URI.
        let totp = Builder::new()
            .with_secret(&secret[..])
            .with_issuer(Some(ISSUER))
            .with_account_name(username.replace(':', "_"))
            .build()
            .map_err(|error| anyhow::anyhow!("a new secret does not fit: {error}"))?;
        let uri = totp
            .to_url()
            .map_err(|error| anyhow::anyhow!("a user name does not fit: {error}"))?;
        Ok(TotpEnrolment {
            id,
            secret: Zeroizing::new(totp.secret().to_base32()),
            uri: Zeroizing::new(uri),
        })
    }

    /// Makes a secret count, if the code is one of it: the app has it, and its clock is right. `false` if not; then
    /// another code may be tried, for a quarter of an hour.
    ///
    /// # Errors
    /// [`FactorError::Gone`] if there is no such secret that waits; [`FactorError::Users`].
    pub async fn confirm_totp(
        &self,
        user: &UserId,
        id: &str,
        code: &str,
        now_ms: i64,
    ) -> Result<bool, FactorError> {
        let row = self.own(user, id, Kind::Totp).await?;
        let stored = parsed::<Stored>(&row)?;
        if stored.last_step.is_some() || now_ms.saturating_sub(row.created_ms) > CONFIRM_WITHIN_MS {
            return Err(FactorError::Gone);
        }
        let step = stored
            .totp(&self.seals, &row)?
            .check(&digits(code), secs(now_ms));
        let Some(step) = step else {
            return Ok(false);
        };
        self.use_step(&row, stored, step, None).await
    }

    /// Whether `code` is one that an app of these shows now and that was not used before. It is used by that.
    pub(super) async fn check_totp(
        &self,
        rows: &[StoredFactor],
        code: &str,
        now_ms: i64,
    ) -> Result<bool, FactorError> {
        let mut unsealable = None;
        for row in rows.iter().filter(|row| row.kind == Kind::Totp.as_str()) {
            let stored = parsed::<Stored>(row)?;
            let Some(last) = stored.last_step else {
                continue;
            };
            let totp = match stored.totp(&self.seals, row) {
                // Another app of theirs may be whole.
                Err(error @ FactorError::Unsealable) => {
                    unsealable = Some(error);
                    continue;
                }
                totp => totp?,
            };
            let step = totp.check(code, secs(now_ms));
            if let Some(step) = step.filter(|step| *step > last) {
                // If somebody was faster, it was with a code of this secret, and this one is worth nothing by that.
                return self.use_step(row, stored, step, Some(now_ms)).await;
            }
        }
        unsealable.map_or(Ok(false), Err)
    }

    async fn use_step(
        &self,
        row: &StoredFactor,
        stored: Stored,
        step: u64,
        used_ms: Option<i64>,
    ) -> Result<bool, FactorError> {
        let data = written(&Stored {
            last_step: Some(step),
            ..stored
        });
        Ok(self.users.change_factor(row, data, used_ms).await?)
    }

    /// Seals anew what an older signing secret has sealed, so that it can be taken out of the settings. Returns how many were, and how
    /// many cannot be opened any more.
    ///
    /// # Errors
    /// [`FactorError::Users`].
    pub async fn seal_anew(&self) -> Result<(usize, usize), FactorError> {
        let beginning = format!(r#"{{"key":"{}""#, self.seals.newest());
        let (mut anew, mut lost) = (0, 0);
        let mut after = String::new();
        loop {
            let page = self
                .users
                .factors_unlike(Kind::Totp.as_str(), &beginning, &after)
                .await?;
            let Some(last) = page.last() else {
                return Ok((anew, lost));
            };
            after.clone_from(&last.id);
            for row in &page {
                let stored = parsed::<Stored>(row)?;
                let place = place(&row.user, &row.id);
                let Some(secret) = self.seals.open(&place, &stored.sealed()) else {
                    lost += 1;
                    continue;
                };
                let sealed = self.seals.seal(&place, &secret)?;
                let data = written(&Stored::new(sealed, stored.last_step));
                // If somebody was faster, they have used it, and the next start finds it again.
                anew += usize::from(self.users.change_factor(row, data, None).await?);
            }
        }
    }
}

/// Whether the secret in a row has been confirmed, so that it counts.
pub(super) fn counts(row: &StoredFactor) -> Result<bool, FactorError> {
    Ok(parsed::<Stored>(row)?.last_step.is_some())
}

impl Stored {
    fn new(sealed: Sealed, last_step: Option<u64>) -> Self {
        Self {
            key: sealed.key,
            secret: sealed.text,
            last_step,
        }
    }

    fn sealed(&self) -> Sealed {
        Sealed {
            key: self.key.clone(),
            text: self.secret.clone(),
        }
    }

    fn totp(&self, seals: &Seals, row: &StoredFactor) -> Result<Totp, FactorError> {
        let secret = seals
            .open(&place(&row.user, &row.id), &self.sealed())
            .ok_or(FactorError::Unsealable)?;
        Builder::new()
            .with_secret(&secret[..])
            .build()
            .map_err(|_| FactorError::Unsealable)
    }
}

/// What a code looks like without the space that apps show in it.
pub(super) fn digits(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace()).collect()
}

fn secs(now_ms: i64) -> u64 {
    u64::try_from(now_ms).unwrap_or_default() / 1000
}

fn place(user: &UserId, id: &str) -> String {
    format!("{user}/{id}")
}

/// As whose the codes are shown in an app.
const ISSUER: &str = "Jackline";
