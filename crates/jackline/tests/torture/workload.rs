//! Clients that mix all steps of the store contract on sessions that they share, and write down what they ask and what they are
//! told. Everything that they decide follows from a seed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{Delta, Identity, OwnerId, Policy, Record, Role, SessionCap};
use jackline::store::{
    Admission, Admitted, Committed, Ended, Epoch, Loaded, Page, Replaced, Store, StoreError, Trace,
};
use jackline::token::{Bucket, SessionKey};
use serde_json::value::RawValue;
use tokio::time::Interval;

use crate::checker::CAP;
use crate::history::{
    Answer, Call, Change, Held, History, Key, Line, Member, Outcome, Owner, Recorder, Seen, now_ms,
};

/// How many clients there are.
pub(crate) const CLIENTS: u32 = 64;

/// Few enough that they meet.
const OWNERS: u8 = 16;

/// How long a client waits for a store that breaks its word to answer within a bound.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon a client asks again. A browser is not faster, and a history that is too long takes too long to check.
const PACE: Duration = Duration::from_millis(10);

const PACE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What clients share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) recorder: Recorder,
    sessions: Mutex<Sessions>,
    over: AtomicBool,
}

/// The sessions that somebody has heard of. It may be wrong about any of them: so are browsers.
#[derive(Debug, Default)]
struct Sessions {
    current: Vec<Held>,
    former: VecDeque<Held>,
    all: BTreeMap<Key, Held>,
}

impl Sessions {
    /// The first few are asked for more often, so that many clients meet at one.
    fn any(&self, rng: &mut Rng) -> Option<Held> {
        let from = if rng.u8(..3) > 0 { 6 } else { usize::MAX };
        rng.choice(self.current.iter().take(from)).copied()
    }

    fn any_former(&self, rng: &mut Rng) -> Option<Held> {
        rng.choice(self.former.iter()).copied()
    }

    fn begin(&mut self, held: Held) {
        self.all.insert(held.key, held);
        if !self.current.contains(&held) {
            self.current.push(held);
        }
    }

    fn end(&mut self, key: Key) {
        let Some(at) = self.current.iter().position(|held| held.key == key) else {
            return;
        };
        self.former.push_back(self.current.remove(at));
        if self.former.len() > 64 {
            self.former.pop_front();
        }
    }
}

impl World {
    pub(crate) fn new(recorder: Recorder) -> Arc<Self> {
        Arc::new(Self {
            recorder,
            sessions: Mutex::default(),
            over: AtomicBool::new(false),
        })
    }

    /// With what clients of an earlier life have heard of.
    pub(crate) fn resume(recorder: Recorder, history: &History) -> Arc<Self> {
        let world = Self::new(recorder);
        for operation in &history.operations {
            world.learn(&operation.call, &operation.outcome);
        }
        world
    }

    /// Tells all clients to finish what they are at and stop.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Every session that the clients here have heard of.
    pub(crate) fn all(&self) -> Vec<Held> {
        self.sessions
            .lock()
            .unwrap()
            .all
            .values()
            .copied()
            .collect()
    }

