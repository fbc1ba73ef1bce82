//! The stores that the program runs on, each made for one test.

use std::sync::Arc;

use testkit::block_on;
use testkit::postgres::PostgresServer;
use testkit::redis::RedisServer;

use crate::program::Place;

/// A place whose settings name a store, and the store's server, if it has one.
pub(crate) struct On {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) redis: Option<RedisServer>,
    pub(crate) postgres: Option<Arc<PostgresServer>>,
}

/// Runs a test on SQLite, on Redis, on PostgreSQL, and on Redis with the users in PostgreSQL.
pub(crate) fn on_each_store(test: impl Fn(&mut On)) {
    for mut on in [
        on_sqlite(),
        on_redis(),
        on_postgres(),
        on_redis_and_postgres(),
    ] {
        // Shown if the test fails.
        println!("on {}", on.name);
        test(&mut on);
    }
}

pub(crate) fn on_sqlite() -> On {
    On {
        name: "sqlite",
        place: Place::new(&[]),
        redis: None,
        postgres: None,
    }
}

pub(crate) fn on_redis() -> On {
    let redis = block_on(RedisServer::start());
    On {
        name: "redis",
        place: Place::new(&[("REDIS_URL", &redis.url())]),
        redis: Some(redis),
        postgres: None,
    }
}

/// A database of a server that tests share.
pub(crate) fn on_postgres() -> On {
    let (server, url) = block_on(async {
        let server = PostgresServer::shared().await;
        let url = server.new_database().await;
        (server, url)
    });
    On {
        name: "postgres",
        place: Place::new(&[("DATABASE_URL", &url)]),
        redis: None,
        postgres: Some(server),
    }
}

/// A PostgreSQL that only this test uses, and may stop.
pub(crate) fn on_own_postgres() -> On {
    let server = block_on(PostgresServer::start());
    On {
        name: "postgres",
        place: Place::new(&[("DATABASE_URL", &server.url())]),
        redis: None,
        postgres: Some(Arc::new(server)),
    }
}

/// Sessions here, and users there.
pub(crate) fn on_redis_and_postgres() -> On {
    let (mut on, postgres) = (on_redis(), on_postgres());
    on.name = "redis and postgres";
    on.place
        .set("DATABASE_URL", postgres.place.setting("DATABASE_URL"));
    on.postgres = postgres.postgres;
    on
}

impl On {
    /// Ends the store's server as a crash would.
    pub(crate) fn crash(&mut self) {
        match &mut self.postgres {
            Some(postgres) => own(postgres).crash(),
            None => self.redis.as_mut().unwrap().stop(),
        }
    }

    /// Starts the store's server again, and waits until it answers.
    pub(crate) fn start_again(&mut self) {
        match &mut self.postgres {
            Some(postgres) => {
                own(postgres).start_again();
                block_on(postgres.answers());
            }
            None => {
                let redis = self.redis.as_mut().unwrap();
                redis.start_again();
                block_on(redis.answers());
            }
        }
    }

    /// Stops the clock of the store's server.
    pub(crate) fn freeze(&self) {
        match &self.postgres {
            Some(postgres) => postgres.freeze(),
            None => self.redis.as_ref().unwrap().freeze(),
        }
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        match &self.postgres {
            Some(postgres) => postgres.thaw(),
            None => self.redis.as_ref().unwrap().thaw(),
        }
    }

    /// What PostgreSQL answers to statements, as text.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let url = self.place.setting("DATABASE_URL");
        block_on(async {
            let client = testkit::postgres::client(url).await;
            let messages = client.simple_query(statements).await.unwrap();
            format!("{messages:?}")
        })
    }

    /// What Redis answers to a command, as `redis-cli` prints it.
    pub(crate) fn redis_cli(&self, arguments: &[&str]) -> String {
        let port = self.redis.as_ref().unwrap().port().to_string();
        let output = std::process::Command::new("redis-cli")
            .args(["-p", &port])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn own(postgres: &mut Arc<PostgresServer>) -> &mut PostgresServer {
    Arc::get_mut(postgres).expect("a server of this test's own")
}
