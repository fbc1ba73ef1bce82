//! What people are told when something goes wrong, and that nothing is lost by it.

use serde_json::json;
use testkit::browser::Site as _;
use testkit::program::Place;
use testkit::redis::RedisServer;
use testkit::{block_on, eventually};

use crate::person::Person;
use crate::send;
use crate::stranger::Stranger;

// Proves: J7, S79
#[test]
fn a_store_that_is_away_is_said_to_be_and_nobody_is_signed_out() {
    let redis = block_on(RedisServer::start());
    let program = Place::new(&[("REDIS_URL", &redis.url())]).serve();
    let person = Person::signed_in(&program);
    person.go("/sessions");
    redis.freeze();
    person.follow_text("Account");
    assert_eq!((person.status(), person.at().as_str()), (503, "/profile"));
    assert_eq!(person.text("h1"), "We cannot answer right now");
    assert!(!person.page_text().contains("alice"));
    redis.thaw();
    block_on(eventually("the store is back", async || {
        person.reload();
        person.status() == 200
    }));
    assert_eq!(person.text("h1"), "Account");
}

// Proves: S47, S50
#[test]
fn a_form_with_a_token_that_is_not_the_sessions_does_nothing_and_says_what_to_do() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    let other = Person::signed_in(&program);
    person.go("/sessions");
    // The page is old: this browser proved who it is meanwhile, in another tab.
    let password = json!({ "password": "correct-horse" });
    assert_eq!(send(&person, "POST", "/reauth", &password).0, 200);
    person.follow_text("End all other sessions");
    assert_eq!(person.status(), 403);
    assert_eq!(person.text("h1"), "That is not allowed");
    person.go("/sessions");
    assert_eq!(person.count(".rows li"), 2);
    // As advised.
    person.follow_text("End all other sessions");
    assert_eq!(person.count(".rows li"), 1);
    other.go("/profile");
    other.assert_nobody();
}

// Proves: S81
#[test]
fn who_guesses_is_told_to_wait() {
    let program = Place::new(&[("JACKLINE_LOGIN_ATTEMPTS", "3")]).serve();
    let person = Person::new(&program);
    person.go("/login?next=/sessions");
    // The first wait is a second, which a slow page may outlast; each next one is twice as long.
    let mut guesses = 0;
    while guesses < 10 {
        person.sign_in_as("alice", "wrong-password");
        if person.status() == 429 {
            break;
        }
        assert_eq!(person.status(), 401);
        guesses += 1;
    }
    assert!((3..10).contains(&guesses), "{guesses}");
    assert!(person.text("#wrong").starts_with("Too many attempts"));
    assert_eq!(person.property("#username", "value"), "alice");
    assert_eq!(person.property("[name=next]", "value"), "/sessions");
}

// Proves: S59
#[test]
fn json_that_a_script_fetched_is_not_shown_in_the_place_of_its_page() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    for path in ["/profile", "/sessions"] {
        person.go(path);
        let heading = person.text("h1");
        assert_eq!(send(&person, "GET", path, &json!(null)).0, 200);
        person.reload();
        assert_eq!(person.text("h1"), heading);
        person.go("/password");
        person.leading_on(|person| person.back());
        assert_eq!((person.at().as_str(), person.text("h1")), (path, heading));
    }
}

#[test]
fn a_link_on_another_site_leads_in_and_nobody_has_to_sign_in_again() {
    let program = Place::new(&[]).serve();
    let link = format!(
        "<!doctype html><a href='{}'>Your sessions</a>",
        program.url("/sessions")
    );
    let stranger = Stranger::serve("", &[("/", link)]);
    let person = Person::signed_in(&program);
    person.open(&stranger.cross_site("/"));
    person.follow("a");
    assert_eq!(person.at(), "/sessions");
    assert_eq!(person.status(), 200);
}
