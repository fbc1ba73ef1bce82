//! The layer that writes security events. It takes the fields as the event names them, turns `user_id` into `userId`, puts the four that
//! every reader looks for in front, and writes the line in one piece.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Clock;
use super::line::{self, Members};

/// Writes each event it sees as one JSON line. Filter it to [`SECURITY_TARGET`](super::SECURITY_TARGET).
pub struct SecurityEvents {
    stream: Mutex<Box<dyn Write + Send>>,
    clock: Clock,
}

impl SecurityEvents {
    /// A layer that writes to `stream`, with the times that `clock` says.
    pub fn new(stream: Box<dyn Write + Send>, clock: Clock) -> Self {
        Self {
            stream: Mutex::new(stream),
            clock,
        }
    }
}

impl fmt::Debug for SecurityEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityEvents").finish_non_exhaustive()
    }
}

impl<S: Subscriber> Layer<S> for SecurityEvents {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str();
        let bytes = line::to_bytes(&fields.arrange(&timestamp((self.clock)()), level));

        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed stream is no reason to fail a request, and there is nowhere left to say so.
        let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
    }
}

/// The time as RFC 3339 in UTC, to the millisecond.
fn timestamp(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// The event's fields, in the order it names them.
#[derive(Debug, Default)]
struct Fields(Members);

/// There in every line, `null` if the event does not say.
const ALWAYS: [&str; 4] = ["event", "userId", "ip", "userAgent"];

/// The longest text in a line, in characters. A stranger's headers are longer if the stranger wants.
const LONGEST_TEXT: usize = 1024;

impl Fields {
    fn arrange(mut self, timestamp: &str, level: &str) -> Members {
        let mut members: Members = vec![("ts".to_owned(), timestamp.into())];
        for name in ALWAYS {
            let value = self.take(name).unwrap_or(Value::Null);
            members.push((name.to_owned(), value));
        }
        // An event may know better, since tracing has no CRITICAL.
        let level = self.take("level").unwrap_or_else(|| level.into());
        members.push(("level".to_owned(), level));
        self.take("ts");
        members.extend(self.0);
        members
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(index).1)
    }

    fn set(&mut self, field: &Field, value: Value) {
        let name = camel_case(field.name());
        // A name given twice would make two members of one name, of which readers take whichever they like.
        self.take(&name);
        self.0.push((name, value));
    }

    fn set_text(&mut self, field: &Field, text: &str) {
        let mut short: String = text.chars().take(LONGEST_TEXT).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        self.set(field, Value::String(short));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set_text(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set_text(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match format!("{value:?}").as_str() {
            // An `Option` that was recorded with `?`.
            "None" => self.set(field, Value::Null),
            text => self.set_text(field, text),
        }
    }
}

/// `user_id` as `userId`, and raw identifiers such as `r#type` without their prefix.
fn camel_case(name: &str) -> String {
    let mut parts = name.trim_start_matches("r#").split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        camel.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    camel
}
