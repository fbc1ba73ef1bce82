//! The webhook of a running server, before a real receiver that checks what it is sent.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use testkit::browser::Browser;
use testkit::program::{Place, Program};

const SECRET: &str = "whsec_3vK8q1Zr0mT5yWc9LxN2bGfJ7hSdPuEa4RoQiXsVtBk=";

/// A receiver that refuses so many messages before it takes the first.
struct Hooked {
    url: String,
    got: Receiver<(HeaderMap, Value)>,
}

type Inner = Arc<Mutex<(u32, mpsc::Sender<(HeaderMap, Value)>)>>;

impl Hooked {
    fn refusing(first: u32) -> Self {
        let (send, got) = mpsc::channel();
        let (say, listens) = mpsc::channel();
        let inner: Inner = Arc::new(Mutex::new((first, send)));
        std::thread::spawn(move || {
            testkit::block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                say.send(listener.local_addr().unwrap()).unwrap();
                let router = Router::new()
                    .route("/hooks/key-of-the-receiver", post(take))
                    .with_state(inner);
                axum::serve(listener, router).await.unwrap();
            });
        });
        let address = listens.recv().unwrap();
        Self {
            url: format!("http://{address}/hooks/key-of-the-receiver"),
            got,
        }
    }

    fn serve(&self, settings: &[(&str, &str)]) -> (Place, Program) {
        let mut place = Place::new(settings);
        place.set("JACKLINE_WEBHOOK_URL", &self.url);
        place.set("JACKLINE_WEBHOOK_SECRET", SECRET);
        let server = place.serve();
        (place, server)
    }

    fn next(&self) -> (HeaderMap, Value) {
        self.got.recv_timeout(Duration::from_secs(30)).unwrap()
    }
}

async fn take(State(inner): State<Inner>, headers: HeaderMap, body: String) -> StatusCode {
    let mut inner = inner.lock().unwrap();
    let body = serde_json::from_str(&body).unwrap();
    inner.1.send((headers, body)).unwrap();
    match inner.0.checked_sub(1) {
        Some(left) => {
            inner.0 = left;
            StatusCode::INTERNAL_SERVER_ERROR
        }
        None => StatusCode::NO_CONTENT,
    }
}

// Proves: S45, J6
#[test]
fn a_login_from_a_new_device_reaches_the_receiver_though_it_was_away_and_no_secret_is_printed() {
    let receiver = Hooked::refusing(1);
    let (_place, server) = receiver.serve(&[
        ("JACKLINE_METRICS_ADDR", "127.0.0.1:0"),
        ("JACKLINE_LOGIN_ATTEMPTS", "3"),
    ]);
    server.wait_for_line("Webhook: http://127.0.0.1:");
    let metrics = server.wait_for_line("Metrics: ");
    let metrics = metrics.trim_start_matches("Metrics: ").to_owned();
    let mut alice = Browser::new(&server);
    assert_eq!(alice.log_in().status, 200);
    let ((refused, first), (taken, second)) = (receiver.next(), receiver.next());
    assert_eq!(first, second);
    assert_eq!(refused["webhook-id"], taken["webhook-id"]);
    assert_eq!(second["type"], "new_device");
    assert_eq!(second["data"]["userId"], "user-1001");
    // Known from here on.
    assert_eq!(alice.post("/logout", &json!({})).status, 200);
    assert_eq!(alice.log_in().status, 200);
    for _ in 0..4 {
        Browser::new(&server).log_in_as("alice", "wrong-horse");
    }
    let (_, throttled) = receiver.next();
    assert_eq!(throttled["type"], "account_throttled");
    assert_eq!(throttled["data"]["userId"], "user-1001");
    testkit::block_on(testkit::eventually("both were counted", async || {
        let mut page = ureq::get(&metrics).call().unwrap();
        let page = page.body_mut().read_to_string().unwrap();
        page.contains(r#"jackline_webhook_messages_total{outcome="delivered"} 2"#)
    }));
    let (status, printed) = server.stop();
    assert!(status.success());
    assert!(printed.contains("it answered 500"), "{printed}");
    for secret in [&SECRET[6..20], "key-of-the-receiver"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(receiver.got.try_recv().is_err());
}

// Proves: S45
#[test]
fn what_waits_at_a_shutdown_is_sent_and_so_is_the_shutdown_itself() {
    let receiver = Hooked::refusing(1);
    let (_place, server) = receiver.serve(&[("JACKLINE_WEBHOOK_EVENTS", "startup,shutdown")]);
    let (_, refused) = receiver.next();
    assert_eq!(refused["type"], "startup");
    let (status, _) = server.stop();
    assert!(status.success());
    let mut kinds: Vec<_> = receiver
        .got
        .try_iter()
        .map(|(_, body)| body["type"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["shutdown", "startup"]);
}