    fn learn(&self, call: &Call, outcome: &Outcome) {
        let mut sessions = self.sessions.lock().unwrap();
        let unknown = *outcome == Outcome::Unknown;
        let answer = match outcome {
            Outcome::Acknowledged(answer) => Some(answer),
            _ => None,
        };
        let gone = matches!(
            answer,
            Some(Answer::Absent | Answer::Replaced | Answer::Gone)
        );
        match (call, answer) {
            (Call::Create(key), Some(Answer::Created)) => sessions.begin(Held {
                key: *key,
                owner: None,
            }),
            // It may be there, and nobody was told. Somebody will find out.
            (Call::Create(key), None) if unknown => sessions.begin(Held {
                key: *key,
                owner: None,
            }),
            (Call::Admit { key, owner, .. }, answer)
                if unknown || matches!(answer, Some(Answer::Admitted { .. })) =>
            {
                sessions.begin(Held {
                    key: *key,
                    owner: Some(*owner),
                });
                if let Some(Answer::Admitted { pruned }) = answer {
                    pruned.iter().for_each(|key| sessions.end(*key));
                }
            }
            (Call::Rotate { old, new, .. }, answer)
                if unknown || matches!(answer, Some(Answer::Applied { .. })) =>
            {
                sessions.begin(Held {
                    key: *new,
                    owner: old.owner,
                });
                if !unknown {
                    sessions.end(old.key);
                }
            }
            (Call::Load(held) | Call::Commit(held, _) | Call::Rotate { old: held, .. }, _)
                if gone =>
            {
                sessions.end(held.key);
            }
            (Call::End(held), _) => sessions.end(held.key),
            (Call::List(owner), Some(Answer::Listed(listed))) => {
                for (key, _) in listed {
                    sessions.begin(Held {
                        key: *key,
                        owner: Some(*owner),
                    });
                }
            }
            _ => {}
        }
    }
}

/// Somebody who uses one handle of the store, one step after the other.
#[derive(Debug)]
pub(crate) struct Client {
    world: Arc<World>,
    store: Arc<dyn Store>,
    number: u32,
    next: u64,
    rng: Rng,
    pace: Interval,
}

impl Client {
    /// `life`: how often a client of this number has lived before.
    pub(crate) fn new(
        world: &Arc<World>,
        store: Arc<dyn Store>,
        number: u32,
        life: u64,
        seed: u64,
    ) -> Self {
        Self {
            world: Arc::clone(world),
            store,
            number,
            next: life << 30,
            rng: Rng::with_seed(seed ^ (u64::from(number) << 32) ^ life),
            pace: tokio::time::interval(PACE),
        }
    }

    /// Asks one thing after another, until it is over or `steps` were made.
    pub(crate) async fn live(mut self, steps: usize) -> usize {
        let mut made = 0;
        while made < steps && !self.world.is_over() {
            self.pace.tick().await;
            let call = self.decide().await;
            if self.ask(call).await == Outcome::Unknown {
                // Nobody presses the button again at once.
                self.pace.reset_after(PACE_AFTER_FAILURE);
            }
            made += 1;
        }
        made
    }

    /// Looks at every session that was ever heard of, and at every owner's list.
    pub(crate) async fn audit(mut self) {
        for held in self.world.all() {
            self.ask(Call::Load(held)).await;
        }
        for owner in 0..OWNERS {
            self.ask(Call::List(Owner(owner))).await;
        }
    }

    async fn decide(&mut self) -> Call {
        let (current, former) = {
            let sessions = self.world.sessions.lock().unwrap();
            (
                sessions.any(&mut self.rng),
                sessions.any_former(&mut self.rng),
            )
        };
        let Some(held) = current else {
            return self.visit();
        };
        // Late requests come with a key that is dead by now.
        let late = if self.rng.u8(..10) == 0 { former } else { None };
        let held = late.unwrap_or(held);
        match self.rng.u8(..100) {
            0..5 => self.visit(),
            5..17 => self.log_in(held).await,
            17..55 => Call::Commit(held, self.any_change()),
            55..63 => Call::Rotate {
                old: held,
                new: self.fresh_key(held.key.home()),
                change: self.any_change(),
            },
            63..84 => Call::Load(held),
            84..89 => Call::End(held),
            89..98 => Call::List(self.any_owner()),
            _ => Call::EndAll {
                owner: held.owner.unwrap_or_else(|| self.any_owner()),
                except: held.owner.and(self.rng.bool().then_some(held.key)),
            },
        }
    }

