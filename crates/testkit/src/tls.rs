//! A client that speaks TLS over a connection of its own, so that a test sees which certificate it was shown and when the
//! connection ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

/// A connection that is agreed on.
#[derive(Debug)]
pub struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    /// Connects to a server on this machine whose certificate `authority` signed, in one version of TLS, offering these protocols.
    ///
    /// # Errors
    /// If they do not come to an agreement.
    pub fn connect(
        port: u16,
        authority: &Path,
        version: &'static SupportedProtocolVersion,
        protocols: &[&str],
    ) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name)?;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut stream) {
                return Err(match error.downcast::<rustls::Error>() {
                    Ok(error) => error,
                    Err(error) => rustls::Error::General(error.to_string()),
                });
            }
        }
        Ok(Self(StreamOwned::new(connection, stream)))
    }

    /// What was agreed on by ALPN.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.0.conn.alpn_protocol()
    }

    /// Sends these bytes.
    pub fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this many bytes have come.
    pub fn read(&mut self, bytes: usize) -> String {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).unwrap();
        String::from_utf8(read).unwrap()
    }

    /// What still comes until the server says, as TLS does, that this was all.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}
