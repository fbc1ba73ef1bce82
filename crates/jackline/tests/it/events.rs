//! Security events: each transition exactly one, and no secret in them or in anything else that is logged.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use http::header::COOKIE;
use http::{HeaderMap, Method, StatusCode};
use jackline::cookie::{Keyring, SigningKey};
use jackline::csrf::CsrfKeys;
use jackline::engine::{Engine, Environment, Incoming};
use jackline::events::{EventHook, EventKind, Notice};
use jackline::lifecycle::Role;
use jackline::store::LOGGED_OUT_KEPT;
use jackline::store::memory::MemoryStore;
use jackline::token::{Bucket, SessionToken};
use jackline::{LazySession, Session, SessionError};

use crate::site::{ABSOLUTE, HOUR, Log, SECRET, STEP, Site, owner};

// Proves: S71, S72, T11.1
#[tokio::test]
async fn every_transition_in_a_sessions_life_is_exactly_one_event() {
    let site = Site::new();
    let log = Log::start();
    let mut browser = site.browser();
    browser.get("/").await;
    browser.get("/data").await;
    assert_eq!(log.events(), [""; 0], "a stranger passes by");

    browser.get("/csrf").await;
    assert_eq!(log.events(), ["session_created"]);
    browser.log_in("alice").await;
    assert_eq!(log.events(), ["login_success", "session_regenerated/login"]);
    browser.submit("/set?a=1").await;
    browser.get("/views").await;
    assert_eq!(log.events(), [""; 0], "data is the application's business");
    browser.submit("/rotate").await;
    assert_eq!(log.events(), ["session_regenerated/rotation"]);
    browser.submit("/step-up").await;
    assert_eq!(
        log.events(),
        ["reauth_success", "session_regenerated/step_up"]
    );
    site.wait(STEP);
    browser.get("/me").await;
    assert_eq!(log.events(), ["session_renewed"]);
    browser.log_in("alice").await;
    assert_eq!(log.events(), ["login_success", "session_regenerated/login"]);
    let mut replayed = browser.thief();
    browser.post("/logout").await;
    assert_eq!(log.events(), ["logout"]);
    browser.post("/logout").await;
    assert_eq!(log.events(), [""; 0], "there was nothing to end");
    replayed.post("/logout").await;
    assert_eq!(log.events(), ["session_rejected/logged_out"]);
    site.browser().log_in("bob").await;
    assert_eq!(log.events(), ["login_success", "session_created/login"]);
}

// Proves: T11.1, S69, S72
#[tokio::test]
async fn an_event_says_who_where_and_what() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let handle = alice.get("/sessions").await.json()[0]["handle"].clone();
    let log = Log::start();
    alice.post("/logout?reason=bored").await;
    let event = &log.security_events()[0];
    assert_eq!(event["event"], "logout");
    assert_eq!(event["owasp"], "session_expired");
    assert_eq!(event["user_id"], "id-of-alice");
    assert_eq!(event["ip"], "203.0.113.9");
    assert!(event["user_agent"].contains("Firefox"));
    assert_eq!(event["session"], handle.as_str().unwrap());
    assert_eq!(event["path"], "/logout", "without its query");
}

/// A hook that remembers what it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl EventHook for Heard {
    fn notice(&self, event: &Notice<'_>) {
        let mut said = event.kind.name().to_owned();
        if let Some(reason) = event.reason {
            said = format!("{said}/{reason}");
        }
        self.0.lock().unwrap().push(said);
    }
}

