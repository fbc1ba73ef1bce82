//! Passkeys (WebAuthn Level 3): as a second factor, to prove again who one is, and to log in without a password. The user is always
//! verified, by a PIN, a finger or a face, so a passkey is two factors in one: something one has, and what opens it. Whether it is
//! bound to a device or synchronised is not asked.
//!
//! A counter that does not grow is a copied key, and is refused; of two answers with one count at once one comes too late.

use jackline::{Session, SessionError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid,
};

use super::ceremony::{Ceremony, Purpose};
use super::rp::RelyingParty;
use super::{FactorError, Factors, Kind, parsed, written};
use crate::random::base64url;
use crate::users::{StoredFactor, UserId};

/// The most passkeys of one user.
const MOST: usize = 20;

/// What is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    /// The name that it is bound to.
    rp_id: String,
    passkey: Passkey,
}

/// A passkey's answer, as the browser gives it.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Assertion(PublicKeyCredential);

/// Why an answer cannot be asked for, or was not heard.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Something about the session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Something about the factor.
    #[error(transparent)]
    Factor(#[from] FactorError),
}

impl Factors {
    /// What a browser needs to make a passkey: the options of `navigator.credentials.create`, `{"publicKey":…}`.
    ///
    /// # Errors
    /// [`FactorError::TooMany`]; [`FactorError::Users`]; what the session says.
    pub async fn ask_for_new_passkey(
        &self,
        session: &Session,
        party: &RelyingParty,
        user: &UserId,
        username: &str,
        now_ms: i64,
    ) -> Result<Value, PasskeyError> {
        let known = self.passkeys_of(user).await?;
        if known.len() >= MOST {
            return Err(FactorError::TooMany.into());
        }
        let excluded = known.iter().map(|known| known.passkey.cred_id().clone());
        let (options, state) = party
            .webauthn()
            .map_err(FactorError::Internal)?
            .start_passkey_registration(handle(user), username, username, Some(excluded.collect()))
            .map_err(unexpected)?;
        let mut options = as_json(&options)?;
        // If the authenticator has room for it: then it logs in without a user name, too.
        options["publicKey"]["authenticatorSelection"]["residentKey"] = json!("preferred");
        keep(session, Purpose::Registration, party, &state, now_ms).await?;
        Ok(options)
    }

    /// Adds the passkey that the browser has made, and returns its id.
    ///
    /// # Errors
    /// [`FactorError::Refused`] if it does not fit, or is somebody's already; [`FactorError::Users`].
    pub async fn add_passkey(
        &self,
        asked: &Ceremony,
        user: &UserId,
        name: &str,
        made: &RegisterPublicKeyCredential,
        now_ms: i64,
    ) -> Result<String, FactorError> {
        let party = party_of(asked)?;
        let state: PasskeyRegistration = asked.state().ok_or(FactorError::Refused)?;
        let passkey = party
            .webauthn()?
            .finish_passkey_registration(made, &state)
            .map_err(refused)?;
        let id = id_of(passkey.cred_id());
        let row = StoredFactor {
            id: id.clone(),
            user: user.clone(),
            kind: Kind::Passkey.as_str().to_owned(),
            name: name.to_owned(),
            data: written(&Stored {
                rp_id: party.id().to_owned(),
                passkey,
            }),
            version: 0,
            created_ms: now_ms,
            last_used_ms: None,
        };
        match self.users.add_factor(&row).await? {
            true => Ok(id),
            false => Err(FactorError::Refused),
        }
    }

    /// What a browser needs to ask for a passkey: the options of `navigator.credentials.get`, `{"publicKey":…}`. Of `user` if it is known
    /// who that is, else any that was made here.
    ///
    /// # Errors
    /// [`FactorError::Gone`] if the user has no passkey for this name; [`FactorError::Users`]; what the session says.
    pub async fn ask_for_passkey(
        &self,
        session: &Session,
        party: &RelyingParty,
        purpose: Purpose,
        user: Option<&UserId>,
        now_ms: i64,
    ) -> Result<Value, PasskeyError> {
        let (options, state) = party
            .webauthn()
            .map_err(FactorError::Internal)?
            .start_discoverable_authentication()
            .map_err(unexpected)?;
        let mut options = as_json(&options.public_key)?;
        if let Some(user) = user {
            let known = self.passkeys_of(user).await?;
            let allowed: Vec<_> = known
                .iter()
                .filter(|known| known.rp_id == party.id())
                .map(|known| base64url(known.passkey.cred_id()))
                .map(|id| json!({ "type": "public-key", "id": id }))
                .collect();
            if allowed.is_empty() {
                return Err(FactorError::Gone.into());
            }
            options["allowCredentials"] = allowed.into();
        }
        keep(session, purpose, party, &state, now_ms).await?;
        Ok(json!({ "publicKey": options }))
    }

