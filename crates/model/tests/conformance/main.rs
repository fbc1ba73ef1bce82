//! The model's store answers what the real ones answer. Random walks through the model are taken on a real store as well,
//! step by step, and after each step everything that can be read is compared.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod replica;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jackline::store::Store;
use jackline::store::encrypted::{EncryptedStore, EncryptionKey, EncryptionKeys};
use jackline::store::memory::MemoryStore;
use jackline::store::postgres::{PostgresOptions, PostgresStore};
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::sqlite::SqliteStore;
use jackline_model::bounds::{CHANGES, COOKIES, REVOCATION};
use jackline_model::protocol::{Flaw, Protocol};
use jackline_model::world::{State, World};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use stateright::Model;
use testkit::postgres::PostgresServer;
use testkit::redis::RedisServer;
use tokio::runtime::Runtime;

use replica::Replica;

/// The worlds that are walked through. On a cluster a login is two steps of the model and one call of the real store, so that
/// world is left to the search.
const WORLDS: [&World; 3] = [&CHANGES, &COOKIES, &REVOCATION];

/// For engines on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than any way through a world.
const STEPS: usize = 24;

/// Takes so many walks; says where the store first answered otherwise than the model.
fn walk(
    runtime: &Runtime,
    store: &Arc<dyn Store>,
    protocol: Protocol,
    walks: u32,
) -> Result<(), String> {
    let config = Config {
        cases: walks,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let choices = (any::<Index>(), any::<Index>(), vec(any::<Index>(), STEPS));
    TestRunner::new_with_rng(config, random)
        .run(&choices, |(world, beginning, choices)| {
            let world = World {
                protocol,
                ..(*world.get(&WORLDS)).clone()
            };
            let state = beginning.get(&world.init_states()).clone();
            runtime
                .block_on(walk_once(Arc::clone(store), &world, state, &choices))
                .map_err(TestCaseError::fail)
        })
        .map_err(|failure| failure.to_string())
}

async fn walk_once(
    store: Arc<dyn Store>,
    world: &World,
    mut state: State,
    choices: &[Index],
) -> Result<(), String> {
    static WALKS: AtomicU32 = AtomicU32::new(0);
    let walk = WALKS.fetch_add(1, Ordering::Relaxed);
    let mut replica = Replica::begin(store, walk, &state).await;
    let (mut way, mut events) = (Vec::new(), Vec::new());
    for choice in choices {
        events.clear();
        world.actions(&state, &mut events);
        if events.is_empty() {
            break;
        }
        let event = *choice.get(&events);
        let next = world.next_state(&state, event).unwrap();
        way.push(event);
        replica
            .take(world, &state, event, &next)
            .await
            .map_err(|difference| format!("{way:?}: {difference}"))?;
        state = next;
    }
    Ok(())
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

// Proves: J2, J3, J4, J10
#[test]
fn the_memory_store_does_what_the_model_does() {
    walk(&Runtime::new().unwrap(), &memory(), Protocol::SOUND, 3000).unwrap();
}

// Proves: J2, J3, J4, J10
#[test]
fn sqlite_does_what_the_model_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("sessions.db")).unwrap();
    walk(
        &Runtime::new().unwrap(),
        &(Arc::new(store) as _),
        Protocol::SOUND,
        400,
    )
    .unwrap();
}

// Proves: J2, J3, J4, J10
#[test]
fn postgresql_does_what_the_model_does() {
    let runtime = Runtime::new().unwrap();
    let (store, _server) = runtime.block_on(async {
        let server = PostgresServer::start().await;
        let options = PostgresOptions::default()
            .response_timeout(PATIENCE)
            .connection_timeout(PATIENCE);
        let store = PostgresStore::connect(&server.url().parse().unwrap(), options).await;
        (store.unwrap(), server)
    });
    walk(&runtime, &(Arc::new(store) as _), Protocol::SOUND, 400).unwrap();
}

// Proves: J2, J3, J4, J10
#[test]
fn redis_does_what_the_model_does() {
    let runtime = Runtime::new().unwrap();
    let (store, _server) = runtime.block_on(async {
        let server = RedisServer::start().await;
        let options = RedisOptions::default()
            .response_timeout(PATIENCE)
            .connection_timeout(PATIENCE);
        let store = RedisStore::connect(&server.url(), options).await;
        (store.unwrap(), server)
    });
    walk(&runtime, &(Arc::new(store) as _), Protocol::SOUND, 400).unwrap();
}

// Proves: J2, J3, J4, J10
#[test]
fn a_store_that_encrypts_does_what_the_model_does() {
    let key = EncryptionKey::new("a-key-for-the-walks-of-a-model-0123456789").unwrap();
    let store = EncryptedStore::new(memory(), EncryptionKeys::new(key));
    let store: Arc<dyn Store> = Arc::new(store);
    walk(&Runtime::new().unwrap(), &store, Protocol::SOUND, 1000).unwrap();
}

#[test]
fn a_model_that_does_otherwise_is_told_apart() {
    let runtime = Runtime::new().unwrap();
    for flaw in [Flaw::NoTraces, Flaw::RenewalRevives] {
        let difference = walk(&runtime, &memory(), Protocol::SOUND.with(flaw), 3000).unwrap_err();
        assert!(
            difference.contains("the model says"),
            "{flaw:?}: {difference}"
        );
    }
}
