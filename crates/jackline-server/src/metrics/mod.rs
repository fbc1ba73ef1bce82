//! What an operator counts: security events by kind and reason, the calls of the session store, the checks of passwords, and how busy the
//! server is. No label holds anything that a stranger chose, and none names a person, a session or a network (J6); how many series there
//! can be is fixed by the code.
//!
//! [`Recorder`] is what there is to record; [`Prometheus`] listens, and so does a collector of OpenTelemetry if one is named. Without a
//! listener nothing is recorded at all.

mod busiest;
mod events;
mod gauges;
#[cfg(feature = "otlp")]
mod otlp;
mod page;
mod prometheus;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jackline::store::observed::{Outcome, StoreObserver};

use crate::app::NowMs;
use crate::clock;
use crate::config::Config;

pub use self::events::EventCounter;
pub use self::gauges::Gauges;
pub(crate) use self::gauges::Server;
#[cfg(feature = "otlp")]
pub(crate) use self::otlp::Otlp;
pub(crate) use self::page::serve;
pub use self::prometheus::Prometheus;

/// Is told what happens. Called on the way of requests, so nothing here may block.
pub trait Recorder: fmt::Debug + Send + Sync + 'static {
    /// A security event. `reason` is one word of a bounded set; empty if the event has none.
    fn event(&self, event: &'static str, reason: &Arc<str>);

    /// A call of the session store came to its end.
    fn store_call(&self, operation: &'static str, outcome: Outcome, took: Duration);

    /// A password was checked, or was not; the wait for a free core included.
    fn password_check(&self, outcome: PasswordCheck, took: Duration);

    /// A message for the webhook came to its end.
    fn message(&self, outcome: MessageOutcome);
}

/// What became of a message for the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageOutcome {
    /// The receiver took it.
    Delivered,
    /// The receiver did not take it, however often it was sent.
    Failed,
    /// There was no room for it, or no time at the end.
    Dropped,
}

impl MessageOutcome {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dropped];

    /// In a word that can be counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// How the check of a password ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PasswordCheck {
    /// It is the user's.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// Too many were waiting already.
    Busy,
    /// It could not be computed.
    Failed,
}

impl PasswordCheck {
    /// In a word that can be counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

/// Who listens, by the settings, and what tells them.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) recorders: Recorders,
    pub(crate) gauges: Option<Arc<Gauges>>,
    pub(crate) prometheus: Option<Arc<Prometheus>>,
    counter: Option<EventCounter>,
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<Otlp>,
}

impl Metrics {
    /// As the settings say.
    ///
    /// # Errors
    /// If what is to be sent to a collector cannot be.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let gauges = Arc::new(Gauges::new(NowMs(Arc::new(clock::now_ms))));
        let mut recorders: Vec<Arc<dyn Recorder>> = Vec::new();
        let prometheus = config.metrics.map(|_| {
            let prometheus = Arc::new(Prometheus::new(Arc::clone(&gauges)));
            recorders.push(Arc::clone(&prometheus) as Arc<dyn Recorder>);
            prometheus
        });
        #[cfg(feature = "otlp")]
        let otlp = match &config.otlp {
            None => None,
            Some(endpoint) => {
                let otlp = Otlp::new(endpoint, &gauges)?;
                recorders.push(otlp.recorder());
                Some(otlp)
            }
        };
        if recorders.is_empty() {
            return Ok(Self::default());
        }
        let recorders = Recorders::new(recorders);
        Ok(Self {
            counter: Some(EventCounter::new(recorders.clone(), Arc::clone(&gauges))),
            recorders,
            gauges: Some(gauges),
            prometheus,
            #[cfg(feature = "otlp")]
            otlp,
        })
    }

    /// What counts security events, for the log to pass them by.
    pub fn take_counter(&mut self) -> Option<EventCounter> {
        self.counter.take()
    }
}

/// Everybody who is told.
#[derive(Debug, Clone, Default)]
pub struct Recorders(Arc<[Arc<dyn Recorder>]>);

impl Recorders {
    /// These.
    pub fn new(recorders: impl IntoIterator<Item = Arc<dyn Recorder>>) -> Self {
        Self(recorders.into_iter().collect())
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn event(&self, event: &'static str, reason: &Arc<str>) {
        self.0.iter().for_each(|to| to.event(event, reason));
    }

    pub(crate) fn message(&self, outcome: MessageOutcome) {
        self.0.iter().for_each(|to| to.message(outcome));
    }

    pub(crate) fn password_check(&self, outcome: PasswordCheck, took: Duration) {
        self.0
            .iter()
            .for_each(|to| to.password_check(outcome, took));
    }
}

impl StoreObserver for Recorders {
    fn called(&self, operation: &'static str, outcome: Outcome, took: Duration) {
        self.0
            .iter()
            .for_each(|to| to.store_call(operation, outcome, took));
    }
}
