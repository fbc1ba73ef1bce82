//! The threads that work on the file, and how others wait for them. Whatever is waited for is either done and on disk, or
//! answered with an error; nothing waits for ever, since a queue that is full is an error too.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection::SqliteOpenError;
use super::tables::{self, translated};
use super::turn::Turn;
use crate::store::doubt::Doubt;
use crate::store::{StoreError, StoreFuture};

/// How many pieces of work may wait. More than that is a store that does not keep up.
pub(super) const QUEUE: usize = 4_096;

/// How many pieces of work share one transaction at most, so that the first need not wait for a crowd.
const BATCH: usize = 256;

const CLOSED: &str = "the store is closed";

/// The thread that writes.
pub(super) struct Writer {
    worker: Worker,
    shared: Arc<Shared>,
}

/// What the thread that writes lets others know.
#[derive(Default)]
struct Shared {
    transactions: AtomicU64,
    doubt: Doubt,
}

impl Writer {
    pub(super) fn start(db: Connection, turn: Turn) -> Result<Self, SqliteOpenError> {
        let shared = Arc::<Shared>::default();
        let told = Arc::clone(&shared);
        let worker = Worker::start("jackline-sqlite-writer", move |jobs| {
            write_batches(&db, &turn, jobs, &told)
        })?;
        Ok(Self { worker, shared })
    }

    /// Runs `work` inside a transaction. The answer comes after the commit.
    pub(super) fn run<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.worker.submit(work)
    }

    /// Whether a write has failed and none was taken since that proves that there is room.
    #[cfg(test)]
    pub(super) fn is_in_doubt(&self) -> bool {
        self.shared.doubt.pending().is_some()
    }

    pub(super) fn transactions(&self) -> u64 {
        self.shared.transactions.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Whether the file would take a write. If one has failed, a larger one is tried.
    pub(super) fn probe<'a>(&self) -> StoreFuture<'a, ()> {
        let shared = Arc::clone(&self.shared);
        let failed = shared.doubt.pending();
        let probe = self
            .worker
            .submit(move |db| tables::probe(db, failed.is_some()));
        Box::pin(async move {
            probe.await?;
            if let Some(failed) = failed {
                shared.doubt.settle(failed);
            }
            Ok(())
        })
    }
}

/// A thread that reads.
pub(super) struct Reader {
    worker: Worker,
}

impl Reader {
    pub(super) fn start(db: Connection) -> Result<Self, SqliteOpenError> {
        let worker = Worker::start("jackline-sqlite-reader", move |jobs| {
            for mut job in jobs {
                if job.is_awaited() {
                    run(&mut *job, &db);
                    job.answer(Ok(()));
                }
            }
        })?;
        Ok(Self { worker })
    }

    pub(super) fn run<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.worker.submit(work)
    }
}

fn write_batches(db: &Connection, turn: &Turn, jobs: Receiver<Box<dyn Job>>, shared: &Shared) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH - 1));
        // If everybody has given up, the file is left alone.
        batch.retain(|job| job.is_awaited());
        if batch.is_empty() {
            continue;
        }
        let outcome = transact(db, turn, &mut batch);
        if outcome.is_ok() {
            shared.transactions.fetch_add(1, Ordering::Relaxed);
        } else if !db.is_autocommit() {
            // If even this fails, the next BEGIN does too, and everybody is told so until SQLite has recovered.
            let _ = execute(db, "ROLLBACK");
        }
        if outcome.is_err() || batch.iter().any(|job| job.is_unavailable()) {
            shared.doubt.raise();
        }
        for job in batch {
            job.answer(outcome.clone());
        }
    }
}

