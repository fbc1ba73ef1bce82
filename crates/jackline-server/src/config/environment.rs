//! The environment, handed in: nothing else in `config` can see the process's own. `.env` fills gaps and never overrides, and the
//! process's environment is never written to (writing to it is a data race in a threaded program). `Debug` shows names only, since
//! values hold secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;

use zeroize::Zeroizing;

use super::mistake::Mistake;

/// Variables by name, and where each came from.
#[derive(Default, Clone)]
pub struct Environment {
    values: BTreeMap<String, (Zeroizing<String>, Origin)>,
    /// Variables whose value is not Unicode: an error only if one of them is a setting.
    unreadable: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

/// Where a value was found, for the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Process,
    DotEnv,
    File,
}

impl Environment {
    /// Takes variables as the operating system has them, such as `std::env::vars_os()`.
    pub fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            // A name that is not Unicode cannot be one of ours.
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => environment.insert(name, value, Origin::Process),
                Err(_) => {
                    environment.unreadable.insert(name);
                }
            }
        }
        environment
    }

    /// Adds what a `.env` file says about variables that are not set yet.
    ///
    /// `$NAME` in an unquoted or double-quoted value stands for a variable, as `dotenvy` has it, which looks it up in the process's
    /// environment and in the lines above.
    ///
    /// A line that cannot be read becomes a mistake, which [`parse`](super::parse) reports with the others.
    #[must_use]
    pub fn with_dotenv(mut self, text: &[u8]) -> Self {
        let mut added = BTreeSet::new();
        for item in dotenvy::from_read_iter(text) {
            match item {
                Ok((name, value)) => {
                    // Within the file the last line wins, as a shell reading it would have it.
                    let ours = added.contains(&name);
                    if ours || !(self.values.contains_key(&name) || self.unreadable.contains(&name))
                    {
                        added.insert(name.clone());
                        self.insert(name, value, Origin::DotEnv);
                    }
                }
                Err(error) => {
                    self.mistakes.push(unreadable_line(text, &error));
                    break;
                }
            }
        }
        self
    }

    /// A variable's value, if it is set and holds more than white space.
    pub(crate) fn get(&self, name: &str) -> Option<(&str, Origin)> {
        self.values
            .get(name)
            .map(|(value, origin)| (value.trim(), *origin))
            .filter(|(value, _)| !value.is_empty())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values
            .keys()
            .chain(&self.unreadable)
            .map(String::as_str)
    }

    pub(crate) fn is_unreadable(&self, name: &str) -> bool {
        self.unreadable.contains(name)
    }

    pub(crate) fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    fn insert(&mut self, name: String, value: String, origin: Origin) {
        self.values.insert(name, (Zeroizing::new(value), origin));
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            environment.insert(name.into(), value.into(), Origin::Process);
        }
        environment
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Says which line of `.env` is wrong, not what it holds: the error of `dotenvy` quotes the line, and the line may be a secret.
fn unreadable_line(text: &[u8], error: &dotenvy::Error) -> Mistake {
    let line = match error {
        dotenvy::Error::LineParse(bad, _) => bad.lines().next().and_then(|bad| {
            String::from_utf8_lossy(text)
                .lines()
                .position(|line| line.contains(bad))
        }),
        _ => None,
    };
    let what = match line {
        Some(index) => format!("line {} cannot be read", index + 1),
        None => "the file cannot be read as UTF-8 lines of NAME=value".to_owned(),
    };
    Mistake::new(
        ".env",
        what,
        "the lines after it would be ignored without a word",
        "write NAME=value; put values that hold spaces, quotes, # or $ in single quotes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: T2.2
    #[test]
    fn a_dotenv_file_fills_gaps_and_overrides_nothing() {
        let environment = Environment::from_iter([("PORT", "4000")]).with_dotenv(
            b"PORT=5000\nHOST=127.0.0.2\nHOST=127.0.0.3\n# a comment\nexport X='a b'\n",
        );
        assert_eq!(environment.get("PORT"), Some(("4000", Origin::Process)));
        assert_eq!(environment.get("HOST"), Some(("127.0.0.3", Origin::DotEnv)));
        assert_eq!(environment.get("X"), Some(("a b", Origin::DotEnv)));
        assert!(environment.mistakes().is_empty());
    }

    // Proves: J6, J11
    #[test]
    fn a_bad_dotenv_line_is_named_by_number_and_never_quoted() {
        let environment =
            Environment::default().with_dotenv(b"PORT=5000\n\nSESSION_SECRET 'zqzqzqzqzq\n");
        let [mistake] = environment.mistakes() else {
            panic!("one mistake expected");
        };
        assert_eq!(mistake.what(), "line 3 cannot be read");
        assert!(!format!("{mistake:?}").contains("zqzq"));
    }

    // Proves: J6
    #[test]
    fn debug_shows_names_and_no_values() {
        let environment = Environment::from_iter([("SESSION_SECRET", "zqzqzqzq")]);
        assert_eq!(format!("{environment:?}"), r#"{"SESSION_SECRET"}"#);
    }
}
