//! Strangers are cheap, an untouched session costs nothing, and what is touched costs one round trip each way.

use axum::Router;
use axum::routing::get;
use http::header::COOKIE;
use http::{HeaderValue, Method};
use jackline::lifecycle::Role;
use jackline::{LazySession, Session, SessionError};
use serde_json::json;

use crate::site::{HOUR, MINUTE, STEP, Site, owner, param};

// Proves: J9, T4.2
#[tokio::test]
async fn a_visitor_who_sets_nothing_gets_no_cookie_and_no_record() {
    let site = Site::new();
    let mut visitor = site.browser();
    for path in ["/", "/data", "/me", "/sensitive", "/no-such-page"] {
        let answer = visitor.get(path).await;
        assert!(answer.keeps_cookie(), "{path}: {answer:?}");
    }
    for path in ["/logout", "/set?a=1", "/step-up"] {
        let answer = visitor.post(path).await;
        assert!(answer.keeps_cookie(), "{path}: {answer:?}");
    }
    assert_eq!(site.spy.calls(), [""; 0]);
    assert!(site.memory.is_empty());
}

// Proves: J9, T4.2
#[tokio::test]
async fn asking_and_removing_store_nothing_for_a_visitor() {
    let routes = Router::new().route(
        "/ask",
        get(|session: Session| async move {
            let _: Option<u8> = session.get("a")?;
            session.remove("a")?;
            session.clear()?;
            session.rotate()?;
            assert!(session.handle().is_none());
            assert!(session.ends_at().is_none());
            assert!(session.expired().is_none());
            Ok::<_, SessionError>(session.data_json())
        }),
    );
    let site = Site::serving(routes);
    let answer = site.browser().get("/ask").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert!(answer.keeps_cookie());
    assert_eq!(site.spy.calls(), [""; 0]);
}

// Proves: J9
#[tokio::test]
async fn an_untouched_session_costs_no_store_call_whatever_the_cookie() {
    let routes = Router::new().route("/lazy", get(|_: LazySession| async { "not looked at" }));
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    site.spy.reset();
    // However long ago the last use was: what does not look does not renew.
    site.wait(STEP * 5);
    for path in ["/", "/lazy", "/no-such-page"] {
        let answer = alice.get(path).await;
        assert!(answer.keeps_cookie());
        assert_eq!(answer.header("vary"), None);
        assert_eq!(answer.header("cache-control"), None);
    }
    assert_eq!(site.spy.calls(), [""; 0]);
}

