//! Guessing passwords at the real server: slow for strangers, and no trouble for whoever owns the account.

use serde_json::json;
use testkit::browser::{Answer, Browser};
use testkit::program::{Place, Program};
use testkit::redis::RedisServer;

const REFUSED: (u16, &str) = (429, r#"{"error":"Too many attempts"}"#);
const WRONG: (u16, &str) = (401, r#"{"error":"Invalid credentials"}"#);

fn strict(settings: &[(&str, &str)]) -> Place {
    let mut place = Place::new(settings);
    place.set("JACKLINE_LOGIN_ATTEMPTS", "3");
    // Tests are other networks when they say so.
    place.set("JACKLINE_TRUSTED_PROXIES", "127.0.0.1");
    place
}

/// Somebody at this address.
fn stranger<'a>(server: &'a Program, address: &str) -> Browser<'a> {
    let mut browser = Browser::new(server);
    browser
        .headers
        .insert("x-forwarded-for".to_owned(), address.to_owned());
    browser
}

fn retry_after(answer: &Answer) -> u32 {
    answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

// Proves: S81, S45
#[test]
fn strangers_wait_whether_the_account_exists_or_not_and_its_owner_does_not() {
    let server = strict(&[]).serve();
    let mut owner = stranger(&server, "192.0.2.1");
    assert_eq!(owner.log_in().status, 200);
    let event = server.wait_for_event("new_device");
    assert_eq!(event["userId"], "user-1001");
    assert!(owner.cookies.contains_key("device"), "{:?}", owner.cookies);
    for name in ["alice", "nobody"] {
        for guess in 0..3 {
            // Spellings are no way round.
            let spelled = if guess == 1 {
                name.to_uppercase()
            } else {
                format!(" {name} ")
            };
            let mut guesser = stranger(&server, &format!("198.51.100.{guess}"));
            assert_eq!(
                guesser.log_in_as(&spelled, "wrong-horse").seen(),
                WRONG,
                "{name}"
            );
        }
        let refused = stranger(&server, "198.51.100.9").log_in_as(name, "wrong-horse");
        assert_eq!(refused.seen(), REFUSED, "{name}");
        assert_eq!(retry_after(&refused), 1);
    }
    // Not even with the right password, or the refusal would be worth asking past.
    assert_eq!(stranger(&server, "198.51.100.9").log_in().seen(), REFUSED);
    let throttled = server.wait_for_event("account_throttled");
    assert_eq!(throttled["reason"], "account");
    assert_eq!(throttled["userId"], "user-1001");
    let event = server.wait_for_event("rate_limited");
    assert_eq!(event["reason"], "account");
    let throttled = server.wait_for_event("account_throttled");
    assert_eq!(throttled["userId"], json!(null), "it is nobody's");

    assert_eq!(owner.post("/logout", &json!({})).status, 200);
    assert_eq!(owner.log_in().status, 200);
    server.wait_for_event("login_success");
    // Told once, and of a device that is known not at all.
    let (_, told) = server.stop();
    assert_eq!(told.matches(r#""event":"account_throttled""#).count(), 2);
    assert_eq!(told.matches(r#""event":"new_device""#).count(), 1);
}

// Proves: S81
#[test]
fn a_device_that_is_known_has_guesses_of_its_own_and_no_more() {
    let server = strict(&[]).serve();
    let mut owner = stranger(&server, "192.0.2.1");
    owner.log_in();
    let mut thief = owner.at(&server);
    for _ in 0..3 {
        assert_eq!(thief.log_in_as("alice", "wrong-horse").seen(), WRONG);
    }
    assert_eq!(thief.log_in_as("alice", "wrong-horse").seen(), REFUSED);
    // For another account it is a stranger like any other.
    assert_eq!(thief.log_in_as("bob", "wrong-horse").seen(), WRONG);
    // A forged one is none.
    let mut forger = stranger(&server, "198.51.100.1");
    let device = owner.cookies["device"].replacen(|_| true, "x", 1);
    forger.cookies.insert("device".to_owned(), device);
    assert_eq!(
        forger.log_in().status,
        200,
        "the account itself was not guessed at"
    );
}

// Proves: S81
#[test]
fn a_network_that_guesses_waits_and_others_do_not() {
    let server = strict(&[]).serve();
    for guess in 0..12 {
        let mut guesser = stranger(&server, "2001:db8::1");
        let answer = guesser.log_in_as(&format!("user{guess}"), "wrong-horse");
        assert_eq!(answer.seen(), WRONG);
    }
    let same = stranger(&server, "2001:db8::ffff").log_in_as("another", "wrong-horse");
    assert_eq!(same.seen(), REFUSED);
    assert_eq!(server.wait_for_event("rate_limited")["reason"], "network");
    assert_eq!(stranger(&server, "2001:db8:0:1::1").log_in().status, 200);
}

// Proves: S81
#[test]
fn whoever_has_a_session_may_not_guess_its_password_either() {
    let server = strict(&[]).serve();
    let mut thief = stranger(&server, "192.0.2.1");
    thief.log_in();
    let reauth = |browser: &mut Browser<'_>| {
        let wrong = json!({ "password": "wrong-horse" });
        let answer = browser.send_safely(ureq::http::Method::POST, "/reauth", Some(&wrong));
        (
            answer.status,
            answer.json()["error"].as_str().unwrap().to_owned(),
        )
    };
    for _ in 0..3 {
        assert_eq!(reauth(&mut thief).0, 401);
    }
    assert_eq!(reauth(&mut thief), (429, "Too many attempts".to_owned()));
    assert_eq!(
        stranger(&server, "192.0.2.2").log_in().status,
        200,
        "nobody is locked out by that"
    );
}

// Proves: S81
#[test]
fn instances_count_together_and_names_stay_out_of_the_store() {
    let redis = testkit::block_on(RedisServer::start());
    let place = strict(&[("REDIS_URL", &redis.url())]);
    let servers = [place.serve(), place.serve()];
    for guess in 0..3 {
        let mut guesser = stranger(&servers[guess % 2], &format!("198.51.100.{guess}"));
        assert_eq!(guesser.log_in_as("somebody", "wrong-horse").seen(), WRONG);
    }
    for server in &servers {
        let refused = stranger(server, "198.51.100.9").log_in_as("somebody", "wrong-horse");
        assert_eq!(refused.seen(), REFUSED);
    }
    let names: Vec<String> = testkit::block_on(redis.ask(&["KEYS", "sess-attempts:*"]));
    assert_eq!(
        names.len(),
        1 + 4,
        "an account and four networks: {names:?}"
    );
    for name in names {
        let ttl: i64 = testkit::block_on(redis.ask(&["PTTL", &name]));
        assert!(ttl > 0, "{name} runs out");
        let record: String = testkit::block_on(redis.ask(&["GET", &name]));
        let told = ["somebody", "198.51"]
            .iter()
            .any(|text| record.contains(text) || name.contains(text));
        assert!(!told, "{name} {record}");
    }
}
