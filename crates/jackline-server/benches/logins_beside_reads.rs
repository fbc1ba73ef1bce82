//! Do reads wait for passwords? `cargo bench -p jackline-server --bench logins_beside_reads` asks a server for
//! `GET /profile` at a steady pace, first alone and then while more logins than it can check are waiting, and says how long the
//! answers took.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testkit::browser::Browser;
use testkit::program::Place;

/// Readers, each of which asks once in this time.
const READERS: usize = 8;
const EVERY: Duration = Duration::from_millis(8);
/// How many log in at once.
const LOGINS: usize = 16;
const LONG: Duration = Duration::from_secs(5);

fn main() {
    // Those who log in are one user, and must not end the session of the readers.
    let place = Place::new(&[("JACKLINE_LOG", "warn"), ("JACKLINE_MAX_SESSIONS", "1000")]);
    let server = place.serve();
    let mut browser = Browser::new(&server);
    assert_eq!(browser.log_in().status, 200);
    let cookies: Vec<_> = browser.cookies.iter().collect();
    let cookies: Vec<_> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookie = cookies.join("; ");
    let port = server.port;

    read(port, &cookie, Duration::from_millis(500));
    let alone = read(port, &cookie, LONG);
    let (over, logins) = (AtomicBool::new(false), AtomicU64::new(0));
    let beside = std::thread::scope(|scope| {
        for _ in 0..LOGINS {
            scope.spawn(|| log_in_until(port, &over, &logins));
        }
        read(port, &cookie, Duration::from_millis(500));
        logins.store(0, Ordering::Relaxed);
        let beside = read(port, &cookie, LONG);
        over.store(true, Ordering::Relaxed);
        beside
    });
    let a_second = logins.load(Ordering::Relaxed) as f64 / LONG.as_secs_f64();
    println!("GET /profile, µs from request to answer; logins: {a_second:.0} a second");
    println!("{:>24}{:>8}{:>8}{:>8}", "", "p50", "p99", "most");
    for (name, times) in [("alone", &alone), ("beside logins", &beside)] {
        println!(
            "{name:>24}{:>8}{:>8}{:>8}",
            at(times, 0.5),
            at(times, 0.99),
            at(times, 1.0)
        );
    }
    let ratio = at(&beside, 0.99) as f64 / at(&alone, 0.99) as f64;
    println!("p99 beside logins: {ratio:.2} × that alone");
}

/// Microseconds that this share of the answers took at most.
fn at(sorted: &[Duration], share: f64) -> u128 {
    let last = sorted.len() - 1;
    sorted[(last as f64 * share) as usize].as_micros()
}

fn read(port: u16, cookie: &str, long: Duration) -> Vec<Duration> {
    let request =
        format!("GET /profile HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookie}\r\n\r\n");
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (request, phase) = (request.clone(), EVERY / READERS as u32 * number as u32);
            std::thread::spawn(move || {
                let mut connection = connect(port);
                let (begun, mut times) = (Instant::now() + phase, Vec::new());
                while begun.elapsed() < long {
                    pause_until(begun + EVERY * times.len() as u32);
                    let asked = Instant::now();
                    assert_eq!(ask(&mut connection, &request), 200);
                    times.push(asked.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times: Vec<_> = readers
        .into_iter()
        .flat_map(|reader| reader.join().unwrap())
        .collect();
    times.sort();
    times
}

fn log_in_until(port: u16, over: &AtomicBool, logins: &AtomicU64) {
    let body = r#"{"username":"alice","password":"correct-horse"}"#;
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = connect(port);
    while !over.load(Ordering::Relaxed) {
        assert_eq!(ask(&mut connection, &request), 200);
        logins.fetch_add(1, Ordering::Relaxed);
    }
}

fn connect(port: u16) -> BufReader<TcpStream> {
    let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_nodelay(true).unwrap();
    BufReader::new(connection)
}

/// The status of the answer, which is read to its end.
fn ask(connection: &mut BufReader<TcpStream>, request: &str) -> u16 {
    connection.get_mut().write_all(request.as_bytes()).unwrap();
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        connection.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-length:") {
            length = rest.trim().parse().unwrap();
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    status
}

#[expect(clippy::disallowed_methods, reason = "requests come at a pace here")]
fn pause_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}
