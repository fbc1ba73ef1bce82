//! The tower layer: a thin adapter over the [`engine`](crate::engine).
//!
//! For every request it
//!
//! 1. puts a [`LazySession`] into the request's extensions: its cookies are read, and the store is asked, when somebody looks at it;
//! 2. refuses unsafe requests that come from another site or lack the session's CSRF token with a `403`;
//! 3. calls the inner service;
//! 4. when the response is ready and somebody has touched the session, writes what was changed, in one round trip, and adds
//!    `Set-Cookie`, `Cache-Control` and `Vary`. If what the handler claims did not come true (the session ended meanwhile, the
//!    store is away), the response is replaced by one that says so. It carries its [`Refusal`], as do those of 2.
//!
//! # Deployment
//!
//! The layer must know the other end of the connection. With axum, serve with
//! `into_make_service_with_connect_info::<SocketAddr>()`; elsewhere insert a [`Connection`] into the
//! request's extensions. Without either, requests count as unencrypted, and a `Secure` cookie is neither believed nor granted.
//!
//! Put it *inside* a layer that catches panics: a handler that panics has then changed nothing, and the client gets a `500`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::engine::{Connection, CsrfCheck, Engine, Incoming, ResponseChanges};
use crate::session::{LazySession, Refusal, SessionError};

/// How much of a form is read to find the CSRF token in it: 64 KiB. Send larger forms with the token in the header.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// Gives every request a session. See the [module](self).
#[derive(Clone, Debug)]
pub struct SessionLayer {
    engine: Engine,
}

impl SessionLayer {
    /// A layer over `engine`.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            engine: self.engine.clone(),
            inner,
        }
    }
}

/// A service whose requests have sessions.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    engine: Engine,
    inner: S,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for SessionService<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    ReqB: Body + From<Bytes> + Send + 'static,
    ReqB::Data: Send,
    ReqB::Error: std::error::Error + Send + Sync + 'static,
    ResB: From<Bytes>,
{
    type Response = Response<ResB>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqB, ResB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        let connection = connection(&request);
        let incoming = Incoming {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            connection,
        };
        let session = self.engine.open(&incoming);
        let state = match self.engine.check_csrf(&incoming, &session) {
            Err(error) => State::Refused { error: Some(error) },
            Ok(CsrfCheck::Passed) => {
                request.extensions_mut().insert(session.clone());
                State::Handling {
                    handling: self.inner.call(request),
                }
            }
            Ok(CsrfCheck::AskForm) => {
                request.extensions_mut().insert(session.clone());
                let reading = Box::pin(read_form(self.engine.clone(), session.clone(), request));
                // The service that was polled ready goes along; its clone waits for the next request.
                let clone = self.inner.clone();
                State::Reading {
                    reading,
                    inner: std::mem::replace(&mut self.inner, clone),
                }
            }
        };
        ResponseFuture {
            state,
            engine: self.engine.clone(),
            session,
        }
    }
}

fn connection<B>(request: &Request<B>) -> Option<Connection> {
    let known = request.extensions().get::<Connection>().copied();
    #[cfg(feature = "axum")]
    let known = known.or_else(|| {
        let peer = request
            .extensions()
            .get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()?;
        Some(Connection {
            peer: peer.0.ip(),
            scheme: crate::proxy::Scheme::Http,
        })
    });
    if known.is_none() {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                "requests do not say where they come from; serve with \
                 `into_make_service_with_connect_info::<SocketAddr>()` or insert a `jackline::engine::Connection`"
            );
        });
    }
    known
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

async fn read_form<B>(
    engine: Engine,
    session: LazySession,
    request: Request<B>,
) -> Result<Request<B>, SessionError>
where
    B: Body + From<Bytes> + Send,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (head, body) = request.into_parts();
    let body = Limited::new(Box::pin(body), MAX_FORM_BYTES)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                SessionError::FormTooLarge
            } else {
                SessionError::CrossSite
            }
        })?;
    let bytes = body.to_bytes();
    engine.check_csrf_form(&bytes, &session)?;
    Ok(Request::from_parts(head, B::from(bytes)))
}

pin_project! {
    /// The response to come.
    pub struct ResponseFuture<S, ReqB, ResB>
    where
        S: Service<Request<ReqB>>,
    {
        #[pin]
        state: State<S, ReqB, ResB>,
        engine: Engine,
        session: LazySession,
    }
}

impl<S, ReqB, ResB> std::fmt::Debug for ResponseFuture<S, ReqB, ResB>
where
    S: Service<Request<ReqB>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseFuture")
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, ReqB, ResB>
    where
        S: Service<Request<ReqB>>,
    {
        /// The defence refused the request.
        Refused { error: Option<SessionError> },
        /// A form is read in search of its CSRF token.
        Reading { reading: BoxFuture<Result<Request<ReqB>, SessionError>>, inner: S },
        /// The handler works.
        Handling { #[pin] handling: S::Future },
        /// What it changed is written.
        Finishing { finishing: BoxFuture<ResponseChanges>, response: Option<Response<ResB>> },
    }
}

impl<S, ReqB, ResB> Future for ResponseFuture<S, ReqB, ResB>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ResB: From<Bytes>,
{
    type Output = Result<Response<ResB>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Refused { error } => {
                    // Taken once: a future that has answered is not polled again.
                    let error = error.take().unwrap_or(SessionError::CrossSite);
                    return Poll::Ready(Ok(refusal(error)));
                }
                StateProjection::Reading { reading, inner } => {
                    match ready!(reading.as_mut().poll(cx)) {
                        Err(error) => State::Refused { error: Some(error) },
                        Ok(request) => State::Handling {
                            handling: inner.call(request),
                        },
                    }
                }
                StateProjection::Handling { handling } => {
                    let mut response = ready!(handling.poll(cx))?;
                    if let Some(changes) = this.engine.finish_at_once(this.session) {
                        changes.apply(response.headers_mut());
                        return Poll::Ready(Ok(response));
                    }
                    let (engine, session, status) =
                        (this.engine.clone(), this.session.clone(), response.status());
                    let finishing = Box::pin(async move { engine.finish(&session, status).await });
                    State::Finishing {
                        finishing,
                        response: Some(response),
                    }
                }
                StateProjection::Finishing {
                    finishing,
                    response,
                } => {
                    let mut changes = ready!(finishing.as_mut().poll(cx));
                    let mut response = match (changes.take_instead(), response.take()) {
                        (None, Some(response)) => response,
                        (Some(error), _) => refusal(error),
                        (None, None) => refusal(SessionError::TooLate),
                    };
                    changes.apply(response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
            };
            this.state.set(next);
        }
    }
}

/// An error as a response: its status, `{"error":"…"}`, and itself in the extensions.
pub(crate) fn refusal<B: From<Bytes>>(error: SessionError) -> Response<B> {
    let mut response = Response::new(B::from(Bytes::from(error.body())));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    if let Some(seconds) = error.retry_after_secs() {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(Refusal::of(error));
    response
}
