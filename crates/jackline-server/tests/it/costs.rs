//! What requests cost, in Redis's own accounting.

use crate::browser::Browser;
use crate::stores::{On, on_redis, on_sqlite};

/// Forgets what was counted, makes a request, and says how many commands the program sent meanwhile. Scripts are the only
/// commands that a request uses; what they call inside Redis is no round trip.
fn round_trips(on: &On, request: impl FnOnce()) -> u64 {
    on.redis_cli(&["config", "resetstat"]);
    request();
    let stats = on.redis_cli(&["info", "commandstats"]);
    let calls = |command: &str| -> u64 {
        stats
            .lines()
            .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")))
            .map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    // An `EVAL` would be the second try after an `EVALSHA` of an unknown script; there is none once each has run.
    calls("evalsha") + calls("eval")
}

// Proves: J9, T4.3
#[test]
fn a_read_costs_one_round_trip_renewal_included_and_a_write_one_more() {
    let on = {
        let mut on = on_redis();
        on.place.set("JACKLINE_RENEWAL_STEP", "1ms");
        on
    };
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    browser.log_in();
    browser.get("/profile");
    browser.get("/views");

    // A response that had to wait before it could leave asks once more whether its cookie is still the right one, and a busy
    // machine makes any wait.
    let renewed = (0..8).map(|_| {
        round_trips(&on, || {
            let answer = browser.get("/profile");
            assert_eq!(answer.status, 200);
            assert_eq!(answer.set_cookies().len(), 1, "the renewal was due");
        })
    });
    assert_eq!(renewed.min(), Some(1));
    let written =
        (0..8).map(|_| round_trips(&on, || assert_eq!(browser.get("/views").status, 200)));
    assert_eq!(written.min(), Some(2));
    assert_eq!(
        round_trips(&on, || assert_eq!(browser.get("/").status, 200)),
        0,
        "nobody touched the session"
    );
    let mut stranger = Browser::new(&program);
    assert_eq!(
        round_trips(&on, || assert_eq!(stranger.get("/profile").status, 401)),
        0
    );
    stranger
        .cookies
        .insert("sid".to_owned(), "s%3Aforged.signature".to_owned());
    assert_eq!(
        round_trips(&on, || assert_eq!(stranger.get("/profile").status, 401)),
        0
    );
}

// So that neither how long it takes nor what fails tells whether there is such a user.
#[test]
fn a_login_of_nobodys_asks_the_user_database_what_a_wrong_password_asks() {
    let on = on_sqlite();
    let program = on.place.serve();
    let asked = |username: &str| {
        let before = program.has_said("the user database is asked");
        let answer = Browser::new(&program).log_in_as(username, "wrong-password");
        assert_eq!(answer.status, 401);
        program.has_said("the user database is asked") - before
    };
    assert_eq!(asked("alice"), 2);
    assert_eq!(asked("nobody-of-this-name"), 2);
}

// Proves: T4.3, T8.1
#[test]
fn an_untouched_minute_writes_nothing_and_sends_no_cookie() {
    let on = on_redis();
    let program = on.place.serve();
    let mut browser = Browser::new(&program);
    browser.log_in();
    let keys = on.redis_cli(&["keys", "sess:*"]);
    let before = on.redis_cli(&["get", &keys]);
    assert!(browser.get("/profile").set_cookies().is_empty());
    assert_eq!(on.redis_cli(&["get", &keys]), before);
}
