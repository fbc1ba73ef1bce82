//! How long after a logout was acknowledged on one instance another still answers for the session from memory: ten thousand
//! logouts, one after the other, with a Redis or a PostgreSQL that nobody else uses.
//!
//! ```text
//! cargo run --release -p jackline --features near-cache,redis,postgres --example near_logouts -- redis://127.0.0.1:6379
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{Policy, Record};
use jackline::origin::Origin;
use jackline::store::near::{Announcements, NearCache, NearOptions};
use jackline::store::postgres::{PostgresOptions, PostgresStore};
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::{Loaded, Store, Trace};
use jackline::token::{Bucket, SessionToken};

const LOGOUTS: u32 = 10_000;
const STEP: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let (here, there) = (instance(&url).await?, instance(&url).await?);
    let now = SystemClock.now();
    let mut times = Vec::new();
    for number in 0..LOGOUTS {
        let mut random = [0; 24];
        random[..4].copy_from_slice(&number.to_be_bytes());
        let key = SessionToken::from_random(random, Bucket::from_number(number as u16)).key();
        let record = Record::visitor(&Policy::default(), Origin::default(), now);
        here.create(&key, &record).await?;
        // The second answer comes from memory.
        for _ in 0..2 {
            there.load(&key, STEP, now).await?;
        }
        here.end(&key, None, Some(Trace::LoggedOut), now).await?;
        let ended = Instant::now();
        while matches!(there.load(&key, STEP, now).await?, Loaded::Live { .. }) {
            tokio::task::yield_now().await;
        }
        times.push(ended.elapsed());
    }
    times.sort_unstable();
    let of = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!("{LOGOUTS} logouts, until the other instance refuses:");
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0)] {
        println!("{name:>6} {:?}", of(share));
    }
    Ok(())
}

async fn instance(url: &str) -> Result<NearCache, Box<dyn Error>> {
    let announcements = Announcements::new(NearOptions::new(64 << 20));
    let store: Arc<dyn Store> = if url.starts_with("postgres") {
        let options = PostgresOptions::default();
        Arc::new(PostgresStore::announcing(&url.parse()?, options, &announcements).await?)
    } else {
        let options = RedisOptions::default().announce_to(&announcements);
        Arc::new(RedisStore::connect(url, options).await?)
    };
    Ok(NearCache::announced(store, &announcements))
}
