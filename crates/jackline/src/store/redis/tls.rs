//! Whom TLS trusts, and what it shows. A server's certificate is always verified, its name included; no option turns that off.

use std::error::Error;
use std::fmt;
use std::io;

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisError, TlsCertificates};
use zeroize::Zeroizing;

use super::open::RedisOpenError;

/// Certificates, as PEM.
#[derive(Clone, Default)]
pub(super) struct Tls {
    /// The authority that servers are signed by. Without one, those that browsers trust.
    pub(super) authority: Option<Vec<u8>>,
    /// The client's own certificate, with what leads to the authority, and its key.
    pub(super) own: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Tls {
    /// A client for one server. Reads the certificates, so that what is wrong with them shows at start.
    pub(super) fn client(&self, info: ConnectionInfo) -> Result<Client, RedisOpenError> {
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            if self.authority.is_some() || self.own.is_some() {
                return Err(RedisOpenError::CertificatesWithoutTls);
            }
            return Client::open(info).map_err(|_| RedisOpenError::Unsupported);
        }
        provide_cryptography();
        let certificates = TlsCertificates {
            client_tls: self.own.as_ref().map(|(certificate, key)| ClientTlsConfig {
                client_cert: certificate.clone(),
                client_key: key.to_vec(),
            }),
            root_cert: self.authority.clone(),
        };
        if self
            .authority
            .as_deref()
            .is_some_and(|pem| !holds_a_certificate(pem))
        {
            return Err(RedisOpenError::Certificates);
        }
        Client::build_with_tls(info, certificates).map_err(|_| RedisOpenError::Certificates)
    }
}

/// The client takes a file without a certificate for a list of no authorities, and every server would be refused later.
fn holds_a_certificate(pem: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    pem.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// What TLS says against a connection; `None` if it is about something else.
pub(super) fn reason(error: &RedisError) -> Option<String> {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(error.to_string());
        }
        source = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The client takes the process's provider, and where a program compiles in two of them, there is none until one is chosen.
fn provide_cryptography() {
    // It fails if the program has chosen, which is what counts then.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |given: bool| if given { "given" } else { "none" };
        write!(
            f,
            "Tls(authority: {}, own: {})",
            given(self.authority.is_some()),
            given(self.own.is_some())
        )
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;

    use super::*;

    // Proves: J11
    #[test]
    fn a_certificate_of_either_kind_is_refused_where_nothing_is_encrypted() {
        let authority = Some(b"authority".to_vec());
        let own = Some((b"own".to_vec(), Zeroizing::new(b"key".to_vec())));
        for (authority, own) in [
            (authority.clone(), None),
            (None, own.clone()),
            (authority, own),
        ] {
            let plain = "redis://127.0.0.1".into_connection_info().unwrap();
            let refused = Tls { authority, own }.client(plain);
            assert!(matches!(
                refused,
                Err(RedisOpenError::CertificatesWithoutTls)
            ));
        }
    }
}
