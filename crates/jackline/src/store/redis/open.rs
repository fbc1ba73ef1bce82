//! Opening the store: everything that can be wrong with a setting or a server is found here, at start, and said in a
//! sentence that tells what to do. No message holds a password; the address is named, because it is what one corrects.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use redis::{ProtocolVersion, RedisError};

use super::keys::Names;
use super::link::{Dialed, Dialer, Failure};

/// How a [`RedisStore`](super::RedisStore) talks to Redis.
///
/// ```
/// use std::time::Duration;
/// use jackline::store::redis::RedisOptions;
///
/// let options = RedisOptions::default()
///     .prefix("shop:sess:")
///     .response_timeout(Duration::from_millis(250));
/// ```
#[derive(Clone, Debug)]
pub struct RedisOptions {
    prefix: String,
    response_timeout: Duration,
    connection_timeout: Duration,
}

impl Default for RedisOptions {
    /// `sess:`, and 450 ms for each time-out: a little less than the engine's own, so that it is the store that notices a
    /// dead connection, and replaces it.
    fn default() -> Self {
        Self {
            prefix: "sess:".to_owned(),
            response_timeout: Duration::from_millis(450),
            connection_timeout: Duration::from_millis(450),
        }
    }
}

impl RedisOptions {
    /// What the names of all sessions begin with. Default: `sess:`. Applications that share a Redis need one each.
    ///
    /// Up to 64 letters, digits, dots, dashes, underscores and colons, ending with one colon.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long any call may take, reconnecting included. Default: 450 ms; keep it below the engine's time-out. When it has passed, the call fails with
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable).
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How long an attempt to connect may take, authentication included. Default: 450 ms. After an outage, service resumes
    /// within this time plus one second.
    #[must_use]
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }
}

/// Why the store cannot be opened, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The URL cannot be read.
    #[error(
        "the Redis URL cannot be read; it looks like redis://user:password@host:6379/0, with special characters of the \
         password percent-encoded"
    )]
    Url,
    /// The URL asks for something that this build cannot do.
    #[error(
        "this build cannot connect as the Redis URL asks (TLS, or a Unix socket); use redis://"
    )]
    Unsupported,
    /// The prefix will not do.
    #[error(
        "the key prefix must be up to 64 letters, digits, dots, dashes, underscores and colons, and end with one colon, \
         such as sess:"
    )]
    Prefix,
    /// A time-out is zero.
    #[error("the time-outs of Redis must be longer than zero; 500 ms is a good choice")]
    Timeout,
    /// Nothing listens.
    #[error("nothing accepts connections at {at}; start Redis there, or correct the URL")]
    Refused {
        /// Host and port.
        at: String,
    },
    /// The server cannot be reached.
    #[error(
        "Redis at {at} cannot be reached ({source}); check the host name, the network and the firewall"
    )]
    Unreachable {
        /// Host and port.
        at: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server does not answer.
    #[error(
        "Redis at {at} did not answer within {within:?}; check that it is Redis, that it is not busy, and whether it \
         wants TLS"
    )]
    TimedOut {
        /// Host and port.
        at: String,
        /// The connection time-out.
        within: Duration,
    },
    /// The server refuses the credentials.
    #[error(
        "Redis at {at} refuses the user and password in the URL, or asks for some that the URL lacks; correct them"
    )]
    Credentials {
        /// Host and port.
        at: String,
    },
    /// The server is too old.
    #[error("Redis at {at} is version {version}; version 6.2 or later, or Valkey, is needed")]
    TooOld {
        /// Host and port.
        at: String,
        /// Its version.
        version: String,
    },
}

/// A connection that works, and what it takes to make another.
pub(super) struct Opened {
    pub(super) names: Names,
    pub(super) dialer: Dialer,
    pub(super) first: Dialed,
}

