//! Both sides under load at once, and a checker: what Jackline has acknowledged is there afterwards, what Express has ended stays
//! ended. What Express's own last writer takes back is counted and printed: that is how Express writes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use testkit::browser::Browser;
use testkit::{at_once, block_on, eventually};
use ureq::http::Method;

use crate::worlds::{Worlds, key, on_each_pair};

const CLIENTS: usize = 16;
const ROUNDS: usize = 60;
const LOGOUTS: usize = 10;
/// How often each client comes back after the logout.
const AFTERWARDS: usize = 3;

/// Whoever is logged in with a CSRF token of Jackline's, and a cookie for both sides.
fn logged_in(worlds: &Worlds) -> Browser<'_> {
    let mut browser = Browser::new(&*worlds.jackline);
    browser.log_in();
    let token = browser.csrf_token();
    browser.headers.insert("x-csrf-token".to_owned(), token);
    browser
}

/// What one client was told.
#[derive(Debug, Default)]
struct Told {
    /// The sums that its increments brought.
    sums: Vec<i64>,
    /// The member of its own that it set last.
    mine: Option<(String, usize)>,
    /// How many answers it got.
    answers: usize,
}

/// Counts and sets a member of its own by way of Jackline, in turn.
fn write_by_jackline(browser: &mut Browser, client: usize) -> Told {
    let mut told = Told::default();
    for round in 0..ROUNDS {
        let answer = browser.get("/views");
        assert_eq!(answer.status, 200, "{answer:?}");
        told.sums.push(answer.json()["views"].as_i64().unwrap());
        let name = format!("by-jackline-{client}");
        let patch = json!({ &name: round });
        let answer = browser.send(Method::PATCH, "/session/data", Some(&patch));
        assert_eq!(answer.status, 200, "{answer:?}");
        told.mine = Some((name, round));
        told.answers += 2;
    }
    told
}

// Proves: J3
#[test]
fn with_readers_in_express_nothing_that_jackline_acknowledged_is_lost() {
    on_each_pair(|worlds| {
        let browser = logged_in(worlds);
        let told = at_once(CLIENTS, |client| {
            if client % 2 == 0 {
                let mut browser = browser.at(&*worlds.jackline);
                return write_by_jackline(&mut browser, client);
            }
            let mut browser = browser.at(&*worlds.express);
            let mut last = 0;
            for _ in 0..2 * ROUNDS {
                let answer = browser.get("/test/session");
                assert_eq!(answer.status, 200, "{answer:?}");
                let views = answer.json()["session"]["views"].as_i64().unwrap_or(0);
                assert!(views >= last, "{views} after {last}");
                last = views;
            }
            Told::default()
        });

        let mut sums: Vec<i64> = told.iter().flat_map(|told| &told.sums).copied().collect();
        sums.sort_unstable();
        let counted = i64::try_from(CLIENTS / 2 * ROUNDS).unwrap();
        assert_eq!(sums, (1..=counted).collect::<Vec<_>>());
        let record: Value = serde_json::from_str(&worlds.record(&browser).unwrap()).unwrap();
        assert_eq!(record["views"], counted);
        for (name, value) in told.iter().filter_map(|told| told.mine.as_ref()) {
            assert_eq!(record[name], *value, "{name}");
        }
    });
}

// Proves: J2
#[test]
fn sessions_that_express_ends_under_load_never_come_back() {
    on_each_pair(|worlds| {
        let answered = (0..LOGOUTS).map(|_| log_out_under_load(worlds));
        let answered: usize = answered.sum();
        println!("{answered} answers after {LOGOUTS} logouts");
        assert!(
            answered == AFTERWARDS * LOGOUTS * CLIENTS,
            "the load went on"
        );
    });
}

/// Returns how many answers came to requests that were sent after the logout.
fn log_out_under_load(worlds: &Worlds) -> usize {
    let browser = logged_in(worlds);
    let key = key(&browser);
    let is_there = || worlds.ask::<i64>(&["EXISTS", &key]) == 1;
    let (begun, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let answered = at_once(CLIENTS + 1, |client| {
        if client == CLIENTS {
            block_on(eventually("all are at work", async || {
                begun.load(Ordering::SeqCst) > 2 * CLIENTS
            }));
            let goodbye = browser.at(&*worlds.express).post("/logout", &json!({}));
            assert_eq!(goodbye.status, 200);
            over.store(true, Ordering::SeqCst);
            return 0;
        }
        let mut answered = 0;
        // Not without end, in case the logout fails.
        for _ in 0..10 * ROUNDS {
            if answered == AFTERWARDS {
                break;
            }
            begun.fetch_add(1, Ordering::SeqCst);
            let was_over = over.load(Ordering::SeqCst);
            // Each time with the cookie of then, whatever came back for it.
            let answer = match client % 4 {
                0 => browser.at(&*worlds.express).get("/profile"),
                1 => browser.at(&*worlds.jackline).get("/profile"),
                2 => browser.at(&*worlds.jackline).get("/views"),
                _ => {
                    let patch = json!({ format!("by-{client}"): answered });
                    let mut browser = browser.at(&*worlds.jackline);
                    browser.send(Method::PATCH, "/session/data", Some(&patch))
                }
            };
            assert!([200, 401, 403].contains(&answer.status), "{answer:?}");
            if was_over {
                answered += 1;
                // At most as a visitor, in a session of its own.
                let visitor = || answer.json().as_object().unwrap().len() == 1;
                assert!(answer.status != 200 || visitor(), "{answer:?}");
                assert!(!is_there(), "it came back");
            }
        }
        answered
    });
    assert!(!is_there(), "it came back");
    answered.iter().sum()
}

// Proves: J3, J8
#[test]
fn with_writers_in_express_its_last_one_wins_and_the_record_stays_sound() {
    on_each_pair(|worlds| {
        let browser = logged_in(worlds);
        let told = at_once(CLIENTS, |client| {
            if client % 2 == 0 {
                let mut browser = browser.at(&*worlds.jackline);
                return write_by_jackline(&mut browser, client);
            }
            let mut browser = browser.at(&*worlds.express);
            let name = format!("by-express-{client}");
            for round in 0..ROUNDS {
                let answer =
                    browser.send(Method::PUT, "/test/members", Some(&json!({ &name: round })));
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            Told {
                mine: Some((name, ROUNDS - 1)),
                answers: ROUNDS,
                ..Told::default()
            }
        });

        let record: Value = serde_json::from_str(&worlds.record(&browser).unwrap()).unwrap();
        let counted = told.iter().map(|told| told.sums.len()).sum::<usize>();
        let answers: usize = told.iter().map(|told| told.answers).sum();
        let lost = told.iter().filter_map(|told| told.mine.as_ref());
        let lost = lost.filter(|(name, value)| record[name] != *value).count();
        println!(
            "{answers} writes acknowledged; Express took back {} of {counted} increments and {lost} of {CLIENTS} members",
            counted as i64 - record["views"].as_i64().unwrap()
        );
        // Who is logged in, and what Jackline keeps about it, came through all that.
        for [side, _] in worlds.both_ways() {
            assert_eq!(browser.at(side).get("/profile").status, 200);
        }
        // As soon as Express is quiet, nothing is lost any more.
        let before = record["views"].as_i64().unwrap();
        let mut sums = at_once(CLIENTS, |_| {
            let answer = browser.at(&*worlds.jackline).get("/views");
            answer.json()["views"].as_i64().unwrap()
        });
        sums.sort_unstable();
        let expected = before + 1..=before + i64::try_from(CLIENTS).unwrap();
        assert_eq!(sums, expected.collect::<Vec<_>>());
    });
}
