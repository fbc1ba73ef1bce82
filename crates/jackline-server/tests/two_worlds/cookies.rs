//! Cookies with ids that an Express app may choose, each spelled as strangers spell them.

use serde_json::json;
use testkit::browser::{Browser, Site};
use ureq::http::Method;

use crate::worlds::{COOKIE, Worlds, on_each_pair_and_among_expresses};

const HOSTILE: &[&str] = &[
    "a.b.c.with.dots",
    "...only.dots.before.and.after...",
    "per%cent%20and%zz%",
    "plus+and/slash=",
    "sp ace d id",
    r#""quoted" and 'quoted'"#,
    r"back\slash\\es",
    "semi;colon, comma",
    "s:prefix.of.its.own",
    "s%3Aprefix.of.its.own",
    "ünïcødé-日本語",
    "emoji-😀-👩‍👩‍👧",
    "tab\tand\nline",
    "nul\0and\u{7f}",
    "~!@#$^&*()_+{}|<>?`",
    "0123456789012345678901234567890123456789012345678901234567890123\
     0123456789012345678901234567890123456789012345678901234567890123",
];

/// A session of this id, made by Express.
fn with_id<'a>(worlds: &'a Worlds, id: &str) -> Browser<'a> {
    let mut browser = Browser::new(&*worlds.express);
    let encoded = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    browser.headers.insert("x-test-sid".to_owned(), encoded);
    assert_eq!(browser.get("/views").json(), json!({ "views": 1 }));
    browser.headers.clear();
    browser
}

fn views(side: &(dyn Site + Sync), cookie: &str) -> u64 {
    let mut browser = Browser::new(side);
    browser.cookies.insert(COOKIE.to_owned(), cookie.to_owned());
    browser.get("/views").json()["views"].as_u64().unwrap()
}

// Proves: S7
#[test]
fn ids_of_every_kind_mean_the_same_session_on_both_sides() {
    on_each_pair_and_among_expresses(|worlds| {
        for id in HOSTILE {
            println!("{id:?}");
            let mut browser = with_id(worlds, id);
            let cookie = browser.cookies[COOKIE].clone();
            let key = format!("sess:{id}");
            for views in [2, 4, 6] {
                browser.turn_to(&*worlds.jackline);
                assert_eq!(browser.get("/views").json(), json!({ "views": views }));
                browser.turn_to(&*worlds.express);
                assert_eq!(browser.get("/views").json(), json!({ "views": views + 1 }));
            }
            // What Jackline writes is what Express had written.
            browser.turn_to(&*worlds.jackline);
            let shortened: i64 = worlds.ask(&["PEXPIRE", &key, "60000"]);
            assert_eq!(shortened, 1);
            let answer = browser.get("/views");
            assert_eq!(answer.set_cookies().len(), 1, "{answer:?}");
            assert_eq!(browser.cookies[COOKIE], cookie);
        }
    });
}

// Proves: S2, S7
#[test]
fn other_spellings_of_a_cookie_mean_the_same_on_both_sides() {
    on_each_pair_and_among_expresses(|worlds| {
        let browser = with_id(worlds, "an-id.with-a-dot");
        let cookie = browser.cookies[COOKIE].clone();
        let plain = cookie
            .replace("%3A", ":")
            .replace("%2B", "+")
            .replace("%2F", "/");
        let good = [
            cookie.clone(),
            format!("\"{cookie}\""),
            plain.clone(),
            format!("\"{plain}\""),
            cookie.replace("an-id", "%61n-id"),
        ];
        let mut counted = 1;
        for spelling in good {
            for [side, _] in worlds.both_ways() {
                counted += 1;
                assert_eq!(views(side, &spelling), counted, "{spelling}");
            }
        }
        let (signed, signature) = cookie.rsplit_once('.').unwrap();
        let bad = [
            format!("{cookie}="),
            format!("{cookie}%3D"),
            cookie.replacen("s%3A", "", 1),
            cookie.replacen("s%3A", "S%3A", 1),
            cookie.replacen("an-id", "An-id", 1),
            format!("{signed}.{}", signature.to_lowercase()),
            signed.to_owned(),
            format!("{signed}."),
            format!("{cookie}%zz"),
        ];
        for spelling in bad {
            for [side, _] in worlds.both_ways() {
                // A session of its own, not that one.
                assert_eq!(views(side, &spelling), 1, "{spelling}");
            }
        }
        for [side, _] in worlds.both_ways() {
            counted += 1;
            assert_eq!(views(side, &cookie), counted);
        }
    });
}

// Proves: S4, S2
#[test]
fn a_signed_id_without_a_record_is_replaced_on_both_sides() {
    on_each_pair_and_among_expresses(|worlds| {
        for [side, _] in worlds.both_ways() {
            let mut browser = with_id(worlds, "signed-and-gone");
            let cookie = browser.cookies[COOKIE].clone();
            let gone: i64 = worlds.ask(&["DEL", "sess:signed-and-gone"]);
            assert_eq!(gone, 1);
            browser.turn_to(side);
            assert_eq!(browser.get("/views").json(), json!({ "views": 1 }));
            assert_ne!(browser.cookies[COOKIE], cookie);
            let back: i64 = worlds.ask(&["EXISTS", "sess:signed-and-gone"]);
            assert_eq!(back, 0);
            // Not even asked for by name.
            browser.cookies.insert(COOKIE.to_owned(), cookie);
            browser.send(Method::GET, "/profile", None);
            let back: i64 = worlds.ask(&["EXISTS", "sess:signed-and-gone"]);
            assert_eq!(back, 0);
        }
    });
}
