//! Stores full of sessions. Each is filled by its own means with copies of one session, which was logged in through the library.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jackline::lifecycle::{Identity, OwnerId, Policy, Record, Role, SessionCap, UnixMs};
use jackline::origin::Origin;
use jackline::store::postgres::{PostgresOptions, PostgresStore};
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::sqlite::SqliteStore;
use jackline::store::{Admission, Epoch, Store};
use jackline::token::{Bucket, SessionKey, SessionToken};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use testkit::postgres::{PostgresServer, client};
use testkit::redis::RedisServer;

use crate::cpu::{Server, parent};

/// What express-session and connect-redis keep of the same session.
const PEER: &str = r#"{"cookie":{"originalMaxAge":1800000,"expires":"2026-01-01T00:30:00.000Z","secure":true,"httpOnly":true,"path":"/","sameSite":"lax"},"userId":"user-1234567","username":"user-1234567","role":"user","createdAt":1767225600000,"lastSeen":1767225600000,"views":1}"#;
const PEERS: u32 = 10_000;
/// How many sessions are put into Redis at once, and into a table.
const BATCH: u64 = 500;
const ROWS: u64 = 250_000;

/// A store, and what it takes to look at it from beside.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) server: Server,
    beside: Beside,
}

enum Beside {
    Redis(RedisServer, f64),
    Sqlite(tempfile::TempDir, Arc<SqliteStore>),
    Postgres {
        beside: tokio_postgres::Client,
        _server: PostgresServer,
    },
}

fn digest(number: u64) -> [u8; 32] {
    Sha256::digest(number.to_be_bytes()).into()
}

/// The key of a session by its number.
pub(crate) fn key(number: u64) -> SessionKey {
    let digest = digest(number);
    let bucket = Bucket::from_number(u16::from_be_bytes([digest[0], digest[1]]));
    SessionKey::from_parts(bucket, digest)
}

/// Logs one session in, which all others are copies of.
async fn log_in(store: &dyn Store, now: UnixMs) -> SessionKey {
    let owner = OwnerId::new("user-1234567").unwrap();
    let identity = Identity::new(owner.clone(), "user-1234567", Role::user());
    let mut record = Record::logged_in(identity, &Policy::default(), Origin::default(), now);
    // As long as it takes.
    record.clocks.idle = Duration::from_secs(24 * 3600);
    record.clocks.ends = now.after(record.clocks.idle);
    let one = RawValue::from_string("1".to_owned()).unwrap();
    record.data.set("views", one);
    let key = SessionToken::from_random([7; 24], Bucket::of(&owner)).key();
    let admission = Admission {
        key: &key,
        record: &record,
        owner: &owner,
        epoch: Epoch::default(),
        cap: SessionCap::Unlimited,
        replaces: None,
    };
    store.admit(&admission, now).await.unwrap();
    key
}

impl Place {
    pub(crate) async fn redis(sessions: u64, now: UnixMs) -> Self {
        let server = RedisServer::start_with(&["--save", "", "--appendonly", "no"]).await;
        let patient = RedisOptions::default().response_timeout(Duration::from_secs(10));
        let store = RedisStore::connect(&server.url(), patient).await.unwrap();
        let key = log_in(&store, now).await;
        let own = URL_SAFE_NO_PAD.encode(key.digest());
        let names: Vec<String> = server.ask(&["KEYS", "*"]).await;
        let (sessions_name, index) = match names.as_slice() {
            [a, b] if a.starts_with("sess:") => (a, b),
            [b, a] => (a, b),
            other => panic!("a session and its owner's index, and not {other:?}"),
        };
        let line: String = server.ask(&["GET", sessions_name]).await;
        assert!(sessions_name.ends_with(&own));
        let started: f64 = server.ask(&["ZSCORE", index, &own]).await;
        let empty = used(&server).await;
        let mut connection = server.connection().await;
        let (started, ttl) = (started.to_string(), (24 * 3600 * 1000).to_string());
        for from in (0..sessions).step_by(BATCH as usize) {
            let mut batch = redis::pipe();
            for number in from..sessions.min(from + BATCH) {
                let digest = digest(number);
                let tag = URL_SAFE_NO_PAD.encode(&digest[..2]);
                let member = URL_SAFE_NO_PAD.encode(digest);
                let owner = URL_SAFE_NO_PAD.encode(Sha256::digest(member.as_bytes()));
                let index = format!("sess-owner:{{{tag}}}{owner}");
                let name = format!("sess:{{{tag}}}{member}");
                batch.cmd("SET").arg(&[&name, &line, "PX", &ttl]).ignore();
                batch.cmd("ZADD").arg(&[&index, &started, &member]).ignore();
                batch.cmd("PEXPIRE").arg(&[&index, &ttl]).ignore();
            }
            let () = batch.query_async(&mut connection).await.unwrap();
        }
        let process = server.info("process_id").await.unwrap().parse().unwrap();
        Self {
            store: Arc::new(store),
            server: Server::Process(process),
            beside: Beside::Redis(server, empty),
        }
    }

