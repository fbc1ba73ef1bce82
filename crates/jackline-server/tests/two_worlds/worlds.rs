//! The two sides, which tests that run at the same time share, and what Redis holds between them.

use std::sync::{Arc, Mutex, Weak};

use redis::FromRedisValue;
use testkit::block_on;
use testkit::browser::{Browser, Site};
use testkit::node::{Express, Flavour};
use testkit::program::{Place, Program, SECRET};
use testkit::redis::RedisServer;

/// Another signing secret for tests.
pub(crate) const OTHER_SECRET: &str =
    "9d8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa998877665544";

/// How long a session outlives its last use, unless a test says otherwise.
pub(crate) const IDLE_MS: i64 = 30 * 60 * 1000;

/// The name of the cookie that both sides share.
pub(crate) const COOKIE: &str = "connect.sid";

/// Who shares the sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pair {
    /// Jackline and an Express.
    JacklineAnd(Flavour),
    /// Two of Express: what they keep between them is what is asked of Jackline, no more and no less.
    Expresses,
}

/// A Jackline and an Express that share their sessions.
pub(crate) struct Worlds {
    pub(crate) jackline: Side,
    pub(crate) express: Side,
    pair: Pair,
    // Ends last: neither side is to notice.
    pub(crate) redis: RedisServer,
}

const PAIRS: [Pair; 3] = [
    Pair::Expresses,
    Pair::JacklineAnd(Flavour::ConnectRedis9),
    Pair::JacklineAnd(Flavour::ConnectRedis7),
];

/// Runs a test on Jackline with each Express, which it shares with tests that run at the same time.
pub(crate) fn on_each_pair(test: impl Fn(&Worlds)) {
    for worlds in &shared()[1..] {
        worlds.announce();
        test(worlds);
    }
}

/// The same, and on two of Express, to see that the test asks nothing of Jackline that they do not do.
pub(crate) fn on_each_pair_and_among_expresses(test: impl Fn(&Worlds)) {
    for worlds in &shared() {
        worlds.announce();
        test(worlds);
    }
}

/// The same on servers that only this test uses, and may restart.
pub(crate) fn on_own_pairs(test: impl Fn(&mut Worlds)) {
    for pair in PAIRS {
        let mut worlds = Worlds::start(pair);
        worlds.announce();
        test(&mut worlds);
    }
}

/// The same with Jackline on one side, for tests that leave Express behind.
pub(crate) fn on_own_worlds(test: impl Fn(Worlds)) {
    for pair in &PAIRS[1..] {
        let worlds = Worlds::start(*pair);
        worlds.announce();
        test(worlds);
    }
}

/// Those of the tests that run, or new ones. All of them, so that the next test finds them all.
fn shared() -> [Arc<Worlds>; PAIRS.len()] {
    static SHARED: Mutex<[Weak<Worlds>; PAIRS.len()]> = Mutex::new([const { Weak::new() }; 3]);
    let mut shared = SHARED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    std::array::from_fn(|n| {
        shared[n].upgrade().unwrap_or_else(|| {
            let worlds = Arc::new(Worlds::start(PAIRS[n]));
            shared[n] = Arc::downgrade(&worlds);
            worlds
        })
    })
}

impl Worlds {
    fn start(pair: Pair) -> Self {
        let redis = block_on(RedisServer::start());
        let (jackline, express) = sides(pair, &redis, &[SECRET]);
        Self {
            jackline,
            express,
            pair,
            redis,
        }
    }

    /// Shown if the test fails.
    fn announce(&self) {
        println!("on {:?}", self.pair);
    }

    /// Both sides anew, with these secrets, the first of which signs; Redis stays as it is.
    pub(crate) fn restart(&mut self, secrets: &[&str]) {
        (self.jackline, self.express) = sides(self.pair, &self.redis, secrets);
    }

    /// Both sides are stopped. What they shared stays.
    pub(crate) fn leave(self) -> RedisServer {
        self.redis
    }

