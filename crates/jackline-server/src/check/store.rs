//! The configured store itself: whether it is there and takes writes, whether users that are kept elsewhere can be read (D7), and
//! whether what has run out leaves it (D9).

use std::sync::Arc;
use std::time::Duration;

use jackline::lifecycle::UnixMs;
use jackline::store::Store;
use jackline::store::redis::RedisStore;

use super::report::Report;
use super::topic::Topic;
use crate::config::{Config, StoreEngine};
use crate::metrics::Recorders;
use crate::sessions;

/// How long the store may take, whatever the settings say: somebody waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a record may lie about after it has run out. The server reclaims every half minute.
const LINGER: Duration = Duration::from_secs(10 * 60);

/// How many names in Redis are looked at.
const SAMPLE: u32 = 5_000;

/// `server_runs` is whether a server with these settings was seen.
pub(super) async fn look(config: &Config, server_runs: bool, now_ms: i64, report: &mut Report) {
    let both = [Topic::STORE, Topic::NO_EXPIRY];
    match &config.store.engine {
        StoreEngine::Memory => {
            report.fine(Topic::STORE, "memory");
            report.fine(Topic::NO_EXPIRY, "they go with the process");
            return;
        }
        StoreEngine::Sqlite => {
            let file = config.data_dir.file(sessions::FILE_NAME);
            // Opening it would make it.
            if !file.exists() {
                let reason = format!("the first start makes {}", file.display());
                report.rest_unchecked(&both, &reason);
                return;
            }
        }
        StoreEngine::Redis(_) | StoreEngine::Postgres(_) => {}
    }
    let opened = tokio::time::timeout(PATIENCE, open(config));
    let opened = opened.await.unwrap_or_else(|_| {
        Err(Broken {
            error: anyhow::anyhow!("the session store does not answer within {PATIENCE:?}"),
            fix: how_to_mend(config),
        })
    });
    match opened {
        Ok(store) => {
            report.fine(Topic::STORE, place(config));
            expiry(config, store.as_ref(), server_runs, now_ms, report).await;
        }
        Err(Broken { error, fix }) => {
            report.wrong(
                Topic::STORE,
                format!("{error:#}"),
                "the server does not start without its store",
                fix,
            );
            report.rest_unchecked(&both, "the store does not answer: mend D7 first");
        }
    }
}

struct Broken {
    error: anyhow::Error,
    fix: String,
}

async fn open(config: &Config) -> Result<Arc<dyn Store>, Broken> {
    if config.store.database.is_some() {
        let users = async { anyhow::Ok(sessions::open_users(config).await?.ready().await?) };
        users.await.map_err(|error| Broken {
            error,
            fix: MEND_POSTGRES.to_owned(),
        })?;
    }
    let store = async {
        let store = sessions::open_store(config, &Recorders::default()).await?;
        store.ping().await?;
        anyhow::Ok(store)
    };
    store.await.map_err(|error| Broken {
        error,
        fix: how_to_mend(config),
    })
}

fn place(config: &Config) -> String {
    match &config.store.engine {
        StoreEngine::Redis(redis) => redis.url.place(),
        StoreEngine::Postgres(url) => url.place(),
        StoreEngine::Sqlite | StoreEngine::Memory => config
            .data_dir
            .file(sessions::FILE_NAME)
            .display()
            .to_string(),
    }
}

fn how_to_mend(config: &Config) -> String {
    match &config.store.engine {
        StoreEngine::Redis(_) => {
            "start Redis, or correct REDIS_URL; then try: redis-cli -u \"$REDIS_URL\" ping"
                .to_owned()
        }
        StoreEngine::Postgres(_) => MEND_POSTGRES.to_owned(),
        StoreEngine::Sqlite | StoreEngine::Memory => format!(
            "let the server's user write there: ls -la {}",
            config.data_dir.path().display()
        ),
    }
}

const MEND_POSTGRES: &str =
    "start PostgreSQL, or correct DATABASE_URL; then try: psql \"$DATABASE_URL\" -c 'SELECT 1'";

async fn expiry(
    config: &Config,
    store: &dyn Store,
    server_runs: bool,
    now_ms: i64,
    report: &mut Report,
) {
    if let StoreEngine::Redis(settings) = &config.store.engine {
        match sessions::open_redis(settings, config.store.timeout, None).await {
            Ok(store) => redis(&store, report).await,
            Err(error) => report.unchecked(Topic::NO_EXPIRY, format!("{error:#}")),
        }
        return;
    }
    if !server_runs {
        report.unchecked(
            Topic::NO_EXPIRY,
            "no server runs here that would clear them away",
        );
        return;
    }
    let long_ago = u64::try_from(now_ms)
        .unwrap_or(0)
        .saturating_sub(u64::try_from(LINGER.as_millis()).unwrap_or(u64::MAX));
    // One, not all of them: who asks again after this should get the same answer.
    match store.reclaim(1, UnixMs::from_millis(long_ago)).await {
        Ok(0) => report.fine(Topic::NO_EXPIRY, "none lies about"),
        Ok(_) => report.wrong(
            Topic::NO_EXPIRY,
            format!("sessions that ran out more than {} ago are still there", humantime::format_duration(LINGER)),
            "the store grows without end; what has run out opens nothing, but is readable to whoever reads the store",
            "the running server clears them away every half minute: look for its errors in the log (a full disk?), and start it again",
        ),
        Err(error) => report.unchecked(Topic::NO_EXPIRY, error.to_string()),
    }
}

async fn redis(store: &RedisStore, report: &mut Report) {
    match store.sample_expiry(SAMPLE).await {
        Ok(sample) if sample.endless == 0 => {
            report.fine(Topic::NO_EXPIRY, format!("{} looked at", sample.seen));
        }
        Ok(sample) => report.wrong(
            Topic::NO_EXPIRY,
            format!("{} of {} sessions looked at have no TTL", sample.endless, sample.seen),
            "something other than jackline wrote or changed them, and Redis keeps them for ever",
            "find what else writes there (redis-cli -u \"$REDIS_URL\" client list), and give each a TTL: redis-cli -u \"$REDIS_URL\" --scan --pattern 'sess:*' | \
             while read -r k; do redis-cli -u \"$REDIS_URL\" expire \"$k\" 1800 NX; done",
        ),
        Err(error) => report.unchecked(Topic::NO_EXPIRY, error.to_string()),
    }
}