/// Checks the settings, connects, and looks at the server.
pub(super) async fn open(url: &str, options: RedisOptions) -> Result<Opened, RedisOpenError> {
    let names = Names::new(&options.prefix).ok_or(RedisOpenError::Prefix)?;
    if options.response_timeout.is_zero() || options.connection_timeout.is_zero() {
        return Err(RedisOpenError::Timeout);
    }
    let info = connection_info(url)?;
    let at = info.addr().to_string();
    let client = Client::open(info).map_err(|_| RedisOpenError::Unsupported)?;
    let dialer = Dialer {
        client,
        connection_timeout: options.connection_timeout,
        response_timeout: options.response_timeout,
    };
    let mut first = match dialer.dial().await {
        Ok(dialed) => dialed,
        Err(error) => return Err(explain(&error, at, options.connection_timeout)),
    };
    let server = redis::cmd("INFO")
        .query_async::<String>(&mut first.connection)
        .await;
    match server {
        Ok(text) => look_at(&text, at)?,
        Err(error) if Failure::from(&error) == Failure::Refused("NOAUTH".to_owned()) => {
            return Err(RedisOpenError::Credentials { at });
        }
        // A user who may not ask, as is good practice (A6). What is missing shows when it is needed.
        Err(error) if error.code().is_some() => {}
        Err(error) => return Err(explain(&error, at, options.connection_timeout)),
    }
    Ok(Opened {
        names,
        dialer,
        first,
    })
}

fn connection_info(url: &str) -> Result<ConnectionInfo, RedisOpenError> {
    // An unencoded `/`, `?` or `#` in a password ends the address early, and part of the password is taken for the host.
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    let misread = address
        .split_once(['/', '?', '#'])
        .is_some_and(|(_, rest)| rest.contains('@'));
    if misread {
        return Err(RedisOpenError::Url);
    }
    let info = url.into_connection_info().map_err(|error| {
        // The client says so of a scheme that it knows and was built without.
        if url.starts_with("rediss:") || url.starts_with("valkeys:") || error.is_io_error() {
            RedisOpenError::Unsupported
        } else {
            RedisOpenError::Url
        }
    })?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Err(RedisOpenError::Unsupported);
    }
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    Ok(info
        // Requests are small and somebody waits for each.
        .set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(settings))
}

fn explain(error: &RedisError, at: String, within: Duration) -> RedisOpenError {
    if error.is_connection_refusal() {
        return RedisOpenError::Refused { at };
    }
    match Failure::from(error) {
        Failure::Io(std::io::ErrorKind::TimedOut) => RedisOpenError::TimedOut { at, within },
        Failure::Refused(code) if ["NOAUTH", "WRONGPASS"].contains(&code.as_str()) => {
            RedisOpenError::Credentials { at }
        }
        failure => RedisOpenError::Unreachable {
            at,
            source: Box::new(failure),
        },
    }
}

/// Reads what `INFO` says of the server.
fn look_at(info: &str, at: String) -> Result<(), RedisOpenError> {
    let value = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    if let Some(version) = value("redis_version")
        && older_than_6_2(version)
    {
        let version = version.to_owned();
        return Err(RedisOpenError::TooOld { at, version });
    }
    if let (Some(most), Some(policy)) = (value("maxmemory"), value("maxmemory_policy"))
        && most != "0"
        && policy != "noeviction"
    {
        // Not an error: many hosted Redis are like this, and an eviction costs logins, not safety, until it hits an index.
        tracing::warn!(
            at,
            policy,
            "Redis may evict keys when its memory is full, and with an owner's index their sessions escape revocation; \
             set maxmemory-policy to noeviction"
        );
    }
    Ok(())
}

fn older_than_6_2(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 2),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_with_unencoded_characters_is_refused_before_part_of_it_is_taken_for_a_host() {
        for url in [
            "redis://user:123#tail@cache.example:6379",
            "redis://user:1/secret@cache.example",
            "redis://user:1?x@cache.example/0",
            "not a url",
            "",
        ] {
            let error = connection_info(url).unwrap_err();
            assert!(matches!(error, RedisOpenError::Url), "{url}: {error:?}");
        }
        assert!(connection_info("redis://user:p%23%2Fss@cache.example:6379/2").is_ok());
    }

    #[test]
    fn a_server_before_6_2_is_named_and_refused() {
        let at = || "cache:6379".to_owned();
        let old = look_at("# Server\r\nredis_version:6.0.16\r\n", at()).unwrap_err();
        assert_eq!(
            old.to_string(),
            "Redis at cache:6379 is version 6.0.16; version 6.2 or later, or Valkey, is needed"
        );
        for fine in ["6.2.0", "7.0.15", "8.2.1", "unstable"] {
            look_at(&format!("redis_version:{fine}\r\n"), at()).unwrap();
        }
    }
}
