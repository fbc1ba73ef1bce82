//! Adding and removing second factors, for whoever is logged in and has just proved it. Each change is an event, ends the user's other
//! sessions and logins under way, which have not proved what is asked from now on, and gives this session a new token.

use jackline::events::EventKind;
use jackline::{Session, SessionError};
use serde_json::Value;
use webauthn_rs::prelude::RegisterPublicKeyCredential;

use super::{
    Ceremony, FactorError, Kind, Purpose, RecoveryCode, RelyingParty, TotpEnrolment, name_of,
};
use crate::app::App;
use crate::error::ApiError;
use crate::users::UserId;

/// A passkey as the browser has made it.
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
pub struct NewPasskey(RegisterPublicKeyCredential);

/// A factor that counts from now on.
#[derive(Debug)]
pub struct Added {
    /// By which it is removed.
    pub id: String,
    /// Recovery codes, if this is the first factor: to be shown now and never again.
    pub recovery_codes: Option<Vec<RecoveryCode>>,
}

/// Makes a secret for an app, which counts once it is [confirmed](confirm_totp).
///
/// # Errors
/// `401` without a recent authentication, `409` if there are too many, `503` if a store is away.
pub async fn begin_totp(
    app: &App,
    session: &Session,
    name: Option<&str>,
) -> Result<TotpEnrolment, ApiError> {
    let (user, username) = recently(session)?;
    let name = name_of(name, "Authenticator app");
    let now_ms = app.now_ms.get();
    let enrolment = app.factors.enrol_totp(&user, &username, &name, now_ms);
    Ok(enrolment.await?)
}

/// Makes an app count, by a code that it shows.
///
/// # Errors
/// `401` without a recent authentication, `400` for a wrong code, `404` if no such secret waits, `503` if a store is away.
pub async fn confirm_totp(
    app: &App,
    session: &Session,
    id: &str,
    code: &str,
) -> Result<Added, ApiError> {
    let (user, _) = recently(session)?;
    // Not counted: who has this session was shown the secret, and has nothing to guess.
    session.ensure_live().await?;
    let confirmed = app.factors.confirm_totp(&user, id, code, app.now_ms.get());
    if !confirmed.await? {
        return Err(ApiError::BadRequest(
            "The code does not fit: wait for the next one, and see whether the phone's clock is right",
        ));
    }
    added(app, session, &user, id.to_owned(), "totp_added").await
}

/// What a browser needs to make a passkey.
///
/// # Errors
/// `401` without a recent authentication, `409` if there are too many or this server goes by no name, `503` if a store is away.
pub async fn begin_passkey(
    app: &App,
    session: &Session,
    party: &RelyingParty,
) -> Result<Value, ApiError> {
    let (user, username) = recently(session)?;
    let now_ms = app.now_ms.get();
    let options = app
        .factors
        .ask_for_new_passkey(session, party, &user, &username, now_ms)
        .await?;
    Ok(options)
}

/// Adds the passkey that the browser has made.
///
/// # Errors
/// `401` without a recent authentication, `409` if nothing was asked, `400` if it does not fit what was, `503` if a store is away.
pub async fn add_passkey(
    app: &App,
    session: &Session,
    name: Option<&str>,
    made: &NewPasskey,
) -> Result<Added, ApiError> {
    let (user, _) = recently(session)?;
    let now_ms = app.now_ms.get();
    let asked = Ceremony::take(session, Purpose::Registration, now_ms).await?;
    let asked = asked.ok_or(FactorError::NotAsked)?;
    session.ensure_live().await?;
    let name = name_of(name, "Passkey");
    let id = app
        .factors
        .add_passkey(&asked, &user, &name, &made.0, now_ms)
        .await?;
    added(app, session, &user, id, "passkey_added").await
}

/// Removes an app or a passkey.
///
/// # Errors
/// `401` without a recent authentication, `404` if there is none of this id, `409` if it is the last one of an administrator in production,
/// `503` if a store is away.
pub async fn remove(app: &App, session: &Session, id: &str) -> Result<(), ApiError> {
    let identity = session.require_recent_authentication()?;
    let user = UserId::stored(identity.id.to_string());
    let must_keep_one =
        app.admins_need_second_factor && identity.role == jackline::lifecycle::Role::admin();
    session.ensure_live().await?;
    let removed = app.factors.remove(&user, id, must_keep_one).await?;
    let reason = match removed {
        Kind::Passkey => "passkey_removed",
        Kind::Totp | Kind::Recovery => "totp_removed",
    };
    settle(session, reason).await?;
    Ok(app.factors.forget_codes_of_nothing(&user).await?)
}

/// Makes new recovery codes, to be shown now and never again. Those from before are void.
///
/// # Errors
/// `401` without a recent authentication, `409` without a factor that they stand in for, `503` if a store is away.
pub async fn renew_recovery_codes(
    app: &App,
    session: &Session,
) -> Result<Vec<RecoveryCode>, ApiError> {
    let (user, _) = recently(session)?;
    if !app.factors.of(&user).await?.asks_for_second() {
        return Err(ApiError::Conflict(
            "Recovery codes stand in for an app or a passkey: add one first",
        ));
    }
    session.ensure_live().await?;
    let codes = app.factors.new_recovery_codes(&user, app.now_ms.get());
    let codes = codes.await?;
    settle(session, "recovery_codes_renewed").await?;
    Ok(codes)
}

fn recently(session: &Session) -> Result<(UserId, String), SessionError> {
    let identity = session.require_recent_authentication()?;
    Ok((
        UserId::stored(identity.id.to_string()),
        identity.name.clone(),
    ))
}

async fn added(
    app: &App,
    session: &Session,
    user: &UserId,
    id: String,
    reason: &'static str,
) -> Result<Added, ApiError> {
    // The client decides how long its body takes, and the session may have been ended meanwhile. What its owner has ended must not leave
    // a factor behind (J4).
    if let Err(ended) = session.ensure_live().await {
        app.users.remove_factor(user, &id).await?;
        return Err(ended.into());
    }
    settle(session, reason).await?;
    let recovery_codes = match app.factors.of(user).await?.recovery_codes {
        Some(_) => None,
        None => {
            let codes = app.factors.new_recovery_codes(user, app.now_ms.get());
            Some(codes.await?)
        }
    };
    Ok(Added { id, recovery_codes })
}

/// After a change that is on record, and before anything else that may fail: a login that began before has not seen it, and its owner is to
/// hear of it.
async fn settle(session: &Session, reason: &'static str) -> Result<(), ApiError> {
    session.report_because(EventKind::SecondFactorChanged, reason);
    session.end_others().await?;
    session.rotate()?;
    Ok(())
}
