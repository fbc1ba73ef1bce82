//! Opening the store: everything that can be wrong with a setting or a server is found here, at start, and said in a
//! sentence that tells what to do. No message holds a password; the address is named, because it is what one corrects.

use std::fmt;
use std::time::Duration;

use redis::RedisError;
use zeroize::Zeroizing;

use super::address::Address;
use super::announce::{Announcements, Announcer};
use super::cluster::{Cluster, NotFound};
use super::dial::{DialError, Dialed, Dialer, Times, To};
use super::keys::Names;
use super::link::{Failure, Link};
use super::rights;
use super::sentinel::{NoPrimary, Sentinels};
use super::servers::Servers;
use super::tls::{self, Tls};
use crate::token::Bucket;

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
    tls: Tls,
    sentinel_user: Option<SentinelUser>,
    announcements: Option<Announcements>,
}

impl Default for RedisOptions {
    /// `sess:`, and 450 ms for each time-out: a little less than the engine's own, so that it is the store that notices a
    /// dead connection, and replaces it.
    fn default() -> Self {
        Self {
            prefix: "sess:".to_owned(),
            response_timeout: Duration::from_millis(450),
            connection_timeout: Duration::from_millis(450),
            tls: Tls::default(),
            sentinel_user: None,
            announcements: None,
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

    /// The authority, or several, that the servers' certificates are signed by, as PEM. Default: those that browsers trust,
    /// as Mozilla lists them; the operating system's own list is not read.
    #[must_use]
    pub fn certificate_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.authority = Some(pem.into());
        self
    }

    /// A certificate to show to servers that ask for one, followed by those that lead to its authority, and its key, as PEM.
    /// Default: none.
    #[must_use]
    pub fn client_certificate(mut self, pem: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.own = Some((pem.into(), Zeroizing::new(key.into())));
        self
    }

    /// How long any call may take.
    pub(super) fn patience(&self) -> Duration {
        self.response_timeout
    }

    /// As whom sentinels are asked. The user of the URL is the servers'. Default: nobody.
    #[must_use]
    pub fn sentinel_user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.sentinel_user = Some(SentinelUser {
            name: name.into(),
            password: Zeroizing::new(password.into()),
        });
        self
    }

    /// What a [near-cache](crate::store::near) is kept up to date by: everything that others change in this store is announced
    /// there. One server, alone or behind Sentinel. Default: nothing.
    #[cfg(feature = "near-cache")]
    #[must_use]
    pub fn announce_to(mut self, announcements: &Announcements) -> Self {
        self.announcements = Some(announcements.clone());
        self
    }
}

/// As whom sentinels are asked.
#[derive(Clone)]
struct SentinelUser {
    name: String,
    password: Zeroizing<String>,
}

impl fmt::Debug for SentinelUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentinelUser({})", self.name)
    }
}

/// Why the store cannot be opened, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The URL cannot be read.
    #[error(
        "the Redis URL cannot be read; it looks like redis://user:password@host:6379/0, \
         redis+sentinel://host:26379,host:26379/service/0 or redis+cluster://host:6379,host:6379 (rediss for TLS), with \
         special characters of the password percent-encoded"
    )]
    Url,
    /// The URL asks for something that this build cannot do.
    #[error("this build cannot connect as the Redis URL asks (a Unix socket); use redis://")]
    Unsupported,
    /// The URL asks for a connection whose other end nobody verifies.
    #[error(
        "the Redis URL says #insecure, so that anybody could pose as Redis; take it away, and name the authority that \
         signed the server's certificate instead"
    )]
    Insecure,
    /// A certificate or a key cannot be used.
    #[error(
        "the certificates for Redis cannot be read; they are PEM files: the authority's certificate, and the client's \
         certificate with the key that belongs to it"
    )]
    Certificates,
    /// There are certificates and no TLS.
    #[error(
        "there are certificates for Redis, and its URL says no TLS; write rediss:// for redis://"
    )]
    CertificatesWithoutTls,
    /// TLS fails.
    #[error(
        "no TLS with Redis at {at} ({why}); check that its certificate names this host and is signed by the authority that \
         is given, and whether it asks for a client certificate"
    )]
    Tls {
        /// Host and port.
        at: String,
        /// What went wrong.
        why: String,
    },
    /// The server plays another part than the URL says.
    #[error("Redis at {at} is {what}; write {scheme}:// in its URL (rediss for TLS)")]
    Part {
        /// Host and port.
        at: String,
        /// What it is.
        what: &'static str,
        /// How a URL for it begins.
        scheme: &'static str,
    },
    /// Sentinels that answer do not know the service.
    #[error(
        "the sentinels know no {service}; after the hosts, the Redis URL names what sentinel.conf says after \
         `sentinel monitor`"
    )]
    Service {
        /// The name that was asked for.
        service: String,
    },
    /// No sentinel answers.
    #[error(
        "none of the sentinels answered within {within:?}, the last of them at {at}; check their addresses"
    )]
    Sentinels {
        /// Host and port of one of them.
        at: String,
        /// How long they had.
        within: Duration,
    },
    /// A sentinel refuses the user.
    #[error(
        "the sentinel at {at} refuses the user and password that are given for sentinels, or asks for some; they are not \
         those in the URL, which are the servers'"
    )]
    SentinelCredentials {
        /// Host and port.
        at: String,
    },
    /// The sentinels name a server that takes no writes.
    #[error(
        "Redis at {at} is a replica, though the sentinels name it as the primary; try again when a failover is over"
    )]
    Replica {
        /// Host and port.
        at: String,
    },
    /// The user may not do everything that the store does.
    #[error(
        "Redis at {at} does not let its user {missing}; give it the rights ~{stem}* +@read +@write +@scripting \
         +@connection (with Sentinel +role, with Cluster +cluster|slots)"
    )]
    Rights {
        /// Host and port.
        at: String,
        /// What is missing.
        missing: String,
        /// What all names begin with.
        stem: String,
    },
    /// There is nobody to announce the changes of a whole cluster.
    #[error(
        "a near-cache does not hear of the changes in a Redis Cluster in this version; leave it off, or use one Redis, \
         alone or behind Sentinel"
    )]
    NoAnnouncements,
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
        "Redis at {at} did not answer within {within:?}; check that it is Redis, that it is not busy, and that either \
         both sides or none of them speak TLS"
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
    /// Express's ids have no hash tag.
    #[error(
        "sessions that are shared with Express cannot be kept in a Redis Cluster, which would scatter what one step has to \
         reach; use one server, or Sentinel"
    )]
    ExpressCluster,
    /// The mapping of members will not do.
    #[error(
        "the members of Express's sessions that say who is logged in must have four different names, none of which Express \
         uses itself"
    )]
    ExpressMapping,
    /// The user may not ask for the time.
    #[error(
        "Redis does not let its user run time, which sessions that are shared with Express need; give it the right +time too"
    )]
    ExpressClock,
}

