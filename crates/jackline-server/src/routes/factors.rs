//! `/factors` and what is below it: the second factors of whoever is logged in. Apps take two requests, one for the secret and one with a code of it; passkeys
//! too, one for what the browser needs and one with what it made. Recovery codes come with the first factor, and new ones when asked.

use askama::Template;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jackline::lifecycle::UnixMs;
use jackline::{Authenticated, Session};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Done;
use super::second_factor::Code;
use super::sessions::rfc3339;
use crate::app::App;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::factors::{
    Added, Factor, Held, Kind, NewPasskey, RecoveryCode, RelyingParty, TotpEnrolment, add_passkey,
    begin_passkey, begin_totp, confirm_totp, renew_recovery_codes,
};
use crate::pages::{Arrival, Frame, Input, Moment, Notice, Place, Wants, page, see_other};
use crate::users::UserId;

/// One factor, as its owner sees it. Times are RFC 3339.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    id: String,
    kind: Kind,
    name: String,
    added_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

impl From<&Factor> for Listed {
    fn from(factor: &Factor) -> Self {
        let time = |ms: i64| rfc3339(moment(ms));
        Self {
            id: factor.id.clone(),
            kind: factor.kind,
            name: factor.name.clone(),
            added_at: time(factor.created_ms),
            last_used_at: factor.last_used_ms.map(time),
        }
    }
}

fn moment(ms: i64) -> UnixMs {
    UnixMs::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// The page with all of them.
#[derive(Template)]
#[template(path = "factors.html")]
struct FactorsPage<'a> {
    frame: Frame,
    notice: Notice,
    factors: Vec<Row>,
    codes_left: Option<usize>,
    wrong: Option<&'a str>,
}

/// One factor on it.
struct Row {
    id: String,
    name: String,
    what: &'static str,
    added: Moment,
    used: Option<Moment>,
}

impl<'a> FactorsPage<'a> {
    fn of(
        app: &App,
        session: &Session,
        held: Held,
        notice: Notice,
        wrong: Option<&'a str>,
    ) -> Result<Self, ApiError> {
        let now = app.now_ms.moment();
        let row = |factor: Factor| Row {
            what: match factor.kind {
                Kind::Passkey => "passkey",
                Kind::Totp => "app",
                Kind::Recovery => "codes",
            },
            id: factor.id,
            name: factor.name,
            added: Moment::of(moment(factor.created_ms)),
            used: factor
                .last_used_ms
                .map(|ms| Moment::before(moment(ms), now)),
        };
        Ok(Self {
            frame: Frame::of(session, "Two-step sign-in", Place::Factors)?,
            notice,
            factors: held.factors.into_iter().map(row).collect(),
            codes_left: held.recovery_codes,
            wrong,
        })
    }
}

/// `{"factors":[…],"recoveryCodesLeft":10}`, oldest first.
///
/// # Errors
/// `401` if nobody is logged in, `503` if a store is away.
pub async fn list(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, identity }: Authenticated,
    Query(arrival): Query<Arrival>,
) -> Result<Response, ApiError> {
    let id = UserId::stored(identity.id.to_string());
    let held = app.factors.of(&id).await?;
    if wants == Wants::Page {
        let all = FactorsPage::of(&app, &session, held, arrival.said, None)?;
        return page(StatusCode::OK, &all);
    }
    let factors: Vec<_> = held.factors.iter().map(Listed::from).collect();
    Ok(Json(json!({
        "factors": factors,
        "recoveryCodesLeft": held.recovery_codes.unwrap_or(0),
    }))
    .into_response())
}

/// All of them again, with what was wrong.
async fn again(app: &App, session: &Session, error: ApiError) -> Result<Response, ApiError> {
    let ApiError::Conflict(wrong) = error else {
        return Err(error);
    };
    let identity = session.require_identity()?;
    let held = app
        .factors
        .of(&UserId::stored(identity.id.to_string()))
        .await?;
    error.on_page(&FactorsPage::of(
        app,
        session,
        held,
        Notice::default(),
        Some(wrong),
    )?)
}

/// `{"name":"Phone"}`, or `{}`
#[derive(Debug, Deserialize)]
pub struct Named {
    name: Option<String>,
}

/// `{"id":"…","secret":"…","uri":"otpauth://…"}`
#[derive(Serialize)]
pub struct Secret {
    id: String,
    secret: String,
    uri: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The page with a new secret, and then for the code that an app makes of it.
#[derive(Template)]
#[template(path = "totp.html")]
struct AppPage<'a> {
    frame: Frame,
    id: &'a str,
    secret: Option<ShownSecret<'a>>,
    wrong: Option<&'a str>,
}

/// The secret as it is shown, once.
struct ShownSecret<'a> {
    qr: String,
    text: &'a str,
}

impl AppPage<'_> {
    const TITLE: &'static str = "Set up your app";
}

/// Makes a secret for an app.
///
/// # Errors
/// As [`begin_totp`].
pub async fn enrol_totp(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, .. }: Authenticated,
    Input(given): Input<Named>,
) -> Result<Response, ApiError> {
    match (
        wants,
        begin_totp(&app, &session, given.name.as_deref()).await,
    ) {
        (Wants::Json, made) => made.map(|made| {
            Json(Secret {
                id: made.id,
                secret: made.secret.to_string(),
                uri: made.uri.to_string(),
            })
            .into_response()
        }),
        (Wants::Page, Ok(made)) => page(
            StatusCode::OK,
            &AppPage {
                frame: Frame::of(&session, AppPage::TITLE, Place::Factors)?,
                id: &made.id,
                secret: Some(ShownSecret {
                    qr: qr(&made)?,
                    text: &made.secret,
                }),
                wrong: None,
            },
        ),
        (Wants::Page, Err(error)) => again(&app, &session, error).await,
    }
}

