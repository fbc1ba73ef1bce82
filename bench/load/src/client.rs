//! One browser: a connection that is kept, and a cookie.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What to ask for.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    method: Method,
    path: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Get,
    /// With the user's name as its body.
    Post,
}

impl Request {
    /// Reads the method and path of a route.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let (method, path) = match text {
            "POST /login" => (Method::Post, "/login"),
            "GET /profile" => (Method::Get, "/profile"),
            "GET /views" => (Method::Get, "/views"),
            "GET /none" => (Method::Get, "/none"),
            _ => anyhow::bail!("no such route: {text}"),
        };
        Ok(Self { method, path })
    }
}

pub(crate) struct Client {
    port: u16,
    user: String,
    stream: Option<TcpStream>,
    /// As the last `Set-Cookie` gave it, if any did.
    cookie: Option<String>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(port: u16, user: String) -> Self {
        Self {
            port,
            user,
            stream: None,
            cookie: None,
            buffer: Vec::new(),
        }
    }

    /// Opens a new connection.
    pub(crate) async fn connect(&mut self) -> Result<()> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Asks so many times, one after the other, and returns how long each answer took.
    pub(crate) async fn ask(&mut self, request: Request, count: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        let mut text = self.text(request);
        for _ in 0..count {
            let start = Instant::now();
            let changed = self.exchange(text.as_bytes()).await?;
            times.push(start.elapsed());
            if changed {
                text = self.text(request);
            }
        }
        Ok(times)
    }

    fn text(&self, request: Request) -> String {
        let (method, body) = match request.method {
            Method::Get => ("GET", None),
            Method::Post => ("POST", Some(&self.user)),
        };
        let (path, port) = (request.path, self.port);
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        );
        if let Some(cookie) = &self.cookie {
            text += &format!("Cookie: {cookie}\r\n");
        }
        if let Some(body) = body {
            let length = body.len();
            text += &format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}");
        } else {
            text += "\r\n";
        }
        text
    }

    /// One request and its response. Says whether that brought another cookie.
    async fn exchange(&mut self, request: &[u8]) -> Result<bool> {
        let stream = self.stream.as_mut().context("not connected")?;
        stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let read = stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed a connection");
            if let Some(cookie) = response(&self.buffer)? {
                let changed = cookie.is_some() && cookie != self.cookie.as_deref();
                if changed {
                    self.cookie = cookie.map(str::to_owned);
                }
                return Ok(changed);
            }
        }
    }
}

/// The cookie that a response sets, if any; `None` while the response is not all there.
fn response(bytes: &[u8]) -> Result<Option<Option<&str>>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let (mut length, mut cookie) = (0, None);
    for header in response.headers.iter() {
        let value = || std::str::from_utf8(header.value);
        if header.name.eq_ignore_ascii_case("content-length") {
            length = value()?.parse()?;
        } else if header.name.eq_ignore_ascii_case("set-cookie") {
            cookie = value()?.split(';').next();
        }
    }
    ensure!(
        status == 200,
        "a response is no success: {}",
        String::from_utf8_lossy(bytes)
    );
    Ok((bytes.len() >= head + length).then_some(cookie))
}
