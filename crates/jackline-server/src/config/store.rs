//! Where sessions and users are kept, and how long a store may take. Exactly one engine comes out, and a URL that nothing would
//! use is a mistake.

use std::time::Duration;

use jackline::postgres::{PostgresOpenError, PostgresUrl};

use super::deployment::Deployment;
use super::duration::{self, Bounds};
use super::keyspace::{self, Keyspace};
use super::names::Setting;
use super::near;
use super::redis::{self, RedisSettings};
use super::source::Reader;

/// The session store as configured.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// What keeps the sessions.
    pub engine: StoreEngine,
    /// The PostgreSQL that keeps the users; without one they are in an SQLite file in the data folder.
    pub database: Option<PostgresUrl>,
    /// After how long an unanswered store call counts as failed, and the request gets `503`. Default 500 ms, at most 30 s.
    pub timeout: Duration,
    /// How many bytes of memory live sessions may be kept in, so that the store is not asked for them. Default: none.
    pub near_cache_bytes: Option<u64>,
    /// How records are laid out.
    pub keyspace: Keyspace,
}

/// What keeps the sessions.
#[derive(Debug, Clone)]
pub enum StoreEngine {
    /// An SQLite file in the data folder. The default.
    Sqlite,
    /// Redis or Valkey.
    Redis(Box<RedisSettings>),
    /// PostgreSQL.
    Postgres(PostgresUrl),
    /// The process's memory. In development only: a restart logs everybody out, and a second instance knows nobody (P2).
    Memory,
}

pub(crate) fn read(
    reader: &mut Reader,
    deployment: Deployment,
    keyspace: Keyspace,
) -> StoreSettings {
    let database = read_database_url(reader);
    let engine = read_engine(reader, deployment, database.as_ref());
    if keyspace.is_express() {
        keyspace::check(reader, &engine);
    }
    StoreSettings {
        near_cache_bytes: near::read(reader, &engine, &keyspace),
        engine,
        database,
        timeout: read_timeout(reader),
        keyspace,
    }
}

fn read_engine(
    reader: &mut Reader,
    deployment: Deployment,
    database: Option<&PostgresUrl>,
) -> StoreEngine {
    let redis = redis::read(reader).map(Box::new);
    let redis_is_given = reader.is_given(Setting::REDIS_URL);
    let database_is_given = reader.is_given(Setting::DATABASE_URL);
    let chosen = reader.one(Setting::STORE).map(str::to_owned);
    // With both, sessions are in Redis and users in PostgreSQL.
    let name = match chosen.as_deref() {
        Some(name) => name,
        None if redis_is_given => "redis",
        None if database_is_given => "postgres",
        None => "sqlite",
    };
    let engine = match name {
        "redis" if redis_is_given => redis.map(StoreEngine::Redis),
        "redis" => {
            reader.report(
                Setting::STORE,
                "it is `redis`, and REDIS_URL is not set",
                "it is not known where Redis is",
                "set REDIS_URL, such as redis://127.0.0.1:6379",
            );
            None
        }
        "postgres" if database_is_given => database.cloned().map(StoreEngine::Postgres),
        "postgres" => {
            reader.report(
                Setting::STORE,
                "it is `postgres`, and DATABASE_URL is not set",
                "it is not known where PostgreSQL is",
                "set DATABASE_URL, such as postgres://user:password@127.0.0.1/app",
            );
            None
        }
        "sqlite" => Some(StoreEngine::Sqlite),
        "memory" => Some(StoreEngine::Memory),
        other => {
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::STORE,
                what,
                "there is no such store",
                "write `sqlite`, `postgres` or `redis`, or `memory` in development; or leave it out",
            );
            None
        }
    };
    if name == "memory" && deployment.is_production() {
        reader.report(
            Setting::STORE,
            "it is `memory`, in production",
            "a restart would log everybody out, and a second instance would know nobody (P2)",
            "leave it out for SQLite in the data folder, or set REDIS_URL or DATABASE_URL",
        );
    }
    for (url, is_given, used_by) in [
        ("REDIS_URL", redis_is_given, &["redis"][..]),
        ("DATABASE_URL", database_is_given, &["postgres", "redis"]),
    ] {
        if is_given && engine.is_some() && !used_by.contains(&name) {
            reader.report(
                Setting::STORE,
                format!("it names another store, and {url} is set too"),
                "sessions would be kept where nobody looks for them",
                "unset one of the two",
            );
        }
    }
    // After a mistake this gets nowhere.
    engine.unwrap_or(StoreEngine::Sqlite)
}

fn read_database_url(reader: &mut Reader) -> Option<PostgresUrl> {
    let text = reader.one(Setting::DATABASE_URL)?;
    match text.parse() {
        Ok(url) => Some(url),
        Err(error) => {
            let (what, fix) = match error {
                PostgresOpenError::TlsMode => (
                    "its sslmode is not one that keeps a promise: unknown, or plain text to whoever asks for it",
                    "write sslmode=verify-full or verify-ca; or disable, on a network that you trust",
                ),
                PostgresOpenError::TlsFiles => (
                    "its sslrootcert, sslcert and sslkey do not fit together, or sslmode has no use for them",
                    "give sslcert and sslkey together, and with any of the three sslmode=verify-full",
                ),
                _ => (
                    "it is not the address of a PostgreSQL database",
                    "write postgres://user:password@host:5432/database, with special characters of the password percent-encoded",
                ),
            };
            let why = "without its database the server could only answer 503 (D7)";
            reader.report(Setting::DATABASE_URL, what, why, fix);
            None
        }
    }
}

fn read_timeout(reader: &mut Reader) -> Duration {
    let bounds = Bounds {
        least: Duration::from_millis(1),
        most: Duration::from_secs(30),
        why: "a store that hangs must become a 503 soon; without a bound the requests pile up behind it",
        example: "500ms",
    };
    duration::read(reader, Setting::STORE_TIMEOUT, &bounds).unwrap_or(Duration::from_millis(500))
}
