//! Second factors on their pages: an app set up from the QR code, passkeys of the browser's own, recovery codes.

use testkit::browser::{PASSWORD, Site as _};
use testkit::chromium::{Authenticator, Colours};
use testkit::program::{Place, Program};
use testkit::{block_on, eventually};

use crate::app::App;
use crate::person::Person;

impl Person<'_> {
    /// Sets up an app on the page of factors: reads the code from the screen, types what the app shows. What is left is the page with
    /// recovery codes, or whatever comes after.
    pub(crate) fn add_app(&self, program: &Program, name: &str) -> App {
        self.go("/factors");
        self.fill("#app-name", name);
        self.follow_text("Set it up");
        let mut app = App::scan(&self.read_qr(".qr"));
        program.remember_secret(&app.key);
        self.give_code(&app.next_code());
        app
    }

    /// Types a code where one is asked for.
    pub(crate) fn give_code(&self, code: &str) {
        self.fill("#code", code);
        self.follow_text("Go on");
        self.remember();
    }

    /// The recovery codes that are shown, which nobody else may see.
    pub(crate) fn codes(&self, program: &Program) -> Vec<String> {
        let codes = self.text(".codes");
        let codes: Vec<String> = codes.split_whitespace().map(str::to_owned).collect();
        codes.iter().for_each(|code| program.remember_secret(code));
        codes
    }

    /// Adds a passkey on the page of factors, the account's first factor.
    pub(crate) fn add_first_passkey(&self, program: &Program) -> Vec<String> {
        self.go("/factors");
        self.fill("#passkey-name", "Laptop");
        self.click_text("Add a passkey");
        self.wait_for(".codes");
        self.codes(program)
    }

    fn sign_out(&self) {
        self.go("/profile");
        self.follow_text("Sign out");
    }

    /// Signs in with the password alone, and is not signed in by that.
    fn begin(&self) {
        self.go("/login");
        self.sign_in();
        assert_eq!(self.at(), "/login/second-factor");
    }
}

// Proves: R2, J1, S5
#[test]
fn an_app_is_set_up_from_the_qr_code_and_then_asked_for() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    person.go("/factors");
    person.fill("#app-name", "Phone");
    person.follow_text("Set it up");
    let mut app = App::scan(&person.read_qr(".qr"));
    program.remember_secret(&app.key);
    assert_eq!(person.text(".key").replace(' ', ""), app.key);
    // Cameras read dark on light, whatever colours the person likes.
    person.colours(Colours::Dark);
    assert_eq!(App::scan(&person.read_qr(".qr")).key, app.key);

    person.give_code("000000");
    assert_eq!(person.status(), 400);
    assert!(person.has("#code[aria-invalid=true]") && !person.text("#wrong").is_empty());
    person.give_code(&app.next_code());
    let codes = person.codes(&program);
    assert_eq!(codes.len(), 10, "{codes:?}");
    person.follow_text("I have kept them");
    assert!(person.page_text().contains("Phone") && person.page_text().contains("10 left"));

    person.sign_out();
    person.go("/login?next=/sessions");
    person.sign_in();
    assert_eq!(person.at(), "/login/second-factor?next=%2Fsessions");
    // Nobody yet, wherever they go.
    let between = person.cookie("sid").value;
    for path in ["/profile", "/sessions", "/factors", "/password", "/reauth"] {
        person.go(path);
        person.assert_nobody();
    }
    person.go("/login/second-factor?next=%2Fsessions");
    person.give_code("000000");
    assert_eq!(
        (person.status(), person.at().as_str()),
        (401, "/login/second-factor")
    );
    let code = app.next_code();
    person.give_code(&code);
    assert_eq!(person.at(), "/sessions");
    assert_ne!(person.cookie("sid").value, between);

    // The same code again is worth nothing, a recovery code is worth something once.
    person.sign_out();
    person.begin();
    person.give_code(&code);
    assert_eq!(person.status(), 401);
    person.give_code(&codes[3]);
    assert_eq!(person.at().split('?').next(), Some("/factors"));
    assert!(
        person.page_text().contains("9 left"),
        "{}",
        person.page_text()
    );
    person.sign_out();
    person.begin();
    person.give_code(&codes[3]);
    assert_eq!(person.status(), 401);
}

