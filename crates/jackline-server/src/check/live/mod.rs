//! The visit: what a browser sees, from its first request to its logout, and what an attacker would try on the way. One visitor's
//! session is made and ended; with a user's password, one login too.

mod arrival;
mod cookie;
mod csrf;
mod headers;
mod login;

use zeroize::Zeroizing;

use super::report::Report;
use super::set_cookie::SetCookie;
use super::site::{Answer, NoAnswer, Site};
use super::topic::Topic;
use crate::passwords::Password;

/// How to visit.
pub(super) struct Visit {
    pub(super) site: Site,
    /// The cookie's name, if the settings say.
    pub(super) cookie_name: Option<String>,
    pub(super) credentials: Option<Credentials>,
    /// Whether somebody named the address: then a server that does not answer is wrong.
    pub(super) named: bool,
    /// In seconds since 1970.
    pub(super) now: i64,
}

/// Whom to log in.
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: Password,
}

/// What the other checks want to know about the server.
#[derive(Default)]
pub(super) struct Seen {
    /// Whether it answered as a Jackline server.
    pub(super) answered: bool,
    /// Whether it was seen over https itself, not only as a proxy would see it.
    pub(super) over_https: bool,
    /// The value of its session cookie. A secret.
    pub(super) cookie: Option<Zeroizing<String>>,
}

/// Why the visit ended early. Every topic that is still open gets this as its reason.
struct Stop(String);

impl From<NoAnswer> for Stop {
    fn from(NoAnswer(why): NoAnswer) -> Self {
        Self(format!("the server stopped answering: {why}"))
    }
}

impl Visit {
    /// Blocks: run it where that is allowed.
    pub(super) fn run(self, report: &mut Report) -> Seen {
        let mut seen = Seen {
            over_https: self.site.https,
            ..Seen::default()
        };
        if let Err(Stop(reason)) = self.walk(report, &mut seen) {
            report.rest_unchecked(Topic::LIVE, &reason);
        }
        seen
    }

    fn walk(mut self, report: &mut Report, seen: &mut Seen) -> Result<(), Stop> {
        let first = self.arrive(report)?;
        seen.answered = true;
        let cookie = self.look_at_cookie(&first, report)?;
        seen.cookie = Some(Zeroizing::new(cookie.value().to_owned()));
        self.look_at_headers(&first, report);
        let cookie = self.come_back(cookie, report)?;
        self.look_behind_proxy(&cookie, report)?;
        self.try_csrf(&cookie, report)?;
        match &self.credentials {
            None => self.leave_as_visitor(&cookie, report),
            Some(credentials) => self.log_in_and_out(credentials, &cookie, report),
        }
    }

    /// The session cookies among those that an answer sets. Proxies and networks of caches add cookies of their own.
    fn session_cookies(&self, answer: &Answer) -> Vec<SetCookie> {
        let all = answer.cookies();
        let ours: Vec<_> = all
            .iter()
            .filter(|cookie| match &self.cookie_name {
                Some(name) => cookie.name() == name,
                None => cookie.is_signed(),
            })
            .cloned()
            .collect();
        if !ours.is_empty() {
            return ours;
        }
        // The settings at hand may not be the server's.
        all.into_iter().filter(SetCookie::is_signed).collect()
    }
}
