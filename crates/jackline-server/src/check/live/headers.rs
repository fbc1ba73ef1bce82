//! The headers that keep pages and sessions apart (T10.2). The server sends all of them, so what is missing was lost on the way.

use super::Visit;
use crate::check::report::Report;
use crate::check::site::Answer;
use crate::check::topic::Topic;

impl Visit {
    pub(super) fn look_at_headers(&self, answer: &Answer, report: &mut Report) {
        let mut missing = Vec::new();
        let mut need = |name: &'static str, there: bool| {
            if !there {
                missing.push(name);
            }
        };
        let sent = |name| answer.header(name).is_some_and(|value| !value.is_empty());
        need("Content-Security-Policy", sent("content-security-policy"));
        need(
            "X-Content-Type-Options",
            answer.header_has("x-content-type-options", "nosniff"),
        );
        need(
            "X-Frame-Options",
            sent("x-frame-options")
                || answer.header_has("content-security-policy", "frame-ancestors"),
        );
        need("Referrer-Policy", sent("referrer-policy"));
        need(
            "Cross-Origin-Opener-Policy",
            sent("cross-origin-opener-policy"),
        );
        // Over plain http browsers ignore it (RFC 6797, section 8.1).
        need(
            "Strict-Transport-Security",
            !self.site.https || answer.header_has("strict-transport-security", "max-age="),
        );
        let before = report.findings().count();
        if !missing.is_empty() {
            report.wrong(
                Topic::HEADERS,
                format!("answers lack {}", missing.join(", ")),
                "browsers defend users against framing, sniffing, downgrades and injected scripts only where they are told to",
                "the server sends them: have the proxy pass them on (nginx: no proxy_hide_header, no more_clear_headers)",
            );
        }
        if !answer.header_has("cache-control", "no-store") {
            report.wrong(
                Topic::HEADERS,
                "an answer that sets the session cookie does not say `Cache-Control: no-store`",
                "a cache may keep it, and hand one user's session to the next",
                "have the proxy or CDN leave Cache-Control alone (nginx: no expires, no add_header Cache-Control)",
            );
        }
        if let Some(value) = answer.header("x-powered-by") {
            let short: String = value.chars().take(40).collect();
            report.wrong(
                Topic::HEADERS,
                format!("answers say `X-Powered-By: {}`", short.escape_debug()),
                "it tells attackers what to try",
                "the server does not send it: have the proxy take it away (nginx: proxy_hide_header X-Powered-By;)",
            );
        }
        if report.findings().count() == before {
            report.fine(Topic::HEADERS, "and no-store beside Set-Cookie");
        }
    }
}
