//! Metrics and traces for a collector of OpenTelemetry, by OTLP over HTTP. A trace has one span for the request, named by its route, and
//! one for each call of the session store within. Their attributes are chosen one by one: no path, no address and nobody's name is among
//! them (J6), which is why nothing of the log is turned into spans.
//!
//! What cannot be sent is dropped after some tries and said in the log; no request waits for it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use jackline::engine::Connection;
use jackline::proxy::TrustedProxies;
use jackline::store::observed::Outcome;
use opentelemetry::context::FutureExt as _;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{
    MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::gauges::{self, Gauges};
use super::prometheus::{PASSWORD_SECONDS, STORE_SECONDS};
use super::{MessageOutcome, PasswordCheck, Recorder};
use crate::clock;
use crate::config::OtlpEndpoint;

/// How long a collector may take for one batch, and how long the last ones may hold up the end of the program.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most that is read of a collector's answer.
const MOST_BYTES: u64 = 64 * 1024;

/// Sends to one collector.
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    recorder: Arc<Sent>,
}

impl Otlp {
    /// Sends from now on; each kind of signal has a thread of its own for that.
    pub(super) fn new(endpoint: &OtlpEndpoint, gauges: &Arc<Gauges>) -> anyhow::Result<Self> {
        let client = Client::new();
        let spans = SpanExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            .with_endpoint(endpoint.of_signal("traces"))
            .build()
            .context("traces cannot be sent")?;
        let points = MetricExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint.of_signal("metrics"))
            .build()
            .context("metrics cannot be sent")?;
        // The environment's word counts more, as OpenTelemetry has it.
        let resource = Resource::builder_empty()
            .with_service_name("jackline")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(EnvResourceDetector::new()))
            .build();
        let traces = SdkTracerProvider::builder()
            .with_batch_exporter(spans)
            .with_resource(resource.clone())
            .build();
        let metrics = SdkMeterProvider::builder()
            .with_periodic_exporter(points)
            .with_resource(resource)
            .build();
        let recorder = Arc::new(Sent::new(&metrics, traces.tracer("jackline"), gauges));
        Ok(Self {
            traces,
            metrics,
            recorder,
        })
    }

    pub(super) fn recorder(&self) -> Arc<dyn Recorder> {
        Arc::clone(&self.recorder) as Arc<dyn Recorder>
    }

    /// The same routes, each request with a trace.
    pub(crate) fn around(&self, router: Router, proxies: TrustedProxies) -> Router {
        let tracing = Tracing {
            tracer: self.recorder.tracer.clone(),
            proxies: Arc::new(proxies),
        };
        router.layer(axum::middleware::from_fn_with_state(tracing, trace))
    }

    /// Sends what is left, and then nothing any more.
    pub(crate) async fn finish(self) {
        let last = tokio::task::spawn_blocking(move || {
            let traces = self.traces.shutdown_with_timeout(PATIENCE);
            let metrics = self.metrics.shutdown_with_timeout(PATIENCE);
            traces.and(metrics)
        });
        match last.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last traces or metrics were not sent"),
            Err(error) => tracing::warn!(%error, "the last traces or metrics were not sent"),
        }
    }
}

/// What requests are traced with.
#[derive(Clone)]
struct Tracing {
    tracer: SdkTracer,
    /// Whose trace is taken up. A stranger's would let strangers decide what is kept.
    proxies: Arc<TrustedProxies>,
}

async fn trace(State(tracing): State<Tracing>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let connection = request.extensions().get::<Connection>().copied();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => {
            known.to_owned()
        }
        _ => "_OTHER".to_owned(),
    };
    let parent = match connection {
        Some(connection) if tracing.proxies.trusts(connection.peer) => {
            TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()))
        }
        _ => Context::new(),
    };
    let (name, route) = match &route {
        Some(route) => (format!("{method} {}", route.as_str()), Some(route.as_str())),
        None => (method.clone(), None),
    };
    let mut attributes = vec![KeyValue::new("http.request.method", method)];
    attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
    attributes.extend(
        connection.map(|connection| KeyValue::new("url.scheme", connection.scheme.as_str())),
    );
    let span = tracing
        .tracer
        .span_builder(name)
        .with_kind(SpanKind::Server)
        .with_attributes(attributes)
        .start_with_context(&tracing.tracer, &parent);
    let context = parent.with_span(span);
    let response = next.run(request).with_context(context.clone()).await;
    let (span, status) = (context.span(), response.status());
    span.set_attribute(KeyValue::new(
        "http.response.status_code",
        i64::from(status.as_u16()),
    ));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    span.end();
    response
}

