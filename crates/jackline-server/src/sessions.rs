//! The engine that the settings describe, and `jackline sessions`: what `serve` and the commands beside it agree on.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jackline::clock::{Clock, SystemClock};
use jackline::cookie::{CookieForm, CookieSpec, Keyring, SigningKey};
use jackline::engine::{CsrfDefence, Engine, Environment};
use jackline::events::EventHook;
use jackline::lifecycle::{AbsoluteLimit, IdleLimit, OwnerId, Policy, Role, SessionCap};
use jackline::proxy::TrustedProxies;
use jackline::session::SessionInfo;
use jackline::store::Store;
use jackline::store::encrypted::{EncryptedStore, EncryptionKey, EncryptionKeys};
use jackline::store::memory::MemoryStore;
use jackline::store::near::{Announcements, NearCache, NearOptions};
use jackline::store::observed::ObservedStore;
use jackline::store::postgres::{PostgresOptions, PostgresStore};
use jackline::store::redis::express::{ExpressMapping, ExpressOptions, ExpressStore, Rekeyed};
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::sqlite::SqliteStore;
use jackline::token::Handle;

use crate::cli::SessionsCommand;
use crate::cli::user::EndSessions;
use crate::config::{Config, Deployment, Keyspace, RedisSettings, StoreEngine};
use crate::metrics::Recorders;
use crate::routes::sessions::rfc3339;
use crate::users::{self, PostgresUsers, SqliteUsers, UserId, Username, Users};

/// The name of the session store's file in the data folder.
pub const FILE_NAME: &str = "sessions.db";

/// How much longer the engine waits than the store itself, so that the store reports, and mends, its own silence.
const TIMEOUT_MARGIN: Duration = Duration::from_millis(50);

/// Opens the store and builds the engine.
///
/// # Errors
/// If the store cannot be opened; the message says which, and what to do (D7).
pub async fn engine(config: &Config) -> anyhow::Result<Engine> {
    engine_told_to(config, &Recorders::default(), []).await
}

/// The same, with the calls of the store being told to `recorders` and security events to `hooks`.
///
/// # Errors
/// As [`engine`].
pub async fn engine_told_to(
    config: &Config,
    recorders: &Recorders,
    hooks: impl IntoIterator<Item = Arc<dyn EventHook>>,
) -> anyhow::Result<Engine> {
    let folder = &config.data_dir;
    folder
        .create()
        .with_context(|| format!("cannot create {}", folder.path().display()))?;
    let keys = keyring(config)?;
    let mut csrf = CsrfDefence::new()
        .exempt_from_token(axum::http::Method::POST, "/login")
        // Whoever comes without a session has no token either. Its answer does.
        .exempt_from_token(axum::http::Method::POST, "/login/passkey/options")
        .exempt_from_token(axum::http::Method::POST, "/logout");
    for origin in config.front.public_origins() {
        csrf = csrf.trust(
            origin
                .as_str()
                .parse()
                .context("a public origin cannot be used")?,
        );
    }
    let environment = match config.deployment {
        Deployment::Production => Environment::Production,
        Deployment::Development => Environment::Development,
    };
    let mut builder = Engine::builder_with(open_store(config, recorders).await?, keys);
    if let Some(name) = config.cookie.express() {
        builder = builder.accept_express_cookie(cookie(config, name)?);
    }
    for hook in hooks {
        builder = builder.hook(hook);
    }
    Ok(builder
        .environment(environment)
        .cookie(cookie(config, config.cookie.name())?)
        .cookie_form(match config.store.keyspace {
            Keyspace::Native | Keyspace::Rekeyed(_) => CookieForm::Native,
            Keyspace::Express(_) => CookieForm::Express,
        })
        .policy(policy(config)?)
        .csrf(csrf)
        .trusted_proxies(trusted_proxies(config)?)
        .store_timeout((config.store.timeout + TIMEOUT_MARGIN).min(Duration::from_secs(30)))
        .build()?)
}

