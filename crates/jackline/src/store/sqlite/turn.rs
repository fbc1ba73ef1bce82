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
use std::time::Instant;

use super::connection::{BUSY_TIMEOUT, pause};

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
        let began = Instant::now();
        loop {
            match self.0.try_lock() {
                Ok(()) => return Ok(Taken(Some(&self.0))),
                Err(TryLockError::WouldBlock) if began.elapsed() < BUSY_TIMEOUT => pause(),
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
