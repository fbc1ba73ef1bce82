//! The model, searched: the real protocol keeps its promises in every state that can be reached, and each broken one is
//! found out. What was searched is printed, also when all is well.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Instant;

use jackline_model::bounds::{CHANGES, CLUSTER, COOKIES, REVOCATION};
use jackline_model::promises::{self, Named};
use jackline_model::protocol::Flaw;
use jackline_model::world::World;
use stateright::{Checker, HasDiscoveries, Model};

/// Searches everything that can be reached.
fn keeps_every_promise(world: &World) {
    let start = Instant::now();
    let checker = world.clone().checker().threads(2).spawn_bfs().join();
    say(&format!(
        "{world}. {} steps to {} states, up to {} deep, in {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64()
    ));
    checker.assert_properties();
    assert!(
        checker.unique_state_count() > 100_000,
        "a model of something"
    );
}

/// Searches until the promise is seen broken, and shows the shortest way there.
fn is_found(flaw: Flaw, world: &World, (promise, _): Named) {
    let world = World {
        protocol: world.protocol.with(flaw),
        ..world.clone()
    };
    let broken = HasDiscoveries::AllOf(BTreeSet::from([promise]));
    let checker = world.checker().finish_when(broken).spawn_bfs().join();
    let path = checker
        .discovery(promise)
        .unwrap_or_else(|| panic!("{flaw:?} does not break \"{promise}\""));
    let events = path.into_actions();
    say(&format!(
        "{flaw:?} breaks \"{promise}\" in {} steps: {events:?}",
        events.len()
    ));
}

#[expect(
    clippy::explicit_write,
    reason = "the harness keeps to itself what tests that pass print with `println!`"
)]
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap();
}

// Proves: J2, J3
#[test]
fn changes_survive_and_the_dead_stay_dead() {
    keeps_every_promise(&CHANGES);
}

// Proves: J2, J10
#[test]
fn no_response_undoes_the_cookie_that_won() {
    keeps_every_promise(&COOKIES);
}

// Proves: J2, J4
#[test]
fn no_session_escapes_a_revocation_or_the_cap() {
    keeps_every_promise(&REVOCATION);
}

// Proves: J2, J3, J4, J10
#[test]
fn a_login_in_two_steps_on_a_cluster_keeps_the_promises_too() {
    keeps_every_promise(&CLUSTER);
}

macro_rules! broken_protocols {
    ($($name:ident: $flaw:ident in $world:ident breaks $promise:ident;)*) => {
        $(
            #[test]
            fn $name() {
                is_found(Flaw::$flaw, &$world, promises::$promise);
            }
        )*
    };
}

broken_protocols! {
    a_set_instead_of_an_update_is_found: SetInsteadOfUpdate in CHANGES breaks DEAD_STAYS_DEAD;
    a_renewal_that_revives_is_found: RenewalRevives in CHANGES breaks DEAD_STAYS_DEAD;
    a_rotation_in_two_steps_is_found: RotateInTwoSteps in CHANGES breaks DEAD_STAYS_DEAD;
    a_copy_of_the_dead_that_is_carried_is_found: CarryTheLoadedCopy in CHANGES breaks NOTHING_OF_THE_DEAD;
    a_stale_copy_that_is_carried_is_found: CarryTheLoadedCopy in CHANGES breaks NO_LOST_UPDATE;
    a_whole_record_instead_of_a_delta_is_found: WholeRecordInsteadOfDelta in CHANGES breaks NO_LOST_UPDATE;
    data_carried_before_the_end_is_found: CarryThenEnd in CLUSTER breaks NO_LOST_UPDATE;
    a_login_that_ignores_the_epoch_is_found: LoginIgnoresTheEpoch in REVOCATION breaks REVOCATION_IS_COMPLETE;
    an_epoch_read_after_the_credentials_is_found: EpochAfterCredentials in REVOCATION breaks REVOCATION_IS_COMPLETE;
    a_revocation_of_what_was_listed_is_found: EndWhatWasListed in REVOCATION breaks REVOCATION_IS_COMPLETE;
    a_crash_before_the_index_is_found: IndexAfterRecord in REVOCATION breaks NOTHING_UNLISTED;
    a_session_missed_for_want_of_an_entry_is_found: IndexAfterRecord in REVOCATION breaks REVOCATION_IS_COMPLETE;
    a_cap_that_is_checked_before_is_found: CapBeforeLogin in REVOCATION breaks CAP_HOLDS;
    a_renewal_on_old_news_is_found: RenewWithoutAsking in COOKIES breaks NO_COOKIE_FOR_THE_DEAD;
    a_removal_on_old_news_is_found: RemoveWithoutAsking in COOKIES breaks WINNER_NOT_REMOVED;
    a_logout_of_what_has_moved_is_found: LogOutRemovesWhatMoved in COOKIES breaks WINNER_NOT_REMOVED;
    a_removal_for_want_of_traces_is_found: NoTraces in COOKIES breaks WINNER_NOT_REMOVED;
    a_visitor_for_want_of_traces_is_found: NoTraces in COOKIES breaks WINNER_NOT_OVERWRITTEN;
    a_removal_that_outlasts_traces_is_found: SlowRequestsGoOn in COOKIES breaks WINNER_NOT_REMOVED;
    a_visitor_that_outlasts_traces_is_found: SlowRequestsGoOn in COOKIES breaks WINNER_NOT_OVERWRITTEN;
    a_visitor_created_after_it_was_noted_is_found: NoteBeforeCreating in COOKIES breaks WINNER_NOT_OVERWRITTEN;
    a_visitor_of_whom_nothing_is_noted_is_found: StandInUnnoted in COOKIES breaks WINNER_NOT_REMOVED;
    a_login_that_forgets_what_stood_in_is_found: ForgetWhatStoodIn in COOKIES breaks WINNER_NOT_OVERWRITTEN;
    a_logout_that_has_more_to_do_is_found: LogOutThenNote in COOKIES breaks WINNER_NOT_REMOVED;
    a_logout_that_leaves_no_trace_is_found: LogOutUnnoted in COOKIES breaks WINNER_NOT_OVERWRITTEN;
}
