//! Everything that is logged on this thread, at every level, for as long as the log is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// A log of this thread. A test keeps to one thread, as `#[tokio::test]` does unless told otherwise.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<Line>>>,
    _guard: DefaultGuard,
}

#[derive(Clone, Debug)]
struct Line {
    target: &'static str,
    fields: BTreeMap<&'static str, String>,
}

impl Log {
    pub(crate) fn start() -> Self {
        LazyLock::force(&LISTENERS);
        let lines = Arc::<Mutex<Vec<Line>>>::default();
        let guard = tracing::subscriber::set_default(Writer(Arc::clone(&lines)));
        Self {
            lines,
            _guard: guard,
        }
    }

    /// The security events since this was last asked, each as its name and, if it has one, its reason:
    /// `session_rejected/forged`.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.security_events();
        self.lines.lock().unwrap().clear();
        events
            .iter()
            .map(|event| match event.get("reason") {
                Some(reason) => format!("{}/{reason}", event["event"]),
                None => event["event"].clone(),
            })
            .collect()
    }

    /// The fields of the security events so far.
    pub(crate) fn security_events(&self) -> Vec<BTreeMap<&'static str, String>> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .filter(|line| line.target == jackline::events::TARGET)
            .map(|line| line.fields.clone())
            .collect()
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines.lock().unwrap().iter() {
            let _ = writeln!(text, "{line:?}");
        }
        text
    }
}

/// Two that hear nothing, kept for as long as the tests run. As long as there is only one in the process, `tracing` asks the
/// thread that meets an event first whether anybody listens; if that is another test's, the event is off for all.
static LISTENERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(Writer(Arc::default()))));

struct Writer(Arc<Mutex<Vec<Line>>>);

impl Writer {
    fn write(&self, target: &'static str, record: impl FnOnce(&mut Fields)) {
        let mut fields = Fields::default();
        record(&mut fields);
        let fields = fields.0;
        self.0.lock().unwrap().push(Line { target, fields });
    }
}

impl Subscriber for Writer {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.write(span.metadata().target(), |fields| span.record(fields));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.write("", |fields| values.record(fields));
    }

    fn event(&self, event: &Event<'_>) {
        self.write(event.metadata().target(), |fields| event.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
