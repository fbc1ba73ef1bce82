//! A file to which every step appends one line, with the sessions in memory beside it. A crash leaves a step whole or not at
//! all: a last line without its line feed is a step that nobody was told of, and is cut off.
//!
//! For one process and some thousands of sessions. A second process that opens the file is turned away, since its memory
//! would not hear of what this one writes.
//!
//! The file holds hashes of tokens and the data of sessions, so it is readable for its owner only.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jackline::lifecycle::{OwnerId, Record, UnixMs};
use jackline::store::{Epoch, Trace};
use jackline::token::SessionKey;

use crate::line::{self, Change};

/// The file, and what it says.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Held for as long as the journal is open. A file of its own, because the journal itself is replaced now and then.
    _lock: File,
    /// How many bytes and lines of the file are known to be good.
    bytes: u64,
    lines: usize,
    /// After a failed write the end of the file is not known, until it is cut off.
    torn: bool,
    pub(crate) sessions: HashMap<SessionKey, Record>,
    /// What became of keys, and when.
    traces: HashMap<SessionKey, (Trace, UnixMs)>,
    epochs: HashMap<OwnerId, Epoch>,
}

impl Journal {
    /// Opens the journal at `path`, or begins one.
    ///
    /// # Errors
    /// If the file cannot be used, belongs to another process, or holds something else. No error quotes what it holds.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let lock = private()
            .create(true)
            .open(path.with_added_extension("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process uses the journal"),
            TryLockError::Error(error) => error,
        })?;
        let mut file = private().read(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let good = text.rfind('\n').map_or(0, |end| end + 1);
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            _lock: lock,
            bytes: good as u64,
            lines: 0,
            torn: true,
            sessions: HashMap::new(),
            traces: HashMap::new(),
            epochs: HashMap::new(),
        };
        for line in text[..good].lines() {
            let changes = line::read(line).ok_or(io::ErrorKind::InvalidData)?;
            journal.apply(changes);
            journal.lines += 1;
        }
        journal.mend()?;
        Ok(journal)
    }

    pub(crate) fn live(&self, key: &SessionKey, now: UnixMs) -> Option<&Record> {
        self.sessions
            .get(key)
            .filter(|record| !record.clocks.idle_expired(now))
    }

    /// What became of the key, as long as that is remembered.
    pub(crate) fn trace(&self, key: &SessionKey, now: UnixMs) -> Option<Trace> {
        let (trace, at) = self.traces.get(key)?;
        (now.since(*at) < trace.kept()).then_some(*trace)
    }

    /// What leaves a trace; nothing if one is there that weighs more.
    pub(crate) fn note(&self, key: &SessionKey, trace: Trace, now: UnixMs) -> Option<Change> {
        let weightier = self.trace(key, now).is_some_and(|there| there > trace);
        (!weightier).then_some(Change::Trace(*key, trace, now))
    }

    pub(crate) fn epoch(&self, owner: &OwnerId) -> Epoch {
        self.epochs.get(owner).copied().unwrap_or_default()
    }

    /// The owner's live sessions, newest login first. Looks at every session: a store for more of them keeps an index.
    pub(crate) fn of_owner(&self, owner: &OwnerId, now: UnixMs) -> Vec<SessionKey> {
        let mut keys: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, record)| record.owner() == Some(owner))
            .filter(|(_, record)| !record.clocks.idle_expired(now))
            .map(|(key, _)| *key)
            .collect();
        keys.sort_unstable_by_key(|key| std::cmp::Reverse(self.place(key)));
        keys
    }

    /// Sorts as logins do, and is unique.
    pub(crate) fn place(&self, key: &SessionKey) -> (UnixMs, SessionKey) {
        (self.sessions[key].meta.started, *key)
    }

    /// Makes changes durable, and then real.
    pub(crate) fn commit(&mut self, changes: Vec<Change>) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.mend()?;
        let line = line::write(&changes);
        self.torn = true;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.torn = false;
        self.bytes += line.len() as u64;
        self.lines += 1;
        self.apply(changes);
        Ok(())
    }

    /// Cuts off what a failed write may have left behind. What could not be acknowledged must not come back either.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            self.file.sync_data()?;
            self.torn = false;
        }
        Ok(())
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(key, record) => {
                    self.sessions.insert(key, *record);
                }
                Change::End(key) => {
                    self.sessions.remove(&key);
                }
                Change::Trace(key, trace, at) => {
                    self.traces.insert(key, (trace, at));
                }
                Change::Epoch(owner, epoch) => {
                    self.epochs.insert(owner, epoch);
                }
                Change::Nothing => {}
            }
        }
    }

    /// Writes the journal anew, without its past, once most of it is past. Epochs, and what became of keys, are forgotten as
    /// the contract allows.
    pub(crate) fn rewrite_if_long(&mut self, now: UnixMs) -> io::Result<()> {
        const HOUR: Duration = Duration::from_secs(3600);
        if self.lines < 1000 + 2 * self.sessions.len() {
            return Ok(());
        }
        // An epoch is at least as large as the moment it was set at.
        self.epochs
            .retain(|_, epoch| now.since(UnixMs::from_millis(epoch.0)) < HOUR);
        self.traces
            .retain(|_, (trace, at)| now.since(*at) < trace.kept());
        let traces = self.traces.iter();
        let traces = traces.map(|(key, (trace, at))| Change::Trace(*key, *trace, *at));
        let sessions = self
            .sessions
            .iter()
            .map(|(key, record)| Change::Put(*key, Box::new(record.clone())));
        let epochs = self
            .epochs
            .iter()
            .map(|(owner, epoch)| Change::Epoch(owner.clone(), *epoch));
        let lines: Vec<_> = sessions
            .chain(traces)
            .chain(epochs)
            .map(|change| line::write(&[change]))
            .collect();
        let text = lines.concat();

        let draft = self.path.with_added_extension("new");
        let mut file = private().create(true).truncate(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        // From here on the old file has no name, and whatever would be written to it is lost with it.
        (self.file, self.torn) = (file, false);
        (self.bytes, self.lines) = (text.len() as u64, lines.len());
        let folder = self.path.parent().filter(|folder| *folder != Path::new(""));
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
