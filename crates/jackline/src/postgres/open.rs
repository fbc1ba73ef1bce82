//! Opening: everything that can be wrong with a setting or a server is found here, at start, and said in a sentence that tells
//! what to do.

use std::io;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio_postgres::{Client, Config, Error};

use super::error::{Failure, PostgresOpenError};
use super::link::{Dialed, Dialer};
use super::migrations::{self, Blocked};
use super::options::PostgresOptions;
use super::tables::Tables;
use super::url::PostgresUrl;

/// A connection that works, and what it takes to make more.
pub(super) struct Opened<T> {
    pub(super) dialer: Dialer,
    pub(super) first: Dialed<T>,
}

/// Checks the settings, connects, looks at the server, and brings the tables up to date.
pub(super) async fn open<T: Tables>(
    url: &PostgresUrl,
    options: &PostgresOptions,
) -> Result<Opened<T>, PostgresOpenError> {
    let schema = options.checked()?;
    let at = url.address();
    let mut config = Config::clone(&url.config);
    let hosts = config.get_hosts().len();
    settings(&mut config, options.response_timeout);
    config.connect_timeout(options.connection_timeout);
    let dialer = Dialer {
        config,
        tls: url.tls.connector()?,
        schema,
        connection_timeout: options.connection_timeout * u32::try_from(hosts).unwrap_or(1).max(1),
        response_timeout: options.response_timeout,
        made: AtomicU64::new(0),
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
    migrations::run::<T>(&mut connected.client, &dialer.schema)
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
    Ok(Opened { dialer, first })
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
        Failure::NoTls => return PostgresOpenError::NoTls { at },
        Failure::Tls(_) => {
            return PostgresOpenError::Untrusted {
                at,
                source: Box::new(failure),
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
