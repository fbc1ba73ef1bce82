//! The pages, as a person's browser gets them without scripts: who asks for HTML is shown pages, forms included, whatever goes wrong.

use testkit::browser::{Answer, Browser, PASSWORD};
use testkit::program::Place;

pub(crate) fn page(answer: &Answer, status: u16) -> &str {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["referrer-policy"], "same-origin");
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!answer.text.contains(" style="), "{}", answer.text);
    assert!(!answer.text.contains("<script>"), "{}", answer.text);
    &answer.text
}

pub(crate) fn sign_in(browser: &mut Browser<'_>, next: &str) -> Answer {
    browser.submit(
        "/login",
        &[
            ("username", "alice"),
            ("password", PASSWORD),
            ("next", next),
        ],
    )
}

/// Sends a form with the token of the page that it is on.
pub(crate) fn send(
    browser: &mut Browser<'_>,
    page: &str,
    form: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let token = browser.visit(page).csrf_field().unwrap();
    let mut fields = fields.to_vec();
    fields.push(("csrf_token", &token));
    browser.submit(form, &fields)
}

/// Its session looks as if it had moved to another browser.
pub(crate) fn move_away(browser: &mut Browser<'_>) {
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0";
    browser
        .headers
        .insert("user-agent".to_owned(), agent.to_owned());
}

