//! As it is for real users: over TLS, with the cookie's prefix, and with administrators who need a second factor.

use testkit::browser::Site as _;
use testkit::certificates::Certificates;
use testkit::chromium::Chromium;
use testkit::program::{Place, SECRET};

use crate::person::Person;

const PASSWORD: &str = "three lamps in the harbour";

// Proves: R2, S11
#[test]
fn an_administrator_gets_in_with_a_second_factor_only_and_a_passkey_works_over_tls() {
    let certificates = Certificates::make();
    let mut place = Place::new(&[("JACKLINE_ENV", "production"), ("SESSION_SECRET", SECRET)]);
    place.speak_tls(&certificates);
    let added = place.run_with_input(
        &["user", "add", "root", "--admin"],
        &format!("{PASSWORD}\n"),
    );
    assert!(added.status.success(), "{added:?}");
    let program = place.serve();
    let root = Person::with(Chromium::start_trusting(&certificates), &program);
    root.go("/admin");
    root.sign_in_as("root", PASSWORD);
    assert_eq!(root.status(), 403);
    assert!(
        root.page_text().contains("second factor"),
        "{}",
        root.page_text()
    );
    root.go("/profile");
    assert_eq!(root.at(), "/login?next=%2Fprofile");

    // As that page says.
    let made = place.run(&["user", "recovery-codes", "root"]);
    assert!(made.status.success(), "{made:?}");
    let code = made.stdout.lines().map(str::trim).find(|line| {
        let letters = line.chars().filter(|c| c.is_ascii_alphanumeric());
        line.contains('-') && letters.count() == 16
    });
    let code = code.unwrap();
    program.remember_secret(code);
    root.sign_in_as("root", PASSWORD);
    root.give_code(code);
    assert_eq!(root.at().split('?').next(), Some("/factors"));

    let authenticator = root.add_authenticator();
    root.go("/factors");
    root.fill("#passkey-name", "Laptop");
    root.click_text("Add a passkey");
    root.wait_for(".rows, .codes");
    assert_eq!(authenticator.credentials().len(), 1);
    root.go("/profile");
    root.follow_text("Sign out");
    root.go("/login?next=/admin");
    root.follow_text("Sign in with a passkey");
    assert_eq!(root.at(), "/admin");
    let cookies = root.cookies();
    assert!(
        cookies
            .iter()
            .all(|cookie| cookie.secure && cookie.name.starts_with("__Host-")),
        "{cookies:?}"
    );
}
