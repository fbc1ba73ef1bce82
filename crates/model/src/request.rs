//! One request: what its handler does, the steps that the library takes for it, and what it knows in between. It mirrors
//! `jackline::session` (`look_up`, then `finish`), and shares nothing with any other request but the store.

use crate::keys::{Key, Keys};
use crate::protocol::{Flaw, Protocol};
use crate::store::{Admission, Answer, Call, Data, Delta, Record, Source, Trace};

/// What a request's handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Script {
    /// Reads. Every load counts as one after which the cookie is to be renewed.
    Read,
    /// Sets a member that no other request sets. A visitor without a session gets one.
    Write,
    /// Increments the counter at once, and answers later. A visitor without a session gets one.
    Count,
    /// Gets a new token.
    Rotate,
    /// Logs Alice in.
    LogIn,
    /// Sets a member, and logs Alice in with the data that were there before.
    LogInCarrying,
    /// Logs out.
    LogOut,
    /// Ends all of Alice's other sessions.
    EndOthers,
    /// Ends all of Alice's sessions, from outside.
    EndAll,
}

impl Script {
    /// Whether it does anything for whoever has no cookie.
    #[must_use]
    pub fn works_without_cookie(self) -> bool {
        matches!(self, Self::Write | Self::Count | Self::LogIn | Self::EndAll)
    }
}

/// What a request does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Looks its session up.
    Load,
    /// Ends what it came with, which has run out.
    EndExpired,
    /// Reads Alice's epoch.
    Epoch,
    /// Reads and checks Alice's credentials, which is no step of the store.
    Credentials,
    /// See [`Call::Take`].
    Take,
    /// Logs in.
    Admit,
    /// See [`Call::Bury`].
    Bury,
    /// Changes data.
    Commit,
    /// Changes its token.
    Rotate,
    /// Creates a visitor's session.
    Create,
    /// Notes that the visitor's session stands in for the dead one that it came with, and learns what else is known of that.
    StandIn,
    /// Notes of the dead session in whose place the one that it came with was begun that the browser is given another cookie again.
    NoteGone,
    /// Ends its own session.
    End,
    /// Ends Alice's sessions.
    EndAll,
    /// Asks whether its cookie may be renewed.
    AskToRenew,
    /// Asks whether its cookie may be removed.
    AskToRemove,
    /// Nothing: it has answered.
    Answered(Outcome, Cookie),
    /// Nothing: its instance has died.
    Crashed,

    /// Broken: asks whether the browser, which came with a dead cookie, has been given another meanwhile, and notes nothing.
    AskToReplace,
    /// Broken: [`Step::NoteGone`], after a logout.
    NoteGoneLast,
    /// Broken: see [`Call::FindVictims`].
    FindVictims,
    /// Broken: see [`Call::Enter`].
    Enter,
    /// Broken: see [`Call::List`].
    List,
    /// Broken: see [`Call::EndListed`].
    EndListed,
}

/// What the response said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is done.
    Done,
    /// There was nothing to do it with.
    Nothing,
    /// The session has ended meanwhile; nothing was written.
    Ended,
    /// Alice's sessions were revoked meanwhile; she is not logged in.
    Revoked,
}

/// What becomes of the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cookie {
    /// Nothing.
    Keep,
    /// It is set.
    Set(Key),
    /// It is removed.
    Remove,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// What its handler does.
    pub script: Script,
    /// The cookie that it came with.
    pub presented: Option<Key>,
    /// Its number: the member that it sets.
    pub number: u8,
    /// The key of the token that it would give.
    pub fresh: Key,
    /// What it does next.
    pub step: Step,
    /// The session that it came with, as it was loaded.
    pub came_with: Option<Record>,
    /// It has ended what it came with, which had run out.
    pub forget: bool,
    /// The epoch that it has read.
    pub epoch: u8,
    /// It has read Alice's credentials.
    pub checked: bool,
    /// What it has taken of the session that its login replaces.
    pub taken: Option<Record>,
    /// Keys that it has found: broken protocols only.
    pub found: Keys,
    /// It has been under way for longer than traces are kept.
    pub slow: bool,
}

impl Request {
    /// A request at its beginning.
    #[must_use]
    pub fn new(number: usize, script: Script, presented: Option<Key>, protocol: Protocol) -> Self {
        let mut request = Self {
            script,
            presented,
            number: u8::try_from(number).expect("there are few requests"),
            fresh: Key::fresh(number),
            step: Step::Load,
            came_with: None,
            forget: false,
            epoch: 0,
            checked: false,
            taken: None,
            found: Keys::default(),
            slow: false,
        };
        if presented.is_none() {
            request.step = request.work(protocol);
        }
        request
    }

