//! Where a request's view of its session is held: in a box that is made when somebody first looks, and taken when the response is
//! ready. Most requests are over before anybody looks, and a large value that is moved about is what they would pay for.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::state::{Phase, State};

/// The place.
#[derive(Default)]
pub(super) struct Held(Mutex<Place>);

#[derive(Default)]
enum Place {
    /// Nobody has looked.
    #[default]
    Untouched,
    Looked(Box<State>),
    /// The response is on its way.
    Finished,
}

impl Held {
    /// The view, to look at and to change. A blank one, if nobody had looked or the response is on its way.
    pub(super) fn lock(&self) -> Locked<'_> {
        let mut place = self.place();
        match *place {
            Place::Looked(_) => {}
            Place::Untouched => *place = Place::Looked(Box::new(State::new())),
            Place::Finished => *place = Place::Looked(Box::new(State::finished())),
        }
        Locked(place)
    }

    /// How far the request has got. Makes no view: what is made before the store is asked is kept while it is waited for.
    pub(super) fn phase(&self) -> Phase {
        match &*self.place() {
            Place::Untouched => Phase::Unloaded,
            Place::Looked(state) => state.phase,
            Place::Finished => Phase::Finished,
        }
    }

    /// Ends it, with the view if there is one that `is_over` says yes to. `None` if it says no; then nothing has changed.
    pub(super) fn finish_if(
        &self,
        is_over: impl FnOnce(&State) -> bool,
    ) -> Option<Option<Box<State>>> {
        let mut place = self.place();
        match &*place {
            Place::Looked(state) if !is_over(state) => None,
            _ => Some(match std::mem::replace(&mut *place, Place::Finished) {
                Place::Looked(state) => Some(state),
                Place::Untouched | Place::Finished => None,
            }),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // No method panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The view, locked. As little to be kept across an await as the guard that is in it.
pub(super) struct Locked<'a>(MutexGuard<'a, Place>);

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        match &*self.0 {
            Place::Looked(state) => state,
            Place::Untouched | Place::Finished => unreachable!("`Held::lock` has made a view"),
        }
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        match &mut *self.0 {
            Place::Looked(state) => state,
            Place::Untouched | Place::Finished => unreachable!("`Held::lock` has made a view"),
        }
    }
}
