//! The clients of the benchmark. `bench-load PORT CONNECTIONS` logs in over each of so many connections to loopback, every one as a
//! user of its own, and then does what it is told on its standard input, a command a line, each answered by a line of JSON:
//!
//! - `open METHOD PATH REQUESTS` opens the connections anew and makes so many requests, to warm up what will be measured. Between
//!   this answer and the next command nothing is on its way, so that whoever tells can read the counters of the other processes.
//! - `go METHOD PATH REQUESTS` makes so many requests over these connections, one at a time each, and says how long they took.
//!
//! One thread. A request is written whole and a response read whole, with no more of a client around it than that: the less the
//! clients use, the more of their core is left to Redis. A response other than `200` ends the program with what it says.

mod client;

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::runtime;
use tokio::task::JoinSet;

use client::{Client, Request};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, connections] = &arguments[..] else {
        bail!("say PORT CONNECTIONS");
    };
    let (port, connections): (u16, usize) = (port.parse()?, connections.parse()?);
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;

    let mut clients: Vec<Client> = (0..connections)
        .map(|number| Client::new(port, format!("user-{}", 1001 + number)))
        .collect();
    let log_in = Request::read("POST /login")?;
    clients = runtime.block_on(reconnect(clients))?;
    (clients, _) = runtime.block_on(all(clients, log_in, connections))?;
    answer(&json!({ "sessions": connections }))?;

    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, rest) = line.split_once(' ').context("a command has words")?;
        let (request, count) = rest
            .rsplit_once(' ')
            .context("a command ends in a number")?;
        let (request, count) = (Request::read(request)?, count.parse()?);
        if what == "open" {
            clients = runtime.block_on(reconnect(clients))?;
        } else {
            ensure!(what == "go", "no such command: {what}");
        }
        let start = Instant::now();
        let times;
        (clients, times) = runtime.block_on(all(clients, request, count))?;
        answer(&summary(start.elapsed(), times))?;
    }
    Ok(())
}

async fn reconnect(mut clients: Vec<Client>) -> Result<Vec<Client>> {
    for client in &mut clients {
        client.connect().await?;
    }
    Ok(clients)
}

/// Shares `count` requests out among the clients, and returns how long each took.
async fn all(
    clients: Vec<Client>,
    request: Request,
    count: usize,
) -> Result<(Vec<Client>, Vec<Duration>)> {
    let (each, more) = (count / clients.len(), count % clients.len());
    let mut tasks = JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        let count = each + usize::from(number < more);
        tasks.spawn(async move {
            let times = client.ask(request, count).await?;
            anyhow::Ok((client, times))
        });
    }
    let (mut clients, mut times) = (Vec::new(), Vec::with_capacity(count));
    while let Some(done) = tasks.join_next().await {
        let (client, took) = done??;
        clients.push(client);
        times.extend(took);
    }
    Ok((clients, times))
}

fn summary(elapsed: Duration, mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let quantile = |share: f64| {
        let last = times.len().saturating_sub(1);
        let time = times.get((last as f64 * share).round() as usize);
        time.map(|time| time.as_secs_f64() * 1e6)
    };
    json!({
        "requests": times.len(),
        "seconds": elapsed.as_secs_f64(),
        "p50_us": quantile(0.5),
        "p99_us": quantile(0.99),
    })
}

fn answer(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
