//! Lengths of time, written with their unit: `30m`, `8h`, `500ms`. A bare number is refused, since half its readers take it for seconds
//! and half for milliseconds. Zero and the absurd are refused too, with the bounds that would do.

use std::time::Duration;

use super::names::Setting;
use super::source::Reader;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a length of time must be, and why.
pub(crate) struct Bounds {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    /// Ends the sentence "it matters because …".
    pub(crate) why: &'static str,
    pub(crate) example: &'static str,
}

/// Reads a length of time; `None` if it is not set or is a mistake.
pub(crate) fn read(reader: &mut Reader, setting: Setting, bounds: &Bounds) -> Option<Duration> {
    let text = reader.one(setting)?;
    let problem = match humantime::parse_duration(text) {
        Ok(length) if length < bounds.least => format!("shorter than {}", show(bounds.least)),
        Ok(length) if length > bounds.most => format!("longer than {}", show(bounds.most)),
        Ok(length) => return Some(length),
        Err(humantime::DurationError::UnknownUnit { unit, .. }) if unit.is_empty() => {
            "a number without a unit".to_owned()
        }
        Err(_) => "not a length of time".to_owned(),
    };
    let what = format!("it is {}: {problem}", reader.quote(text));
    let fix = format!(
        "write a length from {} to {}, such as `{}`",
        show(bounds.least),
        show(bounds.most),
        bounds.example
    );
    reader.report(setting, what, bounds.why, fix);
    None
}

/// A length of time as the settings write it.
pub(crate) fn show(length: Duration) -> String {
    humantime::format_duration(length).to_string()
}
