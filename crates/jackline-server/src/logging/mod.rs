//! Two streams that do not mix. Security events, which the library sends to the tracing target `jackline::security`, are one JSON line
//! each, always on, whatever the filter says. Everything else is for people: lines on stderr, as far as `JACKLINE_LOG` lets them through;
//! JSON in production, and wherever `JACKLINE_LOG_FORMAT` says so.
//!
//! Whatever a stranger sends as user agent, a line stays one line and cannot move a terminal's cursor. A stream that was closed loses
//! its lines and stops nothing.

mod line;
mod security;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, FilterFn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

pub use self::security::SecurityEvents;
use crate::config::{LogFilter, LogFormat};
use crate::metrics::EventCounter;

/// Where security events come from.
pub const SECURITY_TARGET: &str = "jackline::security";

/// Says the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Where security events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStream {
    /// For the server, whose standard output is the audit log.
    Stdout,
    /// For commands that print their answer on stdout.
    Stderr,
}

/// Starts logging, and counting if there is a counter, for the rest of the process's life.
///
/// # Errors
///
/// [`TryInitError`] if logging was started before.
pub fn init(
    filter: &LogFilter,
    format: LogFormat,
    events: EventStream,
    clock: Clock,
    counter: Option<EventCounter>,
) -> Result<(), TryInitError> {
    let events: Box<dyn io::Write + Send> = match events {
        EventStream::Stdout => Box::new(io::stdout()),
        EventStream::Stderr => Box::new(io::stderr()),
    };
    let counter = counter.map(|counter| counter.with_filter(filter_fn(is_security)));
    subscriber(filter, format, clock, events, io::stderr)
        .with(counter)
        .try_init()
}

/// The subscriber that [`init`] installs, with the streams handed in.
pub fn subscriber<W>(
    filter: &LogFilter,
    format: LogFormat,
    clock: Clock,
    events: Box<dyn io::Write + Send>,
    lines: W,
) -> impl Subscriber + Send + Sync + for<'a> LookupSpan<'a>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let security = SecurityEvents::new(events, clock).with_filter(filter_fn(is_security));
    let others = filter
        .to_env_filter()
        .and(FilterFn::new(|metadata| !is_security(metadata)));
    Registry::default()
        .with(security)
        .with(lines_layer(format, lines).with_filter(others))
}

fn lines_layer<S, W>(format: LogFormat, lines: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Complaining about a closed stderr on stderr would panic.
    let layer = fmt::layer().with_writer(lines).log_internal_errors(false);
    match format {
        LogFormat::Json => layer.json().boxed(),
        LogFormat::Text => layer.with_ansi(false).boxed(),
    }
}

fn is_security(metadata: &Metadata<'_>) -> bool {
    metadata
        .target()
        .strip_prefix(SECURITY_TARGET)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