// Proves: J1, S5
#[test]
fn whoever_is_not_signed_in_is_sent_to_sign_in_and_back() {
    let program = Place::new(&[]).serve();
    let mut alice = Browser::new(&program);
    assert_eq!(alice.visit("/").location(), "/profile");
    let sent = alice.visit("/sessions?after=x");
    assert_eq!(sent.location(), "/login?next=%2Fsessions%3Fafter%3Dx");
    let form = alice.visit(sent.location());
    assert!(page(&form, 200).contains(r#"name="next" value="/sessions?after=x""#));
    assert!(
        alice.cookies.is_empty(),
        "to look at the page stores nothing"
    );

    let in_now = sign_in(&mut alice, "/sessions");
    assert_eq!(in_now.location(), "/sessions");
    let sessions = alice.visit("/sessions");
    assert!(page(&sessions, 200).contains("this device"));
    assert_eq!(alice.visit("/login?next=/password").location(), "/password");

    let out = alice.submit("/logout", &[]);
    assert_eq!(out.location(), "/login?said=signed-out");
    assert!(!alice.cookies.contains_key("sid"));
    let again = alice.visit(out.location());
    assert!(page(&again, 200).contains("You are signed out."));
}

#[test]
fn no_link_leads_from_signing_in_to_another_site_or_puts_words_on_a_page() {
    let program = Place::new(&[]).serve();
    let mut alice = Browser::new(&program);
    for elsewhere in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil",
    ] {
        let arrival = url::form_urlencoded::Serializer::new("/login?".to_owned())
            .append_pair("next", elsewhere)
            .append_pair("said", "You have won")
            .finish();
        let form = alice.visit(&arrival);
        assert!(!page(&form, 200).contains("evil"), "{elsewhere}");
        assert!(!form.text.contains("won"), "{elsewhere}");
        assert_eq!(sign_in(&mut alice, elsewhere).location(), "/profile");
        let step_up = [("password", PASSWORD), ("next", elsewhere)];
        let proved = send(&mut alice, "/reauth", "/reauth", &step_up);
        assert_eq!(proved.location(), "/profile");
        assert_eq!(alice.visit(&arrival).location(), "/profile");
        alice.submit("/logout", &[]);
    }
}

// Proves: S78
#[test]
fn a_wrong_password_is_said_beside_the_field_and_the_name_is_kept() {
    let program = Place::new(&[]).serve();
    let mut stranger = Browser::new(&program);
    for name in ["alice", r#""><script>alert(1)</script>"#] {
        let fields = [
            ("username", name),
            ("password", "wrong-horse"),
            ("next", "/sessions"),
        ];
        let again = stranger.submit("/login", &fields);
        let text = page(&again, 401);
        assert!(text.contains("The user name or the password is wrong."));
        assert!(text.contains(r#"aria-describedby="wrong""#));
        assert!(text.contains(r#"name="next" value="/sessions""#));
        assert!(!text.contains("wrong-horse"));
        assert!(!text.contains("<script>"));
        assert!(text.contains(r#"value="alice""#) || text.contains("&#60;script&#62;"));
    }
    let missing = stranger.submit("/login", &[("username", "alice")]);
    assert!(page(&missing, 400).contains("Invalid form"));
    let long = stranger.submit(
        "/login",
        &[
            ("username", &"x".repeat(70_000)),
            ("password", "wrong-horse"),
        ],
    );
    assert!(page(&long, 413).contains("Payload too large"));
}

// Proves: S81
#[test]
fn too_many_attempts_are_said_on_the_page_with_the_time_to_wait() {
    let program = Place::new(&[("JACKLINE_LOGIN_ATTEMPTS", "2")]).serve();
    let mut stranger = Browser::new(&program);
    let fields = [("username", "alice"), ("password", "wrong-horse")];
    for _ in 0..2 {
        page(&stranger.submit("/login", &fields), 401);
    }
    let refused = stranger.submit("/login", &fields);
    assert!(page(&refused, 429).contains("Too many attempts."));
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.text.contains(r#"value="alice""#));
}

// Proves: S39, S41, A3
#[test]
fn what_needs_a_fresh_proof_asks_for_it_and_goes_on() {
    let program = Place::new(&[]).serve();
    let mut alice = Browser::new(&program);
    sign_in(&mut alice, "/");
    page(&alice.visit("/password"), 200);
    move_away(&mut alice);
    let sent = alice.visit("/password");
    assert_eq!(sent.location(), "/reauth?next=%2Fpassword");
    let wrong = [("password", "wrong-horse"), ("next", "/password")];
    let again = send(&mut alice, sent.location(), "/reauth", &wrong);
    assert!(page(&again, 401).contains("The password is wrong."));
    assert!(again.text.contains(r#"name="next" value="/password""#));

    // A form of a page that was open all along.
    let ended = send(&mut alice, "/sessions", "/sessions/end", &[("handle", "x")]);
    assert_eq!(ended.location(), "/reauth?next=%2Fsessions");
    let right = [("password", PASSWORD), ("next", "/password")];
    let proved = send(&mut alice, "/reauth", "/reauth", &right);
    assert_eq!(proved.location(), "/password");
    page(&alice.visit("/password"), 200);
}

// Proves: R1, S33, S35
#[test]
fn a_password_is_changed_on_its_page() {
    let program = Place::new(&[]).serve();
    let (mut here, mut there) = (Browser::new(&program), Browser::new(&program));
    sign_in(&mut here, "/");
    sign_in(&mut there, "/");
    for (new, again, said) in [
        ("correct-horse", "correct-horse", "must have"),
        ("a new and much longer horse", "another", "not the same"),
    ] {
        let fields = [("newPassword", new), ("again", again)];
        let refused = send(&mut here, "/password", "/password", &fields);
        assert!(page(&refused, 400).contains(said), "{refused:?}");
        assert!(!refused.text.contains("much longer"));
    }
    let new = "a new and much longer horse";
    let fields = [("newPassword", new), ("again", new)];
    let changed = send(&mut here, "/password", "/password", &fields);
    assert_eq!(changed.location(), "/profile?said=password-changed");
    let account = here.visit(changed.location());
    assert!(page(&account, 200).contains("Your password is changed"));
    assert_eq!(there.visit("/profile").location(), "/login?next=%2Fprofile");
    page(&sign_in(&mut there, "/"), 401);
    let fields = [("username", "alice"), ("password", new)];
    assert_eq!(there.submit("/login", &fields).location(), "/profile");
}

// Proves: S36, S37
#[test]
fn sessions_are_ended_from_their_page() {
    let program = Place::new(&[]).serve();
    let mut here = Browser::new(&program);
    sign_in(&mut here, "/");
    assert!(!page(&here.visit("/sessions"), 200).contains("End all other"));
    let mut others: Vec<_> = (0..3).map(|_| Browser::new(&program)).collect();
    for other in &mut others {
        sign_in(other, "/");
    }
    let handle = others[0].get("/sessions").json()["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|session| session["current"] == true)
        .unwrap()["handle"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = send(
        &mut here,
        "/sessions",
        "/sessions/end",
        &[("handle", &handle)],
    );
    assert_eq!(ended.location(), "/sessions?said=session-ended");
    assert!(page(&here.visit(ended.location()), 200).contains("That session has ended."));
    assert_eq!(others[0].get("/profile").status, 401);
    assert_eq!(others[1].get("/profile").status, 200);
    let ended = send(
        &mut here,
        "/sessions",
        "/sessions/end",
        &[("handle", &handle)],
    );
    assert_eq!(ended.location(), "/sessions?said=session-unknown");

    let ended = send(&mut here, "/sessions", "/sessions/end-others", &[]);
    assert_eq!(ended.location(), "/sessions?said=others-ended");
    assert_eq!(others[1].get("/profile").status, 401);
    assert_eq!(others[2].get("/profile").status, 401);

    let own = here.get("/sessions").json()["sessions"][0]["handle"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = send(&mut here, "/sessions", "/sessions/end", &[("handle", &own)]);
    assert_eq!(ended.location(), "/login?said=signed-out");
    assert_eq!(here.get("/profile").status, 401);
}

// Proves: S47
#[test]
fn a_form_that_lost_its_session_leads_back_to_its_page_and_one_without_the_token_is_refused() {
    let program = Place::new(&[]).serve();
    let mut alice = Browser::new(&program);
    sign_in(&mut alice, "/");
    let refused = alice.submit("/password", &[("newPassword", "a new and longer horse")]);
    assert!(page(&refused, 403).contains("Load its page again"));

    let token = alice.visit("/password").csrf_field().unwrap();
    let fields = [
        ("newPassword", "a new and longer horse"),
        ("csrf_token", &token),
    ];
    // Ended elsewhere, with the cookie still there.
    let mut elsewhere = Browser::new(&program);
    sign_in(&mut elsewhere, "/");
    send(&mut elsewhere, "/sessions", "/sessions/end-others", &[]);
    assert_eq!(
        alice.submit("/password", &fields).location(),
        "/login?next=%2Fpassword"
    );
    // The cookie is gone too.
    alice.cookies.clear();
    let lapsed = alice.submit("/password", &fields);
    assert_eq!(lapsed.location(), "/login?next=%2Fpassword&said=expired");
    let form = alice.visit(lapsed.location());
    assert!(page(&form, 200).contains("You were signed out because"));
    let lapsed = alice.submit("/sessions/end-others", &[]);
    assert_eq!(lapsed.location(), "/login?next=%2Fsessions&said=expired");
    // From another site it is refused, whatever it has lost.
    alice
        .headers
        .insert("sec-fetch-site".to_owned(), "cross-site".to_owned());
    page(&alice.submit("/password", &fields), 403);
    page(&sign_in(&mut alice, "/"), 403);
}

// Proves: S56
#[test]
fn errors_are_pages_for_people_and_json_for_programs() {
    let program = Place::new(&[]).serve();
    let mut browser = Browser::new(&program);
    assert!(page(&browser.visit("/nowhere"), 404).contains("There is no such page"));
    assert!(page(&browser.visit("/logout"), 405).contains("cannot be done"));
    assert!(page(&browser.visit("/assets/nothing"), 404).contains("no such page"));
    for path in ["/login", "/reauth", "/password"] {
        let answer = browser.get(path);
        assert_eq!(answer.status, 405, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert_eq!(browser.get("/login").headers["allow"], "POST");
    browser.headers.insert(
        "content-type".to_owned(),
        "application/x-www-form-urlencoded".to_owned(),
    );
    let form = browser.send(ureq::http::Method::POST, "/login", None);
    assert_eq!(form.seen(), (415, r#"{"error":"Unsupported media type"}"#));
}

#[test]
fn files_of_the_pages_are_kept_for_good_under_the_address_that_names_their_content() {
    let program = Place::new(&[]).serve();
    let mut browser = Browser::new(&program);
    let page = browser.visit("/login").text;
    let paths: Vec<_> = page
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        .collect();
    assert!(paths.iter().any(|path| path.contains(".css")), "{page}");
    for path in paths {
        let file = browser.get(path);
        assert_eq!(file.status, 200, "{path}");
        let kept = file.headers["cache-control"].to_str().unwrap();
        assert!(kept.contains("immutable"), "{path}: {kept}");
        let bare = browser.get(path.split('?').next().unwrap());
        assert_eq!(bare.headers["cache-control"], "no-cache");
        assert!(file.set_cookies().is_empty());
    }
}
