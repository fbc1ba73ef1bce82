//! What the clauses share: a store with the moment at which its clause begins, sessions to put in it, and a starting shot
//! for what is to happen at once.
//!
//! A clause begins at the machine's own time and moves on by handing in later moments. An engine that expires records by
//! its own clock therefore never takes one away while a clause runs, as long as idle limits stay above ten minutes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::Barrier;

use crate::clock::{Clock, SystemClock};
use crate::lifecycle::{
    AbsoluteLimit, Data, Delta, Identity, IdleLimit, OwnerId, Policy, Record, Role, SessionCap,
    UnixMs,
};
use crate::origin::Origin;
use crate::store::{
    Admission, Admitted, Committed, Ended, Epoch, Loaded, Page, Replaced, Store, StoreError, Trace,
};
use crate::token::{Bucket, SessionKey, SessionToken};

/// The idle limit of every session that a clause does not give another.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);
/// The absolute limit, likewise.
pub(super) const ABSOLUTE: Duration = Duration::from_secs(8 * 3600);
/// The renewal step.
pub(super) const STEP: Duration = Duration::from_secs(60);
/// The shortest time that a store can tell from none.
pub(super) const MS: Duration = Duration::from_millis(1);
/// A step that is never due while a session lives: to look without touching.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A store, and when its clause begins.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) store: Arc<dyn Store>,
    pub(super) start: UnixMs,
}

impl Scene {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            start: SystemClock.now(),
        }
    }

    /// The moment `after` the beginning.
    pub(super) fn at(&self, after: Duration) -> UnixMs {
        self.start.after(after)
    }

    /// A visitor's record that holds `json`, begun at the beginning.
    pub(super) fn visitor(&self, json: &str) -> Record {
        let mut record = Record::visitor(&policy(), Origin::default(), self.start);
        record.data = data(json);
        record
    }

    /// Puts a visitor's session that holds `json` into the store.
    pub(super) async fn visit(&self, json: &str) -> SessionKey {
        let key = visitor_key();
        self.create(&key, &self.visitor(json)).await;
        key
    }

    /// The same, and a key to move it to.
    pub(super) async fn visit_and_move(&self, json: &str) -> (SessionKey, SessionKey) {
        let old = self.visit(json).await;
        let new = key_beside(&old);
        (old, new)
    }

    pub(super) async fn create(&self, key: &SessionKey, record: &Record) {
        self.store
            .create(key, record)
            .await
            .expect("a new key is free");
    }

    /// Logs `owner` in at `at`.
    pub(super) async fn log_in(&self, owner: &OwnerId, at: UnixMs) -> SessionKey {
        let key = key_of(owner);
        let login = Login::new(owner, key, at);
        match self.admit(login.epoch(self.epoch(owner).await), at).await {
            Admitted::Done { pruned } => assert!(pruned.is_empty(), "there is no cap to keep to"),
            other => panic!("a plain login was answered {other:?}"),
        }
        key
    }

    pub(super) async fn admit(&self, login: Login, now: UnixMs) -> Admitted {
        self.try_admit(login, now)
            .await
            .expect("a login that can be answered")
    }

    pub(super) async fn try_admit(
        &self,
        login: Login,
        now: UnixMs,
    ) -> Result<Admitted, StoreError> {
        let admission = Admission {
            key: &login.key,
            record: &login.record,
            owner: &login.owner,
            epoch: login.epoch,
            cap: login.cap,
            replaces: login.replaces.as_ref().map(|old| Replaced {
                key: &old.key,
                owner: old.owner.as_ref(),
                carry: old.carry.as_ref(),
            }),
        };
        self.store.admit(&admission, now).await
    }

    pub(super) async fn epoch(&self, owner: &OwnerId) -> Epoch {
        self.store
            .epoch(owner, self.start)
            .await
            .expect("the epoch can be read")
    }

    /// Loads with the usual step.
    pub(super) async fn load(&self, key: &SessionKey, now: UnixMs) -> Loaded {
        self.store
            .load(key, STEP, now)
            .await
            .expect("a record can be loaded")
    }

    /// Loads without renewing.
    pub(super) async fn look(&self, key: &SessionKey, now: UnixMs) -> Option<Record> {
        match self.store.load(key, NEVER, now).await {
            Ok(Loaded::Live { record, renewed }) => {
                assert!(!renewed, "renewed although no step was due");
                Some(*record)
            }
            Ok(Loaded::Expired(_) | Loaded::Absent | Loaded::Trace(_)) => None,
            Err(error) => panic!("a record could not be loaded: {error}"),
        }
    }

    /// The live record, looked at without renewing.
    pub(super) async fn live(&self, key: &SessionKey, now: UnixMs) -> Record {
        self.look(key, now).await.expect("the session lives")
    }

    /// Whether the session lives.
    pub(super) async fn lives(&self, key: &SessionKey, now: UnixMs) -> bool {
        self.look(key, now).await.is_some()
    }

    /// The data of a live session at the beginning.
    pub(super) async fn data(&self, key: &SessionKey) -> String {
        self.live(key, self.start).await.data.to_json()
    }

    /// Commits at the beginning.
    pub(super) async fn commit(&self, key: &SessionKey, delta: &Delta) -> Committed {
        self.try_commit(key, delta)
            .await
            .expect("a delta that can be applied")
    }

    pub(super) async fn try_commit(
        &self,
        key: &SessionKey,
        delta: &Delta,
    ) -> Result<Committed, StoreError> {
        self.store.commit(key, delta, self.start).await
    }

    /// Rotates at the beginning.
    pub(super) async fn rotate(
        &self,
        old: &SessionKey,
        new: &SessionKey,
        owner: Option<&OwnerId>,
        delta: Delta,
    ) -> Committed {
        self.store
            .rotate(old, new, owner, &delta, self.start)
            .await
            .expect("a rotation that can be answered")
    }

    /// Ends a session at the beginning.
    pub(super) async fn end(&self, key: &SessionKey, owner: Option<&OwnerId>) -> Ended {
        self.store
            .end(key, owner, None, self.start)
            .await
            .expect("a session can be ended")
    }

    pub(super) async fn note(&self, key: &SessionKey, trace: Trace, now: UnixMs) -> Trace {
        let noted = self.store.note(key, trace, now).await;
        noted.expect("the store does not note a trace")
    }

    pub(super) async fn end_all(&self, owner: &OwnerId, except: Option<&SessionKey>) -> u64 {
        self.store
            .end_all(owner, except, self.start)
            .await
            .expect("an owner's sessions can be ended")
    }

    /// The first page of the owner's sessions at `now`.
    pub(super) async fn list(&self, owner: &OwnerId, now: UnixMs) -> Vec<SessionKey> {
        let listed = self
            .store
            .list(owner, Page::first(), now)
            .await
            .expect("an owner's sessions can be listed");
        listed.sessions.into_iter().map(|(key, _)| key).collect()
    }

    /// Reclaims until nothing is left to do; returns how many went.
    pub(super) async fn reclaim_all(&self, limit: u32, now: UnixMs) -> u64 {
        let mut total = 0;
        loop {
            let went = self
                .store
                .reclaim(limit, now)
                .await
                .expect("storage can be reclaimed");
            assert!(
                went <= u64::from(limit),
                "reclaimed {went} where {limit} was the limit"
            );
            if went == 0 {
                return total;
            }
            total += went;
        }
    }
}

