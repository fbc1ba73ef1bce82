//! What must hold in every state (the promises), and what must be seen in some (so that the model is not empty).

use crate::history::Fault;
use crate::keys::Key;
use crate::request::{Cookie, Outcome, Request, Script, Step};
use crate::store::{CAP, Slot};
use crate::world::{State, World};

/// Something that is so in a state, or not.
pub type Condition = fn(&World, &State) -> bool;

/// A named condition.
pub type Named = (&'static str, Condition);

/// What holds in every state, whatever has happened, and whatever is under way and may never go on.
pub const ALL: [Named; 9] = [
    DEAD_STAYS_DEAD,
    NOTHING_OF_THE_DEAD,
    NO_LOST_UPDATE,
    REVOCATION_IS_COMPLETE,
    NOTHING_UNLISTED,
    CAP_HOLDS,
    NO_COOKIE_FOR_THE_DEAD,
    WINNER_NOT_REMOVED,
    WINNER_NOT_OVERWRITTEN,
];

/// No key whose end was acknowledged is live, and no session that it was of, under any key.
pub const DEAD_STAYS_DEAD: Named = ("J2 dead stays dead", |_, state| {
    state.history.dead_stays_dead(&state.store)
});

/// A live session holds nothing but what was written to it while it lived.
pub const NOTHING_OF_THE_DEAD: Named = ("J2 nothing of the dead comes back", |_, state| {
    state.history.nothing_of_the_dead(&state.store)
});

/// A live session holds everything that was written to it.
pub const NO_LOST_UPDATE: Named = ("J3 no update is lost", |_, state| {
    state.history.no_lost_update(&state.store)
});

/// Nothing is live that a revocation has ended or overtaken.
pub const REVOCATION_IS_COMPLETE: Named = ("J4 revocation is complete", |_, state| {
    state.history.revocation_is_complete(&state.store)
});

/// Every live session of an owner is in the owner's index, where "log out everywhere" looks.
pub const NOTHING_UNLISTED: Named = ("J4 every live session is listed", |_, state| {
    state.store.unlisted().is_empty()
});

/// Nobody has more sessions than they may.
pub const CAP_HOLDS: Named = ("J4 the cap holds", |_, state| {
    state.store.alices().len() <= CAP
});

/// No response leaves with a cookie of a session that is dead at that moment.
pub const NO_COOKIE_FOR_THE_DEAD: Named = ("J10 no cookie is set for the dead", |_, state| {
    state.history.is_free_of(Fault::SetForTheDead)
});

/// No response leaves that removes a cookie in whose place the browser was given another.
pub const WINNER_NOT_REMOVED: Named = ("J10 the winner is not removed", |_, state| {
    state.history.is_free_of(Fault::WinnerRemoved)
});

/// No response leaves with a new visitor's cookie for a browser that was given another in the place of its own.
pub const WINNER_NOT_OVERWRITTEN: Named = ("J10 the winner is not overwritten", |_, state| {
    state.history.is_free_of(Fault::WinnerOverwritten)
});

/// A login succeeds.
pub const LOGIN: Named = ("a login succeeds", |_, state| {
    any(state, Script::LogIn, |request| {
        request.step == Step::Answered(Outcome::Done, Cookie::Set(request.fresh))
    })
});

/// A login brings along what was there before.
pub const LOGIN_CARRIES: Named = ("a login brings data along", |_, state| {
    any(state, Script::LogInCarrying, |request| {
        state
            .store
            .live(request.fresh)
            .is_some_and(|record| record.data.members.count_ones() == 2)
    })
});

/// A login is refused because everything was revoked while it was under way.
pub const LOGIN_REVOKED: Named = ("a login is overtaken by a revocation", |_, state| {
    any(state, Script::LogIn, |request| {
        request.step == Step::Answered(Outcome::Revoked, Cookie::Keep)
    })
});

/// A login ends the oldest session.
pub const CAP_ENDS: Named = ("the cap ends the oldest session", |_, state| {
    state.requests.len() == 1
        && state.store.slot(Key::FIRST) == Slot::Absent
        && any(state, Script::LogIn, |request| {
            request.presented.is_none() && request.is_over()
        })
});

/// A write finds its session gone.
pub const WRITE_TOO_LATE: Named = ("a write comes too late", |_, state| {
    any(state, Script::Write, |request| {
        request.came_with.is_some() && request.step == Step::Answered(Outcome::Ended, Cookie::Keep)
    })
});

/// A response does not renew a cookie that it would have renewed had nothing happened.
pub const RENEWAL_WITHHELD: Named = ("a renewal is withheld", |_, state| {
    any(state, Script::Read, |request| {
        request.came_with.is_some() && request.step == Step::Answered(Outcome::Done, Cookie::Keep)
    })
});

/// A response removes the cookie of a session that has run out.
pub const EXPIRED_REMOVED: Named = ("an expired cookie is removed", |_, state| {
    any(state, Script::Read, |request| {
        request.step == Step::Answered(Outcome::Done, Cookie::Remove)
    })
});

/// A logout finds that its session has moved to another token.
pub const LOGOUT_TOO_LATE: Named = ("a logout finds its session moved", |_, state| {
    any(state, Script::LogOut, |request| {
        request.came_with.is_some() && request.step == Step::Answered(Outcome::Ended, Cookie::Keep)
    })
});

/// A new visitor's session is kept from a browser that has been given another meanwhile.
pub const VISITOR_WITHHELD: Named = ("a visitor's session is withheld", |_, state| {
    any(state, Script::Write, |request| {
        state.store.live(request.fresh).is_some()
            && request.step == Step::Answered(Outcome::Ended, Cookie::Keep)
    })
});

/// An instance dies in the middle of a login that takes two steps.
pub const LOGIN_HALVED: Named = ("a crash halves a login", |_, state| {
    any(state, Script::LogInCarrying, |request| {
        request.step == Step::Crashed && request.taken.is_some()
    })
});

fn any(state: &State, script: Script, condition: impl Fn(&Request) -> bool) -> bool {
    state
        .requests
        .iter()
        .any(|request| request.script == script && condition(request))
}
