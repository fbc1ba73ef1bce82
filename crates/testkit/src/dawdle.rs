//! A request that takes its time: the server has its head, its handler has its session, and the body comes when the test says so.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::browser::Browser;

/// A request whose body is yet to come.
#[derive(Debug)]
pub struct Dawdling {
    stream: TcpStream,
    body: &'static str,
}

impl Dawdling {
    /// Sends the head, and returns once the server waits for the body: it says `100 Continue` when the handler has its session
    /// and asks for more.
    pub fn begin(browser: &mut Browser, port: u16, request: &str, body: &'static str) -> Self {
        let csrf = browser.csrf_token();
        let cookies = browser.cookie_header();
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookies}\r\nX-CSRF-Token: {csrf}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut told = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut told).unwrap();
        assert!(told.starts_with(b"HTTP/1.1 100 "), "{told:?}");
        Self { stream, body }
    }

    /// Sends the body, and returns the whole answer as it came over the wire.
    pub fn end(self) -> String {
        self.send().rest()
    }

    /// Sends the body, and waits for nothing.
    #[must_use]
    pub fn send(mut self) -> Self {
        self.stream.write_all(self.body.as_bytes()).unwrap();
        self
    }

    /// What the server says without having got the body; nothing if it hangs up.
    pub fn rest(&mut self) -> String {
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
