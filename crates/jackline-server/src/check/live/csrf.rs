//! The two layers of the CSRF defence, with a patch that changes nothing: refused without the session's token and from another site,
//! accepted with the token from here (D8).

use ureq::http::Method;
use zeroize::Zeroizing;

use super::{Stop, Visit};
use crate::check::report::Report;
use crate::check::set_cookie::SetCookie;
use crate::check::site::{Answer, NoAnswer};
use crate::check::topic::Topic;

/// Reserved for examples (RFC 2606): nobody serves anything there.
const ANOTHER_SITE: &str = "https://attacker.example";

impl Visit {
    pub(super) fn try_csrf(&self, cookie: &SetCookie, report: &mut Report) -> Result<(), Stop> {
        let answer = self.site.get("/csrf-token").cookie(cookie).send()?;
        let Some(token) = answer.json()["csrfToken"]
            .as_str()
            .map(|token| Zeroizing::new(token.to_owned()))
        else {
            let reason = format!("GET /csrf-token gives none: {}", answer.status);
            report.unchecked(Topic::CSRF, reason);
            return Ok(());
        };
        let without = self.patch(cookie, None, &[])?;
        if matches!(without.status, 404 | 405) {
            report.unchecked(Topic::CSRF, "there is no PATCH /session/data to try it on");
            return Ok(());
        }
        let before = report.findings().count();
        if without.status != 403 {
            report.wrong(
                Topic::CSRF,
                format!("an unsafe request without a CSRF token gets {}, not 403", without.status),
                "other sites can act in the name of whoever is logged in",
                "have the proxy pass requests on unchanged: nothing but a page's own script may add x-csrf-token",
            );
        }
        let with = self.patch(cookie, Some(&token), &[])?;
        if with.status == 403 {
            report.wrong(
                Topic::CSRF,
                "a CSRF token that was just given out is refused",
                "every unsafe request of every user is",
                "have the proxy pass the header x-csrf-token on, and give all instances the same SESSION_SECRET",
            );
            return Ok(());
        }
        if with.status != 200 {
            report.unchecked(
                Topic::CSRF,
                format!("PATCH /session/data answers {}", with.status),
            );
            return Ok(());
        }
        self.try_origins(cookie, &token, report)?;
        if report.findings().count() == before {
            report.fine(Topic::CSRF, "refused without one and from another site");
        }
        Ok(())
    }

    fn try_origins(
        &self,
        cookie: &SetCookie,
        token: &str,
        report: &mut Report,
    ) -> Result<(), Stop> {
        // As a browser sends it that knows no Fetch Metadata.
        let origin = self.site.origin();
        let here = self.patch(cookie, Some(token), &[("origin", &origin)])?;
        if here.status == 403 {
            let topic = if self.site.https {
                Topic::BEHIND_PROXY
            } else {
                Topic::CSRF
            };
            report.wrong(
                topic,
                format!("an unsafe request from {origin} is taken for another site's"),
                "the server does not know under which address browsers see it, so pages' requests are refused",
                format!(
                    "have the proxy pass the host on (nginx: proxy_set_header Host $host;), or set JACKLINE_PUBLIC_ORIGIN={origin}"
                ),
            );
        }
        let strange = [("origin", ANOTHER_SITE), ("sec-fetch-site", "cross-site")];
        let elsewhere = self.patch(cookie, Some(token), &strange)?;
        if elsewhere.status != 403 {
            report.wrong(
                Topic::CSRF,
                format!(
                    "an unsafe request from another site gets {}, not 403",
                    elsewhere.status
                ),
                "one of two layers against forged requests is missing",
                "have the proxy pass Origin and Sec-Fetch-Site on unchanged",
            );
        }
        Ok(())
    }

    fn patch(
        &self,
        cookie: &SetCookie,
        token: Option<&str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Answer, NoAnswer> {
        let ask = self.site.ask(Method::PATCH, "/session/data").cookie(cookie);
        let mut ask = ask.json(Zeroizing::new("{}".to_owned()));
        if let Some(token) = token {
            ask = ask.header("x-csrf-token", token);
        }
        for (name, value) in headers {
            ask = ask.header(name, *value);
        }
        ask.send()
    }
}