    /// Whether it takes no further step.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Answered(..) | Step::Crashed)
    }

    /// Whether it is a login that has read the credentials and may still succeed.
    #[must_use]
    pub fn is_login_in_flight(&self) -> bool {
        self.checked && !self.is_over()
    }

    /// The dead session in whose place the one that it came with was begun.
    #[must_use]
    pub fn before_that(&self) -> Option<Key> {
        self.came_with?.stands_in_for
    }

    /// Whether its next step follows at once on its last: no handler runs between the two, and a store that does not answer at once
    /// counts as unavailable.
    #[must_use]
    pub fn is_between_steps(&self, protocol: Protocol) -> bool {
        match self.step {
            Step::EndExpired | Step::StandIn | Step::Bury => true,
            Step::Admit if self.takes(protocol) => true,
            Step::Take | Step::Admit | Step::End => self.must_note(protocol),
            _ => false,
        }
    }

    /// So much time passes that traces are forgotten.
    pub fn outlast_traces(&mut self) {
        if self.is_over() {
            return;
        }
        self.slow = true;
        // Nobody has an older cookie still but whoever never got the newer one.
        if let Some(came_with) = &mut self.came_with {
            came_with.stands_in_for = None;
        }
    }

    /// What it asks of the store next; nothing if its next step is its own.
    #[must_use]
    pub fn call(&self, protocol: Protocol) -> Option<Call> {
        // Whoever has no cookie never gets to a step that needs one.
        let presented = self.presented.unwrap_or(self.fresh);
        let loaded = self.came_with.unwrap_or_default();
        Some(match self.step {
            Step::AskToRenew if protocol.is(Flaw::RenewWithoutAsking) => return None,
            Step::AskToRemove if protocol.is(Flaw::RemoveWithoutAsking) => return None,
            Step::Load | Step::AskToReplace | Step::AskToRenew | Step::AskToRemove => {
                Call::Load(presented)
            }
            Step::EndExpired => Call::End(presented, None),
            Step::End if protocol.is(Flaw::LogOutUnnoted) => Call::End(presented, None),
            Step::End => Call::End(presented, Some(Trace::LoggedOut)),
            Step::StandIn => Call::Note(presented, Trace::StoodIn),
            Step::NoteGone | Step::NoteGoneLast => Call::Note(self.before_that()?, Trace::Replaced),
            Step::Epoch => Call::Epoch,
            Step::Take => Call::Take(presented),
            Step::Admit => Call::Admit(self.admission(protocol)),
            Step::Bury => Call::Bury(presented),
            Step::Commit => match protocol.flaw {
                Some(Flaw::SetInsteadOfUpdate) => Call::Put(presented, loaded, self.delta()),
                Some(Flaw::WholeRecordInsteadOfDelta) => {
                    Call::Overwrite(presented, loaded.data, self.delta())
                }
                _ => Call::Commit(presented, self.delta()),
            },
            Step::Rotate if protocol.is(Flaw::RotateInTwoSteps) => {
                Call::Copy(presented, self.fresh)
            }
            Step::Rotate => Call::Rotate(presented, self.fresh),
            Step::Create => Call::Create(
                self.fresh,
                Data::default().with(self.delta()),
                self.presented,
            ),
            Step::EndAll => Call::EndAll(self.presented),
            Step::FindVictims => Call::FindVictims,
            Step::Enter => Call::Enter(self.fresh),
            Step::List => Call::List,
            Step::EndListed => Call::EndListed(self.found),
            Step::Credentials | Step::Answered(..) | Step::Crashed => return None,
        })
    }

    /// Goes on with what the store said, if it was asked. The response leaves in the moment of its last answer: what happens
    /// between the two is as if it happened in the network.
    pub fn go_on(&mut self, answer: Option<Answer>, protocol: Protocol) {
        let presented = self.presented.unwrap_or(self.fresh);
        let slow = self.slow && !protocol.is(Flaw::SlowRequestsGoOn);
        let renew = Step::Answered(Outcome::Done, Cookie::Set(presented));
        let replace = Step::Answered(Outcome::Done, Cookie::Set(self.fresh));
        let remove = Step::Answered(Outcome::Done, Cookie::Remove);
        let keep = |outcome| Step::Answered(outcome, Cookie::Keep);
        self.step = match (self.step, answer) {
            (Step::Load, Some(Answer::Live(record))) => {
                self.came_with = Some(record);
                self.work(protocol)
            }
            (Step::Load, Some(Answer::Expired(_))) => Step::EndExpired,
            // The browser has another cookie by now. A visitor's new one would push that out, and whoever it is of is not
            // logged out.
            (Step::Load, Some(Answer::Trace(Trace::LoggedOut | Trace::Replaced)))
                if self.writes() =>
            {
                keep(Outcome::Ended)
            }
            (Step::Load, Some(Answer::Trace(Trace::Replaced))) if self.script == Script::LogOut => {
                keep(Outcome::Ended)
            }
            (Step::Load, _) => self.work(protocol),
            (Step::EndExpired, Some(Answer::Trace(Trace::LoggedOut | Trace::Replaced)))
                if self.writes() =>
            {
                keep(Outcome::Ended)
            }
            (Step::EndExpired, answer) => {
                // Of several requests that find it so, one ends it, and tells.
                self.forget = answer == Some(Answer::Done);
                self.work(protocol)
            }

            (Step::Epoch, Some(Answer::Epoch(epoch))) => {
                self.epoch = epoch;
                if self.checked {
                    self.log_in(protocol)
                } else {
                    Step::Credentials
                }
            }
            (Step::Credentials, _) => {
                self.checked = true;
                if protocol.is(Flaw::EpochAfterCredentials) {
                    Step::Epoch
                } else {
                    self.log_in(protocol)
                }
            }
            (Step::Take, answer) => {
                if let Some(Answer::Live(record)) = answer {
                    self.taken = Some(record);
                }
                Step::Admit
            }
            (Step::FindVictims, Some(Answer::Keys(victims))) => {
                self.found = victims;
                Step::Admit
            }
            (Step::Admit, Some(Answer::Revoked)) => keep(Outcome::Revoked),
            (Step::Admit, _) if protocol.is(Flaw::IndexAfterRecord) => Step::Enter,
            (Step::Admit, _) if self.buries(protocol) => Step::Bury,
            (Step::Admit | Step::Enter | Step::Bury, _) => replace,

            (Step::Commit | Step::Rotate, Some(Answer::Gone)) => keep(Outcome::Ended),
            // An increment was answered at once, and the response comes later.
            (Step::Commit, _) if self.script == Script::Count => Step::AskToRenew,
            (Step::Commit, _) => renew,
            (Step::Rotate, _) if protocol.is(Flaw::RotateInTwoSteps) => Step::Bury,
            (Step::Rotate, _) => replace,

            (Step::Create, _) if self.presented.is_none() => replace,
            (Step::Create, _) if protocol.is(Flaw::NoteBeforeCreating) => replace,
            (Step::Create, _) if protocol.is(Flaw::StandInUnnoted) => Step::AskToReplace,
            (Step::Create, _) => Step::StandIn,
            (
                Step::StandIn | Step::AskToReplace,
                Some(Answer::Trace(Trace::LoggedOut | Trace::Replaced)),
            ) => keep(Outcome::Ended),
            (Step::StandIn | Step::AskToReplace, _) if slow => keep(Outcome::Ended),
            (Step::StandIn, _) if protocol.is(Flaw::NoteBeforeCreating) => Step::Create,
            (Step::StandIn | Step::AskToReplace, _) => replace,

            (Step::NoteGone, _) if self.script == Script::LogOut => Step::End,
            (Step::NoteGone, _) => self.store_login(protocol),
            (Step::End, Some(Answer::Done))
                if protocol.is(Flaw::LogOutThenNote) && self.must_note(protocol) =>
            {
                Step::NoteGoneLast
            }
            (Step::End, Some(Answer::Done)) | (Step::NoteGoneLast, _) => remove,
            (Step::End, Some(Answer::Trace(Trace::Replaced)))
                if protocol.is(Flaw::LogOutRemovesWhatMoved) =>
            {
                remove
            }
            (Step::End, Some(Answer::Trace(Trace::Replaced))) => keep(Outcome::Ended),
            // It had ended before, and whoever ended it has told the browser.
            (Step::End, _) => keep(Outcome::Nothing),

            (Step::List, Some(Answer::Keys(listed))) => {
                self.found = listed;
                if let Some(own) = self.presented {
                    self.found.remove(own);
                }
                Step::EndListed
            }
            (Step::EndAll | Step::EndListed, _) if self.presented.is_some() => Step::AskToRenew,
            (Step::EndAll | Step::EndListed, _) => keep(Outcome::Done),

            (Step::AskToRenew, None | Some(Answer::Live(_))) => renew,
            (Step::AskToRemove, None) => remove,
            (Step::AskToRemove, Some(Answer::Absent)) if !slow => remove,
            (Step::AskToRenew | Step::AskToRemove, _) => keep(Outcome::Done),
            (step, answer) => unreachable!("{step:?} was answered {answer:?}"),
        };
    }

    /// What it does once it knows what it came with.
    fn work(&self, protocol: Protocol) -> Step {
        match (self.script, self.came_with) {
            (Script::LogIn | Script::LogInCarrying, _)
                if protocol.is(Flaw::EpochAfterCredentials) =>
            {
                Step::Credentials
            }
            (Script::LogIn | Script::LogInCarrying, _) => Step::Epoch,
            (Script::EndAll, _) => self.revoke(protocol),
            (Script::EndOthers, Some(record)) if record.owned => self.revoke(protocol),
            (Script::Write | Script::Count, Some(_)) => Step::Commit,
            (Script::Write | Script::Count, None)
                if self.presented.is_some() && protocol.is(Flaw::NoteBeforeCreating) =>
            {
                Step::StandIn
            }
            (Script::Write | Script::Count, None) => Step::Create,
            (Script::Rotate, Some(_)) => Step::Rotate,
            (Script::LogOut, Some(_))
                if self.must_note(protocol) && !protocol.is(Flaw::LogOutThenNote) =>
            {
                Step::NoteGone
            }
            (Script::LogOut, Some(_)) => Step::End,
            (Script::Read | Script::EndOthers, Some(_)) => Step::AskToRenew,
            (_, None) if self.forget => Step::AskToRemove,
            (_, None) => Step::Answered(Outcome::Nothing, Cookie::Keep),
        }
    }

    fn revoke(&self, protocol: Protocol) -> Step {
        if protocol.is(Flaw::EndWhatWasListed) {
            Step::List
        } else {
            Step::EndAll
        }
    }

    fn log_in(&self, protocol: Protocol) -> Step {
        if self.must_note(protocol) {
            Step::NoteGone
        } else {
            self.store_login(protocol)
        }
    }

    /// Whether what it came with was itself begun in the place of a dead session.
    fn must_note(&self, protocol: Protocol) -> bool {
        self.before_that().is_some() && !protocol.is(Flaw::ForgetWhatStoodIn)
    }

    fn store_login(&self, protocol: Protocol) -> Step {
        match protocol.flaw {
            Some(Flaw::CapBeforeLogin) => Step::FindVictims,
            Some(Flaw::CarryThenEnd) => Step::Admit,
            _ if self.takes(protocol) => Step::Take,
            _ => Step::Admit,
        }
    }

    /// Whether it changes data, so that a visitor without a session gets one.
    fn writes(&self) -> bool {
        matches!(self.script, Script::Write | Script::Count)
    }

    fn delta(&self) -> Delta {
        match self.script {
            Script::Count => Delta::Increment,
            _ => Delta::Set(self.number),
        }
    }

    /// What its login does to the data of the session that it replaces.
    fn carry(&self) -> Option<Delta> {
        (self.script == Script::LogInCarrying && self.came_with.is_some()).then(|| self.delta())
    }

    /// Whether the session that its login replaces lies in another slot than Alice's.
    fn reaches_over(&self, protocol: Protocol) -> bool {
        let alices = self.came_with.is_some_and(|record| record.owned);
        protocol.cluster && self.presented.is_some() && !alices
    }

    fn takes(&self, protocol: Protocol) -> bool {
        self.reaches_over(protocol) && self.carry().is_some()
    }

    fn buries(&self, protocol: Protocol) -> bool {
        self.reaches_over(protocol) && (self.carry().is_none() || protocol.is(Flaw::CarryThenEnd))
    }

    fn admission(&self, protocol: Protocol) -> Admission {
        let source = match protocol.flaw {
            Some(Flaw::CarryTheLoadedCopy | Flaw::CarryThenEnd) => Source::Copy(self.came_with),
            _ if self.takes(protocol) => Source::Taken(self.taken),
            _ => Source::Store,
        };
        Admission {
            key: self.fresh,
            epoch: (!protocol.is(Flaw::LoginIgnoresTheEpoch)).then_some(self.epoch),
            replaces: self.presented,
            moves: !self.reaches_over(protocol),
            carry: self.carry(),
            source,
            listed: !protocol.is(Flaw::IndexAfterRecord),
            victims: protocol.is(Flaw::CapBeforeLogin).then_some(self.found),
        }
    }
}
