//! What a page of somebody else's can do in the browser of a person who is logged in: send them here, and nothing else. From another site
//! the browser keeps the cookie back; from another origin of the same site it does not, and the program has to refuse.

use serde_json::json;
use testkit::browser::Site as _;
use testkit::chromium::Chromium;
use testkit::program::{Place, Program};

use crate::stranger::Stranger;
use crate::{log_in, send};

/// A form for each thing that an attacker may want done, as a page that lures somebody into a click.
fn lures(program: &Program) -> Vec<(&'static str, String)> {
    let form = |path: &str, kind: &str, fields: &str| {
        format!(
            "<!doctype html><form method=post enctype={kind} action='{}'>{fields}<button>Win</button></form>",
            program.url(path)
        )
    };
    // The spelling by which a form sends what is JSON to whoever does not look at the type.
    let json = "<input name='{\"username\":\"alice\",\"password\":\"correct-horse\",\"x\":\"' value='\"}'>";
    let fields = "<input name=username value=alice><input name=password value=correct-horse>";
    vec![
        ("/", "<!doctype html><p>Nothing.</p>".to_owned()),
        (
            "/logout",
            form("/logout", "application/x-www-form-urlencoded", ""),
        ),
        (
            "/end-others",
            form(
                "/sessions/end-others",
                "application/x-www-form-urlencoded",
                "",
            ),
        ),
        (
            "/login",
            form("/login", "application/x-www-form-urlencoded", fields),
        ),
        ("/login-json", form("/login", "text/plain", json)),
        (
            "/framed",
            format!(
                "<!doctype html><iframe src='{}'></iframe>",
                program.url("/profile")
            ),
        ),
    ]
}

/// Who is logged in, asked on a page of the program's own.
fn who(browser: &Chromium, program: &Program) -> (u64, serde_json::Value) {
    browser.open(&program.url("/"));
    send(browser, "GET", "/profile", &json!(null))
}

// Proves: S51, S57
#[test]
fn forms_of_other_origins_change_nothing_for_somebody_who_is_logged_in() {
    let program = Place::new(&[]).serve();
    let stranger = Stranger::serve("", &lures(&program));
    let browser = Chromium::start();
    browser.open(&program.url("/"));
    log_in(&browser, &program, "sid");
    let before = (browser.cookie("sid").value, who(&browser, &program));
    assert_eq!(before.1.0, 200);

    for lure in ["/logout", "/end-others", "/login", "/login-json"] {
        for page in [stranger.cross_site(lure), stranger.same_site(lure)] {
            browser.open(&page);
            browser.follow("button");
            assert!(browser.url().starts_with(&program.url("/")), "{page}");
            assert_eq!(browser.status(), 403, "{page}: {}", browser.page_text());
            program.wait_for_event("csrf_failure");
            let after = (browser.cookie("sid").value, who(&browser, &program));
            assert_eq!(after, before, "{page}");
        }
    }
}

// Proves: S51, S57, S66
#[test]
fn scripts_of_other_origins_change_nothing_and_read_nothing() {
    let program = Place::new(&[]).serve();
    let stranger = Stranger::serve("", &lures(&program));
    let browser = Chromium::start();
    browser.open(&program.url("/"));
    log_in(&browser, &program, "sid");
    let before = (browser.cookie("sid").value, who(&browser, &program));

    for page in [stranger.cross_site("/"), stranger.same_site("/")] {
        browser.open(&page);
        let tried = |method: &str, path: &str, mode: &str| {
            browser.run_async(
                "const [url, method, mode] = arguments_;
                 try {
                     const answer = await fetch(url, { method, mode, credentials: 'include' });
                     return [answer.type, answer.status, await answer.text()];
                 } catch (error) { return error.name; }",
                &[json!(program.url(path)), json!(method), json!(mode)],
            )
        };
        // Sent, whatever the page may see of the answer.
        tried("POST", "/logout", "no-cors");
        program.wait_for_event("csrf_failure");
        // Never sent: the browser asks first whether it may, and is not told so.
        assert_eq!(tried("DELETE", "/sessions/x", "cors"), "TypeError");
        // Not to be read, neither with CORS nor opaquely.
        for path in ["/profile", "/csrf-token", "/sessions"] {
            assert_eq!(tried("GET", path, "cors"), "TypeError", "{page}");
            let opaque = tried("GET", path, "no-cors");
            assert!(
                opaque == "TypeError" || opaque == json!(["opaque", 0, ""]),
                "{opaque}"
            );
        }
        // Nor as a frame.
        browser.open(&format!("{page}framed"));
        assert!(browser.wait_for_violations() > 0, "{page}");
        let after = (browser.cookie("sid").value, who(&browser, &program));
        assert_eq!(after, before, "{page}");
    }
}

// Proves: S60
#[test]
fn another_site_logs_no_visitor_in() {
    let program = Place::new(&[]).serve();
    let stranger = Stranger::serve("", &lures(&program));
    let browser = Chromium::start();
    for lure in ["/login", "/login-json"] {
        for page in [stranger.cross_site(lure), stranger.same_site(lure)] {
            browser.open(&page);
            browser.follow("button");
            assert_eq!(browser.status(), 403, "{page}: {}", browser.page_text());
            assert!(browser.cookies().is_empty(), "{page}");
        }
    }
}
