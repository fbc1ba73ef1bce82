//! Histories made by hand: what breaks a promise is found, and what merely looks like it is not.

use std::time::Duration;

use super::{CAP, Tolerance, Verdict, check};
use crate::history::{
    Answer, Call, Change, Held, History, Key, Line, Member, Outcome, Owner, Seen,
};

const OWNER: Owner = Owner(1);

/// A session of the owner's.
fn hers(key: u64) -> Held {
    Held {
        key: Key(key),
        owner: Some(OWNER),
    }
}

/// A visitor's session.
fn visitors(key: u64) -> Held {
    Held {
        key: Key(key),
        owner: None,
    }
}

const COUNT: Change = Change {
    counts: true,
    member: Member::Kept,
};
const SET: Change = Change {
    counts: false,
    member: Member::Set,
};
const REMOVE: Change = Change {
    counts: false,
    member: Member::Removed,
};

fn live() -> Answer {
    Answer::Live(Seen::default())
}

fn holding(counter: i64, members: &[(u32, u64)]) -> Answer {
    Answer::Live(Seen {
        counter,
        members: members.iter().copied().collect(),
    })
}

fn applied() -> Answer {
    Answer::Applied { sum: None }
}

fn sum(sum: i64) -> Answer {
    Answer::Applied { sum: Some(sum) }
}

fn admitted() -> Answer {
    Answer::Admitted { pruned: Vec::new() }
}

fn listed(keys: &[u64]) -> Answer {
    let empty = |key: &u64| (Key(*key), Seen::default());
    Answer::Listed(keys.iter().map(empty).collect())
}

fn rotate(old: Held, new: u64) -> Call {
    Call::Rotate {
        old,
        new: Key(new),
        change: Change {
            counts: false,
            member: Member::Kept,
        },
    }
}

fn end_all(except: Option<u64>) -> Call {
    Call::EndAll {
        owner: OWNER,
        except: except.map(Key),
    }
}

/// A history that is being told. The number of each operation is that of its line.
#[derive(Clone, Default)]
struct Story {
    lines: Vec<Line>,
    now_ms: u64,
}

impl Story {
    fn begins(mut self, client: u32, call: Call) -> Self {
        let number = self.lines.len() as u64;
        self.lines.push(Line::Called {
            client,
            number,
            call,
        });
        self
    }

    fn ends(mut self, client: u32, outcome: Outcome) -> Self {
        self.lines.push(Line::Answered {
            client,
            outcome,
            at_ms: self.now_ms,
        });
        self
    }

    fn hears(self, client: u32, answer: Answer) -> Self {
        self.ends(client, Outcome::Acknowledged(answer))
    }

    /// A client that did something while nobody else did.
    fn did(self, call: Call, answer: Answer) -> Self {
        self.begins(0, call).hears(0, answer)
    }

    /// The same, and it does not know whether it did.
    fn may_have_done(self, call: Call) -> Self {
        self.begins(0, call).ends(0, Outcome::Unknown)
    }

    fn logged_in(self, key: u64) -> Self {
        let epoch = self.lines.len() as u64;
        self.did(Call::Epoch(OWNER), Answer::Epoch(0))
            .did(admit(key, epoch, None), admitted())
    }

    fn after(mut self, ms: u64) -> Self {
        self.now_ms += ms;
        self
    }

    fn faults(mut self) -> Self {
        self.lines.push(Line::Fault {
            name: String::new(),
            at_ms: self.now_ms,
        });
        self
    }

    fn settles(mut self) -> Self {
        self.lines.push(Line::Settled { at_ms: self.now_ms });
        self
    }

    fn verdict(&self, tolerance: Tolerance) -> Verdict {
        check(&History::of(self.lines.iter().cloned()), tolerance)
    }

    #[track_caller]
    fn holds(self) {
        let verdict = self.verdict(Tolerance::default());
        assert_eq!(verdict.violations, Vec::<String>::new());
    }

    #[track_caller]
    fn breaks(self, promise: &str) {
        let verdict = self.verdict(Tolerance::default());
        assert_eq!(verdict.violations.len(), 1, "{:?}", verdict.violations);
        let start = format!("{promise}: ");
        assert!(
            verdict.violations[0].starts_with(&start),
            "{:?}",
            verdict.violations
        );
    }
}

