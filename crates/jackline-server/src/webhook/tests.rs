//! The webhook before a receiver that does what receivers do: takes messages, refuses them, hangs, and hangs up.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender as Channel};

use jackline::cookie::{Keyring, SigningKey};
use jackline::engine::{Engine, Environment as Deployed};
use jackline::events::EventKind;
use jackline::store::memory::MemoryStore;
use jackline::store::observed::Outcome;

use super::*;
use crate::config::{self, Environment, WebhookSecret};
use crate::metrics::{PasswordCheck, Recorder};

const SECRET: &str = "whsec_3vK8q1Zr0mT5yWc9LxN2bGfJ7hSdPuEa4RoQiXsVtBk=";

/// For what has to come. Nothing takes so long that works.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request, as a receiver got it.
struct Got {
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
    stream: TcpStream,
}

impl Got {
    fn answer(mut self, head: &str) {
        let length = "content-length: 0\r\nconnection: close\r\n\r\n";
        write!(self.stream, "HTTP/1.1 {head}\r\n{length}").unwrap();
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A program that takes messages, one connection each, and answers when it is told to.
struct Hooked {
    address: String,
    requests: Receiver<Got>,
}

impl Hooked {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (got, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(request) = read(stream.unwrap()) else {
                    continue;
                };
                if got.send(request).is_err() {
                    return;
                }
            }
        });
        Self { address, requests }
    }

    fn next(&self) -> Got {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

fn read(stream: TcpStream) -> std::io::Result<Got> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    let headers: BTreeMap<_, _> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body)?;
    Ok(Got {
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
        stream,
    })
}

/// Passes on what became of messages.
#[derive(Debug)]
struct Became(Channel<MessageOutcome>);

