//! What Prometheus reads: where it is, what is counted, that strangers cannot make more series of it, and that it names nobody.

use std::collections::BTreeMap;

use serde_json::json;
use testkit::block_on;
use testkit::certificates::Certificates;

use crate::browser::Browser;
use crate::program::{Place, Program};
use crate::stores::{on_each_store, on_redis};

/// Each series with its value.
pub(crate) type Series = BTreeMap<String, f64>;

/// A program that serves metrics, and where.
pub(crate) struct Watched {
    pub(crate) program: Program,
    url: String,
}

impl Watched {
    pub(crate) fn in_place(place: &mut Place) -> Self {
        place.set("JACKLINE_METRICS_ADDR", "127.0.0.1:0");
        let program = place.serve();
        let line = program.wait_for_line("Metrics: ");
        let url = line.trim_start_matches("Metrics: ").to_owned();
        Self { program, url }
    }

    /// The page, which holds nothing secret.
    pub(crate) fn page(&self) -> String {
        let mut answer = ureq::get(&self.url).call().unwrap();
        assert_eq!(
            answer.headers()["content-type"],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        let text = answer.body_mut().read_to_string().unwrap();
        self.program.assert_nothing_secret(&text);
        text
    }

    pub(crate) fn series(&self) -> Series {
        let page = self.page();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    fn value(&self, series: &str) -> f64 {
        self.series().get(series).copied().unwrap_or_default()
    }
}

fn event(event: &str, reason: &str) -> String {
    format!("jackline_security_events_total{{event=\"{event}\",reason=\"{reason}\"}}")
}

// Proves: J6, S69, S71
#[test]
fn what_happens_is_counted_and_nobody_is_named() {
    on_each_store(|on| {
        let watched = Watched::in_place(&mut on.place);
        let mut browser = Browser::new(&watched.program);
        let before = watched.series();
        assert_eq!(
            before[&event("login_success", "")],
            0.0,
            "there from the start"
        );
        browser
            .headers
            .insert("user-agent".into(), "Mozilla/5.0 zqzq".into());
        browser.post(
            "/login",
            &json!({ "username": "mallory-zqzq", "password": "wrong-zqzq" }),
        );
        browser.post(
            "/login",
            &json!({ "username": "alice", "password": "wrong-zqzq" }),
        );
        browser.log_in();
        browser.get("/profile");
        browser.post("/sessions/end-others", &json!({}));
        browser
            .cookies
            .values_mut()
            .for_each(|value| value.push_str("zqzq"));
        browser.get("/profile");

        let after = watched.series();
        for (series, count) in [
            (event("login_failure", "unknown_user"), 1.0),
            (event("login_failure", "wrong_password"), 1.0),
            (event("login_success", ""), 1.0),
            (event("csrf_failure", "missing_token"), 1.0),
            (event("session_rejected", "forged"), 1.0),
            (
                "jackline_busiest_network_events{event=\"login_failure\"}".into(),
                2.0,
            ),
            (
                "jackline_busiest_network_events{event=\"session_rejected\"}".into(),
                1.0,
            ),
            (
                "jackline_password_check_seconds_count{outcome=\"wrong\"}".into(),
                2.0,
            ),
            (
                "jackline_password_check_seconds_count{outcome=\"right\"}".into(),
                1.0,
            ),
            (
                "jackline_store_call_seconds_count{operation=\"admit\",outcome=\"ok\"}".into(),
                1.0,
            ),
            ("jackline_store_up".into(), 1.0),
            ("jackline_passwords_in_hand".into(), 0.0),
        ] {
            assert_eq!(after.get(&series), Some(&count), "{series} on {}", on.name);
        }
        assert!(
            after["jackline_connections"] >= 1.0,
            "the browser's is kept"
        );
        assert!(after["jackline_password_check_seconds_sum{outcome=\"right\"}"] > 0.0);
        let page = watched.page();
        for stranger in ["zqzq", "alice", "user-1001", "127.0.0.1", "/login"] {
            assert!(!page.contains(stranger), "{stranger} stands in\n{page}");
        }
    });
}

// Proves: J6, P5
#[test]
fn metrics_are_nowhere_unless_asked_for_and_never_among_the_servers_own_routes() {
    let mut place = Place::new(&[]);
    let program = place.serve();
    assert_eq!(Browser::new(&program).get("/metrics").status, 404);
    program.wait_for_line("Development.");
    assert_eq!(program.has_said("Metrics: "), 0);
    drop(program);

    let watched = Watched::in_place(&mut place);
    assert_eq!(Browser::new(&watched.program).get("/metrics").status, 404);
    let elsewhere = watched.url.replace("/metrics", "/profile");
    let answer = ureq::get(&elsewhere).call();
    assert!(
        matches!(answer, Err(ureq::Error::StatusCode(404))),
        "{answer:?}"
    );
    let (_, taken) = watched.url.split_once("//").unwrap();
    place.set("JACKLINE_METRICS_ADDR", taken.trim_end_matches("/metrics"));
    let ended = place.run(&["serve"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("JACKLINE_METRICS_ADDR"),
        "{}",
        ended.stderr
    );
    let (status, output) = watched.program.stop();
    assert_eq!(status.code(), Some(0), "{output}");
}

// Proves: J9, J6
#[test]
fn strangers_make_no_series() {
    let watched = Watched::in_place(&mut Place::new(&[]));
    let ask = |round: u32| {
        let mut browser = Browser::new(&watched.program);
        for n in 0..20 {
            let odd = format!("{round}-{n}");
            browser.headers.insert("user-agent".into(), odd.clone());
            browser
                .headers
                .insert("x-forwarded-for".into(), odd.clone());
            browser
                .headers
                .insert("origin".into(), format!("https://{odd}.example"));
            browser
                .cookies
                .insert("sid".into(), format!("s%3A{odd}.{odd}"));
            browser.get(&format!("/{odd}"));
            browser.get("/profile");
            browser.post(
                "/login",
                &json!({ "username": odd, "password": "x", "reason": odd }),
            );
        }
    };
    ask(1);
    let names = |series: Series| -> Vec<String> { series.into_keys().collect() };
    let first = names(watched.series());
    ask(2);
    assert_eq!(names(watched.series()), first);
}

// Proves: J7, S79
#[test]
fn a_store_that_is_away_shows_and_so_does_its_return() {
    let mut on = on_redis();
    let watched = Watched::in_place(&mut on.place);
    let mut browser = Browser::new(&watched.program);
    browser.log_in();
    on.crash();
    assert_eq!(browser.get("/profile").status, 503);
    assert_eq!(watched.value("jackline_store_up"), 0.0);
    let failed = "jackline_store_call_seconds_count{operation=\"load\",outcome=\"unavailable\"}";
    assert_eq!(watched.value(failed), 1.0);
    on.start_again();
    block_on(testkit::eventually("the store is up", async || {
        browser.get("/readyz");
        watched.value("jackline_store_up") == 1.0
    }));
}

#[test]
fn a_server_with_a_certificate_says_when_it_runs_out() {
    const FIRST_OF_JANUARY_4096: f64 = 67_090_118_400.0;
    const EXPIRY: &str = "jackline_certificate_expiry_timestamp_seconds";
    let mut place = Place::new(&[]);
    assert!(!Watched::in_place(&mut place).series().contains_key(EXPIRY));
    let certificates = Certificates::make();
    place.speak_tls(&certificates);
    let watched = Watched::in_place(&mut place);
    assert_eq!(watched.value(EXPIRY), FIRST_OF_JANUARY_4096);
}
