//! What does not start, and what it says.

use crate::browser::Browser;
use crate::program::{Place, SECRET};
use crate::stores::on_redis;

// Proves: J11, P2, P3, P5, P7
#[test]
fn all_mistakes_are_reported_at_once_without_a_secret() {
    let place = Place::new(&[
        ("JACKLINE_ENV", "production"),
        ("SESSION_SECRET", "keyboard cat"),
        ("JACKLINE_STORE", "memory"),
        ("JACKLINE_COOKIE_SECURE", "false"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "none"),
        ("JACKLINE_IDEL_TIMEOUT", "30m"),
    ]);
    let ended = place.run(&["serve"]);
    assert_eq!(ended.status.code(), Some(78), "{}", ended.stderr);
    for name in [
        "SESSION_SECRET",
        "JACKLINE_STORE",
        "JACKLINE_COOKIE_SECURE",
        "JACKLINE_ABSOLUTE_TIMEOUT",
        "JACKLINE_IDEL_TIMEOUT",
        "JACKLINE_IDLE_TIMEOUT",
        "JACKLINE_TRUSTED_PROXIES",
    ] {
        assert!(ended.stderr.contains(name), "{name} in {}", ended.stderr);
    }
    assert!(ended.stdout.is_empty());
}

// Proves: D7
#[test]
fn a_store_that_is_away_at_start_is_named_with_the_fix() {
    let port = testkit::free_port();
    let url = format!("redis://:hidden-password@127.0.0.1:{port}");
    for production in [false, true] {
        let mut place = Place::new(&[("REDIS_URL", &url)]);
        if production {
            place.set("JACKLINE_ENV", "production");
            place.set("SESSION_SECRET", SECRET);
            place.set("JACKLINE_TRUSTED_PROXIES", "127.0.0.1");
        }
        let ended = place.run(&["serve"]);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("127.0.0.1:{port}")),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("REDIS_URL"), "{}", ended.stderr);
        assert!(
            !ended.stderr.contains("hidden-password"),
            "{}",
            ended.stderr
        );
    }
}

// Proves: A1, S11, S12, S67, T4.4, D3, D4, P4
#[test]
fn production_believes_the_proxy_and_nobody_else() {
    let on = on_redis();
    let mut place = on.place;
    for (name, value) in [
        ("JACKLINE_ENV", "production"),
        ("SESSION_SECRET", SECRET),
        ("JACKLINE_TRUSTED_PROXIES", "127.0.0.1"),
    ] {
        place.set(name, value);
    }
    let added = place.run_with_input(&["user", "add", "bob"], "quoins-kelp-and-buoys\n");
    assert!(added.status.success(), "{}", added.stderr);
    let program = place.serve();

    let mut plain = Browser::new(&program);
    assert_eq!(
        plain.log_in_as("bob", "quoins-kelp-and-buoys").seen(),
        (403, r#"{"error":"HTTPS required"}"#),
        "plain HTTP grants nothing"
    );
    let mut browser = Browser::new(&program);
    browser
        .headers
        .insert("x-forwarded-proto".to_owned(), "https".to_owned());
    browser
        .headers
        .insert("x-forwarded-for".to_owned(), "203.0.113.9".to_owned());
    let login = browser.log_in_as("bob", "quoins-kelp-and-buoys");
    assert_eq!(login.status, 200, "{login:?}");
    let cookies = login.set_cookies();
    for name in ["__Host-sid=s%3A", "__Host-device="] {
        let cookie = cookies.iter().find(|cookie| cookie.starts_with(name));
        assert!(cookie.unwrap().contains("; Secure"), "{cookies:?}");
    }
    assert_eq!(browser.get("/profile").status, 200);
    assert_eq!(program.wait_for_event("login_success")["ip"], "203.0.113.9");

    // The same cookie over plain HTTP is nobody's.
    browser.headers.clear();
    assert_eq!(browser.get("/profile").status, 401);
    assert_eq!(
        program.wait_for_event("session_rejected")["reason"],
        "plaintext_transport"
    );
}

// Proves: J11
#[test]
fn production_has_no_demo_user() {
    let mut place = Place::new(&[]);
    let program = place.serve();
    let mut browser = Browser::new(&program);
    assert_eq!(browser.log_in().status, 200);
    drop(program);

    for (name, value) in [
        ("JACKLINE_ENV", "production"),
        ("SESSION_SECRET", SECRET),
        ("JACKLINE_TRUSTED_PROXIES", "127.0.0.1"),
    ] {
        place.set(name, value);
    }
    let program = place.serve();
    let mut browser = Browser::new(&program);
    browser
        .headers
        .insert("x-forwarded-proto".to_owned(), "https".to_owned());
    assert_eq!(browser.log_in().status, 401);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = Place::new(&[("PORT", &port)]).run(&["serve"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(&port), "{}", ended.stderr);
}

// Proves: D7
#[test]
fn a_file_in_the_data_folder_that_is_no_database_is_named() {
    for name in ["users.db", "sessions.db"] {
        let place = Place::new(&[]);
        let data = place.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join(name), "this is not a database ".repeat(100)).unwrap();
        for command in [&["serve"][..], &["user", "list"]] {
            let ended = place.run(command);
            assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
            assert!(
                ended.stderr.contains(&format!("data/{name}")),
                "{}",
                ended.stderr
            );
            assert!(ended.stderr.contains("not a database"), "{}", ended.stderr);
        }
    }
}
