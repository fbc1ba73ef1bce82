//! `GET /admin/events` and `GET /admin/events/stream`: the last security events of this server, and those to come as they happen, filtered.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use jackline::events::EventKind;
use jackline::lifecycle::Role;
use jackline::{LazySession, SessionError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Administrator;
use crate::app::App;
use crate::console::{Asked, Filter, Follower, Happened};
use crate::error::ApiError;
use crate::pages::{Frame, Moment, Place, Wants, page};
use crate::routes::sessions::rfc3339;

/// How many of the last events the page shows.
const SHOWN: usize = 100;

/// How often something is sent where nothing happens, so that a connection that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An event, as a program sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    id: u64,
    at: String,
    event: &'static str,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl<'a> From<&'a Happened> for Shown<'a> {
    fn from(event: &'a Happened) -> Self {
        Self {
            id: event.id,
            at: rfc3339(event.at),
            event: event.kind.name(),
            level: event.kind.level().as_str(),
            user_id: event.user_id.as_deref(),
            target: event.target.as_deref(),
            ip: event.ip,
            session: event.session.as_deref(),
            reason: event.reason.as_deref(),
            path: event.path.as_deref(),
            count: event.count,
        }
    }
}

/// The page.
#[derive(Template)]
#[template(path = "admin_events.html")]
struct EventsPage {
    frame: Frame,
    asked: Asked,
    /// What of it makes no sense.
    no_kind: bool,
    no_network: bool,
    kinds: Vec<&'static str>,
    events: Vec<Row>,
    /// Where the page finds those that come after, if it is to.
    stream: Option<String>,
}

struct Row {
    at: Moment,
    event: &'static str,
    level: &'static str,
    reason: String,
    user: String,
    target: String,
    ip: String,
    session: String,
}

impl Row {
    fn of(event: &Happened) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            at: Moment::clock(event.at),
            event: event.kind.name(),
            level: event.kind.level().as_str(),
            reason: text(&event.reason),
            user: text(&event.user_id),
            target: text(&event.target),
            ip: event.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            session: text(&event.session),
        }
    }
}

/// The last events, newest first.
///
/// # Errors
/// `400` for a filter that makes no sense, `401` if nobody is logged in, `403` if they are no administrator, `503` if the store is away.
pub async fn show(
    State(app): State<App>,
    wants: Wants,
    Administrator { session, .. }: Administrator,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|_| ApiError::BadRequest("Invalid query"))?;
    let feed = app.console.feed();
    // Before the events: what comes between the two is shown twice rather than never.
    let last = feed.last_id();
    let (events, unclear) = match Filter::parse(&asked) {
        Ok(filter) => (feed.last(&filter, SHOWN), None),
        Err(unclear) => (Vec::new(), Some(unclear)),
    };
    if wants == Wants::Json {
        if unclear.is_some() {
            return Err(INVALID);
        }
        let events: Vec<_> = events.iter().map(|event| Shown::from(&**event)).collect();
        return Ok(Json(json!({ "events": events })).into_response());
    }
    let shown = EventsPage {
        frame: Frame::of(&session, "Events", Place::Console)?,
        kinds: EventKind::ALL.iter().map(|kind| kind.name()).collect(),
        events: events.iter().map(|event| Row::of(event)).collect(),
        stream: unclear.is_none().then(|| asked.stream(last)),
        no_kind: unclear.is_some_and(|unclear| unclear.kind),
        no_network: unclear.is_some_and(|unclear| unclear.network),
        asked,
    };
    match unclear {
        None => page(StatusCode::OK, &shown),
        Some(_) => INVALID.on_page(&shown),
    }
}

const INVALID: ApiError = ApiError::BadRequest("Invalid filter");

/// `?after=…`: the number of the last event that is known already.
#[derive(Debug, Deserialize)]
pub struct Since {
    after: Option<u64>,
}

/// Events as they happen, by server-sent events. An open stream is no use of the session, and ends with it.
///
/// # Errors
/// As [`show`]; `429` if too many follow already.
pub async fn stream(
    State(app): State<App>,
    lazy: LazySession,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<Response, ApiError> {
    let session = lazy.load_quietly().await?;
    let identity = session.require_role(&Role::admin())?;
    let signed_in = lazy.signed_in().ok_or(SessionError::NotAuthenticated)?;
    let (Ok(Query(asked)), Ok(Query(since))) = (asked, since) else {
        return Err(ApiError::BadRequest("Invalid query"));
    };
    let filter = Filter::parse(&asked).map_err(|_| INVALID)?;
    let console = &app.console;
    // A browser that lost its connection says itself what it had.
    let had = headers.get("last-event-id");
    let had = had.and_then(|id| id.to_str().ok()?.parse().ok());
    let after = had
        .or(since.after)
        .unwrap_or_else(|| console.feed().last_id());
    let follower = Follower {
        engine: app.engine.clone(),
        owner: identity.id.clone(),
        session: signed_in,
        filter,
        stopping: app.stopping.clone(),
    };
    let place = console.place().ok_or(ApiError::TooManyRequests)?;
    let events = follower.follow(console.feed(), after, place).map(as_sent);
    let kept = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = kept.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would wait for more.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn as_sent(event: Arc<Happened>) -> Result<Event, Infallible> {
    let sent = Event::default().id(event.id.to_string());
    // Texts and numbers: they have a form in JSON.
    Ok(sent
        .json_data(Shown::from(&*event))
        .unwrap_or_else(|_| Event::default().comment("unreadable")))
}
