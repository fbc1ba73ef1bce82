//! Sessions that were shared with Express and have been re-keyed: they live under Express's cookie until they end or their token
//! changes, with every promise that others have.

use axum::Router;
use axum::routing::get;
use http::Method;
use jackline::cookie::{CookieForm, CookieSpec};
use jackline::engine::{Engine, Environment, Misconfigured, Mistake};
use jackline::lifecycle::{Record, SessionCap};
use jackline::store::memory::MemoryStore;
use jackline::store::{Admission, Loaded, Store as _};
use jackline::token::{Bucket, SessionKey};
use jackline::{Session, SessionError};

use crate::site::{ABSOLUTE, Browser, Gate, HOUR, IDLE, MINUTE, STEP, Site, keys, owner};

const OLD: &str = "connect.sid";

fn old_cookie() -> CookieSpec {
    CookieSpec::express(false)
}

fn site() -> Site {
    Site::with(|engine| engine.accept_express_cookie(old_cookie()))
}

/// Somebody who logged in while sessions were shared, and whose session has been re-keyed since.
async fn re_keyed(site: &Site) -> Browser {
    let express =
        site.beside(|engine| engine.cookie_form(CookieForm::Express).cookie(old_cookie()));
    let mut browser = express.logged_in("alice").await;
    browser.submit("/set?theme=dark").await;
    let cookie = browser.cookie().unwrap();
    let sid = cookie.strip_prefix("s%3A").unwrap().split('.').next();
    let key = SessionKey::express(sid.unwrap()).unwrap();
    let (memory, now, alice) = (&site.memory, site.now(), owner("alice"));
    let Loaded::Live { record, .. } = memory.load(&key, HOUR, now).await.unwrap() else {
        panic!("nobody is logged in");
    };
    memory.end(&key, Some(&alice), None, now).await.unwrap();
    let home = Bucket::of(&alice);
    let admission = Admission {
        key: &key.in_bucket(home),
        record: &record,
        owner: &alice,
        epoch: memory.epoch(&alice, now).await.unwrap(),
        cap: SessionCap::Unlimited,
        replaces: None,
    };
    memory.admit(&admission, now).await.unwrap();
    let signpost = Record::signpost(home, &record, now);
    memory.create(&key, &signpost).await.unwrap();
    browser.at(site)
}

fn named<'a>(cookies: &[&'a str], name: &str) -> Vec<&'a str> {
    let start = format!("{name}=");
    let all = cookies.iter().copied();
    all.filter(|cookie| cookie.starts_with(&start)).collect()
}

// Proves: J5, P1
#[tokio::test]
async fn it_is_used_and_renewed_under_its_old_cookie_until_its_limits() {
    let site = site();
    let mut alice = re_keyed(&site).await;
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    site.wait(STEP);
    let renewed = alice.get("/me").await;
    assert_eq!(named(&renewed.set_cookies(), OLD).len(), 1, "{renewed:?}");
    assert_eq!(renewed.set_cookies().len(), 1);
    let mut used = STEP;
    while used + MINUTE * 20 < ABSOLUTE {
        site.wait(MINUTE * 20);
        used += MINUTE * 20;
        assert_eq!(
            alice.user().await.as_deref(),
            Some("alice"),
            "after {used:?}"
        );
    }
    site.wait(ABSOLUTE - used);
    let over = alice.get("/me").await;
    assert_eq!(over.refusal().0, 401);
    assert!(over.removes_cookie(), "{over:?}");
    assert!(over.set_cookies()[0].starts_with(OLD));
    assert_eq!(site.sessions_of("alice").await, 0);
}

// Proves: J5
#[tokio::test]
async fn one_that_nobody_used_is_over_and_says_so() {
    let site = site();
    let mut alice = re_keyed(&site).await.hoarding();
    site.wait(IDLE);
    let over = alice.get("/me").await;
    assert_eq!(
        over.refusal(),
        (401, "Session expired".to_owned()),
        "{over:?}"
    );
    assert!(over.removes_cookie());
    assert_eq!(alice.hoarding().get("/me").await.status, 401);
}

