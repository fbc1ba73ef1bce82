//! What reaches which stream, byte for byte.

use std::sync::Mutex;

use tracing::subscriber::with_default;

use super::*;

#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Vec<u8>>>);

impl Stream {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Closed;

impl io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

fn filter(text: &str) -> LogFilter {
    use crate::config::{Environment, parse};
    let environment = Environment::from_iter([("JACKLINE_LOG", text)]);
    parse(&environment, None).unwrap().log
}

/// 2026-11-24T08:00:00.007Z
fn clock() -> Clock {
    Arc::new(|| 1_795_507_200_007)
}

/// What `work` writes to both streams.
fn logged(filter_text: &str, format: LogFormat, work: impl FnOnce()) -> (String, String) {
    let (events, lines) = (Stream::default(), Stream::default());
    let writer = lines.clone();
    let subscriber = subscriber(
        &filter(filter_text),
        format,
        clock(),
        Box::new(events.clone()),
        move || writer.clone(),
    );
    with_default(subscriber, work);
    (events.text(), lines.text())
}

fn event(work: impl FnOnce()) -> String {
    let (events, lines) = logged("info", LogFormat::Json, work);
    assert_eq!(lines, "");
    events
}

// Proves: T11.1, S69
#[test]
fn a_security_event_is_one_json_line_with_the_usual_members_in_front() {
    let line = event(|| {
        tracing::info!(
            target: "jackline::security",
            owasp = "authn_login_success:user-1001",
            event = "login_success",
            sessions_ended = 2_u64,
            user_agent = "curl/8",
            user_id = "user-1001",
            fresh = true,
            ip = %std::net::Ipv4Addr::LOCALHOST,
        );
    });
    assert_eq!(
        line,
        "{\"ts\":\"2026-11-24T08:00:00.007Z\",\"event\":\"login_success\",\"userId\":\"user-1001\",\"ip\":\"127.0.0.1\",\
         \"userAgent\":\"curl/8\",\"level\":\"INFO\",\"owasp\":\"authn_login_success:user-1001\",\"sessionsEnded\":2,\"fresh\":true}\n"
    );
}

// Proves: T11.1
#[test]
fn what_an_event_does_not_know_is_null() {
    let line = event(|| {
        let nobody: Option<&str> = None;
        tracing::warn!(target: "jackline::security", event = "session_rejected", user_id = nobody, ip = ?None::<u8>, reason = "unknown");
    });
    assert_eq!(
        line,
        "{\"ts\":\"2026-11-24T08:00:00.007Z\",\"event\":\"session_rejected\",\"userId\":null,\"ip\":null,\"userAgent\":null,\
         \"level\":\"WARN\",\"reason\":\"unknown\"}\n"
    );
}

// Proves: S76
#[test]
fn a_hostile_user_agent_stays_one_plain_line() {
    let hostile =
        "a\r\n{\"event\":\"login_success\"}\u{1b}[2J\u{9b}2J\u{7f}\u{2028}\u{202e}\0\"\\é";
    let line = event(|| {
        tracing::warn!(target: "jackline::security", event = "csrf_failure", user_agent = hostile);
    });
    assert_eq!(line.matches('\n').count(), 1);
    let body = line.trim_end_matches('\n');
    assert!(!body.contains(|c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c)));
    let read: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(read["userAgent"], hostile);
    assert_eq!(read["event"], "csrf_failure");
}

// Proves: S76, J9
#[test]
fn an_endless_user_agent_is_cut() {
    let line = event(|| {
        tracing::warn!(target: "jackline::security", event = "x", user_agent = "é".repeat(100_000));
    });
    assert!(line.len() < 3000);
    assert!(line.contains("é…\""));
}

// Proves: T11.1, S71
#[test]
fn no_filter_silences_security_events_and_they_do_not_mix_with_the_rest() {
    for silent in ["off", "error", "jackline=off", "jackline::security=off"] {
        let (events, lines) = logged(silent, LogFormat::Text, || {
            tracing::info!(target: "jackline::security", event = "logout");
            tracing::trace!(target: "jackline::security", event = "logout");
            tracing::info!(target: "jackline::store", "hello");
        });
        assert_eq!(events.lines().count(), 2, "{silent}");
        assert!(!lines.contains("logout"), "{silent}");
    }
    let (events, lines) = logged("info", LogFormat::Text, || {
        tracing::info!(target: "jackline::store", "hello");
        tracing::debug!(target: "jackline::store", "whisper");
        tracing::info!(target: "jackline::securityguard", "other");
    });
    assert_eq!(events, "");
    assert!(
        lines.contains("hello") && lines.contains("other"),
        "{lines}"
    );
    assert!(!lines.contains("whisper"));
}

// Proves: S76
#[test]
fn other_lines_are_json_or_plain() {
    let work = || tracing::warn!(target: "jackline::store", agent = "a\r\nb\u{1b}[2J", "hello");
    let (_, lines) = logged("info", LogFormat::Json, work);
    let read: serde_json::Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!(read["fields"]["message"], "hello");
    let (_, lines) = logged("info", LogFormat::Text, work);
    assert!(lines.contains("WARN jackline::store: hello"), "{lines}");
    assert!(!lines.contains('\u{1b}'), "{lines:?}");
    assert_eq!(lines.lines().count(), 1, "{lines:?}");
}

// Proves: T11.1
#[test]
fn an_event_cannot_set_its_own_time_and_may_set_its_level() {
    let line = event(|| {
        tracing::error!(target: "jackline::security", event = "session_use_after_expire", ts = "then", level = "CRITICAL");
    });
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["ts"], "2026-11-24T08:00:00.007Z");
    assert_eq!(read["level"], "CRITICAL");
    assert_eq!(line.matches("\"ts\"").count(), 1);
    assert_eq!(line.matches("\"level\"").count(), 1);
}

// Proves: J8
#[test]
fn closed_streams_lose_lines_and_panic_nowhere() {
    let subscriber = subscriber(
        &filter("info"),
        LogFormat::Json,
        clock(),
        Box::new(Closed),
        || Closed,
    );
    with_default(subscriber, || {
        tracing::info!(target: "jackline::security", event = "logout");
        tracing::info!(target: "jackline::store", "hello");
    });
}
