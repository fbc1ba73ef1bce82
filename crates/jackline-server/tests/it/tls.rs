//! HTTPS without a proxy in front: what browsers get, which versions, what a new certificate does to those that are connected, and
//! what becomes of those that never finish their handshake.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use testkit::certificates::Certificates;
use testkit::tls::TlsClient;

use crate::browser::Browser;
use crate::program::{Place, SECRET};

const ALIVE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends a request and reads its answer, leaving the connection open.
fn ask(client: &mut TlsClient) {
    client.send(ALIVE);
    let mut answer = String::new();
    while !answer.ends_with("}") {
        answer += &client.read(1);
    }
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

// Proves: P3, P4, S11, S12, S67
#[test]
fn production_needs_no_proxy_when_it_has_a_certificate() {
    let certificates = Certificates::make();
    let mut place = Place::new(&[("JACKLINE_ENV", "production"), ("SESSION_SECRET", SECRET)]);
    place.speak_tls(&certificates);
    let added = place.run_with_input(&["user", "add", "bob"], "quoins-kelp-and-buoys\n");
    assert!(added.status.success(), "{}", added.stderr);
    let program = place.serve();

    let mut browser = Browser::new(&program);
    let login = browser.log_in_as("bob", "quoins-kelp-and-buoys");
    assert_eq!(login.status, 200, "{login:?}");
    let cookies = login.set_cookies();
    for name in ["__Host-sid=s%3A", "__Host-device="] {
        let cookie = cookies.iter().find(|cookie| cookie.starts_with(name));
        assert!(cookie.unwrap().contains("; Secure"), "{cookies:?}");
    }
    assert!(login.headers.contains_key("strict-transport-security"));
    // The page's own origin, and the scheme is part of it.
    let origin = format!("https://localhost:{}", program.port);
    browser.headers.insert("origin".to_owned(), origin);
    let ended = browser.send_safely(ureq::http::Method::POST, "/sessions/end-others", None);
    assert_eq!(ended.status, 200, "{ended:?}");
    let foreign = format!("http://localhost:{}", program.port);
    browser.headers.insert("origin".to_owned(), foreign);
    let refused = browser.send_safely(ureq::http::Method::POST, "/sessions/end-others", None);
    assert_eq!(refused.status, 403, "{refused:?}");
    // Nobody is trusted to say how a request arrived: who claims to have come by plain http came by https all the same.
    browser.headers.clear();
    browser
        .headers
        .insert("x-forwarded-proto".to_owned(), "http".to_owned());
    assert_eq!(browser.get("/profile").status, 200);
}

// Proves: S67
#[test]
fn both_current_versions_of_tls_are_spoken_and_http_1_1_within() {
    let certificates = Certificates::make();
    let mut place = Place::new(&[]);
    place.speak_tls(&certificates);
    let program = place.serve();
    let connect = |version, protocols: &[&str]| {
        TlsClient::connect(program.port, &certificates.authority(), version, protocols)
    };
    for version in [&TLS12, &TLS13] {
        let mut client = connect(version, &["h2", "http/1.1"]).unwrap();
        assert_eq!(client.protocol(), Some(&b"http/1.1"[..]));
        ask(&mut client);
        ask(&mut connect(version, &[]).unwrap());
        assert!(connect(version, &["h2"]).is_err(), "it is not spoken");
    }
    let stranger = Certificates::make();
    assert!(TlsClient::connect(program.port, &stranger.authority(), &TLS13, &[]).is_err());

    // Who speaks plain http is hung up on, and gets nothing in the clear.
    let mut plain = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    std::io::Write::write_all(&mut plain, ALIVE.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

// Proves: J11
#[test]
fn a_new_certificate_serves_who_comes_next_and_a_bad_one_nobody() {
    let (old, new) = (Certificates::make(), Certificates::make());
    let mut place = Place::new(&[]);
    place.speak_tls(&old);
    let program = place.serve();
    let connect = |authority: &Certificates| {
        TlsClient::connect(program.port, &authority.authority(), &TLS13, &[])
    };
    let mut connected = connect(&old).unwrap();
    ask(&mut connected);
    let ((certificate, key), (new_certificate, new_key)) = (old.server(), new.server());

    std::fs::write(&certificate, "not a certificate").unwrap();
    program.wait_until_said("the new certificate does not work; the old one stays", 1);
    ask(&mut connect(&old).unwrap());

    std::fs::copy(new_certificate, &certificate).unwrap();
    std::fs::copy(new_key, &key).unwrap();
    program.wait_until_said("a new certificate is served", 1);
    ask(&mut connect(&new).unwrap());
    assert!(connect(&old).is_err(), "the old one is not shown any more");
    ask(&mut connected);
}

// Proves: J11
#[test]
fn a_certificate_without_its_key_does_not_start() {
    let (ours, theirs) = (Certificates::make(), Certificates::make());
    let mut place = Place::new(&[]);
    place.speak_tls(&ours);
    place.set("JACKLINE_TLS_KEY_FILE", theirs.server().1.to_str().unwrap());
    let ended = place.run(&["serve"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("do not work together"),
        "{}",
        ended.stderr
    );
}

// Proves: S69
#[test]
fn a_handshake_that_hangs_is_cut_off_and_holds_up_no_shutdown() {
    let certificates = Certificates::make();
    let mut place = Place::new(&[("JACKLINE_SHUTDOWN_TIMEOUT", "10m")]);
    place.speak_tls(&certificates);
    let program = place.serve();
    let mut silent = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "the server hangs up");
    program.wait_until_said("a client took too long for its handshake", 1);

    let _silent = TcpStream::connect(("127.0.0.1", program.port)).unwrap();
    let mut kept =
        TlsClient::connect(program.port, &certificates.authority(), &TLS13, &[]).unwrap();
    ask(&mut kept);
    let (status, output) = program.stop();
    assert_eq!(status.code(), Some(0), "{output}");
    let cut_off = "a client took too long for its handshake";
    assert_eq!(
        output.matches(cut_off).count(),
        1,
        "the second is not waited for"
    );
    assert_eq!(kept.rest(), "", "it ends as TLS has it, and not by a cut");
}

// Proves: J8, S69
#[test]
fn a_request_that_is_under_way_at_a_shutdown_is_answered_over_tls_too() {
    let certificates = Certificates::make();
    let mut place = Place::new(&[]);
    place.be_patient();
    place.speak_tls(&certificates);
    let program = place.serve();
    let mut client =
        TlsClient::connect(program.port, &certificates.authority(), &TLS13, &[]).unwrap();
    client.send(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 49\r\n\
         Expect: 100-continue\r\n\r\n",
    );
    let told = client.read(b"HTTP/1.1 100 Continue\r\n\r\n".len());
    assert!(told.starts_with("HTTP/1.1 100 "), "{told}");
    program.tell_to_stop();
    client.send(r#"{"username":"alice","password":"correct-horse"  }"#);
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(program.wait().0.code(), Some(0));
}

// Proves: J9
#[test]
fn a_refusal_of_a_body_reaches_a_client_that_still_sends() {
    let certificates = Certificates::make();
    let mut place = Place::new(&[]);
    place.speak_tls(&certificates);
    let program = place.serve();
    let mut client =
        TlsClient::connect(program.port, &certificates.authority(), &TLS13, &[]).unwrap();
    client.send(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n",
    );
    client.send(&"x".repeat(1_000_000));
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
