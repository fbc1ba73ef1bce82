//! What happens to an engine while its clients go on: it is killed, paused or failed over at random moments, and comes back.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use jackline::store::Store;
use tokio::sync::Mutex;

use crate::checker::{Tolerance, Verdict, check};
use crate::history::{History, Recorder};
use crate::workload::{CLIENTS, Client, World};

/// What can happen to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Killed with -9, and started again.
    Kill,
    /// Stopped in whatever it is at (SIGSTOP), and let go on.
    Pause,
    /// A replica takes its place.
    FailOver,
}

/// An engine that can be tortured.
pub(crate) trait Engine {
    /// What can happen to it; nothing to an engine that lives and dies with the process.
    const FAULTS: &'static [Fault];

    /// What it may lose of what it has acknowledged, when one of them happens.
    const TOLERANCE: Tolerance;

    fn name(&self) -> String;

    /// One more handle, such as every instance of a service has one, whose calls take so long at most.
    async fn open(&self, timeout: Duration) -> Arc<dyn Store>;

    async fn begin(&mut self, fault: Fault);

    /// Brings it back, and waits until it answers.
    async fn end(&mut self, fault: Fault);

    /// What is to be done when the time is up, before everything is looked at once more.
    async fn finish(&mut self) {}

    /// Where histories are kept.
    fn recorder(&self) -> Recorder {
        Recorder::in_memory()
    }

    fn history(&self, world: &World) -> History {
        world.recorder.history()
    }
}

/// How long engines are tortured.
pub(crate) fn how_long() -> Duration {
    let seconds = std::env::var("JACKLINE_TORTURE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(10, |seconds| seconds.parse().expect("whole seconds")))
}

/// What a failing run is repeated with; the schedule of threads is another matter.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("JACKLINE_TORTURE_SEED").ok();
    given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"))
}

/// How long a handle waits for an answer: what the stores do by default.
const TIMEOUT: Duration = Duration::from_millis(450);

/// One engine at a time: on a machine that is busy with others its answers come too late, and what is unknown proves little.
pub(crate) static TURN: Mutex<()> = Mutex::const_new(());

/// Handles of one engine, as many as there might be instances of a service.
const HANDLES: usize = 4;

/// After an engine answers again: what waited in its connections meanwhile is done within this time.
const SETTLING: Duration = Duration::from_secs(1);

/// What a run consists of at least: one in which the engine was hardly there, or nothing happened to it, proves little.
const FEWEST_ACKNOWLEDGED: usize = 500;
const FEWEST_FAULTS: usize = 2;

/// The number of the client that looks at everything at the end.
const AUDITOR: u32 = 1_000;

/// What happened, and what the checker found.
pub(crate) struct Run {
    pub(crate) history: History,
    pub(crate) verdict: Verdict,
}

/// Lets clients loose on an engine, and faults too, and then looks at everything once more.
pub(crate) async fn torture<E: Engine>(engine: E, steps: usize) -> Run {
    torture_with(seed(), engine, steps).await
}

/// The same, with a seed of the test's choice.
pub(crate) async fn torture_with<E: Engine>(seed: u64, mut engine: E, steps: usize) -> Run {
    let _turn = TURN.lock().await;
    let mut rng = Rng::with_seed(seed);
    let world = World::new(engine.recorder());
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        handles.push(engine.open(TIMEOUT).await);
    }
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let store = Arc::clone(&handles[number as usize % HANDLES]);
            tokio::spawn(Client::new(&world, store, number, 0, seed).live(steps))
        })
        .collect();
    storm(&mut engine, &world, &mut rng).await;
    for client in clients {
        client.await.unwrap();
    }
    engine.finish().await;
    world.recorder.settled();
    // On a handle of its own.
    let store = engine.open(TIMEOUT).await;
    Client::new(&world, store, AUDITOR, 0, seed).audit().await;
    let history = engine.history(&world);
    let verdict = check(&history, E::TOLERANCE);
    let operations = history.operations.iter();
    let (acknowledged, unknown): (Vec<_>, Vec<_>) = operations
        .filter(|operation| operation.client != AUDITOR)
        .partition(|operation| operation.answer().is_some());
    let (acknowledged, unknown) = (acknowledged.len(), unknown.len());
    let faults = history.faults.len();
    println!(
        "{}: seed {seed}, {acknowledged} operations acknowledged, {unknown} unknown, {faults} faults; {verdict}",
        engine.name(),
    );
    assert!(acknowledged >= FEWEST_ACKNOWLEDGED, "hardly a run");
    let enough = E::FAULTS.is_empty() || faults >= FEWEST_FAULTS;
    assert!(enough, "hardly anything happened to the engine");
    Run { history, verdict }
}

/// Faults at random, until the time is up for everybody, and a few in any case.
async fn storm<E: Engine>(engine: &mut E, world: &World, rng: &mut Rng) {
    let over = tokio::time::Instant::now() + how_long();
    if E::FAULTS.is_empty() {
        // The clients' steps are counted.
        return;
    }
    let mut faults = 0;
    while faults < FEWEST_FAULTS || tokio::time::Instant::now() < over {
        let_pass(Duration::from_millis(rng.u64(200..1_200))).await;
        let fault = *rng.choice(E::FAULTS).expect("there are faults");
        world.recorder.fault(&format!("{fault:?}"));
        engine.begin(fault).await;
        // Sometimes shorter than clients wait, sometimes longer.
        let_pass(Duration::from_millis(rng.u64(20..1_200))).await;
        engine.end(fault).await;
        let_pass(SETTLING).await;
        world.recorder.settled();
        faults += 1;
    }
    world.end();
}

#[expect(
    clippy::disallowed_methods,
    reason = "chaos keeps no appointments: when something happens is what is random here"
)]
async fn let_pass(time: Duration) {
    tokio::time::sleep(time).await;
}
