//! Closing a connection whose client still sends. Where received bytes lie unread, the system answers a close with a reset, and a
//! reset can overtake the response: a client, or the proxy in front, then sees a broken connection (and says `502`) instead of the
//! refusal. So the server first says that it sends no more, and reads on for a moment, into nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long is read on.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells a connection that a request on it was answered unread. In the extensions of every request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    /// The connection is to close gently.
    pub(crate) fn announce(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A stream that reads on after its shutdown, if something was announced as unread.
#[derive(Debug)]
pub(crate) struct Lingering {
    stream: TcpStream,
    unread: Unread,
    until: Option<Pin<Box<Sleep>>>,
}

impl Lingering {
    pub(crate) fn new(stream: TcpStream, unread: Unread) -> Self {
        Self {
            stream,
            unread,
            until: None,
        }
    }

    /// Ready when the client has closed too, or patience has run out.
    fn poll_rest(&mut self, until: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
        let mut nowhere = [0; 16 * 1024];
        // So that a fast sender cannot keep the task to itself.
        for _ in 0..16 {
            if until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut rest = ReadBuf::new(&mut nowhere);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut until = match self.until.take() {
            Some(until) => until,
            None => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                if !self.unread.0.load(Ordering::Acquire) {
                    return Poll::Ready(Ok(()));
                }
                patience()
            }
        };
        let rest = self.poll_rest(&mut until, cx);
        self.until = Some(until);
        rest.map(Ok)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bound on waiting is what this is"
)]
fn patience() -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep(PATIENCE))
}
