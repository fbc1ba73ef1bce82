//! One message: an event as JSON, in the envelope of the Standard Webhooks specification, under an id by which a receiver knows one that
//! comes twice.

use jackline::events::Notice;
use jackline::lifecycle::UnixMs;
use serde::Serialize;

use crate::random;
use crate::routes::sessions::rfc3339;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) event: &'static str,
    pub(super) body: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    event: &'static str,
    timestamp: String,
    data: Body<'a>,
}

/// What the log says of an event, under the same names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    user_id: Option<&'a str>,
    ip: Option<std::net::IpAddr>,
    user_agent: Option<&'a str>,
    level: &'static str,
    owasp: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl Message {
    /// A message about this event, which has just happened.
    ///
    /// # Errors
    /// If the operating system gives no random bytes for the id.
    pub(super) fn about(event: &Notice<'_>, now: UnixMs) -> anyhow::Result<Self> {
        let name = event.kind.name();
        let envelope = Envelope {
            event: name,
            timestamp: rfc3339(now),
            data: Body {
                user_id: event.user_id,
                ip: event.ip,
                user_agent: event.user_agent,
                level: event.kind.level().as_str(),
                owasp: event.kind.owasp(),
                session: event.session.map(|handle| handle.as_str()),
                reason: event.reason,
                target: event.target,
                path: event.path,
                count: event.count,
            },
        };
        Ok(Self {
            id: format!("msg_{}", *random::base32(26)?),
            event: name,
            body: serde_json::to_string(&envelope)?,
        })
    }
}
