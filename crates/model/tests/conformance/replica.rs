//! A real store that is taken through the same steps as the model's.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jackline::clock::{Clock as _, SystemClock};
use jackline::lifecycle::{
    AbsoluteLimit, Data, Delta, Identity, IdleLimit, OwnerId, Policy, Record, Role, SessionCap,
    UnixMs,
};
use jackline::origin::Origin;
use jackline::store::{
    Admission, Admitted, Committed, Ended, Epoch, LOGGED_OUT_KEPT, Loaded, Page, REPLACED_KEPT,
    Replaced, Store, Trace,
};
use jackline::token::{Bucket, SessionKey, SessionToken};
use jackline_model::keys::{Key, Keys};
use jackline_model::store as model;
use jackline_model::store::{Answer, CAP, Call, Slot};
use jackline_model::world::{Event, State, World};
use serde_json::value::to_raw_value;

/// Shorter than traces are kept, so that a session can run out before they do.
const IDLE: Duration = Duration::from_secs(3);
const MS: Duration = Duration::from_millis(1);
/// A renewal step that is never due: to look without touching.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A real store beside the model's.
pub(crate) struct Replica {
    store: Arc<dyn Store>,
    alice: OwnerId,
    policy: Policy,
    now: UnixMs,
    keys: BTreeMap<Key, SessionKey>,
    /// The real epochs, by the model's.
    epochs: BTreeMap<u8, Epoch>,
    walk: u32,
}

type Difference = String;

impl Replica {
    /// The same beginning. `walk` keeps walks on one store apart.
    pub(crate) async fn begin(store: Arc<dyn Store>, walk: u32, state: &State) -> Self {
        let mut replica = Self {
            store,
            alice: OwnerId::new(format!("alice-{walk}")).unwrap(),
            policy: Policy::builder(
                IdleLimit::new(IDLE).unwrap(),
                AbsoluteLimit::new(NEVER).unwrap(),
            )
            .renewal_step(MS)
            .build()
            .unwrap(),
            now: SystemClock.now(),
            keys: BTreeMap::new(),
            epochs: BTreeMap::new(),
            walk,
        };
        for key in [Key::FIRST, Key::SECOND] {
            match state.store.slot(key) {
                Slot::Record(record) if record.owned => {
                    replica.log_in(key, record.data).await;
                }
                Slot::Record(record) => {
                    let visitor = replica.visitor(record.data, None);
                    let key = replica.name(key, None);
                    replica.store.create(&key, &visitor).await.unwrap();
                }
                Slot::Absent | Slot::Trace(_) => {}
            }
        }
        replica.compare(state).await.unwrap();
        replica
    }

    /// Takes the step that leads the model from `before` to `after`.
    pub(crate) async fn take(
        &mut self,
        world: &World,
        before: &State,
        event: Event,
        after: &State,
    ) -> Result<(), Difference> {
        self.now = self.now.after(MS);
        if let Some(call) = world.call(before, event) {
            let mut store = before.store;
            let answer = store.step(call, world.protocol);
            self.call(call, answer, before, after).await?;
        }
        match event {
            Event::Expire(key) => self.pass(IDLE, before, Some(key)).await,
            Event::Moment => self.pass(LOGGED_OUT_KEPT, before, None).await,
            Event::Minute => self.pass(REPLACED_KEPT, before, None).await,
            // A store may reclaim when it likes, and Redis does so by its own clock; the model goes on as if this one had.
            Event::Reclaim(key) => {
                let key = self.name(key, None);
                self.store
                    .end(&key, Some(&self.alice), None, self.now)
                    .await
                    .unwrap();
            }
            Event::Arrive(..) | Event::GoOn(_) | Event::Crash(_) => {}
        }
        self.compare(after).await
    }