    pub(crate) async fn sqlite(sessions: u64, now: UnixMs) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sessions.db");
        let store = Arc::new(SqliteStore::open(&file).unwrap());
        log_in(&*store, now).await;
        let mut beside = rusqlite::Connection::open(&file).unwrap();
        // Nothing that is lost here would be missed.
        beside
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000")
            .unwrap();
        for from in (0..sessions).step_by(ROWS as usize) {
            let batch = beside.transaction().unwrap();
            {
                let copy = "INSERT INTO sessions \
                            SELECT ?1, ?2, ?3, started, seen, idle, ends, version, idle_deadline, reclaim_after, meta, data \
                            FROM sessions LIMIT 1";
                let mut copy = batch.prepare(copy).unwrap();
                for number in from..sessions.min(from + ROWS) {
                    let bytes = key(number).to_bytes();
                    let place = i64::from_be_bytes(*bytes.first_chunk().unwrap());
                    let owner = format!("user-{number:07}");
                    copy.execute((place, bytes.as_slice(), owner)).unwrap();
                }
            }
            batch.commit().unwrap();
        }
        let shorten = "PRAGMA wal_checkpoint(TRUNCATE)";
        let () = beside.query_row(shorten, [], |_| Ok(())).unwrap();
        Self {
            store: Arc::clone(&store) as Arc<dyn Store>,
            server: Server::None,
            beside: Beside::Sqlite(folder, store),
        }
    }

    pub(crate) async fn postgres(sessions: u64, now: UnixMs) -> Self {
        let server = PostgresServer::start().await;
        let url = server.new_database().await;
        let patient = PostgresOptions::default().response_timeout(Duration::from_secs(10));
        let store = PostgresStore::connect(&url.parse().unwrap(), patient)
            .await
            .unwrap();
        log_in(&store, now).await;
        let beside = client(&url).await;
        let settings = "SET synchronous_commit = off; SET maintenance_work_mem = '1GB'";
        beside.batch_execute(settings).await.unwrap();
        // Keys come in no order, as tokens do.
        let copy = "INSERT INTO jackline.sessions \
                    (key, owner, started, seen, idle, ends, version, meta, member_names, member_values) \
                    SELECT substr(sha256(int8send(n)), 1, 2) || sha256(int8send(n)), 'user-' || lpad(n::text, 7, '0'), \
                    started, seen, idle, ends, version, meta, member_names, member_values \
                    FROM jackline.sessions, generate_series($1::bigint, $2::bigint) AS n WHERE id = 1";
        for from in (0..sessions).step_by(ROWS as usize) {
            let to = sessions.min(from + ROWS) - 1;
            let range: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
                [&from.cast_signed(), &to.cast_signed()];
            beside.execute(copy, &range).await.unwrap();
        }
        for step in ["VACUUM ANALYZE jackline.sessions", "CHECKPOINT"] {
            beside.batch_execute(step).await.unwrap();
        }
        let row = beside.query_one("SELECT pg_backend_pid()", &[]).await;
        let backend: i32 = row.unwrap().get(0);
        let postmaster = parent(backend.cast_unsigned()).unwrap();
        Self {
            store: Arc::new(store),
            server: Server::ChildrenOf(postmaster),
            beside: Beside::Postgres {
                beside,
                _server: server,
            },
        }
    }

    /// How much room all sessions take, with everything that finds them.
    pub(crate) async fn bytes(&self) -> f64 {
        match &self.beside {
            Beside::Redis(server, empty) => used(server).await - empty,
            Beside::Sqlite(folder, _) => std::fs::metadata(folder.path().join("sessions.db"))
                .unwrap()
                .len() as f64,
            Beside::Postgres { beside, .. } => {
                let size = "SELECT pg_total_relation_size('jackline.sessions')";
                let row = beside.query_one(size, &[]).await.unwrap();
                row.get::<_, i64>(0) as f64
            }
        }
    }

    /// The same for one session as Express keeps it, where that shares a store with us.
    pub(crate) async fn peer_bytes(&self) -> Option<f64> {
        let Beside::Redis(server, _) = &self.beside else {
            return None;
        };
        let before = used(server).await;
        let mut connection = server.connection().await;
        let mut batch = redis::pipe();
        for number in 0..PEERS {
            let id = URL_SAFE_NO_PAD.encode(&digest(number.into())[..24]);
            let name = format!("express:{id}");
            batch.cmd("SET").arg(&[&name, PEER, "EX", "86400"]).ignore();
        }
        let () = batch.query_async(&mut connection).await.unwrap();
        drop(connection);
        Some((used(server).await - before) / f64::from(PEERS))
    }

    /// How often it has waited for the disk, as far as it says.
    pub(crate) async fn syncs(&self) -> f64 {
        match &self.beside {
            Beside::Redis(..) => 0.0,
            // One for each transaction.
            Beside::Sqlite(_, store) => store.transactions() as f64,
            Beside::Postgres { beside, .. } => {
                let syncs = "SELECT wal_sync FROM pg_stat_wal";
                let row = beside.query_one(syncs, &[]).await.unwrap();
                row.get::<_, i64>(0) as f64
            }
        }
    }

    /// Lets the first so many sessions run out.
    pub(crate) async fn expire(&self, how_many: u64) {
        match &self.beside {
            Beside::Redis(..) => {}
            Beside::Sqlite(folder, _) => {
                let beside = rusqlite::Connection::open(folder.path().join("sessions.db"));
                let beside = beside.unwrap();
                beside.busy_timeout(Duration::from_secs(10)).unwrap();
                let expire = "UPDATE sessions SET seen = 1, idle_deadline = 2, reclaim_after = 3 WHERE owner < ?1";
                let first = format!("user-{how_many:07}");
                beside.execute(expire, [first]).unwrap();
            }
            Beside::Postgres { beside, .. } => {
                let expire = "UPDATE jackline.sessions SET seen = 1, idle = 1 WHERE id <= $1";
                beside
                    .execute(expire, &[&how_many.cast_signed()])
                    .await
                    .unwrap();
            }
        }
    }
}

async fn used(server: &RedisServer) -> f64 {
    server.info("used_memory").await.unwrap().parse().unwrap()
}
