//! Where PostgreSQL is and who asks, read once. Holds a password, so it never prints itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::error::PostgresOpenError;

/// `postgres://user:password@host:5432/database`, parsed. Of several hosts, separated by commas, the first that answers is used.
///
/// ```
/// use jackline::postgres::PostgresUrl;
///
/// let url: PostgresUrl = "postgres://app:secret@127.0.0.1/app".parse()?;
/// assert_eq!(url.place(), "postgres://127.0.0.1:5432/app");
/// # Ok::<(), jackline::postgres::PostgresOpenError>(())
/// ```
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Arc<Config>,
}

impl PostgresUrl {
    /// Where it leads, without user, password or options: `postgres://db.example:5432/app`.
    #[must_use]
    pub fn place(&self) -> String {
        let database = self.config.get_dbname().unwrap_or_default();
        format!("postgres://{}/{database}", self.address())
    }

    /// Hosts and ports.
    pub(super) fn address(&self) -> String {
        let ports = self.config.get_ports();
        let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate();
        let named: Vec<_> = hosts
            .map(|(place, host)| match host {
                Host::Tcp(name) => format!("{name}:{}", port(place)),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        named.join(",")
    }
}

impl FromStr for PostgresUrl {
    type Err = PostgresOpenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(PostgresOpenError::Url)?;
        // An unencoded `@` in a password would make part of it the host, which messages name.
        if rest.matches('@').count() > 1 {
            return Err(PostgresOpenError::Url);
        }
        if ["sslmode=require", "sslmode=verify"]
            .iter()
            .any(|mode| rest.contains(mode))
        {
            return Err(PostgresOpenError::Unsupported);
        }
        // The client's own message may quote what it could not read.
        let config: Config = text.parse().map_err(|_| PostgresOpenError::Url)?;
        if config.get_hosts().is_empty() {
            return Err(PostgresOpenError::Url);
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(PostgresOpenError::Unsupported);
        }
        Ok(Self {
            config: Arc::new(config),
        })
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.place())
    }
}