    async fn call(
        &mut self,
        call: Call,
        answer: Answer,
        before: &State,
        after: &State,
    ) -> Result<(), Difference> {
        let (store, now) = (Arc::clone(&self.store), self.now);
        let alice = self.alice.clone();
        let owner = |key| is_alices(before, key).then_some(&alice);
        match call {
            Call::Load(key) => {
                let key = self.name(key, None);
                let found = store.load(&key, MS, now).await.unwrap();
                same(plain(answer), self.loaded(found))
            }
            Call::Create(key, data, dead) => {
                let dead = dead.map(|key| self.name(key, None));
                let (record, key) = (self.visitor(data, dead), self.name(key, None));
                store.create(&key, &record).await.unwrap();
                Ok(())
            }
            Call::Commit(key, delta) => {
                let name = self.name(key, None);
                let committed = store.commit(&name, &real(delta), now).await.unwrap();
                let counted = |key| {
                    after
                        .store
                        .live(key)
                        .map(|record| i64::from(record.data.count))
                };
                if let (Committed::Applied { counters }, model::Delta::Increment) =
                    (&committed, delta)
                {
                    same(counted(key).into_iter().collect(), counters.clone())?;
                }
                same(answer, done(&committed))
            }
            Call::Rotate(old, new) => {
                let old_name = self.name(old, None);
                let new = self.name(new, Some(old_name.bucket()));
                let delta = Delta::default();
                let rotated = store.rotate(&old_name, &new, owner(old), &delta, now).await;
                same(answer, done(&rotated.unwrap()))
            }
            Call::Admit(admission) => {
                let key = self.name(admission.key, Some(Bucket::of(&alice)));
                let replaced = admission.replaces.map(|key| self.name(key, None));
                let carried = admission.carry.map(real);
                let record = self.logged_in(model::Data::default());
                let admission = Admission {
                    key: &key,
                    record: &record,
                    owner: &alice,
                    epoch: self.epochs[&admission.epoch.unwrap()],
                    cap: SessionCap::PruneOldest(u32::try_from(CAP).unwrap()),
                    replaces: replaced.as_ref().map(|key| Replaced {
                        key,
                        owner: admission.replaces.and_then(owner),
                        carry: carried.as_ref(),
                    }),
                };
                let admitted = match store.admit(&admission, now).await.unwrap() {
                    Admitted::Done { pruned } => Answer::Keys(self.models(pruned)),
                    Admitted::Revoked => Answer::Revoked,
                    Admitted::AtCap => return Err("the real one refuses at the cap".to_owned()),
                };
                same(answer, admitted)
            }
            Call::Note(key, trace) => {
                let key = self.name(key, None);
                let there = store.note(&key, real_trace(trace), now).await.unwrap();
                same(answer, Answer::Trace(of_model(there)))
            }
            Call::End(key, trace) => {
                let (owner, trace) = (owner(key), trace.map(real_trace));
                let key = self.name(key, None);
                let ended = match store.end(&key, owner, trace, now).await.unwrap() {
                    Ended::Removed => Answer::Done,
                    Ended::Absent => Answer::Absent,
                    Ended::Trace(trace) => Answer::Trace(of_model(trace)),
                };
                same(answer, ended)
            }
            Call::Epoch => {
                let epoch = store.epoch(&alice, now).await.unwrap();
                let Answer::Epoch(models) = answer else {
                    return Err(format!("the model says {answer:?} of an epoch"));
                };
                let known = *self.epochs.entry(models).or_insert(epoch);
                let grows = self.epochs.values().is_sorted_by(|one, next| one < next);
                same((known, true), (epoch, grows))
            }
            Call::EndAll(except) => {
                let except = except.map(|key| self.name(key, None));
                store.end_all(&alice, except.as_ref(), now).await.unwrap();
                Ok(())
            }
            _ => Err(format!("{call:?} is no step of a real store")),
        }
    }