fn admit(key: u64, epoch_read_by: u64, replaces: Option<Held>) -> Call {
    Call::Admit {
        key: Key(key),
        owner: OWNER,
        epoch: 0,
        epoch_read_by,
        replaces,
    }
}

fn story() -> Story {
    Story::default()
}

/// A visitor's session, number 1.
fn visit() -> Story {
    story().did(Call::Create(Key(1)), Answer::Created)
}

#[test]
fn what_is_acknowledged_dead_must_not_be_seen_alive() {
    let (end, load) = (|| Call::End(visitors(1)), || Call::Load(visitors(1)));
    let ended = visit().did(end(), Answer::Removed);
    ended.clone().did(load(), Answer::Absent).holds();
    ended.clone().did(load(), live()).breaks("J2");
    ended
        .did(Call::Commit(visitors(1), COUNT), sum(1))
        .breaks("J2");
    // While it is being ended it may be either.
    visit()
        .begins(7, load())
        .did(end(), Answer::Removed)
        .hears(7, live())
        .holds();
    visit()
        .begins(7, end())
        .did(load(), live())
        .hears(7, Answer::Removed)
        .holds();
}

#[test]
fn an_end_whose_outcome_is_unknown_may_come_late_but_not_be_taken_back() {
    let load = || Call::Load(visitors(1));
    let unknown = visit().may_have_done(Call::End(visitors(1)));
    unknown.clone().did(load(), live()).holds();
    unknown
        .clone()
        .did(load(), live())
        .did(load(), Answer::Absent)
        .holds();
    unknown
        .did(load(), Answer::Absent)
        .did(load(), live())
        .breaks("J2");
}

#[test]
fn a_late_creation_may_follow_an_end_that_found_nothing() {
    let late = || story().may_have_done(Call::Create(Key(1)));
    let load = || Call::Load(visitors(1));
    late()
        .did(Call::End(visitors(1)), Answer::Absent)
        .did(load(), live())
        .holds();
    late()
        .did(Call::Epoch(OWNER), Answer::Epoch(0))
        .did(admit(5, 2, Some(visitors(1))), admitted())
        .did(load(), live())
        .holds();
    // But not if it had been seen.
    late()
        .did(load(), live())
        .did(Call::End(visitors(1)), Answer::Absent)
        .did(load(), live())
        .breaks("J2");
}

#[test]
fn a_session_that_moved_is_alive_under_one_key_only_and_leaves_a_trace() {
    let moved = || visit().did(rotate(visitors(1), 2), applied());
    moved()
        .did(Call::Load(visitors(2)), live())
        .did(Call::Load(visitors(1)), Answer::Replaced)
        .holds();
    moved().did(Call::Load(visitors(1)), live()).breaks("J2");
    moved()
        .did(Call::Load(visitors(2)), Answer::Absent)
        .breaks("J8");
    moved()
        .did(Call::Load(visitors(1)), Answer::Absent)
        .breaks("J10");
    moved()
        .after(61_000)
        .did(Call::Load(visitors(1)), Answer::Absent)
        .holds();
    // Refused, it is not alive under the new one.
    visit()
        .did(Call::End(visitors(1)), Answer::Removed)
        .did(rotate(visitors(1), 2), Answer::Gone)
        .did(Call::Load(visitors(2)), live())
        .breaks("J2");
}

#[test]
fn a_login_replaces_what_it_says() {
    let replaced = || {
        let epoch = visit().did(Call::Epoch(OWNER), Answer::Epoch(0));
        epoch.did(admit(5, 2, Some(visitors(1))), admitted())
    };
    replaced()
        .did(Call::Load(visitors(1)), Answer::Replaced)
        .holds();
    replaced().did(Call::Load(visitors(1)), live()).breaks("J2");
    replaced()
        .did(Call::End(visitors(1)), Answer::Absent)
        .breaks("J10");
}

#[test]
fn counters_lie_between_what_was_acknowledged_and_what_may_have_been() {
    let load = || Call::Load(visitors(1));
    let commit = || Call::Commit(visitors(1), COUNT);
    let twice = || visit().did(commit(), sum(1)).did(commit(), sum(2));
    twice().did(load(), holding(2, &[])).holds();
    twice().did(load(), holding(1, &[])).breaks("J3");
    twice().did(load(), holding(3, &[])).breaks("J3");
    visit()
        .did(commit(), sum(1))
        .did(commit(), sum(1))
        .breaks("J3");
    for counter in [2, 3] {
        twice()
            .may_have_done(commit())
            .did(load(), holding(counter, &[]))
            .holds();
    }
    twice()
        .may_have_done(commit())
        .did(load(), holding(4, &[]))
        .breaks("J3");
    // Also where it goes under another key by now.
    let moved = || twice().did(rotate(visitors(1), 2), applied());
    moved()
        .did(Call::Load(visitors(2)), holding(2, &[]))
        .holds();
    moved()
        .did(Call::Load(visitors(2)), holding(0, &[]))
        .breaks("J3");
}

