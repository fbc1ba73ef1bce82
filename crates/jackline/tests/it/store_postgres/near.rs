//! A near-cache in front of PostgreSQL hears of what other instances change, and answers nothing from memory when it does not.

use std::time::Duration;

use jackline::lifecycle::{Delta, SessionCap};
use jackline::store::near::{Announcements, NearOptions};
use jackline::store::postgres::{PostgresOpenError, PostgresStore};
use jackline::store::{Loaded, Page, Replaced, Store as _, StoreError, Trace};
use jackline::token::SessionKey;
use testkit::eventually;
use testkit::postgres::PostgresServer;
use testkit::relay::Relay;

use super::{
    Postgres, admission, client, hasty, logged_in, now, owned_key, owner, patient, set,
    visitor_key, visitor_record,
};
use crate::near_instance::Instance;

// Proves: J2, J4, J9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_ends_or_changes_the_other_knows_of_at_once() {
    let postgres = Postgres::start().await;
    let here = instance(&postgres.url).await;
    // It has no near-cache, and is asked all the same to say what it does.
    let there = &postgres.store;
    let (alice, now) = (owner("alice"), now());
    let record = logged_in(&alice, now);
    let mut keys = (1..).map(|n| owned_key(&alice, n));
    let mut log_in = async || {
        let key = keys.next().unwrap();
        there
            .admit(&admission(&key, &record, &alice), now)
            .await
            .unwrap();
        here.knows(&key).await;
        key
    };

    let key = log_in().await;
    there.commit(&key, &set("a", "1"), now).await.unwrap();
    eventually("the change is seen", async || match here.load(&key).await {
        Ok(Loaded::Live { record, .. }) => record.data.raw("a").is_some(),
        other => panic!("not live: {other:?}"),
    })
    .await;
    here.knows(&key).await;
    let ended = there.end(&key, Some(&alice), Some(Trace::LoggedOut), now);
    ended.await.unwrap();
    here.refuses(&key).await;

    let (old, new) = (log_in().await, owned_key(&alice, 100));
    let delta = Delta::default();
    let rotate = there.rotate(&old, &new, Some(&alice), &delta, now);
    rotate.await.unwrap();
    here.refuses(&old).await;

    let key = log_in().await;
    there.end_all(&alice, None, now).await.unwrap();
    here.refuses(&key).await;

    let epoch = there.epoch(&alice, now).await.unwrap();
    let (visitor, pruned) = (visitor_key(1), owned_key(&alice, 101));
    there.create(&visitor, &visitor_record(now)).await.unwrap();
    let first = owned_key(&alice, 102);
    for (key, cap) in [
        (&pruned, SessionCap::Unlimited),
        (&first, SessionCap::PruneOldest(1)),
    ] {
        here.knows(&visitor).await;
        let mut login = admission(key, &record, &alice);
        (login.epoch, login.cap) = (epoch, cap);
        if key == &first {
            here.knows(&pruned).await;
            login.replaces = Some(Replaced {
                key: &visitor,
                owner: None,
                carry: None,
            });
        }
        there.admit(&login, now).await.unwrap();
    }
    here.refuses(&visitor).await;
    here.refuses(&pruned).await;
    assert_eq!(
        there
            .list(&alice, Page::first(), now)
            .await
            .unwrap()
            .sessions
            .len(),
        1
    );
}

// Proves: J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_loaded_while_a_change_is_under_way_is_not_kept() {
    let mut postgres = Postgres::start().await;
    let here = instance(&postgres.url).await;
    let key = visitor(&postgres, 1).await;
    here.knows(&key).await;
    // Somebody holds the row: what is to be changed has been announced, and cannot be done yet.
    let holder = postgres.beside.transaction().await.unwrap();
    let lock = "SELECT FROM jackline.sessions FOR UPDATE";
    holder.execute(lock, &[]).await.unwrap();
    let writing = async {
        postgres.store.end(&key, None, None, now()).await.unwrap();
    };
    let reading = async {
        eventually("the announcement is heard", async || {
            let before = here.spy.count("load");
            here.load(&key).await.unwrap();
            here.spy.count("load") > before
        })
        .await;
        for _ in 0..20 {
            let before = here.spy.count("load");
            let loaded = here.load(&key).await.unwrap();
            assert!(matches!(loaded, Loaded::Live { .. }));
            assert_eq!(here.spy.count("load"), before + 1, "it was kept");
        }
        holder.rollback().await.unwrap();
    };
    tokio::join!(writing, reading);
    let loaded = here.load(&key).await.unwrap();
    assert_eq!(loaded, Loaded::Absent, "the end was acknowledged");
}

