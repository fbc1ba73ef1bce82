//! What is checked: a store, a few requests at once, and the bounds. Everything that can happen next is an [`Event`].

use std::fmt;

use stateright::{Model, Property};

use crate::history::History;
use crate::keys::Key;
use crate::promises::{self, Condition};
use crate::protocol::Protocol;
use crate::request::{Request, Script, Step};
use crate::store::{Call, Slot, Store};

/// The most requests that a world can have.
pub const MAX_REQUESTS: usize = 4;

/// A protocol within bounds.
#[derive(Clone, Debug)]
pub struct World {
    /// What it is called in the output.
    pub name: &'static str,
    /// What is checked.
    pub protocol: Protocol,
    /// What is there at the beginning: each of these is tried.
    pub beginnings: &'static [Beginning],
    /// What requests do: each may do any of it.
    pub scripts: &'static [Script],
    /// How many requests there are in all, at once or one after the other.
    pub requests: usize,
    /// How many sessions run out.
    pub expiries: u8,
    /// How many requests die between two steps, with the instance that served them.
    pub crashes: u8,
    /// How often so much time passes that traces are forgotten: those of logouts, or all.
    pub minutes: u8,
    /// What has to be reachable. A world in which nothing happens keeps every promise.
    pub sights: &'static [(&'static str, Condition)],
}

/// What is there at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// A browser has a visitor's session.
    Visitor,
    /// A browser has a session of Alice's.
    Alice,
    /// Two browsers have a session of Alice's each, as many as she may have.
    AliceTwice,
    /// A browser has a cookie of a session that ended long ago.
    Dead,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A request arrives, with this cookie, and takes its first step.
    Arrive(Script, Option<Key>),
    /// A request takes its next step.
    GoOn(u8),
    /// The instance that serves a request dies.
    Crash(u8),
    /// A session's idle limit runs out.
    Expire(Key),
    /// The store uses the room of an expired session again.
    Reclaim(Key),
    /// So much time passes that traces of logouts are forgotten.
    Moment,
    /// So much time passes that all traces are forgotten.
    Minute,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The store.
    pub store: Store,
    /// The requests that have arrived.
    pub requests: Vec<Request>,
    /// What has happened.
    pub history: History,
    expiries: u8,
    crashes: u8,
    minutes: u8,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            beginnings,
            scripts,
            requests,
            expiries,
            crashes,
            minutes,
            ..
        } = self;
        write!(
            f,
            "{name}: {requests} requests, each any of {scripts:?}, with any cookie that was ever issued, from {beginnings:?}; \
             {expiries} expiry, {crashes} crash, {minutes} moment or minute without traces"
        )
    }
}

impl Beginning {
    fn state(self) -> State {
        let mut state = State::default();
        let mut session = |key, owned| {
            state.store.begin_with(key, owned);
            state.history.begin_with(key);
        };
        match self {
            Self::Visitor => session(Key::FIRST, false),
            Self::Alice => session(Key::FIRST, true),
            Self::AliceTwice => {
                session(Key::FIRST, true);
                session(Key::SECOND, true);
            }
            Self::Dead => state.history.begin_with_dead(Key::FIRST),
        }
        state
    }
}

impl World {
    /// What an event asks of the store.
    #[must_use]
    pub fn call(&self, state: &State, event: Event) -> Option<Call> {
        match event {
            Event::Arrive(script, presented) => {
                Request::new(state.requests.len(), script, presented, self.protocol)
                    .call(self.protocol)
            }
            Event::GoOn(number) => state.requests[usize::from(number)].call(self.protocol),
            Event::Crash(_)
            | Event::Expire(_)
            | Event::Reclaim(_)
            | Event::Moment
            | Event::Minute => None,
        }
    }

    fn go_on(&self, state: &mut State, number: usize) {
        let mut request = state.requests[number];
        let answer = request.call(self.protocol).map(|call| {
            let before = state.store;
            let answer = state.store.step(call, self.protocol);
            state
                .history
                .note(&request, call, answer, &before, &state.requests);
            answer
        });
        request.go_on(answer, self.protocol);
        let before = std::mem::replace(&mut state.requests[number], request);
        if let Step::Answered(_, cookie) = request.step {
            state.history.leave(&before, cookie, &state.store);
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        self.beginnings
            .iter()
            .map(|beginning| beginning.state())
            .collect()
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.requests.len() < self.requests {
            for script in self.scripts {
                if script.works_without_cookie() {
                    events.push(Event::Arrive(*script, None));
                }
                if *script != Script::EndAll {
                    let tokens = state.history.issued.iter();
                    events.extend(tokens.map(|token| Event::Arrive(*script, Some(token))));
                }
            }
        }
        for request in state.requests.iter().filter(|request| !request.is_over()) {
            events.push(Event::GoOn(request.number));
            if state.crashes < self.crashes {
                events.push(Event::Crash(request.number));
            }
        }
        for key in Key::all() {
            match state.store.slot(key) {
                Slot::Record(record) if record.expired => events.push(Event::Reclaim(key)),
                // No response takes as long as a session lasts that it is about to hand out.
                Slot::Record(_)
                    if state.expiries < self.expiries && state.history.issued.contains(key) =>
                {
                    events.push(Event::Expire(key));
                }
                _ => {}
            }
        }
        let hurried = |request: &Request| request.is_between_steps(self.protocol);
        if state.minutes < self.minutes && !state.requests.iter().any(hurried) {
            events.push(Event::Moment);
            events.push(Event::Minute);
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut state = state.clone();
        match event {
            Event::Arrive(script, presented) => {
                let number = state.requests.len();
                state
                    .requests
                    .push(Request::new(number, script, presented, self.protocol));
                self.go_on(&mut state, number);
            }
            Event::GoOn(number) => self.go_on(&mut state, usize::from(number)),
            Event::Crash(number) => {
                state.requests[usize::from(number)].step = Step::Crashed;
                state.crashes += 1;
            }
            Event::Expire(key) => {
                state.store.expire(key);
                state.history.expire(key);
                state.expiries += 1;
            }
            Event::Reclaim(key) => state.store.reclaim(key),
            Event::Moment | Event::Minute => {
                let all = event == Event::Minute;
                state.store.forget_traces(all);
                state.history.forget_traces(all, &state.requests);
                if all {
                    state.requests.iter_mut().for_each(Request::outlast_traces);
                }
                state.minutes += 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let seen = self
            .sights
            .iter()
            .map(|(name, sight)| Property::sometimes(name, *sight));
        promises::ALL
            .iter()
            .map(|(name, promise)| Property::always(name, *promise))
            .chain(seen)
            .collect()
    }
}
