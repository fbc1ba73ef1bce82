//! The last step of a migration: Express is gone, its sessions are re-keyed, and nobody notices.

use serde_json::{Value, json};
use testkit::block_on;
use testkit::browser::{Browser, PASSWORD};
use testkit::program::{Place, SECRET};
use testkit::redis::RedisServer;
use ureq::http::Method;

use crate::worlds::{COOKIE, OTHER_SECRET, jackline, on_own_worlds};

/// The name of the cookie that new sessions get.
const OURS: &str = "sid";

const NOBODY: u16 = 401;
const ALICE: (u16, &str) = (200, r#"{"userId":"user-1001","username":"alice"}"#);

/// Where Jackline runs on what was shared.
fn afterwards(redis: &RedisServer, secrets: &[&str]) -> Place {
    let mut place = jackline(redis, secrets);
    place.unset("JACKLINE_KEYSPACE");
    place.set("JACKLINE_EXPRESS_COOKIE", COOKIE);
    place
}

fn rekey(place: &Place) -> String {
    let ended = place.run(&["sessions", "rekey"]);
    assert!(ended.status.success(), "{ended:?}");
    ended.stdout
}

fn names(redis: &RedisServer) -> Vec<String> {
    block_on(redis.ask(&["KEYS", "sess:*"]))
}

fn has_ours_alone(browser: &Browser<'_>) -> bool {
    browser.cookies.contains_key(OURS) && !browser.cookies.contains_key(COOKIE)
}

fn is_shared(name: &str) -> bool {
    !name.starts_with("sess:{")
}

// Proves: J1, J2, J4, J6, P1
#[test]
fn sessions_move_to_the_native_layout_and_nobody_is_logged_out() {
    on_own_worlds(|worlds| {
        let mut jars = Vec::new();
        let (express, ours) = (&*worlds.express, &*worlds.jackline);
        for side in [express, ours] {
            let mut user = Browser::new(side);
            user.log_in();
            let patch = json!({ "list": [1, 2.5, [], {}], "side": jars.len() });
            user.send_safely(Method::PATCH, "/session/data", Some(&patch));
            jars.push(user.cookies);
        }
        let mut visitor = Browser::new(express);
        assert_eq!(visitor.get("/views").json(), json!({ "views": 1 }));
        let visitor = visitor.cookies;
        let mut gone = Browser::new(express);
        gone.log_in();
        let ended = gone.cookies.clone();
        gone.post("/logout", &json!({}));
        let redis = worlds.leave();
        assert_eq!(names(&redis).len(), 3);

        let place = afterwards(&redis, &[SECRET]);
        assert_eq!(rekey(&place), "3 sessions moved; 0 had ended\n");

        // Two sessions, with a signpost each, and a visitor's. No id of Express is left to be read.
        let moved = names(&redis);
        assert_eq!(
            (moved.len(), moved.iter().any(|name| is_shared(name))),
            (5, false)
        );
        assert_eq!(rekey(&place), "0 sessions moved; 0 had ended\n");
        let server = place.serve();
        for (side, jar) in jars.iter().enumerate() {
            let mut user = Browser::new(&server);
            user.cookies.clone_from(jar);
            assert_eq!(user.get("/profile").seen(), ALICE);
            let data = user.get("/session/data").json();
            assert_eq!(data["list"].to_string(), "[1,2.5,[],{}]");
            assert_eq!(data["side"], side);
            let patch = json!({ "here": true });
            let patched = user.send_safely(Method::PATCH, "/session/data", Some(&patch));
            assert_eq!(patched.status, 200, "{patched:?}");
            assert_eq!(user.get("/session/data").json()["here"], true);
            let listed = user.get("/sessions").json();
            let current = |session: &&Value| session["current"] == true;
            let sessions = listed["sessions"].as_array().unwrap();
            assert_eq!(sessions.len(), 2, "{listed}");
            assert_eq!(sessions.iter().filter(current).count(), 1, "{listed}");
            assert!(user.cookies.contains_key(COOKIE) && !user.cookies.contains_key(OURS));
        }
        let mut guest = Browser::new(&server);
        guest.cookies = visitor;
        assert_eq!(guest.get("/views").json(), json!({ "views": 2 }));
        assert_eq!(guest.get("/profile").status, NOBODY);
        let mut dead = Browser::new(&server);
        dead.cookies = ended;
        assert_eq!(dead.get("/profile").status, NOBODY);
    });
}

// Proves: J1, J2, J4, S5, S33
#[test]
fn what_ends_a_session_ends_one_that_was_re_keyed_too_and_takes_its_cookie_away() {
    on_own_worlds(|worlds| {
        let [mut leaves, mut again, mut other, mut stays] = std::array::from_fn(|_| {
            let mut user = Browser::new(&*worlds.express);
            user.log_in();
            user.cookies
        });
        let redis = worlds.leave();
        let place = afterwards(&redis, &[SECRET]);
        rekey(&place);
        let server = place.serve();
        let browser = |jar: &mut _| {
            let mut browser = Browser::new(&server);
            std::mem::swap(&mut browser.cookies, jar);
            browser
        };
        let thief = |owner: &Browser<'_>| {
            let mut thief = Browser::new(&server);
            thief.cookies.clone_from(&owner.cookies);
            thief
        };

        let mut leaves = browser(&mut leaves);
        let mut thief_of_old = thief(&leaves);
        assert_eq!(leaves.post("/logout", &json!({})).status, 200);
        assert!(!leaves.cookies.contains_key(COOKIE), "{:?}", leaves.cookies);
        assert_eq!(thief_of_old.get("/profile").status, NOBODY);

        let mut again = browser(&mut again);
        let mut thief_of_old = thief(&again);
        assert_eq!(again.log_in().status, 200);
        assert!(has_ours_alone(&again));
        assert_eq!(again.get("/profile").seen(), ALICE);
        assert_eq!(thief_of_old.get("/profile").status, NOBODY);

        let mut other = browser(&mut other);
        let mut stays = browser(&mut stays);
        assert_eq!(other.get("/profile").seen(), ALICE);
        let password = json!({ "password": PASSWORD });
        let proven = stays.send_safely(Method::POST, "/reauth", Some(&password));
        assert_eq!(proven.status, 200, "{proven:?}");
        assert!(has_ours_alone(&stays));
        let ended = stays.send_safely(Method::POST, "/sessions/end-others", None);
        assert_eq!(ended.status, 200, "{ended:?}");
        assert_eq!(other.get("/profile").status, NOBODY);
        assert_eq!(again.get("/profile").status, NOBODY);
        assert_eq!(stays.get("/profile").seen(), ALICE);
    });
}