// Proves: J9, S7, S2
#[tokio::test]
async fn cookies_that_cannot_be_ours_cost_no_store_call_and_make_a_stranger() {
    let site = Site::new();
    let alice = site.logged_in("alice").await;
    let good = alice.cookie().unwrap();
    let other = site.logged_in("bob").await.cookie().unwrap();
    let (id, signature) = good.split_once('.').unwrap();
    let (_, other_signature) = other.split_once('.').unwrap();
    let flipped = {
        let mut bytes = id.as_bytes().to_vec();
        let last = bytes.last_mut().unwrap();
        *last = if *last == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    site.spy.reset();

    let forgeries: Vec<Vec<u8>> = [
        String::new(),
        "s".into(),
        "s:".into(),
        "s%3A".into(),
        "s%3A.".into(),
        ".".into(),
        id.to_owned(),
        format!("{id}."),
        format!(".{signature}"),
        format!("{id}.{other_signature}"),
        format!("{flipped}.{signature}"),
        format!("{good}x"),
        format!("{good}%00"),
        good.replace("s%3A", "j%3A"),
        good.replace("s%3A", "S%3A"),
        good.to_lowercase(),
        format!("{id}.{}", "A".repeat(43)),
        "' OR 1=1 --".into(),
        "s%3A'%3B DROP TABLE sessions%3B--.x".into(),
        "../../etc/passwd".into(),
        "%".repeat(400),
        "%00%00%00".into(),
        "s%3A%0D%0ASet-Cookie: sid=1.x".into(),
        "A".repeat(4093),
        "A".repeat(60_000),
        format!("s%3A{}.{signature}", "A".repeat(5000)),
        "null".into(),
        "undefined".into(),
        "[object Object]".into(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .chain([vec![0xff, 0xfe, 0x80], "s%3Aünïcode.x".into()])
    .collect();
    for forged in forgeries {
        let mut header = b"sid=".to_vec();
        header.extend(&forged);
        let shown = String::from_utf8_lossy(&forged);
        for path in ["/data", "/me", "/sessions", "/"] {
            let mut stranger = site.browser();
            let mut request = stranger.request(Method::GET, path);
            let header = HeaderValue::from_bytes(&header).unwrap();
            request.headers_mut().insert(COOKIE, header);
            let answer = stranger.send(request).await;
            let expected = if path == "/me" || path == "/sessions" {
                401
            } else {
                200
            };
            assert_eq!(answer.status, expected, "{path} {shown}");
            assert!(answer.keeps_cookie(), "{path} {shown}");
        }
    }
    assert_eq!(site.spy.calls(), [""; 0]);
}

// Proves: J9, S4, T4.2
#[tokio::test]
async fn a_forger_who_writes_gets_a_session_of_their_own() {
    let site = Site::new();
    let mut forger = site.browser();
    forger.plant("s%3Amade-up-by-the-client.signature");
    let answer = forger.get("/views").await;
    assert_eq!(answer.json(), json!({ "views": 1 }));
    assert!(answer.gives_cookie());
    assert_ne!(
        forger.cookie().as_deref(),
        Some("s%3Amade-up-by-the-client.signature")
    );
    assert_eq!(site.spy.calls(), ["create"]);
}

// Proves: J9
#[tokio::test]
async fn unsafe_requests_of_strangers_cost_no_store_call() {
    let site = Site::new();
    for forged in [None, Some("s%3Aforged.forged")] {
        let mut stranger = site.browser();
        if let Some(forged) = forged {
            stranger.plant(forged);
        }
        let answer = stranger.submit_with("/set?a=1", "made-up-token").await;
        assert_eq!(answer.status, 403);
        assert!(answer.keeps_cookie());
    }
    assert_eq!(site.spy.calls(), [""; 0]);
}

// Proves: J9
#[tokio::test]
async fn what_is_in_the_near_cache_is_read_without_a_round_trip_and_changed_in_one() {
    let site = Site::new().beside_with_a_near_cache();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    for (path, calls) in [
        ("/set?a=1", &["commit"]),
        ("/remove?name=a", &["commit"]),
        ("/rotate", &["rotate"]),
    ] {
        // What was changed is not kept, and the next read brings it.
        assert_eq!(alice.get("/data").await.status, 200);
        site.spy.reset();
        for path in ["/data", "/me"] {
            assert_eq!(alice.get(path).await.status, 200);
        }
        assert_eq!(site.spy.calls(), [""; 0]);
        assert_eq!(alice.submit_with(path, &token).await.status, 200);
        assert_eq!(site.spy.calls(), calls, "{path}");
    }
}

// Proves: J9, T4.3
#[tokio::test]
async fn a_read_is_one_round_trip_and_a_write_is_two() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let token = alice.csrf_token().await;
    for (path, calls) in [
        ("/data", &["load"][..]),
        ("/me", &["load"]),
        ("/csrf", &["load"]),
        ("/sensitive", &["load"]),
    ] {
        site.spy.reset();
        assert_eq!(alice.get(path).await.status, 200);
        assert_eq!(site.spy.calls(), calls, "{path}");
    }
    for (path, calls) in [
        ("/set?a=1&b=2&c=3", &["load", "commit"][..]),
        ("/remove?name=a", &["load", "commit"]),
        ("/rotate", &["load", "rotate"]),
    ] {
        site.spy.reset();
        assert_eq!(alice.submit_with(path, &token).await.status, 200);
        assert_eq!(site.spy.calls(), calls, "{path}");
    }
    site.spy.reset();
    assert_eq!(alice.get("/views").await.status, 200);
    assert_eq!(site.spy.calls(), ["load", "commit"]);
    site.spy.reset();
    alice.post("/logout").await;
    assert_eq!(site.spy.calls(), ["load", "end"]);
}

// Proves: J9
#[tokio::test]
async fn logins_cost_what_they_must() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.log_in("alice").await;
    assert_eq!(site.spy.calls(), ["epoch", "admit"]);
    site.spy.reset();
    browser.log_in("alice").await;
    assert_eq!(site.spy.calls(), ["load", "epoch", "admit"]);
    // A visitor's first write needs no look first.
    site.spy.reset();
    site.browser().get("/views").await;
    assert_eq!(site.spy.calls(), ["create"]);
}

// Proves: J9
#[tokio::test]
async fn a_session_is_loaded_once_however_many_ask() {
    let routes = Router::new().route(
        "/many",
        get(|lazy: LazySession, first: Session| async move {
            first.insert("seen", "by all")?;
            let (second, third) = tokio::join!(lazy.load(), lazy.load());
            for session in [second?, third?] {
                assert_eq!(session.get::<String>("seen")?.as_deref(), Some("by all"));
            }
            Ok::<_, SessionError>("")
        }),
    );
    let site = Site::serving(routes);
    let mut alice = site.logged_in("alice").await;
    site.spy.reset();
    assert_eq!(alice.get("/many").await.status, 200);
    assert_eq!(site.spy.calls(), ["load", "commit"]);
}

// Proves: T4.3
#[tokio::test]
async fn the_cookie_is_sent_again_only_when_a_renewal_is_due() {
    let site = Site::new();
    let mut alice = site.logged_in("alice").await;
    let cookie = alice.cookie();
    site.wait(STEP - std::time::Duration::from_millis(1));
    assert!(alice.get("/me").await.keeps_cookie());
    site.wait(std::time::Duration::from_millis(1));
    let answer = alice.get("/me").await;
    assert!(answer.gives_cookie());
    assert!(answer.set_cookies()[0].contains("Max-Age=1800"));
    assert_eq!(alice.cookie(), cookie, "a renewal is no rotation");
    assert!(alice.get("/me").await.keeps_cookie());
    site.wait(STEP);
    assert!(alice.get("/me").await.gives_cookie());
    assert_eq!(
        site.spy.count("commit"),
        0,
        "a renewal is no write of its own"
    );
}

// Proves: T4.5, J3
#[tokio::test]
async fn visits_are_counted_per_session() {
    let site = Site::new();
    let (mut alice, mut bob) = (site.browser(), site.browser());
    for n in 1..=3 {
        assert_eq!(alice.get("/views").await.json(), json!({ "views": n }));
    }
    assert_eq!(bob.get("/views").await.json(), json!({ "views": 1 }));
}

// Proves: J9
#[tokio::test]
async fn data_that_grows_past_its_limit_is_refused_and_leaves_all_as_it_was() {
    let routes = Router::new().route(
        "/fill",
        get(|session: Session, uri: http::Uri| async move {
            let bytes = param(&uri, "bytes").unwrap().parse().unwrap();
            session.insert("filling", &"x".repeat(bytes))?;
            Ok::<_, SessionError>("")
        }),
    );
    let site = Site::with_routes(|engine| engine.max_data_bytes(1000), routes);
    let too_large = (413, "Session data too large".to_owned());
    let mut visitor = site.browser();
    assert_eq!(visitor.get("/fill?bytes=1000").await.refusal(), too_large);
    assert!(site.memory.is_empty());
    assert_eq!(visitor.get("/fill?bytes=900").await.status, 200);
    let before = visitor.data().await;
    assert_eq!(visitor.get("/fill?bytes=1000").await.refusal(), too_large);
    assert_eq!(visitor.data().await, before);
    assert_eq!(visitor.log_in("alice").await.status, 200);
}

// Proves: T4.3, J4
#[tokio::test]
async fn a_login_that_begins_with_looking_the_session_up_takes_two_steps() {
    let routes = Router::new().route(
        "/in",
        get(async |lazy: LazySession| {
            let (session, attempt) = lazy.begin_login(&owner("alice")).await?;
            let before = session.identity().map(|identity| identity.name.clone());
            session.log_in(attempt, "alice", Role::user())?;
            Ok::<_, SessionError>(format!("{before:?}"))
        }),
    );
    let site = Site::serving(routes);
    let mut browser = site.browser();
    assert_eq!(browser.get("/in").await.body, "None");
    assert_eq!(site.spy.calls(), ["epoch", "admit"]);
    site.spy.reset();
    assert_eq!(browser.get("/in").await.body, r#"Some("alice")"#);
    assert_eq!(site.spy.calls(), ["load_for_login", "admit"]);
    assert_eq!(browser.get("/me").await.status, 200);

    site.spy.fail_next(1);
    assert_eq!(browser.get("/in").await.status, 503);
    assert_eq!(browser.get("/me").await.status, 200);
}

// Proves: D9
#[tokio::test]
async fn what_ran_out_is_reclaimed_in_batches() {
    let site = Site::new();
    for _ in 0..5 {
        site.browser().get("/views").await;
    }
    site.wait(HOUR);
    let mut young = site.browser();
    young.get("/views").await;
    assert_eq!(site.engine.reclaim(3).await.unwrap(), 3);
    assert_eq!(site.engine.reclaim(3).await.unwrap(), 2);
    assert_eq!(site.engine.reclaim(3).await.unwrap(), 0);
    site.wait(MINUTE);
    assert_eq!(young.get("/views").await.json(), json!({ "views": 2 }));
}
