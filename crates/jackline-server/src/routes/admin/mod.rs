//! `GET /admin`, `GET /admin/figures`: what this server has seen in the last hour; and who may see it. The console is for administrators:
//! others get `403`. What changes something asks for a recent proof of who they are, and is an event that names them.

pub mod events;
pub mod user;
pub mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use jackline::lifecycle::{Identity, Role};
use jackline::{LazySession, Session, SessionError};
use serde_json::json;

use crate::app::App;
use crate::console::{Chart, Figures, Minute};
use crate::error::ApiError;
use crate::pages::{Frame, PageOnly, Place, Wants, page};

/// A session of an administrator.
#[derive(Debug)]
pub struct Administrator {
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub identity: Arc<Identity>,
}

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionError> {
        let session = Session::from_request_parts(parts, state).await?;
        let identity = session.require_role(&Role::admin())?;
        Ok(Self { session, identity })
    }
}

impl Administrator {
    /// Whether they may act: they have proved lately who they are, and are an administrator still.
    pub(crate) async fn may_act(&self) -> Result<(), SessionError> {
        self.session.require_recent_authentication()?;
        // The client decides how long its body takes, and they may have been disabled meanwhile (J4).
        self.session.ensure_live().await
    }

    /// Reports what they have done to a user, or may have done: what a store does not acknowledge may have happened all the same.
    pub(crate) fn report<T, E>(&self, action: &str, target: &str, outcome: &Result<T, E>) {
        match outcome {
            Ok(_) => self.session.report_admin_action(action, target),
            Err(_) => {
                let uncertain = format!("{action}_uncertain");
                self.session.report_admin_action(&uncertain, target);
            }
        }
    }
}

/// The overview.
#[derive(Template)]
#[template(path = "admin.html")]
struct Overview {
    frame: Frame,
    shown: Shown,
}

/// The part of it that changes.
#[derive(Template)]
#[template(path = "admin_figures.html")]
struct FiguresPart {
    shown: Shown,
}

struct Shown {
    active: String,
    charts: Vec<Chart>,
    reasons: Vec<(String, u64)>,
    networks: Vec<(String, u64)>,
}

/// The figures, as a page with charts or as JSON.
///
/// # Errors
/// `401` if nobody is logged in, `403` if they are no administrator, `503` if the store is away.
pub async fn show(
    State(app): State<App>,
    wants: Wants,
    Administrator { session, .. }: Administrator,
) -> Result<Response, ApiError> {
    let figures = app.console.figures();
    match wants {
        Wants::Json => Ok(Json(in_json(&figures)).into_response()),
        Wants::Page => {
            let overview = Overview {
                frame: Frame::of(&session, "Console", Place::Console)?,
                shown: Shown::of(figures),
            };
            page(StatusCode::OK, &overview)
        }
    }
}

/// The figures alone, for the page to show in place of older ones. A page that is left open keeps nobody signed in by that.
///
/// # Errors
/// As [`show`].
pub async fn refresh(
    _: PageOnly,
    State(app): State<App>,
    lazy: LazySession,
) -> Result<Response, ApiError> {
    lazy.load_quietly().await?.require_role(&Role::admin())?;
    let part = FiguresPart {
        shown: Shown::of(app.console.figures()),
    };
    page(StatusCode::OK, &part)
}

impl Shown {
    fn of(figures: Figures) -> Self {
        let minutes = &figures.minutes;
        let chart = |title, value: fn(&Minute) -> u64| {
            let values: Vec<u64> = minutes.iter().map(value).collect();
            let last = values.last().copied().unwrap_or(0);
            let (all, most) = (sum(&values), values.iter().max().copied().unwrap_or(0));
            let said =
                format!("{all} in the last hour, at most {most} in a minute, {last} in this one");
            Chart::of(title, said, &values)
        };
        let charts = vec![
            chart("Sign-ins", |minute| minute.logins),
            chart("Failed sign-ins", |minute| minute.failures),
            chart("CSRF failures", |minute| minute.csrf),
            chart("Rejected cookies", Minute::rejected),
            store_chart(minutes),
        ];
        let mut reasons: Vec<_> = rejected(minutes).into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let least = if figures.active_at_least {
            "at least "
        } else {
            ""
        };
        Self {
            active: format!("{least}{}", figures.active),
            charts,
            reasons,
            networks: figures.networks,
        }
    }
}

fn store_chart(minutes: &[Minute]) -> Chart {
    let slowest: Vec<u64> = minutes
        .iter()
        .map(|minute| micros(minute.slowest))
        .collect();
    let (calls, mean) = store(minutes);
    let most = slowest.iter().max().copied().unwrap_or(0);
    let ms = |micros: u64| format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10);
    let said = format!(
        "{calls} calls in the last hour, {} on average, the slowest {}",
        ms(mean),
        ms(most)
    );
    Chart::of("The store's slowest call in each minute", said, &slowest)
}

fn in_json(figures: &Figures) -> serde_json::Value {
    let minutes = &figures.minutes;
    let sum = |value: fn(&Minute) -> u64| sum(&minutes.iter().map(value).collect::<Vec<_>>());
    let (calls, mean) = store(minutes);
    let slowest = minutes.iter().map(|minute| micros(minute.slowest)).max();
    let networks: Vec<_> = figures
        .networks
        .iter()
        .map(|(network, count)| json!({ "network": network, "count": count }))
        .collect();
    json!({
        "activeSessions": figures.active,
        "moreAreActive": figures.active_at_least,
        "lastHour": {
            "signIns": sum(|minute| minute.logins),
            "failedSignIns": sum(|minute| minute.failures),
            "csrfFailures": sum(|minute| minute.csrf),
            "rejectedCookies": rejected(minutes),
            "rejectedByNetwork": networks,
            "storeCalls": calls,
            "storeMeanMicros": mean,
            "storeSlowestMicros": slowest.unwrap_or(0),
        },
    })
}

/// The store's calls, and how long they took on average, in microseconds.
fn store(minutes: &[Minute]) -> (u64, u64) {
    let calls = sum(&minutes
        .iter()
        .map(|minute| minute.store_calls)
        .collect::<Vec<_>>());
    let time: Duration = minutes.iter().map(|minute| minute.store_time).sum();
    (calls, micros(time) / calls.max(1))
}

fn rejected(minutes: &[Minute]) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for (reason, count) in minutes.iter().flat_map(|minute| &minute.rejected) {
        *reasons.entry(reason.clone()).or_default() += count;
    }
    reasons
}

fn sum(values: &[u64]) -> u64 {
    values.iter().sum()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