    /// Whose passkey it is that answers, by what the answer says: nothing of it is proven yet.
    ///
    /// # Errors
    /// [`FactorError::Users`].
    pub async fn claimed_owner(&self, answer: &Assertion) -> Result<Option<UserId>, FactorError> {
        let id = id_of(answer.0.get_credential_id());
        let user = self.users.find_factor(&id).await?.map(|row| row.user);
        // Asked for nobody in particular, an answer says whom it is for (WebAuthn Level 3, section 7.2, step 6).
        Ok(user.filter(|user| answer.0.get_user_unique_id() == Some(&handle(user).as_bytes()[..])))
    }

    /// Whether a passkey of this user's answers what was asked.
    ///
    /// # Errors
    /// [`FactorError::Users`].
    pub async fn check_passkey(
        &self,
        asked: &Ceremony,
        user: &UserId,
        answer: &Assertion,
        now_ms: i64,
    ) -> Result<bool, FactorError> {
        let id = id_of(answer.0.get_credential_id());
        let row = match self.own(user, &id, Kind::Passkey).await {
            Err(FactorError::Gone) => return Ok(false),
            row => row?,
        };
        let mut stored = parsed::<Stored>(&row)?;
        let (Ok(party), Some(state)) =
            (party_of(asked), asked.state::<DiscoverableAuthentication>())
        else {
            return Ok(false);
        };
        let for_somebody_else = answer
            .0
            .get_user_unique_id()
            .is_some_and(|given| given != handle(user).as_bytes());
        if for_somebody_else || stored.rp_id != party.id() {
            return Ok(false);
        }
        let checked = party.webauthn()?.finish_discoverable_authentication_v2(
            &answer.0,
            state,
            &stored.passkey,
        );
        let result = match checked {
            Ok(result) if result.user_verified() => result,
            Ok(_) => return Ok(false),
            Err(error) => {
                refused(error);
                return Ok(false);
            }
        };
        stored.passkey.update_credential(&result);
        let data = written(&stored);
        if self.users.change_factor(&row, data, Some(now_ms)).await? {
            return Ok(true);
        }
        // Another answer was heard meanwhile, or the passkey was removed. Without a counter nothing speaks against two answers: what was asked
        // is answered once anyway.
        let still_theirs = match self.own(user, &id, Kind::Passkey).await {
            Err(FactorError::Gone) => false,
            row => row.map(|_| true)?,
        };
        Ok(result.counter() == 0 && still_theirs)
    }

    async fn passkeys_of(&self, user: &UserId) -> Result<Vec<Stored>, FactorError> {
        let rows = self.rows(user, Kind::Passkey).await?;
        rows.iter().map(parsed).collect()
    }
}

async fn keep(
    session: &Session,
    purpose: Purpose,
    party: &RelyingParty,
    state: &impl Serialize,
    now_ms: i64,
) -> Result<(), SessionError> {
    Ceremony::keep(session, purpose, party.origin(), state, now_ms).await
}

fn party_of(asked: &Ceremony) -> Result<RelyingParty, FactorError> {
    RelyingParty::of_origin(&asked.origin).ok_or(FactorError::Refused)
}

/// The user handle of a passkey: from a user's id, which is random, and not the id itself, since others may see it.
fn handle(user: &UserId) -> Uuid {
    let hash = Sha256::new_with_prefix(b"jackline user handle\0")
        .chain_update(user.as_str())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}

/// As a passkey's row is called. A credential's own id may have a thousand bytes.
fn id_of(credential: &[u8]) -> String {
    let hash = Sha256::digest(credential);
    format!("passkey-{}", base64url(&hash[..16]))
}

fn as_json(options: &impl Serialize) -> Result<Value, FactorError> {
    serde_json::to_value(options).map_err(|error| FactorError::Internal(error.into()))
}

fn unexpected(error: webauthn_rs::prelude::WebauthnError) -> FactorError {
    FactorError::Internal(anyhow::anyhow!("cannot ask for a passkey: {error}"))
}

fn refused(error: webauthn_rs::prelude::WebauthnError) -> FactorError {
    tracing::debug!(%error, "a passkey's answer does not fit");
    FactorError::Refused
}
