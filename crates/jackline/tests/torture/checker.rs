//! Replays what was acknowledged and says which promise it breaks. It knows no engine: it asks only whether what was seen can
//! follow from what was done, whatever became of the operations whose outcome nobody knows.
//!
//! - **J2** A key that was acknowledged dead, or was seen dead, is not seen alive afterwards. A session whose making was refused
//!   is not alive.
//! - **J3** A live session holds every acknowledged change, and nothing that nobody made: counters lie between what was
//!   acknowledged and what may have been done, and no two increments got the same sum.
//! - **J4** After an acknowledged `end_all`, nothing that began before it is alive, the exempted session aside. Who is alive is
//!   listed, once, under the right owner, and not more than the cap allows.
//! - **J8** A session that was acknowledged is there, unless something ended it, or may have.
//! - **J10** A key that gave way to another is remembered for a minute.
//!
//! An engine that may lose what it acknowledged just before a fault ([`Tolerance`]) gets that counted and not excused: what was
//! lost in the direction of letting somebody in is a number of its own.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use crate::history::{
    Answer, Call, Change, Held, History, Key, Member, Operation, Outcome, Owner, Seen,
};

/// How many sessions an owner may have in these histories.
pub(crate) const CAP: u32 = 5;

/// How long a key that gave way is remembered, as the contract has it.
const REPLACED_KEPT_MS: u64 = 60_000;

/// What an engine may lose.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerance {
    /// What was acknowledged so shortly before a fault, or during it, may be lost. `None`: nothing is ever.
    pub(crate) loses: Option<Duration>,
}

/// What the checker has found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<String>,
    /// Sessions that were acknowledged dead and came back with what the engine lost.
    pub(crate) let_in: usize,
    /// Sessions that were acknowledged and are gone with what the engine lost.
    pub(crate) locked_out: usize,
    /// Changes and traces that were acknowledged and are gone.
    pub(crate) forgotten: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "violations {}; lost: {} let in, {} locked out, {} changes",
            self.violations.len(),
            self.let_in,
            self.locked_out,
            self.forgotten
        )
    }
}

/// Checks a history.
pub(crate) fn check(history: &History, tolerance: Tolerance) -> Verdict {
    let facts = Facts::of(history);
    let mut checker = Checker {
        history,
        tolerance,
        facts: &facts,
        reported: HashSet::new(),
        verdict: Verdict::default(),
    };
    checker.sense();
    for (key, of) in &facts.keys {
        checker.refused_stays_out(*key, of);
        checker.dead_stays_dead(*key, of);
        checker.revoked_stays_out(*key, of);
        checker.acknowledged_is_there(*key, of);
        checker.replaced_is_remembered(*key, of);
        checker.changes_are_kept(*key, of);
    }
    for (life, changes) in &facts.changes {
        checker.sums_are_exact(*life, changes);
    }
    checker.lists_are_right();
    checker.verdict.violations.sort();
    checker.verdict
}

/// What is known of one key.
struct KeyFacts<'h> {
    /// The key under which its session began.
    life: Key,
    owner: Option<Owner>,
    /// What made it.
    birth: &'h Operation,
    /// When its owner's epoch had been read, if it is somebody's.
    login: Option<usize>,
    /// The key that it was rotated from.
    parent: Option<Key>,
    sights: Vec<Sight<'h>>,
    /// Operations that name it and end it.
    endings: Vec<&'h Operation>,
}

impl KeyFacts<'_> {
    fn is_acknowledged(&self) -> bool {
        matches!(
            self.birth.answer(),
            Some(Answer::Created | Answer::Admitted { .. } | Answer::Applied { .. })
        )
    }
}

/// One answer that lists an owner's sessions.
struct Listing<'h> {
    by: &'h Operation,
    owner: Owner,
    sessions: &'h [(Key, Seen)],
}

/// One look at a key.
#[derive(Clone, Copy)]
struct Sight<'h> {
    by: &'h Operation,
    alive: bool,
    data: Option<&'h Seen>,
}

/// A change of a session, under whichever key.
#[derive(Clone, Copy)]
struct Changed<'h> {
    by: &'h Operation,
    change: Change,
}

