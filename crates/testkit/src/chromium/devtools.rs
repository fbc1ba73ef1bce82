//! What a person cannot reach: the cookies as the browser stored them, the messages in its console, and how it pretends to be a phone or
//! to have scripts switched off. By the DevTools protocol, where WebDriver has no word for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Chromium;
use crate::block_on;

/// How large the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Screen {
    Phone,
    Desktop,
    /// As narrow as a page has to bear without scrolling sideways (WCAG 2.2, 1.4.10): also a desktop, zoomed in fourfold.
    Narrowest,
}

impl Screen {
    fn pixels(self) -> (u32, u32) {
        match self {
            Self::Phone => (390, 844),
            Self::Desktop => (1280, 900),
            Self::Narrowest => (320, 256),
        }
    }
}

/// Which colours the person likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Colours {
    Light,
    Dark,
}

/// A cookie as the browser stored it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the protocol")]
pub struct Stored {
    pub name: String,
    pub value: String,
    /// Begins with a dot if it goes to subdomains as well.
    pub domain: String,
    pub path: String,
    pub http_only: bool,
    pub secure: bool,
    /// Ends with the browser.
    pub session: bool,
    /// Absent if the server did not say, whatever the browser then assumes.
    pub same_site: Option<String>,
}

/// A line in the browser's console.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    level: String,
    source: String,
    message: String,
}

impl Message {
    /// Whether it tells of something that the page's content policy forbade.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.message.contains("Content Security Policy")
            || self.message.contains("Permissions policy violation")
    }

    /// Whether it only repeats the status of an answer: not every page is a `200`, and the console has a line for each that is not.
    fn repeats_a_status(&self) -> bool {
        self.source == "network"
            && self
                .message
                .contains("the server responded with a status of")
    }
}

impl Chromium {
    /// All cookies, of all sites.
    #[must_use]
    pub fn cookies(&self) -> Vec<Stored> {
        let all = self.devtools("Network.getAllCookies", &json!({}));
        serde_json::from_value(all["cookies"].clone()).unwrap()
    }

    /// The one of this name.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Stored {
        let mut found = self.cookies();
        found.retain(|cookie| cookie.name == name);
        assert_eq!(found.len(), 1, "cookies of the name {name}: {found:?}");
        found.remove(0)
    }

    /// Loses a cookie of the site that is shown, as when its time has come.
    pub fn forget_cookie(&self, name: &str) {
        self.untell(&format!("/cookie/{name}"));
    }

    /// What the console has said since it was asked last, without the statuses of answers.
    #[must_use]
    pub fn console(&self) -> Vec<Message> {
        let lines = self.tell("/se/log", &json!({ "type": "browser" }));
        let lines: Vec<Message> = serde_json::from_value(lines).unwrap();
        lines
            .into_iter()
            .filter(|line| !line.repeats_a_status())
            .collect()
    }

    /// Waits until a content policy was broken, and says how often it was since the console was asked last.
    #[must_use]
    pub fn wait_for_violations(&self) -> usize {
        let mut violations = 0;
        block_on(crate::eventually("a violation", async || {
            let lines = self.console();
            violations += lines.iter().filter(|line| line.is_violation()).count();
            violations > 0
        }));
        violations
    }

    /// Nothing has been said in the console that somebody should look at.
    ///
    /// # Panics
    /// If there has.
    pub fn assert_quiet(&self) {
        let mut lines = self.console();
        lines
            .retain(|line| line.is_violation() || !matches!(line.level.as_str(), "INFO" | "DEBUG"));
        assert!(lines.is_empty(), "the console says: {lines:#?}");
    }

    /// Makes the window as large as this; a phone's is touched, too.
    pub fn screen(&self, screen: Screen) {
        let (width, height) = screen.pixels();
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({
                "width": width, "height": height, "deviceScaleFactor": 1,
                "mobile": screen == Screen::Phone,
            }),
        );
    }

    /// Tells pages which colours are liked.
    pub fn colours(&self, colours: Colours) {
        let value = match colours {
            Colours::Light => "light",
            Colours::Dark => "dark",
        };
        let feature = json!({ "name": "prefers-color-scheme", "value": value });
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        );
    }

    /// The whole page, down to its end, as PNG.
    #[must_use]
    pub fn screenshot(&self) -> Vec<u8> {
        let size = self.devtools("Page.getLayoutMetrics", &json!({}));
        let size = &size["cssContentSize"];
        let picture = self.devtools(
            "Page.captureScreenshot",
            &json!({
                "format": "png",
                "captureBeyondViewport": true,
                "clip": { "x": 0, "y": 0, "scale": 1, "width": size["width"], "height": size["height"] },
            }),
        );
        BASE64.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// Whether one can scroll sideways, as nobody should have to.
    #[must_use]
    pub fn is_too_wide(&self) -> bool {
        self.run(
            "const all = document.documentElement; return all.scrollWidth > all.clientWidth;",
            &[],
        ) == true
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.tell("/goog/cdp/execute", &body)
    }
}
