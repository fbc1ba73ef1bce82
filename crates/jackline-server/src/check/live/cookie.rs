//! The session cookie: whether it comes (D2), once (D5), in a form that browsers keep and send back (D3, P3, T4.1, A1), and whether the
//! server knows it again (D1).

use super::{Stop, Visit};
use crate::check::report::Report;
use crate::check::set_cookie::{Place, SetCookie};
use crate::check::site::Answer;
use crate::check::topic::Topic;

/// How often the visitor comes back: often enough to meet each of several instances behind a proxy.
const RETURNS: u64 = 6;

impl Visit {
    /// Finds the cookie in the first answer.
    pub(super) fn look_at_cookie(
        &self,
        first: &Answer,
        report: &mut Report,
    ) -> Result<SetCookie, Stop> {
        if first.json()["views"] != 1 {
            report.wrong(
                Topic::RESETS,
                "a visitor without a cookie gets another one's count of visits",
                "a cache hands out what belongs to one session, and perhaps the session itself",
                "have the cache pass on what says `Cache-Control: no-store`, and purge it (nginx: no proxy_ignore_headers Cache-Control)",
            );
            return Err(Stop("a cache answers: mend D1 first".to_owned()));
        }
        let mut cookies = self.session_cookies(first);
        self.count(&cookies, "GET /views", report);
        let Some(cookie) = cookies.pop() else {
            self.no_cookie(first, report);
            return Err(Stop("there is no cookie: mend D2 first".to_owned()));
        };
        report.fine(Topic::NO_COOKIE, format!("it is called {}", cookie.name()));
        self.would_be_sent_back(&cookie, report);
        self.look_at_flags(&cookie, report);
        Ok(cookie)
    }

    /// More than one session cookie in an answer is wrong.
    pub(super) fn count(&self, cookies: &[SetCookie], request: &str, report: &mut Report) {
        if cookies.len() > 1 {
            report.wrong(
                Topic::DOUBLE,
                format!("the answer to {request} sets {} session cookies", cookies.len()),
                "browsers keep the last one, which may not be the one that counts: a login may seem to fail at random",
                "have one session layer, in one server: take the other away, or give the two different names (JACKLINE_COOKIE_NAME)",
            );
        }
    }

    fn no_cookie(&self, first: &Answer, report: &mut Report) {
        let cached = first.header("age").is_some()
            || ["x-cache", "cf-cache-status", "x-proxy-cache"]
                .iter()
                .any(|name| first.header_has(name, "hit"));
        let (what, fix) = if cached {
            (
                "the answer to GET /views sets no cookie, and a cache answered",
                "have the cache pass on what says `Cache-Control: no-store`, and purge it (nginx: no proxy_ignore_headers Cache-Control)",
            )
        } else {
            (
                "the answer to GET /views sets no cookie",
                "have the proxy or CDN pass Set-Cookie on (nginx: no proxy_hide_header Set-Cookie); compare with: curl -i on the server itself",
            )
        };
        let why = "the server sets one whenever a session begins, so something on the way takes it away, and nobody can log in";
        report.wrong(Topic::NO_COOKIE, what, why, fix);
    }

    fn would_be_sent_back(&self, cookie: &SetCookie, report: &mut Report) {
        let target = &self.site.target;
        let path = target.path("");
        let refusals = cookie.refusals(&Place {
            https: self.site.https,
            host: target.host(),
            path: &path,
            now: self.now,
        });
        if refusals.is_empty() {
            report.fine(Topic::NOT_SENT_BACK, "by the rules of RFC 6265bis");
        }
        if !self.site.https && !cookie.is_secure() {
            report.fine(Topic::PLAIN_HTTP, "it is not Secure");
        }
        for refusal in refusals {
            let why = "browsers drop it without a word, and every request looks logged out";
            if refusal.topic != Topic::NOT_SENT_BACK {
                let also = format!("mend {} and check again", refusal.topic.number);
                report.wrong(Topic::NOT_SENT_BACK, refusal.what.clone(), why, also);
            }
            report.wrong(refusal.topic, refusal.what, why, refusal.fix);
        }
    }

