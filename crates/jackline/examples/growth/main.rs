//! What a read and a write cost with so many sessions in a store, how much room those take, and what it costs to reclaim some.
//! `cargo xtask bench --growth` runs it for each store with few and with many, and compares.
//!
//! ```text
//! cargo run --release -p jackline --features redis,sqlite,postgres --example growth -- postgres 1000000
//! ```
//!
//! Sessions are copies of one that was logged in through the library, put into the store by its own means. What counts is the time
//! that the operating system says all threads have run, of this process and of the store's server: it does not grow while others hold
//! a core.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that fails is none, and says where it failed"
)]

mod cpu;
mod places;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{Delta, UnixMs};
use jackline::store::{Loaded, Store};
use serde_json::json;

use self::cpu::Cpu;
use self::places::{Place, key};

/// How many requests are under way at once.
const TASKS: u64 = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_secs(60);
/// How many sessions run out, to be reclaimed, and how many at a time, as the server does it.
const EXPIRED: u64 = 10_000;
const AT_A_TIME: u32 = 500;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let store = arguments.next().unwrap_or_else(|| "sqlite".to_owned());
    let sessions = arguments.next().map_or(1_000, |number| {
        number.parse().expect("a number of sessions")
    });
    let now = SystemClock.now();
    let filling = Instant::now();
    let place = match store.as_str() {
        "redis" => Place::redis(sessions, now).await,
        "sqlite" => Place::sqlite(sessions, now).await,
        "postgres" => Place::postgres(sessions, now).await,
        other => panic!("no store {other}; there are redis, sqlite and postgres"),
    };
    eprintln!("{store}: {sessions} sessions after {:?}", filling.elapsed());

    let bytes = place.bytes().await / sessions as f64;
    let reads = measure(&place, sessions, |store, key| async move {
        let loaded = store.load(&key, STEP, now).await.unwrap();
        assert!(matches!(loaded, Loaded::Live { .. }), "{loaded:?}");
    })
    .await;
    let renewals = measure(&place, sessions, |store, key| async move {
        let loaded = store.load(&key, Duration::ZERO, now).await.unwrap();
        assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
    })
    .await;
    let syncs_before = place.syncs().await;
    let mut delta = Delta::default();
    delta.increment("views", 1);
    let delta = Arc::new(delta);
    let writes = measure(&place, sessions, |store, key| {
        let delta = Arc::clone(&delta);
        async move {
            store.commit(&key, &delta, now).await.unwrap();
        }
    })
    .await;
    let syncs = place.syncs().await - syncs_before;
    let reclaimed = reclaim(&place, now).await;
    println!(
        "{}",
        json!({
            "store": store,
            "sessions": sessions,
            "bytes": bytes,
            "peer_bytes": place.peer_bytes().await,
            "read_us": reads.cost,
            "renewal_us": renewals.cost,
            "write_us": writes.cost,
            "writes_per_sync": if syncs > 0.0 { Some(writes.done as f64 / syncs) } else { None },
            "reclaim_us": reclaimed,
        })
    );
}

struct Measured {
    /// Microseconds of all threads, for one.
    cost: f64,
    done: u64,
}

/// Does one thing to sessions all over the store, many at once.
async fn measure<F, W>(place: &Place, sessions: u64, what: F) -> Measured
where
    F: Fn(Arc<dyn Store>, jackline::token::SessionKey) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    let mut costs = Vec::new();
    let mut done_in_all = 0;
    // The first is for caches to fill.
    for round in 0..=ROUNDS {
        let (begun, before) = (Instant::now(), Cpu::of(&place.server));
        let next = Arc::new(AtomicU64::new(fastrand::u64(..sessions)));
        let mut tasks = tokio::task::JoinSet::new();
        let mut done = 0;
        let one_more = |tasks: &mut tokio::task::JoinSet<()>| {
            // Steps of a prime: all over the place, and none twice at once.
            let number = next.fetch_add(7_919, Ordering::Relaxed) % sessions;
            tasks.spawn(what(Arc::clone(&place.store), key(number)));
        };
        for _ in 0..TASKS.min(sessions) {
            one_more(&mut tasks);
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no task panics");
            done += 1;
            if begun.elapsed() < ROUND {
                one_more(&mut tasks);
            }
        }
        done_in_all += done;
        if round > 0 {
            costs.push((Cpu::of(&place.server) - before).as_secs_f64() * 1e6 / done as f64);
        }
    }
    costs.sort_by(f64::total_cmp);
    Measured {
        cost: costs[ROUNDS / 2],
        done: done_in_all,
    }
}

/// Microseconds for one of those that ran out; `None` where the store's own expiry does the work.
async fn reclaim(place: &Place, now: UnixMs) -> Option<f64> {
    place.expire(EXPIRED).await;
    let before = Cpu::of(&place.server);
    let mut gone = 0;
    loop {
        let reclaimed = place.store.reclaim(AT_A_TIME, now).await.unwrap();
        gone += reclaimed;
        if reclaimed < u64::from(AT_A_TIME) {
            break;
        }
    }
    let cost = (Cpu::of(&place.server) - before).as_secs_f64() * 1e6;
    (gone > 0).then(|| cost / gone as f64)
}