    /// In the order that the session layer keeps to: first the epoch, then the login.
    async fn log_in(&mut self, held: Held) -> Call {
        let owner = self.any_owner();
        let epoch_read_by = self.next;
        let epoch = match self.ask(Call::Epoch(owner)).await {
            Outcome::Acknowledged(Answer::Epoch(epoch)) => epoch,
            // Without it there is no login.
            _ => return Call::Load(held),
        };
        // A password is checked.
        for _ in 0..self.rng.u8(..4) {
            self.pace.tick().await;
        }
        Call::Admit {
            key: self.fresh_key(0),
            owner,
            epoch,
            epoch_read_by,
            replaces: (self.rng.u8(..3) == 0).then_some(held),
        }
    }

    fn any_owner(&mut self) -> Owner {
        Owner(self.rng.u8(..OWNERS))
    }

    fn any_change(&mut self) -> Change {
        Change {
            counts: self.rng.u8(..4) > 0,
            member: match self.rng.u8(..4) {
                0 => Member::Kept,
                1 => Member::Removed,
                _ => Member::Set,
            },
        }
    }

    fn visit(&mut self) -> Call {
        let home = self.rng.u64(..=Key::HOME);
        Call::Create(self.fresh_key(home))
    }

    fn fresh_key(&mut self, home: u64) -> Key {
        // `next` is the number of the operation that this key is for, and so it is used once.
        Key(u64::from(self.number) << 48 | self.next << 4 | home)
    }

    async fn ask(&mut self, call: Call) -> Outcome {
        let (client, number) = (self.number, self.next);
        self.next += 1;
        self.world.recorder.write(Line::Called {
            client,
            number,
            call: call.clone(),
        });
        let outcome = match tokio::time::timeout(PATIENCE, self.carry_out(&call, number)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Nonsense("no answer, and no error, for seconds".to_owned()),
        };
        self.world.recorder.write(Line::Answered {
            client,
            outcome: outcome.clone(),
            at_ms: now_ms(),
        });
        self.world.learn(&call, &outcome);
        outcome
    }

    async fn carry_out(&self, call: &Call, number: u64) -> Outcome {
        match self.answer(call, number).await {
            Ok(answer) => Outcome::Acknowledged(answer),
            Err(StoreError::Unavailable(_)) => Outcome::Unknown,
            Err(error) => Outcome::Nonsense(error.to_string()),
        }
    }

    async fn answer(&self, call: &Call, number: u64) -> Result<Answer, StoreError> {
        let (store, now) = (&self.store, SystemClock.now());
        Ok(match call {
            Call::Create(key) => {
                let record = Record::visitor(&Policy::default(), Default::default(), now);
                store.create(&key_of(*key, None), &record).await?;
                Answer::Created
            }
            Call::Load(held) => match store
                .load(&held.key(), Duration::from_secs(60), now)
                .await?
            {
                Loaded::Live { record, .. } => Answer::Live(seen(&record)),
                Loaded::Absent => Answer::Absent,
                Loaded::Trace(Trace::Replaced) => Answer::Replaced,
                Loaded::Expired(_) | Loaded::Trace(Trace::StoodIn | Trace::LoggedOut) => {
                    return Err(StoreError::Conflict);
                }
            },
            Call::Commit(held, change) => {
                let delta = self.delta(*change, number);
                applied(store.commit(&held.key(), &delta, now).await?)
            }
            Call::Rotate { old, new, change } => {
                let delta = self.delta(*change, number);
                let (from, to) = (old.key(), key_of(*new, old.owner));
                let owner = old.owner.map(owner_id);
                let moved = store.rotate(&from, &to, owner.as_ref(), &delta, now);
                applied(moved.await?)
            }
            Call::Admit {
                key,
                owner,
                epoch,
                replaces,
                ..
            } => {
                let id = owner_id(*owner);
                let identity = Identity::new(id.clone(), "somebody", Role::user());
                let record =
                    Record::logged_in(identity, &Policy::default(), Default::default(), now);
                let replaced = replaces.map(|held| (held.key(), held.owner.map(owner_id)));
                let admission = Admission {
                    key: &key_of(*key, Some(*owner)),
                    record: &record,
                    owner: &id,
                    epoch: Epoch(*epoch),
                    cap: SessionCap::PruneOldest(CAP),
                    replaces: replaced.as_ref().map(|(key, owner)| Replaced {
                        key,
                        owner: owner.as_ref(),
                        carry: None,
                    }),
                };
                match store.admit(&admission, now).await? {
                    Admitted::Done { pruned } => Answer::Admitted {
                        pruned: pruned.iter().map(number_of).collect(),
                    },
                    Admitted::Revoked => Answer::Revoked,
                    // The cap makes room.
                    Admitted::AtCap => return Err(StoreError::Conflict),
                }
            }
            Call::End(held) => {
                let owner = held.owner.map(owner_id);
                match store.end(&held.key(), owner.as_ref(), None, now).await? {
                    Ended::Removed => Answer::Removed,
                    Ended::Absent => Answer::Absent,
                    Ended::Trace(Trace::Replaced) => Answer::Replaced,
                    Ended::Trace(Trace::StoodIn | Trace::LoggedOut) => {
                        return Err(StoreError::Conflict);
                    }
                }
            }
            Call::Epoch(owner) => Answer::Epoch(store.epoch(&owner_id(*owner), now).await?.0),
            Call::List(owner) => {
                let listed = store.list(&owner_id(*owner), Page::first(), now).await?;
                let sessions = listed.sessions.iter();
                Answer::Listed(
                    sessions
                        .map(|(key, record)| (number_of(key), seen(record)))
                        .collect(),
                )
            }
            Call::EndAll { owner, except } => {
                let except = except.map(|key| key_of(key, Some(*owner)));
                store
                    .end_all(&owner_id(*owner), except.as_ref(), now)
                    .await?;
                Answer::EndedAll
            }
        })
    }

