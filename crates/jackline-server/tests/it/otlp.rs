//! What a collector of OpenTelemetry gets: a real receiver of OTLP over HTTP, which decodes what it is sent.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::browser::Browser;
use crate::program::{Place, Program};
use crate::stores::on_redis;

#[derive(Default)]
struct Received {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
}

/// A receiver, which lives as long as the test's process.
struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    fn start() -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let state = Arc::clone(&received);
        let (say, listens) = mpsc::channel();
        std::thread::spawn(move || {
            testkit::block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                say.send(listener.local_addr().unwrap()).unwrap();
                let router = Router::new()
                    .route("/v1/traces", post(take_traces))
                    .route("/v1/metrics", post(take_metrics))
                    .with_state(state);
                axum::serve(listener, router).await.unwrap();
            });
        });
        let url = format!("http://{}", listens.recv().unwrap());
        Self { url, received }
    }

    /// A program that sends here, and often.
    fn serve(&self, place: &mut Place) -> Program {
        place.set("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url);
        place.set("OTEL_BSP_SCHEDULE_DELAY", "100");
        place.serve()
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let resources = received.traces.iter().flat_map(|sent| &sent.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The span of this name, which must have come, and its children.
    fn request(&self, name: &str) -> (Span, Vec<Span>) {
        let spans = self.spans();
        let found = spans.iter().find(|span| span.name == name);
        let request = found
            .unwrap_or_else(|| panic!("no {name} in {spans:?}"))
            .clone();
        let children = spans
            .into_iter()
            .filter(|span| span.parent_span_id == request.span_id)
            .collect();
        (request, children)
    }

    /// The last values of a metric: its labels, and its count, sum of counts, or value.
    fn last(&self, name: &str) -> Vec<(Vec<KeyValue>, u64)> {
        let received = self.received.lock().unwrap();
        let resources = received
            .metrics
            .iter()
            .flat_map(|sent| &sent.resource_metrics);
        let scopes = resources.flat_map(|resource| &resource.scope_metrics);
        let metric = scopes
            .flat_map(|scope| &scope.metrics)
            .rfind(|metric| metric.name == name)
            .unwrap_or_else(|| panic!("no {name}"));
        let numbers = |points: &[opentelemetry_proto::tonic::metrics::v1::NumberDataPoint]| {
            use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt;
            let points = points.iter().map(|point| match point.value {
                Some(AsInt(value)) => (point.attributes.clone(), value as u64),
                other => panic!("{other:?}"),
            });
            points.collect()
        };
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => numbers(&sum.data_points),
            Data::Gauge(gauge) => numbers(&gauge.data_points),
            Data::Histogram(histogram) => histogram
                .data_points
                .iter()
                .map(|point| (point.attributes.clone(), point.count))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    fn everything(&self) -> String {
        let received = self.received.lock().unwrap();
        format!("{:?}{:?}", received.traces, received.metrics)
    }
}

async fn take_traces(State(received): State<Arc<Mutex<Received>>>, body: Bytes) {
    let sent = ExportTraceServiceRequest::decode(body).unwrap();
    received.lock().unwrap().traces.push(sent);
}

async fn take_metrics(State(received): State<Arc<Mutex<Received>>>, body: Bytes) {
    let sent = ExportMetricsServiceRequest::decode(body).unwrap();
    received.lock().unwrap().metrics.push(sent);
}

fn said<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text(text: &str) -> Option<Value> {
    Some(Value::StringValue(text.to_owned()))
}

fn count_of(points: &[(Vec<KeyValue>, u64)], labels: &[(&str, &str)]) -> u64 {
    let found = points.iter().find(|(attributes, _)| {
        labels
            .iter()
            .all(|(key, value)| said(attributes, key) == text(value).as_ref())
    });
    found
        .unwrap_or_else(|| panic!("no {labels:?} in {points:?}"))
        .1
}

// Proves: J6, S69
#[test]
fn a_collector_gets_each_request_with_its_store_calls_and_the_metrics_and_nobodys_name() {
    let (collector, mut on) = (Collector::start(), on_redis());
    let program = collector.serve(&mut on.place);
    let mut browser = Browser::new(&program);
    browser
        .headers
        .insert("user-agent".into(), "Mozilla/5.0 zqzq".into());
    browser.get("/zqzq");
    browser.post(
        "/login",
        &json!({ "username": "mallory-zqzq", "password": "wrong-zqzq" }),
    );
    browser.log_in();
    browser.get("/profile?q=zqzq");
    let ended = browser.send_safely(ureq::http::Method::DELETE, "/sessions/zqzq", None);
    assert_eq!(ended.status, 404);
    browser.post("/logout", &json!({}));
    let everything = |text: &str| program.assert_nothing_secret(text);
    program.signal("-TERM");
    testkit::block_on(testkit::eventually("the last metrics", async || {
        !collector.received.lock().unwrap().metrics.is_empty()
    }));
    everything(&collector.everything());
    let (status, output) = program.wait();
    assert_eq!(status.code(), Some(0), "{output}");

    let (profile, children) = collector.request("GET /profile");
    assert_eq!(
        said(&profile.attributes, "http.route"),
        text("/profile").as_ref()
    );
    assert_eq!(
        said(&profile.attributes, "http.response.status_code"),
        Some(&Value::IntValue(200))
    );
    assert_eq!(children.len(), 1, "{children:?}");
    assert_eq!(children[0].name, "store load");
    assert_eq!(children[0].trace_id, profile.trace_id);
    assert!(children[0].start_time_unix_nano <= children[0].end_time_unix_nano);
    // On a task of its own, and under its route's name.
    for (request, call) in [
        ("POST /logout", "store load"),
        ("DELETE /sessions/{handle}", "store list"),
    ] {
        let (_, children) = collector.request(request);
        assert!(
            children.iter().any(|child| child.name == call),
            "{request}: {children:?}"
        );
    }
    let (unknown, _) = collector.request("GET");
    assert_eq!(said(&unknown.attributes, "http.route"), None);

    let events = collector.last("jackline.security_events");
    assert_eq!(count_of(&events, &[("event", "login_success")]), 1);
    assert_eq!(
        count_of(
            &events,
            &[("event", "login_failure"), ("reason", "unknown_user")]
        ),
        1
    );
    let calls = collector.last("jackline.store_call");
    assert_eq!(
        count_of(&calls, &[("operation", "admit"), ("outcome", "ok")]),
        1
    );
    let passwords = collector.last("jackline.password_check");
    assert_eq!(count_of(&passwords, &[("outcome", "right")]), 1);
    assert_eq!(count_of(&collector.last("jackline.store_up"), &[]), 1);

    let everything = collector.everything();
    assert!(everything.contains("service.name") && everything.contains("\"jackline\""));
    for stranger in ["zqzq", "alice", "user-1001", "127.0.0.1"] {
        assert!(!everything.contains(stranger), "{stranger} was sent");
    }
}

#[test]
fn a_trace_is_taken_up_from_a_named_proxy_and_from_nobody_else() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (proxies, taken_up) in [("", false), ("127.0.0.1/32, ::1/128", true)] {
        let collector = Collector::start();
        let mut place = Place::new(&[("JACKLINE_TRUSTED_PROXIES", proxies)]);
        let program = collector.serve(&mut place);
        let mut browser = Browser::new(&program);
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        browser.headers.insert("traceparent".into(), parent);
        browser.get("/healthz");
        assert_eq!(program.stop().0.code(), Some(0));
        let (request, _) = collector.request("GET /healthz");
        let trace: String = request
            .trace_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(trace == TRACE, taken_up, "{proxies}");
    }
}

// Proves: J7
#[test]
fn a_collector_that_is_away_holds_up_nobody_and_is_said_to_be() {
    let away = format!("http://127.0.0.1:{}", testkit::free_port());
    let mut place = Place::new(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &away)]);
    place.be_patient();
    let program = place.serve();
    let mut browser = Browser::new(&program);
    assert_eq!(browser.log_in().status, 200);
    let (status, output) = program.stop();
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(
        output.contains("the last traces or metrics were not sent"),
        "{output}"
    );
}