impl Heard {
    /// What it was told since this was last asked.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A hook that is broken.
#[derive(Debug)]
struct Broken;

impl EventHook for Broken {
    fn notice(&self, _: &Notice<'_>) {
        panic!("a hook that panics");
    }
}

// Proves: S45
#[tokio::test]
async fn a_hook_is_told_of_everything_that_the_log_is_told_of_whoever_else_panics() {
    let heard = Heard::default();
    let site = Site::with(|engine| engine.hook(Broken).hook(heard.clone()));
    let log = Log::start();
    let mut alice = site.browser();
    alice.get("/csrf").await;
    assert_eq!(alice.log_in("alice").await.status, 200);
    alice.submit("/rotate").await;
    alice.submit("/step-up").await;
    alice.submit_with("/set?a=1", "guess").await;
    alice.plant("nonsense");
    alice.get("/me").await;
    site.spy.fail_all(true);
    let mut bob = site.browser();
    assert_eq!(bob.post("/login?user=bob").await.status, 503);
    site.spy.fail_all(false);
    bob.log_in("bob").await;
    let mut elsewhere = bob.thief();
    elsewhere.address = "198.51.100.1".parse().unwrap();
    elsewhere.get("/sensitive").await;
    let stale = bob.cookie().unwrap();
    site.wait(ABSOLUTE);
    bob.get("/me").await;
    bob.plant(&stale);
    bob.log_in("bob").await;
    bob.post("/logout").await;
    site.engine.end_all(&owner("bob"), "test").await.unwrap();
    site.engine.event(EventKind::Startup).emit();

    let told = heard.take();
    assert_eq!(told, log.events());
    for kind in [
        "session_created",
        "login_success",
        "session_regenerated/step_up",
        "csrf_failure/invalid_token",
        "session_rejected/malformed",
        "store_unavailable/epoch",
        "store_recovered",
        "session_binding_changed/network",
        "reauth_required",
        "absolute_timeout/absolute",
        "session_use_after_expire/absolute",
        "sessions_revoked/test",
        "logout",
        "startup",
    ] {
        assert!(told.iter().any(|told| told == kind), "{kind} in {told:?}");
    }
}

/// A hook that keeps what one kind of event said.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<[Option<String>; 6]>>>);

impl EventHook for Kept {
    fn notice(&self, event: &Notice<'_>) {
        if event.kind == EventKind::AdminAction {
            self.0.lock().unwrap().push([
                event.ip.map(|ip| ip.to_string()),
                event.user_agent.map(str::to_owned),
                event.user_id.map(str::to_owned),
                event.session.map(ToString::to_string),
                event.target.map(str::to_owned),
                event.path.map(str::to_owned),
            ]);
        }
    }
}

// Proves: S45, S69, J6
#[tokio::test]
async fn a_hook_learns_who_where_and_what_and_so_does_the_log() {
    let kept = Kept::default();
    let routes = Router::new().route(
        "/disable",
        get(|session: Session| async move {
            session.require_role(&Role::admin())?;
            session.report_admin_action("user_disabled", "id-of-bob");
            Ok::<_, SessionError>("done")
        }),
    );
    let site = Site::with_routes(|engine| engine.hook(kept.clone()), routes);
    let mut admin = site.browser();
    admin.post("/login?user=root&role=admin").await;
    let handle = admin.get("/sessions").await.json()[0]["handle"].clone();
    let log = Log::start();
    admin.get("/disable?token=secret").await;
    let kept = kept.0.lock().unwrap().clone();
    let text = |text: &str| Some(text.to_owned());
    let [ip, agent, user, session, target, path] = &kept[0];
    assert_eq!(*ip, text("203.0.113.9"));
    assert!(agent.as_ref().unwrap().contains("Firefox"));
    assert_eq!(*user, text("id-of-root"));
    assert_eq!(*session, text(handle.as_str().unwrap()));
    assert_eq!(*target, text("id-of-bob"));
    assert_eq!(*path, text("/disable"), "without its query");
    let event = &log.security_events()[0];
    assert_eq!(event["owasp"], "authz_admin");
    assert_eq!(event["reason"], "user_disabled");
    assert_eq!(event["target"], "id-of-bob");
}

// Proves: S45
#[tokio::test]
async fn a_login_from_a_new_device_is_told_of_once_it_is_stored_and_not_if_it_is_refused() {
    async fn log_in(session: Session) -> Result<&'static str, SessionError> {
        let attempt = session.begin_login(&owner("alice")).await?;
        session.log_in(attempt, "alice", Role::user())?;
        session.note_new_device();
        Ok("welcome")
    }
    let heard = Heard::default();
    let site = Site::with_routes(
        |engine| engine.hook(heard.clone()),
        Router::new().route("/new-device", post(log_in)).route(
            "/too-late",
            get(|session: Session| async move {
                let attempt = session.begin_login(&owner("alice")).await?;
                session.log_in(attempt, "alice", Role::user())?;
                session.note_new_device();
                // Everything of hers is revoked while this login is under way.
                session.require_recent_authentication()?;
                session.end_others().await?;
                Ok::<_, SessionError>("welcome")
            }),
        ),
    );
    let mut alice = site.browser();
    assert_eq!(alice.get("/too-late").await.status, 401);
    let told = heard.take();
    assert!(told.contains(&"login_revoked".to_owned()), "{told:?}");
    assert!(!told.contains(&"new_device".to_owned()), "{told:?}");
    let token = alice.csrf_token().await;
    heard.take();
    assert_eq!(alice.submit_with("/new-device", &token).await.status, 200);
    assert_eq!(
        heard.take(),
        ["login_success", "new_device", "session_regenerated/login"]
    );
    alice.log_in("alice").await;
    assert!(!heard.take().contains(&"new_device".to_owned()));
}

