//! Where security events are sent for a program to act on, and what signs them. Default: nowhere. Neither the address, whose path may hold
//! a key, nor a secret is ever printed.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jackline::events::EventKind;
use subtle::ConstantTimeEq;
use url::Url;
use zeroize::Zeroizing;

use super::deployment::Deployment;
use super::names::Setting;
use super::source::Reader;

/// What a secret begins with, by the Standard Webhooks specification.
pub(crate) const SECRET_PREFIX: &str = "whsec_";

/// How many bytes a secret may have before base64, by the specification.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// How many of them must differ, as of every secret: zeros and the like are none.
const FEWEST_DIFFERENT: usize = 8;

/// What is sent where nothing else is said.
const DEFAULT_EVENTS: [&str; 4] = [
    "new_device",
    "second_factor_changed",
    "session_use_after_expire",
    "account_throttled",
];

/// The webhook as configured.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Where messages are sent.
    pub url: WebhookUrl,
    /// What signs them: each message has a signature by each.
    pub secrets: Vec<WebhookSecret>,
    /// Of which kinds of events there are messages.
    pub events: Vec<EventKind>,
}

/// An address that takes messages. Its `Debug` shows the host alone.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// All of it, for the client and nothing else.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Where it is, for people: no path and no query, which may hold a key.
    pub fn place(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({})", self.place())
    }
}

/// What signs messages. Wiped when dropped, and never printed.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

impl WebhookSecret {
    /// Takes `whsec_` and base64 of 24 to 64 bytes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(SECRET_PREFIX)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
        let different: BTreeSet<_> = bytes.iter().collect();
        let strong = SECRET_BYTES.contains(&bytes.len()) && different.len() >= FEWEST_DIFFERENT;
        strong.then_some(Self(bytes))
    }

    /// The key itself, for signatures and nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    fn is(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(hidden)")
    }
}

/// Reads `JACKLINE_WEBHOOK_URL` and what belongs to it.
pub(crate) fn read(reader: &mut Reader, deployment: Deployment) -> Option<WebhookSettings> {
    for other in [
        Setting::WEBHOOK_SECRET,
        Setting::WEBHOOK_SECRET_PREVIOUS,
        Setting::WEBHOOK_EVENTS,
    ] {
        reader.refuse_one_without(other, Setting::WEBHOOK_URL);
    }
    reader.refuse_one_without(Setting::WEBHOOK_URL, Setting::WEBHOOK_SECRET);
    let url = read_url(reader, deployment);
    let secrets = read_secrets(reader);
    let events = read_events(reader);
    Some(WebhookSettings {
        url: url?,
        secrets: secrets?,
        events: events?,
    })
}

fn read_url(reader: &mut Reader, deployment: Deployment) -> Option<WebhookUrl> {
    let url = Url::parse(reader.one(Setting::WEBHOOK_URL)?);
    let mut refuse = |what: &str, why: &str, fix: &str| {
        reader.report(Setting::WEBHOOK_URL, what, why, fix);
        None
    };
    const EXAMPLE: &str = "write an address such as https://app.example.com/hooks/sessions";
    let Ok(url) = url else {
        return refuse(
            "it is not an address",
            "events would be lost without a word",
            EXAMPLE,
        );
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.fragment().is_some()
    {
        return refuse(
            "it is not the address of a program that takes messages by HTTP",
            "events would be lost without a word",
            EXAMPLE,
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "it holds a user name or a password",
            "messages are signed, and a password in an address ends up in logs",
            "remove them; the receiver checks the signature with the secret in JACKLINE_WEBHOOK_SECRET",
        );
    }
    if deployment.is_production() && url.scheme() != "https" {
        return refuse(
            "it is plain http, in production",
            "messages say who logged in from where, and everybody on the way could read them",
            "use an https address",
        );
    }
    Some(WebhookUrl(url))
}

fn read_secrets(reader: &mut Reader) -> Option<Vec<WebhookSecret>> {
    const FIX: &str = "run `jackline secret --webhook` and set it to what that prints, outside of version control; the receiver gets the same";
    const WHAT: &str = "is not `whsec_` and 24 to 64 random bytes in base64";
    const WHY: &str = "whoever guesses it can tell the receiver anything, and a text in another form is another key for the receiver";
    let current = WebhookSecret::parse(reader.one(Setting::WEBHOOK_SECRET)?);
    if current.is_none() {
        reader.report(Setting::WEBHOOK_SECRET, format!("it {WHAT}"), WHY, FIX);
    }
    let previous: Vec<_> = reader
        .list(Setting::WEBHOOK_SECRET_PREVIOUS)
        .into_iter()
        .map(WebhookSecret::parse)
        .collect();
    let mut secrets = vec![current?];
    for (index, secret) in previous.into_iter().enumerate() {
        let nth = index + 1;
        let mut refuse = |what: String, why: &str, fix: &str| {
            reader.report(Setting::WEBHOOK_SECRET_PREVIOUS, what, why, fix);
        };
        match secret {
            None => refuse(format!("secret number {nth} {WHAT}"), WHY, "remove it"),
            Some(secret) if secrets.iter().any(|other| other.is(&secret)) => refuse(
                format!("secret number {nth} is there twice, or is JACKLINE_WEBHOOK_SECRET itself"),
                "the secret was not rotated, though it looks as if it had been",
                "keep each secret once",
            ),
            Some(secret) => secrets.push(secret),
        }
    }
    Some(secrets)
}

fn read_events(reader: &mut Reader) -> Option<Vec<EventKind>> {
    let kinds = |names: &[&str]| -> Vec<EventKind> {
        let all = EventKind::ALL.iter().copied();
        all.filter(|kind| names.contains(&kind.name())).collect()
    };
    if !reader.is_given(Setting::WEBHOOK_EVENTS) {
        return Some(kinds(&DEFAULT_EVENTS));
    }
    let names = reader.list(Setting::WEBHOOK_EVENTS);
    let known = kinds(&names);
    let unknown = names
        .iter()
        .find(|name| !known.iter().any(|kind| kind.name() == **name));
    let Some(unknown) = unknown else {
        return Some(known);
    };
    let what = format!("it names {}, which is no event", reader.quote(unknown));
    reader.report(
        Setting::WEBHOOK_EVENTS,
        what,
        "the receiver would wait for something that never comes",
        "name events as the log has them, separated by commas, such as new_device,account_throttled; docs/operations.md lists them",
    );
    None
}
