//! What a request's cookies come to. They are read when somebody first asks: most requests are over before anybody does, and a
//! signature that nobody wants to know of is not checked.

use std::borrow::Cow;
use std::sync::OnceLock;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::{Context, RequestInfo};
use crate::cookie::{self, KeyAge};
use crate::events::EventKind;
use crate::token::SessionToken;

/// What the cookies of a request came to.
pub(crate) enum Presented {
    /// No cookie of ours, or none to be believed.
    Nothing,
    /// One valid token. `resign` if it was verified with an older key.
    Token { token: SessionToken, resign: bool },
    /// The cookie may travel over HTTPS only, and the request did not come that way. Whatever was presented is ignored, and
    /// nothing can be granted.
    InsecureTransport,
}

/// The cookies of a request, and what they came to if somebody has asked.
pub(crate) struct Cookies {
    sent: Sent,
    /// Whether nobody on the way could read them.
    encrypted: bool,
    read: OnceLock<Presented>,
}

impl Cookies {
    pub(crate) fn new(headers: &HeaderMap, encrypted: bool) -> Self {
        Self {
            sent: Sent::of(headers),
            encrypted,
            read: OnceLock::new(),
        }
    }

    /// What they come to. Whoever asks first has them read, and what was not accepted is an event.
    pub(super) fn read(&self, context: &Context, request: &RequestInfo) -> &Presented {
        self.read.get_or_init(|| {
            let reading = context.cookies.read(&self.sent, &context.keys);
            let rejected = |reason| {
                request
                    .event(&context.hooks, EventKind::SessionRejected)
                    .reason(reason)
                    .emit();
            };
            if context.cookies.spec.is_secure() && !self.encrypted {
                if reading.token.is_some() || reading.rejected.is_some() {
                    rejected("plaintext_transport");
                }
                return Presented::InsecureTransport;
            }
            if let Some(reason) = reading.rejected {
                rejected(reason.as_str());
            }
            match reading.token {
                None => Presented::Nothing,
                Some((token, age)) => Presented::Token {
                    token,
                    resign: age == KeyAge::Older,
                },
            }
        })
    }

    /// The value that brings `token`: as it came, if it came in one that the newest key has signed, so that it need not be signed again.
    pub(super) fn value_for<'a>(
        &'a self,
        token: &SessionToken,
        context: &Context,
        request: &RequestInfo,
    ) -> Cow<'a, str> {
        let same = match self.read(context, request) {
            Presented::Token {
                token: presented,
                resign: false,
            } => presented == token && !token.is_express(),
            _ => false,
        };
        let as_it_came = same
            .then(|| cookie::as_written(&self.sent, context.cookies.spec.name()))
            .flatten();
        as_it_came.map_or_else(|| cookie::write(token, &context.keys).into(), Cow::from)
    }
}

/// The cookie headers as they were sent: nearly always one at most, which then takes no allocation to keep.
struct Sent {
    first: Option<HeaderValue>,
    more: Vec<HeaderValue>,
}

impl Sent {
    fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(COOKIE).into_iter().cloned();
        Self {
            first: sent.next(),
            more: sent.collect(),
        }
    }
}

impl<'a> IntoIterator for &'a Sent {
    type Item = &'a HeaderValue;
    type IntoIter =
        std::iter::Chain<std::option::Iter<'a, HeaderValue>, std::slice::Iter<'a, HeaderValue>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.iter().chain(&self.more)
    }
}