// Proves: S75, S2
#[tokio::test]
async fn each_kind_of_bad_cookie_is_one_event_with_its_reason() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let good = alice.cookie().unwrap();
    let bob = site.logged_in("bob").await.cookie().unwrap();
    let (id, _) = good.split_once('.').unwrap();
    let (_, other_signature) = bob.split_once('.').unwrap();
    let log = Log::start();
    for (cookies, reason) in [
        ("sid=nonsense".to_owned(), "malformed"),
        (format!("sid={}", "A".repeat(5000)), "oversize"),
        (format!("sid={id}.{other_signature}"), "forged"),
        (format!("sid={good}; sid={bob}"), "ambiguous"),
        (
            format!("sid=nonsense; sid={id}.{other_signature}; sid="),
            "forged",
        ),
    ] {
        // Where nobody looks at the session its cookie is good for nothing, and is not read.
        for (path, told) in [
            ("/", vec![]),
            ("/me", vec![format!("session_rejected/{reason}")]),
        ] {
            let mut request = alice.request(Method::GET, path);
            request
                .headers_mut()
                .insert(COOKIE, cookies.parse().unwrap());
            alice.send(request).await;
            assert_eq!(log.events(), told, "{path}");
        }
    }
    alice.post("/logout").await;
    log.events();
    alice.plant(&good);
    alice.get("/me").await;
    assert_eq!(log.events(), ["session_rejected/logged_out"]);
    site.wait(LOGGED_OUT_KEPT);
    alice.get("/me").await;
    assert_eq!(log.events(), ["session_rejected/unknown"]);
    let mut bob = site.logged_in("bob").await;
    log.events();
    bob.submit_with("/set?a=1", "guess").await;
    bob.post("/set?a=1").await;
    let events = log.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        events
            .iter()
            .all(|event| event.starts_with("csrf_failure/"))
    );
}

// Proves: J6, T11.2, S70, S48
#[tokio::test]
async fn no_secret_is_found_in_anything_that_is_logged_at_any_level() {
    let site = Site::new();
    let log = Log::start();
    let mut secrets = vec![SECRET.to_owned()];
    let mut alice = site.browser();
    secrets.push(alice.csrf_token().await);
    let mut note = |browser: &crate::site::Browser| {
        if let Some(cookie) = browser.cookie() {
            let (id, signature) = cookie.split_once('.').unwrap();
            secrets.push(id.trim_start_matches("s%3A").to_owned());
            secrets.push(signature.to_owned());
            secrets.push(cookie);
        }
    };
    note(&alice);
    alice.log_in("alice").await;
    note(&alice);
    let mut tokens = Vec::new();
    for path in ["/set?card=4111111111111111", "/rotate", "/step-up"] {
        let token = alice.csrf_token().await;
        alice.submit_with(path, &token).await;
        // Replayed after the rotation, and then with a wrong one.
        alice.submit_with(path, &token).await;
        alice.submit_with(path, &token[1..]).await;
        tokens.push(token[1..].to_owned());
        note(&alice);
    }
    // In a place where it does not belong.
    let cookie = alice.cookie().unwrap();
    alice.get(&format!("/me?sid={cookie}")).await;
    let mut request = alice.request(Method::GET, "/data");
    let twice = format!("sid={cookie}x; sid={cookie}");
    request.headers_mut().insert(COOKIE, twice.parse().unwrap());
    alice.send(request).await;
    // Failing in every way.
    site.spy.fail_all(true);
    for path in ["/me", "/views", "/csrf"] {
        alice.get(path).await;
    }
    site.spy.fail_all(false);
    let mut elsewhere = alice.thief();
    elsewhere.address = "198.51.100.1".parse().unwrap();
    elsewhere.get("/sensitive").await;
    site.wait(STEP);
    alice.get("/me").await;
    alice.plant(&cookie);
    site.wait(HOUR);
    alice.get("/me").await;
    alice.plant(&cookie);
    alice.get("/me").await;
    alice.log_in("alice").await;
    note(&alice);
    alice.submit("/sessions/end-others").await;
    alice.post("/logout").await;
    site.engine.end_all(&owner("alice"), "test").await.unwrap();

    let text = log.text();
    assert!(text.contains("session_binding_changed"), "{text}");
    assert!(text.contains("session_use_after_expire"), "{text}");
    secrets.extend(tokens);
    secrets.push("4111111111111111".to_owned());
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
}

