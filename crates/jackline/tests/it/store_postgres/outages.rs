//! What the store says when PostgreSQL crashed, froze, takes no writes or is not to be used; and that it goes on by itself as
//! soon as PostgreSQL does. Those that stop the server have one of their own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jackline::store::postgres::{PostgresOpenError, PostgresOptions, PostgresStore};
use jackline::store::{Committed, Ended, Loaded, Page, Store, StoreError};
use testkit::eventually;
use testkit::postgres::{PostgresServer, client};
use tokio::net::TcpListener;

use super::{
    MINUTE, Postgres, admission, connect, hasty, logged_in, now, owned_key, owner, patient, set,
    visitor_key, visitor_record,
};
use jackline::lifecycle::Delta;

/// The time-out of these tests, and some more for a busy machine.
const BOUNDED: Duration = Duration::from_millis(1400);

/// How soon after the engine's return there is service again: two seconds, and as much again for a busy machine.
const BACK: Duration = Duration::from_secs(4);

/// Makes sure that a call fails, in time.
async fn unavailable<T: std::fmt::Debug>(call: impl Future<Output = Result<T, StoreError>>) {
    let answer = tokio::time::timeout(BOUNDED, call);
    let answer = answer.await.expect("an answer within the time-out");
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
}

/// Waits until the store takes writes again, which it does by itself and soon.
async fn back(store: &PostgresStore) {
    let back = eventually("the store is back", async || store.ping().await.is_ok());
    let in_time = tokio::time::timeout(BACK, back).await;
    assert!(in_time.is_ok(), "the store is not back within {BACK:?}");
}

// Proves: J2, J7, J8, S79
#[tokio::test]
async fn acknowledged_commits_survive_a_crash_and_the_store_goes_on_by_itself() {
    let mut server = PostgresServer::start().await;
    let store = connect(&server.url(), hasty()).await.unwrap();
    let now = now();
    let (key, ended) = (visitor_key(1), visitor_key(2));
    for key in [&key, &ended] {
        store.create(key, &visitor_record(now)).await.unwrap();
    }
    let mut delta = Delta::default();
    delta.increment("n", 1);
    for _ in 0..20 {
        store.commit(&key, &delta, now).await.unwrap();
    }
    assert_eq!(
        store.end(&ended, None, None, now).await.unwrap(),
        Ended::Removed
    );
    server.crash();

    unavailable(store.load(&key, MINUTE, now)).await;
    // Known to be away, it costs nobody any waiting: a hundred calls take less than twenty time-outs would.
    tokio::time::timeout(Duration::from_secs(8), async {
        for _ in 0..100 {
            unavailable(store.load(&key, MINUTE, now)).await;
        }
    })
    .await
    .expect("calls fail at once while PostgreSQL is away");

    server.start_again();
    server.answers().await;
    back(&store).await;
    let Ok(Loaded::Live { record, .. }) = store.load(&key, MINUTE, now).await else {
        panic!("an acknowledged session is lost");
    };
    assert_eq!(record.data.get::<i64>("n").unwrap(), Some(20));
    assert_eq!(
        store.load(&ended, MINUTE, now).await.unwrap(),
        Loaded::Absent
    );
}

// Proves: J7, S79
#[tokio::test]
async fn a_frozen_postgres_is_reported_within_the_time_out_and_used_again_when_it_goes_on() {
    let server = PostgresServer::start().await;
    let store = connect(&server.url(), hasty()).await.unwrap();
    let now = now();
    let key = visitor_key(1);
    store.create(&key, &visitor_record(now)).await.unwrap();
    server.freeze();
    for _ in 0..6 {
        unavailable(store.load(&key, MINUTE, now)).await;
    }
    server.thaw();
    back(&store).await;
    store.commit(&key, &set("a", "1"), now).await.unwrap();
}

// Proves: J7, S79
#[tokio::test]
async fn a_slow_postgres_is_given_up_in_time_and_writes_nothing_afterwards() {
    let postgres = Postgres::start().await;
    let store = connect(&postgres.url, hasty()).await.unwrap();
    let now = now();
    let key = visitor_key(1);
    store.create(&key, &visitor_record(now)).await.unwrap();
    let slow = "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM pg_sleep(30); RETURN new; END $$; \
                CREATE TRIGGER slow BEFORE UPDATE ON jackline.sessions FOR EACH ROW EXECUTE FUNCTION dawdle()";
    postgres.beside.batch_execute(slow).await.unwrap();
    let delta = set("a", "1");
    unavailable(store.commit(&key, &delta, now)).await;
    assert!(matches!(
        store.load(&key, MINUTE, now).await,
        Ok(Loaded::Live { .. })
    ));
    let mended = "SET lock_timeout = '2s'; DROP TRIGGER slow ON jackline.sessions";
    postgres.beside.batch_execute(mended).await.unwrap();
    assert_eq!(postgres.record(&key, now).await.clocks.version, 0);
    back(&store).await;
    store.commit(&key, &delta, now).await.unwrap();
}

