//! Whose turn it is to write, among the processes that share a file.
//!
//! SQLite lets in whoever asks in the moment in which the file is free. A process that writes all the time gives it free for some tens
//! of microseconds between two commits, and another one may miss that for long. So whoever is to begin a transaction first takes an
//! empty file beside the database, and gives it back when the transaction has begun. A process that has just committed finds it taken
//! by the one that waits, and stands behind it: with two of them, they alternate.
//!
//! It keeps an order and nothing else. Who may write is SQLite's decision, also beside a program that does not know of this file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::connection::{BUSY_TIMEOUT, Patience};

/// The file that the next one to write holds.
pub(super) struct Turn(File);

impl Turn {
    /// Opens the file that belongs to the database at `path`, and creates it for this user alone.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = path.with_added_extension("next");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        Ok(Self(file))
    }

    /// Waits for the turn as long as for the database itself. Without it, whoever has waited so long is let try.
    pub(super) fn take(&self) -> io::Result<Taken<'_>> {
        let patience = Patience::of(BUSY_TIMEOUT);
        loop {
            match self.0.try_lock() {
                Ok(()) => return Ok(Taken(Some(&self.0))),
                Err(TryLockError::WouldBlock) if patience.pause() => {}
                // Its holder hangs, and keeps nobody from the database by that.
                Err(TryLockError::WouldBlock) => return Ok(Taken(None)),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// The turn, until this is dropped.
pub(super) struct Taken<'a>(Option<&'a File>);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            // It fails only if the file is not open.
            let _ = file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J7
    #[test]
    fn a_turn_is_taken_by_one_given_back_and_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        let (one, other) = (Turn::open(&path).unwrap(), Turn::open(&path).unwrap());
        let is_ones = |taken: &Taken<'_>| taken.0.is_some();
        let taken = one.take().unwrap();
        assert!(is_ones(&taken));
        assert!(!is_ones(&other.take().unwrap()), "its holder hangs");
        drop(taken);
        let taken = other.take().unwrap();
        assert!(is_ones(&taken));
        std::thread::scope(|scope| {
            let (asks, asked) = std::sync::mpsc::channel();
            let waiting = scope.spawn(move || {
                asks.send(()).unwrap();
                // More than it waits at a time may pass before the other thread gets to run.
                (0..20).any(|_| is_ones(&one.take().unwrap()))
            });
            asked.recv().unwrap();
            drop(taken);
            assert!(waiting.join().unwrap(), "whoever waits gets it");
        });
    }
}
