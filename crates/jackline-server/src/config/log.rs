//! What is logged. A filter that does not parse would hide lines without a word, so it is a mistake. Security events are written
//! whatever the filter says.

use tracing_subscriber::EnvFilter;

use super::deployment::Deployment;
use super::names::Setting;
use super::source::Reader;

const DEFAULT: &str = "info";

/// A filter that is known to parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives, such as `info,jackline=debug`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_env_filter(&self) -> EnvFilter {
        parse(&self.0).unwrap_or_else(|| EnvFilter::new(DEFAULT))
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

/// How lines of the log for people are written. Security events are JSON in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line. The default in production.
    Json,
    /// As people read it. The default in development.
    Text,
}

/// Reads `JACKLINE_LOG_FORMAT`.
pub(crate) fn read_format(reader: &mut Reader, deployment: Deployment) -> LogFormat {
    match reader.one(Setting::LOG_FORMAT) {
        None if deployment.is_production() => LogFormat::Json,
        None => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some("text") => LogFormat::Text,
        Some(other) => {
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::LOG_FORMAT,
                what,
                "whatever reads the log would not understand it",
                "write `json` or `text`, or leave it out",
            );
            LogFormat::Json
        }
    }
}

pub(crate) fn read(reader: &mut Reader) -> LogFilter {
    let Some(text) = reader.one(Setting::LOG) else {
        return LogFilter::default();
    };
    if parse(text).is_some() {
        return LogFilter(text.to_owned());
    }
    let what = format!("{} is not a log filter", reader.quote(text));
    reader.report(
        Setting::LOG,
        what,
        "what you look for at night would not be in the log",
        "write a level (error, warn, info, debug, trace) or levels by module, such as `info,jackline=debug`",
    );
    LogFilter::default()
}

/// Long filters are refused too: parsing one costs more than its length, and nobody writes one.
fn parse(text: &str) -> Option<EnvFilter> {
    if text.len() > 1000 {
        return None;
    }
    // Without regular expressions: nobody should be able to set one from the environment by accident.
    EnvFilter::builder().with_regex(false).parse(text).ok()
}
