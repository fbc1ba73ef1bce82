//! Somebody in front of a browser, who uses the program's pages. Whatever they do, the console has nothing to say about it: no error of a
//! script, and nothing that the content policy forbade.

use std::ops::Deref;

use testkit::browser::{PASSWORD, Site as _};
use testkit::chromium::Chromium;
use testkit::program::Program;

/// Such a person, and the one program that they visit.
#[derive(Debug)]
pub(crate) struct Person<'a> {
    browser: Chromium,
    program: &'a Program,
}

impl Deref for Person<'_> {
    type Target = Chromium;

    fn deref(&self) -> &Chromium {
        &self.browser
    }
}

impl<'a> Person<'a> {
    pub(crate) fn new(program: &'a Program) -> Self {
        Self::with(Chromium::start(), program)
    }

    pub(crate) fn with(browser: Chromium, program: &'a Program) -> Self {
        Self { browser, program }
    }

    /// Demo user, signed in on the page.
    pub(crate) fn signed_in(program: &'a Program) -> Self {
        let person = Self::new(program);
        person.go("/login");
        person.sign_in();
        assert_eq!(person.at(), "/profile");
        person
    }

    /// Types a path behind the program's address.
    pub(crate) fn go(&self, path: &str) {
        self.open(&self.program.url(path));
    }

    /// Where they are: path and query, on the program's site.
    pub(crate) fn at(&self) -> String {
        let url = self.url();
        let path = url.strip_prefix(self.program.url("").as_str());
        path.unwrap_or_else(|| panic!("elsewhere: {url}"))
            .to_owned()
    }

    /// Fills in the form that they are at, as the demo user, and sends it.
    pub(crate) fn sign_in(&self) {
        self.sign_in_as("alice", PASSWORD);
    }

    /// The same as somebody else, with this password.
    pub(crate) fn sign_in_as(&self, name: &str, password: &str) {
        self.program.remember_secret(password);
        self.fill("#username", name);
        self.fill("#password", password);
        self.follow_text("Sign in");
        self.remember();
    }

    /// Nothing in the jar, and no form's token, may be printed by the program: neither whole nor in part.
    pub(crate) fn remember(&self) {
        for cookie in self.cookies() {
            let value = cookie.value.strip_prefix("s%3A").unwrap_or(&cookie.value);
            let parts = value.split('.').filter(|part| part.len() > 15);
            parts
                .chain([cookie.value.as_str()])
                .for_each(|secret| self.program.remember_secret(secret));
        }
        if self.has("[name=csrf_token]") {
            let token = self.property("[name=csrf_token]", "value");
            self.program.remember_secret(token.as_str().unwrap());
        }
    }

    /// They are asked to sign in, and nothing of what is theirs is shown.
    pub(crate) fn assert_nobody(&self) {
        assert_eq!(self.at().split('?').next(), Some("/login"));
        let text = self.page_text();
        assert!(
            !text.contains("alice") && !text.contains("user-1001"),
            "{text}"
        );
        assert!(!self.has("nav"), "{text}");
    }
}

impl Drop for Person<'_> {
    fn drop(&mut self) {
        // A second panic would end the whole test run.
        if !std::thread::panicking() {
            self.remember();
            self.assert_quiet();
        }
    }
}
