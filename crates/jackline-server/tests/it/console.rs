//! The console: who may see it, what it shows, and what an administrator can do there. Each action needs a recent proof and is an event.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};
use testkit::browser::{Answer, Browser};
use testkit::program::{Place, Program};
use ureq::http::Method;

const ROOT: &str = "a-tree-has-many-roots-and-one-trunk";

/// A server with an administrator beside alice.
pub(crate) fn with_root(settings: &[(&str, &str)]) -> (Place, Program, String) {
    let mut place = Place::new(settings);
    place.set("JACKLINE_TRUSTED_PROXIES", "127.0.0.1");
    let added = place.run_with_input(&["user", "add", "root", "--admin"], &format!("{ROOT}\n"));
    assert!(added.status.success(), "{added:?}");
    let listed = place.run(&["user", "list", "--json"]);
    let users: Value = serde_json::from_str(&listed.stdout).unwrap();
    let root = users[0]["id"].as_str().unwrap().to_owned();
    let program = place.serve();
    (place, program, root)
}

pub(crate) fn root<'a>(program: &'a Program) -> Browser<'a> {
    let mut root = Browser::new(program);
    assert_eq!(root.log_in_as("root", ROOT).status, 200);
    root
}

fn page(answer: &Answer, status: u16) -> &str {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.text.contains(" style="), "{}", answer.text);
    assert!(!answer.text.contains("<script>"), "{}", answer.text);
    &answer.text
}

fn act(browser: &mut Browser<'_>, path: &str, body: Option<&Value>) -> Answer {
    browser.send_safely(Method::POST, path, body)
}

/// The events as they come, of a browser's session.
struct Stream(std::io::Lines<BufReader<Box<dyn std::io::Read>>>);

impl Stream {
    fn open(browser: &Browser<'_>, program: &Program, query: &str) -> Self {
        let url = format!(
            "http://localhost:{}/admin/events/stream{query}",
            program.port
        );
        let cookie = format!("sid={}", browser.cookies["sid"]);
        let answer = ureq::get(url).header("cookie", cookie).call().unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let body: Box<dyn std::io::Read> = Box::new(answer.into_body().into_reader());
        Self(BufReader::new(body).lines())
    }

    /// The next event; `None` when the stream has ended.
    fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.0.next()?.ok()?;
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

/// What a stream answers before its first event.
pub(crate) fn stream_head(browser: &Browser<'_>, program: &Program) -> Answer {
    let url = format!("http://localhost:{}/admin/events/stream", program.port);
    let cookie = format!("sid={}", browser.cookies["sid"]);
    let answer = ureq::get(url).header("cookie", cookie).call().unwrap();
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: String::new(),
    }
}

