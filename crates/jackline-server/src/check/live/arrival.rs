//! The first request: whether there is a Jackline server, and whether it lets a visitor in. One that wants https and is asked on this
//! machine without is asked again as its proxy would ask (P4).

use super::{Stop, Visit};
use crate::check::report::Report;
use crate::check::site::Answer;
use crate::check::target::Target;
use crate::check::topic::Topic;

const NAME_THE_PROXY: &str = "have the proxy send X-Forwarded-Proto (nginx: proxy_set_header X-Forwarded-Proto $scheme;) and list the address \
     that it connects from: JACKLINE_TRUSTED_PROXIES=127.0.0.1/32 if it runs on the server's machine";

impl Visit {
    /// Asks for `/views`, which starts a session, and returns the answer of a server that let the visitor in.
    pub(super) fn arrive(&mut self, report: &mut Report) -> Result<Answer, Stop> {
        let mut answer = self.first_answer(report)?;
        if wants_https(&answer) && !self.site.https && self.site.target.is_loopback() {
            answer = self.arrive_as_proxy(report)?;
        }
        if wants_https(&answer) {
            return Err(self.refused_as_insecure(report));
        }
        self.is_a_server(&answer, report)?;
        report.fine(Topic::SERVER, "GET /views counts a visit");
        if self.site.target.is_https() {
            report.fine(Topic::PLAIN_HTTP, "https");
            report.fine(
                Topic::PROXY_TRUST,
                "the server knows that it is seen over https",
            );
        }
        Ok(answer)
    }

    fn first_answer(&self, report: &mut Report) -> Result<Answer, Stop> {
        self.site.get("/views").send().map_err(|error| {
            let at = &self.site.target;
            let why = format!("no server answers at {at}: {}", error.0);
            if !self.named {
                report.unchecked(
                    Topic::SERVER,
                    format!("{}; start it, or give its address", error.0),
                );
                return Stop("no server answers".to_owned());
            }
            report.wrong(
                Topic::SERVER,
                &why,
                "nobody can use it, and nothing about it can be checked",
                format!(
                    "start it, or correct the address or its certificate; then try: curl -i {}",
                    at.route("/healthz")
                ),
            );
            Stop("no server answers".to_owned())
        })
    }

    fn arrive_as_proxy(&mut self, report: &mut Report) -> Result<Answer, Stop> {
        let site = self.site.as_its_proxy();
        let answer = site.get("/views").send()?;
        if !wants_https(&answer) {
            report.fine(
                Topic::PROXY_TRUST,
                "this machine is believed when it says X-Forwarded-Proto: https",
            );
            report.fine(Topic::PLAIN_HTTP, "over plain http nobody gets a session");
            report.unchecked(
                Topic::BEHIND_PROXY,
                "give the https address that browsers use",
            );
            self.site = site;
            return Ok(answer);
        }
        report.fine(
            Topic::SERVER,
            "it wants https, and does not take this machine for its proxy",
        );
        Err(Stop("give the https address that browsers use".to_owned()))
    }

    fn refused_as_insecure(&self, report: &mut Report) -> Stop {
        report.fine(Topic::SERVER, "it wants https");
        let at = &self.site.target;
        if self.site.https {
            let what = format!("asked at {at}, the server answers that it needs https");
            let why = "it does not believe, or does not hear, that the proxy was asked over https: nobody gets a session";
            report.wrong(Topic::PROXY_TRUST, &what, why, NAME_THE_PROXY);
            report.wrong(Topic::BEHIND_PROXY, what, why, "mend P4, then check again");
            return Stop("nobody gets a session: mend P4 first".to_owned());
        }
        report.wrong(
            Topic::PROXY_TRUST,
            format!("asked at {at}, the server answers that it needs https"),
            "its cookie is Secure, and over plain http nobody gets a session",
            format!(
                "check the https address: jackline check {}. If there is none, put a proxy that serves https in front, and {NAME_THE_PROXY}",
                at.origin("https")
            ),
        );
        Stop("nobody gets a session over http: give the https address".to_owned())
    }

    /// Tells a Jackline server that lets a visitor in from anything else that answers.
    fn is_a_server(&self, answer: &Answer, report: &mut Report) -> Result<(), Stop> {
        let at = &self.site.target;
        match answer.status {
            200 if answer.json()["views"].is_u64() => Ok(()),
            503 => {
                report.fine(Topic::SERVER, "it answers");
                report.wrong(
                    Topic::STORE,
                    format!("the server at {at} answers 503: its store does not take sessions"),
                    "nobody can log in, and who is logged in gets nothing until the store is back",
                    "look at the server's log for the store's own words; run `jackline check` where its settings are, which opens the store",
                );
                Err(Stop("the server's store is away: mend D7 first".to_owned()))
            }
            status @ 300..400 => {
                let to = answer
                    .header("location")
                    .and_then(|to| to.parse::<Target>().ok())
                    .map_or_else(|| "another page".to_owned(), |to| to.own_origin());
                report.wrong(
                    Topic::SERVER,
                    format!("{at} answers {status} and sends the browser to {to}"),
                    "sessions are that address's, and here nothing can be checked",
                    format!("check where it ends (curl -sIL {at}), such as: jackline check {to}"),
                );
                Err(Stop("the server sends its visitors elsewhere".to_owned()))
            }
            status => {
                let what = format!("GET /views at {at} answers {status}, and not as jackline does");
                if !self.named {
                    report.unchecked(Topic::SERVER, format!("{what}; give the server's address"));
                    return Err(Stop("what answers is not jackline".to_owned()));
                }
                report.wrong(
                    Topic::SERVER,
                    what,
                    "something else answers there, or the proxy does not pass the path on",
                    format!(
                        "correct the address, or the proxy's path; then try: curl -i {}",
                        at.route("/views")
                    ),
                );
                Err(Stop("what answers is not jackline".to_owned()))
            }
        }
    }
}

fn wants_https(answer: &Answer) -> bool {
    answer.status == 403 && answer.json()["error"] == "HTTPS required"
}
