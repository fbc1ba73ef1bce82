//! The administrators' console: who gets in, what they see as it happens, and what they do.

use testkit::chromium::Chromium;
use testkit::program::{Place, Program};
use testkit::{block_on, eventually};

use crate::person::Person;

const PASSWORD: &str = "a-tree-has-many-roots-and-one-trunk";

/// A server with an administrator, `root`, beside alice.
pub(crate) fn with_root(settings: &[(&str, &str)]) -> Program {
    let place = Place::new(settings);
    let added = place.run_with_input(
        &["user", "add", "root", "--admin"],
        &format!("{PASSWORD}\n"),
    );
    assert!(added.status.success(), "{added:?}");
    place.serve()
}

/// The administrator, in the console.
pub(crate) fn root<'a>(browser: Chromium, program: &'a Program) -> Person<'a> {
    let root = Person::with(browser, program);
    root.go("/admin");
    root.sign_in_as("root", PASSWORD);
    assert_eq!(root.at(), "/admin");
    root
}

#[test]
fn the_console_is_for_administrators() {
    let program = with_root(&[]);
    let alice = Person::signed_in(&program);
    assert!(!alice.page_text().contains("Console"));
    for path in [
        "/admin",
        "/admin/users",
        "/admin/users/user-1001",
        "/admin/events",
    ] {
        alice.go(path);
        assert_eq!(alice.status(), 403, "{path}");
        assert_eq!(alice.text("h1"), "That is not allowed");
        assert!(alice.page_text().contains("not for your account"));
    }
    let root = root(Chromium::start(), &program);
    root.go("/profile");
    root.follow_text("Console");
    assert_eq!(root.text("h1"), "Overview");
}

// Proves: S36
#[test]
fn an_administrator_finds_a_user_and_ends_their_sessions() {
    let program = with_root(&[]);
    let root = root(Chromium::start(), &program);
    let [one, two] = [Person::signed_in(&program), Person::signed_in(&program)];
    root.follow_text("Users");
    root.fill("#begins", "al");
    root.follow_text("Search");
    assert_eq!(root.count("tbody tr"), 1);
    root.follow_text("alice");
    assert_eq!(root.at(), "/admin/users/user-1001");

    // One session, of the two that are there: the newest is first.
    let end = "form[action$='/end-session'] button";
    assert_eq!(root.count(end), 2);
    root.follow(end);
    assert_eq!(root.text("[role=status]"), "That session has ended.");
    two.go("/profile");
    two.assert_nobody();
    one.go("/profile");
    assert_eq!(one.at(), "/profile");

    root.follow_text("Disable, and end all sessions");
    assert!(root.text("h1").contains("disabled"));
    assert_eq!(root.count(end), 0);
    one.go("/profile");
    one.assert_nobody();
    // Told apart from nothing.
    one.sign_in();
    assert_eq!(
        one.text("#wrong"),
        "The user name or the password is wrong."
    );

    root.follow_text("Enable");
    one.sign_in();
    assert_eq!(one.at(), "/profile");
    root.reload();
    root.follow_text("End all sessions");
    one.reload();
    one.assert_nobody();
}

// Proves: A3, S39
#[test]
fn what_an_administrator_does_asks_for_proof_and_leads_back() {
    let program = with_root(&[("JACKLINE_STEP_UP_AGE", "3s")]);
    let root = root(Chromium::start(), &program);
    let alice = Person::signed_in(&program);
    block_on(eventually("the proof is old", async || {
        root.go("/password");
        root.at() != "/password"
    }));
    root.go("/admin/users/user-1001");
    root.follow_text("Disable, and end all sessions");
    assert_eq!(root.at(), "/reauth?next=%2Fadmin%2Fusers%2Fuser-1001");
    alice.go("/profile");
    assert_eq!(alice.at(), "/profile", "nothing was done");
    root.fill("#password", PASSWORD);
    root.follow_text("Confirm");
    assert_eq!(root.at(), "/admin/users/user-1001");
    root.follow_text("Disable, and end all sessions");
    alice.go("/profile");
    alice.assert_nobody();
}

#[test]
fn events_appear_as_they_happen_and_stop_with_the_session() {
    let program = with_root(&[]);
    let root = root(Chromium::start(), &program);
    root.go("/admin/events?kind=login_failure");
    assert_eq!(root.count("#events tr"), 0);
    let live = |words: &str| {
        block_on(eventually(words, async || {
            root.text("#live").contains(words)
        }));
    };
    live("as they happen");
    let stranger = Person::new(&program);
    stranger.go("/login");
    stranger.sign_in_as("alice", "wrong-password");
    root.wait_for("#events tr");
    assert!(root.text("#events tr").contains("wrong_password"));
    // Not what was not asked for.
    stranger.sign_in();
    stranger.follow_text("Sign out");
    stranger.sign_in_as("alice", "wrong-password");
    root.wait_for("#events tr:nth-child(2)");
    assert!(!root.text("#events").contains("login_success"));

    // A page that was loaded shows the same.
    let shown = root.text("#events tr td:nth-child(3)");
    root.reload();
    assert_eq!(root.count("#events tr"), 2);
    assert_eq!(root.text("#events tr td:nth-child(3)"), shown);

    // Whoever is signed out elsewhere sees no more, and is told so.
    live("as they happen");
    let other = crate::console::root(Chromium::start(), &program);
    other.go("/sessions");
    other.follow_text("End all other sessions");
    live("No new events");
}

#[test]
fn the_console_works_without_scripts() {
    let program = with_root(&[]);
    let root = root(Chromium::start_without_scripts(), &program);
    let stranger = Person::new(&program);
    stranger.go("/login");
    stranger.sign_in_as("alice", "wrong-password");
    root.reload();
    assert!(root.has("svg.chart rect"), "{}", root.page_text());
    root.follow_text("Events");
    assert_eq!(root.text("#live"), "Load the page again for newer ones.");
    assert!(root.text("#events").contains("wrong_password"));
    root.fill("#network", "nonsense");
    root.follow_text("Show");
    assert_eq!(root.status(), 400);
    assert!(root.has("#network[aria-invalid=true]"));
    assert_eq!(root.property("#network", "value"), "nonsense");
    root.follow_text("Users");
    root.fill("#begins", "nobody-is-called-so");
    root.follow_text("Search");
    assert!(root.page_text().contains("No user's name begins so."));
}
