//! Why PostgreSQL did not do what it was asked, and why it cannot be used at all. No message holds a password or a word of what
//! is stored; the address is named, because it is what one corrects.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Error;

/// Why PostgreSQL did not do what it was asked, without a word of what that was: neither a key, nor a value, nor the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No answer within this time. What was asked may have been done.
    #[error("PostgreSQL did not answer within {0:?}")]
    TimedOut(Duration),
    /// The network, or what is at its end.
    #[error("the connection to PostgreSQL failed: {0}")]
    Io(io::ErrorKind),
    /// The connection ended. What was asked may have been done.
    #[error("the connection to PostgreSQL was lost and is being restored")]
    Lost,
    /// With the SQLSTATE, such as `25006`. The message beside it may quote data.
    #[error("PostgreSQL refused with {0}")]
    Refused(String),
    /// No encrypted connection comes about.
    #[error("TLS with PostgreSQL failed: {0}")]
    Tls(String),
    /// TLS is wanted, and the server has none.
    #[error("PostgreSQL does not speak TLS")]
    NoTls,
    /// An answer that makes no sense.
    #[error("PostgreSQL answered something unexpected")]
    Unexpected,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        if let Some(code) = error.code() {
            return Self::Refused(code.code().to_owned());
        }
        if error.is_closed() {
            return Self::Lost;
        }
        let Some(source) = std::error::Error::source(error) else {
            return Self::Unexpected;
        };
        if let Some(io) = source.downcast_ref::<io::Error>() {
            let tls = io.get_ref().and_then(|inner| inner.downcast_ref());
            return match tls {
                Some(tls) => Self::Tls(rustls::Error::to_string(tls)),
                None => Self::Io(io.kind()),
            };
        }
        // The client has no name for it but these words.
        match source.to_string().as_str() {
            "server does not support TLS" => Self::NoTls,
            _ => Self::Unexpected,
        }
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
    /// The URL's `sslmode` is unknown, or lets others choose.
    #[error(
        "sslmode in the PostgreSQL URL is verify-full or verify-ca, or disable on a network that you trust; prefer and \
         allow are plain text to whoever asks for it"
    )]
    TlsMode,
    /// The URL names files that do not fit together.
    #[error(
        "in the PostgreSQL URL, sslcert and sslkey come together, and none of sslrootcert, sslcert and sslkey goes with a \
         connection without TLS; on this machine, write sslmode=verify-full with them"
    )]
    TlsFiles,
    /// A file that the URL names cannot be used.
    #[error("{} cannot be used; sslrootcert, sslcert and sslkey of the PostgreSQL URL name PEM files that this user may read", file.display())]
    Certificate {
        /// Which.
        file: PathBuf,
    },
    /// The server has no TLS.
    #[error(
        "PostgreSQL at {at} does not speak TLS; turn `ssl` on there, or write sslmode=disable on a network that you trust"
    )]
    NoTls {
        /// Host and port.
        at: String,
    },
    /// The server and this program do not agree on certificates.
    #[error(
        "PostgreSQL at {at} is not trusted, or does not trust this program ({source}); check the host name, sslrootcert, sslcert \
         and sslkey in the URL"
    )]
    Untrusted {
        /// Host and port.
        at: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
         or pg_hba.conf; it may also want TLS (sslmode=verify-full in the URL)"
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
    /// What others change is not heard.
    #[error(
        "PostgreSQL at {at} does not tell this program what others change ({source}), and a near-cache needs that; a pooler that \
         shares connections out by transaction keeps it back: name the server itself, or leave the near-cache off"
    )]
    NoAnnouncements {
        /// Host and port.
        at: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
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
