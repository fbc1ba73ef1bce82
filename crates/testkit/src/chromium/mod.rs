//! Chromium, as a person has it in front of them: without a window, with an empty profile, driven over WebDriver by way of Debian's
//! `chromedriver`. Both end with the test, killed or not.
//!
//! The protocol is spoken here, in the few lines of `driver.rs`, and not by a crate. Of the two clients that are kept, one brings a
//! licence that `deny.toml` does not allow, and the other switches on a feature of `serde_json` that changes the order of a map: the
//! tests would look at a server that answers otherwise than the one that is shipped.
//!
//! A method panics when the browser cannot do what it is told, such as clicking what is not there.

mod axe;
mod devtools;
mod driver;
mod page;
mod passkeys;
mod qr;

use serde_json::{Value, json};

use crate::certificates::Certificates;
use crate::process::on_path;
use driver::Driver;

pub use devtools::{Colours, Message, Screen, Stored};
pub use page::keys;
pub use passkeys::Authenticator;

/// What the browser is started with. Sandboxes of its own need rights that root in a container does not have, and nothing is to be
/// fetched that no page asked for.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    // They would be in the pictures, and change how wide a page is.
    "--hide-scrollbars",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one tab.
#[derive(Debug)]
pub struct Chromium {
    driver: Driver,
    /// The path of the session that the driver keeps for this browser.
    session: String,
}

impl Chromium {
    /// A browser with nothing in its profile.
    ///
    /// # Panics
    /// If there is no `chromedriver` or no Chromium.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[], true)
    }

    /// One that believes these certificates, as if somebody had put their authority into the system's list.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_trusting(certificates: &Certificates) -> Self {
        // Not `acceptInsecureCerts`, with which a page counts as insecure and passkeys are refused.
        let pin = certificates.server_pin();
        Self::start_with(
            &[format!("--ignore-certificate-errors-spki-list={pin}")],
            true,
        )
    }

    /// One whose owner has switched scripts off, for all sites. What a test runs does run.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_without_scripts() -> Self {
        Self::start_with(&[], false)
    }

    fn start_with(more: &[String], scripts: bool) -> Self {
        let driver = Driver::start();
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(ToString::to_string).collect();
        arguments.push(format!("--user-data-dir={}", driver.profile().display()));
        arguments.extend_from_slice(more);
        let mut options = json!({ "args": arguments });
        // Where it has another name, the driver knows where to look.
        if let Some(program) = on_path("chromium") {
            options["binary"] = json!(program);
        }
        if !scripts {
            // As in the browser's settings: 2 is "blocked".
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let made = driver
            .post("/session", &wanted)
            .unwrap_or_else(|refusal| panic!("Chromium does not start: {refusal}"));
        let session = format!("/session/{}", made["sessionId"].as_str().unwrap());
        let browser = Self { driver, session };
        browser.screen(Screen::Desktop);
        browser
    }

    /// Goes to an address, as if it had been typed, and waits until its page is there.
    pub fn open(&self, url: &str) {
        self.tell("/url", &json!({ "url": url }));
    }

    /// Goes back, as by the button.
    pub fn back(&self) {
        self.tell("/back", &json!({}));
    }

    /// Asks for the page again.
    pub fn reload(&self) {
        self.tell("/refresh", &json!({}));
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.ask("/url").as_str().unwrap().to_owned()
    }

    /// What stands on the tab.
    #[must_use]
    pub fn title(&self) -> String {
        self.ask("/title").as_str().unwrap().to_owned()
    }

    fn tell(&self, command: &str, body: &Value) -> Value {
        self.try_to(command, body)
            .unwrap_or_else(|refusal| panic!("{command} {body}: {refusal}"))
    }

    fn try_to(&self, command: &str, body: &Value) -> Result<Value, driver::Refusal> {
        self.driver
            .post(&format!("{}{command}", self.session), body)
    }

    fn untell(&self, what: &str) {
        self.driver
            .delete(&format!("{}{what}", self.session))
            .unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
    }

    fn ask(&self, what: &str) -> Value {
        self.driver
            .get(&format!("{}{what}", self.session))
            .unwrap_or_else(|refusal| panic!("{what}: {refusal}"))
    }
}
