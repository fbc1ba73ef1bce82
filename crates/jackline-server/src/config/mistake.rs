//! What is wrong with the settings, all of it, in one message. Each mistake says what was found, why it matters and what to do, so that
//! the second start succeeds. No text in here ever holds the value of a secret: texts are written from setting names and from values
//! that [`Reader`](super::source::Reader) has cleared for showing.

use std::fmt;

/// One thing wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    subject: String,
    what: String,
    why: String,
    fix: String,
}

impl Mistake {
    pub(crate) fn new(
        subject: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            what: what.into(),
            why: why.into(),
            fix: fix.into(),
        }
    }

    /// The setting or file it is about, such as `PORT` or `jackline.toml`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What was found.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Why the program will not start with it.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do about it.
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

/// Every mistake found, sorted by setting. Never empty when it comes out of [`parse`](super::parse).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(crate) fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort();
        mistakes.dedup();
        Self(mistakes)
    }

    /// The mistakes, sorted by setting.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    /// Whether one of the mistakes is about this setting.
    pub fn concern(&self, subject: &str) -> bool {
        self.0.iter().any(|mistake| mistake.subject == subject)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "jackline did not start: its settings hold a mistake.")?,
            n => writeln!(f, "jackline did not start: its settings hold {n} mistakes.")?,
        }
        for mistake in &self.0 {
            writeln!(f, "\n{}", mistake.subject)?;
            writeln!(f, "  what  {}", mistake.what)?;
            writeln!(f, "  why   {}", mistake.why)?;
            writeln!(f, "  do    {}", mistake.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
