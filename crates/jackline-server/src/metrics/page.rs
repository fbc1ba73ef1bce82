//! The page that Prometheus reads, on an address of its own: what is counted is nobody's business who can reach the server's routes.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::net::SocketAddr;
use tokio::net::TcpListener;

use super::Prometheus;
use crate::connections::{self, Places};

/// The text format, in the version that every Prometheus reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One Prometheus asks now and then.
const MAX_CONNECTIONS: usize = 16;

/// Listens at `address`, and serves `/metrics` there until `stop` resolves. Returns where it listens.
///
/// # Errors
/// If it cannot listen.
pub(crate) async fn serve(
    address: SocketAddr,
    prometheus: Arc<Prometheus>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}, which JACKLINE_METRICS_ADDR names; is another program using the port?")
    })?;
    let address = listener
        .local_addr()
        .context("cannot tell where metrics are served")?;
    let router = Router::new()
        .route("/metrics", get(show))
        .with_state(prometheus);
    tokio::spawn(async move {
        let places = Places::new(MAX_CONNECTIONS);
        // Whoever is reading when the server stops has read most of it.
        drop(connections::accept(listener, None, router, places, stop).await);
    });
    Ok(address)
}

async fn show(State(prometheus): State<Arc<Prometheus>>) -> Response {
    match prometheus.render() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
