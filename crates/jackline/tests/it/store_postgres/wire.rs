//! What PostgreSQL itself counts: each step is one statement that was prepared before, and is sent without waiting for the one before it.

use jackline::store::Store as _;
use testkit::eventually;
use testkit::postgres::{PostgresServer, client};
use testkit::relay::Relay;

use super::{connect, now, patient, set, visitor_key, visitor_record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_are_prepared_statements_which_do_not_wait_for_each_others_answers() {
    const STEPS: u32 = 10;
    let mut server = PostgresServer::start().await;
    server.crash();
    server.set("shared_preload_libraries", "pg_stat_statements");
    server.set("pg_stat_statements.track", "top");
    server.start_again();
    server.answers().await;
    let url = server.new_database().await;
    let relay = Relay::to(server.port()).await;
    let through = url.replace(&server.port().to_string(), &relay.port().to_string());
    let store = connect(&through, patient().connections(1)).await.unwrap();
    for n in 0..STEPS {
        let record = visitor_record(now());
        store.create(&visitor_key(n), &record).await.unwrap();
    }
    let beside = client(&url).await;
    beside
        .batch_execute("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
        .await
        .unwrap();
    // All that was asked since, but by this test.
    let asked = async || -> Vec<(String, i64)> {
        let asked = "SELECT query, calls FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' ORDER BY query";
        let rows = beside.query(asked, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    };

    // Nobody is answered, and all are asked on the one connection that there is.
    relay.stand_still();
    let delta = set("a", "1");
    let steps = async {
        let mut steps = tokio::task::JoinSet::new();
        let store = std::sync::Arc::new(store);
        for n in 0..STEPS {
            let (store, delta) = (std::sync::Arc::clone(&store), delta.clone());
            steps.spawn(async move {
                let key = visitor_key(n);
                let (read, written) = tokio::join!(
                    store.load(&key, super::MINUTE, now()),
                    store.commit(&key, &delta, now())
                );
                (read.unwrap(), written.unwrap())
            });
        }
        steps.join_all().await
    };
    let answers = async {
        let steps = i64::from(STEPS);
        eventually("all have been carried out", async || {
            asked().await.iter().map(|(_, calls)| calls).sum::<i64>() >= 2 * steps
        })
        .await;
        let asked = asked().await;
        relay.slow_down(std::time::Duration::ZERO);
        let [(write, writes), (read, reads)] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        assert!(
            write.starts_with("CALL \"jackline\".announce_change($1"),
            "{write}"
        );
        assert!(
            read.starts_with("SELECT * FROM \"jackline\".load($1"),
            "{read}"
        );
        assert_eq!((*writes, *reads), (steps, steps));
    };
    tokio::join!(steps, answers);
}
