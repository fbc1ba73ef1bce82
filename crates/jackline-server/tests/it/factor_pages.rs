//! The pages of second factors, as a browser without scripts gets them.

use serde_json::json;
use testkit::browser::{Answer, Browser, PASSWORD, Site as _};
use testkit::program::{Place, Program};

use crate::pages::{move_away, page, send, sign_in};
use crate::second_factors::{App, app};

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}

/// Adds an app on the pages, and says which recovery codes were shown.
fn add_app(program: &Program, browser: &mut Browser<'_>) -> (App, Vec<String>) {
    let made = send(
        browser,
        "/factors",
        "/factors/totp",
        &[("name", "Phone <1>")],
    );
    let text = page(&made, 200);
    assert!(text.contains("<svg"), "{text}");
    let secret = between(text, r#"<p class="key"><code>"#, "</code>");
    program.remember_secret(secret);
    let mut app = app(&json!({ "secret": secret }));
    let id = between(text, r#"name="id" value=""#, "\"");
    let token = made.csrf_field().unwrap();
    let mut confirm = |code: &str| {
        let fields = [("id", id), ("code", code), ("csrf_token", &token)];
        browser.submit("/factors/totp/confirm", &fields)
    };
    let wrong = confirm("000000");
    assert!(page(&wrong, 400).contains("The code does not fit"));
    assert!(!wrong.text.contains(secret), "shown once");
    let added = confirm(&app.next_code());
    let shown = page(&added, 200).split("<li><code>").skip(1);
    let codes: Vec<_> = shown
        .map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect();
    for code in &codes {
        program.remember_secret(code);
    }
    (app, codes)
}

fn second_step(browser: &mut Browser<'_>, code: &str, next: &str) -> Answer {
    let form = "/login/second-factor";
    send(browser, form, form, &[("code", code), ("next", next)])
}

// Proves: R2, J1
#[test]
fn an_app_is_added_on_the_pages_and_asked_for_at_the_next_sign_in() {
    let program = Place::new(&[]).serve();
    let mut alice = Browser::new(&program);
    sign_in(&mut alice, "/");
    let before = alice.visit("/factors");
    assert!(page(&before, 200).contains("Your password alone opens this account"));
    let (mut app, codes) = add_app(&program, &mut alice);
    assert_eq!(codes.len(), 10);
    let listed = alice.visit("/factors");
    let text = page(&listed, 200);
    assert!(text.contains("Phone &#60;1&#62;"), "{text}");
    assert!(text.contains("You have 10 left."));
    assert!(!text.contains(&codes[0]), "shown once");

    let mut new = Browser::new(&program);
    let asked = sign_in(&mut new, "/sessions");
    assert_eq!(asked.location(), "/login/second-factor?next=%2Fsessions");
    assert_eq!(new.visit("/profile").location(), "/login?next=%2Fprofile");
    let form = new.visit(asked.location());
    assert!(page(&form, 200).contains(r#"name="next" value="/sessions""#));
    assert!(!form.text.contains("passkeys.js"), "there is none");
    let wrong = second_step(&mut new, "000000", "/sessions");
    assert!(page(&wrong, 401).contains("That code is wrong, or was used already."));
    assert!(wrong.text.contains(r#"name="next" value="/sessions""#));
    let done = second_step(&mut new, &app.next_code(), "/sessions");
    assert_eq!(done.location(), "/sessions");
    page(&new.visit("/sessions"), 200);
    assert_eq!(new.visit("/login/second-factor").location(), "/profile");

    let mut lost = Browser::new(&program);
    sign_in(&mut lost, "/sessions");
    let used = second_step(&mut lost, &codes[0].to_uppercase(), "/sessions");
    assert_eq!(used.location(), "/factors?said=recovery-code-used");
    let told = lost.visit(used.location());
    assert!(page(&told, 200).contains("You have used a recovery code"));
    assert!(told.text.contains("You have 9 left."));
}

// Proves: R2, J4
#[test]
fn a_second_step_that_waits_for_nothing_begins_anew_and_elsewhere_is_nowhere() {
    let program = Place::new(&[]).serve();
    let mut alice = Browser::new(&program);
    assert_eq!(
        alice
            .visit("/login/second-factor?next=/sessions")
            .location(),
        "/login?next=%2Fsessions"
    );
    sign_in(&mut alice, "/");
    let (mut app, _) = add_app(&program, &mut alice);
    let mut new = Browser::new(&program);
    let sent = sign_in(&mut new, "//evil.example");
    assert_eq!(sent.location(), "/login/second-factor");
    let token = new.visit(sent.location()).csrf_field().unwrap();
    // What is revoked now is revoked for this login too.
    send(&mut alice, "/sessions", "/sessions/end-others", &[]);
    let code = app.next_code();
    let fields = [
        ("code", code.as_str()),
        ("csrf_token", &token),
        ("next", "//evil.example"),
    ];
    let refused = new.submit("/login/second-factor", &fields);
    assert_eq!(refused.location(), "/login?said=again");
    assert!(page(&new.visit(refused.location()), 200).contains("Please begin again."));
    assert_eq!(new.get("/profile").status, 401);
}

// Proves: R2, S39
#[test]
fn a_code_proves_again_who_one_is_and_factors_are_removed_after_that() {
    let program = Place::new(&[]).serve();
    let mut alice = Browser::new(&program);
    sign_in(&mut alice, "/");
    assert!(!page(&alice.visit("/reauth"), 200).contains(r#"name="code""#));
    let (mut app, _) = add_app(&program, &mut alice);
    let id = alice.get("/factors").json()["factors"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    move_away(&mut alice);
    let remove =
        |alice: &mut Browser<'_>| send(alice, "/factors", "/factors/remove", &[("id", &id)]);
    assert_eq!(remove(&mut alice).location(), "/reauth?next=%2Ffactors");
    let wrong = send(&mut alice, "/reauth", "/reauth", &[("code", "000000")]);
    assert!(page(&wrong, 401).contains("That code is wrong"));
    let code = app.next_code();
    let proved = send(
        &mut alice,
        "/reauth",
        "/reauth",
        &[("code", &code), ("next", "/factors")],
    );
    assert_eq!(proved.location(), "/factors");

    let renewed = send(&mut alice, "/factors", "/factors/recovery-codes", &[]);
    let shown: Vec<_> = page(&renewed, 200).split("<li><code>").skip(1).collect();
    assert_eq!(shown.len(), 10);
    for code in shown {
        program.remember_secret(code.split('<').next().unwrap());
    }
    assert_eq!(
        remove(&mut alice).location(),
        "/factors?said=factor-removed"
    );
    assert!(page(&alice.visit("/factors?said=factor-removed"), 200).contains("Removed."));
    let again = send(&mut alice, "/factors", "/factors/recovery-codes", &[]);
    assert!(page(&again, 409).contains("add one first"));
    let mut new = Browser::new(&program);
    let fields = [("username", "alice"), ("password", PASSWORD)];
    assert_eq!(new.submit("/login", &fields).location(), "/profile");
}