// Proves: J7, S79
#[tokio::test]
async fn a_full_disk_refuses_writes_whole_and_still_ends_sessions() {
    let server = PostgresServer::start().await;
    let store = connect(&server.url(), hasty()).await.unwrap();
    let (alice, now) = (owner("user-1001"), now());
    let (key, record) = (owned_key(&alice, 1), logged_in(&alice, now));
    let login = admission(&key, &record, &alice);
    store.admit(&login, now).await.unwrap();
    // As long as a file of the write-ahead log, so that the tables are the first to notice.
    server.limit_files(Some(16 << 20));
    let beside = server.client().await;
    // Nothing makes room meanwhile.
    let as_it_is = "ALTER TABLE jackline.sessions SET (autovacuum_enabled = off)";
    beside.batch_execute(as_it_is).await.unwrap();
    let fill = "INSERT INTO jackline.sessions (key, started, seen, idle, ends, version, meta, member_names, member_values) \
                SELECT decode(md5(random()::text), 'hex'), 0, 0, 1, 0, 0, repeat('x', 200), '{}', '{}' \
                FROM generate_series(1, $1::integer)";
    for rows in [2000, 1] {
        eventually("the table's file is as long as it gets", async || {
            beside.execute(fill, &[&rows]).await.is_err()
        })
        .await;
    }

    unavailable(store.create(&visitor_key(1), &visitor_record(now))).await;
    let new = owned_key(&alice, 2);
    unavailable(store.admit(&admission(&new, &record, &alice), now)).await;
    let absent = store.load(&new, MINUTE, now).await.unwrap();
    assert_eq!(absent, Loaded::Absent, "nothing is half done");
    assert!(matches!(
        store.load(&key, MINUTE, now).await,
        Ok(Loaded::Live { .. })
    ));
    unavailable(store.ping()).await;
    assert_eq!(store.end_all(&alice, None, now).await.unwrap(), 1);

    server.limit_files(None);
    back(&store).await;
    store
        .create(&visitor_key(1), &visitor_record(now))
        .await
        .unwrap();
}

// Proves: J7, S79
#[tokio::test]
async fn a_standby_that_is_promoted_is_found_and_used() {
    let mut primary = PostgresServer::start().await;
    let standby = PostgresServer::start_standby(&primary).await;
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        primary.port(),
        standby.port()
    );
    let store = connect(&url, hasty()).await.unwrap();
    let now = now();
    let key = visitor_key(1);
    store.create(&key, &visitor_record(now)).await.unwrap();
    let beside = standby.client().await;
    eventually("the standby has it", async || {
        let there = "SELECT FROM jackline.sessions";
        beside
            .query_opt(there, &[])
            .await
            .is_ok_and(|row| row.is_some())
    })
    .await;
    primary.crash();
    unavailable(store.load(&key, MINUTE, now)).await;
    standby.promote().await;
    back(&store).await;
    store.commit(&key, &set("a", "1"), now).await.unwrap();
}

// Proves: J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiting_calls_make_no_more_connections_than_one() {
    let mut server = PostgresServer::start().await;
    let store = Arc::new(connect(&server.url(), hasty()).await.unwrap());
    let now = now();
    server.crash();
    // In its place sits somebody who takes connections, and says nothing.
    let mut silent = None;
    eventually("the port is free", async || {
        silent = TcpListener::bind(("127.0.0.1", server.port())).await.ok();
        silent.is_some()
    })
    .await;
    let silent = silent.unwrap();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let taking = tokio::spawn({
        let taken = Arc::clone(&taken);
        async move {
            while let Ok((connection, _)) = silent.accept().await {
                taken.lock().unwrap().push(connection);
            }
        }
    });
    eventually("the store has tried", async || {
        !taken.lock().unwrap().is_empty()
    })
    .await;
    let waiting: Vec<_> = (0..1000)
        .map(|n| {
            let store = Arc::clone(&store);
            let key = visitor_key(n);
            tokio::spawn(async move { unavailable(store.load(&key, MINUTE, now)).await })
        })
        .collect();
    for call in waiting {
        call.await.unwrap();
    }
    // Four are kept, and each was tried a few times while these waited, on a busy machine a few more; never once for each call.
    let attempts = taken.lock().unwrap().len();
    assert!((1..100).contains(&attempts), "{attempts} connections");
    taking.abort();
    let _ = taking.await;
    taken.lock().unwrap().clear();
    server.start_again();
    server.answers().await;
    back(&store).await;
}

