//! `jackline check` against running servers, sound and not. What it finds on servers and proxies with faults that this server cannot
//! have is tested beside its code.

use testkit::free_port;

use crate::browser::PASSWORD;
use crate::program::{Ended, Place, SECRET};
use crate::stores::{on_own_postgres, on_redis};

const OTHER_SECRET: &str = "e7d1c0ffee00a9b8c7d6e5f4a3b2c1d0e7d1c0ffee11a9b8c7d6e5f4a3b2c1d0";

/// The numbers of what is wrong.
fn wrong(ended: &Ended) -> Vec<&str> {
    let lines = ended.stdout.lines();
    lines
        .filter(|line| line.contains("  WRONG  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// A place whose settings name the port, so that `check` finds the server by itself.
struct Here {
    place: Place,
    port: String,
}

impl Here {
    fn new(settings: &[(&str, &str)]) -> Self {
        Self::of(Place::new(settings))
    }

    fn of(mut place: Place) -> Self {
        let port = free_port().to_string();
        place.set("PORT", &port);
        Self { place, port }
    }

    fn check(&self) -> Ended {
        self.place.run(&["check"])
    }

    fn check_with_login(&self, password: &str) -> Ended {
        let arguments = ["check", "--username", "alice", "--password-stdin"];
        self.place.run_with_input(&arguments, password)
    }

    /// The report as it would be on any machine.
    fn report(&self, ended: &Ended) -> String {
        ended.stdout.replace(&self.port, "PORT")
    }
}

// Proves: P1, P3, P5, P6, P7, D1, D2, D3, D5, D6, D7, D8, D9, J6
#[test]
fn a_sound_server_gets_a_sound_report_and_keeps_no_session_of_it() {
    let here = Here::new(&[]);
    let _program = here.place.serve();
    let ended = here.check_with_login(PASSWORD);
    assert_eq!(
        ended.status.code(),
        Some(0),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    insta::assert_snapshot!(here.report(&ended));
    assert!(!ended.stdout.contains(PASSWORD));
    let left = here
        .place
        .run(&["sessions", "list", "--user", "alice", "--json"]);
    assert_eq!(left.stdout, "[]\n");
}

// Proves: P4, D4
#[test]
fn a_production_server_is_asked_as_its_proxy_would_ask_it() {
    let settings = [("JACKLINE_ENV", "production"), ("SESSION_SECRET", SECRET)];
    let mut here = Here::new(&settings);
    here.place.set("JACKLINE_TRUSTED_PROXIES", "127.0.0.1/32");
    let _program = here.place.serve();
    let ended = here.check();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("this machine is believed"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("__Host-sid"), "{}", ended.stdout);
}

// Proves: P4
#[test]
fn a_production_server_with_its_proxy_elsewhere_is_not_called_wrong() {
    let settings = [("JACKLINE_ENV", "production"), ("SESSION_SECRET", SECRET)];
    let mut here = Here::new(&settings);
    here.place.set("JACKLINE_TRUSTED_PROXIES", "10.1.2.3/32");
    let _program = here.place.serve();
    let ended = here.check();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    let told = "does not take this machine for its proxy";
    assert!(ended.stdout.contains(told), "{}", ended.stdout);
}

// Proves: J11, P2, P4, P5, P7, D3
#[test]
fn bad_settings_get_a_report_with_all_fixes() {
    let here = Here::new(&[
        ("JACKLINE_ENV", "production"),
        ("SESSION_SECRET", "keyboard cat"),
        ("JACKLINE_STORE", "memory"),
        ("JACKLINE_COOKIE_NAME", "__hOsT-sid"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "never"),
        ("JACKLINE_IDEL_TIMEOUT", "30m"),
    ]);
    let ended = here.check();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stderr, "jackline: 6 things are wrong\n");
    insta::assert_snapshot!(here.report(&ended));
}

// Proves: D6, T9.1
#[test]
fn a_secret_that_was_changed_without_keeping_the_old_one_is_found_before_the_restart() {
    let mut here = Here::new(&[("SESSION_SECRET", SECRET)]);
    let _program = here.place.serve();
    here.place.set("SESSION_SECRET", OTHER_SECRET);
    let ended = here.check();
    assert_eq!(
        (ended.status.code(), wrong(&ended)),
        (Some(1), vec!["D6"]),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "jackline: one thing is wrong\n");
    assert!(
        ended.stdout.contains("SESSION_SECRET_PREVIOUS"),
        "{}",
        ended.stdout
    );

    here.place.set("SESSION_SECRET_PREVIOUS", SECRET);
    let ended = here.check();
    assert_eq!(wrong(&ended), [""; 0], "{}", ended.stdout);
}

// Proves: D7, D9
#[test]
fn a_store_that_went_away_is_found_by_the_settings_and_by_the_server() {
    for mut on in [on_redis(), on_own_postgres()] {
        println!("on {}", on.name);
        let here = Here::of(std::mem::replace(&mut on.place, Place::new(&[])));
        let _program = here.place.serve();
        let ended = here.check();
        assert_eq!(wrong(&ended), [""; 0], "{}", ended.stdout);
        on.crash();
        let ended = here.check();
        assert_eq!(wrong(&ended), ["D7"], "{}", ended.stdout);
        assert_eq!(ended.stderr, "jackline: 2 things are wrong\n");
    }
}

// Proves: D7
#[test]
fn users_that_are_kept_elsewhere_are_looked_at_too() {
    let mut on = on_redis();
    on.place
        .set("DATABASE_URL", "postgres://nobody@127.0.0.1:1/app");
    let ended = Here::of(on.place).check();
    assert_eq!(wrong(&ended), ["D7"], "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("cannot keep users where DATABASE_URL says"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("psql"), "{}", ended.stdout);
}

// Proves: T3.1
#[test]
fn a_server_that_was_named_must_be_there_and_one_that_was_not_need_not() {
    let here = Here::new(&[]);
    let ended = here.check();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("start it, or give its address"),
        "{}",
        ended.stdout
    );
    let ended = here
        .place
        .run(&["check", &format!("http://localhost:{}", here.port)]);
    assert_eq!(wrong(&ended), ["T3.1"], "{}", ended.stdout);
}

// Proves: P1, J6
#[test]
fn a_refused_password_leaves_the_login_unchecked() {
    let here = Here::new(&[]);
    let _program = here.place.serve();
    let ended = here.check_with_login("not-her-password");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("refuses this user name or password"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("not-her-password"));
}