/// Runs a batch in one transaction, each job in a savepoint of its own.
fn transact(db: &Connection, turn: &Turn, batch: &mut [Box<dyn Job>]) -> Result<(), Failure> {
    {
        let _turn = turn.take()?;
        execute(db, "BEGIN IMMEDIATE")?;
    }
    for job in batch {
        // Whoever gave up while this transaction waited for the file, or for the jobs before, was told nothing: nothing need
        // be done.
        if !job.is_awaited() {
            continue;
        }
        execute(db, "SAVEPOINT job")?;
        if !run(&mut **job, db) {
            // A full disk or a failing one takes the whole transaction back, and with it the jobs before this one.
            if db.is_autocommit() {
                return Err(Failure::TakenBack);
            }
            execute(db, "ROLLBACK TO job")?;
        }
        execute(db, "RELEASE job")?;
    }
    Ok(execute(db, "COMMIT")?)
}

fn execute(db: &Connection, statement: &'static str) -> rusqlite::Result<()> {
    db.prepare_cached(statement)?.execute([])?;
    Ok(())
}

/// Why a whole batch failed. All of its jobs are told the same.
#[derive(Clone, Debug, thiserror::Error)]
enum Failure {
    #[error("SQLite took the transaction back; is the disk full?")]
    TakenBack,
    #[error(transparent)]
    Sqlite(Arc<rusqlite::Error>),
    #[error("cannot lock the file by which processes take turns")]
    Turn(#[source] Arc<io::Error>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Turn(Arc::new(error))
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// Runs a job. Says whether it succeeded; a panic is a failure of that job alone.
fn run(job: &mut dyn Job, db: &Connection) -> bool {
    catch_unwind(AssertUnwindSafe(|| job.run(db))).unwrap_or_else(|_| {
        tracing::error!("a piece of the session store's work panicked");
        false
    })
}

/// A thread and the queue that it works off.
struct Worker {
    // `None` only while the worker is dropped.
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(
        name: &str,
        work: impl FnOnce(Receiver<Box<dyn Job>>) + Send + 'static,
    ) -> Result<Self, SqliteOpenError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(jobs))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    fn submit<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let (answer, awaited) = oneshot::channel();
        let job = Work {
            work: Some(work),
            result: None,
            answer,
        };
        let queued = match &self.queue {
            Some(queue) => queue
                .try_send(Box::new(job))
                .map_err(|refused| match refused {
                    TrySendError::Full(_) => "too much work is waiting for the file",
                    TrySendError::Disconnected(_) => CLOSED,
                }),
            None => Err(CLOSED),
        };
        Box::pin(async move {
            queued.map_err(StoreError::unavailable)?;
            // The sender is dropped without an answer only when the store is.
            awaited
                .await
                .unwrap_or_else(|_| Err(StoreError::unavailable(CLOSED)))
        })
    }
}

impl Drop for Worker {
    /// Works off what is waiting, and closes the file.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

/// A piece of work that somebody waits for.
trait Job: Send {
    /// Whether anybody still does.
    fn is_awaited(&self) -> bool;
    /// Does it. Says whether that succeeded.
    fn run(&mut self, db: &Connection) -> bool;
    /// Whether the file did not take it.
    fn is_unavailable(&self) -> bool;
    /// Tells what came of it, given what came of the transaction.
    fn answer(self: Box<Self>, transaction: Result<(), Failure>);
}

struct Work<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(&mut self, db: &Connection) -> bool {
        // Each job runs once.
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = work(db);
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn is_unavailable(&self) -> bool {
        matches!(self.result, Some(Err(StoreError::Unavailable(_))))
    }

    fn answer(self: Box<Self>, transaction: Result<(), Failure>) {
        let result = match (self.result, transaction) {
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(StoreError::unavailable("the work was not finished")),
            // Says more than that the transaction failed: it may be the reason.
            (Some(Err(error @ StoreError::Unavailable(_))), Err(_)) => Err(error),
            // Not even a refusal stands: it may rest on what another job of this transaction wrote, which never happened.
            (_, Err(failure)) => Err(StoreError::unavailable(failure)),
        };
        let _ = self.answer.send(result);
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        translated(error)
    }
}
