//! The certificate under which the server speaks https itself, without a proxy. Here are only the files' names; they are read when the
//! server starts, and again whenever they change.

use std::path::PathBuf;

use super::names::Setting;
use super::source::Reader;

/// Where the certificate and its key are, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and after it those that lead to its authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// Reads `JACKLINE_TLS_CERT_FILE` and `JACKLINE_TLS_KEY_FILE`. Default: none, and plain http.
pub(crate) fn read(reader: &mut Reader) -> Option<TlsFiles> {
    reader.refuse_one_without(Setting::TLS_CERT_FILE, Setting::TLS_KEY_FILE);
    reader.refuse_one_without(Setting::TLS_KEY_FILE, Setting::TLS_CERT_FILE);
    Some(TlsFiles {
        certificate: reader.one(Setting::TLS_CERT_FILE)?.into(),
        key: reader.one(Setting::TLS_KEY_FILE)?.into(),
    })
}
