//! The store of the model: the contract of `jackline::store::Store` over a handful of keys, without time, without bytes.
//! Every [`Call`] is one atomic step. Those below the line are no part of the contract; broken protocols use them.

use crate::keys::{Key, Keys, PerKey};
use crate::protocol::{Flaw, Protocol};

/// How many sessions the one owner, Alice, may have. A further login ends the oldest.
pub const CAP: usize = 2;

/// A session's data: which members are set, and a counter. Each request sets a member of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Data {
    /// One bit for each member that is set.
    pub members: u8,
    /// What is incremented.
    pub count: u8,
}

impl Data {
    /// What an initial session holds.
    pub const INITIAL: Self = Self {
        members: 1 << 7,
        count: 0,
    };

    /// These data with a change applied.
    #[must_use]
    pub fn with(self, delta: Delta) -> Self {
        match delta {
            Delta::Nothing => self,
            Delta::Set(member) => Self {
                members: self.members | 1 << member,
                ..self
            },
            Delta::Increment => Self {
                count: self.count + 1,
                ..self
            },
        }
    }
}

/// What one request changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delta {
    /// Nothing.
    Nothing,
    /// A member is set.
    Set(u8),
    /// The counter is incremented.
    Increment,
}

/// What is stored of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whether it is Alice's; else it is a visitor's.
    pub owned: bool,
    /// How many logins there were before it.
    pub started: u8,
    /// Its idle limit has run out.
    pub expired: bool,
    /// Its data.
    pub data: Data,
    /// The dead session in whose place it was begun.
    pub stands_in_for: Option<Key>,
}

impl Record {
    /// A visitor's.
    #[must_use]
    pub fn visitor(data: Data, stands_in_for: Option<Key>) -> Self {
        Self {
            owned: false,
            started: 0,
            expired: false,
            data,
            stands_in_for,
        }
    }
}

/// What lies under a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Nothing.
    #[default]
    Absent,
    /// The news of what the browser has in this one's place.
    Trace(Trace),
    /// A session, live or expired.
    Record(Record),
}

/// What is remembered of a key. Of two, the later in this list weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trace {
    /// It was dead, and a visitor's session was begun in its place.
    StoodIn,
    /// Its owner logged out.
    LoggedOut,
    /// Another session took its place.
    Replaced,
}

/// A login, as the store carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admission {
    /// The key of the new session.
    pub key: Key,
    /// Alice's epoch from before her credentials were read. A broken protocol has none.
    pub epoch: Option<u8>,
    /// The session that it replaces, live or not.
    pub replaces: Option<Key>,
    /// Whether that happens in the same step. On a cluster it may not.
    pub moves: bool,
    /// If the data of that session move along: what this request has changed in them.
    pub carry: Option<Delta>,
    /// Where those data come from.
    pub source: Source,
    /// Whether it is entered in the index in the same step. A broken protocol does so later.
    pub listed: bool,
    /// Whom the cap ends. A broken protocol has found them out before.
    pub victims: Option<Keys>,
}

/// Where data that move along come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// From the store, in the step of the login.
    Store,
    /// From what [`Call::Take`] found, a step before, and ended.
    Taken(Option<Record>),
    /// From the request's own copy, loaded who knows when. Broken.
    Copy(Option<Record>),
}

/// One step of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `Store::load`.
    Load(Key),
    /// `Store::create`, for a visitor, perhaps in the place of a dead session.
    Create(Key, Data, Option<Key>),
    /// `Store::commit`.
    Commit(Key, Delta),
    /// `Store::rotate`.
    Rotate(Key, Key),
    /// `Store::admit`.
    Admit(Admission),
    /// `Store::end`.
    End(Key, Option<Trace>),
    /// `Store::note`.
    Note(Key, Trace),
    /// `Store::epoch`, Alice's.
    Epoch,
    /// `Store::end_all`, Alice's.
    EndAll(Option<Key>),
    /// On a cluster, the first half of a login that takes along the data of a session that lies elsewhere: it ends, and a
    /// trace stays.
    Take(Key),
    /// On a cluster, the second half of a login that replaces a session that lies elsewhere, and of a broken rotation: it
    /// ends, and a trace stays.
    Bury(Key),

    /// Writes a whole record, there or not: the `SET` of most session stores.
    Put(Key, Record, Delta),
    /// Writes a whole record if there is a live one.
    Overwrite(Key, Data, Delta),
    /// Stores a session under a second key.
    Copy(Key, Key),
    /// Enters a session in the index.
    Enter(Key),
    /// Whom a login would have to end for the cap.
    FindVictims,
    /// Whose sessions the index lists.
    List,
    /// Ends what is listed, the epoch unchanged.
    EndListed(Keys),
}