#[test]
fn a_member_is_what_its_client_has_made_it() {
    let load = || Call::Load(visitors(1));
    let set = || Call::Commit(visitors(1), SET);
    // The operation on line 2 has set it to 2.
    let once = || visit().did(set(), applied());
    once().did(load(), holding(0, &[(0, 2)])).holds();
    once().did(load(), holding(0, &[])).breaks("J3");
    once().did(load(), holding(0, &[(0, 9)])).breaks("J3");
    once()
        .did(load(), holding(0, &[(0, 2), (5, 1)]))
        .breaks("J3");
    let removed = || once().did(Call::Commit(visitors(1), REMOVE), applied());
    removed().did(load(), holding(0, &[])).holds();
    removed().did(load(), holding(0, &[(0, 2)])).breaks("J3");
    let unknown = || once().may_have_done(set());
    for value in [2, 4] {
        unknown().did(load(), holding(0, &[(0, value)])).holds();
    }
    // What was refused changed nothing.
    visit()
        .did(Call::End(visitors(1)), Answer::Removed)
        .did(set(), Answer::Gone)
        .holds();
}

#[test]
fn after_end_all_nothing_that_began_before_is_alive() {
    let load = |key| Call::Load(hers(key));
    let revoked = || story().logged_in(1).did(end_all(None), Answer::EndedAll);
    revoked().did(load(1), Answer::Absent).holds();
    revoked().did(load(1), live()).breaks("J4");
    revoked().logged_in(2).did(load(2), live()).holds();
    revoked().did(rotate(hers(1), 2), applied()).breaks("J4");
    // A login that had begun: refused, or ended with the others.
    let under_way = || {
        story()
            .did(Call::Epoch(OWNER), Answer::Epoch(0))
            .did(end_all(None), Answer::EndedAll)
    };
    under_way().did(admit(1, 0, None), Answer::Revoked).holds();
    under_way()
        .did(admit(1, 0, None), admitted())
        .did(load(1), live())
        .breaks("J4");
    // Refused is refused, for whatever reason.
    story()
        .did(Call::Epoch(OWNER), Answer::Epoch(0))
        .did(admit(1, 0, None), Answer::Revoked)
        .did(load(1), live())
        .breaks("J2");
}

#[test]
fn end_all_spares_one_session_and_what_it_becomes_meanwhile() {
    let load = |key| Call::Load(hers(key));
    let spared = || story().logged_in(1).did(end_all(Some(1)), Answer::EndedAll);
    spared().did(load(1), live()).holds();
    spared().did(load(1), Answer::Absent).breaks("J8");
    spared()
        .did(rotate(hers(1), 2), applied())
        .did(load(2), live())
        .holds();
    // Moved before, it was not the one to be spared.
    story()
        .logged_in(1)
        .did(rotate(hers(1), 2), applied())
        .did(end_all(Some(1)), Answer::EndedAll)
        .did(load(2), live())
        .breaks("J4");
    story()
        .logged_in(1)
        .begins(7, end_all(Some(1)))
        .did(rotate(hers(1), 2), applied())
        .hears(7, Answer::EndedAll)
        .did(load(2), live())
        .holds();
}

#[test]
fn lists_hold_everybody_once_and_not_more_than_the_cap() {
    let list = || Call::List(OWNER);
    let two = || story().logged_in(1).logged_in(2);
    two().did(list(), listed(&[2, 1])).holds();
    two().did(list(), listed(&[2, 1, 2])).breaks("J4");
    two()
        .did(list(), listed(&[2]))
        .did(Call::Load(hers(1)), live())
        .breaks("J4");
    two().did(list(), listed(&[2, 1, 99])).breaks("J4");
    let many: Vec<u64> = (1..=u64::from(CAP) + 1).collect();
    let logged_in = many
        .iter()
        .fold(story(), |story, key| story.logged_in(*key));
    logged_in.did(list(), listed(&many)).breaks("J4");
    // Who logs in while the list is made may be on it or not.
    let epoch = || story().did(Call::Epoch(OWNER), Answer::Epoch(0));
    for keys in [&[] as &[u64], &[1]] {
        epoch()
            .begins(7, admit(1, 0, None))
            .did(list(), listed(keys))
            .hears(7, admitted())
            .did(Call::Load(hers(1)), live())
            .holds();
    }
}

