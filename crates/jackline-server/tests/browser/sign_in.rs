//! The way in and the way out.

use testkit::program::Place;
use testkit::{block_on, eventually};

use crate::person::Person;

// Proves: T6.1, T6.3, T7.1
#[test]
fn one_signs_in_after_a_mistake_and_out_again() {
    let program = Place::new(&[]).serve();
    let person = Person::new(&program);
    person.go("/");
    assert_eq!(person.at(), "/login?next=%2Fprofile");
    assert_eq!(person.title(), "Sign in · Jackline");
    assert!(person.cookies().is_empty(), "looking stores nothing");

    person.sign_in_as("alice", "wrong-password");
    assert_eq!((person.status(), person.at().as_str()), (401, "/login"));
    assert_eq!(person.property("#username", "value"), "alice");
    assert_eq!(person.property("#password", "value"), "");
    // Beside its field, for eyes and for those who have it read to them; and the next letter goes there.
    let message = "The user name or the password is wrong.";
    assert_eq!(
        person.text("#password[aria-invalid=true][aria-describedby=wrong] ~ #wrong"),
        message
    );
    assert!(person.has("#password:focus"));
    assert!(person.cookies().is_empty(), "a mistake stores nothing");

    person.sign_in();
    assert_eq!(person.at(), "/profile");
    assert!(person.page_text().contains("user-1001"));

    person.follow_text("Sign out");
    assert_eq!(person.at(), "/login?said=signed-out");
    assert_eq!(person.text("[role=status]"), "You are signed out.");
    person.assert_nobody();
    assert!(person.cookies().iter().all(|cookie| cookie.name != "sid"));
    person.go("/profile");
    person.assert_nobody();
}

// Proves: S62, S63
#[test]
fn the_back_button_shows_nothing_private_after_signing_out() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    for path in ["/sessions", "/password", "/profile"] {
        person.go(path);
        assert_eq!(person.at(), path);
    }
    person.follow_text("Sign out");
    for _ in 0..4 {
        person.leading_on(|person| person.back());
        person.assert_nobody();
    }
}

#[test]
fn signing_in_leads_to_where_one_was_going_and_never_to_another_site() {
    let program = Place::new(&[]).serve();
    let person = Person::new(&program);
    person.go("/sessions?after=x");
    assert_eq!(person.at(), "/login?next=%2Fsessions%3Fafter%3Dx");
    // A mistake in between does not lose the way.
    person.sign_in_as("alice", "wrong-password");
    person.sign_in();
    assert_eq!(person.at(), "/sessions?after=x");

    let elsewhere = [
        "//evil.example",
        "https:%2f%2fevil.example%2f",
        "https:evil.example",
        "/%5cevil.example",
        "%5c%5cevil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
    ];
    // Who is signed in is sent on at once.
    for next in elsewhere {
        person.go(&format!("/login?next={next}"));
        assert_eq!(person.at(), "/profile", "{next}");
    }
    for next in ["//evil.example", "/%5cevil.example"] {
        person.follow_text("Sign out");
        person.go(&format!("/login?next={next}"));
        person.sign_in();
        assert_eq!(person.at(), "/profile", "{next}");
    }
}

#[test]
fn a_session_that_lapses_in_the_middle_of_a_form_brings_one_back_to_it() {
    let program = Place::new(&[]).serve();
    let person = Person::signed_in(&program);
    let send_form = || {
        person.fill("#new", "a password that is good");
        person.fill("#again", "a password that is good");
        person.follow_text("Change it");
    };
    // By the browser's clock: it has dropped the cookie.
    person.go("/password");
    person.forget_cookie("sid");
    send_form();
    assert_eq!(person.at(), "/login?next=%2Fpassword&said=expired");
    assert!(
        person
            .text("[role=status]")
            .starts_with("You were signed out")
    );
    person.sign_in();
    assert_eq!(person.at(), "/password");

    // By somebody's hand: it was ended from another browser.
    let other = Person::signed_in(&program);
    other.go("/sessions");
    other.follow_text("End all other sessions");
    send_form();
    person.assert_nobody();
    person.sign_in();
    assert_eq!(person.at(), "/password");
    // The old password still is the password.
    send_form();
    assert_eq!(person.at(), "/profile?said=password-changed");
}

// Proves: T8.2
#[test]
fn a_session_at_its_end_leads_to_the_way_in_and_back() {
    let program = Place::new(&[
        ("JACKLINE_ABSOLUTE_TIMEOUT", "4s"),
        ("JACKLINE_IDLE_TIMEOUT", "4s"),
    ])
    .serve();
    let person = Person::signed_in(&program);
    block_on(eventually("the session is over", async || {
        person.go("/sessions");
        person.at() != "/sessions"
    }));
    assert_eq!(
        person.at().split('&').next(),
        Some("/login?next=%2Fsessions")
    );
    person.assert_nobody();
    person.sign_in();
    assert_eq!(person.at(), "/sessions");
}

#[test]
fn an_unknown_path_is_a_page_that_leads_on() {
    let program = Place::new(&[]).serve();
    let person = Person::new(&program);
    for path in ["/no-such-page", "/assets/none.css", "/sessions/none/none"] {
        person.go(path);
        assert_eq!(person.status(), 404, "{path}");
        assert_eq!(person.text("h1"), "There is no such page");
    }
    person.follow_text("Go to the start");
    person.assert_nobody();
    // A form's page that has no form.
    person.go("/logout");
    assert_eq!(person.status(), 405);
    assert_eq!(person.text("h1"), "That cannot be done here");
}

#[test]
fn what_somebody_typed_is_shown_as_they_typed_it_and_is_no_part_of_the_page() {
    let program = Place::new(&[]).serve();
    let person = Person::new(&program);
    for typed in [
        r#""><script>document.title = "ran"</script>"#,
        r#"' onfocus=alert(1) autofocus x='"#,
        "{{ 7 * 7 }}",
        "&amp; ünï ☃",
    ] {
        person.go("/login");
        person.sign_in_as(typed, "wrong-password");
        assert_eq!(person.property("#username", "value"), typed);
        assert_eq!(person.title(), "Sign in · Jackline");
        assert_eq!(person.count("script:not([src]), [onfocus]"), 0);
    }
    // Nor does an address put words on a page.
    person.go("/login?said=Call%20this%20number&next=/%22%3E%3Cscript%3E");
    assert!(!person.has("[role=status]") && !person.page_text().contains("Call"));
    assert_eq!(person.count("script:not([src])"), 0);
}
