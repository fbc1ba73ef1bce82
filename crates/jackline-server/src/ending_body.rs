//! Bodies of requests that come to an end, however slowly they are sent. A request that ends sessions goes on when its client, or the
//! server's patience, has given up; without an end to its body it would wait for the rest for as long as a byte comes now and then.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

/// A body that is an error once its time is over.
pub(crate) struct EndingBody {
    body: Body,
    end: Pin<Box<Sleep>>,
}

impl EndingBody {
    #[expect(
        clippy::disallowed_methods,
        reason = "a bound on waiting is what this is"
    )]
    pub(crate) fn new(body: Body, patience: Duration) -> Self {
        Self {
            body,
            end: Box::pin(tokio::time::sleep(patience)),
        }
    }
}

impl HttpBody for EndingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new("the body took too long"))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    // Proves: J9
    #[tokio::test]
    async fn a_body_that_never_ends_is_an_error_and_one_that_does_is_read() {
        let endless = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        let endless = Body::new(EndingBody::new(endless, Duration::from_millis(1)));
        assert!(axum::body::to_bytes(endless, 1024).await.is_err());

        let whole = Body::new(EndingBody::new(Body::from("{}"), Duration::from_secs(600)));
        assert_eq!(axum::body::to_bytes(whole, 1024).await.unwrap(), "{}");
    }
}