/// What the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nothing there, or nothing to say.
    Absent,
    /// There is a trace.
    Trace(Trace),
    /// A record past its idle limit.
    Expired(Record),
    /// A live record.
    Live(Record),
    /// It was done.
    Done,
    /// There is no live record. Nothing was done.
    Gone,
    /// Everything was revoked since. Nothing was done.
    Revoked,
    /// The epoch.
    Epoch(u8),
    /// Some keys: whom the cap has ended, who is listed.
    Keys(Keys),
}

/// The store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    slots: PerKey<Slot>,
    index: Keys,
    epoch: u8,
    logins: u8,
}

impl Store {
    /// The live record under a key.
    #[must_use]
    pub fn live(&self, key: Key) -> Option<Record> {
        match self.slots[key] {
            Slot::Record(record) if !record.expired => Some(record),
            _ => None,
        }
    }

    /// The keys of all live sessions.
    #[must_use]
    pub fn all_live(&self) -> Keys {
        Key::all().filter(|key| self.live(*key).is_some()).collect()
    }

    /// The keys of all of Alice's live sessions, listed or not.
    #[must_use]
    pub fn alices(&self) -> Keys {
        let owned = |key: &Key| self.live(*key).is_some_and(|record| record.owned);
        Key::all().filter(owned).collect()
    }

    /// Alice's index.
    #[must_use]
    pub fn index(&self) -> Keys {
        self.index
    }

    /// Alice's live sessions that her index does not list.
    #[must_use]
    pub fn unlisted(&self) -> Keys {
        let unlisted = |key: &Key| !self.index.contains(*key);
        self.alices().iter().filter(unlisted).collect()
    }

    /// What lies under a key.
    #[must_use]
    pub fn slot(&self, key: Key) -> Slot {
        self.slots[key]
    }

    /// Begins with a session.
    pub fn begin_with(&mut self, key: Key, owned: bool) {
        self.slots[key] = Slot::Record(Record {
            owned,
            started: self.logins,
            expired: false,
            data: Data::INITIAL,
            stands_in_for: None,
        });
        if owned {
            self.index.insert(key);
            self.logins += 1;
        }
    }

    /// The idle limit of a session runs out.
    pub fn expire(&mut self, key: Key) {
        if let Slot::Record(record) = &mut self.slots[key] {
            record.expired = true;
        }
    }

    /// The room of an expired session is used again.
    pub fn reclaim(&mut self, key: Key) {
        if matches!(self.slots[key], Slot::Record(record) if record.expired) {
            self.slots[key] = Slot::Absent;
            self.index.remove(key);
        }
    }

    /// Traces have been kept for their time: those of logouts, which is short, or all.
    pub fn forget_traces(&mut self, all: bool) {
        for key in Key::all() {
            match &mut self.slots[key] {
                Slot::Trace(trace) if all || *trace == Trace::LoggedOut => {
                    self.slots[key] = Slot::Absent;
                }
                // Nobody looks at it after so long.
                Slot::Record(record) if all => record.stands_in_for = None,
                _ => {}
            }
        }
    }