/// Everything that a store needs.
pub(super) struct Opened {
    pub(super) names: Names,
    pub(super) servers: Servers,
}

/// Checks the settings, connects, and looks at the servers.
pub(super) async fn open(url: &str, options: RedisOptions) -> Result<Opened, RedisOpenError> {
    let names = Names::new(&options.prefix).ok_or(RedisOpenError::Prefix)?;
    if options.response_timeout.is_zero() || options.connection_timeout.is_zero() {
        return Err(RedisOpenError::Timeout);
    }
    let times = Times {
        connect: options.connection_timeout,
        respond: options.response_timeout,
    };
    let announcer = options
        .announcements
        .map(|announcements| Announcer::new(announcements, names.clone()));
    let tls = options.tls;
    let check = Check {
        names,
        times,
        tls: url.starts_with("rediss") || url.starts_with("valkeys"),
    };
    let to = match Address::read(url)? {
        Address::Cluster(_) if announcer.is_some() => return Err(RedisOpenError::NoAnnouncements),
        Address::Cluster(seeds) => {
            // Whatever is wrong with the certificates is said before anybody is called.
            for seed in &seeds {
                tls.server(seed.clone())?;
            }
            let found = Cluster::find(seeds, tls, times).await;
            let (cluster, primaries) = found.map_err(|error| check.not_found(error))?;
            for (mut primary, bucket) in primaries {
                check.server(&mut primary, "cluster", bucket).await?;
                cluster.adopt(primary);
            }
            return Ok(Opened {
                names: check.names,
                servers: Servers::Cluster(cluster),
            });
        }
        Address::One(info) => To::Server(tls.server(info)?),
        Address::Sentinel {
            sentinels,
            service,
            primary,
        } => {
            let user = options.sentinel_user;
            let sentinels = sentinels.into_iter().map(|info| match &user {
                None => info,
                Some(user) => {
                    let settings = info.redis_settings().clone();
                    let settings = settings
                        .set_username(&user.name)
                        .set_password(&*user.password);
                    info.set_redis_settings(settings)
                }
            });
            To::Primary(Sentinels::new(sentinels.collect(), service, primary, tls)?)
        }
    };
    let dialer = Dialer {
        to,
        times,
        announcer,
    };
    let first = dialer.dial().await;
    let mut first = first.map_err(|error| check.unreachable(error, dialer.service()))?;
    check
        .server(&mut first, "standalone", Bucket::from_number(0))
        .await?;
    Ok(Opened {
        names: check.names,
        servers: Servers::One(Link::new(dialer, first)),
    })
}

/// What is looked at, and how what is found is said.
struct Check {
    names: Names,
    times: Times,
    /// Whether TLS is asked for.
    tls: bool,
}

