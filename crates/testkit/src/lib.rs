//! Throwaway servers for the tests of this workspace: started on free loopback ports, kept in temporary folders, and gone with
//! the test; and browsers to look at them, a small one and Chromium. Nothing here is published.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot start its server fails"
)]

pub mod browser;
pub mod certificates;
pub mod chromium;
pub mod dawdle;
pub mod node;
mod packages;
pub mod passkey;
pub mod postgres;
mod process;
pub mod program;
pub mod redis;
pub mod relay;
pub mod schemathesis;
pub mod tls;

use std::net::TcpListener;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often a condition is looked at, and how long at most until it is given up.
const EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// A loopback port that nobody listens on, and that the system gives to no connection either: those begin at 32,768. Between this call and its use another process may take it; a server that cannot
/// listen then ends at once, and its test fails rather than talking to a stranger.
#[must_use]
pub fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Every process begins somewhere else.
        let n = std::process::id().wrapping_mul(7919) + TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (n % 10_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `condition` holds, looking again and again.
///
/// # Panics
/// If it never does.
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    assert!(in_time(condition).await, "given up waiting: {what}");
}

/// The same, and says whether it came to hold.
async fn in_time(mut condition: impl AsyncFnMut() -> bool) -> bool {
    let mut every = tokio::time::interval(EVERY);
    let wait = async {
        while !condition().await {
            every.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.is_ok()
}

/// Runs the future to its end, in this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Runs `work` in so many threads, which all begin at the same time, and returns what each brought.
pub fn at_once<T: Send>(how_many: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let together = Barrier::new(how_many);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..how_many)
            .map(|n| {
                let (work, together) = (&work, &together);
                scope.spawn(move || {
                    together.wait();
                    work(n)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    })
}
