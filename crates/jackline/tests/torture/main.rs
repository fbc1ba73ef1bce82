//! Engines under torture: 64 clients mix all steps of the store contract while the engine is killed, paused and failed over, and a
//! checker replays what was acknowledged. Each run prints its seed and what it found, and fails too if hardly anything happened in it.
//!
//! `JACKLINE_TORTURE_SECONDS` says how long each engine is tortured, `JACKLINE_TORTURE_SEED` what a run is repeated with.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broken;
mod chaos;
mod checker;
mod engines;
mod fairness;
mod history;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use broken::{Broken, BrokenEngine, Flaw};
use chaos::{Run, torture, torture_with};
use checker::{Tolerance, check};
use engines::{
    Cluster, Encrypted, Forgetful, Memory, Postgres, Redis, RedisEverysec, Sentinel, Sqlite,
};
use fairness::everybody_gets_on;

/// How often a client asks at most, where time does not end it.
const STEPS: usize = 150;

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract_among_64_clients() {
    let Run { verdict, .. } = torture(Memory::default(), STEPS).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract_while_a_process_that_shares_the_file_is_killed_and_paused() {
    let Run { verdict, .. } = torture(Sqlite::start(), usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

/// The other half of the test above, which starts it as a process of its own. Started otherwise it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_another_process() {
    engines::live_in_another_process().await;
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract_while_it_is_killed_and_paused() {
    let Run { verdict, .. } = torture(Redis::start().await, usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract_while_it_is_killed_and_paused() {
    let Run { verdict, .. } = torture(Postgres::start().await, usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encryption_keeps_the_contract_while_redis_is_killed_and_paused() {
    let engine = Encrypted(Redis::start().await);
    let Run { verdict, .. } = torture(engine, usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_syncs_once_a_second_keeps_it_but_for_what_is_counted() {
    let Run { verdict, .. } = torture(RedisEverysec::start().await, usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_behind_sentinels_keeps_the_contract_over_failovers_but_for_what_is_counted() {
    let Run { verdict, .. } = torture(Sentinel::start().await, usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_behind_sentinels_that_insists_on_a_replica_keeps_the_contract_as_well() {
    let Run { verdict, .. } = torture(Sentinel::start_guarded().await, usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

// Proves: J2, J3, J4, J8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_cluster_keeps_the_contract_over_failovers_but_for_what_is_counted() {
    let Run { verdict, .. } = torture(Cluster::start().await, usize::MAX).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flaw_of_a_store_is_found() {
    use Flaw::{
        AdmitsTheRevoked, ForgetsToList, IgnoresTheCap, LeavesNoTrace, LeavesTheOldKey,
        LosesChanges, LosesSessions, OverlooksOne, Resurrects, WritesStaleCopies,
    };
    // Each with a seed that is known to find it.
    for (seed, flaw, promise) in [
        (1, Resurrects, "J2"),
        (2, LeavesTheOldKey, "J2"),
        (3, LosesChanges, "J3"),
        (4, WritesStaleCopies, "J3"),
        (5, OverlooksOne, "J4"),
        (6, AdmitsTheRevoked, "J4"),
        (7, ForgetsToList, "J4"),
        (8, IgnoresTheCap, "J4"),
        (9, LosesSessions, "J8"),
        (10, LeavesNoTrace, "J10"),
    ] {
        let engine = BrokenEngine(Arc::new(Broken::new(flaw)));
        let Run { verdict, .. } = torture_with(seed, engine, STEPS / 2).await;
        let found = verdict
            .violations
            .iter()
            .any(|found| found.starts_with(promise));
        assert!(found, "{flaw:?} breaks {promise}, and was not found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_saves_nothing_is_found_out_and_what_it_loses_is_counted() {
    let Run { history, verdict } = torture(Forgetful::start().await, usize::MAX).await;
    assert!(
        verdict
            .violations
            .iter()
            .any(|found| found.starts_with("J8"))
    );

    let verdict = check(
        &history,
        Tolerance {
            loses: Some(Duration::from_secs(3600)),
        },
    );
    assert_eq!(verdict.violations, Vec::<String>::new());
    println!("with tolerance: {verdict}");
    assert!(verdict.locked_out > 0, "{verdict}");
}

// Proves: J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_writers_of_one_session_in_sqlite_none_is_left_behind() {
    everybody_gets_on(&Sqlite::start_alone()).await;
}

// Proves: J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_writers_of_one_session_in_redis_none_is_left_behind() {
    let redis = Redis::start().await;
    everybody_gets_on(&redis).await;
}

// Proves: J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_writers_of_one_session_in_postgres_none_is_left_behind() {
    let postgres = Postgres::start().await;
    everybody_gets_on(&postgres).await;
}

// Proves: J3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_writers_of_one_encrypted_session_none_is_left_behind() {
    let redis = Encrypted(Redis::start().await);
    everybody_gets_on(&redis).await;
}