    /// Takes one step.
    pub fn step(&mut self, call: Call, protocol: Protocol) -> Answer {
        let traces = !protocol.is(Flaw::NoTraces);
        match call {
            Call::Load(key) if protocol.is(Flaw::RenewalRevives) => {
                if let Slot::Record(record) = &mut self.slots[key] {
                    record.expired = false;
                }
                self.live(key).map_or(Answer::Absent, Answer::Live)
            }
            Call::Load(key) => match self.slots[key] {
                Slot::Absent => Answer::Absent,
                Slot::Trace(trace) => Answer::Trace(trace),
                Slot::Record(record) if record.expired => Answer::Expired(record),
                Slot::Record(record) => Answer::Live(record),
            },
            Call::Create(key, data, dead) => {
                self.slots[key] = Slot::Record(Record::visitor(data, dead));
                Answer::Done
            }
            Call::Commit(key, delta) => self.update(key, |data| data.with(delta)),
            Call::Rotate(old, new) => {
                let Some(record) = self.live(old) else {
                    return Answer::Gone;
                };
                self.bury(old, traces);
                self.insert(new, record);
                Answer::Done
            }
            Call::Admit(admission) => self.admit(&admission, traces),
            Call::End(key, trace) => match self.slots[key] {
                Slot::Absent => Answer::Absent,
                Slot::Trace(trace) => Answer::Trace(trace),
                Slot::Record(_) => {
                    self.remove(key);
                    if let Some(trace) = trace.filter(|_| traces) {
                        self.slots[key] = Slot::Trace(trace);
                    }
                    Answer::Done
                }
            },
            Call::Note(key, trace) => {
                let there = match self.slots[key] {
                    Slot::Trace(weightier) if weightier > trace => weightier,
                    _ => trace,
                };
                if traces {
                    self.slots[key] = Slot::Trace(there);
                }
                Answer::Trace(there)
            }
            Call::Epoch => Answer::Epoch(self.epoch),
            Call::EndAll(except) => {
                self.epoch += 1;
                for key in self.index.iter() {
                    if Some(key) != except {
                        self.remove(key);
                    }
                }
                Answer::Done
            }
            Call::Take(key) => {
                let found = self.live(key);
                self.bury(key, traces);
                found.map_or(Answer::Absent, Answer::Live)
            }
            Call::Bury(key) => {
                self.bury(key, traces);
                Answer::Done
            }

            Call::Put(key, record, delta) => {
                let data = record.data.with(delta);
                self.insert(key, Record { data, ..record });
                Answer::Done
            }
            Call::Overwrite(key, data, delta) => self.update(key, |_| data.with(delta)),
            Call::Copy(old, new) => {
                let Some(record) = self.live(old) else {
                    return Answer::Gone;
                };
                self.insert(new, record);
                Answer::Done
            }
            Call::Enter(key) => {
                self.index.insert(key);
                Answer::Done
            }
            Call::FindVictims => Answer::Keys(self.victims(None)),
            Call::List => Answer::Keys(self.index),
            Call::EndListed(keys) => {
                for key in keys.iter() {
                    self.remove(key);
                }
                Answer::Done
            }
        }
    }

    fn admit(&mut self, admission: &Admission, traces: bool) -> Answer {
        if admission.epoch.is_some_and(|epoch| epoch != self.epoch) {
            return Answer::Revoked;
        }
        let pruned = admission
            .victims
            .unwrap_or_else(|| self.victims(admission.replaces));
        let carried = match admission.source {
            Source::Store => admission.replaces.and_then(|key| self.live(key)),
            Source::Taken(record) | Source::Copy(record) => record,
        };
        let data = admission.carry.map_or_else(Data::default, |delta| {
            carried.unwrap_or_default().data.with(delta)
        });
        if let Some(replaced) = admission.replaces.filter(|_| admission.moves) {
            self.bury(replaced, traces);
        }
        for key in pruned.iter() {
            self.remove(key);
        }
        self.slots[admission.key] = Slot::Record(Record {
            owned: true,
            started: self.logins,
            expired: false,
            data,
            stands_in_for: None,
        });
        self.logins += 1;
        if admission.listed {
            self.index.insert(admission.key);
        }
        Answer::Keys(pruned)
    }

    /// The oldest of Alice's sessions, so many that there is room for one more.
    fn victims(&self, replaced: Option<Key>) -> Keys {
        let mut others: Vec<(u8, Key)> = self
            .index
            .iter()
            .filter(|key| Some(*key) != replaced)
            .filter_map(|key| self.live(key).map(|record| (record.started, key)))
            .collect();
        others.sort_unstable();
        let surplus = (others.len() + 1).saturating_sub(CAP);
        others.iter().take(surplus).map(|(_, key)| *key).collect()
    }

    fn update(&mut self, key: Key, change: impl FnOnce(Data) -> Data) -> Answer {
        match &mut self.slots[key] {
            Slot::Record(record) if !record.expired => {
                record.data = change(record.data);
                Answer::Done
            }
            _ => Answer::Gone,
        }
    }

    fn insert(&mut self, key: Key, record: Record) {
        self.slots[key] = Slot::Record(record);
        if record.owned {
            self.index.insert(key);
        }
    }

    fn remove(&mut self, key: Key) {
        self.slots[key] = Slot::Absent;
        self.index.remove(key);
    }

    fn bury(&mut self, key: Key, traces: bool) {
        self.remove(key);
        if traces {
            self.slots[key] = Slot::Trace(Trace::Replaced);
        }
    }
}