// Proves: S76
#[tokio::test]
async fn a_user_agent_of_any_bytes_and_any_length_is_one_bounded_field() {
    let site = Site::new();
    let mut browser = site.browser();
    let log = Log::start();
    for bytes in [vec![0x80, 0xff, b'\t', b'"'], vec![b'A'; 100_000]] {
        let mut request = browser.request(Method::POST, "/login?user=alice");
        let value = http::HeaderValue::from_bytes(&bytes).unwrap();
        request.headers_mut().insert("user-agent", value);
        assert_eq!(browser.send(request).await.status, 200);
    }
    for event in log.security_events() {
        assert!(event["user_agent"].len() <= 512 * 3);
    }
}

// Proves: J6, T11.2
#[tokio::test]
async fn debug_output_of_what_holds_secrets_shows_none() {
    let routes = Router::new().route(
        "/debug",
        get(|lazy: LazySession, session: Session| async move {
            session.insert("card", "4111111111111111")?;
            let token = session.csrf_token()?;
            let attempt = session.begin_login(&owner("alice")).await?;
            let shown = format!(
                "{lazy:?} {session:?} {token:?} {attempt:?} {:?} {:?}",
                session.meta(),
                session.handle()
            );
            assert!(!shown.contains(token.expose()), "{shown}");
            Ok::<_, SessionError>(shown)
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    let cookie = alice.cookie().unwrap();
    let (id, signature) = cookie.trim_start_matches("s%3A").split_once('.').unwrap();
    let csrf = alice.csrf_token().await;
    let mut shown = alice.get("/debug").await.body;

    let (mut head, _) = alice.request(Method::POST, "/set").into_parts();
    let value = csrf.parse().unwrap();
    head.headers.insert("x-csrf-token", value);
    let incoming = Incoming {
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        connection: None,
    };
    shown += &format!("{incoming:?}");
    let lazy = site.engine.open(&incoming);
    let session = lazy.load().await.unwrap();
    session.rotate().unwrap();
    let changes = site.engine.finish(&lazy, StatusCode::OK).await;
    shown += &format!("{changes:?}");
    let mut headers = HeaderMap::new();
    changes.apply(&mut headers);
    let set = headers["set-cookie"].to_str().unwrap();
    let new_id = &set[8..43];
    shown += &format!("{headers:?}");

    let key = SigningKey::new(SECRET).unwrap();
    let ring = Keyring::new(key.clone()).with_previous(key.clone());
    let csrf_keys = CsrfKeys::derive(&[SECRET.as_bytes()]).unwrap();
    let builder =
        Engine::builder(MemoryStore::new(), ring.clone()).environment(Environment::Development);
    let random = [0x41; SessionToken::RANDOM_BYTES];
    let token = SessionToken::from_random(random, Bucket::from_random([0x41; 2]));
    shown += &format!(
        "{key:?} {ring:?} {csrf_keys:?} {builder:?} {:?} {token:?} {:?} {:?} {:?}",
        site.engine,
        token.key(),
        site.memory,
        jackline::SessionLayer::new(site.engine.clone()),
    );

    for secret in [
        SECRET,
        id,
        signature,
        &csrf,
        new_id,
        "QUFBQUFB",
        "65, 65, 65",
        "4111111111111111",
    ] {
        let found = shown.find(secret);
        let before = found.map(|at| &shown[at.saturating_sub(200)..at]);
        assert!(found.is_none(), "{secret} after {before:?}");
    }
}