impl Check {
    /// Looks at a server that there is a connection to.
    async fn server(
        &self,
        first: &mut Dialed,
        mode: &str,
        bucket: Bucket,
    ) -> Result<(), RedisOpenError> {
        let there = first.at.clone();
        let at = || there.clone();
        match first.ask::<String>(&redis::cmd("INFO")).await {
            Ok(text) => look_at(&text, mode, at())?,
            Err(error) if Failure::from(&error) == Failure::Refused("NOAUTH".to_owned()) => {
                return Err(RedisOpenError::Credentials { at: at() });
            }
            // A user who may not ask, as is good practice (A6).
            Err(error) if error.code().is_some() => {}
            Err(error) => return Err(self.explain(&error, at())),
        }
        match rights::missing(first, &self.names, bucket).await {
            Ok(None) => Ok(()),
            Ok(Some(missing)) => Err(self.rights(missing, at())),
            Err(error) => Err(self.explain(&error, at())),
        }
    }

    fn rights(&self, missing: String, at: String) -> RedisOpenError {
        let stem = self.names.stem().to_owned();
        RedisOpenError::Rights { at, missing, stem }
    }

    fn not_found(&self, error: NotFound) -> RedisOpenError {
        match error {
            NotFound::NoCluster { at } => RedisOpenError::Part {
                at,
                what: "no node of a cluster that serves anything",
                scheme: "redis",
            },
            NotFound::Node(error) => self.unreachable(error, ""),
        }
    }

    fn unreachable(&self, error: DialError, service: &str) -> RedisOpenError {
        match error {
            DialError::Server { at, error } => self.explain(&error, at),
            DialError::Replica { at } => RedisOpenError::Replica { at },
            DialError::NoPrimary(NoPrimary::Unknown) => RedisOpenError::Service {
                service: service.to_owned(),
            },
            DialError::NoPrimary(NoPrimary::Silent {
                at,
                error: Some(error),
            }) => match self.explain(&error, at) {
                RedisOpenError::Credentials { at } => RedisOpenError::SentinelCredentials { at },
                other => other,
            },
            DialError::NoPrimary(NoPrimary::Silent { at, error: None }) => {
                RedisOpenError::Sentinels {
                    at,
                    within: self.times.connect / 2,
                }
            }
        }
    }

    fn explain(&self, error: &RedisError, at: String) -> RedisOpenError {
        if error.is_connection_refusal() {
            return RedisOpenError::Refused { at };
        }
        if let Some(missing) = rights::refused(error) {
            return self.rights(missing, at);
        }
        if let Some(why) = tls::reason(error) {
            return RedisOpenError::Tls { at, why };
        }
        match Failure::from(error) {
            Failure::Io(std::io::ErrorKind::TimedOut) => RedisOpenError::TimedOut {
                at,
                within: self.times.connect,
            },
            Failure::Refused(code) if ["NOAUTH", "WRONGPASS"].contains(&code.as_str()) => {
                RedisOpenError::Credentials { at }
            }
            // What a server does that missed a certificate: the handshake was over by then.
            Failure::Io(kind) if self.tls && kind != std::io::ErrorKind::Other => {
                RedisOpenError::Tls {
                    at,
                    why: "it hung up".to_owned(),
                }
            }
            failure => RedisOpenError::Unreachable {
                at,
                source: Box::new(failure),
            },
        }
    }
}

/// Reads what `INFO` says of the server.
fn look_at(info: &str, mode: &str, at: String) -> Result<(), RedisOpenError> {
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
    // Valkey calls it so.
    let mode_there = value("redis_mode").or_else(|| value("server_mode"));
    if let Some(other) = mode_there
        && other != mode
    {
        let (what, scheme) = match other {
            "cluster" => ("a node of a cluster", "redis+cluster"),
            "sentinel" => ("a sentinel", "redis+sentinel"),
            _ => ("a server by itself", "redis"),
        };
        return Err(RedisOpenError::Part { at, what, scheme });
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
    fn a_server_before_6_2_is_named_and_refused() {
        let at = || "cache:6379".to_owned();
        let old = look_at("# Server\r\nredis_version:6.0.16\r\n", "standalone", at()).unwrap_err();
        assert_eq!(
            old.to_string(),
            "Redis at cache:6379 is version 6.0.16; version 6.2 or later, or Valkey, is needed"
        );
        for fine in ["6.2.0", "7.0.15", "8.2.1", "unstable"] {
            look_at(&format!("redis_version:{fine}\r\n"), "standalone", at()).unwrap();
        }
    }

    // Proves: J11
    #[test]
    fn a_server_that_plays_another_part_is_refused_whether_it_is_redis_or_valkey() {
        for member in ["redis_mode", "server_mode"] {
            for part in ["standalone", "cluster", "sentinel"] {
                for asked in ["standalone", "cluster"] {
                    let info = format!("redis_version:7.2.4\r\n{member}:{part}\r\n");
                    let seen = look_at(&info, asked, "cache:6379".to_owned());
                    assert_eq!(seen.is_ok(), part == asked, "{member}:{part}, {asked}");
                }
            }
        }
    }
}
