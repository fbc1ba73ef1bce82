//! Where somebody was going when they were asked to sign in, or to prove who they are. Only ever a path of this server: what is not
//! plainly one is nowhere, so that a link to the sign-in page cannot end on another site (OWASP, Unvalidated Redirects and Forwards).

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A path of this server, with its query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next(Option<String>);

/// Longer ones are not kept.
const MOST_BYTES: usize = 1024;

impl Next {
    /// Takes what was asked for, if it is plainly a path of this server.
    pub fn parse(text: &str) -> Self {
        // Browsers take a backslash for a slash, drop tabs and line ends, and read `//host` as another site.
        let local = text.starts_with('/')
            && !text.starts_with("//")
            && text.len() <= MOST_BYTES
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        Self(local.then(|| text.to_owned()))
    }

    /// The path, if somebody was going anywhere.
    pub fn path(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The path, or another.
    pub fn path_or<'a>(&'a self, other: &'a str) -> &'a str {
        self.path().unwrap_or(other)
    }

    /// The address of a page that remembers it.
    pub fn after(&self, page: &str) -> String {
        match self.path() {
            None => page.to_owned(),
            Some(path) => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("next", path)
                    .finish();
                format!("{page}?{query}")
            }
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path_or(""))
    }
}

impl<'de> Deserialize<'de> for Next {
    /// What is no path is nowhere, and no error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::parse(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_server_is_somewhere() {
        for path in [
            "/",
            "/sessions",
            "/sessions?after=x%2Fy",
            "/a//b",
            "/%2f%2fevil.example",
        ] {
            assert_eq!(Next::parse(path).path(), Some(path));
        }
        let long = format!("/{}", "x".repeat(MOST_BYTES));
        for elsewhere in [
            "",
            "sessions",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\b",
            "https://evil.example/",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/ä",
            "/a b",
            &long,
        ] {
            assert_eq!(Next::parse(elsewhere).path(), None, "{elsewhere}");
        }
    }

    #[test]
    fn the_address_of_a_page_remembers_it() {
        let next = Next::parse("/sessions?after=a&b=c");
        assert_eq!(
            next.after("/login"),
            "/login?next=%2Fsessions%3Fafter%3Da%26b%3Dc"
        );
        assert_eq!(Next::default().after("/login"), "/login");
    }
}
