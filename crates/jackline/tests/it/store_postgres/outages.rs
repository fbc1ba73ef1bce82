//! What the store says when PostgreSQL crashed, froze, takes no writes or is not to be used; and that it goes on by itself as
//! soon as PostgreSQL does. Those that stop the server have one of their own.

use std::time::Duration;

use jackline::store::postgres::{PostgresOpenError, PostgresOptions};
use jackline::store::{Committed, Ended, Loaded, Page, Store, StoreError};
use testkit::eventually;
use testkit::postgres::{PostgresServer, client};

use super::{
    MINUTE, Postgres, admission, connect, hasty, logged_in, now, owned_key, owner, patient, set,
    visitor_key, visitor_record,
};
use jackline::lifecycle::Delta;

/// The time-out of these tests, and as much again and more for a busy machine.
const BOUNDED: Duration = Duration::from_millis(2000);

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
    assert_eq!(store.end(&ended, None, now).await.unwrap(), Ended::Removed);
    server.crash();

    let unavailable = async || {
        let answer = tokio::time::timeout(BOUNDED, store.load(&key, MINUTE, now));
        let answer = answer.await.expect("an answer within the time-out");
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    };
    unavailable().await;
    // Known to be away, it costs nobody any waiting: a hundred calls take less than twenty time-outs would.
    tokio::time::timeout(Duration::from_secs(8), async {
        for _ in 0..100 {
            unavailable().await;
        }
    })
    .await
    .expect("calls fail at once while PostgreSQL is away");

    server.start_again();
    server.answers().await;
    eventually("the store is back by itself", async || {
        store.ping().await.is_ok()
    })
    .await;
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
        let answer = tokio::time::timeout(BOUNDED, store.load(&key, MINUTE, now));
        let answer = answer.await.expect("an answer within the time-out");
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    }
    server.thaw();
    eventually("the store is back by itself", async || {
        matches!(store.load(&key, MINUTE, now).await, Ok(Loaded::Live { .. }))
    })
    .await;
    store.commit(&key, &set("a", "1"), now).await.unwrap();
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
        store.end(&key, None, now).await.map(drop),
        store.end_all(&alice, None, now).await.map(drop),
        store.load(&key, MINUTE, now.after(MINUTE)).await.map(drop),
        store.ping().await,
    ];
    for (place, answer) in refused.into_iter().enumerate() {
        let Err(StoreError::Unavailable(why)) = answer else {
            panic!("{place}: {answer:?}");
        };
        assert_eq!(why.to_string(), "PostgreSQL refused with 25006", "{place}");
    }
    let loaded = store.load(&key, MINUTE, now).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { renewed: false, .. }));
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
        let ended = store.end(&key, Some(&alice), now).await.unwrap();
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
    for mode in ["require", "verify-full"] {
        let url = format!("{mine}?sslmode={mode}");
        let (error, _) = refusal(&url, options()).await;
        assert!(matches!(error, PostgresOpenError::Unsupported), "{error:?}");
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