impl Changed<'_> {
    fn is_acknowledged(&self) -> bool {
        matches!(self.by.answer(), Some(Answer::Applied { .. }))
    }

    fn may_count(&self) -> bool {
        self.is_acknowledged() || self.by.outcome == Outcome::Unknown
    }

    fn value(&self) -> Option<u64> {
        (self.change.member == Member::Set).then_some(self.by.number)
    }
}

/// All changes of one session, in the order of their calls.
#[derive(Default)]
struct Changes<'h> {
    counting: Vec<Changed<'h>>,
    /// When increments were acknowledged, and when those began that may have been done: both in order, since a session that is
    /// asked for by everybody has thousands and is looked at thousands of times.
    acknowledged: Vec<usize>,
    possible: Vec<usize>,
    /// Of each client's own member.
    members: HashMap<u32, Vec<Changed<'h>>>,
}

impl<'h> Changes<'h> {
    fn add(&mut self, changed: Changed<'h>) {
        if changed.change.counts {
            self.counting.push(changed);
            if changed.is_acknowledged() {
                self.acknowledged.push(changed.by.ended);
            }
            if changed.may_count() {
                self.possible.push(changed.by.begun);
            }
        }
        if changed.change.member != Member::Kept {
            let client = changed.by.client;
            self.members.entry(client).or_default().push(changed);
        }
    }

    fn sort(&mut self) {
        self.acknowledged.sort_unstable();
        self.possible.sort_unstable();
    }
}

/// A history, sorted by what it is about.
struct Facts<'h> {
    keys: BTreeMap<Key, KeyFacts<'h>>,
    /// By the first key of each session.
    changes: HashMap<Key, Changes<'h>>,
    /// Operations that end sessions of an owner without naming them.
    sweeps: HashMap<Owner, Vec<&'h Operation>>,
    lists: Vec<Listing<'h>>,
    by_owner: HashMap<Owner, Vec<Key>>,
}

impl<'h> Facts<'h> {
    fn of(history: &'h History) -> Self {
        let mut facts = Self {
            keys: BTreeMap::new(),
            changes: HashMap::new(),
            sweeps: HashMap::new(),
            lists: Vec::new(),
            by_owner: HashMap::new(),
        };
        let epochs: HashMap<(u32, u64), usize> = history
            .operations
            .iter()
            .map(|operation| ((operation.client, operation.number), operation.ended))
            .collect();
        for operation in &history.operations {
            facts.note_births(operation, &epochs);
        }
        for operation in &history.operations {
            facts.note(operation);
        }
        facts.changes.values_mut().for_each(Changes::sort);
        facts
    }

    fn note_births(&mut self, by: &'h Operation, epochs: &HashMap<(u32, u64), usize>) {
        match &by.call {
            Call::Create(key) => self.bear(*key, *key, None, by, None, None),
            Call::Admit {
                key,
                owner,
                epoch_read_by,
                ..
            } => {
                let login = epochs.get(&(by.client, *epoch_read_by)).copied();
                self.bear(*key, *key, Some(*owner), by, login, None);
            }
            Call::Rotate { old, new, .. } => {
                // Keys are used by those who know them, so `old` was made by an earlier call.
                let before = &self.keys[&old.key];
                let (life, login) = (before.life, before.login);
                self.bear(*new, life, old.owner, by, login, Some(old.key));
            }
            _ => {}
        }
    }

    fn bear(
        &mut self,
        key: Key,
        life: Key,
        owner: Option<Owner>,
        birth: &'h Operation,
        login: Option<usize>,
        parent: Option<Key>,
    ) {
        if let Some(owner) = owner {
            self.by_owner.entry(owner).or_default().push(key);
        }
        let facts = KeyFacts {
            life,
            owner,
            birth,
            login,
            parent,
            sights: Vec::new(),
            endings: Vec::new(),
        };
        assert!(self.keys.insert(key, facts).is_none(), "a key is made once");
    }