/// The QR code as an element of the page: a picture of its own would have an address, or need `data:` in the policy.
fn qr(made: &TotpEnrolment) -> Result<String, ApiError> {
    let code = QrCode::new(made.uri.as_bytes())
        .map_err(|error| ApiError::Internal(anyhow::anyhow!("no QR code of a secret: {error}")))?;
    let svg = code.render::<svg::Color<'_>>().build();
    // In HTML there is no XML declaration.
    let element = svg.find("<svg").unwrap_or_default();
    Ok(svg[element..].to_owned())
}

/// `{"id":"…","code":"123456"}`
#[derive(Debug, Deserialize)]
pub struct Confirmation {
    id: String,
    code: Code,
}

/// Makes the app count.
///
/// # Errors
/// As [`confirm_totp`].
pub async fn confirm(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, .. }: Authenticated,
    Input(given): Input<Confirmation>,
) -> Result<Response, ApiError> {
    let code = given.code.into_text();
    match (wants, confirm_totp(&app, &session, &given.id, &code).await) {
        (Wants::Json, added) => added.map(|added| Json(shown(&added)).into_response()),
        (Wants::Page, Ok(added)) => match &added.recovery_codes {
            Some(codes) => shown_once(&session, codes),
            None => Ok(see_other("/factors?said=factor-added")),
        },
        (Wants::Page, Err(error)) => {
            let wrong = match &error {
                ApiError::BadRequest(wrong) => wrong,
                error if error.is_too_often() => "Too many attempts. Wait a little, then try again",
                _ => return Err(error),
            };
            error.on_page(&AppPage {
                frame: Frame::of(&session, AppPage::TITLE, Place::Factors)?,
                id: &given.id,
                secret: None,
                wrong: Some(wrong),
            })
        }
    }
}

/// The page with recovery codes.
#[derive(Template)]
#[template(path = "recovery.html")]
struct CodesPage<'a> {
    frame: Frame,
    codes: &'a [RecoveryCode],
}

fn shown_once(session: &Session, codes: &[RecoveryCode]) -> Result<Response, ApiError> {
    let codes = CodesPage {
        frame: Frame::of(session, "Your recovery codes", Place::Factors)?,
        codes,
    };
    page(StatusCode::OK, &codes)
}

/// The options of `navigator.credentials.create`: `{"publicKey":…}`.
///
/// # Errors
/// As [`begin_passkey`].
pub async fn ask_for_passkey(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    party: RelyingParty,
) -> Result<Json<Value>, ApiError> {
    begin_passkey(&app, &session, &party).await.map(Json)
}

/// `{"name":"Key","credential":{…}}`
#[derive(Debug, Deserialize)]
pub struct Made {
    name: Option<String>,
    credential: Box<NewPasskey>,
}

/// Adds the passkey that the browser has made.
///
/// # Errors
/// As [`add_passkey`].
pub async fn register_passkey(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    JsonBody(made): JsonBody<Made>,
) -> Result<Json<Value>, ApiError> {
    let added = add_passkey(&app, &session, made.name.as_deref(), &made.credential).await?;
    Ok(Json(shown(&added)))
}

/// Removes an app or a passkey.
///
/// # Errors
/// As [`crate::factors::remove`].
pub async fn remove(
    State(app): State<App>,
    Authenticated { session, .. }: Authenticated,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Done>, ApiError> {
    // What is no text names no factor.
    let Ok(Path(id)) = id else {
        return Err(ApiError::NotFound);
    };
    crate::factors::remove(&app, &session, &id).await?;
    Ok(Done::json())
}

/// `{"id":"…"}`
#[derive(Debug, Deserialize)]
pub struct ById {
    id: String,
}

/// The same for a form, which has no `DELETE`.
///
/// # Errors
/// As [`crate::factors::remove`].
pub async fn remove_by_form(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, .. }: Authenticated,
    Input(given): Input<ById>,
) -> Result<Response, ApiError> {
    match (
        wants,
        crate::factors::remove(&app, &session, &given.id).await,
    ) {
        (Wants::Json, removed) => removed.map(|()| Done::json().into_response()),
        (Wants::Page, Ok(())) => Ok(see_other("/factors?said=factor-removed")),
        (Wants::Page, Err(ApiError::NotFound)) => Ok(see_other("/factors?said=factor-gone")),
        (Wants::Page, Err(error)) => again(&app, &session, error).await,
    }
}

/// New recovery codes: `{"ok":true,"recoveryCodes":[…]}`.
///
/// # Errors
/// As [`renew_recovery_codes`].
pub async fn renew_codes(
    State(app): State<App>,
    wants: Wants,
    Authenticated { session, .. }: Authenticated,
) -> Result<Response, ApiError> {
    match (wants, renew_recovery_codes(&app, &session).await) {
        (Wants::Json, codes) => codes.map(|codes| {
            Json(json!({ "ok": true, "recoveryCodes": exposed(&codes) })).into_response()
        }),
        (Wants::Page, Ok(codes)) => shown_once(&session, &codes),
        (Wants::Page, Err(error)) => again(&app, &session, error).await,
    }
}

/// What is said of a factor that was added: also the recovery codes that came with it, this once.
fn shown(added: &Added) -> Value {
    let mut shown = json!({ "ok": true, "id": added.id });
    if let Some(codes) = &added.recovery_codes {
        shown["recoveryCodes"] = exposed(codes).into();
    }
    shown
}

fn exposed(codes: &[RecoveryCode]) -> Vec<&str> {
    codes.iter().map(RecoveryCode::expose).collect()
}