#[test]
fn what_was_acknowledged_is_there_unless_something_may_have_ended_it() {
    let gone = || Call::Load(hers(1));
    let logged_in = || story().logged_in(1);
    logged_in().did(gone(), Answer::Absent).breaks("J8");
    logged_in()
        .did(Call::End(hers(1)), Answer::Absent)
        .breaks("J8");
    logged_in()
        .did(Call::Commit(hers(1), COUNT), Answer::Gone)
        .breaks("J8");
    logged_in()
        .may_have_done(end_all(None))
        .did(gone(), Answer::Absent)
        .holds();
    logged_in()
        .may_have_done(Call::End(hers(1)))
        .did(gone(), Answer::Absent)
        .holds();
    logged_in()
        .may_have_done(admit(2, 0, None))
        .did(gone(), Answer::Absent)
        .holds();
    let pruned = vec![Key(1)];
    logged_in()
        .did(admit(2, 0, None), Answer::Admitted { pruned })
        .did(gone(), Answer::Absent)
        .holds();
    // What may have been done was done before two faults had passed, and not to a session that came later.
    story()
        .may_have_done(end_all(None))
        .faults()
        .settles()
        .faults()
        .settles()
        .logged_in(1)
        .did(gone(), Answer::Absent)
        .breaks("J8");
}

#[test]
fn a_process_that_was_killed_may_have_done_what_it_was_at() {
    let killed = || {
        visit()
            .begins(7, Call::End(visitors(1)))
            .begins(7, Call::Epoch(OWNER))
    };
    killed().did(Call::Load(visitors(1)), live()).holds();
    killed()
        .did(Call::Load(visitors(1)), Answer::Absent)
        .holds();
}

#[test]
fn nonsense_is_a_violation() {
    let nonsense = Outcome::Nonsense("a conflict".to_owned());
    let verdict = story()
        .begins(0, Call::Create(Key(1)))
        .ends(0, nonsense)
        .verdict(Tolerance::default());
    assert_eq!(verdict.violations.len(), 1);
}

#[test]
fn what_an_engine_may_lose_is_counted_by_its_direction() {
    let tolerance = Tolerance {
        loses: Some(Duration::from_secs(1)),
    };
    let fault = |story: Story| story.after(500).faults().settles();
    let of = |story: &Story| {
        let verdict = story.verdict(tolerance);
        assert_eq!(verdict.violations, Vec::<String>::new());
        (verdict.let_in, verdict.locked_out, verdict.forgotten)
    };

    let load = || Call::Load(visitors(1));
    let lost_session = fault(visit()).did(load(), Answer::Absent);
    assert_eq!(of(&lost_session), (0, 1, 0));
    lost_session.breaks("J8");

    let lost_end = fault(visit().did(Call::End(visitors(1)), Answer::Removed)).did(load(), live());
    assert_eq!(of(&lost_end), (1, 0, 0));
    lost_end.breaks("J2");

    let lost_revocation = fault(story().logged_in(1).did(end_all(None), Answer::EndedAll))
        .did(Call::Load(hers(1)), live())
        .did(Call::Load(hers(1)), live());
    assert_eq!(
        of(&lost_revocation),
        (1, 0, 0),
        "one session, however often it is used"
    );
    lost_revocation.breaks("J4");

    let counted = visit()
        .after(5_000)
        .did(Call::Commit(visitors(1), COUNT), sum(1));
    let lost_change = fault(counted).did(load(), holding(0, &[]));
    assert_eq!(of(&lost_change), (0, 0, 1));
    lost_change.breaks("J3");

    // Long before the fault, or without one, nothing may be lost.
    let ended = visit().did(Call::End(visitors(1)), Answer::Removed);
    for story in [fault(ended.clone().after(2_000)), ended] {
        let verdict = story.did(load(), live()).verdict(tolerance);
        assert_eq!((verdict.violations.len(), verdict.let_in), (1, 0));
    }
}
