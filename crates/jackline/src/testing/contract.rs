//! The contract of a [`Store`] as tests that anybody's store can run. Each clause is a function
//! of an empty store that panics when the store breaks its word; [`store_contract!`](crate::store_contract) makes a test
//! of each.
//!
//! # A store proves itself
//!
//! ```
//! # mod tests {
//! use std::sync::Arc;
//! use jackline::store::{Store, memory::MemoryStore};
//!
//! /// An empty store. Called once per test; tests run side by side.
//! async fn fresh() -> Arc<dyn Store> {
//!     Arc::new(MemoryStore::new())
//! }
//!
//! jackline::store_contract!(memory, fresh());
//! # }
//! ```
//!
//! What has to outlive the store, such as a temporary folder, goes beside it: `fresh` may return a pair
//! `(Arc<dyn Store>, guard)`, whose guard is dropped after the test.
//!
//! # What a clause relies on
//!
//! - The store is empty, and nobody else uses it or shares its keys.
//! - It lets a session live for ten minutes of its own clock at least; no clause takes that long. Later moments are handed in.
//! - Tokio, multi-threaded, with the features `macros` and `rt-multi-thread`: much of the contract is about what happens at
//!   once.

pub mod clocks;
pub mod counters;
pub mod ending;
pub mod listing;
pub mod logins;
pub mod records;
pub mod revocation;
pub mod rotation;
mod scene;
pub mod traces;
pub mod values;

use std::sync::Arc;

use crate::store::Store;

/// What the factory of [`store_contract!`](crate::store_contract) makes: a store, alone or with what must outlive it.
pub trait Subject {
    /// What is kept until the test is over.
    type Guard;

    /// The store, and what is to be kept.
    fn split(self) -> (Arc<dyn Store>, Self::Guard);
}

impl Subject for Arc<dyn Store> {
    type Guard = ();

    fn split(self) -> (Arc<dyn Store>, ()) {
        (self, ())
    }
}

impl<G> Subject for (Arc<dyn Store>, G) {
    type Guard = G;

    fn split(self) -> (Arc<dyn Store>, G) {
        self
    }
}

/// Whether a list of clauses, `[one, two]`, names this one.
#[doc(hidden)]
#[must_use]
pub fn is_left_out(list: &str, clause: &str) -> bool {
    list.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|name| name == clause)
}

