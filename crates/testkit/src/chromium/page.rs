//! What a person does on a page, with a mouse or with a keyboard, and what they read there. Things are named by CSS selectors.

use serde_json::{Value, json};

use super::Chromium;
use crate::block_on;

/// The member that makes JSON an element, by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys without a letter, by the standard.
pub mod keys {
    #![expect(missing_docs, reason = "the names say it")]
    pub const TAB: &str = "\u{E004}";
    pub const ENTER: &str = "\u{E007}";
    pub const SPACE: &str = " ";
}

impl Chromium {
    /// Whether there is such a thing.
    #[must_use]
    pub fn has(&self, selector: &str) -> bool {
        self.count(selector) > 0
    }

    /// How many of them there are.
    #[must_use]
    pub fn count(&self, selector: &str) -> usize {
        let found = self.tell("/elements", &by_css(selector));
        found.as_array().unwrap().len()
    }

    /// The text of the first such thing, as it is shown.
    #[must_use]
    pub fn text(&self, selector: &str) -> String {
        let element = self.at(selector);
        let text = self.ask(&format!("/element/{element}/text"));
        text.as_str().unwrap().to_owned()
    }

    /// The text of the whole page, as it is shown.
    #[must_use]
    pub fn page_text(&self) -> String {
        // Not WebDriver's, for which nothing in a `noscript` is ever shown.
        let text = self.run("return document.body.innerText;", &[]);
        text.as_str().unwrap().to_owned()
    }

    /// A property of the first such thing, such as `value`.
    #[must_use]
    pub fn property(&self, selector: &str, name: &str) -> Value {
        let element = self.at(selector);
        self.ask(&format!("/element/{element}/property/{name}"))
    }

    /// Does something that leads to another page, or to the same page anew, and waits until that is there.
    ///
    /// # Panics
    /// If it never is.
    pub fn leading_on(&self, act: impl FnOnce(&Self)) {
        let before = self.made_at();
        act(self);
        let arrived = async || {
            self.made_at() != before && self.run("return document.readyState;", &[]) == "complete"
        };
        let arrived = block_on(crate::in_time(arrived));
        assert!(arrived, "still at {}:\n{}", self.url(), self.page_text());
    }

    /// Clicks the first such thing, a link or a button that sends a form, and waits for the page that comes.
    pub fn follow(&self, selector: &str) {
        self.leading_on(|browser| browser.click(selector));
    }

    /// The same for the link or button that says this.
    pub fn follow_text(&self, text: &str) {
        self.leading_on(|browser| browser.click_text(text));
    }

    /// Clicks the first such thing.
    pub fn click(&self, selector: &str) {
        let element = self.at(selector);
        self.tell(&format!("/element/{element}/click"), &json!({}));
    }

    /// Clicks the button or link that says this.
    pub fn click_text(&self, text: &str) {
        let path = format!("//*[self::a or self::button][normalize-space()=\"{text}\"]");
        let element = self.element(&json!({ "using": "xpath", "value": path }));
        self.tell(&format!("/element/{element}/click"), &json!({}));
    }

    /// Puts this into the first such field, in the place of what stands there.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.at(selector);
        self.tell(&format!("/element/{element}/clear"), &json!({}));
        let typed = json!({ "text": text });
        self.tell(&format!("/element/{element}/value"), &typed);
    }

    /// Presses these keys, one after the other, wherever the focus is.
    pub fn press(&self, text: &str) {
        let strokes: Vec<Value> = text
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key.to_string() }))
            })
            .collect();
        let actions =
            json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        self.tell("/actions", &actions);
    }

    /// Goes on with the Tab key until the focus is on such a thing.
    ///
    /// # Panics
    /// If it never is, or the focus cannot be seen there.
    pub fn tab_to(&self, selector: &str) {
        for _ in 0..100 {
            self.press(keys::TAB);
            let reached = self.run(
                "const at = document.activeElement; return at !== null && at.matches(arguments[0]);",
                &[json!(selector)],
            );
            if reached == true {
                let seen = self.run(
                    "const style = getComputedStyle(document.activeElement);
                     return style.outlineStyle !== 'none' || style.boxShadow !== 'none';",
                    &[],
                );
                assert_eq!(seen, true, "the focus on {selector} cannot be seen");
                return;
            }
        }
        panic!("the Tab key does not lead to {selector}: {}", self.url());
    }

    /// Runs a function's body in the page, with these arguments. The page's content policy does not hold for it.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let body = json!({ "script": script, "args": arguments });
        self.tell("/execute/sync", &body)
    }

    /// The same for a body that may await.
    pub fn run_async(&self, script: &str, arguments: &[Value]) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async (...arguments_) => {{ {script} }})(...arguments).then(
                 value => done([value]), error => done({{ error: String(error) }}));"
        );
        let body = json!({ "script": script, "args": arguments });
        let mut value = self.tell("/execute/async", &body);
        assert!(value.is_array(), "the script failed: {value}");
        value[0].take()
    }

    /// The status with which the page came.
    #[must_use]
    pub fn status(&self) -> u64 {
        let status = self.run(
            "return performance.getEntriesByType('navigation')[0].responseStatus;",
            &[],
        );
        status.as_u64().unwrap()
    }

    /// Waits until there is such a thing: for what a script does, and not for pages, which are waited for anyway.
    pub fn wait_for(&self, selector: &str) {
        block_on(crate::eventually(selector, async || self.has(selector)));
    }

    /// When the page was made: no two are made at the same time.
    fn made_at(&self) -> Value {
        // The page may go while it is asked.
        let body = json!({ "script": "return performance.timeOrigin;", "args": [] });
        self.try_to("/execute/sync", &body).unwrap_or(Value::Null)
    }

    pub(super) fn at(&self, selector: &str) -> String {
        self.element(&by_css(selector))
    }

    fn element(&self, by: &Value) -> String {
        let found = self.try_to("/element", by).unwrap_or_else(|refusal| {
            panic!(
                "{by} at {} ({}):\n{}",
                self.url(),
                refusal.code,
                self.page_text()
            )
        });
        found[ELEMENT].as_str().unwrap().to_owned()
    }
}

fn by_css(selector: &str) -> Value {
    json!({ "using": "css selector", "value": selector })
}