// Proves: J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_began_to_write_before_somebody_listened_is_waited_for() {
    let mut postgres = Postgres::start().await;
    let key = visitor(&postgres, 1).await;
    let holder = postgres.beside.transaction().await.unwrap();
    let lock = "SELECT FROM jackline.sessions FOR UPDATE";
    holder.execute(lock, &[]).await.unwrap();
    let waiting = client(&postgres.url).await;
    let waits = async |how_many: i64| {
        eventually("they wait", async || {
            let count = "SELECT count(*) FROM pg_stat_activity \
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let row = waiting.query_one(count, &[]).await.unwrap();
            row.get::<_, i64>(0) >= how_many
        })
        .await;
    };
    let writing = async {
        postgres.store.end(&key, None, None, now()).await.unwrap();
    };
    let listening = async {
        waits(1).await;
        instance(&postgres.url).await
    };
    let letting_go = async {
        waits(2).await;
        holder.rollback().await.unwrap();
    };
    let ((), here, ()) = tokio::join!(writing, listening, letting_go);
    assert_eq!(here.load(&key).await.unwrap(), Loaded::Absent);
}

// Proves: J2, J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ended_while_nobody_could_hear_is_refused() {
    let postgres = Postgres::start().await;
    let relay = Relay::to(postgres.server.port()).await;
    let here = instance(&through(&relay, &postgres.url)).await;
    let cut = visitor(&postgres, 1).await;
    let still = visitor(&postgres, 3).await;
    let end = async |key: &SessionKey| {
        let end = postgres.store.end(key, None, None, now());
        end.await.unwrap();
    };

    here.knows(&cut).await;
    relay.cut();
    end(&cut).await;
    here.refuses_within_the_bound(&cut).await;

    for delay in [Duration::from_millis(300), Duration::from_secs(1)] {
        let slow = visitor(&postgres, 2).await;
        here.knows(&slow).await;
        relay.slow_down(delay);
        end(&slow).await;
        here.refuses_within_the_bound(&slow).await;
        relay.slow_down(Duration::ZERO);
    }

    here.knows(&still).await;
    relay.stand_still();
    end(&still).await;
    let refused = here.refuses_within_the_bound(&still);
    let restored = async {
        let loads = here.spy.count("load");
        eventually("the store is asked", async || {
            here.spy.count("load") > loads
        })
        .await;
        relay.slow_down(Duration::ZERO);
    };
    tokio::join!(refused, restored);
}

// Proves: J2, J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_hangs_or_restarts_is_not_covered_up() {
    let mut server = PostgresServer::start().await;
    let url = server.new_database().await;
    let store = super::connect(&url, hasty()).await.unwrap();
    let announcements = Announcements::new(NearOptions::new(1 << 20));
    let address = url.parse().unwrap();
    let near = PostgresStore::announcing(&address, hasty(), &announcements);
    let here = Instance::new(near.await.unwrap(), &announcements);
    let key = visitor_key(1);
    store.create(&key, &visitor_record(now())).await.unwrap();
    here.knows(&key).await;
    server.freeze();
    eventually("nothing is answered from memory", async || {
        matches!(here.load(&key).await, Err(StoreError::Unavailable(_)))
    })
    .await;
    server.thaw();
    here.knows(&key).await;

    server.crash();
    server.start_again();
    server.answers().await;
    here.knows(&key).await;
    eventually("the other is back too", async || {
        store.end(&key, None, None, now()).await.is_ok()
    })
    .await;
    here.refuses(&key).await;
}