    fn delta(&self, change: Change, number: u64) -> Delta {
        let mut delta = Delta::default();
        if change.counts {
            delta.increment("counter", 1);
        }
        let member = self.number.to_string();
        match change.member {
            Member::Kept => {}
            Member::Set => {
                let value = RawValue::from_string(number.to_string()).unwrap();
                delta.set(member, value);
            }
            Member::Removed => delta.remove(member),
        }
        delta
    }
}

fn applied(committed: Committed) -> Answer {
    match committed {
        Committed::Applied { counters } => Answer::Applied {
            sum: counters.first().copied(),
        },
        Committed::Gone => Answer::Gone,
    }
}

fn seen(record: &Record) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in record.data.iter() {
        let value = value.get();
        match name {
            "counter" => seen.counter = value.parse().unwrap(),
            client => {
                seen.members
                    .insert(client.parse().unwrap(), value.parse().unwrap());
            }
        }
    }
    seen
}

fn owner_id(owner: Owner) -> OwnerId {
    OwnerId::new(format!("owner-{}", owner.0)).unwrap()
}

impl Key {
    const HOME: u64 = 0xf;

    /// Which bucket a visitor's session is in. It stays there when it is rotated.
    fn home(self) -> u64 {
        self.0 & Self::HOME
    }
}

impl Held {
    fn key(self) -> SessionKey {
        key_of(self.key, self.owner)
    }
}

/// Numbers are spread over all keys by the first, as the hashes are that real keys are made of, and found again by the second.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const GATHER: u64 = 0xf1de_83e1_9937_733d;

/// A key that shows its number, so that several processes know which is meant.
fn key_of(key: Key, owner: Option<Owner>) -> SessionKey {
    let mut digest = [0x5e; 32];
    digest[..8].copy_from_slice(&key.0.wrapping_mul(SPREAD).to_be_bytes());
    let bucket = match owner {
        Some(owner) => Bucket::of(&owner_id(owner)),
        None => Bucket::from_number(u16::try_from(key.home() * 4_000).unwrap()),
    };
    SessionKey::from_parts(bucket, digest)
}

fn number_of(key: &SessionKey) -> Key {
    let (number, _) = key.digest().split_first_chunk().unwrap();
    Key(u64::from_be_bytes(*number).wrapping_mul(GATHER))
}
