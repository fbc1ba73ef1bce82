//! Recovery codes: ten, each good for one login without the app or the passkey. They are shown once. Each is 80 random bits, so a fast hash
//! hides it as well as a slow one would: there is no list of likely ones to try, as there is for what people think up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{FactorError, Factors, Kind, parsed, written};
use crate::random;
use crate::users::{StoredFactor, UserId};

/// How many there are.
pub const CODES: usize = 10;

/// Characters of a code, of five bits each, without the hyphens.
const CHARACTERS: usize = 16;

/// How often a code is tried that others race with, each with one of their own.
const ROUNDS: usize = CODES + 1;

/// What is stored: the hashes of those that are left.
#[derive(Serialize, Deserialize)]
struct Stored {
    left: Vec<String>,
}

/// A recovery code, to be shown once: `abcd-efgh-2345-qrst`.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// The code, for its owner's eyes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode(hidden)")
    }
}

impl Factors {
    /// Makes new codes. Those from before are void.
    ///
    /// # Errors
    /// [`FactorError::Gone`] if there is no such user; [`FactorError::Users`].
    pub async fn new_recovery_codes(
        &self,
        user: &UserId,
        now_ms: i64,
    ) -> Result<Vec<RecoveryCode>, FactorError> {
        let codes = (0..CODES)
            .map(|_| Ok(RecoveryCode(grouped(&random::base32(CHARACTERS)?))))
            .collect::<Result<Vec<_>, getrandom::Error>>()
            .map_err(anyhow::Error::from)?;
        let left = codes.iter().map(|code| hash(user, &plain(&code.0)));
        let data = written(&Stored {
            left: left.collect(),
        });
        let row = StoredFactor {
            id: id(user),
            user: user.clone(),
            kind: Kind::Recovery.as_str().to_owned(),
            name: String::new(),
            data,
            version: 0,
            created_ms: now_ms,
            last_used_ms: None,
        };
        for _ in 0..ROUNDS {
            // Never removed and added: in between a password alone would do.
            let done = match self.users.find_factor(&row.id).await? {
                Some(old) => {
                    self.users
                        .change_factor(&old, row.data.clone(), None)
                        .await?
                }
                None => self.users.add_factor(&row).await?,
            };
            if done {
                return Ok(codes);
            }
            if self.users.by_id(user).await?.is_none() {
                break;
            }
        }
        Err(FactorError::Gone)
    }

    /// Whether `code` is one that is left. It is used by that, and the number of those that are still left is returned.
    pub(super) async fn check_recovery(
        &self,
        user: &UserId,
        code: &str,
        now_ms: i64,
    ) -> Result<Option<usize>, FactorError> {
        let code = plain(code);
        if code.len() != CHARACTERS {
            return Ok(None);
        }
        let hash = hash(user, &code);
        for _ in 0..ROUNDS {
            let Some(row) = self.users.find_factor(&id(user)).await? else {
                return Ok(None);
            };
            let mut stored = parsed::<Stored>(&row)?;
            let before = stored.left.len();
            stored.left.retain(|left| *left != hash);
            if stored.left.len() == before {
                return Ok(None);
            }
            let data = written(&stored);
            if self.users.change_factor(&row, data, Some(now_ms)).await? {
                return Ok(Some(stored.left.len()));
            }
        }
        Ok(None)
    }
}

/// How many codes of a row are left.
pub(super) fn left(row: &StoredFactor) -> Result<usize, FactorError> {
    Ok(parsed::<Stored>(row)?.left.len())
}

/// A user has one row of them.
pub(super) fn id(user: &UserId) -> String {
    format!("recovery-{user}")
}

fn grouped(code: &str) -> Zeroizing<String> {
    let mut grouped = Zeroizing::new(String::with_capacity(CHARACTERS + CHARACTERS / 4));
    for (at, c) in code.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push('-');
        }
        grouped.push(c);
    }
    grouped
}

/// However it was typed: capitals, spaces and hyphens do not count, and digits that no code has are the letters that look like them.
fn plain(code: &str) -> Zeroizing<String> {
    let typed = code
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}'));
    let read = typed.map(|c| match c.to_ascii_lowercase() {
        '0' => 'o',
        '1' => 'l',
        other => other,
    });
    Zeroizing::new(read.collect())
}

fn hash(user: &UserId, code: &str) -> String {
    let hash = Sha256::new_with_prefix(b"jackline recovery code\0")
        .chain_update(user.as_str())
        .chain_update(b"\0")
        .chain_update(code)
        .finalize();
    URL_SAFE_NO_PAD.encode(hash)
}