    fn note(&mut self, by: &'h Operation) {
        match (&by.call, by.answer()) {
            (Call::Load(held), Some(Answer::Live(data))) => self.see(*held, by, true, Some(data)),
            (Call::Load(held), Some(_)) => self.see(*held, by, false, None),
            (Call::Commit(held, change), answer) => {
                self.change(held.key, by, *change);
                self.see_if_answered(*held, by, answer);
            }
            (Call::Rotate { old, change, .. }, answer) => {
                self.change(old.key, by, *change);
                self.see_if_answered(*old, by, answer);
                if !matches!(answer, Some(Answer::Gone)) {
                    self.end(old.key, by);
                }
            }
            (Call::End(held), answer) => {
                if let Some(answer) = answer {
                    self.see(*held, by, *answer == Answer::Removed, None);
                }
                self.end(held.key, by);
            }
            (
                Call::Admit {
                    owner, replaces, ..
                },
                answer,
            ) => {
                if matches!(answer, Some(Answer::Revoked)) {
                    return;
                }
                if let Some(replaced) = replaces {
                    self.end(replaced.key, by);
                }
                match answer {
                    Some(Answer::Admitted { pruned }) => {
                        pruned.iter().for_each(|key| self.end(*key, by));
                    }
                    // It may have pruned somebody.
                    _ => self.sweeps.entry(*owner).or_default().push(by),
                }
            }
            (Call::EndAll { owner, .. }, _) => self.sweeps.entry(*owner).or_default().push(by),
            (Call::List(owner), Some(Answer::Listed(sessions))) => {
                self.lists.push(Listing {
                    by,
                    owner: *owner,
                    sessions,
                });
                for (key, data) in sessions {
                    let held = Held {
                        key: *key,
                        owner: Some(*owner),
                    };
                    self.see(held, by, true, Some(data));
                }
            }
            (Call::Create(_) | Call::Load(_) | Call::Epoch(_) | Call::List(_), _) => {}
        }
    }

    fn see_if_answered(&mut self, held: Held, by: &'h Operation, answer: Option<&Answer>) {
        match answer {
            Some(Answer::Applied { .. }) => self.see(held, by, true, None),
            Some(_) => self.see(held, by, false, None),
            None => {}
        }
    }

    fn see(&mut self, held: Held, by: &'h Operation, alive: bool, data: Option<&'h Seen>) {
        // A key that nobody made is found by `sense`.
        if let Some(facts) = self.keys.get_mut(&held.key) {
            facts.sights.push(Sight { by, alive, data });
        }
    }

    fn end(&mut self, key: Key, by: &'h Operation) {
        if let Some(facts) = self.keys.get_mut(&key) {
            facts.endings.push(by);
        }
    }

    fn change(&mut self, key: Key, by: &'h Operation, change: Change) {
        let life = self.keys[&key].life;
        let changed = Changed { by, change };
        self.changes.entry(life).or_default().add(changed);
    }
}

struct Checker<'h> {
    history: &'h History,
    tolerance: Tolerance,
    facts: &'h Facts<'h>,
    /// What was reported of which key. Once is enough.
    reported: HashSet<(Rule, Key)>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    Refused,
    Dead,
    Revoked,
    There,
    Trace,
    Data,
    Sum,
    Unlisted,
}