/// Records for the collector.
#[derive(Debug)]
struct Sent {
    tracer: SdkTracer,
    events: Counter<u64>,
    store_calls: Histogram<f64>,
    password_checks: Histogram<f64>,
    messages: Counter<u64>,
}

impl Sent {
    fn new(metrics: &SdkMeterProvider, tracer: SdkTracer, gauges: &Arc<Gauges>) -> Self {
        let meter = metrics.meter("jackline");
        for gauge in &gauges::ALL {
            let gauges = Arc::clone(gauges);
            meter
                .u64_observable_gauge(format!("jackline.{}", gauge.name))
                .with_description(gauge.help)
                .with_callback(move |observer| {
                    for (event, value) in (gauge.read)(&gauges) {
                        let labels: Vec<_> = event
                            .iter()
                            .map(|event| KeyValue::new("event", event.name()))
                            .collect();
                        observer.observe(value, &labels);
                    }
                })
                .build();
        }
        Self {
            tracer,
            events: meter.u64_counter("jackline.security_events").build(),
            store_calls: meter
                .f64_histogram("jackline.store_call")
                .with_unit("s")
                .with_boundaries(STORE_SECONDS.to_vec())
                .build(),
            password_checks: meter
                .f64_histogram("jackline.password_check")
                .with_unit("s")
                .with_boundaries(PASSWORD_SECONDS.to_vec())
                .build(),
            messages: meter.u64_counter("jackline.webhook_messages").build(),
        }
    }
}

impl Recorder for Sent {
    fn event(&self, event: &'static str, reason: &Arc<str>) {
        let reason = KeyValue::new("reason", Arc::clone(reason));
        self.events.add(1, &[KeyValue::new("event", event), reason]);
    }

    fn store_call(&self, operation: &'static str, outcome: Outcome, took: Duration) {
        let labels = [
            KeyValue::new("operation", operation),
            KeyValue::new("outcome", outcome.name()),
        ];
        self.store_calls.record(took.as_secs_f64(), &labels);
        let context = Context::current();
        // What the server does of itself, such as reclaiming, is part of no request.
        if !context.span().is_recording() {
            return;
        }
        let now = clock::now();
        let mut span = self
            .tracer
            .span_builder(format!("store {operation}"))
            .with_kind(SpanKind::Client)
            .with_start_time(now.checked_sub(took).unwrap_or(now))
            .with_attributes(labels)
            .start_with_context(&self.tracer, &context);
        if matches!(
            outcome,
            Outcome::Corrupt | Outcome::Unavailable | Outcome::Abandoned
        ) {
            span.set_status(Status::error(outcome.name()));
        }
        span.end_with_timestamp(now);
    }

    fn password_check(&self, outcome: PasswordCheck, took: Duration) {
        let labels = [KeyValue::new("outcome", outcome.name())];
        self.password_checks.record(took.as_secs_f64(), &labels);
    }

    fn message(&self, outcome: MessageOutcome) {
        self.messages
            .add(1, &[KeyValue::new("outcome", outcome.name())]);
    }
}

/// Speaks HTTP for the exporters, in their own threads, where it may block.
#[derive(Debug, Clone)]
struct Client(ureq::Agent);

impl Client {
    fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE));
        Self(config.build().new_agent())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(
        &self,
        request: axum::http::Request<Bytes>,
    ) -> Result<axum::http::Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let response = self
            .0
            .run(axum::http::Request::from_parts(head, body.as_ref()))?;
        let (head, mut body) = response.into_parts();
        let bytes = body.with_config().limit(MOST_BYTES).read_to_vec()?;
        Ok(axum::http::Response::from_parts(head, bytes.into()))
    }
}
