//! Accepts connections, bounded in number and in patience: a client that sends its request a byte at a time is cut off, one
//! that sends nothing does not stay, and when the server is told to stop, it stops accepting, finishes what is under way, and
//! leaves what takes too long.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use jackline::engine::Connection;
use jackline::proxy::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::ending_body::EndingBody;
use crate::error::ApiError;
use crate::lingering::{Lingering, Unread};

/// How many connections there may be at once. More wait in the system's own queue.
pub(crate) const MAX_CONNECTIONS: usize = 4_096;

/// How long a client may take to agree on keys.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take for the head of a request, the pause since its last one included.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long a client may pause while it sends a body.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// How long a request may take in all, its body included.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// The pause after the system refuses to accept, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router`, over TLS if there is an acceptor, until `stop` resolves. From then on nobody is let in any more; what is under
/// way goes on.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Places,
    stop: impl Future<Output = ()>,
) -> UnderWay {
    let door = Door {
        tls,
        router,
        graceful: GracefulShutdown::new(),
        closed: CancellationToken::new(),
    };
    let accepting = async {
        loop {
            places.room().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if let Some(place) = places.take() {
                        door.let_in(stream, peer, place);
                    }
                }
                // The client has gone again. Anything else concerns the machine, and passes or does not.
                Err(error) if is_clients(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "connections cannot be accepted");
                    pause(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop => {}
    }
    door.closed.cancel();
    UnderWay {
        graceful: door.graceful,
        places,
    }
}

/// The connections that there may be, and those that there are. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    pub(crate) fn new(all: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
        }
    }

    /// How many connections there are.
    pub(crate) fn taken(&self) -> usize {
        self.all - self.free.available_permits()
    }

    /// Waits until there is room for one more. Only one listener asks, so the room is there still when it takes it.
    async fn room(&self) {
        // The semaphore is never closed.
        drop(self.free.acquire().await);
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }
}

/// The connections that there are when nobody is let in any more.
pub(crate) struct UnderWay {
    graceful: GracefulShutdown,
    places: Places,
}

impl UnderWay {
    /// Finishes the requests that are under way, those in `tasks` that lost their connection included, and closes connections
    /// that have none. Gives up after `patience`, or when `at_once` resolves.
    pub(crate) async fn finish(
        self,
        tasks: &TaskTracker,
        patience: Duration,
        at_once: impl Future<Output = ()>,
    ) -> Result<(), CutOff> {
        let finished = async {
            self.graceful.shutdown().await;
            tasks.close();
            tasks.wait().await;
        };
        let by_operator = tokio::select! {
            () = finished => return Ok(()),
            () = pause(patience) => false,
            () = at_once => true,
        };
        let connections = self.places.taken();
        // A task that has its connection still is counted by that.
        let requests = connections.max(tasks.len()) as u64;
        Err(CutOff {
            requests,
            by_operator,
        })
    }
}

/// Requests were not finished.
#[derive(Debug, thiserror::Error)]
#[error("{requests} requests at least did not finish {}, and were cut off", if *.by_operator { "before the second signal" } else { "within JACKLINE_SHUTDOWN_TIMEOUT" })]
pub(crate) struct CutOff {
    pub(crate) requests: u64,
    /// By a second signal, and not by the limit.
    pub(crate) by_operator: bool,
}

/// Gives up on a request whose client sends its body drop by drop: nothing else takes nearly as long. The body ends too, since what
/// reads it may go on when this has given up.
pub(crate) async fn within_patience(request: axum::extract::Request, next: Next) -> Response {
    let request = request.map(|body| match body.is_end_stream() {
        true => body,
        false => Body::new(EndingBody::new(body, REQUEST_PATIENCE)),
    });
    match tokio::time::timeout(REQUEST_PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TooSlow.into_response(),
    }
}

/// Where connections come in.
struct Door {
    tls: Option<TlsAcceptor>,
    router: Router,
    graceful: GracefulShutdown,
    /// Nobody is let in any more.
    closed: CancellationToken,
}

impl Door {
    /// Serves one connection on a task of its own, in which a client can take its time.
    fn let_in(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        // Answers are small; waiting for more to send would only delay them. If it cannot be had, they are delayed.
        let _ = stream.set_nodelay(true);
        let unread = Unread::default();
        // Beneath TLS, so that what a client still sends need not be decrypted to be thrown away.
        let stream = Lingering::new(stream, unread.clone());
        let connected = Connected {
            router: self.router.clone(),
            peer,
            unread,
            watcher: self.graceful.watcher(),
        };
        let (tls, closed) = (self.tls.clone(), self.closed.clone());
        tokio::spawn(async move {
            match tls {
                None => connected.serve(stream, Scheme::Http).await,
                Some(tls) => {
                    let shaken = tokio::time::timeout(HANDSHAKE_PATIENCE, tls.accept(stream));
                    // Whoever has sent no request yet loses nothing when the server stops.
                    match closed.run_until_cancelled(shaken).await {
                        Some(Ok(Ok(stream))) => connected.serve(stream, Scheme::Https).await,
                        Some(Ok(Err(error))) => tracing::debug!(%error, "no TLS came about"),
                        Some(Err(_)) => tracing::debug!("a client took too long for its handshake"),
                        None => {}
                    }
                }
            }
            drop(place);
        });
    }
}

/// A client that was let in.
struct Connected {
    router: Router,
    peer: SocketAddr,
    unread: Unread,
    watcher: Watcher,
}

impl Connected {
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: Scheme,
    ) {
        let connection = Connection {
            peer: self.peer.ip(),
            scheme,
        };
        let unread = self.unread;
        let service = self.router.map_request(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(connection);
            request.extensions_mut().insert(unread.clone());
            request
        });
        // HTTP/1.1 alone: that is what proxies speak to servers behind them, and what all browsers speak too.
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE);
        let connection =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pause before the next try, and a bound on waiting, is what this is"
)]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
