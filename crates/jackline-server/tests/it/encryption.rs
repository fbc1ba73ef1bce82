//! Encryption at rest, in the program: what people keep in a session stands nowhere in the store, keys are replaced without logging
//! anybody out, and there is no way back to plain text by mistake.

use serde_json::json;
use ureq::http::Method;

use crate::browser::Browser;
use crate::stores::{On, on_each_store};

const KEY: &str = "5f1d7c0b9a3e8642d7f0c1b2a3948576e0d1c2b3a4958677869504132abcdef0";
const NEWER: &str = "c0ffee1234567890abcdef0123456789fedcba98765432100123456789abcdef";
const KEPT: &str = "a-wish-that-nobody-else-may-read";

/// Everything that the store keeps, as bytes.
fn stored(on: &On) -> Vec<u8> {
    if on.redis.is_none() && on.postgres.is_some() {
        return on
            .sql("SELECT member_names, member_values FROM jackline.sessions")
            .into_bytes();
    }
    if on.redis.is_some() {
        let names = on.redis_cli(&["keys", "sess:*"]);
        let values = names.lines().map(|name| on.redis_cli(&["get", name]));
        return values.collect::<String>().into_bytes();
    }
    ["sessions.db", "sessions.db-wal"]
        .into_iter()
        .filter_map(|file| std::fs::read(on.place.path().join("data").join(file)).ok())
        .flatten()
        .collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

// Proves: R3
#[test]
fn what_people_keep_is_read_back_and_stands_nowhere_in_the_store() {
    on_each_store(|on| {
        on.place.be_patient();
        on.place.set("JACKLINE_ENCRYPTION_KEY", KEY);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        let wish = json!({ "wish": KEPT });
        let answer = browser.send_safely(Method::PATCH, "/session/data", Some(&wish));
        assert_eq!(answer.status, 200);
        for views in 1..=3 {
            assert_eq!(browser.get("/views").json()["views"], views);
        }
        let everything = stored(on);
        assert!(
            contains(&everything, "jackline:encrypted"),
            "looked in the right place"
        );
        assert!(!contains(&everything, KEPT));
        assert!(!contains(&everything, "wish"));
        let cookies = browser.cookies.clone();
        drop(program);

        on.place.set("JACKLINE_ENCRYPTION_KEY", NEWER);
        on.place.set("JACKLINE_ENCRYPTION_KEY_PREVIOUS", KEY);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.cookies = cookies;
        assert_eq!(browser.get("/session/data").json()["wish"], KEPT);
        assert_eq!(browser.get("/views").json()["views"], 4);
        let cookies = browser.cookies.clone();
        drop(program);

        // What has changed since is encrypted with the new key.
        on.place.unset("JACKLINE_ENCRYPTION_KEY_PREVIOUS");
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.cookies = cookies;
        assert_eq!(browser.get("/session/data").json()["wish"], KEPT);
    });
}

// Proves: R3, J7
#[test]
fn without_the_key_nobody_is_let_in_or_logged_out_and_nothing_is_written() {
    on_each_store(|on| {
        on.place.be_patient();
        on.place.set("JACKLINE_ENCRYPTION_KEY", KEY);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.log_in();
        assert_eq!(browser.get("/views").json()["views"], 1);
        let cookies = browser.cookies.clone();
        drop(program);

        for key in [None, Some(NEWER)] {
            match key {
                Some(key) => on.place.set("JACKLINE_ENCRYPTION_KEY", key),
                None => on.place.unset("JACKLINE_ENCRYPTION_KEY"),
            }
            let program = on.place.serve();
            let mut browser = Browser::new(&program);
            browser.cookies = cookies.clone();
            for path in ["/profile", "/views", "/session/data"] {
                let answer = browser.get(path);
                assert_eq!(answer.status, 503, "{path}");
                assert!(answer.set_cookies().is_empty(), "{path}");
            }
        }

        on.place.set("JACKLINE_ENCRYPTION_KEY", KEY);
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.cookies = cookies;
        assert_eq!(browser.get("/views").json()["views"], 2);
    });
}