    fn look_at_flags(&self, cookie: &SetCookie, report: &mut Report) {
        let name = cookie.name();
        let mut whole = true;
        for (flag, why) in cookie.weaknesses() {
            whole = false;
            report.wrong(
                Topic::FLAGS,
                format!("the cookie `{name}` lacks {flag}"),
                why,
                "the server sets it: have the proxy leave the cookie alone (nginx: no proxy_cookie_flags)",
            );
        }
        let open_network = !self.site.https && !self.site.target.is_loopback();
        if !cookie.is_secure() && (self.site.https || open_network) {
            whole = false;
            report.wrong(
                Topic::FLAGS,
                format!("the cookie `{name}` is not Secure"),
                "one request over plain http is enough for anyone on the way to take the session",
                "start the server with JACKLINE_ENV=production behind a proxy that serves https; `jackline check` there says what else is missing",
            );
        }
        if whole {
            let secure = if cookie.is_secure() { ", Secure" } else { "" };
            report.fine(Topic::FLAGS, format!("HttpOnly, SameSite{secure}"));
        }
        if !self.site.https {
            report.unchecked(Topic::PREFIX, "browsers guard names over https only");
        } else if cookie.is_prefixed() {
            report.fine(Topic::PREFIX, name);
        } else {
            report.wrong(
                Topic::PREFIX,
                format!("the cookie's name `{name}` has no prefix that browsers guard"),
                "a neighbouring subdomain, or anyone on the way over plain http, can plant a cookie of this name (OWASP ASVS 3.3.1)",
                "JACKLINE_COOKIE_NAME=__Host-sid",
            );
        }
    }

    /// Comes back with the cookie, and again: each visit must count one more.
    pub(super) fn come_back(
        &self,
        mut cookie: SetCookie,
        report: &mut Report,
    ) -> Result<SetCookie, Stop> {
        for nth in 2..=RETURNS {
            let answer = self.site.get("/views").cookie(&cookie).send()?;
            let mut cookies = self.session_cookies(&answer);
            self.count(&cookies, "GET /views", report);
            let views = answer.json()["views"].as_u64();
            if views != Some(nth) {
                let what = match views {
                    Some(views) => {
                        format!("visit number {nth} of one session was counted as number {views}")
                    }
                    None => format!(
                        "visit number {nth} of one session was answered with {}",
                        answer.status
                    ),
                };
                report.wrong(
                    Topic::RESETS,
                    what,
                    "the instance that answered did not know the session: each has a store or a secret of its own, or the proxy drops the \
                     request's cookie. Users are logged out at random",
                    "give all instances the same SESSION_SECRET and the same REDIS_URL, and have the proxy pass the Cookie header on",
                );
                return Err(Stop("the session does not last: mend D1 first".to_owned()));
            }
            // Signed anew, after a change of keys.
            if let Some(new) = cookies.pop() {
                cookie = new;
            }
        }
        report.fine(
            Topic::RESETS,
            format!("{RETURNS} visits, counted one by one"),
        );
        report.fine(Topic::DOUBLE, "in each of these answers");
        Ok(cookie)
    }

    /// What only a proxy can get wrong.
    pub(super) fn look_behind_proxy(
        &self,
        cookie: &SetCookie,
        report: &mut Report,
    ) -> Result<(), Stop> {
        if !self.site.target.is_https() {
            report.rest_unchecked(
                &[Topic::BEHIND_PROXY, Topic::PROXY_TRUST],
                "give the https address that browsers use",
            );
            return Ok(());
        }
        // What a client says about itself must not reach the server.
        let ask = self.site.get("/views").cookie(cookie);
        let answer = ask.header("x-forwarded-proto", "http").send()?;
        if answer.status == 200 {
            report.fine(
                Topic::BEHIND_PROXY,
                "a client's own X-Forwarded-Proto counts for nothing",
            );
        } else {
            report.wrong(
                Topic::BEHIND_PROXY,
                format!("a request that brings its own X-Forwarded-Proto: http gets {}", answer.status),
                "the proxy passes on what clients say about themselves, and the server believes the proxy",
                "have the proxy set the header, not add to it: nginx proxy_set_header X-Forwarded-Proto $scheme;",
            );
        }
        Ok(())
    }
}
