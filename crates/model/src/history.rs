//! What has happened, kept beside the protocol and unknown to it, and what must be true of it: the promises.

use crate::keys::{Key, Keys, PerKey};
use crate::request::{Cookie, Request, Step};
use crate::store::{Answer, Call, Data, Source, Store};

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Tokens that some response has carried. Whoever sends a request may have any of them.
    pub issued: Keys,
    /// Keys whose end was acknowledged.
    ended: Keys,
    /// Which session a key is of, named by its first key. A rotation gives a session another key.
    session: PerKey<Option<Key>>,
    /// Sessions whose end was acknowledged.
    dead: Keys,
    /// Sessions that "log out everywhere" has ended, and those of logins that were under way.
    revoked: Keys,
    /// Of a revocation that has begun and is not acknowledged: what it will have ended.
    doomed: Keys,
    /// Keys in whose place a browser was given another, by a login or a rotation, while traces are kept.
    superseded: Keys,
    /// Keys whose owner was told that they are logged out, for a moment.
    logged_out: Keys,
    /// Dead keys in whose place a browser was given a visitor's, while traces are kept.
    stood_in: Keys,
    /// What each session holds if every acknowledged change was applied once, and nothing else.
    expected: PerKey<Data>,
    /// Requests that were under way when traces of their key were forgotten: those that must not remove the cookie, and those that must
    /// not overwrite it.
    outrun: [u8; 2],
    /// How cookies went wrong.
    faults: [bool; 3],
}

/// How a cookie can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It was set for a session that was dead.
    SetForTheDead,
    /// The one that won was removed.
    WinnerRemoved,
    /// The one that won was overwritten by that of a new visitor.
    WinnerOverwritten,
}

impl History {
    /// A session is there at the beginning.
    pub fn begin_with(&mut self, key: Key) {
        self.issued.insert(key);
        self.session[key] = Some(key);
        self.expected[key] = Data::INITIAL;
    }

    /// A token that somebody still has, and whose session ended long ago.
    pub fn begin_with_dead(&mut self, key: Key) {
        self.issued.insert(key);
        self.ended.insert(key);
    }

    /// A session's idle limit has run out.
    pub fn expire(&mut self, key: Key) {
        self.end(key);
    }

    /// Traces are forgotten: those of logouts, or all.
    pub fn forget_traces(&mut self, all: bool, requests: &[Request]) {
        for request in requests {
            self.outrun[0] |= u8::from(!self.may_remove(request)) << request.number;
            self.outrun[1] |= u8::from(!self.may_overwrite(request)) << request.number;
        }
        self.logged_out = Keys::default();
        if all {
            self.superseded = Keys::default();
            self.stood_in = Keys::default();
        }
    }

    /// A request has asked the store, which was as `before`, and was answered.
    pub fn note(
        &mut self,
        request: &Request,
        call: Call,
        answer: Answer,
        before: &Store,
        others: &[Request],
    ) {
        match (call, answer) {
            (_, Answer::Gone | Answer::Revoked) => {}
            (
                Call::Commit(key, delta)
                | Call::Put(key, _, delta)
                | Call::Overwrite(key, _, delta),
                _,
            ) if before.live(key).is_some() => {
                self.expected[key] = self.expected[key].with(delta);
            }
            (Call::Create(key, data, _), _) => {
                self.session[key] = Some(key);
                self.expected[key] = data;
            }
            (Call::Rotate(old, new), _) => {
                self.move_to(old, new);
                self.ended.insert(old);
            }
            (Call::Copy(old, new), _) => self.move_to(old, new),
            (Call::Bury(key), _) if request.step == Step::Rotate => {
                self.ended.insert(key);
            }
            (Call::Take(key) | Call::Bury(key), _) => {
                self.superseded.insert(key);
                self.replace(key, before);
            }
            (Call::Admit(admission), Answer::Keys(pruned)) => {
                let key = admission.key;
                self.session[key] = Some(key);
                if let (Some(old), Some(delta)) = (admission.replaces, admission.carry) {
                    let lived = match admission.source {
                        Source::Taken(taken) => taken.is_some(),
                        Source::Store | Source::Copy(_) => before.live(old).is_some(),
                    };
                    let moved = if lived {
                        self.expected[old]
                    } else {
                        Data::default()
                    };
                    self.expected[key] = moved.with(delta);
                }
                if let Some(old) = admission.replaces.filter(|_| admission.moves) {
                    self.replace(old, before);
                }
                for key in pruned.iter() {
                    self.end(key);
                }
            }
            (Call::End(key, _), Answer::Done) => self.end(key),
            (Call::EndAll(except), _) => {
                self.doom(except, before, others);
                self.revoke();
            }
            (Call::List, _) => self.doom(request.presented, before, others),
            (Call::EndListed(_), _) => self.revoke(),
            _ => {}
        }
    }