// Proves: S60
#[test]
fn nobody_but_an_administrator_sees_anything_or_does_anything() {
    let (_place, program, id) = with_root(&[]);
    let mut alice = Browser::new(&program);
    alice.log_in();
    let mut stranger = Browser::new(&program);
    let user = format!("/admin/users/{id}");
    for path in [
        "/admin",
        "/admin/users",
        &user,
        "/admin/events",
        "/admin/events/stream",
    ] {
        assert_eq!(stranger.get(path).status, 401, "{path}");
        let refused = alice.get(path);
        assert_eq!(refused.seen(), (403, r#"{"error":"Forbidden"}"#), "{path}");
        assert!(
            page(&alice.visit(path), 403).contains("not allowed"),
            "{path}"
        );
        let sent = stranger.visit(path);
        assert!(
            sent.location().starts_with("/login?next=%2Fadmin"),
            "{path}"
        );
    }
    assert_eq!(alice.visit("/admin/figures").status, 403);
    assert_eq!(stranger.visit("/admin/figures").status, 303);
    let handle = json!({ "handle": "x" });
    for action in ["disable", "enable", "end-sessions", "end-session"] {
        let path = format!("{user}/{action}");
        let refused = act(&mut alice, &path, Some(&handle));
        assert_eq!(refused.status, 403, "{path}");
        // Without the token of the session.
        let mut root = root(&program);
        assert_eq!(root.post(&path, &handle).status, 403, "{path}");
    }
    assert!(!alice.visit("/profile").text.contains("/admin"));
    let mut root = root(&program);
    assert!(root.visit("/profile").text.contains(r#"href="/admin""#));
    assert_eq!(root.get("/profile").status, 200, "still signed in");
}

// Proves: S39
#[test]
fn an_action_needs_a_recent_proof_and_leads_back_to_where_it_was() {
    let (_place, program, _) = with_root(&[]);
    let mut root = root(&program);
    // Its session looks as if it had moved.
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0";
    root.headers
        .insert("user-agent".to_owned(), agent.to_owned());
    let user = "/admin/users/user-1001";
    let token = root.visit(user).csrf_field().unwrap();
    let disable = format!("{user}/disable");
    let sent = root.submit(&disable, &[("csrf_token", &token)]);
    assert_eq!(sent.location(), "/reauth?next=%2Fadmin%2Fusers%2Fuser-1001");
    assert_eq!(act(&mut root, &disable, None).status, 401);
    let mut alice = Browser::new(&program);
    assert_eq!(alice.log_in().status, 200, "nothing was done");

    let token = root.visit(sent.location()).csrf_field().unwrap();
    let fields = [
        ("csrf_token", token.as_str()),
        ("password", ROOT),
        ("next", user),
    ];
    let back = root.submit("/reauth", &fields);
    assert_eq!(back.location(), user);
    let token = root.visit(user).csrf_field().unwrap();
    let done = root.submit(&disable, &[("csrf_token", &token)]);
    assert_eq!(done.location(), "/admin/users/user-1001?said=user-disabled");
    let shown = root.visit(done.location());
    assert!(page(&shown, 200).contains("The user is disabled, and all their sessions have ended."));
    assert!(shown.text.contains("Enable"));
    assert_eq!(alice.get("/profile").status, 401);
}

// Proves: S34, S36
#[test]
fn a_user_is_found_disabled_and_enabled_and_each_is_an_event_with_both_ids() {
    let (_place, program, id) = with_root(&[]);
    let mut root = root(&program);
    let mut alice = Browser::new(&program);
    alice.log_in();
    let found = root.get("/admin/users?begins=AL").json();
    assert_eq!(found["users"].as_array().unwrap().len(), 1);
    assert_eq!(found["users"][0]["id"], "user-1001");
    assert_eq!(found["users"][0]["disabled"], false);
    assert!(!found.to_string().contains("argon"), "{found}");
    let listed = root.visit("/admin/users?begins=al");
    assert!(page(&listed, 200).contains(r#"href="/admin/users/user-1001""#));
    let odd = root.visit("/admin/users?begins=%3Cb%3E%00%27&after=%ff");
    assert!(
        page(&odd, 200).contains("No user&#39;s name begins so")
            || odd.text.contains("No user's name")
    );

    let user = "/admin/users/user-1001";
    let disabled = act(&mut root, &format!("{user}/disable"), None);
    assert_eq!(disabled.seen(), (200, r#"{"ended":1,"ok":true}"#));
    let event = program.wait_for_event("admin_action");
    assert_eq!(event["reason"], "user_disabled");
    assert_eq!(event["userId"], id.as_str());
    assert_eq!(event["target"], "user-1001");
    assert_eq!(event["owasp"], "authz_admin");
    assert_eq!(alice.get("/profile").status, 401);
    assert_eq!(alice.log_in().status, 401);
    assert_eq!(root.get(user).json()["user"]["disabled"], true);
    assert_eq!(act(&mut root, &format!("{user}/enable"), None).status, 200);
    assert_eq!(
        program.wait_for_event("admin_action")["reason"],
        "user_enabled"
    );
    assert_eq!(alice.log_in().status, 200);

    let own = format!("/admin/users/{id}/disable");
    let refused = act(&mut root, &own, None);
    assert_eq!(
        refused.seen(),
        (409, r#"{"error":"You cannot disable yourself"}"#)
    );
    for nobody in ["user-1", "%00", "%ff", "a%2Fb", &"x".repeat(3000)] {
        let path = format!("/admin/users/{nobody}");
        assert_eq!(root.get(&path).status, 404, "{nobody}");
        assert_eq!(
            act(&mut root, &format!("{path}/enable"), None).status,
            404,
            "{nobody}"
        );
    }
}

// Proves: S34, J4
#[test]
fn a_users_sessions_are_ended_one_by_one_and_all_together() {
    let (_place, program, _) = with_root(&[]);
    let mut root = root(&program);
    let mut browsers = [(); 3].map(|()| Browser::new(&program));
    for browser in &mut browsers {
        browser.log_in();
    }
    let user = "/admin/users/user-1001";
    let sessions = root.get(user).json()["sessions"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 3);
    let own = browsers[0].get("/sessions").json()["sessions"].clone();
    let own = own
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["current"] == true);
    let named = json!({ "handle": own.unwrap()["handle"] });
    let end = format!("{user}/end-session");
    assert_eq!(act(&mut root, &end, Some(&named)).status, 200);
    let event = program.wait_for_event("admin_action");
    assert_eq!(
        (&event["reason"], &event["target"]),
        (&json!("session_ended"), &json!("user-1001"))
    );
    assert_eq!(act(&mut root, &end, Some(&named)).status, 404);
    assert_eq!(browsers[0].get("/profile").status, 401);
    assert_eq!(browsers[1].get("/profile").status, 200);
    let ended = act(&mut root, &format!("{user}/end-sessions"), None);
    assert_eq!(ended.json()["ended"], 2);
    assert_eq!(
        program.wait_for_event("admin_action")["reason"],
        "sessions_ended"
    );
    for browser in &mut browsers {
        assert_eq!(browser.get("/profile").status, 401);
    }
    assert_eq!(root.get("/admin").status, 200, "nobody else's");
}

// Proves: S71
#[test]
fn the_overview_shows_what_has_happened_here_and_where_it_came_from() {
    let (_place, program, _) = with_root(&[]);
    let mut attacker = Browser::new(&program);
    attacker
        .headers
        .insert("x-forwarded-for".to_owned(), "198.51.100.7".to_owned());
    for _ in 0..3 {
        attacker
            .cookies
            .insert("sid".to_owned(), "nonsense".to_owned());
        attacker.get("/profile");
    }
    attacker.cookies.clear();
    attacker.log_in_as("alice", "wrong-horse");
    attacker.post("/reauth", &json!({}));
    let mut root = root(&program);
    assert_eq!(root.get("/profile").status, 200);
    let figures = root.get("/admin").json();
    let hour = &figures["lastHour"];
    assert_eq!(figures["activeSessions"], 1);
    assert_eq!(hour["signIns"], 1);
    assert_eq!(hour["failedSignIns"], 1);
    assert_eq!(hour["csrfFailures"], 1);
    assert_eq!(hour["rejectedCookies"], json!({ "malformed": 3 }));
    assert_eq!(
        hour["rejectedByNetwork"],
        json!([{ "network": "198.51.100.7", "count": 3 }])
    );
    assert!(hour["storeCalls"].as_u64() > Some(0), "{hour}");
    let shown = root.visit("/admin");
    let shown = page(&shown, 200);
    assert!(shown.contains("<svg"), "{shown}");
    assert!(
        shown.contains("1 in the last hour, at most 1 in a minute"),
        "{shown}"
    );
    assert!(shown.contains("198.51.100.7"), "{shown}");
    assert!(shown.contains("/assets/console.js?v="), "{shown}");
    let part = root.visit("/admin/figures");
    assert!(page(&part, 200).starts_with("<p class=\"figure\">"));
    assert_eq!(root.get("/admin/figures").status, 405);
    let script = root.get("/assets/console.js");
    assert_eq!(
        script.headers["content-type"],
        "text/javascript; charset=utf-8"
    );
}

// Proves: S71
#[test]
fn events_are_shown_filtered_and_a_filter_that_makes_no_sense_is_said_beside_it() {
    let (_place, program, id) = with_root(&[]);
    let mut guesser = Browser::new(&program);
    guesser
        .headers
        .insert("x-forwarded-for".to_owned(), "2001:db8::7".to_owned());
    guesser.log_in_as("alice", "wrong-horse");
    let mut root = root(&program);
    let kinds = |answer: Answer| -> Vec<String> {
        let events = answer.json()["events"].clone();
        let events = events.as_array().unwrap().iter();
        events
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = kinds(root.get("/admin/events"));
    assert_eq!(all.last().unwrap(), "startup");
    assert!(all.contains(&"login_success".to_owned()), "{all:?}");
    for (query, expected) in [
        ("kind=login_failure", vec!["login_failure"]),
        ("network=2001:db8::/32", vec!["login_failure"]),
        ("user=user-1001", vec!["login_failure"]),
        ("kind=login_success&user=user-1001", vec![]),
        ("kind=startup&network=2001:db8::/32", vec![]),
    ] {
        assert_eq!(
            kinds(root.get(&format!("/admin/events?{query}"))),
            expected,
            "{query}"
        );
    }
    let own = kinds(root.get(&format!("/admin/events?user={id}&kind=login_success")));
    assert_eq!(own, ["login_success"]);
    let shown = root.visit("/admin/events?network=2001:db8::/32");
    let shown = page(&shown, 200);
    assert!(shown.contains("<td>login_failure</td>"), "{shown}");
    assert!(
        shown.contains("data-stream=\"/admin/events/stream?kind=&#38;"),
        "{shown}"
    );
    let unclear = root.visit("/admin/events?network=%3Cb%3E&kind=x");
    let unclear = page(&unclear, 400);
    assert!(unclear.contains("Write an address such as"), "{unclear}");
    assert!(unclear.contains("There is no such event."), "{unclear}");
    assert!(
        unclear.contains("value=\"&#60;b&#62;\""),
        "kept, and no markup: {unclear}"
    );
    assert!(!unclear.contains("data-stream"), "{unclear}");
    assert_eq!(root.get("/admin/events?network=x").status, 400);
    assert_eq!(root.get("/admin/events/stream?network=x").status, 400);
}

// Proves: S71
#[test]
fn events_come_as_they_happen_and_end_with_the_session_and_with_the_server() {
    let (place, program, _) = with_root(&[]);
    let (mut first, second, third) = (root(&program), root(&program), root(&program));
    let known = first.get("/admin/events").json()["events"][0]["id"].clone();
    let mut logins = Stream::open(&first, &program, "?kind=login_failure");
    let mut since = Stream::open(
        &second,
        &program,
        &format!("?kind=login_failure&after={known}"),
    );
    let mut guesser = Browser::new(&program);
    guesser.log_in_as("alice", "wrong-horse");
    for stream in [&mut logins, &mut since] {
        let event = stream.next().unwrap();
        assert_eq!(event["event"], "login_failure");
        assert_eq!(event["userId"], "user-1001");
        assert_eq!(event["reason"], "wrong_password");
    }
    first.post("/logout", &json!({}));
    assert_eq!(logins.next(), None, "signed out here");
    let ended = place.run(&["sessions", "end", "--user", "root", "--all"]);
    assert!(ended.status.success());
    assert_eq!(since.next(), None, "ended by another process");
    drop((second, third));

    let last = root(&program);
    let mut all = Stream::open(&last, &program, "");
    program.tell_to_stop();
    while all.next().is_some() {}
    let (status, printed) = program.wait();
    assert!(status.success());
    assert!(!printed.contains("requests_cut_off"), "{printed}");
}

// Proves: J5, S28
#[test]
fn an_open_page_keeps_nobody_signed_in() {
    let (_place, program, _) = with_root(&[
        ("JACKLINE_IDLE_TIMEOUT", "4s"),
        ("JACKLINE_RENEWAL_STEP", "1s"),
        ("JACKLINE_STEP_UP_AGE", "2s"),
        // So that it comes to an end also if it is kept.
        ("JACKLINE_ADMIN_ABSOLUTE_TIMEOUT", "20s"),
    ]);
    let mut root = root(&program);
    let mut events = Stream::open(&root, &program, "?kind=csrf_failure");
    let mut attacker = Browser::new(&program);
    // Events all the time, and the page's own requests, until the session has run out.
    let mut seen = 0;
    loop {
        attacker.post("/reauth", &json!({}));
        if events.next().is_none() {
            break;
        }
        seen += 1;
        root.visit("/admin/figures");
    }
    assert!(seen > 0);
    assert_eq!(root.get("/admin").status, 401);
    assert_eq!(program.has_said("absolute_timeout"), 0);
    assert_eq!(program.has_said("session_use_after_expire"), 0, "no alarm");
}
