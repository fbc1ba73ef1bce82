//! Many writers on one session: everybody gets on. Progress is measured in operations and not in time, so that a slow machine is not
//! an unfair store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{Delta, Policy, Record};
use jackline::store::{Committed, Loaded, Store};
use jackline::token::{Bucket, SessionKey};
use tokio::sync::Barrier;

/// How many write at once.
const WRITERS: usize = 64;

/// How often each.
const WRITES: usize = 40;

/// How many times as far the first writer may be as the last, when the first is through.
const MOST_AHEAD: usize = 4;

/// Lets all writers count in one session, through these handles in turn, and checks that none is left behind.
pub(crate) async fn everybody_gets_on(handles: &[Arc<dyn Store>]) {
    let key = SessionKey::from_parts(Bucket::from_number(1), [7; 32]);
    let record = Record::visitor(&Policy::default(), Default::default(), SystemClock.now());
    handles[0].create(&key, &record).await.unwrap();
    let progress: Arc<Vec<AtomicUsize>> =
        Arc::new((0..WRITERS).map(|_| AtomicUsize::new(0)).collect());
    let start = Arc::new(Barrier::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&handles[writer % handles.len()]);
            let (progress, start) = (Arc::clone(&progress), Arc::clone(&start));
            tokio::spawn(async move {
                let mut delta = Delta::default();
                delta.increment("n", 1);
                start.wait().await;
                for _ in 0..WRITES {
                    let written = store.commit(&key, &delta, SystemClock.now()).await;
                    assert!(
                        matches!(written, Ok(Committed::Applied { .. })),
                        "{written:?}"
                    );
                    progress[writer].fetch_add(1, Ordering::SeqCst);
                }
                // How far the others are, now that this one is through.
                let others = progress
                    .iter()
                    .map(|progress| progress.load(Ordering::SeqCst));
                others.min().unwrap()
            })
        })
        .collect();
    let mut last = usize::MAX;
    for writer in writers {
        last = last.min(writer.await.unwrap());
    }
    println!(
        "{}: {WRITERS} writers made {WRITES} writes each; when the first was through, the last had made {last}",
        handles[0].name()
    );
    assert!(
        last * MOST_AHEAD >= WRITES,
        "a writer had made {last} of {WRITES}"
    );
    let Loaded::Live { record, .. } = handles[0]
        .load(&key, std::time::Duration::MAX, SystemClock.now())
        .await
        .unwrap()
    else {
        panic!("the session is gone");
    };
    let sum: usize = record.data.get("n").unwrap().unwrap();
    assert_eq!(sum, WRITERS * WRITES);
}
