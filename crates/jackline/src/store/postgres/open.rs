//! Opening the store: everything that can be wrong with a setting or a server is found here, at start, and said in a
//! sentence that tells what to do. No message holds a password; the address is named, because it is what one corrects.

use std::io;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error};

use super::link::{Dialed, Dialer, Failure};
use super::migrations::{self, Blocked};
use super::statements::Schema;

/// How a [`PostgresStore`](super::PostgresStore) talks to PostgreSQL.
///
/// ```
/// use std::time::Duration;
/// use jackline::store::postgres::PostgresOptions;
///
/// let options = PostgresOptions::default()
///     .schema("shop_sessions")
///     .response_timeout(Duration::from_millis(250));
/// ```
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    schema: String,
    connections: usize,
    response_timeout: Duration,
    connection_timeout: Duration,
}

impl Default for PostgresOptions {
    /// The schema `jackline`, four connections, and 450 ms for each time-out: a little less than the engine's own, so that it
    /// is the store that notices a dead connection, and replaces it.
    fn default() -> Self {
        Self {
            schema: "jackline".to_owned(),
            connections: 4,
            response_timeout: Duration::from_millis(450),
            connection_timeout: Duration::from_millis(450),
        }
    }
}

impl PostgresOptions {
    /// The schema that holds the tables. Default: `jackline`. It is made if it is not there. Nothing else may be in it;
    /// applications that share a database need one each.
    ///
    /// Up to 63 lower-case letters, digits and underscores, beginning neither with a digit nor with `pg_`.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// How many connections the store keeps. Default: 4. Each carries one statement at a time and writes wait for the disk, so
    /// this is how many writes are under way at once: four make some thousand a second on an ordinary disk.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long any call may take, reconnecting included. Default: 450 ms; keep it below the engine's time-out. When it has
    /// passed, the call fails with [`StoreError::Unavailable`](crate::store::StoreError::Unavailable). The server gives up
    /// waiting for a lock after two thirds of it, and on a statement a little after it, so that nothing piles up there.
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How long an attempt to connect to one host may take, authentication included. Default: 450 ms. After an outage,
    /// service resumes within this time plus one second.
    #[must_use]
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }
}

/// Why the store cannot be opened, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOpenError {
    /// The URL cannot be read.
    #[error(
        "the PostgreSQL URL cannot be read; it looks like postgres://user:password@host:5432/database, with special \
         characters of the password percent-encoded"
    )]
    Url,
    /// The URL asks for TLS.
    #[error(
        "this build cannot connect with TLS, as sslmode in the PostgreSQL URL asks; use sslmode=disable on a network \
         that you trust"
    )]
    Unsupported,
    /// The schema's name will not do.
    #[error(
        "the schema must have up to 63 lower-case letters, digits and underscores, and begin neither with a digit nor \
         with pg_"
    )]
    Schema,
    /// No connections.
    #[error("the store needs between 1 and 1000 connections to PostgreSQL; 4 is a good choice")]
    Connections,
    /// A time-out is shorter than a millisecond, or longer than a day.
    #[error(
        "the time-outs of PostgreSQL must be between a millisecond and a day; 450 ms is a good choice"
    )]
    Timeout,
    /// Nothing listens.
    #[error("nothing accepts connections at {at}; start PostgreSQL there, or correct the URL")]
    Refused {
        /// Host and port.
        at: String,
    },
    /// The server cannot be reached or used.
    #[error(
        "PostgreSQL at {at} cannot be used ({source}); check the host name, the network, and the server's log"
    )]
    Unreachable {
        /// Host and port.
        at: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server does not answer.
    #[error(
        "PostgreSQL at {at} did not answer within {within:?}; check that it is PostgreSQL and that it is not busy"
    )]
    TimedOut {
        /// Host and port.
        at: String,
        /// The connection time-out.
        within: Duration,
    },
    /// The server refuses the credentials.
    #[error(
        "PostgreSQL at {at} refuses the user and password in the URL, or asks for some that the URL lacks; correct them, \
         or pg_hba.conf"
    )]
    Credentials {
        /// Host and port.
        at: String,
    },
    /// The database is not there.
    #[error(
        "PostgreSQL at {at} has no database of the name in the URL; create it (createdb), or correct the URL"
    )]
    NoDatabase {
        /// Host and port.
        at: String,
    },
    /// The user lacks rights.
    #[error(
        "PostgreSQL at {at} does not let this user make or use the schema {schema}; grant it CREATE on the database, or \
         let another user start once and grant it USAGE on the schema and SELECT, INSERT, UPDATE, DELETE on its tables"
    )]
    Rights {
        /// Host and port.
        at: String,
        /// The schema.
        schema: String,
    },
    /// The server takes no writes, and the tables are not there.
    #[error(
        "PostgreSQL at {at} is read-only; name the primary, or add target_session_attrs=read-write"
    )]
    ReadOnly {
        /// Host and port.
        at: String,
    },
    /// The server is too old.
    #[error("PostgreSQL at {at} is version {version}; version 15 or later is needed")]
    TooOld {
        /// Host and port.
        at: String,
        /// Its version.
        version: String,
    },
    /// The database does not hold all text.
    #[error(
        "the database at {at} is encoded in {encoding}; create one in UTF-8 (createdb --encoding=UTF8 --template=template0)"
    )]
    Encoding {
        /// Host and port.
        at: String,
        /// Its encoding.
        encoding: String,
    },
    /// The schema belongs to something else.
    #[error("the schema {schema} has tables of another program; name another schema")]
    Foreign {
        /// The schema.
        schema: String,
    },
    /// A later version of Jackline was here.
    #[error(
        "the schema {schema} was made by a later version (it is at {found}); run that version, or name another schema"
    )]
    TooNew {
        /// The schema.
        schema: String,
        /// Its version.
        found: i32,
    },
}

