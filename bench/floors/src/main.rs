//! What the routes cost without a library, written by hand and no more careful than they must be: what Jackline is measured against.
//!
//! - `bench-floors bare`: axum alone. It is sent a cookie and does not read it, and answers the same to everybody.
//! - `bench-floors redis URL`: the cookie's signature is checked, one `GETEX` through one shared connection reads the session and
//!   renews it, its JSON is parsed. A view counted is one `SET` more.
//! - `bench-floors near URL`: the same, read from a map in this process; a write goes to both.

mod bare;
mod cookie;
mod near;
mod remote;
mod session;

use axum::Router;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let app: Router = match arguments[..] {
        ["bare"] => bare::app(),
        ["redis", url] => remote::app(connect(url).await?),
        ["near", url] => near::app(connect(url).await?),
        _ => return Err("say bare, redis URL or near URL".into()),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}

async fn connect(url: &str) -> Result<MultiplexedConnection, Error> {
    let client = redis::Client::open(url)?;
    Ok(client.get_multiplexed_async_connection().await?)
}
