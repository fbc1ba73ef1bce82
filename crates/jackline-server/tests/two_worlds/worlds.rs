//! The two sides, each made for one test, and what Redis holds between them.

use redis::FromRedisValue;
use testkit::block_on;
use testkit::browser::{Browser, Site};
use testkit::node::{Express, Flavour};
use testkit::program::SECRET;
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

/// Runs a test on two of Express, to see that the test asks nothing of Jackline that they do not do.
pub(crate) fn on_each_pair_and_among_expresses(test: impl Fn(&mut Worlds)) {
    on_pairs(&[Pair::Expresses], test);
}

fn on_pairs(pairs: &[Pair], test: impl Fn(&mut Worlds)) {
    for pair in pairs {
        // Shown if the test fails.
        println!("on {pair:?}");
        test(&mut Worlds::start(*pair));
    }
}

impl Worlds {
    fn start(pair: Pair) -> Self {
        let redis = block_on(RedisServer::start());
        let (jackline, express) = sides(pair, &redis, &[SECRET], &[]);
        Self {
            jackline,
            express,
            pair,
            redis,
        }
    }

    /// Both sides anew, with these secrets, the first of which signs, and Express with these settings; Redis stays as it is.
    pub(crate) fn restart(&mut self, secrets: &[&str], express: &[(&str, &str)]) {
        (self.jackline, self.express) = sides(self.pair, &self.redis, secrets, express);
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

type Side = Box<dyn Site + Sync>;

fn sides(
    pair: Pair,
    redis: &RedisServer,
    secrets: &[&str],
    settings: &[(&str, &str)],
) -> (Side, Side) {
    let express = |flavour| {
        let (url, secrets) = (redis.url(), secrets.join(","));
        let mut all = vec![("REDIS_URL", &*url), ("SESSION_SECRETS", &secrets)];
        all.extend(settings);
        Express::start(flavour, env!("CARGO_TARGET_TMPDIR"), &all)
    };
    match pair {
        Pair::Expresses => (
            Box::new(express(Flavour::ConnectRedis7)),
            Box::new(express(Flavour::ConnectRedis9)),
        ),
    }
}
