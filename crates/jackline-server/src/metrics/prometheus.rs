//! Keeps counters and histograms, and writes them down as Prometheus reads them. Every kind of event has its counter from the start, at
//! zero, so that the first one is an increase and not the beginning of a series.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jackline::events::EventKind;
use jackline::store::observed::Outcome;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, prometheus_text,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::gauges::{self, Gauges};
use super::{MessageOutcome, PasswordCheck, Recorder};

/// From a look into memory to the longest time-out that one would set.
pub(super) const STORE_SECONDS: [f64; 13] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
];

/// A hash takes some tens of milliseconds, and the queue before it some seconds.
pub(super) const PASSWORD_SECONDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEvent {
    event: &'static str,
    reason: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStoreCall {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPasswordCheck {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMessage {
    outcome: &'static str,
}

type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// Counters and histograms, and where gauges are read.
#[derive(Debug)]
pub struct Prometheus {
    registry: Registry,
    events: Family<OfEvent, Counter>,
    store_calls: Histograms<OfStoreCall>,
    password_checks: Histograms<OfPasswordCheck>,
    messages: Family<OfMessage, Counter>,
}

impl Prometheus {
    /// Everything at zero.
    pub fn new(gauges: Arc<Gauges>) -> Self {
        let mut registry = Registry::with_prefix("jackline");
        let events = Family::<OfEvent, Counter>::default();
        for kind in EventKind::ALL {
            drop(events.get_or_create(&OfEvent {
                event: kind.name(),
                reason: "".into(),
            }));
        }
        let store_calls: Histograms<OfStoreCall> =
            Family::new_with_constructor(|| Histogram::new(STORE_SECONDS));
        let password_checks: Histograms<OfPasswordCheck> =
            Family::new_with_constructor(|| Histogram::new(PASSWORD_SECONDS));
        registry.register(
            "security_events",
            "Security events, by kind and reason",
            events.clone(),
        );
        registry.register_with_unit(
            "store_call",
            "How long the session store took for a call, and how the call ended",
            Unit::Seconds,
            store_calls.clone(),
        );
        registry.register_with_unit(
            "password_check",
            "How long the check of a password took, the wait for a free core included",
            Unit::Seconds,
            password_checks.clone(),
        );
        let messages = Family::<OfMessage, Counter>::default();
        for outcome in MessageOutcome::ALL {
            let outcome = outcome.name();
            drop(messages.get_or_create(&OfMessage { outcome }));
        }
        registry.register(
            "webhook_messages",
            "Messages for the webhook, by what became of them",
            messages.clone(),
        );
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_collector(Box::new(gauges));
        Self {
            registry,
            events,
            store_calls,
            password_checks,
            messages,
        }
    }

    /// All of it, in the text format.
    ///
    /// # Errors
    /// If it cannot be written, which no label that is used here brings about.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Recorder for Prometheus {
    fn event(&self, event: &'static str, reason: &Arc<str>) {
        let labels = OfEvent {
            event,
            reason: Arc::clone(reason),
        };
        self.events.get_or_create(&labels).inc();
    }

    fn store_call(&self, operation: &'static str, outcome: Outcome, took: Duration) {
        let labels = OfStoreCall {
            operation,
            outcome: outcome.name(),
        };
        let histogram = self.store_calls.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    fn password_check(&self, outcome: PasswordCheck, took: Duration) {
        let labels = OfPasswordCheck {
            outcome: outcome.name(),
        };
        let histogram = self.password_checks.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    fn message(&self, outcome: MessageOutcome) {
        let outcome = outcome.name();
        self.messages.get_or_create(&OfMessage { outcome }).inc();
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for gauge in &gauges::ALL {
            let values = (gauge.read)(self);
            let kind = ConstGauge::new(0_u64).metric_type();
            let mut family = encoder.encode_descriptor(gauge.name, gauge.help, None, kind)?;
            for (event, value) in values {
                let labels: Vec<_> = event.iter().map(|event| ("event", event.name())).collect();
                let value = ConstGauge::new(value);
                value.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