impl Checker<'_> {
    /// Whether what `operation` was acknowledged for may be lost by the time of `later`, because of a fault between them.
    fn is_shaky(&self, operation: &Operation, later: &Operation) -> bool {
        let Some(window) = self.tolerance.loses else {
            return false;
        };
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self.history.faults.iter().any(|fault| {
            fault.begun < later.ended
                && operation.ended_ms.saturating_add(window) >= fault.begun_ms
                && operation.ended_ms <= fault.settled_ms
        })
    }

    /// Until when an operation may have had its effect. One whose outcome is unknown may have been delayed by the fault that made
    /// it so; after the fault that follows that one, whatever waited for either is gone.
    fn effective_until(&self, operation: &Operation) -> usize {
        if operation.outcome != Outcome::Unknown {
            return operation.ended;
        }
        let settled = self.history.faults.iter().map(|fault| fault.settled);
        settled
            .filter(|settled| *settled > operation.ended)
            .nth(1)
            .unwrap_or(usize::MAX)
    }

    fn violates(&mut self, rule: Rule, promise: &str, key: Key, what: String) {
        if self.reported.insert((rule, key)) {
            self.verdict
                .violations
                .push(format!("{promise}: key {}: {what}", key.0));
        }
    }

    /// Counts changes that are lost in a way that lets nobody in.
    fn forgets(&mut self, rule: Rule, key: Key, changes: usize) {
        if self.reported.insert((rule, key)) {
            self.verdict.forgotten += changes;
        }
    }

    /// Counts a loss in the direction of letting somebody in, or a violation.
    fn lets_in(
        &mut self,
        rule: Rule,
        promise: &str,
        key: Key,
        lost: bool,
        what: impl FnOnce() -> String,
    ) {
        if !lost {
            self.violates(rule, promise, key, what());
        } else if self.reported.insert((rule, key)) {
            self.verdict.let_in += 1;
        }
    }

    fn sense(&mut self) {
        let (history, facts) = (self.history, self.facts);
        for operation in &history.operations {
            if let Outcome::Nonsense(what) = &operation.outcome {
                let what = format!("nonsense: {what}: {:?}", operation.call);
                self.verdict.violations.push(what);
            }
        }
        for Listing {
            owner, sessions, ..
        } in &facts.lists
        {
            for (key, _) in *sessions {
                let of = facts.keys.get(key);
                if of.is_none_or(|of| of.owner != Some(*owner)) {
                    let what = format!("listed under owner {}, whose it is not", owner.0);
                    self.violates(Rule::Unlisted, "J4", *key, what);
                }
            }
        }
    }

    fn refused_stays_out(&mut self, key: Key, of: &KeyFacts<'_>) {
        if of.is_acknowledged() || of.birth.answer().is_none() {
            return;
        }
        if let Some(sight) = of.sights.iter().find(|sight| sight.alive) {
            let what = format!(
                "its making was refused ({:?}) and it is alive: {:?}",
                of.birth.outcome, sight.by
            );
            self.violates(Rule::Refused, "J2", key, what);
        }
    }

    /// The operations after which a key is dead for good.
    fn deaths<'a>(of: &'a KeyFacts<'a>) -> impl Iterator<Item = &'a Operation> {
        let seen = of.sights.iter().filter(|sight| sight.alive);
        let seen = seen.map(|sight| sight.by.ended).min();
        let born = of.is_acknowledged().then_some(of.birth.ended);
        let there = born.into_iter().chain(seen).min();
        let was_there = move |by: &Operation| there.is_some_and(|there| there < by.begun);
        let endings = of.endings.iter().copied().filter(move |by| {
            match (&by.call, by.answer()) {
                (_, None) => false,
                // What found nothing may have been early: then a creation that was delayed came after it.
                (Call::End(_), Some(Answer::Absent)) | (Call::Admit { .. }, Some(_)) => {
                    was_there(by)
                }
                (_, Some(_)) => true,
            }
        });
        let sights = of.sights.iter().filter(|sight| !sight.alive);
        let sights = sights.map(|sight| sight.by).filter(move |by| was_there(by));
        endings.chain(sights)
    }

    fn dead_stays_dead(&mut self, key: Key, of: &KeyFacts<'_>) {
        let Some(first) = Self::deaths(of).map(|death| death.ended).min() else {
            return;
        };
        for sight in of
            .sights
            .iter()
            .filter(|sight| sight.alive && sight.by.begun > first)
        {
            let deaths = || Self::deaths(of).filter(|death| death.ended < sight.by.begun);
            let lost = deaths().all(|death| self.is_shaky(death, sight.by));
            self.lets_in(Rule::Dead, "J2", key, lost, || {
                let death = deaths().next();
                format!("it was dead after {death:?} and alive in {:?}", sight.by)
            });
        }
    }

    /// Whether `except` spared this key: it is that session, under that key or one that it may have been rotated to meanwhile.
    fn is_spared(&self, key: Key, except: Option<Key>, sweep: &Operation) -> bool {
        let (mut key, mut of) = (key, &self.facts.keys[&key]);
        loop {
            if Some(key) == except {
                return true;
            }
            match of.parent {
                Some(parent) if Some(parent) != except || of.birth.ended > sweep.begun => {
                    (key, of) = (parent, &self.facts.keys[&parent]);
                }
                _ => return false,
            }
        }
    }

    fn revoked_stays_out(&mut self, key: Key, of: &KeyFacts<'_>) {
        let (Some(owner), Some(login)) = (of.owner, of.login) else {
            return;
        };
        let Some(last) = of
            .sights
            .iter()
            .filter(|sight| sight.alive)
            .map(|sight| sight.by.begun)
            .max()
        else {
            return;
        };
        let facts = self.facts;
        for sweep in facts.sweeps.get(&owner).into_iter().flatten() {
            let (Call::EndAll { except, .. }, Some(_)) = (&sweep.call, sweep.answer()) else {
                continue;
            };
            if sweep.ended > last || login > sweep.begun || self.is_spared(key, *except, sweep) {
                continue;
            }
            let after = |sight: &&Sight<'_>| sight.alive && sight.by.begun > sweep.ended;
            for sight in of.sights.iter().filter(after) {
                let lost = self.is_shaky(sweep, sight.by);
                self.lets_in(Rule::Revoked, "J4", key, lost, || {
                    format!(
                        "its login began at {login}, before {sweep:?}, and it is alive in {:?}",
                        sight.by
                    )
                });
            }
        }
    }

    fn acknowledged_is_there(&mut self, key: Key, of: &KeyFacts<'_>) {
        if !of.is_acknowledged() {
            return;
        }
        let facts = self.facts;
        let sweeps = of.owner.and_then(|owner| facts.sweeps.get(&owner));
        let sweeps = sweeps.into_iter().flatten().filter(
            |sweep| !matches!(sweep.call, Call::EndAll { except, .. } if except == Some(key)),
        );
        // The first moment at which something may have ended it.
        let ended = of
            .endings
            .iter()
            .filter(|by| !matches!(by.answer(), Some(Answer::Absent | Answer::Replaced)))
            .chain(sweeps)
            .filter(|by| self.effective_until(by) > of.birth.begun)
            .map(|by| by.begun)
            .min();
        let missing = of.sights.iter().find(|sight| {
            !sight.alive
                && sight.by.begun > of.birth.ended
                && ended.is_none_or(|ended| ended > sight.by.ended)
        });
        let Some(sight) = missing else { return };
        if self.is_shaky(of.birth, sight.by) {
            if self.reported.insert((Rule::There, key)) {
                self.verdict.locked_out += 1;
            }
        } else {
            let what = format!(
                "{:?} was acknowledged, and it is gone in {:?}",
                of.birth, sight.by
            );
            self.violates(Rule::There, "J8", key, what);
        }
    }

    fn replaced_is_remembered(&mut self, key: Key, of: &KeyFacts<'_>) {
        let gave_way = of.endings.iter().filter(|by| match &by.call {
            Call::Rotate { .. } => by.answer().is_some(),
            Call::Admit { replaces, .. } => {
                matches!(by.answer(), Some(Answer::Admitted { .. }))
                    && replaces.is_some_and(|replaced| replaced.key == key)
            }
            _ => false,
        });
        for by in gave_way {
            let forgotten = of.sights.iter().find(|sight| {
                sight.by.begun > by.ended
                    && sight.by.answer() == Some(&Answer::Absent)
                    && sight.by.ended_ms < by.ended_ms + REPLACED_KEPT_MS
            });
            match forgotten {
                None => {}
                Some(sight) if self.is_shaky(by, sight.by) => self.forgets(Rule::Trace, key, 1),
                Some(sight) => {
                    let what = format!("it gave way in {by:?}, which {:?} does not know", sight.by);
                    self.violates(Rule::Trace, "J10", key, what);
                }
            }
        }
    }

    fn changes_are_kept(&mut self, key: Key, of: &KeyFacts<'_>) {
        let (facts, none) = (self.facts, Changes::default());
        let changes = facts.changes.get(&of.life).unwrap_or(&none);
        for sight in &of.sights {
            let Some(data) = sight.data else { continue };
            self.counter_is_kept(key, changes, sight.by, data.counter);
            for (client, changes) in &changes.members {
                let value = data.members.get(client).copied();
                self.member_is_kept(key, changes, sight.by, value);
            }
            let nobodys = |client: &&u32| !changes.members.contains_key(client);
            if let Some(client) = data.members.keys().find(nobodys) {
                let what = format!("it has a member that client {client} never set");
                self.violates(Rule::Data, "J3", key, what);
            }
        }
    }

    fn counter_is_kept(&mut self, key: Key, changes: &Changes<'_>, by: &Operation, value: i64) {
        let count = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
        let least = count(changes.acknowledged.partition_point(|at| *at < by.begun));
        let most = count(changes.possible.partition_point(|at| *at < by.ended));
        if (least..=most).contains(&value) {
            return;
        }
        let lost = changes.counting.iter().filter(|changed| {
            changed.is_acknowledged()
                && changed.by.ended < by.begun
                && self.is_shaky(changed.by, by)
        });
        if (least - count(lost.count())..=most).contains(&value) {
            let changes = usize::try_from(least - value).unwrap_or_default();
            self.forgets(Rule::Data, key, changes);
            return;
        }
        let what = format!("its counter is {value}, not from {least} to {most}, in {by:?}");
        self.violates(Rule::Data, "J3", key, what);
    }

    /// `changes` are those of one client, one after the other.
    fn member_is_kept(
        &mut self,
        key: Key,
        changes: &[Changed<'_>],
        by: &Operation,
        value: Option<u64>,
    ) {
        let last = changes
            .iter()
            .rposition(|changed| changed.is_acknowledged() && changed.by.ended < by.begun);
        let possible = changes.iter().enumerate().any(|(at, changed)| {
            let counts = match last {
                Some(last) if at == last => true,
                // Done late, and so after the one that was acknowledged.
                Some(last) if at < last => {
                    changed.by.outcome == Outcome::Unknown
                        && self.effective_until(changed.by) > changes[last].by.begun
                }
                _ => changed.may_count() && changed.by.begun < by.ended,
            };
            counts && changed.value() == value
        });
        if possible || (last.is_none() && value.is_none()) {
            return;
        }
        // What it was before what may be lost.
        let kept = changes.iter().rposition(|changed| {
            changed.is_acknowledged()
                && changed.by.ended < by.begun
                && !self.is_shaky(changed.by, by)
        });
        let earlier = &changes[kept.unwrap_or(0)..last.map_or(0, |last| last + 1)];
        let lost = kept != last
            && (earlier.iter().any(|changed| changed.value() == value)
                || (kept.is_none() && value.is_none()));
        if lost {
            self.forgets(Rule::Data, key, 1);
            return;
        }
        let what = format!(
            "a member is {value:?}, and after {:?} cannot be, in {by:?}",
            last.map(|last| changes[last].by)
        );
        self.violates(Rule::Data, "J3", key, what);
    }

    fn sums_are_exact(&mut self, life: Key, changes: &Changes<'_>) {
        let mut sums: HashMap<i64, &Operation> = HashMap::new();
        for changed in &changes.counting {
            let Some(Answer::Applied { sum: Some(sum) }) = changed.by.answer() else {
                continue;
            };
            self.counter_is_kept(life, changes, changed.by, *sum);
            if let Some(other) = sums.insert(*sum, changed.by) {
                if self.is_shaky(other, changed.by) {
                    continue;
                }
                let what = format!("{other:?} and {:?} got the same sum", changed.by);
                self.violates(Rule::Sum, "J3", life, what);
            }
        }
    }

    fn lists_are_right(&mut self) {
        let facts = self.facts;
        for Listing {
            by: list,
            owner,
            sessions,
        } in &facts.lists
        {
            let listed: HashSet<Key> = sessions.iter().map(|(key, _)| *key).collect();
            if listed.len() < sessions.len() {
                let what = format!("J4: a session is listed twice in {list:?}");
                self.verdict.violations.push(what);
            }
            if listed.len() > CAP as usize {
                let what = format!("J4: more than {CAP} sessions in {list:?}");
                self.verdict.violations.push(what);
            }
            for key in facts.by_owner.get(owner).into_iter().flatten() {
                let of = &facts.keys[key];
                if listed.contains(key) || !of.is_acknowledged() || of.birth.ended > list.begun {
                    continue;
                }
                let alive = of
                    .sights
                    .iter()
                    .find(|sight| sight.alive && sight.by.begun > list.ended);
                if let Some(sight) = alive {
                    let what = format!("it is alive in {:?} and not listed in {list:?}", sight.by);
                    self.violates(Rule::Unlisted, "J4", *key, what);
                }
            }
        }
    }
}
