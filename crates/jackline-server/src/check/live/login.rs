//! The login, which must bring a new id and kill the old one (P1), and the logout, which must kill what it ends (P6). Without a user's
//! password the visitor's own session is ended, which shows the same of the logout.

use serde_json::json;
use ureq::http::Method;
use zeroize::Zeroizing;

use super::{Credentials, Stop, Visit};
use crate::check::report::Report;
use crate::check::set_cookie::SetCookie;
use crate::check::topic::Topic;

/// Where a replayed cookie gets its power from, on a server that is sound itself.
const ONE_STORE: &str = "give all instances one store (REDIS_URL), and have caches in front respect `Cache-Control: no-store`";

impl Visit {
    pub(super) fn log_in_and_out(
        &self,
        credentials: &Credentials,
        before: &SetCookie,
        report: &mut Report,
    ) -> Result<(), Stop> {
        let after = match self.log_in(credentials, before, report)? {
            Login::Done(after) => after,
            Login::Refused => return self.leave_as_visitor(before, report),
            // What waits is nobody's, and is ended as a visitor's.
            Login::HalfWay(waiting) => return self.leave_as_visitor(&waiting, report),
        };
        // Whatever comes of the checks, the login is ended.
        let checked = self.old_id_is_dead(before, &after, report);
        self.leave(&after, Whose::User, report)?;
        checked
    }

    fn log_in(
        &self,
        credentials: &Credentials,
        before: &SetCookie,
        report: &mut Report,
    ) -> Result<Login, Stop> {
        let body = json!({
            "username": credentials.username,
            "password": credentials.password.as_typed(),
        });
        let ask = self.site.ask(Method::POST, "/login").cookie(before);
        let answer = ask.json(Zeroizing::new(body.to_string())).send()?;
        let reason = match answer.status {
            200 => None,
            401 => Some("the server refuses this user name or password"),
            429 => Some("the server checks too many passwords at the moment: try again"),
            503 => Some("the server's store or users' database is away"),
            403 => Some("the server refuses the login (403)"),
            _ => Some("POST /login does not answer as jackline does"),
        };
        if let Some(reason) = reason {
            report.unchecked(Topic::FIXATION, reason);
            return Ok(Login::Refused);
        }
        let mut cookies = self.session_cookies(&answer);
        if cookies.len() > 1 {
            self.count(&cookies, "POST /login", report);
        } else {
            report.fine(Topic::DOUBLE, "also at login");
        }
        if answer.json()["secondFactor"].is_array() {
            report.unchecked(
                Topic::FIXATION,
                "this user has a second factor, which no program gives: name one without",
            );
            let waiting = cookies.pop().unwrap_or_else(|| before.clone());
            return Ok(Login::HalfWay(waiting));
        }
        let same = |new: &SetCookie| new.id() == before.id();
        match cookies.pop() {
            Some(new) if !same(&new) => Ok(Login::Done(new)),
            kept => {
                report.wrong(
                    Topic::FIXATION,
                    "a login keeps the id that the visitor had before",
                    "whoever planted that id, or read it before the login, is logged in too (session fixation)",
                    "update the server: jackline gives a new id; have the proxy pass Set-Cookie on, also with the answer to POST /login",
                );
                Ok(Login::Done(kept.unwrap_or_else(|| before.clone())))
            }
        }
    }

    fn old_id_is_dead(
        &self,
        before: &SetCookie,
        after: &SetCookie,
        report: &mut Report,
    ) -> Result<(), Stop> {
        if self.profile(after)? != 200 {
            report.wrong(
                Topic::RESETS,
                "GET /profile right after a login says that nobody is logged in",
                "the instance that answered did not know the session, or a cache answered",
                "give all instances the same SESSION_SECRET and the same REDIS_URL, and have caches respect `Cache-Control: no-store`",
            );
            report.unchecked(Topic::FIXATION, "the login does not last: mend D1 first");
            return Ok(());
        }
        if before.id() == after.id() {
            return Ok(());
        }
        if self.profile(before)? == 200 || self.knows_visits(before)? {
            report.wrong(
                Topic::FIXATION,
                "the id from before a login still opens a session afterwards",
                "whoever planted that id, or read it before the login, goes on with it (session fixation)",
                ONE_STORE,
            );
        } else {
            report.fine(Topic::FIXATION, "and the old one is dead");
        }
        Ok(())
    }

    /// Ends the visitor's session.
    pub(super) fn leave_as_visitor(
        &self,
        cookie: &SetCookie,
        report: &mut Report,
    ) -> Result<(), Stop> {
        report.rest_unchecked(
            &[Topic::FIXATION],
            "give --username, and --password-stdin with the password on standard input",
        );
        self.leave(cookie, Whose::Visitor, report)
    }

    fn leave(&self, cookie: &SetCookie, whose: Whose, report: &mut Report) -> Result<(), Stop> {
        let known = match whose {
            Whose::User => true,
            Whose::Visitor => self.knows_visits(cookie)?,
        };
        if !known {
            report.unchecked(Topic::LOGOUT, "there is no session to end");
            return Ok(());
        }
        let answer = self
            .site
            .ask(Method::POST, "/logout")
            .cookie(cookie)
            .send()?;
        let mut cookies = answer.cookies();
        cookies.retain(|removal| removal.name() == cookie.name());
        self.count(&cookies, "POST /logout", report);
        if answer.status != 200 {
            report.wrong(
                Topic::LOGOUT,
                format!("POST /logout answers {}", answer.status),
                "nobody can end their session",
                "have the proxy pass POST /logout on, with its cookie",
            );
            return Ok(());
        }
        let before = report.findings().count();
        if !cookies
            .iter()
            .any(|removal| removal.removes(self.now) && removal.is_same_as(cookie))
        {
            report.wrong(
                Topic::LOGOUT,
                "a logout leaves the cookie in the browser",
                "a browser forgets a cookie only if name, domain and path are those that it was set with",
                "have the proxy leave Set-Cookie alone (nginx: no proxy_cookie_path, no proxy_cookie_domain)",
            );
        }
        let alive = match whose {
            Whose::User => self.profile(cookie)? == 200,
            Whose::Visitor => self.knows_visits(cookie)?,
        };
        if alive {
            report.wrong(
                Topic::LOGOUT,
                "after a logout the old cookie still opens the session",
                "whoever has a copy of it stays logged in",
                ONE_STORE,
            );
        }
        if report.findings().count() == before {
            let whose = match whose {
                Whose::User => "and the old cookie gets 401",
                Whose::Visitor => "a visitor's was tried",
            };
            report.fine(Topic::LOGOUT, whose);
        }
        Ok(())
    }

    fn profile(&self, cookie: &SetCookie) -> Result<u16, Stop> {
        Ok(self.site.get("/profile").cookie(cookie).send()?.status)
    }

    /// Whether the cookie opens the session in which the visits were counted. Asking starts no session.
    fn knows_visits(&self, cookie: &SetCookie) -> Result<bool, Stop> {
        let answer = self.site.get("/session/data").cookie(cookie).send()?;
        Ok(answer.json()["views"].is_u64())
    }
}

/// What a login came to.
enum Login {
    /// Somebody is logged in, by this cookie.
    Done(SetCookie),
    /// A second factor is awaited, by the session of this cookie.
    HalfWay(SetCookie),
    /// Nobody is.
    Refused,
}

/// Whose session a logout ends.
#[derive(Clone, Copy)]
enum Whose {
    User,
    Visitor,
}
