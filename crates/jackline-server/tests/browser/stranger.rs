//! Another site's server: pages that a test makes up, and nothing else.

use std::net::TcpListener;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::oneshot;

/// A running site, gone with this value.
#[derive(Debug)]
pub(crate) struct Stranger {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    server: Option<std::thread::JoinHandle<()>>,
}

impl Stranger {
    /// A site with these pages, each with its path and its HTML. All have the same content policy; an empty one allows everything.
    pub(crate) fn serve(policy: &'static str, pages: &[(&'static str, String)]) -> Self {
        let pages = pages.to_vec();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let app = axum::Router::new().fallback(async move |uri: Uri| -> Response {
            let html = pages.iter().find(|(path, _)| *path == uri.path());
            let Some((_, html)) = html else {
                return StatusCode::NOT_FOUND.into_response();
            };
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CONTENT_SECURITY_POLICY, policy),
            ];
            (headers, html.clone()).into_response()
        });
        let server = std::thread::spawn(move || {
            testkit::block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, app) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// A page's address by the name `127.0.0.1`: for a browser another site than `localhost`.
    pub(crate) fn cross_site(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A page's address by the name `localhost`: for a browser the same site as any other port there, and another origin.
    pub(crate) fn same_site(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.server.take().unwrap().join();
    }
}
