//! What became of a key is remembered for as long as a request that was under way may ask.

use std::sync::Arc;

use super::scene::{MS, Scene, applied, key_of, owner, race, set, visitor_key};
use crate::lifecycle::Delta;
use crate::store::{Ended, Loaded, Store, Trace};

const ALL: [Trace; 3] = [Trace::StoodIn, Trace::LoggedOut, Trace::Replaced];

/// Each kind of trace is there for its time, to the millisecond, whatever is reclaimed, and then the key is unknown. No other key has it.
// Proves: J10
pub async fn a_trace_is_kept_for_its_time(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for trace in ALL {
        let (key, other) = (visitor_key(), visitor_key());
        assert_eq!(scene.note(&key, trace, scene.start).await, trace);
        for now in [scene.start, scene.at(trace.kept() - MS)] {
            scene.reclaim_all(100, now).await;
            assert_eq!(scene.load(&key, now).await, Loaded::Trace(trace));
        }
        assert_eq!(
            scene.load(&key, scene.at(trace.kept())).await,
            Loaded::Absent
        );
        assert_eq!(scene.load(&other, scene.start).await, Loaded::Absent);
    }
}

/// A trace gives way to one that weighs as much or more, and to any once its time is over; else it stays, and whoever notes another is
/// told.
// Proves: J10
pub async fn a_trace_never_gives_way_to_a_lighter_one(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for first in ALL {
        for second in ALL {
            let key = visitor_key();
            scene.note(&key, first, scene.start).await;
            let later = scene.at(first.kept() - MS);
            let stays = first.max(second);
            assert_eq!(scene.note(&key, second, later).await, stays);
            assert_eq!(scene.load(&key, later).await, Loaded::Trace(stays));
            let last = match stays == second {
                true => later.after(second.kept() - MS),
                false => later,
            };
            assert_eq!(scene.load(&key, last).await, Loaded::Trace(stays));
            assert_eq!(scene.load(&key, last.after(MS)).await, Loaded::Absent);
            let over = last.after(MS);
            assert_eq!(scene.note(&key, second, over).await, second);
            assert_eq!(scene.load(&key, over).await, Loaded::Trace(second));
        }
    }
}

/// A session goes before the trace that is noted under its key: it lives, changes and ends as any other. Then the trace shows.
// Proves: J2, J10
pub async fn a_trace_under_a_live_session_shows_when_that_has_ended(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    for trace in ALL {
        let key = scene.log_in(&alice, scene.start).await;
        scene.note(&key, trace, scene.start).await;
        assert!(scene.lives(&key, scene.start).await);
        assert_eq!(scene.commit(&key, &set("a", "1")).await, applied());
        assert_eq!(scene.list(&alice, scene.start).await, [key]);
        assert_eq!(scene.end(&key, Some(&alice)).await, Ended::Removed);
        assert_eq!(scene.load(&key, scene.start).await, Loaded::Trace(trace));
        assert_eq!(scene.end(&key, Some(&alice)).await, Ended::Trace(trace));
    }
}

/// Ending a session may leave a trace in the same step. Ending what is not there leaves none.
// Proves: J2, J10
pub async fn an_end_leaves_the_trace_that_it_is_to_leave(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    let alice = owner("user-1001");
    for trace in ALL {
        let key = scene.log_in(&alice, scene.start).await;
        for expected in [Ended::Removed, Ended::Trace(trace)] {
            let end = scene
                .store
                .end(&key, Some(&alice), Some(trace), scene.start);
            assert_eq!(end.await.ok(), Some(expected));
            assert_eq!(scene.load(&key, scene.start).await, Loaded::Trace(trace));
        }
        assert!(scene.list(&alice, scene.start).await.is_empty());

        let unknown = visitor_key();
        let end = scene.store.end(&unknown, None, Some(trace), scene.start);
        assert_eq!(end.await.ok(), Some(Ended::Absent));
        assert_eq!(scene.load(&unknown, scene.start).await, Loaded::Absent);

        let key = scene.visit("{}").await;
        scene.note(&key, Trace::LoggedOut, scene.start).await;
        let end = scene.store.end(&key, None, Some(trace), scene.start);
        assert_eq!(end.await.ok(), Some(Ended::Removed));
        let heavier = Loaded::Trace(trace.max(Trace::LoggedOut));
        assert_eq!(scene.load(&key, scene.start).await, heavier);
    }
}

/// Whatever was noted before, a key that a rotation moved away from, or that a login replaced, is known to have given way.
// Proves: J10
pub async fn giving_way_weighs_more_than_what_was_noted(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for trace in ALL {
        let (old, new) = scene.visit_and_move("{}").await;
        scene.note(&old, trace, scene.start).await;
        let rotated = scene.rotate(&old, &new, None, Delta::default());
        assert_eq!(rotated.await, applied());
        let replaced = Loaded::Trace(Trace::Replaced);
        assert_eq!(scene.load(&old, scene.start).await, replaced);

        let alice = owner("user-1001");
        let unknown = visitor_key();
        scene.note(&unknown, trace, scene.start).await;
        let login = super::scene::Login::new(&alice, key_of(&alice), scene.start);
        scene
            .admit(login.replacing(unknown, None), scene.start)
            .await;
        assert_eq!(scene.load(&unknown, scene.start).await, replaced);
    }
}

/// Of many traces that are noted at once the weightiest is there afterwards, and nobody is told of a lighter one than their own.
// Proves: J10
pub async fn of_concurrent_traces_the_weightiest_stays(store: Arc<dyn Store>) {
    let scene = Scene::new(store);
    for _ in 0..4 {
        let key = visitor_key();
        let told = race((0..18).map(|n| {
            let scene = scene.clone();
            async move {
                let mine = ALL[n % 3];
                scene.note(&key, mine, scene.start).await >= mine
            }
        }))
        .await;
        assert!(told.into_iter().all(|told| told));
        let heaviest = Loaded::Trace(Trace::Replaced);
        assert_eq!(scene.load(&key, scene.start).await, heaviest);
    }
}