/// A connection that works, and what it takes to make more.
pub(super) struct Opened {
    pub(super) dialer: Dialer,
    pub(super) first: Dialed,
    pub(super) connections: usize,
}

/// Checks the settings, connects, looks at the server, and brings the tables up to date.
pub(super) async fn open(url: &str, options: PostgresOptions) -> Result<Opened, PostgresOpenError> {
    let schema = Schema::new(&options.schema).ok_or(PostgresOpenError::Schema)?;
    if !(1..=1000).contains(&options.connections) {
        return Err(PostgresOpenError::Connections);
    }
    let sensible = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
    if !sensible.contains(&options.response_timeout)
        || !sensible.contains(&options.connection_timeout)
    {
        return Err(PostgresOpenError::Timeout);
    }
    let mut config = config(url)?;
    let at = address(&config);
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
    settings(&mut config, options.response_timeout);
    config.connect_timeout(options.connection_timeout);
    let dialer = Dialer {
        config,
        schema,
        connection_timeout: options.connection_timeout * u32::try_from(hosts).unwrap_or(1).max(1),
        response_timeout: options.response_timeout,
    };
    let explain = |error: &Error| explain(error, &at, &dialer);
    let connect = tokio::time::timeout(dialer.connection_timeout, dialer.connect());
    let mut connected = connect
        .await
        .map_err(|_| PostgresOpenError::TimedOut {
            at: at.clone(),
            within: dialer.connection_timeout,
        })?
        .map_err(|error| explain(&error))?;
    look_at(&connected.client, &at)
        .await
        .map_err(|error| match error {
            Look::Failed(error) => explain(&error),
            Look::Refused(refused) => refused,
        })?;
    migrations::run(&mut connected.client, &dialer.schema)
        .await
        .map_err(|blocked| match blocked {
            Blocked::TooNew(found) => PostgresOpenError::TooNew {
                schema: options.schema.clone(),
                found,
            },
            Blocked::Foreign => PostgresOpenError::Foreign {
                schema: options.schema.clone(),
            },
            Blocked::Failed(error) => explain(&error),
        })?;
    let first = dialer
        .prepare(connected)
        .await
        .map_err(|error| explain(&error))?;
    Ok(Opened {
        dialer,
        first,
        connections: options.connections,
    })
}

fn config(url: &str) -> Result<Config, PostgresOpenError> {
    let rest = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))
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
    let config: Config = url.parse().map_err(|_| PostgresOpenError::Url)?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(PostgresOpenError::Url);
    }
    if config.get_ssl_mode() == SslMode::Require {
        return Err(PostgresOpenError::Unsupported);
    }
    Ok(config)
}

/// What every connection asks of the server. Whatever the URL sets beside it stays.
fn settings(config: &mut Config, response_timeout: Duration) {
    if config.get_application_name().is_none() {
        config.application_name("jackline");
    }
    let response_ms = response_timeout.as_millis();
    let lock_ms = (response_ms * 2 / 3).max(1);
    let statement_ms = response_ms + 50;
    let own = format!(
        "-c lock_timeout={lock_ms} -c statement_timeout={statement_ms} \
         -c default_transaction_isolation=read\\ committed"
    );
    let options = match config.get_options() {
        Some(theirs) => format!("{theirs} {own}"),
        None => own,
    };
    config.options(options);
}

fn address(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate();
    let named: Vec<_> = hosts
        .map(|(place, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(place)),
            Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    if named.is_empty() {
        let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
        return addresses.collect::<Vec<_>>().join(", ");
    }
    named.join(", ")
}

enum Look {
    Failed(Error),
    Refused(PostgresOpenError),
}

impl From<Error> for Look {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Checks what cannot be repaired from here.
async fn look_at(client: &Client, at: &str) -> Result<(), Look> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
             current_setting('server_encoding'), current_setting('fsync')",
            &[],
        )
        .await?;
    let at = at.to_owned();
    if row.try_get::<_, i32>(0)? < 15_00_00 {
        let version = row.try_get(1)?;
        return Err(Look::Refused(PostgresOpenError::TooOld { at, version }));
    }
    let encoding: String = row.try_get(2)?;
    if encoding != "UTF8" {
        return Err(Look::Refused(PostgresOpenError::Encoding { at, encoding }));
    }
    if row.try_get::<_, &str>(3)? == "off" {
        tracing::warn!(
            at,
            "PostgreSQL runs with fsync=off: a crash of its machine loses sessions and may damage the whole database"
        );
    }
    Ok(())
}

fn explain(error: &Error, at: &str, dialer: &Dialer) -> PostgresOpenError {
    let at = at.to_owned();
    let failure = Failure::from(error);
    let code = match &failure {
        Failure::Io(io::ErrorKind::ConnectionRefused) => {
            return PostgresOpenError::Refused { at };
        }
        Failure::Io(io::ErrorKind::TimedOut) => {
            return PostgresOpenError::TimedOut {
                at,
                within: dialer.connection_timeout,
            };
        }
        Failure::Refused(code) => code.as_str(),
        // The client found no password in the URL where the server asks for one.
        Failure::Unexpected if dialer.config.get_password().is_none() => "28P01",
        _ => "",
    };
    match code {
        "28P01" | "28000" => PostgresOpenError::Credentials { at },
        "3D000" => PostgresOpenError::NoDatabase { at },
        "42501" => PostgresOpenError::Rights {
            at,
            schema: dialer.schema.name().to_owned(),
        },
        "25006" => PostgresOpenError::ReadOnly { at },
        _ => PostgresOpenError::Unreachable {
            at,
            source: Box::new(failure),
        },
    }
}
