//! What was asked of a store and what it answered, in the order in which that happened. The order is the clock: of two events the
//! one that stands earlier came earlier, and an operation ended before another began if its answer stands above the other's call.
//!
//! A history is kept in memory, or in a file that several processes append to: what a process has written before it is killed
//! stands there, and a call without an answer is one whose outcome nobody knows.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use jackline::clock::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};

/// One session key, by number. No two attempts to make a session use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key(pub(crate) u64);

/// One owner, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Owner(pub(crate) u8);

/// A key and whose session it names, if it is somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) key: Key,
    pub(crate) owner: Option<Owner>,
}

/// What a delta does: it may count, and it may set or remove the member that is the client's own. What it sets is the number of
/// the operation, so that every value tells which operation set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) counts: bool,
    pub(crate) member: Member,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Member {
    Kept,
    Set,
    Removed,
}

/// A step of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    Create(Key),
    Load(Held),
    Commit(Held, Change),
    Rotate {
        old: Held,
        new: Key,
        change: Change,
    },
    Admit {
        key: Key,
        owner: Owner,
        epoch: u64,
        /// The same client's operation that has read the epoch.
        epoch_read_by: u64,
        replaces: Option<Held>,
    },
    End(Held),
    Epoch(Owner),
    List(Owner),
    EndAll {
        owner: Owner,
        except: Option<Key>,
    },
}

/// What a session held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) counter: i64,
    /// What each client has set.
    pub(crate) members: BTreeMap<u32, u64>,
}

/// What a store said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Created,
    Live(Seen),
    Absent,
    Replaced,
    Applied { sum: Option<i64> },
    Gone,
    Admitted { pruned: Vec<Key> },
    Revoked,
    Removed,
    Epoch(u64),
    Listed(Vec<(Key, Seen)>),
    EndedAll,
}

/// How a step came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Acknowledged(Answer),
    /// The store failed, or said nothing in time: it was done, or not, or will be in a moment.
    Unknown,
    /// What no store may say.
    Nonsense(String),
}

/// One line of a history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    Called {
        client: u32,
        number: u64,
        call: Call,
    },
    Answered {
        client: u32,
        outcome: Outcome,
        at_ms: u64,
    },
    /// The engine was killed, paused or failed over.
    Fault { name: String, at_ms: u64 },
    /// It answers again, and what was under way before has been done or never will be.
    Settled { at_ms: u64 },
}

/// Writes a history.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<Sink>);

#[derive(Debug)]
enum Sink {
    Memory(Vec<Line>),
    File(File),
}

impl Recorder {
    pub(crate) fn in_memory() -> Self {
        Self(Mutex::new(Sink::Memory(Vec::new())))
    }

    /// Appends to a file, as others may at the same time.
    pub(crate) fn in_file(path: &Path) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .unwrap();
        Self(Mutex::new(Sink::File(file)))
    }

    pub(crate) fn write(&self, line: Line) {
        match &mut *self.0.lock().unwrap() {
            Sink::Memory(lines) => lines.push(line),
            Sink::File(file) => {
                let mut text = serde_json::to_vec(&line).unwrap();
                text.push(b'\n');
                // In one piece, so that the lines of several processes do not mix.
                file.write_all(&text).unwrap();
            }
        }
    }

    pub(crate) fn fault(&self, name: &str) {
        let (name, at_ms) = (name.to_owned(), now_ms());
        self.write(Line::Fault { name, at_ms });
    }

    pub(crate) fn settled(&self) {
        self.write(Line::Settled { at_ms: now_ms() });
    }

    /// The history so far, if it is kept in memory.
    pub(crate) fn history(&self) -> History {
        match &*self.0.lock().unwrap() {
            Sink::Memory(lines) => History::of(lines.iter().cloned()),
            Sink::File(_) => panic!("a file is read by its path"),
        }
    }
}

pub(crate) fn now_ms() -> u64 {
    SystemClock.now().as_millis()
}

/// One step, from its call to its answer.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) client: u32,
    pub(crate) number: u64,
    pub(crate) call: Call,
    pub(crate) begun: usize,
    pub(crate) ended: usize,
    pub(crate) ended_ms: u64,
    pub(crate) outcome: Outcome,
}

impl Operation {
    /// What the store said, if it did.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Acknowledged(answer) => Some(answer),
            Outcome::Unknown | Outcome::Nonsense(_) => None,
        }
    }
}

/// A fault, from its beginning until everything had settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) begun: usize,
    pub(crate) begun_ms: u64,
    pub(crate) settled: usize,
    pub(crate) settled_ms: u64,
}

/// A history as it is checked.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// In the order of their calls.
    pub(crate) operations: Vec<Operation>,
    pub(crate) faults: Vec<Span>,
}

impl History {
    /// Reads what processes have written. A line that is torn was being written when its process was killed.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        Self::of(
            text.lines()
                .filter_map(|line| serde_json::from_str(line).ok()),
        )
    }

    pub(crate) fn of(lines: impl Iterator<Item = Line>) -> Self {
        let mut history = Self::default();
        // A client does one thing after another.
        let mut open: HashMap<u32, usize> = HashMap::new();
        for (at, line) in lines.enumerate() {
            match line {
                Line::Called {
                    client,
                    number,
                    call,
                } => {
                    if let Some(before) = open.insert(client, history.operations.len()) {
                        // Its process was killed before it got an answer, and it lives again.
                        history.operations[before].ended = at;
                    }
                    history.operations.push(Operation {
                        client,
                        number,
                        call,
                        begun: at,
                        ended: usize::MAX,
                        ended_ms: u64::MAX,
                        outcome: Outcome::Unknown,
                    });
                }
                Line::Answered {
                    client,
                    outcome,
                    at_ms,
                } => {
                    let operation = open.remove(&client).expect("an answer has a call");
                    let operation = &mut history.operations[operation];
                    (operation.ended, operation.ended_ms) = (at, at_ms);
                    operation.outcome = outcome;
                }
                Line::Fault { at_ms, .. } => history.faults.push(Span {
                    begun: at,
                    begun_ms: at_ms,
                    settled: usize::MAX,
                    settled_ms: u64::MAX,
                }),
                Line::Settled { at_ms } => {
                    if let Some(fault) = history.faults.last_mut() {
                        (fault.settled, fault.settled_ms) = (at, at_ms);
                    }
                }
            }
        }
        history
    }
}
