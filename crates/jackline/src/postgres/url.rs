//! Where PostgreSQL is and who asks, read once. Holds a password, so it never prints itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use zeroize::Zeroizing;

use super::error::PostgresOpenError;
use super::tls::{Protection, Tls};

/// `postgres://user:password@host:5432/database`, parsed. Of several hosts, separated by commas, the first that answers is used.
///
/// The option `sslmode` is `disable`, `verify-ca` (to a server whose certificate is from a trusted authority) or `verify-full` (and is for
/// this host); `require`, which many a provider writes, is `verify-full` here. Without it, a connection to this machine is plain and every other is
/// `verify-full`. `sslrootcert` names a file with the authorities that are trusted, instead of those that browsers trust;
/// `sslcert` and `sslkey` are the client's own. All are PEM. `prefer` and `allow` are refused: they are plain text to whoever
/// asks for it.
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
    pub(super) tls: Arc<Tls>,
}

impl PostgresUrl {
    /// Where it leads, without user, password or options: `postgres://db.example:5432/app`.
    #[must_use]
    pub fn place(&self) -> String {
        let database = self.config.get_dbname().unwrap_or_default();
        format!("postgres://{}/{database}", self.address())
    }

    /// What stands between the connection and somebody who sits in the network.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.tls.protection(&self.config)
    }

    /// Hosts and ports.
    pub(crate) fn address(&self) -> String {
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
        let mut tls = Tls::default();
        let plain = without_tls(text, &mut tls)?;
        // The client's own message may quote what it could not read.
        let mut config: Config = plain.parse().map_err(|_| PostgresOpenError::Url)?;
        if config.get_hosts().is_empty() {
            return Err(PostgresOpenError::Url);
        }
        tls.settle(&mut config)?;
        Ok(Self {
            config: Arc::new(config),
            tls: Arc::new(tls),
        })
    }
}

/// Takes the options of TLS, of which the client knows few, out of an address.
fn without_tls(text: &str, tls: &mut Tls) -> Result<Zeroizing<String>, PostgresOpenError> {
    let (address, options) = text.split_once('?').unwrap_or((text, ""));
    let mut kept = Zeroizing::new(address.to_owned());
    let mut mark = '?';
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| PostgresOpenError::Url)?;
        match tls.take(name, &value) {
            Some(taken) => taken?,
            None => {
                kept.push(mark);
                kept.push_str(option);
                mark = '&';
            }
        }
    }
    Ok(kept)
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.place())
    }
}
