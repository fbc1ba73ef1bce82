//! "Your sessions", with two browsers and more.

use testkit::program::Place;

use crate::person::Person;

// Proves: S37
#[test]
fn one_browser_ends_the_session_of_another() {
    let program = Place::new(&[]).serve();
    let here = Person::signed_in(&program);
    let there = Person::signed_in(&program);
    here.go("/sessions");
    assert_eq!((here.count(".rows li"), here.count(".tag")), (2, 1));
    assert!(
        here.text(".rows").contains("Chrome"),
        "{}",
        here.page_text()
    );
    // Another's has a button that says whose it is, for those who do not see where it stands.
    let others = ".rows li:not(:has(.tag)) button";
    assert!(
        here.property(others, "textContent")
            .as_str()
            .unwrap()
            .contains("Chrome")
    );

    here.follow(others);
    assert_eq!(here.text("[role=status]"), "That session has ended.");
    assert_eq!(here.count(".rows li"), 1);
    assert!(!here.page_text().contains("End all other sessions"));
    there.go("/profile");
    there.assert_nobody();

    // One's own is a sign-out.
    here.follow_text("Sign out here");
    assert_eq!(here.at(), "/login?said=signed-out");
    here.assert_nobody();
}

// Proves: A2
#[test]
fn one_browser_ends_all_others_and_stays() {
    let program = Place::new(&[]).serve();
    let here = Person::signed_in(&program);
    let others = [Person::signed_in(&program), Person::signed_in(&program)];
    here.go("/sessions");
    // This one has gone meanwhile, on its own.
    others[0].follow_text("Sign out");
    let gone = here.count(".rows li");
    assert_eq!(gone, 3);
    for _ in 0..2 {
        here.go("/sessions");
    }
    assert_eq!(here.count(".rows li"), 2);
    here.follow_text("End all other sessions");
    assert_eq!(
        here.text("[role=status]"),
        "All your other sessions have ended."
    );
    assert_eq!(here.count(".rows li"), 1);
    others[1].go("/sessions");
    others[1].assert_nobody();
}

#[test]
fn ending_what_has_ended_is_no_error() {
    let program = Place::new(&[]).serve();
    let here = Person::signed_in(&program);
    let there = Person::signed_in(&program);
    here.go("/sessions");
    there.follow_text("Sign out");
    here.follow(".rows li:not(:has(.tag)) button");
    assert_eq!(
        here.text("[role=status]"),
        "That session had ended already."
    );
}
