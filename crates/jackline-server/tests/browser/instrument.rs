//! The instrument itself: what other tests count, hear and switch off can be counted, heard and switched off.

use testkit::chromium::{Chromium, Colours, Screen, keys};

use crate::stranger::Stranger;

fn page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><title>A page</title><meta name=viewport content=\"width=device-width\">\
         <main><h1>A page</h1>{body}</main></html>"
    )
}

#[test]
fn what_a_content_policy_forbids_is_counted() {
    let stranger = Stranger::serve(
        "default-src 'none'; script-src 'self'; form-action 'self'",
        &[
            ("/good", page("<p>Nothing.</p>")),
            ("/script", page("<script>document.title = 'ran'</script>")),
            ("/style", page("<p style='color: red'>Red?</p>")),
            (
                "/image",
                page("<img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"),
            ),
            (
                "/form",
                page("<form action='http://localhost:9/'><button>Go</button></form>"),
            ),
        ],
    );
    let browser = Chromium::start();
    browser.open(&stranger.cross_site("/good"));
    browser.assert_quiet();
    for path in ["/script", "/style", "/image"] {
        browser.open(&stranger.cross_site(path));
        assert_eq!(browser.wait_for_violations(), 1, "{path}");
        assert_eq!(browser.title(), "A page");
    }
    browser.open(&stranger.cross_site("/form"));
    browser.click("button");
    assert_eq!(browser.wait_for_violations(), 1);
    assert_eq!(browser.url(), stranger.cross_site("/form"));
}

#[test]
#[should_panic(expected = "the console says")]
fn an_error_of_a_script_is_heard() {
    let failing = page("<script>nothing.is.here()</script>");
    let stranger = Stranger::serve("", &[("/", failing)]);
    let browser = Chromium::start();
    browser.open(&stranger.cross_site("/"));
    browser.assert_quiet();
}

#[test]
fn barriers_are_found_in_the_colours_in_which_they_are() {
    let pale = "<style>
            :root { color-scheme: light dark }
            body { background: #fff; color: #000 }
            @media (prefers-color-scheme: dark) { body { background: #222; color: #333 } }
        </style><p>Some text.</p>";
    let stranger = Stranger::serve(
        "",
        &[
            ("/good", page("<p>Nothing.</p>")),
            ("/nameless", page("<input name=q>")),
            ("/pale", page(pale)),
        ],
    );
    let browser = Chromium::start();
    let barriers = |path: &str, colours| {
        browser.colours(colours);
        browser.open(&stranger.cross_site(path));
        browser.barriers(env!("CARGO_TARGET_TMPDIR")).join("\n")
    };
    assert_eq!(barriers("/good", Colours::Light), "");
    assert_eq!(barriers("/good", Colours::Dark), "");
    assert!(barriers("/nameless", Colours::Light).starts_with("label (critical)"));
    assert_eq!(barriers("/pale", Colours::Light), "");
    assert!(barriers("/pale", Colours::Dark).starts_with("color-contrast (serious)"));
}

#[test]
fn scripts_off_is_off() {
    let writing = page(
        "<p></p><script>document.querySelector('p').textContent = 'on'</script><noscript>off</noscript>",
    );
    let stranger = Stranger::serve("", &[("/", writing)]);
    for (browser, seen) in [
        (Chromium::start(), "on"),
        (Chromium::start_without_scripts(), "off"),
    ] {
        for page in [stranger.cross_site("/"), stranger.same_site("/")] {
            browser.open(&page);
            let text = browser.page_text();
            assert_eq!(text.lines().last(), Some(seen), "{text}");
            assert_eq!(browser.run("return document.title;", &[]), "A page");
        }
    }
}

#[test]
fn a_phone_is_narrow_and_a_keyboard_is_enough() {
    let form = page(
        "<form action=/done><input name=a aria-label=A><button>Send</button></form>
         <div style='width: 700px'>Wide.</div>",
    );
    let stranger = Stranger::serve("", &[("/", form), ("/done", page(""))]);
    let browser = Chromium::start();
    browser.open(&stranger.cross_site("/"));
    assert!(!browser.is_too_wide());
    browser.tab_to("input");
    browser.press("hello");
    browser.tab_to("button");
    browser.leading_on(|browser| browser.press(keys::ENTER));
    assert_eq!(browser.url(), stranger.cross_site("/done?a=hello"));
    browser.screen(Screen::Phone);
    browser.open(&stranger.cross_site("/"));
    assert!(browser.is_too_wide());
    let picture = browser.screenshot();
    assert!(picture.starts_with(b"\x89PNG"));
}

#[test]
fn a_passkey_is_made_by_whom_it_asks_and_by_nobody_else() {
    let stranger = Stranger::serve("", &[("/", page(""))]);
    let browser = Chromium::start();
    browser.open(&stranger.same_site("/"));
    let authenticator = browser.add_authenticator();
    let make = || {
        browser.run_async(
            "const make = navigator.credentials.create({ publicKey: {
                 challenge: new Uint8Array(32), rp: { name: 'here' }, timeout: 1000,
                 user: { id: new Uint8Array(16), name: 'alice', displayName: 'alice' },
                 pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
                 authenticatorSelection: { residentKey: 'required', userVerification: 'required' } } });
             return await make.then(made => made.type, error => error.name);",
            &[],
        )
    };
    authenticator.user_is_verified(false);
    assert_eq!(make(), "NotAllowedError");
    assert!(authenticator.credentials().is_empty());
    authenticator.user_is_verified(true);
    assert_eq!(make(), "public-key");
    assert_eq!(authenticator.credentials().len(), 1);
    assert_eq!(authenticator.credentials()[0]["rpId"], "localhost");
}

/// "ahoy".
const AHOY: [&str; 21] = [
    "#######..#..#.#######",
    "#.....#.#..#..#.....#",
    "#.###.#..#....#.###.#",
    "#.###.#.#..#..#.###.#",
    "#.###.#...###.#.###.#",
    "#.....#.###.#.#.....#",
    "#######.#.#.#.#######",
    "..........###........",
    "#####.####..##.#.#.#.",
    ".##.#....#..#..#....#",
    "##..#####..#.#..#.##.",
    "##.###....#....#####.",
    ".#.#.##..#.#.#..#....",
    "........#..####..#..#",
    "#######.#.#.#.##.#.#.",
    "#.....#..######..##..",
    "#.###.#.###.#..#.#.#.",
    "#.###.#.#.#.#..#.....",
    "#.###.#.####.#..###..",
    "#.....#.###....##.#..",
    "#######.#..#.#..#.##.",
];

#[test]
fn a_qr_code_is_read_as_it_is_shown_whatever_the_policy_forbids() {
    let dark = AHOY.iter().enumerate().flat_map(|(y, row)| {
        let dark = row.char_indices().filter(|(_, module)| *module == '#');
        dark.map(move |(x, _)| format!("M{} {}h1v1h-1z", x + 4, y + 4))
    });
    let drawn = format!(
        "<svg viewBox='0 0 29 29' width=200 height=200><path fill=white d='M0 0h29v29H0z'/><path d='{}'/></svg>",
        dark.collect::<String>()
    );
    let page = page(&drawn);
    let stranger = Stranger::serve("default-src 'none'", &[("/", page)]);
    let browser = Chromium::start();
    browser.open(&stranger.cross_site("/"));
    assert_eq!(browser.read_qr("svg"), "ahoy");
}