    /// Lets time pass without any session running out, but perhaps one.
    async fn pass(&mut self, time: Duration, state: &State, but: Option<Key>) {
        self.touch(state, None).await;
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(IDLE - MS);
            self.now = self.now.after(step);
            self.touch(state, but).await;
            left -= step;
        }
    }

    /// Uses every live session, but perhaps one.
    async fn touch(&mut self, state: &State, but: Option<Key>) {
        for key in state
            .store
            .all_live()
            .iter()
            .filter(|key| Some(*key) != but)
        {
            let key = self.name(key, None);
            self.store.load(&key, MS, self.now).await.unwrap();
        }
    }

    /// Compares everything that can be read.
    async fn compare(&self, state: &State) -> Result<(), Difference> {
        for key in Key::all() {
            let found = match self.keys.get(&key) {
                Some(name) => self.store.load(name, NEVER, self.now).await.unwrap(),
                None => Loaded::Absent,
            };
            let expected = match state.store.slot(key) {
                Slot::Absent => Answer::Absent,
                Slot::Trace(trace) => Answer::Trace(trace),
                Slot::Record(record) if record.expired => Answer::Expired(record),
                Slot::Record(record) => Answer::Live(record),
            };
            same(plain(expected), self.loaded(found))
                .map_err(|difference| format!("{key:?}: {difference}"))?;
        }
        let listed = self
            .store
            .list(&self.alice, Page::first(), self.now)
            .await
            .unwrap();
        let listed = listed.sessions.into_iter().map(|(key, _)| key).collect();
        same(state.store.alices(), self.models(listed))
    }

    /// The real key of a model's, made up if there is none yet: in a bucket, or in any.
    fn name(&mut self, key: Key, bucket: Option<Bucket>) -> SessionKey {
        let made = self.keys.len();
        *self.keys.entry(key).or_insert_with(|| {
            let mut random = [0; SessionToken::RANDOM_BYTES];
            random[..4].copy_from_slice(&self.walk.to_be_bytes());
            random[4] = u8::try_from(made).unwrap();
            let bucket = bucket.unwrap_or_else(|| Bucket::from_random([random[3], random[4]]));
            SessionToken::from_random(random, bucket).key()
        })
    }

    /// The model's keys of real ones.
    fn models(&self, names: Vec<SessionKey>) -> Keys {
        let is_among = |(key, name): (&Key, &SessionKey)| names.contains(name).then_some(*key);
        self.keys.iter().filter_map(is_among).collect()
    }

    fn loaded(&self, found: Loaded) -> Answer {
        match found {
            Loaded::Absent => Answer::Absent,
            Loaded::Trace(trace) => Answer::Trace(of_model(trace)),
            Loaded::Expired(record) => Answer::Expired(self.model(&record, true)),
            Loaded::Live { record, .. } => Answer::Live(self.model(&record, false)),
        }
    }

    fn model(&self, record: &Record, expired: bool) -> model::Record {
        assert!(record.owner().is_none_or(|owner| *owner == self.alice));
        let members: BTreeMap<String, u8> = serde_json::from_str(&record.data.to_json()).unwrap();
        let mut data = model::Data::default();
        for (name, value) in members {
            match name.parse::<u8>() {
                Ok(member) => data.members |= 1 << member,
                Err(_) => data.count = value,
            }
        }
        model::Record {
            owned: record.owner().is_some(),
            started: 0,
            expired,
            data,
            stands_in_for: record
                .meta
                .stands_in_for
                .as_deref()
                // Nobody looks at it after so long.
                .filter(|_| self.now.since(record.meta.created) < REPLACED_KEPT)
                .and_then(|dead| self.models(vec![*dead]).iter().next()),
        }
    }

    fn visitor(&self, data: model::Data, dead: Option<SessionKey>) -> Record {
        let mut record = Record::visitor(&self.policy, Origin::default(), self.now);
        record.meta.stands_in_for = dead.map(Box::new);
        record.data = json(data);
        record
    }

    fn logged_in(&self, data: model::Data) -> Record {
        let identity = Identity::new(self.alice.clone(), "Alice", Role::user());
        let mut record = Record::logged_in(identity, &self.policy, Origin::default(), self.now);
        record.data = json(data);
        record
    }

    async fn log_in(&mut self, key: Key, data: model::Data) {
        self.now = self.now.after(MS);
        let admission = Admission {
            key: &self.name(key, Some(Bucket::of(&self.alice))),
            record: &self.logged_in(data),
            owner: &self.alice,
            epoch: Epoch::default(),
            cap: SessionCap::Unlimited,
            replaces: None,
        };
        self.store.admit(&admission, self.now).await.unwrap();
    }
}

fn real_trace(trace: model::Trace) -> Trace {
    match trace {
        model::Trace::StoodIn => Trace::StoodIn,
        model::Trace::LoggedOut => Trace::LoggedOut,
        model::Trace::Replaced => Trace::Replaced,
    }
}

fn of_model(trace: Trace) -> model::Trace {
    match trace {
        Trace::StoodIn => model::Trace::StoodIn,
        Trace::LoggedOut => model::Trace::LoggedOut,
        Trace::Replaced => model::Trace::Replaced,
    }
}

fn is_alices(state: &State, key: Key) -> bool {
    matches!(state.store.slot(key), Slot::Record(record) if record.owned)
}

fn done(committed: &Committed) -> Answer {
    match committed {
        Committed::Applied { .. } => Answer::Done,
        Committed::Gone => Answer::Gone,
    }
}

/// The counter's name is no number; the members' are.
const COUNT: &str = "count";

fn real(delta: model::Delta) -> Delta {
    let mut real = Delta::default();
    match delta {
        model::Delta::Nothing => {}
        model::Delta::Set(member) => real.set(member.to_string(), to_raw_value(&1).unwrap()),
        model::Delta::Increment => assert!(real.increment(COUNT, 1)),
    }
    real
}

fn json(data: model::Data) -> Data {
    let mut real = Data::new();
    for member in (0..8).filter(|member| data.members & 1 << member != 0) {
        real.set(member.to_string(), to_raw_value(&1).unwrap());
    }
    if data.count != 0 {
        real.set(COUNT.to_owned(), to_raw_value(&data.count).unwrap());
    }
    real
}

fn same<T: PartialEq + Debug>(model: T, real: T) -> Result<(), Difference> {
    if model == real {
        return Ok(());
    }
    Err(format!("the model says {model:?}, the real one {real:?}"))
}

/// Without the order of logins, which is counted in the model and told by time in a real store.
fn plain(answer: Answer) -> Answer {
    let unordered = |record| model::Record {
        started: 0,
        ..record
    };
    match answer {
        Answer::Live(record) => Answer::Live(unordered(record)),
        Answer::Expired(record) => Answer::Expired(unordered(record)),
        answer => answer,
    }
}