/// Whose forwarded headers count.
pub(crate) fn trusted_proxies(config: &Config) -> anyhow::Result<TrustedProxies> {
    let networks = config.front.trusted_proxies();
    Ok(TrustedProxies::new(networks.iter().copied())?)
}

fn cookie(config: &Config, name: &str) -> anyhow::Result<CookieSpec> {
    let mut cookie = CookieSpec::builder(name);
    if !config.cookie.secure() {
        cookie = cookie.danger_plain_http();
    }
    Ok(cookie.build()?)
}

pub(crate) fn keyring(config: &Config) -> anyhow::Result<Keyring> {
    let secrets = config.signing.secrets(&config.data_dir)?;
    let mut keys = secrets
        .iter()
        .map(|secret| SigningKey::new(secret.expose()));
    let first = keys.next().context("there is no signing secret")??;
    keys.try_fold(
        Keyring::new(first),
        |ring, key| Ok(ring.with_previous(key?)),
    )
}

fn policy(config: &Config) -> anyhow::Result<Policy> {
    let limits = &config.limits;
    Ok(Policy::builder(
        IdleLimit::new(limits.idle())?,
        AbsoluteLimit::new(limits.absolute())?,
    )
    .role_absolute(Role::admin(), AbsoluteLimit::new(limits.admin_absolute())?)
    .renewal_step(limits.renewal_step())
    .step_up_age(limits.step_up_age())
    .cap(SessionCap::PruneOldest(limits.max_sessions().get()))
    .build()?)
}

/// Opens the store, behind encryption and a near-cache if those are configured.
pub(crate) async fn open_store(
    config: &Config,
    recorders: &Recorders,
) -> anyhow::Result<Arc<dyn Store>> {
    let Some(near) = config.store.near_cache_bytes.map(NearOptions::new) else {
        return encrypted(
            config,
            observed(recorders, open_engine(config, None).await?),
        );
    };
    // In front of encryption, so that what is kept need not be decrypted each time.
    Ok(Arc::new(match &config.store.engine {
        StoreEngine::Redis(_) | StoreEngine::Postgres(_) => {
            let announcements = Announcements::new(near);
            let store = open_engine(config, Some(&announcements)).await?;
            let store = observed(recorders, store);
            NearCache::announced(encrypted(config, store)?, &announcements)
        }
        StoreEngine::Memory | StoreEngine::Sqlite => NearCache::in_process(
            encrypted(
                config,
                observed(recorders, open_engine(config, None).await?),
            )?,
            near,
        ),
    }))
}

/// Directly around the engine's store: what is told is what it was really asked.
fn observed(recorders: &Recorders, store: Arc<dyn Store>) -> Arc<dyn Store> {
    match recorders.is_empty() {
        true => store,
        false => Arc::new(ObservedStore::new(store, Arc::new(recorders.clone()))),
    }
}

fn encrypted(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Arc<dyn Store>> {
    let Some(encryption) = &config.encryption else {
        return Ok(store);
    };
    let mut keys = EncryptionKeys::new(EncryptionKey::new(encryption.current.expose())?);
    for previous in &encryption.previous {
        keys = keys.with_previous(EncryptionKey::new(previous.expose())?);
    }
    Ok(Arc::new(EncryptedStore::new(store, keys)))
}

async fn open_engine(
    config: &Config,
    announce_to: Option<&Announcements>,
) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match &config.store.engine {
        StoreEngine::Memory => Arc::new(MemoryStore::new()),
        StoreEngine::Sqlite => {
            let file = config.data_dir.file(FILE_NAME);
            let store = SqliteStore::open(&file)
                .with_context(|| format!("cannot open the session store {}", file.display()))?;
            Arc::new(store)
        }
        StoreEngine::Redis(redis) => match &config.store.keyspace {
            Keyspace::Native | Keyspace::Rekeyed(_) => {
                Arc::new(open_redis(redis, config.store.timeout, announce_to).await?)
            }
            Keyspace::Express(mapping) => {
                Arc::new(open_express(config, redis, mapping, config.cookie.name()).await?)
            }
        },
        StoreEngine::Postgres(url) => {
            let options = postgres_options(config.store.timeout);
            let store = match announce_to {
                Some(announcements) => PostgresStore::announcing(url, options, announcements).await,
                None => PostgresStore::connect(url, options).await,
            };
            Arc::new(store.with_context(|| {
                format!(
                    "cannot keep sessions where DATABASE_URL says, {}",
                    url.place()
                )
            })?)
        }
    })
}

