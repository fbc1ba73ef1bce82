//! Development or production. Production is strict: it makes up no secret, keeps nothing only in memory, and sends its cookie over
//! https alone. There is no third value to fall between the two.

use super::names::Setting;
use super::source::Reader;

/// Where the program runs, and so how strict it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// On a developer's machine. The default, since it is the one that is no harm to forget: it listens on loopback.
    Development,
    /// For real users.
    Production,
}

impl Deployment {
    /// Whether real users depend on it.
    pub fn is_production(self) -> bool {
        self == Self::Production
    }
}

pub(crate) fn read(reader: &mut Reader) -> Deployment {
    match reader.one(Setting::ENV) {
        None | Some("development") => Deployment::Development,
        Some("production") => Deployment::Production,
        Some(other) => {
            let guess = match other.to_ascii_lowercase().chars().next() {
                Some('p') => "did you mean `production`?",
                Some('d') => "did you mean `development`?",
                _ => "write `development` or `production`",
            };
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::ENV,
                what,
                "how strict to be must not be guessed",
                guess,
            );
            // Nothing starts now; development adds no mistakes that a correction might make vanish.
            Deployment::Development
        }
    }
}
