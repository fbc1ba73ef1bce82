//! Keeps counters and histograms, and writes them down as Prometheus reads them. Every kind of event has its counter from the start, at
//! zero, so that the first one is an increase and not the beginning of a series.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
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

use super::events::Networks;
use super::{PasswordCheck, Recorder};
use crate::connections::Places;
use crate::passwords::PasswordHasher;

/// From a look into memory to the longest time-out that one would set.
const STORE_SECONDS: [f64; 13] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
];

/// A hash takes some tens of milliseconds, and the queue before it some seconds.
const PASSWORD_SECONDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

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

type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// Counters, histograms and gauges.
#[derive(Debug)]
pub struct Prometheus {
    registry: Registry,
    events: Family<OfEvent, Counter>,
    store_calls: Histograms<OfStoreCall>,
    password_checks: Histograms<OfPasswordCheck>,
    read: Arc<Read>,
}

impl Prometheus {
    /// Everything at zero.
    pub fn new(networks: Arc<Networks>) -> Self {
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
        let read = Arc::new(Read {
            networks,
            store_up: AtomicBool::new(true),
            gauges: OnceLock::new(),
        });
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
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_collector(Box::new(Arc::clone(&read)));
        Self {
            registry,
            events,
            store_calls,
            password_checks,
            read,
        }
    }

    /// Shows these too, from now on. They are there later than the first event.
    pub fn show(&self, gauges: Gauges) {
        // A second set would be of a second server, and there is one.
        let _ = self.read.gauges.set(gauges);
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
        if event == EventKind::StoreUnavailable.name() {
            self.read.store_up.store(false, Ordering::Relaxed);
        } else if event == EventKind::StoreRecovered.name() {
            self.read.store_up.store(true, Ordering::Relaxed);
        }
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
}

/// What is looked at when somebody asks, and not counted as it happens.
#[derive(Debug)]
pub struct Gauges {
    /// The connections of the server's own listener.
    pub(crate) places: Places,
    /// Where passwords wait.
    pub(crate) hasher: PasswordHasher,
}

/// All that is read at the moment of asking.
#[derive(Debug)]
struct Read {
    networks: Arc<Networks>,
    store_up: AtomicBool,
    gauges: OnceLock<Gauges>,
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let up = self.store_up.load(Ordering::Relaxed);
        let mut gauge = |name: &str, help: &str, value: u64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge(
            "store_up",
            "Whether the session store took the last call that would have shown otherwise",
            u64::from(up),
        )?;
        if let Some(gauges) = self.gauges.get() {
            gauge(
                "connections",
                "Connections of clients",
                gauges.places.taken() as u64,
            )?;
            gauge(
                "passwords_in_hand",
                "Passwords that are being checked or wait for it",
                gauges.hasher.in_hand() as u64,
            )?;
        }
        let sample = ConstGauge::new(0_u64);
        let mut family = encoder.encode_descriptor(
            "busiest_network_events",
            "Events from the one network that sent the most, in this minute or the one before",
            None,
            sample.metric_type(),
        )?;
        for (kind, most) in self.networks.most() {
            let gauge = ConstGauge::new(most);
            gauge.encode(family.encode_family(&[("event", kind.name())])?)?;
        }
        Ok(())
    }
}
