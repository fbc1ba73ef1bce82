//! Every page, looked at: by axe-core in both colour schemes, on a phone, and in pictures. `JACKLINE_SCREENSHOTS` names the folder for
//! these; without it none are taken.

use std::path::Path;

use testkit::browser::Site as _;
use testkit::chromium::{Chromium, Colours, Screen};
use testkit::program::Place;

use crate::app::App;
use crate::console::{root, with_root};
use crate::person::Person;

/// Looks at the page that somebody is at: a light one on a desktop, and a dark one on a phone. `name` is that of its pictures.
fn look(person: &Person<'_>, name: &str) {
    person.screen(Screen::Narrowest);
    assert_fits(person, name);
    for (kind, screen, colours) in [
        ("phone", Screen::Phone, Colours::Dark),
        ("desktop", Screen::Desktop, Colours::Light),
    ] {
        person.screen(screen);
        person.colours(colours);
        assert_fits(person, name);
        let barriers = person.barriers(env!("CARGO_TARGET_TMPDIR"));
        assert!(barriers.is_empty(), "{name}, {kind}: {barriers:#?}");
        person.assert_quiet();
        if let Some(folder) = std::env::var_os("JACKLINE_SCREENSHOTS") {
            let file = Path::new(&folder).join(format!("{name}-{kind}.png"));
            std::fs::write(file, person.screenshot()).unwrap();
        }
    }
}

fn assert_fits(person: &Person<'_>, name: &str) {
    assert!(!person.is_too_wide(), "{name}: one has to scroll sideways");
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

#[test]
fn pages_of_second_factors() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    person.go("/factors");
    look(&person, "factors-none");
    person.fill("#app-name", "Phone");
    person.follow_text("Set it up");
    look(&person, "app");
    let mut app = App::scan(&person.read_qr(".qr"));
    program.remember_secret(&app.key);
    person.give_code("000000");
    look(&person, "app-wrong");
    person.give_code(&app.next_code());
    look(&person, "recovery-codes");
    let codes = person.codes(&program);
    let _authenticator = person.add_authenticator();
    person.go("/factors");
    person.fill("#passkey-name", "Laptop");
    person.follow_text("Add a passkey");
    look(&person, "factors");
    person.go("/reauth?next=/factors");
    look(&person, "reauth-factors");
    person.follow_text("Sign out");
    person.go("/login");
    person.sign_in();
    look(&person, "second-factor");
    person.give_code("000000");
    look(&person, "second-factor-wrong");
    person.give_code(&codes[0]);
    look(&person, "factors-recovery-used");
}

/// Recovery codes that a passkey brings are shown by a script, on a page that it makes.
#[test]
fn recovery_codes_that_a_passkey_brings() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    let _authenticator = person.add_authenticator();
    person.add_first_passkey(&program);
    look(&person, "recovery-codes-passkey");
}

#[test]
fn the_longest_name_fits_a_phone() {
    let name = "w".repeat(64);
    let password = "three lamps in the harbour";
    let place = Place::new(&[]);
    let added = place.run_with_input(&["user", "add", &name], &format!("{password}\n"));
    assert!(added.status.success(), "{added:?}");
    let program = place.serve();
    let person = Person::new(&program);
    person.screen(Screen::Narrowest);
    person.go("/login");
    person.sign_in_as(&name, password);
    for path in ["/profile", "/sessions", "/factors", "/password", "/reauth"] {
        person.go(path);
        assert_eq!(person.at(), path);
        assert!(person.page_text().contains(&name));
        assert_fits(&person, path);
    }
}

#[test]
fn pages_of_the_console() {
    let program = with_root(&[]);
    let stranger = Person::new(&program);
    stranger.go("/login");
    stranger.sign_in_as("alice", "wrong-password");
    stranger.sign_in();
    let root = root(Chromium::start(), &program);
    root.reload();
    look(&root, "admin");
    root.go("/admin/users");
    look(&root, "admin-users");
    root.go("/admin/users/user-1001");
    look(&root, "admin-user");
    root.go("/admin/events");
    root.wait_for("#events tr");
    look(&root, "admin-events");
    root.go("/admin/events?network=nonsense");
    look(&root, "admin-events-wrong");
    stranger.go("/admin");
    look(&stranger, "forbidden");
}