pub(crate) async fn open_redis(
    redis: &RedisSettings,
    timeout: Duration,
    announce_to: Option<&Announcements>,
) -> anyhow::Result<RedisStore> {
    let mut options = redis_options(redis, timeout)?;
    if let Some(announcements) = announce_to {
        options = options.announce_to(announcements);
    }
    RedisStore::connect(redis.url.expose(), options)
        .await
        .with_context(|| unusable(redis))
}

async fn open_express(
    config: &Config,
    redis: &RedisSettings,
    mapping: &ExpressMapping,
    cookie_name: &str,
) -> anyhow::Result<ExpressStore> {
    let options = ExpressOptions {
        redis: redis_options(redis, config.store.timeout)?,
        mapping: mapping.clone(),
        policy: policy(config)?,
        cookie: cookie(config, cookie_name)?,
    };
    ExpressStore::connect(redis.url.expose(), options)
        .await
        .with_context(|| unusable(redis))
}

fn unusable(redis: &RedisSettings) -> String {
    format!(
        "cannot use the session store that REDIS_URL names, {}",
        redis.url.place()
    )
}

fn redis_options(redis: &RedisSettings, timeout: Duration) -> anyhow::Result<RedisOptions> {
    let read = |variable: &str, file: &Path| {
        std::fs::read(file)
            .with_context(|| format!("cannot read {}, which {variable} names", file.display()))
    };
    let mut options = RedisOptions::default()
        .response_timeout(timeout)
        .connection_timeout(timeout);
    if let Some(file) = &redis.ca_file {
        options = options.certificate_authority(read("REDIS_CA_FILE", file)?);
    }
    if let Some((certificate, key)) = &redis.certificate {
        options = options.client_certificate(
            read("REDIS_CERT_FILE", certificate)?,
            read("REDIS_KEY_FILE", key)?,
        );
    }
    if let Some(user) = &redis.sentinel_user {
        options = options.sentinel_user(&user.name, user.password.as_str());
    }
    Ok(options)
}

fn postgres_options(timeout: Duration) -> PostgresOptions {
    PostgresOptions::default()
        .response_timeout(timeout)
        .connection_timeout(timeout)
}

/// Opens the users, wherever the settings keep them.
///
/// # Errors
/// If they cannot be opened; the message says which file or database.
pub async fn open_users(config: &Config) -> anyhow::Result<Users> {
    let users = open_table(config).await?;
    Ok(match config.deployment.is_production() {
        true => users.without_demo_user(),
        false => users,
    })
}

async fn open_table(config: &Config) -> anyhow::Result<Users> {
    if let Some(url) = &config.store.database {
        let users = PostgresUsers::connect(url, postgres_options(config.store.timeout)).await;
        let users = users.with_context(|| {
            format!("cannot keep users where DATABASE_URL says, {}", url.place())
        })?;
        return Ok(Users::new(users));
    }
    let file = config.data_dir.file(users::FILE_NAME);
    let users = SqliteUsers::open(&file)
        .await
        .with_context(|| format!("cannot use {}", file.display()))?;
    Ok(Users::new(users))
}

/// Lists or ends a user's sessions, or moves those that were shared with Express.
///
/// # Errors
///
/// If there is no such user or session, or the store fails.
pub async fn run(config: Config, command: SessionsCommand) -> anyhow::Result<()> {
    let said = match command {
        SessionsCommand::Rekey => rekey(&config).await?,
        SessionsCommand::List { user, json } => list(&config, &user, json).await?,
        SessionsCommand::End { user, handle, .. } => end(&config, &user, handle).await?,
    };
    let mut out = std::io::stdout();
    out.write_all(said.as_bytes())
        .and_then(|()| out.flush())
        .context("done, but cannot print so")
}

