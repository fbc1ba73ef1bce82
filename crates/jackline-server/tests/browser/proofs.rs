//! Proving again who one is, and what needs it: a new password.

use testkit::browser::PASSWORD;
use testkit::program::Place;
use testkit::{block_on, eventually};

use crate::person::Person;

const NEW: &str = "three lamps in the harbour";

// Proves: S35
#[test]
fn a_new_password_ends_the_other_sessions_and_the_old_password() {
    let program = Place::new(&[]).serve();
    let here = Person::signed_in(&program);
    let there = Person::signed_in(&program);
    let change_to = |new: &str, again: &str| {
        here.fill("#new", new);
        here.fill("#again", again);
        here.follow_text("Change it");
    };
    here.go("/password");
    for (new, again) in [
        (NEW, "something else"),
        ("short", "short"),
        ("alice", "alice"),
    ] {
        change_to(new, again);
        assert_eq!(
            (here.status(), here.at().as_str()),
            (400, "/password"),
            "{new}"
        );
        assert!(here.has("#new[aria-invalid=true]") && !here.text("#wrong").is_empty());
        assert_eq!(here.property("#new", "value"), "");
    }
    let before = here.cookie("sid").value;
    change_to(NEW, NEW);
    assert_eq!(here.at(), "/profile?said=password-changed");
    assert!(
        here.text("[role=status]")
            .starts_with("Your password is changed")
    );
    assert_ne!(here.cookie("sid").value, before);

    there.go("/profile");
    there.assert_nobody();
    there.sign_in_as("alice", PASSWORD);
    assert_eq!(there.status(), 401);
    there.sign_in_as("alice", NEW);
    assert_eq!(there.at(), "/profile");
}

// Proves: A3, S39, S40
#[test]
fn what_is_sensitive_asks_again_and_leads_back_but_never_to_another_site() {
    let program = Place::new(&[("JACKLINE_STEP_UP_AGE", "3s")]).serve();
    let person = Person::signed_in(&program);
    block_on(eventually("the proof is old", async || {
        person.go("/password");
        person.at() != "/password"
    }));
    assert_eq!(person.at(), "/reauth?next=%2Fpassword");
    let confirm = |password: &str| {
        person.fill("#password", password);
        person.follow_text("Confirm");
    };
    confirm("wrong-password");
    assert_eq!((person.status(), person.at().as_str()), (401, "/reauth"));
    assert_eq!(person.text("#wrong-password"), "The password is wrong.");
    let before = person.cookie("sid").value;
    confirm(PASSWORD);
    assert_eq!(person.at(), "/password");
    assert_ne!(person.cookie("sid").value, before);

    for next in [
        "//evil.example",
        "https:%2f%2fevil.example",
        "/%5cevil.example",
    ] {
        person.go(&format!("/reauth?next={next}"));
        confirm(PASSWORD);
        assert_eq!(person.at(), "/profile", "{next}");
    }
}
