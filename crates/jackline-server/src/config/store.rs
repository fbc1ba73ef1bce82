//! Where sessions are kept, and how long a store may take. Exactly one engine comes out.

use std::time::Duration;

use super::deployment::Deployment;
use super::duration::{self, Bounds};
use super::names::Setting;
use super::redis::{self, RedisSettings};
use super::source::Reader;

/// The session store as configured.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// What keeps the sessions.
    pub engine: StoreEngine,
    /// After how long an unanswered store call counts as failed, and the request gets `503`. Default 500 ms, at most 30 s.
    pub timeout: Duration,
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
    /// The process's memory. In development only: a restart logs everybody out, and a second instance knows nobody (P2).
    Memory,
}

/// How records are laid out in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyspace {
    /// Jackline's own: the store sees hashes of tokens only.
    Native,
}

pub(crate) fn read(reader: &mut Reader, deployment: Deployment) -> StoreSettings {
    StoreSettings {
        engine: read_engine(reader, deployment),
        timeout: read_timeout(reader),
        keyspace: read_keyspace(reader),
    }
}

fn read_engine(reader: &mut Reader, deployment: Deployment) -> StoreEngine {
    refuse_database_url(reader);
    let redis = redis::read(reader).map(Box::new);
    let redis_is_given = reader.is_given(Setting::REDIS_URL);
    let chosen = reader.one(Setting::STORE).map(str::to_owned);
    let engine = match chosen.as_deref() {
        None => return redis.map_or(StoreEngine::Sqlite, StoreEngine::Redis),
        Some("redis") => {
            if !redis_is_given {
                reader.report(
                    Setting::STORE,
                    "it is `redis`, and REDIS_URL is not set",
                    "it is not known where Redis is",
                    "set REDIS_URL, such as redis://127.0.0.1:6379",
                );
            }
            return redis.map_or(StoreEngine::Sqlite, StoreEngine::Redis);
        }
        Some("sqlite") => StoreEngine::Sqlite,
        Some("memory") => StoreEngine::Memory,
        Some(other) => {
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::STORE,
                what,
                "there is no such store",
                "write `sqlite` or `redis`, or `memory` in development; or leave it out",
            );
            return StoreEngine::Sqlite;
        }
    };
    if matches!(engine, StoreEngine::Memory) && deployment.is_production() {
        reader.report(
            Setting::STORE,
            "it is `memory`, in production",
            "a restart would log everybody out, and a second instance would know nobody (P2)",
            "leave it out for SQLite in the data folder, or set REDIS_URL",
        );
    }
    if redis_is_given {
        reader.report(
            Setting::STORE,
            "it names another store, and REDIS_URL is set too",
            "sessions would be kept where nobody looks for them",
            "unset one of the two",
        );
    }
    engine
}

fn refuse_database_url(reader: &mut Reader) {
    if !reader.is_given(Setting::DATABASE_URL) {
        return;
    }
    if reader.is_given(Setting::REDIS_URL) {
        reader.report(
            Setting::DATABASE_URL,
            "REDIS_URL is set as well",
            "sessions live in one store; in which of the two must not be guessed",
            "unset one of them. Only REDIS_URL works in this version: PostgreSQL comes with a later one",
        );
        return;
    }
    reader.report(
        Setting::DATABASE_URL,
        "it is set",
        "this version keeps sessions in SQLite or Redis; PostgreSQL comes with a later version, \
         and sessions must not silently go elsewhere",
        "unset it for SQLite in the data folder, or set REDIS_URL instead",
    );
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

fn read_keyspace(reader: &mut Reader) -> Keyspace {
    match reader.one(Setting::KEYSPACE) {
        None | Some("native") => {}
        Some("express") => reader.report(
            Setting::KEYSPACE,
            "it is `express`",
            "this version knows only its own layout; sharing sessions with Express comes with a later one",
            "leave it out, or write `native`",
        ),
        Some(other) => {
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::KEYSPACE,
                what,
                "there is no such layout, and records written in a wrong one are lost",
                "leave it out, or write `native`",
            );
        }
    }
    Keyspace::Native
}