async fn rekey(config: &Config) -> anyhow::Result<String> {
    let (Keyspace::Rekeyed(mapping), Some(cookie_name)) =
        (&config.store.keyspace, config.cookie.express())
    else {
        anyhow::bail!(
            "run it with the settings that the server starts with next: without JACKLINE_KEYSPACE=express, and with \
             JACKLINE_EXPRESS_COOKIE naming the cookie that the browsers have, such as connect.sid"
        );
    };
    let StoreEngine::Redis(redis) = &config.store.engine else {
        anyhow::bail!("sessions that were shared with Express are in Redis: set REDIS_URL");
    };
    let from = open_express(config, redis, mapping, cookie_name).await?;
    let to = encrypted(config, open_engine(config, None).await?)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Rekeyed {
        moved,
        over,
        unreadable,
    } = from.rekey(&to, &clock).await.context(
        "not all sessions have moved; run it again before any server starts, or those that have not are logged out",
    )?;
    let mut said = format!("{moved} sessions moved; {over} had ended\n");
    if unreadable > 0 {
        said.push_str(&format!(
            "{unreadable} records are no sessions, or cannot be read, and stay as they are\n"
        ));
    }
    Ok(said)
}

async fn list(config: &Config, user: &Username, json: bool) -> anyhow::Result<String> {
    let (engine, users) = (engine(config).await?, open_users(config).await?);
    let owner = owner(&users, user.as_str()).await?;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let (mut sessions, next) = engine.sessions_of(&owner, after).await?;
        all.append(&mut sessions);
        match next {
            None => break,
            next => after = next,
        }
    }
    if json { as_json(&all) } else { Ok(table(&all)) }
}

/// Ends the session of that name, or all.
async fn end(config: &Config, user: &Username, handle: Option<String>) -> anyhow::Result<String> {
    let (engine, users) = (engine(config).await?, open_users(config).await?);
    let owner = owner(&users, user.as_str()).await?;
    let Some(handle) = handle.map(Handle::from_text) else {
        let ended = engine.end_all(&owner, "ended_by_administrator").await?;
        return Ok(format!("{ended} of {user}'s sessions ended\n"));
    };
    if !engine.end_session(&owner, &handle).await? {
        anyhow::bail!(
            "{user} has no session {handle}; `jackline sessions list --user {user}` names all"
        );
    }
    Ok(format!("{user}'s session {handle} ended\n"))
}

async fn owner(users: &Users, name: &str) -> anyhow::Result<OwnerId> {
    let id = users
        .find_id(name)
        .await?
        .with_context(|| format!("there is no user {name}; `jackline user list` names all"))?;
    Ok(OwnerId::new(id.as_str())?)
}

fn as_json(sessions: &[SessionInfo]) -> anyhow::Result<String> {
    let listed: Vec<_> = sessions
        .iter()
        .map(crate::routes::sessions::Listed::from)
        .collect();
    Ok(format!("{}\n", serde_json::to_string(&listed)?))
}

fn table(sessions: &[SessionInfo]) -> String {
    let mut table = format!(
        "{:16}  {:24}  {:24}  DEVICE\n",
        "HANDLE", "LOGGED IN", "LAST SEEN"
    );
    for session in sessions {
        table.push_str(&format!(
            "{:16}  {:24}  {:24}  {}\n",
            session.handle.as_str(),
            rfc3339(session.logged_in),
            rfc3339(session.last_seen),
            session.origin.agent.display_name()
        ));
    }
    table
}

/// Ends sessions in the configured store.
#[derive(Debug)]
pub struct StoredSessions(Engine);

impl StoredSessions {
    /// Opens the configured store.
    ///
    /// # Errors
    /// As [`engine`].
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self(engine(config).await?))
    }
}

impl EndSessions for StoredSessions {
    async fn end_all(&self, user: &UserId) -> anyhow::Result<u64> {
        let owner = OwnerId::new(user.as_str())?;
        Ok(self
            .0
            .end_all(&owner, "user_changed_by_administrator")
            .await?)
    }
}
