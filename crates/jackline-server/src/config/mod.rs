//! The settings, read once. What comes out of [`parse`] can be served: every value has a type that cannot be wrong, every combination
//! that browsers or attackers punish has been refused, and all mistakes are in one message that says what to do and holds no secret.
//!
//! Settings come from the environment, which wins, from `.env`, and from `jackline.toml`, in this order. Nothing here reads the
//! process's environment or the clock: [`parse`] is a function of its arguments, never panics, and is tested (and fuzzed) as such.

mod cookie;
mod data_dir;
mod deployment;
mod duration;
mod environment;
mod kept_secret;
mod keyspace;
mod limits;
mod listen;
mod load;
mod log;
mod metrics;
mod mistake;
mod names;
mod near;
mod otlp;
mod proxies;
mod redis;
mod secrets;
mod shutdown;
mod source;
mod store;
mod tls;
mod webhook;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

pub use self::cookie::CookieSettings;
pub use self::data_dir::DataDir;
pub use self::deployment::Deployment;
pub use self::environment::Environment;
pub use self::kept_secret::KeptSecretError;
pub use self::keyspace::Keyspace;
pub use self::limits::SessionLimits;
pub use self::load::{SettingsFile, files, load};
pub use self::log::{LogFilter, LogFormat};
pub use self::mistake::{Mistake, Mistakes};
pub use self::otlp::OtlpEndpoint;
pub use self::proxies::{Front, PublicOrigin};
pub use self::redis::{RedisSettings, RedisUrl, SentinelUser};
pub use self::secrets::{Encryption, LEAST_SECRET_BYTES, Secret, Signing, WeakSecret};
pub use self::store::{StoreEngine, StoreSettings};
pub use self::tls::TlsFiles;
pub(crate) use self::webhook::SECRET_PREFIX as WEBHOOK_SECRET_PREFIX;
pub use self::webhook::{WebhookSecret, WebhookSettings, WebhookUrl};

/// All settings. Made by [`parse`] or [`load`] only.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Development or production.
    pub deployment: Deployment,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Under which certificate to speak https; `None` for plain http.
    pub tls: Option<TlsFiles>,
    /// The proxies before the server and the origins the world sees.
    pub front: Front,
    /// How many logins may fail in a row on one account before the next has to wait. Default 5.
    pub login_attempts: NonZeroU32,
    /// The session cookie.
    pub cookie: CookieSettings,
    /// What signs it.
    pub signing: Signing,
    /// What encrypts the data of sessions in the store; `None` if it is kept in plain text.
    pub encryption: Option<Encryption>,
    /// How long sessions last and how many a user has.
    pub limits: SessionLimits,
    /// Where they are kept.
    pub store: StoreSettings,
    /// Where embedded data lives.
    pub data_dir: DataDir,
    /// How long requests that are under way may take once the server was told to stop.
    pub shutdown_timeout: Duration,
    /// Where metrics are served; `None` for nowhere, and then none are kept.
    pub metrics: Option<SocketAddr>,
    /// Where traces and metrics are sent; `None` for nowhere.
    pub otlp: Option<OtlpEndpoint>,
    /// Where security events are sent for a program to act on; `None` for nowhere.
    pub webhook: Option<WebhookSettings>,
    /// How lines of the log are written.
    pub log_format: LogFormat,
    /// What is logged besides security events.
    pub log: LogFilter,
}

/// Reads all settings from an environment and, if there is one, the text of `jackline.toml`.
///
/// # Examples
///
/// ```
/// use jackline_server::config::{self, Environment};
///
/// let config = config::parse(&Environment::from_iter([("PORT", "8080")]), None)?;
/// assert_eq!(config.listen.port(), 8080);
/// assert_eq!(config.cookie.name(), "sid");
///
/// let mistakes = config::parse(&Environment::from_iter([("PORT", "eighty")]), None).unwrap_err();
/// assert!(mistakes.concern("PORT"));
/// # Ok::<(), config::Mistakes>(())
/// ```
///
/// # Errors
///
/// [`Mistakes`] holds every mistake there is, so that one correction is enough.
pub fn parse(environment: &Environment, file: Option<&str>) -> Result<Config, Mistakes> {
    let mut reader = source::Reader::new(environment, file);
    let deployment = deployment::read(&mut reader);
    let keyspace = keyspace::read(&mut reader);
    let cookie = cookie::read(&mut reader, deployment, &keyspace);
    let signing = secrets::read(&mut reader, deployment, environment);
    let tls = tls::read(&mut reader);
    let config = Config {
        deployment,
        listen: listen::read(&mut reader),
        front: proxies::read(&mut reader, deployment, &cookie, tls.is_some()),
        tls,
        cookie,
        encryption: secrets::read_encryption(&mut reader, &signing),
        signing,
        limits: limits::read(&mut reader),
        login_attempts: limits::read_login_attempts(&mut reader, deployment),
        store: store::read(&mut reader, deployment, keyspace),
        data_dir: data_dir::read(&mut reader),
        shutdown_timeout: shutdown::read(&mut reader),
        metrics: metrics::read(&mut reader),
        otlp: otlp::read(&mut reader),
        webhook: webhook::read(&mut reader, deployment),
        log_format: log::read_format(&mut reader, deployment),
        log: log::read(&mut reader),
    };
    // A mistake leaves a default behind in `config`, so that all subjects are read; it must not get out.
    reader.finish().map(|()| config)
}

/// The environment variables of all settings.
pub fn variable_names() -> impl Iterator<Item = &'static str> {
    names::Setting::ALL
        .iter()
        .map(|setting| setting.variable)
        .chain([names::CONFIG_VARIABLE])
}