// Proves: J7
#[tokio::test]
async fn connections_that_the_server_closes_are_restored_before_anybody_needs_them() {
    let postgres = Postgres::start().await;
    let now = now();
    let key = visitor_key(1);
    postgres
        .store
        .create(&key, &visitor_record(now))
        .await
        .unwrap();
    let connected = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND application_name = 'jackline'";
    eventually("all four are there", async || {
        postgres.count(connected).await == 4
    })
    .await;
    let closed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                  WHERE datname = current_database() AND application_name = 'jackline'";
    assert_eq!(postgres.count(closed).await, 4);
    let sent = postgres.store.statements();
    eventually("they are gone, and four others are there", async || {
        postgres.count(connected).await == 4
    })
    .await;
    assert_eq!(postgres.store.statements(), sent, "without being asked");
    eventually("the store is back", async || {
        postgres.store.ping().await.is_ok()
    })
    .await;
    postgres.record(&key, now).await;
}

// Proves: J7, S79
#[tokio::test]
async fn a_read_only_database_serves_what_it_has_and_is_unavailable_for_writes() {
    let postgres = Postgres::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let key = visitor_key(1);
    postgres
        .store
        .create(&key, &visitor_record(now))
        .await
        .unwrap();
    postgres
        .beside
        .batch_execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
        )
        .await
        .unwrap();
    let store = connect(&postgres.url, patient()).await.unwrap();
    let new = owned_key(&alice, 1);
    let record = logged_in(&alice, now);
    let refused = [
        store.create(&visitor_key(2), &record).await,
        store.commit(&key, &set("a", "1"), now).await.map(drop),
        store
            .rotate(&key, &new, None, &Delta::default(), now)
            .await
            .map(drop),
        store
            .admit(&admission(&new, &record, &alice), now)
            .await
            .map(drop),
        store.end(&key, None, None, now).await.map(drop),
        store.end_all(&alice, None, now).await.map(drop),
        store.load(&key, MINUTE, now.after(MINUTE)).await.map(drop),
        store.ping().await,
    ];
    for (place, answer) in refused.into_iter().enumerate() {
        let Err(StoreError::Unavailable(why)) = answer else {
            panic!("{place}: {answer:?}");
        };
        let why = why.to_string();
        assert!(
            [
                "PostgreSQL refused with 25006",
                "the connection to PostgreSQL was lost and is being restored"
            ]
            .contains(&why.as_str()),
            "{place}: {why}"
        );
    }
    eventually("what is there is served", async || {
        let loaded = store.load(&key, MINUTE, now).await;
        matches!(loaded, Ok(Loaded::Live { renewed: false, .. }))
    })
    .await;
    // New connections take writes, and those that do not are replaced.
    postgres
        .beside
        .batch_execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$")
        .await
        .unwrap();
    back(&store).await;
    store.commit(&key, &set("a", "1"), now).await.unwrap();
}

// Proves: J7, S79
#[tokio::test]
async fn what_nobody_here_wrote_is_corrupt_and_never_a_session() {
    let postgres = Postgres::start().await;
    let (alice, now) = (owner("user-1001"), now());
    let record = logged_in(&alice, now);
    let store = &postgres.store;
    for (n, damage) in [
        "meta = 'x'",
        "meta = '{}'",
        "member_names = '{x}', member_values = '{1}'",
        "member_names = '{\"\\\"a\\\"\"}', member_values = '{nonsense}'",
        "member_names = '{NULL}', member_values = '{1}'",
        "ends = -1",
        "version = -1",
    ]
    .into_iter()
    .enumerate()
    {
        let key = owned_key(&alice, n as u32);
        store
            .admit(&admission(&key, &record, &alice), now)
            .await
            .unwrap();
        let update = format!("UPDATE jackline.sessions SET {damage}");
        postgres.beside.batch_execute(&update).await.unwrap();
        let loaded = store.load(&key, MINUTE, now).await;
        assert!(
            matches!(loaded, Err(StoreError::Corrupt(_))),
            "{damage}: {loaded:?}"
        );
        let listed = store.list(&alice, Page::first(), now).await;
        assert!(matches!(listed, Err(StoreError::Corrupt(_))), "{damage}");
        // Ending works whatever it meets.
        let ended = store.end(&key, Some(&alice), None, now).await.unwrap();
        assert_eq!(ended, Ended::Removed);
    }
}