// Proves: R2
#[test]
fn recovery_codes_are_shown_once_and_new_ones_void_the_old() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    person.add_app(&program, "");
    let old = person.codes(&program);
    person.follow_text("I have kept them");
    let absent = |codes: &[String]| {
        let source = person.run("return document.documentElement.outerHTML;", &[]);
        let source = source.as_str().unwrap();
        assert!(codes.iter().all(|code| !source.contains(code)), "{source}");
    };
    absent(&old);
    person.back();
    absent(&old);
    person.go("/factors");
    person.follow_text("Make new ones");
    let new = person.codes(&program);
    assert!(new.len() == 10 && !new.contains(&old[0]));

    person.sign_out();
    person.begin();
    person.give_code(&old[0]);
    assert_eq!(person.status(), 401);
    person.give_code(&new[0]);
    assert_eq!(person.at().split('?').next(), Some("/factors"));
}

// Proves: R2, J1, S5
#[test]
fn a_passkey_is_the_second_step_after_a_password_and_the_only_one_without() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    let authenticator = person.add_authenticator();
    let codes = person.add_first_passkey(&program);
    assert_eq!(codes.len(), 10);
    assert_eq!(authenticator.credentials()[0]["rpId"], "localhost");
    person.follow_text("I have kept them");
    assert!(person.page_text().contains("Laptop"));

    // After the password.
    person.sign_out();
    person.go("/login?next=/sessions");
    person.sign_in();
    let between = person.cookie("sid").value;
    person.follow_text("Use your passkey");
    assert_eq!(person.at(), "/sessions");
    assert_ne!(person.cookie("sid").value, between);

    // In its place.
    person.sign_out();
    person.go("/login?next=/sessions");
    person.follow_text("Sign in with a passkey");
    assert_eq!(person.at(), "/sessions");
    assert!(person.page_text().contains("alice"));

    // Never to another site.
    person.sign_out();
    person.go("/login?next=//evil.example");
    person.follow_text("Sign in with a passkey");
    assert_eq!(person.at(), "/profile");

    // Without it a password alone is enough again, and the key opens nothing.
    person.go("/factors");
    person.follow(".rows button");
    assert!(person.text("[role=status]").starts_with("Removed"));
    assert!(!person.page_text().contains("Laptop"));
    person.sign_out();
    person.go("/login");
    refused(&person, "Sign in with a passkey", "not known");
    person.sign_in();
    assert_eq!(person.at(), "/profile");
}

/// Tries a passkey, and is told why not.
fn refused(person: &Person<'_>, button: &str, words: &str) {
    person.click_text(button);
    person.wait_for(".passkey .wrong:not([hidden])");
    let said = person.text(".passkey .wrong");
    assert!(said.contains(words), "{said}");
    // And may try again.
    person.wait_for(".passkey button:enabled");
}

// Proves: R2
#[test]
fn whoever_is_not_known_to_their_device_gets_in_by_no_passkey() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    let authenticator = person.add_authenticator();
    person.add_first_passkey(&program);
    person.sign_out();
    let verified =
        |authenticator: &Authenticator<'_>, verified| authenticator.user_is_verified(verified);
    person.go("/login");
    verified(&authenticator, false);
    refused(&person, "Sign in with a passkey", "cancelled");
    person.go("/profile");
    person.assert_nobody();
    verified(&authenticator, true);
    person.follow_text("Sign in with a passkey");
    assert_eq!(person.at(), "/profile");
}

// Proves: A3, R2, S35, S39
#[test]
fn a_change_of_factors_asks_for_proof_by_whatever_one_has_and_ends_other_sessions() {
    let program = Place::new(&[("JACKLINE_STEP_UP_AGE", "5s")]).serve();
    let person = Person::signed_in(&program);
    let other = Person::signed_in(&program);
    let _authenticator = person.add_authenticator();
    let until_old = || {
        block_on(eventually("the proof is old", async || {
            person.go("/password");
            person.at() != "/password"
        }));
    };
    until_old();
    person.fill("#password", PASSWORD);
    person.follow_text("Confirm");
    person.add_first_passkey(&program);
    other.go("/profile");
    other.assert_nobody();

    until_old();
    person.go("/factors");
    person.follow(".rows button");
    assert_eq!(person.at(), "/reauth?next=%2Ffactors");
    person.follow_text("Use your passkey");
    assert_eq!(person.at(), "/factors");
    person.follow(".rows button");
    assert!(
        person.text("[role=status]").starts_with("Removed"),
        "{}",
        person.at()
    );
}
