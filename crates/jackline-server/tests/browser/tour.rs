//! Every page, looked at: by axe-core in both colour schemes, on a phone, and in pictures. `JACKLINE_SCREENSHOTS` names the folder for
//! these; without it none are taken.

use std::path::Path;

use testkit::chromium::{Colours, Screen};
use testkit::program::Place;

use crate::person::Person;

/// Looks at the page that somebody is at: a light one on a desktop, and a dark one on a phone. `name` is that of its pictures.
fn look(person: &Person<'_>, name: &str) {
    for (kind, screen, colours) in [
        ("phone", Screen::Phone, Colours::Dark),
        ("desktop", Screen::Desktop, Colours::Light),
    ] {
        person.screen(screen);
        person.colours(colours);
        assert!(
            !person.is_too_wide(),
            "{name}, {kind}: one has to scroll sideways"
        );
        let barriers = person.barriers(env!("CARGO_TARGET_TMPDIR"));
        assert!(barriers.is_empty(), "{name}, {kind}: {barriers:#?}");
        person.assert_quiet();
        if let Some(folder) = std::env::var_os("JACKLINE_SCREENSHOTS") {
            let file = Path::new(&folder).join(format!("{name}-{kind}.png"));
            std::fs::write(file, person.screenshot()).unwrap();
        }
    }
}

#[test]
fn pages_for_whoever_comes_along() {
    let program = Place::new(&[]).serve();
    let person = Person::new(&program);
    person.go("/login");
    look(&person, "login");
    person.sign_in_as("alice", "wrong-password");
    look(&person, "login-wrong");
    person.go("/login?said=expired&next=/password");
    look(&person, "login-expired");
    person.go("/no-such-page");
    look(&person, "not-found");
}

#[test]
fn pages_of_an_account() {
    let program = Place::new(&[]).serve();
    let others = [Person::signed_in(&program), Person::signed_in(&program)];
    let person = Person::signed_in(&program);
    look(&person, "profile");
    person.go("/sessions");
    look(&person, "sessions");
    drop(others);
    person.go("/password");
    look(&person, "password");
    person.fill("#new", "short");
    person.fill("#again", "short");
    person.follow_text("Change it");
    look(&person, "password-wrong");
    person.go("/reauth?next=/password");
    look(&person, "reauth");
}