// Proves: D7, J6, J11
#[tokio::test]
async fn a_postgres_that_cannot_be_used_is_refused_at_start_with_what_to_do_and_without_the_password()
 {
    let mut server = PostgresServer::start().await;
    let port = server.port();
    let admin = server.client().await;
    for statement in [
        "CREATE ROLE web LOGIN PASSWORD 'open-sesame'",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
        "CREATE DATABASE mine OWNER web",
        "CREATE SCHEMA theirs; CREATE TABLE theirs.sessions (id int)",
    ] {
        admin.batch_execute(statement).await.unwrap();
    }
    server.ask_for_passwords().await;
    let refusal = async |url: &str, options: PostgresOptions| {
        let error = connect(url, options).await.unwrap_err();
        let text = format!("{error} {error:?}");
        for secret in ["wrong-sesame", "open-sesame"] {
            assert!(!text.contains(secret), "{text}");
        }
        (error, text)
    };
    let options = patient;
    for user in ["web", "web:wrong-sesame", "nobody-here:wrong-sesame"] {
        let url = format!("postgres://{user}@127.0.0.1:{port}/mine");
        let (error, text) = refusal(&url, options()).await;
        assert!(
            matches!(error, PostgresOpenError::Credentials { .. }),
            "{user}: {text}"
        );
    }
    let right = format!("postgres://web:open-sesame@127.0.0.1:{port}");
    let mine = format!("{right}/mine");
    let store = connect(&mine, options()).await.unwrap();
    assert!(!format!("{store:?}").contains("open-sesame"));
    store.ping().await.unwrap();
    drop(store);

    let (error, text) = refusal(&format!("{right}/absent"), options()).await;
    assert!(
        matches!(error, PostgresOpenError::NoDatabase { .. }),
        "{text}"
    );
    let (error, text) = refusal(&format!("{right}/postgres"), options()).await;
    assert!(matches!(error, PostgresOpenError::Rights { .. }), "{text}");
    let (error, text) = refusal(&server.url_of("latin"), options()).await;
    assert!(
        matches!(error, PostgresOpenError::Encoding { .. }),
        "{text}"
    );
    let (error, text) = refusal(&server.url(), options().schema("theirs")).await;
    assert!(matches!(error, PostgresOpenError::Foreign { .. }), "{text}");
    let beside = client(&mine).await;
    beside
        .batch_execute("INSERT INTO jackline.jackline_migrations (version) VALUES (99)")
        .await
        .unwrap();
    let (error, text) = refusal(&mine, options()).await;
    assert!(
        matches!(error, PostgresOpenError::TooNew { found: 99, .. }),
        "{text}"
    );

    for url in [
        "postgres//:wrong-sesame@here",
        "postgres://web:wrong@sesame@127.0.0.1/wrong-sesame",
        "redis://:wrong-sesame@127.0.0.1",
        "postgres://web:wrong-sesame@127.0.0.1:x/mine",
    ] {
        let (error, _) = refusal(url, options()).await;
        assert!(matches!(error, PostgresOpenError::Url), "{error:?}");
    }
    let (error, _) = refusal(&mine, options().schema("No; DROP")).await;
    assert!(matches!(error, PostgresOpenError::Schema), "{error:?}");
    let (error, _) = refusal(&mine, options().response_timeout(Duration::ZERO)).await;
    assert!(matches!(error, PostgresOpenError::Timeout), "{error:?}");
    let (error, _) = refusal(&mine, options().connections(0)).await;
    assert!(matches!(error, PostgresOpenError::Connections), "{error:?}");

    server.freeze();
    let within = options().connection_timeout(Duration::from_millis(100));
    let (error, _) = refusal(&mine, within).await;
    assert!(
        matches!(error, PostgresOpenError::TimedOut { .. }),
        "{error:?}"
    );
    server.crash();
    let (error, _) = refusal(&mine, options()).await;
    assert_eq!(
        error.to_string(),
        format!(
            "nothing accepts connections at 127.0.0.1:{port}; start PostgreSQL there, or correct the URL"
        )
    );
}

// Proves: A6
#[tokio::test]
async fn a_user_with_no_more_rights_than_the_documentation_lists_will_do() {
    let postgres = Postgres::start().await;
    let role = postgres.url.rsplit('/').next().unwrap();
    let rights = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA jackline TO {role}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jackline TO {role}"
    );
    postgres.beside.batch_execute(&rights).await.unwrap();
    let url = format!(
        "postgres://{role}@127.0.0.1:{}/{role}",
        postgres.server.port()
    );
    let store = connect(&url, patient()).await.unwrap();
    let (alice, now) = (owner("user-1001"), now());
    let (first, second) = (owned_key(&alice, 1), owned_key(&alice, 2));
    let record = logged_in(&alice, now);
    store.ping().await.unwrap();
    store
        .create(&visitor_key(1), &visitor_record(now))
        .await
        .unwrap();
    store
        .admit(&admission(&first, &record, &alice), now)
        .await
        .unwrap();
    store.load(&first, MINUTE, now.after(MINUTE)).await.unwrap();
    let rotated = store
        .rotate(&first, &second, Some(&alice), &set("b", "2"), now)
        .await;
    assert!(matches!(rotated, Ok(Committed::Applied { .. })));
    store.list(&alice, Page::first(), now).await.unwrap();
    store.end_all(&alice, None, now).await.unwrap();
    store.reclaim(10, now).await.unwrap();
}