// Proves: S2, T9.1
#[test]
fn express_cookies_of_every_secret_are_believed_and_no_others() {
    on_own_worlds(|mut worlds| {
        let mut jars = Vec::new();
        for secrets in [&[OTHER_SECRET][..], &[SECRET, OTHER_SECRET]] {
            worlds.restart(secrets);
            let mut user = Browser::new(&*worlds.express);
            user.log_in();
            jars.push(user.cookies);
        }
        let redis = worlds.leave();
        let place = afterwards(&redis, &[SECRET, OTHER_SECRET]);
        rekey(&place);
        let server = place.serve();
        for jar in jars {
            let mut user = Browser::new(&server);
            user.cookies = jar;
            assert_eq!(user.get("/profile").seen(), ALICE);
            // Signed anew, if it was with the older one.
            let signed = user.cookies[COOKIE].clone();
            assert_eq!(user.get("/profile").set_cookies(), Vec::<&str>::new());
            let mut forger = Browser::new(&server);
            let forged = signed.replacen("s%3A", "s%3Ax", 1);
            forger.cookies.insert(COOKIE.to_owned(), forged);
            assert_eq!(forger.get("/profile").status, NOBODY);
        }
    });
}

// Proves: J11
#[test]
fn re_keying_says_what_it_needs_and_what_it_left() {
    let redis = block_on(RedisServer::start());
    let mut place = afterwards(&redis, &[SECRET]);
    let ask = |words: &[&str]| block_on(redis.ask::<String>(words));
    ask(&["SET", "sess:nonsense", "{"]);
    ask(&["SET", &format!("sess:{}", "x".repeat(200)), "{}"]);

    let said = rekey(&place);

    assert!(
        said.starts_with("0 sessions moved; 0 had ended\n2 records"),
        "{said}"
    );
    assert_eq!(names(&redis).len(), 2);
    place.unset("JACKLINE_EXPRESS_COOKIE");
    let refused = place.run(&["sessions", "rekey"]);
    assert!(
        refused.stderr.contains("JACKLINE_EXPRESS_COOKIE"),
        "{refused:?}"
    );
    assert!(!refused.status.success());
}