// Proves: J1, J2, S5
#[tokio::test]
async fn a_new_token_travels_in_the_new_cookie_and_takes_the_old_one_away() {
    for path in ["/login?user=alice", "/rotate", "/step-up"] {
        let site = site();
        let mut alice = re_keyed(&site).await;
        let mut thief = alice.thief();
        let token = alice.csrf_token().await;
        let answer = alice.submit_with(path, &token).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let cookies = answer.set_cookies();
        assert_eq!(cookies.len(), 2, "{path}: {cookies:?}");
        assert!(named(&cookies, OLD)[0].contains("Max-Age=0"));
        assert!(named(&cookies, "sid")[0].contains("Max-Age=1800"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{path}");
        assert_eq!(thief.user().await, None, "{path}");
        assert_eq!(site.sessions_of("alice").await, 1, "{path}");
        let forged = alice.submit_with("/set?a=b", &token).await;
        assert_eq!(forged.status, 403, "the CSRF token died with the old token");
    }
}

// Proves: J2, S33
#[tokio::test]
async fn a_logout_removes_the_cookie_that_it_came_with() {
    let site = site();
    let mut alice = re_keyed(&site).await;
    let mut thief = alice.thief();
    let goodbye = alice.post("/logout").await;
    assert!(goodbye.removes_cookie(), "{goodbye:?}");
    assert!(goodbye.set_cookies()[0].starts_with(OLD));
    assert_eq!(goodbye.header("cache-control"), Some("no-store"));
    assert_eq!((alice.cookie(), thief.user().await), (None, None));
}

// Proves: J2, J10
#[tokio::test]
async fn what_was_under_way_when_its_token_changed_gives_no_cookie_and_writes_nothing() {
    let gate = Gate::default();
    let slow = {
        let gate = gate.clone();
        get(move |session: Session| async move {
            gate.pass().await;
            session.insert("late", "write")?;
            Ok::<_, SessionError>("written")
        })
    };
    let site = Site::with_routes(
        |engine| engine.accept_express_cookie(old_cookie()),
        Router::new().route("/slow", slow),
    );
    let mut alice = re_keyed(&site).await;
    let running = site.start(alice.request(Method::GET, "/slow"));
    gate.arrival().await;
    alice.log_in("alice").await;
    gate.open();
    let late = running.await.unwrap();
    assert_eq!((late.status, late.keeps_cookie()), (401, true), "{late:?}");
    // One that has been waiting since before, and begins a session of a visitor in the place of the dead one.
    let mut tab = re_keyed(&site).await;
    let old = tab.clone();
    tab.log_in("alice").await;
    let late = old.clone().get("/views").await;
    assert!(late.status == 401 && late.keeps_cookie(), "{late:?}");
}

// Proves: J9, J10, S20
#[tokio::test]
async fn it_is_believed_only_where_there_is_no_cookie_of_ours() {
    let site = site();
    let alice = re_keyed(&site).await;
    let old = alice.cookie().unwrap();
    let mut bob = site.logged_in("bob").await;
    let ours = bob.cookie().unwrap();
    for (cookies, who) in [
        (format!("{OLD}={old}; sid={ours}"), Some("bob")),
        (format!("{OLD}={old}; sid=s%3Agarbage.x"), None),
        (format!("{OLD}={old}; {OLD}=garbage"), Some("alice")),
        (format!("{OLD}=x{old}"), None),
        // Each form in its own cookie only.
        (format!("sid={old}"), None),
        (format!("{OLD}={ours}"), None),
    ] {
        let mut request = bob.request(Method::GET, "/me");
        let header = request.headers_mut().get_mut("cookie").unwrap();
        *header = cookies.parse().unwrap();
        let answer = bob.send(request).await;
        let name = (answer.status == 200).then(|| answer.json()["username"].clone());
        assert_eq!(name, who.map(Into::into), "{cookies}");
    }
    let mut elsewhere = alice.at(&site.beside(|engine| engine));
    assert_eq!(elsewhere.user().await, None, "only if it was asked for");
}

// Proves: J11
#[test]
fn a_cookie_that_could_not_be_told_from_ours_does_not_start() {
    let engine = || {
        Engine::builder(MemoryStore::new(), keys())
            .environment(Environment::Development)
            .accept_express_cookie(old_cookie())
    };
    assert!(engine().build().is_ok());
    for engine in [
        engine().cookie(old_cookie()),
        engine().cookie_form(CookieForm::Express),
    ] {
        let mistake = engine.build().unwrap_err();
        assert_eq!(mistake, Misconfigured(vec![Mistake::TwoCookiesInOne]));
    }
    let production = Engine::builder(crate::site::Nonsense, keys());
    let mistake = production.accept_express_cookie(old_cookie()).build();
    assert_eq!(
        mistake.unwrap_err(),
        Misconfigured(vec![Mistake::PlainHttpCookieInProduction])
    );
}