    /// Another Express, with these settings besides.
    pub(crate) fn express_with(&self, settings: &[(&str, &str)]) -> Express {
        express(self.pair.flavour(), &self.redis, &[SECRET], settings)
    }

    /// Another Jackline, with these settings besides.
    pub(crate) fn jackline_with(&self, settings: &[(&str, &str)]) -> Program {
        let mut place = jackline(&self.redis, &[SECRET]);
        for (name, value) in settings {
            place.set(name, value);
        }
        place.serve()
    }

    /// Each side as the first, with the other as the second.
    pub(crate) fn both_ways(&self) -> [[&(dyn Site + Sync); 2]; 2] {
        let (jackline, express) = (self.jackline.as_ref(), self.express.as_ref());
        [[jackline, express], [express, jackline]]
    }

    /// What Redis answers to a command.
    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        block_on(self.redis.ask(words))
    }

    /// The record of this browser's session, byte for byte.
    pub(crate) fn record(&self, browser: &Browser) -> Option<String> {
        self.ask(&["GET", &key(browser)])
    }

    /// How long the record has left.
    pub(crate) fn ttl_ms(&self, browser: &Browser) -> i64 {
        self.ask(&["PTTL", &key(browser)])
    }

    /// Lets the record have so long left, as if time had passed.
    pub(crate) fn set_ttl_ms(&self, browser: &Browser, ttl_ms: i64) {
        let set: i64 = self.ask(&["PEXPIRE", &key(browser), &ttl_ms.to_string()]);
        assert_eq!(set, 1, "there is a record");
    }
}

/// Where the session of this browser lies, if its id needs no encoding in a cookie.
pub(crate) fn key(browser: &Browser) -> String {
    let value = browser.cookies[COOKIE].strip_prefix("s%3A").unwrap();
    format!("sess:{}", value.rsplit_once('.').unwrap().0)
}

type Side = Box<dyn Site + Send + Sync>;

impl Pair {
    /// That of the second side.
    fn flavour(self) -> Flavour {
        match self {
            Self::JacklineAnd(flavour) => flavour,
            Self::Expresses => Flavour::ConnectRedis9,
        }
    }
}

fn sides(pair: Pair, redis: &RedisServer, secrets: &[&str]) -> (Side, Side) {
    std::thread::scope(|scope| {
        let first = scope.spawn(|| -> Side {
            match pair {
                Pair::JacklineAnd(_) => Box::new(jackline(redis, secrets).serve()),
                Pair::Expresses => Box::new(express(Flavour::ConnectRedis7, redis, secrets, &[])),
            }
        });
        let second = Box::new(express(pair.flavour(), redis, secrets, &[]));
        (first.join().unwrap(), second as Side)
    })
}

fn express(
    flavour: Flavour,
    redis: &RedisServer,
    secrets: &[&str],
    settings: &[(&str, &str)],
) -> Express {
    let (url, secrets) = (redis.url(), secrets.join(","));
    let mut all = vec![("REDIS_URL", &*url), ("SESSION_SECRETS", &secrets)];
    all.extend(settings);
    Express::start(flavour, env!("CARGO_TARGET_TMPDIR"), &all)
}

/// Where Jackline runs on the sessions of an Express.
pub(crate) fn jackline(redis: &RedisServer, secrets: &[&str]) -> Place {
    let mut place = Place::new(&[
        ("REDIS_URL", &redis.url()),
        ("JACKLINE_KEYSPACE", "express"),
        ("SESSION_SECRET", secrets[0]),
    ]);
    if secrets.len() > 1 {
        place.set("SESSION_SECRET_PREVIOUS", &secrets[1..].join(","));
    }
    // Tests that run at the same time log one user in, and none makes room for another.
    place.set("JACKLINE_MAX_SESSIONS", "10000");
    place.be_patient();
    place
}
