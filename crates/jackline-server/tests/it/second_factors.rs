//! Second factors at the real server: a password alone is nobody, and whatever the account has beside it makes somebody, once.

use jackline::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::at_once;
use testkit::passkey::Passkey;
use totp_rs::{Builder, Secret, Totp};
use ureq::http::Method;

use crate::browser::{Answer, Browser, PASSWORD, Site as _};
use crate::program::{Place, Program};
use crate::stores::{on_each_store, on_redis};

const WRONG: (u16, &str) = (401, r#"{"error":"Invalid credentials"}"#);
const NOBODY: (u16, &str) = (401, r#"{"error":"Not authenticated"}"#);
const DONE: (u16, &str) = (200, r#"{"ok":true,"user":"alice"}"#);

/// An authenticator app that shows each code once.
pub(crate) struct App {
    totp: Totp,
    last_step: u64,
}

/// With the secret that the server has made.
pub(crate) fn app(made: &Value) -> App {
    let secret = Secret::try_from_base32(made["secret"].as_str().unwrap()).unwrap();
    App {
        totp: Builder::new().with_secret(secret).build().unwrap(),
        last_step: 0,
    }
}

impl App {
    /// The code of this step, or of the one after the last that was used. Two in half a minute are right, since a clock may be a step ahead.
    pub(crate) fn next_code(&mut self) -> String {
        let now_secs = SystemClock.now().as_millis() / 1000;
        self.last_step = (now_secs / 30).max(self.last_step + 1);
        self.totp.generate(self.last_step * 30).to_string()
    }
}

/// As whom passkeys know a server on this machine.
pub(crate) fn origin(program: &Program) -> String {
    format!("http://localhost:{}", program.port)
}

fn place() -> Place {
    let mut place = Place::new(&[]);
    // The port is not known yet; passkeys are bound to the name.
    place.set("JACKLINE_PUBLIC_ORIGIN", "https://app.example.com");
    place
}

const ORIGIN: &str = "https://app.example.com";

fn post(browser: &mut Browser, path: &str, body: &Value) -> Answer {
    browser.send_safely(Method::POST, path, Some(body))
}

fn done(browser: &mut Browser, path: &str, body: &Value) -> Value {
    let answer = post(browser, path, body);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// Adds an app, and says which recovery codes came with it.
pub(crate) fn add_app(browser: &mut Browser) -> (App, Vec<String>) {
    let made = done(browser, "/factors/totp", &json!({ "name": "Phone" }));
    let mut app = app(&made);
    let confirmation = json!({ "id": made["id"], "code": app.next_code() });
    let added = done(browser, "/factors/totp/confirm", &confirmation);
    (app, codes(&added))
}

fn codes(added: &Value) -> Vec<String> {
    let codes = added["recoveryCodes"].as_array();
    let codes = codes.into_iter().flatten();
    codes
        .map(|code| code.as_str().unwrap().to_owned())
        .collect()
}

fn add_passkey(browser: &mut Browser) -> Passkey {
    let options = done(browser, "/factors/passkeys/options", &json!({}));
    let (passkey, made) = Passkey::make(&options, ORIGIN);
    let made = json!({ "name": "Key", "credential": made });
    done(browser, "/factors/passkeys", &made);
    passkey
}

fn asked(kinds: &[&str]) -> String {
    json!({ "ok": false, "secondFactor": kinds }).to_string()
}

pub(crate) fn give(browser: &mut Browser, code: &str) -> Answer {
    post(browser, "/login/second-factor", &json!({ "code": code }))
}

// Proves: R2, J1, J6
#[test]
fn a_password_alone_is_nobody_and_a_code_makes_somebody_once() {
    let server = place().serve();
    let mut alice = Browser::new(&server);
    assert_eq!(alice.log_in().seen(), DONE, "as ever, without a factor");
    let before = alice.cookies["sid"].clone();
    let (mut app, codes) = add_app(&mut alice);
    assert_eq!(codes.len(), 10);
    assert_ne!(alice.cookies["sid"], before);
    let event = server.wait_for_event("second_factor_changed");
    assert_eq!(event["reason"], "totp_added");
    let listed = alice.get("/factors").json();
    assert_eq!(listed["factors"][0]["kind"], "totp");
    assert_eq!(listed["factors"][0]["name"], "Phone");
    assert_eq!(listed["recoveryCodesLeft"], 10);

    let mut new = Browser::new(&server);
    let half = new.log_in();
    assert_eq!(half.seen(), (200, &*asked(&["totp", "recovery"])));
    assert!(!new.cookies.contains_key("device"));
    for path in ["/profile", "/sessions", "/factors"] {
        assert_eq!(new.get(path).seen(), NOBODY, "{path}");
    }
    assert_eq!(new.get("/session/data").seen(), (200, "{}"));
    let waiting = new.cookies["sid"].clone();
    assert_eq!(
        new.post("/login/second-factor", &json!({ "code": "1" }))
            .status,
        403
    );
    assert_eq!(give(&mut new, "000000").seen(), WRONG);
    let event = server.wait_for_event("login_failure");
    assert_eq!(event["reason"], "wrong_code");
    let code = app.next_code();
    let mut thief = new.at(&server);
    assert_eq!(give(&mut new, &code).seen(), DONE);
    assert_ne!(new.cookies["sid"], waiting);
    assert!(new.cookies.contains_key("device"));
    assert_eq!(new.get("/profile").status, 200);
    // Neither the waiting session nor the code opens anything any more.
    assert_eq!(thief.get("/profile").seen(), NOBODY);
    assert_eq!(thief.log_in().status, 200);
    assert_eq!(give(&mut thief, &code).seen(), WRONG);

    let used = give(&mut thief, &codes[0].to_uppercase());
    assert_eq!(
        used.text,
        r#"{"ok":true,"user":"alice","recoveryCodesLeft":9}"#
    );
    let mut last = Browser::new(&server);
    last.log_in();
    assert_eq!(give(&mut last, &codes[0]).seen(), WRONG);
    for secret in &codes {
        server.remember_secret(secret);
    }
    server.assert_nothing_secret("the log");
}

// Proves: R2
#[test]
fn a_wrong_password_says_nothing_of_second_factors() {
    let server = place().serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    add_app(&mut alice);
    for name in ["alice", "nobody"] {
        let mut stranger = Browser::new(&server);
        assert_eq!(stranger.log_in_as(name, "wrong-horse").seen(), WRONG);
        assert_eq!(give(&mut stranger, "000000").seen(), NOBODY);
        let options = stranger.post("/login/passkey/options", &json!({}));
        assert_eq!(options.json()["publicKey"]["allowCredentials"], json!([]));
    }
}

// Proves: R2, J1, J2
#[test]
fn a_passkey_is_a_second_factor_and_a_login_of_its_own() {
    let server = place().serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    let mut passkey = add_passkey(&mut alice);
    assert_eq!(
        alice.get("/session/data").seen(),
        (200, "{}"),
        "out of sight"
    );
    let hidden = json!({ "jackline:passkey": "x" });
    let patched = alice.send_safely(Method::PATCH, "/session/data", Some(&hidden));
    assert_eq!(patched.status, 400);

    let mut new = Browser::new(&server);
    assert_eq!(new.log_in().text, asked(&["passkey", "recovery"]));
    let options = done(&mut new, "/login/passkey/options", &json!({}));
    assert!(passkey.is_asked_for(&options));
    assert_eq!(options["publicKey"]["rpId"], "app.example.com");
    assert_eq!(options["publicKey"]["userVerification"], "required");
    let answer = passkey.answer(&options);
    assert_eq!(post(&mut new, "/login/passkey", &answer).seen(), DONE);
    assert_eq!(new.get("/profile").status, 200);

    let mut bare = Browser::new(&server);
    // Without a session there is no token, and the answer needs the one that the question began.
    let options = bare.post("/login/passkey/options", &json!({})).json();
    let answer = passkey.answer(&options);
    assert_eq!(bare.post("/login/passkey", &answer).status, 403);
    // A question is answered once, however many come at once with the right answer.
    let (token, cookies) = (bare.csrf_token(), bare.cookies.clone());
    let statuses = at_once(8, |_| {
        let mut browser = Browser::new(&server);
        browser.cookies.clone_from(&cookies);
        let headers = &mut browser.headers;
        headers.insert("x-csrf-token".to_owned(), token.clone());
        let status = browser.post("/login/passkey", &answer).status;
        (status, browser.get("/profile").status)
    });
    let heard: Vec<_> = statuses.iter().filter(|both| both.0 == 200).collect();
    assert_eq!(heard, [&(200, 200)], "{statuses:?}");

    // Whatever is not as it was asked.
    let mut refuse = |spoil: &dyn Fn(&mut Passkey, &mut Value)| {
        let mut browser = Browser::new(&server);
        let options = browser.post("/login/passkey/options", &json!({})).json();
        let (count, origin) = (passkey.count, passkey.origin.clone());
        let mut spoiled = options.clone();
        spoil(&mut passkey, &mut spoiled);
        let answer = passkey.answer(&spoiled);
        (passkey.count, passkey.origin, passkey.verifies) = (count, origin, true);
        assert_eq!(post(&mut browser, "/login/passkey", &answer).seen(), WRONG);
        // And it was asked once: the right answer comes too late.
        let answer = passkey.answer(&options);
        assert_eq!(post(&mut browser, "/login/passkey", &answer).seen(), WRONG);
    };
    refuse(&|passkey, _| passkey.verifies = false);
    refuse(&|passkey, _| passkey.origin = "https://app.example.com.evil.example".to_owned());
    refuse(&|_, options| options["publicKey"]["challenge"] = "AAAA".into());
    passkey.count = 7;
    let mut browser = Browser::new(&server);
    let options = browser.post("/login/passkey/options", &json!({})).json();
    let answer = passkey.answer(&options);
    assert_eq!(post(&mut browser, "/login/passkey", &answer).seen(), DONE);
    let mut copied = Browser::new(&server);
    let options = copied.post("/login/passkey/options", &json!({})).json();
    let answer = passkey.answer(&options);
    assert_eq!(
        post(&mut copied, "/login/passkey", &answer).seen(),
        WRONG,
        "a counter that does not grow is a copy"
    );
}

// Proves: R2
#[test]
fn a_question_for_one_purpose_is_no_question_for_another_and_one_credential_is_one_users() {
    let place = place();
    let added = place.run_with_input(&["user", "add", "bob"], "quoins-kelp-and-buoys\n");
    assert!(added.status.success(), "{}", added.stderr);
    let server = place.serve();
    let (mut alice, mut bob) = (Browser::new(&server), Browser::new(&server));
    alice.log_in();
    bob.log_in_as("bob", "quoins-kelp-and-buoys");
    let passkey = add_passkey(&mut alice);
    // Bob asks, and alice's passkey answers: to log in, which is another session, or to prove that he is bob.
    let options = done(&mut bob, "/login/passkey/options", &json!({}));
    let answer = json!({ "passkey": passkey.answer(&options) });
    assert_eq!(post(&mut bob, "/reauth", &answer).seen(), WRONG);
    let none = post(&mut bob, "/reauth/passkey/options", &json!({}));
    assert_eq!(none.status, 404, "he has none");
    let his = add_passkey(&mut bob);
    let options = done(&mut bob, "/reauth/passkey/options", &json!({}));
    assert!(his.is_asked_for(&options) && !passkey.is_asked_for(&options));
    let answer = json!({ "passkey": passkey.answer(&options) });
    assert_eq!(post(&mut bob, "/reauth", &answer).seen(), WRONG);
    let options = done(&mut bob, "/reauth/passkey/options", &json!({}));
    let answer = json!({ "passkey": his.answer(&options) });
    assert_eq!(
        post(&mut bob, "/reauth", &answer).seen(),
        (200, r#"{"ok":true}"#)
    );
    // A registration is asked for as such.
    let options = done(&mut bob, "/login/passkey/options", &json!({}));
    let (_, made) = Passkey::make(&options, ORIGIN);
    let made = json!({ "credential": made });
    assert_eq!(post(&mut bob, "/factors/passkeys", &made).status, 409);
    assert_eq!(
        bob.get("/factors").json()["factors"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

// Proves: R2, S39, J4
#[test]
fn a_change_of_factors_needs_a_fresh_login_and_ends_the_others_and_logins_under_way() {
    let server = place().serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    // A session that turns up in another browser must prove itself, however fresh it is.
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    let headers = &mut alice.headers;
    headers.insert("user-agent".to_owned(), firefox.to_owned());
    for (method, path) in [
        (Method::POST, "/factors/totp"),
        (Method::POST, "/factors/totp/confirm"),
        (Method::POST, "/factors/passkeys/options"),
        (Method::POST, "/factors/recovery-codes"),
        (Method::DELETE, "/factors/x"),
    ] {
        let body = json!({ "id": "x", "code": "x" });
        let refused = alice.send_safely(method, path, Some(&body));
        assert_eq!(
            refused.seen(),
            (401, r#"{"error":"Recent authentication required"}"#),
            "{path}"
        );
    }
    let (mut here, mut there) = (Browser::new(&server), Browser::new(&server));
    here.log_in();
    there.log_in();
    let (mut app, _) = add_app(&mut here);
    assert_eq!(
        there.get("/profile").status,
        401,
        "it knew the password alone"
    );
    // A login that waits while factors change must begin anew.
    let mut waiting = Browser::new(&server);
    assert_eq!(waiting.log_in().status, 200);
    let codes = codes(&done(&mut here, "/factors/recovery-codes", &json!({})));
    let refused = give(&mut waiting, &app.next_code());
    assert_eq!(refused.seen(), (401, r#"{"error":"Please log in again"}"#));
    assert_eq!(waiting.get("/profile").status, 401);
    waiting.log_in();
    assert_eq!(give(&mut waiting, &codes[0]).status, 200);

    let id = here.get("/factors");
    assert_eq!(id.status, 200);
    let id = id.json()["factors"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/factors/{id}");
    assert_eq!(here.send_safely(Method::DELETE, &path, None).status, 200);
    assert_eq!(waiting.get("/profile").status, 401);
    assert_eq!(Browser::new(&server).log_in().seen(), DONE);
}

// Proves: R2, S39
#[test]
fn whatever_the_account_has_proves_again_who_is_logged_in() {
    let server = place().serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    let (mut app, codes) = add_app(&mut alice);
    let passkey = add_passkey(&mut alice);
    let mut prove = |proof: &Value| {
        let before = alice.cookies["sid"].clone();
        let answer = post(&mut alice, "/reauth", proof);
        (answer.text, alice.cookies["sid"] != before)
    };
    let ok = |text: &str| (text.to_owned(), true);
    assert_eq!(
        prove(&json!({ "password": PASSWORD })),
        ok(r#"{"ok":true}"#)
    );
    assert_eq!(
        prove(&json!({ "code": app.next_code() })),
        ok(r#"{"ok":true}"#)
    );
    assert_eq!(
        prove(&json!({ "code": codes[5] })),
        ok(r#"{"ok":true,"recoveryCodesLeft":9}"#)
    );
    let wrong = (WRONG.1.to_owned(), false);
    assert_eq!(prove(&json!({ "code": codes[5] })), wrong);
    let two = json!({ "password": PASSWORD, "code": codes[6] });
    let neither = (r#"{"error":"Invalid request body"}"#.to_owned(), false);
    assert_eq!(prove(&two), neither);
    assert_eq!(prove(&json!({})), neither);
    let options = done(&mut alice, "/reauth/passkey/options", &json!({}));
    let before = alice.cookies["sid"].clone();
    let answer = json!({ "passkey": passkey.answer(&options) });
    assert_eq!(post(&mut alice, "/reauth", &answer).text, r#"{"ok":true}"#);
    assert_ne!(alice.cookies["sid"], before);
}

// Proves: R2, S81
#[test]
fn guessing_codes_is_slow_however_often_the_password_is_right() {
    let mut place = place();
    place.set("JACKLINE_LOGIN_ATTEMPTS", "3");
    let server = place.serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    let (mut app, _) = add_app(&mut alice);
    let known = alice.at(&server);
    let mut refused = 0;
    for _ in 0..5 {
        let mut thief = Browser::new(&server);
        assert_eq!(thief.log_in().status, 200);
        let answer = give(&mut thief, "000000");
        match answer.status {
            401 => assert_eq!(refused, 0),
            _ => {
                assert_eq!(answer.seen(), (429, r#"{"error":"Too many attempts"}"#));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 2);
    // The owner's device is another matter.
    let mut owner = known;
    owner.post("/logout", &json!({}));
    assert_eq!(owner.log_in().status, 200);
    assert_eq!(give(&mut owner, &app.next_code()).seen(), DONE);
}

// Proves: R2
#[test]
fn a_check_of_the_live_server_knows_a_second_factor_when_it_meets_one_and_leaves_no_session() {
    let place = place();
    let server = place.serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    add_app(&mut alice);
    let url = format!("http://127.0.0.1:{}", server.port);
    let arguments = ["check", &url, "--username", "alice", "--password-stdin"];
    let ended = place.run_with_input(&arguments, &format!("{PASSWORD}\n"));
    let said = &ended.stdout;
    assert!(said.contains("this user has a second factor"), "{said}");
    assert!(!said.contains("the login does not last"), "{said}");
    server.wait_for_event("second_factor_required");
    // Also that which waited: what is left is alice's.
    let file = place.path().join("data/sessions.db");
    let count = "SELECT count(*) FROM sessions WHERE data NOT LIKE '%failed%'";
    let stored = rusqlite::Connection::open(file).unwrap();
    let left: i64 = stored.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

/// Every way in and every proof, once.
fn a_whole_round(place: &mut Place) {
    place.set("JACKLINE_PUBLIC_ORIGIN", ORIGIN);
    let server = place.serve();
    let mut alice = Browser::new(&server);
    assert_eq!(alice.log_in().seen(), DONE);
    let (mut app, codes) = add_app(&mut alice);
    let passkey = add_passkey(&mut alice);
    for code in [app.next_code(), codes[9].clone()] {
        let mut new = Browser::new(&server);
        // A visitor's data moves to the session that waits, and what waits is no data.
        assert_eq!(new.get("/views").json()["views"], 1);
        assert_eq!(new.log_in().text, asked(&["passkey", "totp", "recovery"]));
        assert_eq!(new.get("/session/data").text, r#"{"views":1}"#);
        assert_eq!(give(&mut new, &code).status, 200);
        assert_eq!(new.get("/profile").status, 200);
        assert_eq!(give(&mut new, &code).seen(), NOBODY);
    }
    let mut new = Browser::new(&server);
    let options = new.post("/login/passkey/options", &json!({})).json();
    assert_eq!(new.get("/session/data").text, "{}");
    let answer = passkey.answer(&options);
    assert_eq!(post(&mut new, "/login/passkey", &answer).seen(), DONE);
    let options = done(&mut new, "/reauth/passkey/options", &json!({}));
    let answer = json!({ "passkey": passkey.answer(&options) });
    assert_eq!(post(&mut new, "/reauth", &answer).status, 200);
    assert_eq!(new.get("/profile").status, 200);
}

// Proves: R2
#[test]
fn second_factors_work_on_each_store() {
    on_each_store(|on| a_whole_round(&mut on.place));
}

// Proves: R2, R3
#[test]
fn second_factors_work_behind_a_near_cache_encrypted_and_beside_express() {
    let secret = "5f1d7c0b9a3e8642d7f0c1b2a3948576e0d1c2b3a4958677869504132abcdef0";
    let mut near = on_redis();
    near.place.set("JACKLINE_NEAR_CACHE", "16MiB");
    a_whole_round(&mut near.place);
    let mut encrypted = place();
    encrypted.set("JACKLINE_ENCRYPTION_KEY", secret);
    a_whole_round(&mut encrypted);
    let mut shared = on_redis();
    shared.place.set("JACKLINE_KEYSPACE", "express");
    shared.place.set("SESSION_SECRET", secret);
    a_whole_round(&mut shared.place);
}

// Proves: R2
#[test]
fn an_app_outlives_the_signing_secret_that_it_was_added_under() {
    let (old, new, newest) = (
        "the-signing-secret-of-before-zqx-wvk-jhg-0123456789",
        "the-signing-secret-of-after-zqx-wvk-jhg-0123456789",
        "the-signing-secret-of-today-zqx-wvk-jhg-0123456789",
    );
    let mut place = place();
    place.set("SESSION_SECRET", old);
    let server = place.serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    let (mut app, _) = add_app(&mut alice);
    drop(server);
    place.set("SESSION_SECRET", new);
    place.set("SESSION_SECRET_PREVIOUS", old);
    // Started, and nobody has used the app.
    drop(place.serve());
    // Where an old secret must open no cookie any more, a command sees it and no server.
    place.set("SESSION_SECRET", newest);
    place.set("SESSION_SECRET_PREVIOUS", new);
    let listed = place.run(&["user", "list"]);
    assert!(listed.status.success(), "{}", listed.stderr);
    place.unset("SESSION_SECRET_PREVIOUS");
    let server = place.serve();
    let mut alice = Browser::new(&server);
    alice.log_in();
    assert_eq!(give(&mut alice, &app.next_code()).seen(), DONE);
}

// Proves: R2
#[test]
fn in_production_an_administrator_needs_a_second_factor_and_the_operator_gives_the_first() {
    let mut place = Place::new(&[]);
    let add = ["user", "add", "root", "--admin"];
    let password = "quoins-kelp-and-buoys";
    let added = place.run_with_input(&add, &format!("{password}\n"));
    assert!(added.status.success(), "{}", added.stderr);
    {
        let development = place.serve();
        let mut root = Browser::new(&development);
        assert_eq!(root.log_in_as("root", password).status, 200);
    }
    place.set("JACKLINE_ENV", "production");
    place.set("JACKLINE_TRUSTED_PROXIES", "127.0.0.1");
    place.set("JACKLINE_PUBLIC_ORIGIN", "https://app.example.com");
    place.set(
        "SESSION_SECRET",
        "an-administrators-secret-zqx-wvk-jhg-pdf-0123456789",
    );
    let server = place.serve();
    let mut root = Browser::new(&server);
    root.headers
        .insert("x-forwarded-proto".to_owned(), "https".to_owned());
    let refused = root.log_in_as("root", password);
    assert_eq!(refused.status, 403, "{refused:?}");
    let told = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(told.contains("jackline user recovery-codes"), "{told}");
    assert_eq!(root.get("/profile").status, 401);
    let event = server.wait_for_event("login_failure");
    assert_eq!(event["reason"], "no_second_factor");
    assert_eq!(root.log_in_as("root", "wrong-horse").seen(), WRONG);

    let printed = place.run(&["user", "recovery-codes", "root"]);
    assert!(printed.status.success(), "{}", printed.stderr);
    let code = printed.stdout.lines().next().unwrap();
    assert_eq!(root.log_in_as("root", password).text, asked(&["recovery"]));
    assert_eq!(give(&mut root, code).status, 200);
    assert_eq!(root.get("/profile").status, 200);
    let passkey = add_passkey(&mut root);
    let listed = root.get("/factors").json();
    let path = format!("/factors/{}", listed["factors"][0]["id"].as_str().unwrap());
    let kept = root.send_safely(Method::DELETE, &path, None);
    assert_eq!(kept.status, 409, "{kept:?}");
    // A passkey is both factors in one.
    let mut other = Browser::new(&server);
    other.headers.clone_from(&root.headers);
    let options = other.post("/login/passkey/options", &json!({})).json();
    let answer = passkey.answer(&options);
    assert_eq!(post(&mut other, "/login/passkey", &answer).status, 200);
    assert_eq!(other.get("/profile").status, 200);
}
