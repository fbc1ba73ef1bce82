//! What a store in PostgreSQL, and whatever else a service keeps there, rests on: a few connections that everybody shares and
//! that mend themselves ([`Link`]), tables that are made and upgraded at start ([`Tables`]), and an address that is encrypted
//! unless somebody says otherwise ([`PostgresUrl`]).
//!
//! [`PostgresStore`](crate::store::postgres::PostgresStore) is all that an application needs for sessions. A service that keeps
//! tables of its own beside them, as the program `jackline` keeps its users, gets the same time-outs and the same behaviour in
//! an outage by way of a `Link` of its own.

mod error;
mod link;
#[cfg(feature = "near-cache")]
mod listen;
mod migrations;
mod open;
mod options;
mod tables;
mod tls;
mod url;

pub use self::error::{Failure, PostgresOpenError};
pub use self::link::Link;
#[cfg(feature = "near-cache")]
pub(crate) use self::listen::Listening;
pub use self::options::PostgresOptions;
pub use self::tables::{Schema, Tables};
pub use self::tls::Protection;
pub use self::url::PostgresUrl;
