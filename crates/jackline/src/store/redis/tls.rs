//! Whom TLS trusts, and what it shows. A server's certificate is always verified, its name included; no option turns that off.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo, RedisError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::dial::Server;
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
    /// One server, and how to speak to it. Reads the certificates, so that what is wrong with them shows at start.
    pub(super) fn server(&self, info: ConnectionInfo) -> Result<Server, RedisOpenError> {
        let tls = match info.addr() {
            ConnectionAddr::TcpTls { .. } => Some(self.connector()?),
            _ if self.authority.is_some() || self.own.is_some() => {
                return Err(RedisOpenError::CertificatesWithoutTls);
            }
            _ => None,
        };
        Ok(Server { info, tls })
    }

    fn connector(&self) -> Result<TlsConnector, RedisOpenError> {
        let roots = match &self.authority {
            Some(pem) => authorities(pem)?,
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let config = match &self.own {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, key)
                    .map_err(unreadable)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, RedisOpenError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(unreadable)?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, RedisOpenError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(RedisOpenError::Certificates);
    }
    Ok(certificates)
}

/// What is wrong in particular may quote the file, and the key is one of them.
fn unreadable<E>(_: E) -> RedisOpenError {
    RedisOpenError::Certificates
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
            let refused = Tls { authority, own }.server(plain);
            assert!(matches!(
                refused,
                Err(RedisOpenError::CertificatesWithoutTls)
            ));
        }
    }
}