/// A login in flight.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) key: SessionKey,
    pub(super) record: Record,
    owner: OwnerId,
    epoch: Epoch,
    cap: SessionCap,
    replaces: Option<Old>,
}

/// The session that a login replaces.
#[derive(Clone)]
struct Old {
    key: SessionKey,
    owner: Option<OwnerId>,
    carry: Option<Delta>,
}

impl Login {
    /// A login of `owner` at `at`, from before anything of theirs was ever revoked, without a cap.
    pub(super) fn new(owner: &OwnerId, key: SessionKey, at: UnixMs) -> Self {
        Self {
            key,
            record: Record::logged_in(identity(owner), &policy(), Origin::default(), at),
            owner: owner.clone(),
            epoch: Epoch::default(),
            cap: SessionCap::Unlimited,
            replaces: None,
        }
    }

    pub(super) fn epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = epoch;
        self
    }

    pub(super) fn cap(mut self, cap: SessionCap) -> Self {
        self.cap = cap;
        self
    }

    pub(super) fn replacing(mut self, key: SessionKey, owner: Option<&OwnerId>) -> Self {
        self.replaces = Some(Old {
            key,
            owner: owner.cloned(),
            carry: None,
        });
        self
    }

    /// Takes the replaced session's data along, with `delta` applied.
    pub(super) fn carrying(mut self, delta: Delta) -> Self {
        if let Some(old) = &mut self.replaces {
            old.carry = Some(delta);
        }
        self
    }
}

/// Runs all tasks at once, on every thread that there is, and returns what they gave, in order.
pub(super) async fn race<T, F>(tasks: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<F> = tasks.into_iter().collect();
    let start = Arc::new(Barrier::new(tasks.len()));
    let running: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                task.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(running.len());
    for task in running {
        match task.await {
            Ok(result) => results.push(result),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    results
}

pub(super) fn policy() -> Policy {
    Policy::builder(
        IdleLimit::new(IDLE).expect("half an hour is an idle limit"),
        AbsoluteLimit::new(ABSOLUTE).expect("eight hours are an absolute limit"),
    )
    .renewal_step(STEP)
    .build()
    .expect("the limits fit each other")
}

pub(super) fn owner(id: &str) -> OwnerId {
    OwnerId::new(id).expect("a permitted identifier")
}

pub(super) fn identity(owner: &OwnerId) -> Identity {
    Identity {
        id: owner.clone(),
        name: "Somebody".to_owned(),
        role: Role::user(),
    }
}

/// A fresh key for a session without an owner.
pub(super) fn visitor_key() -> SessionKey {
    SessionToken::from_random(random(), Bucket::from_random(random())).key()
}

/// A fresh key in the bucket of another: what a session is rotated to.
pub(super) fn key_beside(old: &SessionKey) -> SessionKey {
    SessionToken::from_random(random(), old.bucket()).key()
}

/// A fresh key for a session of `owner`.
pub(super) fn key_of(owner: &OwnerId) -> SessionKey {
    SessionToken::from_random(random(), Bucket::of(owner)).key()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

pub(super) fn data(json: &str) -> Data {
    Data::from_json(json).expect("a clause's own data is a JSON object")
}

pub(super) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("a clause's own value is JSON")
}

/// A delta that sets one member.
pub(super) fn set(name: &str, json: &str) -> Delta {
    let mut delta = Delta::default();
    delta.set(name, raw(json));
    delta
}

/// A delta that removes one member.
pub(super) fn remove(name: &str) -> Delta {
    let mut delta = Delta::default();
    delta.remove(name);
    delta
}

/// A delta that adds to one member.
pub(super) fn increment(name: &str, by: i64) -> Delta {
    let mut delta = Delta::default();
    assert!(delta.increment(name, by), "a first increment is taken");
    delta
}

/// Applied, with these counters.
pub(super) fn counters(sums: &[i64]) -> Committed {
    Committed::Applied {
        counters: sums.to_vec(),
    }
}

/// Applied, without counters.
pub(super) fn applied() -> Committed {
    Committed::Applied {
        counters: Vec::new(),
    }
}