impl Recorder for Became {
    fn event(&self, _: &'static str, _: &Arc<str>) {}
    fn store_call(&self, _: &'static str, _: Outcome, _: Duration) {}
    fn password_check(&self, _: PasswordCheck, _: Duration) {}

    fn message(&self, outcome: MessageOutcome) {
        self.0.send(outcome).unwrap();
    }
}

/// An engine whose events are sent, and what becomes of them.
struct Sending {
    engine: Engine,
    sender: Sender,
    became: Receiver<MessageOutcome>,
}

const QUICK: Pace = Pace {
    attempt: Duration::from_secs(60),
    first_wait: Duration::from_millis(1),
    attempts: 7,
    last: Duration::from_secs(60),
};

fn settings(to: &Hooked, more: &[(&str, &str)]) -> WebhookSettings {
    let url = format!("http://{}/hooks?key=of-the-receiver", to.address);
    let sound = [
        ("JACKLINE_WEBHOOK_URL", url.as_str()),
        ("JACKLINE_WEBHOOK_SECRET", SECRET),
    ];
    let environment = Environment::from_iter(sound.iter().chain(more).copied());
    config::parse(&environment, None).unwrap().webhook.unwrap()
}

fn sending(to: &Hooked, pace: Pace, room: usize) -> Sending {
    let (say, became) = mpsc::channel();
    let recorders = Recorders::new([Arc::new(Became(say)) as Arc<dyn Recorder>]);
    let clock = NowMs(Arc::new(|| 1_800_000_000_250));
    let (webhook, sender) =
        Webhook::start_at(settings(to, &[]), recorders, clock, pace, room).unwrap();
    let shown = format!("{webhook:?} {sender:?}");
    assert!(!shown.contains("of-the-receiver"), "{shown}");
    assert!(!shown.contains(&SECRET[6..12]), "{shown}");
    let keys = Keyring::new(SigningKey::generate());
    let engine = Engine::builder(MemoryStore::new(), keys)
        .environment(Deployed::Development)
        .hook(webhook)
        .build()
        .unwrap();
    Sending {
        engine,
        sender,
        became,
    }
}

impl Sending {
    fn happens(&self, user: &str) {
        let event = self.engine.event(EventKind::NewDevice).user_id(user);
        event.ip(Some([192, 0, 2, 1].into())).path("/login").emit();
    }

    fn became(&self) -> MessageOutcome {
        self.became.recv_timeout(PATIENCE).unwrap()
    }
}

fn user_of(got: &Got) -> String {
    got.json()["data"]["userId"].as_str().unwrap().to_owned()
}

// Proves: S45
#[test]
fn a_message_says_what_happened_and_is_signed() {
    let receiver = Hooked::listen();
    let sending = sending(&receiver, QUICK, 10);
    // Nobody asked for this one.
    sending
        .engine
        .event(EventKind::Logout)
        .user_id("bob")
        .emit();
    sending.happens("alice");
    let got = receiver.next();
    assert_eq!(got.path, "/hooks?key=of-the-receiver");
    assert_eq!(
        got.json(),
        serde_json::json!({
            "type": "new_device",
            "timestamp": "2027-01-15T08:00:00.250Z",
            "data": {
                "userId": "alice",
                "ip": "192.0.2.1",
                "userAgent": null,
                "level": "WARN",
                "owasp": "authn_login_success",
                "path": "/login",
            },
        })
    );
    assert_eq!(got.headers["content-type"], "application/json");
    let (id, seconds) = (
        &got.headers["webhook-id"],
        &got.headers["webhook-timestamp"],
    );
    assert!(id.starts_with("msg_") && id.len() == 30, "{id}");
    assert_eq!(seconds, "1800000000");
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let signature = signature::sign(&[secret], id, 1_800_000_000, &got.body);
    assert_eq!(got.headers["webhook-signature"], signature);
    got.answer("204 No Content");
    assert_eq!(sending.became(), MessageOutcome::Delivered);
}

// Proves: S45
#[test]
fn what_is_refused_redirected_hung_up_on_or_not_answered_is_sent_again_under_its_id() {
    let (receiver, elsewhere) = (Hooked::listen(), Hooked::listen());
    let pace = Pace {
        attempt: Duration::from_millis(200),
        ..QUICK
    };
    let sending = sending(&receiver, pace, 10);
    sending.happens("alice");
    let first = receiver.next();
    let (id, body) = (first.headers["webhook-id"].clone(), first.body.clone());
    first.answer("500 Internal Server Error");
    let location = format!(
        "307 Temporary Redirect\r\nlocation: http://{}/",
        elsewhere.address
    );
    receiver.next().answer(&location);
    drop(receiver.next());
    // Answers, and not with HTTP.
    receiver.next().stream.write_all(b"hello\r\n\r\n").unwrap();
    // Says nothing at all.
    let hung = receiver.next();
    let last = receiver.next();
    assert_eq!((&last.headers["webhook-id"], &last.body), (&id, &body));
    last.answer("200 OK");
    assert_eq!(sending.became(), MessageOutcome::Delivered);
    drop(hung);
    assert!(
        elsewhere.requests.try_recv().is_err(),
        "followed a redirect"
    );
}

// Proves: S45
#[test]
fn a_message_that_is_never_taken_is_given_up_and_the_next_is_sent() {
    let receiver = Hooked::listen();
    let pace = Pace {
        attempts: 3,
        ..QUICK
    };
    let sending = sending(&receiver, pace, 10);
    sending.happens("alice");
    for _ in 0..3 {
        let got = receiver.next();
        assert_eq!(user_of(&got), "alice");
        got.answer("404 Not Found");
    }
    assert_eq!(sending.became(), MessageOutcome::Failed);
    sending.happens("bob");
    let got = receiver.next();
    assert_eq!(user_of(&got), "bob");
    got.answer("200 OK");
    assert_eq!(sending.became(), MessageOutcome::Delivered);
}

// Proves: S45, J9
#[test]
fn a_receiver_that_hangs_holds_up_no_request_and_costs_bounded_memory() {
    let receiver = Hooked::listen();
    let sending = sending(&receiver, QUICK, 2);
    sending.happens("user-0");
    let hung = receiver.next();
    for n in 1..=500 {
        sending.happens(&format!("user-{n}"));
    }
    for _ in 0..498 {
        assert_eq!(sending.became(), MessageOutcome::Dropped);
    }
    hung.answer("200 OK");
    assert_eq!(sending.became(), MessageOutcome::Delivered);
    for newest in ["user-499", "user-500"] {
        let got = receiver.next();
        assert_eq!(user_of(&got), newest);
        got.answer("200 OK");
        assert_eq!(sending.became(), MessageOutcome::Delivered);
    }
}

// Proves: S45
#[test]
fn an_answer_without_an_end_is_an_answer() {
    let receiver = Hooked::listen();
    let sending = sending(&receiver, QUICK, 10);
    sending.happens("alice");
    let mut got = receiver.next();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    got.stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(sending.became(), MessageOutcome::Delivered);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    // Until nobody reads any more.
    while got.stream.write_all(chunk.as_bytes()).is_ok() {}
}

// Proves: S45
#[test]
fn at_the_end_all_that_waits_is_sent_once_more_whenever_it_was_due() {
    let receiver = Hooked::listen();
    let pace = Pace {
        first_wait: Duration::from_secs(3600),
        ..QUICK
    };
    let sending = sending(&receiver, pace, 10);
    for user in ["alice", "bob", "carol"] {
        sending.happens(user);
        receiver.next().answer("503 Service Unavailable");
    }
    let Sending { sender, became, .. } = sending;
    let end = std::thread::spawn(|| testkit::block_on(sender.finish()));
    let mut users = Vec::new();
    for answer in ["200 OK", "200 OK", "503 Service Unavailable"] {
        let got = receiver.next();
        users.push(user_of(&got));
        got.answer(answer);
    }
    end.join().unwrap();
    users.sort();
    assert_eq!(users, ["alice", "bob", "carol"]);
    let outcomes: Vec<_> = became.try_iter().collect();
    let (delivered, failed) = (MessageOutcome::Delivered, MessageOutcome::Failed);
    assert_eq!(outcomes, [delivered, delivered, failed]);
}

// Proves: S45
#[test]
fn a_receiver_that_hangs_does_not_hold_up_the_end() {
    let receiver = Hooked::listen();
    let pace = Pace {
        last: Duration::from_millis(100),
        ..QUICK
    };
    let sending = sending(&receiver, pace, 10);
    for user in ["alice", "bob"] {
        sending.happens(user);
    }
    let hung = receiver.next();
    let Sending { sender, became, .. } = sending;
    testkit::block_on(sender.finish());
    let outcomes: Vec<_> = became.try_iter().collect();
    assert_eq!(outcomes, [MessageOutcome::Dropped, MessageOutcome::Dropped]);
    drop(hung);
    assert!(receiver.requests.try_recv().is_err(), "sent after the end");
}

// Proves: J11, J6
#[test]
fn settings_of_a_webhook_are_refused_that_would_lose_or_betray_events() {
    let refused = |settings: &[(&str, &str)]| {
        let sound = [
            ("JACKLINE_WEBHOOK_URL", "https://app.example.com/hooks"),
            ("JACKLINE_WEBHOOK_SECRET", SECRET),
        ];
        let kept = sound
            .iter()
            .filter(|(name, _)| !settings.iter().any(|(other, _)| other == name));
        let environment = Environment::from_iter(kept.chain(settings).copied());
        let message = match config::parse(&environment, None) {
            Ok(config) => format!("{:?}", config.webhook),
            Err(mistakes) => mistakes.to_string(),
        };
        for secret in ["zqzq", &SECRET[6..]] {
            assert!(!message.contains(secret), "{message}");
        }
        message
    };
    let sound = refused(&[]);
    for said in [
        "https://app.example.com",
        "NewDevice",
        "AccountThrottled",
        "UseAfterExpire",
    ] {
        assert!(sound.contains(said), "{sound}");
    }
    let events = refused(&[("JACKLINE_WEBHOOK_EVENTS", "login_success,logout")]);
    assert!(events.contains("[LoginSuccess, Logout]"), "{events}");
    let previous = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let both = refused(&[("JACKLINE_WEBHOOK_SECRET_PREVIOUS", previous)]);
    assert!(
        both.contains("[WebhookSecret(hidden), WebhookSecret(hidden)]"),
        "{both}"
    );
    for (name, value, said) in [
        (
            "JACKLINE_WEBHOOK_URL",
            "app.example.com/zqzq",
            "not an address",
        ),
        (
            "JACKLINE_WEBHOOK_URL",
            "ftp://app.example.com/zqzq",
            "by HTTP",
        ),
        (
            "JACKLINE_WEBHOOK_URL",
            "https://app.example.com/#zqzq",
            "by HTTP",
        ),
        (
            "JACKLINE_WEBHOOK_URL",
            "https://zqzq@app.example.com/",
            "a user name",
        ),
        (
            "JACKLINE_WEBHOOK_URL",
            "https://:zqzq@app.example.com/",
            "a password",
        ),
        ("JACKLINE_WEBHOOK_SECRET", "zqzq", "24 to 64"),
        (
            "JACKLINE_WEBHOOK_SECRET",
            "whsec_zqzqzqzqzqzqzqzqzqzqzqzqzqzqzqz",
            "24 to 64",
        ),
        (
            "JACKLINE_WEBHOOK_SECRET",
            "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "24 to 64",
        ),
        ("JACKLINE_WEBHOOK_SECRET_PREVIOUS", "zqzq", "number 1"),
        ("JACKLINE_WEBHOOK_SECRET_PREVIOUS", SECRET, "number 1"),
        (
            "JACKLINE_WEBHOOK_EVENTS",
            "new_device,new_divice",
            "`new_divice`",
        ),
        ("JACKLINE_WEBHOOK_URL", "", "JACKLINE_WEBHOOK_URL is not"),
        (
            "JACKLINE_WEBHOOK_SECRET",
            "",
            "JACKLINE_WEBHOOK_SECRET is not",
        ),
    ] {
        let message = refused(&[(name, value)]);
        assert!(
            message.contains("did not start"),
            "{name}={value}: {message}"
        );
        assert!(message.contains(said), "{name}={value}: {message}");
    }
    let plain = [
        ("JACKLINE_ENV", "production"),
        ("JACKLINE_WEBHOOK_URL", "http://app.example.com/zqzq"),
    ];
    assert!(refused(&plain).contains("plain http"));
}
