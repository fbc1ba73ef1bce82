//! All of it with a keyboard, and with scripts switched off.

use testkit::browser::{PASSWORD, Site as _};
use testkit::chromium::{Chromium, keys};
use testkit::program::Place;

use crate::person::Person;

impl Person<'_> {
    /// Goes to a link or a button with the Tab key, and presses Enter there.
    fn enter(&self, selector: &str) {
        self.tab_to(selector);
        self.leading_on(|browser| browser.press(keys::ENTER));
    }
}

#[test]
fn everything_works_without_scripts_and_without_a_mouse() {
    const NEW: &str = "three lamps in the harbour";
    let program = Place::new(&[]).serve();
    program.remember_secret(NEW);
    let other = Person::signed_in(&program);
    let person = Person::with(Chromium::start_without_scripts(), &program);

    person.go("/");
    // Where one would begin to type, the focus is already.
    person.press("alice");
    person.tab_to("#password");
    person.press(PASSWORD);
    person.leading_on(|browser| browser.press(keys::ENTER));
    assert_eq!(person.at(), "/profile");

    // The first stop leads past what is on every page.
    person.press(keys::TAB);
    assert!(person.has("a.skip:focus"));
    person.press(keys::ENTER);
    assert_eq!(person.at(), "/profile#main");

    person.enter("nav a[href='/sessions']");
    person.enter(".sessions li:not(:has(.tag)) button");
    assert_eq!(person.text("[role=status]"), "That session has ended.");
    other.go("/");
    other.assert_nobody();
    other.sign_in();
    person.enter("nav a[href='/sessions']");
    person.enter("form[action='/sessions/end-others'] button");
    assert_eq!(
        person.text("[role=status]"),
        "All your other sessions have ended."
    );
    other.go("/");
    other.assert_nobody();

    person.enter("nav a[href='/password']");
    person.press(NEW);
    person.tab_to("#again");
    person.press(NEW);
    person.enter("main button[type=submit]");
    assert_eq!(person.at(), "/profile?said=password-changed");

    person.go("/reauth?next=/sessions");
    person.press(NEW);
    person.leading_on(|browser| browser.press(keys::ENTER));
    assert_eq!(person.at(), "/sessions");

    person.enter("form[action='/logout'] button");
    person.assert_nobody();
}