    /// A response leaves.
    pub fn leave(&mut self, request: &Request, cookie: Cookie, store: &Store) {
        let new_visitor = matches!(
            request.step,
            Step::Create | Step::StandIn | Step::AskToReplace
        );
        match cookie {
            Cookie::Keep => {}
            Cookie::Set(key) => {
                self.issued.insert(key);
                // On a cluster a login is confirmed by its first half, and the second is as good as the network.
                if store.live(key).is_none() && request.step != Step::Bury {
                    self.blame(Fault::SetForTheDead);
                }
                if new_visitor && !self.may_overwrite(request) {
                    self.blame(Fault::WinnerOverwritten);
                }
            }
            Cookie::Remove if !self.may_remove(request) => self.blame(Fault::WinnerRemoved),
            Cookie::Remove => {}
        }
        let browser = request.presented.into_iter();
        match cookie {
            Cookie::Set(_) if new_visitor => self.stood_in.extend(browser.collect()),
            // A visitor's session with a new token is a visitor's all the same.
            Cookie::Set(_) if request.step == Step::Rotate => {
                self.superseded.extend(browser.collect());
            }
            // What a login has taken is replaced from that step on.
            Cookie::Set(key) if key == request.fresh && request.taken.is_none() => {
                self.superseded
                    .extend(browser.chain(request.before_that()).collect());
            }
            Cookie::Remove if matches!(request.step, Step::End | Step::NoteGoneLast) => {
                self.logged_out.extend(browser.collect());
                self.superseded
                    .extend(request.before_that().into_iter().collect());
            }
            _ => {}
        }
    }

    /// Whether the browser may have no other cookie than the one that the request came with, or a visitor's at most.
    fn may_overwrite(&self, request: &Request) -> bool {
        let outrun = self.outrun[1] & (1 << request.number) != 0;
        let gone = |key| self.superseded.contains(key) || self.logged_out.contains(key);
        !outrun && !request.presented.is_some_and(gone)
    }

    /// Whether the browser has no other cookie than the one that the request came with.
    fn may_remove(&self, request: &Request) -> bool {
        let outrun = self.outrun[0] & (1 << request.number) != 0;
        let replaced = |key| self.superseded.contains(key) || self.stood_in.contains(key);
        !outrun && !request.presented.is_some_and(replaced)
    }

    /// J2: no key whose end was acknowledged is live, and no session under any key.
    #[must_use]
    pub fn dead_stays_dead(&self, store: &Store) -> bool {
        let dead = |key| self.session[key].is_some_and(|session| self.dead.contains(session));
        !store
            .all_live()
            .iter()
            .any(|key| self.ended.contains(key) || dead(key))
    }

    /// J2: a live session holds nothing but what was written to it while it lived.
    #[must_use]
    pub fn nothing_of_the_dead(&self, store: &Store) -> bool {
        self.compare(store, |data, expected| {
            data.members & !expected.members == 0 && data.count <= expected.count
        })
    }

    /// J3: a live session holds everything that was written to it.
    #[must_use]
    pub fn no_lost_update(&self, store: &Store) -> bool {
        self.compare(store, |data, expected| {
            expected.members & !data.members == 0 && expected.count <= data.count
        })
    }

    /// J4: nothing that a revocation has ended, or has overtaken, is live.
    #[must_use]
    pub fn revocation_is_complete(&self, store: &Store) -> bool {
        let revoked = |key| self.session[key].is_some_and(|session| self.revoked.contains(session));
        !store.all_live().iter().any(revoked)
    }

    /// J10: whether no cookie went wrong in this way.
    #[must_use]
    pub fn is_free_of(&self, fault: Fault) -> bool {
        !self.faults[fault as usize]
    }

    fn compare(&self, store: &Store, holds: impl Fn(Data, Data) -> bool) -> bool {
        Key::all()
            .filter_map(|key| {
                store
                    .live(key)
                    .map(|record| (record.data, self.expected[key]))
            })
            .all(|(data, expected)| holds(data, expected))
    }

    fn end(&mut self, key: Key) {
        self.ended.insert(key);
        if let Some(session) = self.session[key] {
            self.dead.insert(session);
        }
    }

    /// A login replaces what is under a key.
    fn replace(&mut self, key: Key, before: &Store) {
        self.ended.insert(key);
        // What has moved to another key since lives on.
        if before.live(key).is_some() {
            self.end(key);
        }
    }

    fn move_to(&mut self, old: Key, new: Key) {
        self.session[new] = self.session[old];
        self.expected[new] = self.expected[old];
    }

    /// A revocation begins.
    fn doom(&mut self, except: Option<Key>, before: &Store, requests: &[Request]) {
        for key in before.alices().iter().filter(|key| Some(*key) != except) {
            self.doomed.extend(self.session[key].into_iter().collect());
        }
        for login in requests
            .iter()
            .filter(|request| request.is_login_in_flight())
        {
            self.doomed.insert(login.fresh);
        }
    }

    /// A revocation is acknowledged.
    fn revoke(&mut self) {
        self.revoked.extend(self.doomed);
        self.dead.extend(self.doomed);
        self.doomed = Keys::default();
    }

    fn blame(&mut self, fault: Fault) {
        self.faults[fault as usize] = true;
    }
}
