//! How somebody arrives at a page: where they were going, and what has just happened.

use serde::{Deserialize, Deserializer};

use super::Next;

/// `?next=/sessions&said=expired`
#[derive(Debug, Default, Deserialize)]
pub struct Arrival {
    /// Where they were going.
    #[serde(default)]
    pub next: Next,
    /// What the page says first.
    #[serde(default)]
    pub said: Notice,
}

/// What a page says above all else, after something was done or was not. Only words of ours, so that no link puts others on a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notice(Option<&'static str>);

impl Notice {
    fn of(said: &str) -> Self {
        let known = NOTICES.iter().find(|(name, _)| *name == said);
        Self(known.map(|(_, text)| *text))
    }

    pub(crate) fn text(self) -> Option<&'static str> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Notice {
    /// What is not known says nothing, and is no error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|said| Self::of(&said))
    }
}

const NOTICES: [(&str, &str); 14] = [
    (
        "expired",
        "You were signed out because you had not been here for a while. Sign in to go on.",
    ),
    ("signed-out", "You are signed out."),
    (
        "password-changed",
        "Your password is changed, and all your other sessions have ended.",
    ),
    ("session-ended", "That session has ended."),
    ("session-unknown", "That session had ended already."),
    (
        "user-disabled",
        "The user is disabled, and all their sessions have ended.",
    ),
    ("user-enabled", "The user may sign in again."),
    ("all-ended", "All sessions of the user have ended."),
    (
        "again",
        "Signing in has taken too long, or was called off. Please begin again.",
    ),
    (
        "factor-added",
        "Added. From now on you are asked for it when you sign in.",
    ),
    (
        "factor-removed",
        "Removed. All your other sessions have ended.",
    ),
    ("factor-gone", "It had been removed already."),
    (
        "recovery-code-used",
        "You have used a recovery code, and it is worth nothing now. If you lost a passkey or an app, remove it here and add another.",
    ),
    ("others-ended", "All your other sessions have ended."),
];