// Proves: J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_by_hand_is_heard_if_one_says_so_and_a_listener_that_is_forgotten_comes_again()
 {
    let postgres = Postgres::start().await;
    let here = instance(&postgres.url).await;
    // Nothing said, and something that could be taken for a bucket but for its length.
    for (n, said) in [(1, ""), (4, "abc")] {
        let key = visitor(&postgres, n).await;
        here.knows(&key).await;
        let by_hand = format!("DELETE FROM jackline.sessions; NOTIFY jackline, '{said}'");
        postgres.beside.batch_execute(&by_hand).await.unwrap();
        here.refuses(&key).await;
    }

    let key = visitor(&postgres, 2).await;
    here.knows(&key).await;
    let forget = "DELETE FROM jackline.listeners";
    postgres.beside.batch_execute(forget).await.unwrap();
    postgres.store.end(&key, None, None, now()).await.unwrap();
    here.refuses(&key).await;
    let key = visitor(&postgres, 3).await;
    here.knows(&key).await;
    let listeners = "SELECT count(*) FROM jackline.listeners";
    assert_eq!(postgres.count(listeners).await, 1);
    let later = now().after(Duration::from_secs(2 * 3600));
    postgres.store.reclaim(1, later).await.unwrap();
    assert_eq!(postgres.count(listeners).await, 0);
}

// Proves: J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_that_may_have_been_answered_over_a_connection_that_has_gone() {
    let postgres = Postgres::start().await;
    let here = instance(&postgres.url).await;
    let key = visitor(&postgres, 1).await;
    here.knows(&key).await;
    // A change of which nobody hears: as if another server had made it, to which a connection led for a while.
    let unheard = "DELETE FROM jackline.sessions";
    postgres.beside.batch_execute(unheard).await.unwrap();
    let hang_up = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
                   AND pid <> pg_backend_pid() AND query NOT ILIKE 'LISTEN%'";
    assert!(postgres.count(hang_up).await > 0);
    here.refuses(&key).await;
}

// Proves: J11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_few_rights_may_listen() {
    let postgres = Postgres::start().await;
    // Roles are the server's, which other tests share.
    let name = format!("web_near_{}", postgres.server.port());
    let few = format!(
        "CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA jackline TO {name}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jackline TO {name}"
    );
    postgres.beside.batch_execute(&few).await.unwrap();
    let here = instance(&postgres.url.replace("postgres@", &format!("{name}@"))).await;
    let key = visitor(&postgres, 1).await;
    here.knows(&key).await;
    here.near.end(&key, None, None, now()).await.unwrap();
    here.refuses(&key).await;
}

// Proves: J11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_would_hear_nothing_does_not_start() {
    let postgres = Postgres::start().await;
    let relay = Relay::to(postgres.server.port()).await;
    // As a pooler does that lends a connection for a transaction: the question is answered, and what is said later gets lost.
    relay.keep_back(Relay::POSTGRES_NOTIFICATION);
    let announcements = Announcements::new(NearOptions::new(1 << 20));
    let url = through(&relay, &postgres.url).parse().unwrap();
    let refused = PostgresStore::announcing(&url, patient(), &announcements).await;
    let refused = refused.expect_err("it hears nothing");
    assert!(matches!(refused, PostgresOpenError::NoAnnouncements { .. }));
    assert!(refused.to_string().contains("pooler"), "{refused}");
}

async fn instance(url: &str) -> Instance {
    let announcements = Announcements::new(NearOptions::new(1 << 20));
    let store = PostgresStore::announcing(&url.parse().unwrap(), patient(), &announcements).await;
    Instance::new(store.unwrap(), &announcements)
}

async fn visitor(postgres: &Postgres, n: u32) -> SessionKey {
    let key = visitor_key(n);
    let record = visitor_record(now());
    postgres.store.create(&key, &record).await.unwrap();
    key
}

/// The same address, by way of a relay.
fn through(relay: &Relay, url: &str) -> String {
    let (host, database) = url.rsplit_once(':').unwrap();
    let (_, database) = database.split_once('/').unwrap();
    format!("{host}:{}/{database}", relay.port())
}
