//! The stores that the program runs on, each made for one test.

use testkit::redis::RedisServer;

use crate::program::Place;

/// A place whose settings name a store, and the store's server, if it has one.
pub(crate) struct On {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) redis: Option<RedisServer>,
}

/// Runs a test on SQLite and on Redis.
pub(crate) fn on_each_store(test: impl Fn(&mut On)) {
    for mut on in [on_sqlite(), on_redis()] {
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
    }
}

pub(crate) fn on_redis() -> On {
    let redis = block_on(RedisServer::start());
    let place = Place::new(&[("REDIS_URL", &redis.url())]);
    On {
        name: "redis",
        place,
        redis: Some(redis),
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

impl On {
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
