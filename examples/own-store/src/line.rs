//! One step as one line of JSON: `[{"end":"…"},{"put":["…",{…}]}]`. Reading is strict, and an error quotes nothing.

use std::time::Duration;

use jackline::lifecycle::{Clocks, Data, Meta, OwnerId, Record, UnixMs};
use jackline::store::{Epoch, Trace};
use jackline::token::SessionKey;
use serde::{Deserialize, Serialize};

/// A change of one thing.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A session is there, and is this.
    Put(SessionKey, Box<Record>),
    /// A session is gone.
    End(SessionKey),
    /// This has become of a session that is gone, at this moment.
    Trace(SessionKey, Trace, UnixMs),
    /// An owner's epoch is this.
    Epoch(OwnerId, Epoch),
    /// Nothing changes; the line shows that the file takes one.
    Nothing,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Written {
    Put(SessionKey, Box<Session>),
    End(SessionKey),
    Trace(SessionKey, Trace, u64),
    Epoch(OwnerId, u64),
    Nothing,
}

#[derive(Serialize, Deserialize)]
struct Session {
    seen: u64,
    idle: u64,
    ends: u64,
    version: u64,
    meta: Meta,
    /// JSON text inside a JSON string, so that its values stay the text they are, line feeds between their parts included.
    data: String,
}

/// The line of a step, with its line feed. There is no other: inside strings they are escaped.
pub(crate) fn write(changes: &[Change]) -> String {
    let written: Vec<_> = changes.iter().map(Written::from).collect();
    let line = serde_json::to_string(&written).expect("strings and numbers always serialise");
    line + "\n"
}

/// The step in a line; `None` if this program did not write it.
pub(crate) fn read(line: &str) -> Option<Vec<Change>> {
    let written: Vec<Written> = serde_json::from_str(line).ok()?;
    written.into_iter().map(Written::into_change).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<&Record> for Session {
    fn from(Record { clocks, meta, data }: &Record) -> Self {
        Self {
            seen: clocks.seen.as_millis(),
            idle: millis(clocks.idle),
            ends: clocks.ends.as_millis(),
            version: clocks.version,
            meta: meta.clone(),
            data: data.to_json(),
        }
    }
}

impl From<&Change> for Written {
    fn from(change: &Change) -> Self {
        match change {
            Change::Put(key, record) => Self::Put(*key, Box::new(Session::from(record.as_ref()))),
            Change::End(key) => Self::End(*key),
            Change::Trace(key, trace, at) => Self::Trace(*key, *trace, at.as_millis()),
            Change::Epoch(owner, epoch) => Self::Epoch(owner.clone(), epoch.0),
            Change::Nothing => Self::Nothing,
        }
    }
}

impl Written {
    fn into_change(self) -> Option<Change> {
        Some(match self {
            Self::Put(key, session) => {
                let clocks = Clocks {
                    seen: UnixMs::from_millis(session.seen),
                    idle: Duration::from_millis(session.idle),
                    ends: UnixMs::from_millis(session.ends),
                    version: session.version,
                };
                let (meta, data) = (session.meta, Data::from_json(&session.data).ok()?);
                Change::Put(key, Box::new(Record { clocks, meta, data }))
            }
            Self::End(key) => Change::End(key),
            Self::Trace(key, trace, at) => Change::Trace(key, trace, UnixMs::from_millis(at)),
            Self::Epoch(owner, epoch) => Change::Epoch(owner, Epoch(epoch)),
            Self::Nothing => Change::Nothing,
        })
    }
}
