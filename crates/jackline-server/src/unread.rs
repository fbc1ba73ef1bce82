//! Refusals of requests with a body. Whoever refuses a request often has not read its body, and HTTP/1.1 can then go on only
//! after reading it to the end. The server does not read what it has refused; it closes the connection, and says so, since a
//! client that is not told would send its next request into a closed one.

use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::lingering::Unread;

/// Adds `Connection: close` to refusals of HTTP/1 requests that have a body, and has the connection closed gently.
pub async fn announce_close(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    let unread = request.extensions().get::<Unread>().cloned();
    let concerned = has_body && request.version() < Version::HTTP_2;
    let mut response = next.run(request).await;
    if concerned && (response.status().is_client_error() || response.status().is_server_error()) {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(unread) = unread {
            unread.announce();
        }
    }
    response
}
