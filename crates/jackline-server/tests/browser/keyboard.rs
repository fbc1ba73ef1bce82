//! All of it with a keyboard, and with scripts switched off.

use testkit::browser::{PASSWORD, Site as _};
use testkit::chromium::{Chromium, keys};
use testkit::program::Place;

use crate::app::App;
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
    person.enter(".rows li:not(:has(.tag)) button");
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

    // Everything but passkeys, and that is said.
    person.enter("nav a[href='/factors']");
    assert!(person.page_text().contains("Passkeys need scripts"));
    assert!(!person.page_text().contains("Its name\n\nAdd a passkey"));
    person.tab_to("#app-name");
    person.press("Phone");
    person.leading_on(|browser| browser.press(keys::ENTER));
    let mut app = App::scan(&person.read_qr(".qr"));
    program.remember_secret(&app.key);
    person.tab_to("#code");
    person.press(&app.next_code());
    person.leading_on(|browser| browser.press(keys::ENTER));
    let codes = person.codes(&program);
    assert_eq!(codes.len(), 10);
    person.enter("main a.button");
    assert_eq!(person.at(), "/factors");

    person.go("/reauth?next=/sessions");
    person.press(NEW);
    person.leading_on(|browser| browser.press(keys::ENTER));
    assert_eq!(person.at(), "/sessions");

    person.enter("form[action='/logout'] button");
    person.assert_nobody();
    // In again, with both steps.
    person.press("alice");
    person.tab_to("#password");
    person.press(NEW);
    person.leading_on(|browser| browser.press(keys::ENTER));
    person.press(&app.next_code());
    person.leading_on(|browser| browser.press(keys::ENTER));
    assert_eq!(person.at(), "/profile");
}