/// Makes a module `$name` with one test per clause of the store contract. `$fresh` is evaluated and awaited in each of
/// them and gives an empty store, as a [`Subject`](crate::testing::contract::Subject).
///
/// A store that cannot keep a clause names it, behind `without`, and says in its documentation why:
/// `store_contract!(odd, fresh(), without [names_may_be_any_text])`. Such a clause is not run.
///
/// The [module](crate::testing::contract) has an example.
#[macro_export]
macro_rules! store_contract {
    ($name:ident, $fresh:expr $(,)?) => {
        $crate::store_contract!($name, $fresh, without []);
    };
    // The one list of clauses: module, then functions in it.
    ($name:ident, $fresh:expr, without $without:tt) => {
        $crate::store_contract! { @tests $name, $fresh, $without;
            records {
                a_store_that_is_there_answers_a_ping,
                create_and_load_keep_every_field,
                admit_load_and_list_keep_every_field,
                an_unknown_key_loads_as_absent,
                create_never_overwrites,
                admit_never_overwrites,
                of_concurrent_creations_of_one_key_one_wins,
                commit_on_absent_is_gone_and_creates_nothing,
                commit_after_end_is_gone_and_resurrects_nothing,
                a_delta_for_one_version_is_refused_for_every_other,
                every_commit_counts_the_version_up,
                commit_replaces_metadata_only_when_the_delta_brings_some,
                readers_see_a_commit_whole_or_not_at_all,
            }
            values {
                set_keeps_a_members_place_and_puts_a_new_one_last,
                remove_keeps_the_order_of_the_others,
                a_member_set_again_after_its_removal_goes_last,
                a_session_whose_last_member_goes_is_an_empty_object,
                clear_comes_first_and_takes_unseen_members_too,
                values_come_back_as_the_very_text_that_went_in,
                untouched_values_keep_their_text_when_others_change,
                names_may_be_any_text,
                data_past_the_default_limit_is_refused_whole,
                the_data_limit_is_exact_to_the_byte,
                concurrent_sets_of_different_members_all_survive,
                concurrent_removals_are_removals,
                arbitrary_deltas_do_what_delta_apply_does,
                a_delta_is_applied_to_what_is_there_whatever_it_is_based_on,
            }
            counters {
                increments_are_exact_from_absent_and_below_zero,
                counters_of_one_delta_come_back_in_order,
                a_counter_reaches_its_bounds_and_is_refused_past_them,
                what_is_not_an_integer_is_not_incremented,
                a_delta_whose_last_change_fails_changes_nothing,
                concurrent_increments_count_exactly_and_answer_distinct_sums,
            }
            clocks {
                a_session_lives_until_the_last_millisecond_of_its_idle_limit,
                at_its_idle_deadline_a_session_is_dead_in_every_respect,
                an_expired_record_is_as_it_was_or_gone,
                every_record_keeps_the_idle_limit_it_was_granted,
                renewal_is_due_at_the_step_and_not_before,
                of_concurrent_loads_one_renews,
                a_renewal_moves_the_idle_deadline_and_nothing_else,
                a_load_past_the_idle_limit_renews_nothing,
                past_the_absolute_limit_a_record_is_returned_but_never_renewed,
                a_renewal_never_moves_the_absolute_end,
                commits_set_the_last_activity_and_never_set_it_back,
                no_use_extends_the_absolute_limit,
                reclaiming_takes_only_what_has_expired_in_bounded_batches,
            }
            rotation {
                rotating_moves_everything_and_kills_the_old_key,
                an_old_key_is_known_to_have_given_way_for_a_minute,
                an_ended_session_has_not_given_way_to_another,
                rotating_applies_the_delta_on_the_way,
                a_rotated_session_stays_in_its_owners_index,
                rotating_what_is_gone_creates_nothing,
                rotating_never_overwrites,
                a_rotation_whose_delta_is_refused_does_not_happen,
                of_concurrent_rotations_of_one_key_one_is_applied,
                commits_racing_a_rotation_are_kept_or_gone,
                nobody_sees_both_keys_of_a_rotation_or_neither,
            }
            ending {
                ending_is_idempotent_and_true_once,
                ending_takes_a_session_off_its_owners_list_and_no_other,
                of_concurrent_ends_one_is_told_that_there_was_a_session,
                commits_and_loads_racing_an_end_bring_nothing_back,
                of_an_end_and_a_rotation_at_once_one_finds_the_session,
            }
            traces {
                a_trace_is_kept_for_its_time,
                a_trace_never_gives_way_to_a_lighter_one,
                a_trace_under_a_live_session_shows_when_that_has_ended,
                an_end_leaves_the_trace_that_it_is_to_leave,
                giving_way_weighs_more_than_what_was_noted,
                of_concurrent_traces_the_weightiest_stays,
            }
            logins {
                a_load_for_a_login_says_what_a_load_and_an_epoch_say,
                a_login_that_began_before_a_revocation_is_refused_however_it_began,
                a_login_from_before_a_revocation_writes_and_ends_nothing,
                a_login_ends_the_visitors_session_that_it_replaces,
                a_login_ends_the_session_that_it_replaces_whoevers_it_is,
                a_login_whose_carried_delta_is_refused_does_not_happen,
                nothing_is_carried_from_an_expired_or_unknown_session,
                commits_racing_a_login_that_carries_are_carried_or_gone,
                the_oldest_login_is_pruned_and_named,
                expired_and_replaced_sessions_do_not_count_for_the_cap,
                sessions_past_their_absolute_limit_do_not_count_for_the_cap,
                a_login_refused_at_the_cap_writes_and_ends_nothing,
                fifty_logins_at_once_leave_as_many_sessions_as_the_cap_allows,
                fifty_logins_at_once_never_pass_a_cap_that_refuses,
            }
            revocation {
                every_revocation_makes_the_epoch_larger,
                nothing_but_a_revocation_moves_the_epoch,
                a_revocation_ends_all_of_the_owners_sessions_and_nobody_elses,
                a_revocation_keeps_the_one_that_is_excepted,
                no_login_in_flight_survives_a_revocation,
                no_rotation_escapes_a_revocation,
                a_revocation_reaches_renewed_sessions_among_expired_ones,
            }
            listing {
                lists_show_live_sessions_newest_login_first,
                lists_show_records_as_they_are_now,
                paging_shows_every_session_once,
                ten_thousand_sessions_are_paged_through_and_ended,
                paging_past_beginnings_and_ends_shows_the_others_once,
                owners_with_odd_names_do_not_mix,
                owners_who_share_a_bucket_do_not_mix,
            }
        }
    };
    (@tests $name:ident, $fresh:expr, $without:tt; $($topic:ident { $($clause:ident,)* })*) => {
        mod $name {
            $(
                mod $topic {
                    // For whatever the factory expression names where the macro stands.
                    #[allow(unused_imports, clippy::wildcard_imports)]
                    use super::super::*;

                    $(
                        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                        async fn $clause() {
                            let without = stringify!($without);
                            if $crate::testing::contract::is_left_out(without, stringify!($clause)) {
                                return;
                            }
                            let subject = $fresh.await;
                            let (store, guard) =
                                $crate::testing::contract::Subject::split(subject);
                            $crate::testing::contract::$topic::$clause(store).await;
                            drop(guard);
                        }
                    )*
                }
            )*
        }
    };
}
