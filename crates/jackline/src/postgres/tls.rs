//! Who is at the other end: TLS as the `sslmode` of an address asks for it. What an address does not say is strict: another
//! machine must show a certificate for its name. `prefer` and `allow` are not known here, since with them whoever sits in
//! between decides; and `require` is `verify-full`, since encryption to whoever answers keeps nobody out.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PostgresOpenError;

/// What stands between the connection and somebody who sits in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// There is no network: a socket, or the machine's own loopback.
    Local,
    /// Nothing: everybody on the way reads passwords and sessions.
    Plain,
    /// It is encrypted, and the other end has shown a certificate.
    Authenticated,
}

/// What an address says about TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    mode: Mode,
    /// Authorities that count; without them those that browsers trust.
    roots: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Nothing was said: none on this machine, and otherwise the strictest.
    #[default]
    Unsaid,
    Disable,
    VerifyCa,
    VerifyFull,
}

impl Tls {
    /// Takes an option of the address, if it is one of TLS; `None` if it is not.
    pub(super) fn take(
        &mut self,
        name: &str,
        value: &str,
    ) -> Option<Result<(), PostgresOpenError>> {
        match name {
            "sslmode" => {
                self.mode = match value {
                    "disable" => Mode::Disable,
                    "verify-ca" => Mode::VerifyCa,
                    "verify-full" | "require" => Mode::VerifyFull,
                    _ => return Some(Err(PostgresOpenError::TlsMode)),
                };
            }
            "sslrootcert" => self.roots = Some(value.into()),
            "sslcert" => self.certificate = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            _ => return None,
        }
        Some(Ok(()))
    }

    /// Settles the mode, now that it is known where the address leads.
    pub(super) fn settle(&mut self, config: &mut Config) -> Result<(), PostgresOpenError> {
        if self.mode == Mode::Unsaid {
            self.mode = match is_local(config) {
                true => Mode::Disable,
                false => Mode::VerifyFull,
            };
        }
        let names_files = self.roots.is_some() || self.certificate.is_some() || self.key.is_some();
        if self.certificate.is_some() != self.key.is_some()
            || (names_files && self.mode == Mode::Disable)
        {
            return Err(PostgresOpenError::TlsFiles);
        }
        config.ssl_mode(match self.mode {
            Mode::Disable => SslMode::Disable,
            _ => SslMode::Require,
        });
        Ok(())
    }

    pub(super) fn protection(&self, config: &Config) -> Protection {
        match self.mode {
            _ if is_local(config) => Protection::Local,
            Mode::Unsaid | Mode::Disable => Protection::Plain,
            Mode::VerifyCa | Mode::VerifyFull => Protection::Authenticated,
        }
    }

    /// Reads the files.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, PostgresOpenError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3");
        let roots = match &self.roots {
            Some(file) => read_roots(file)?,
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        };
        let builder = if self.mode == Mode::VerifyFull {
            builder.with_root_certificates(roots)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName { roots, provider }))
        };
        let config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = read_certificates(certificate)?;
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|_| unreadable(key))?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|_| unreadable(key))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(MakeRustlsConnect::new(config))
    }
}

fn is_local(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) if name == "localhost" => true,
        Host::Tcp(name) => name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
    });
    // Where these are given, they are where it connects to.
    let given = config.get_hostaddrs();
    match given.is_empty() {
        true => named,
        false => given.iter().all(IpAddr::is_loopback),
    }
}

fn read_roots(file: &Path) -> Result<RootCertStore, PostgresOpenError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|_| unreadable(file))?;
    }
    Ok(roots)
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PostgresOpenError> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|_| unreadable(file))?;
    if certificates.is_empty() {
        return Err(unreadable(file));
    }
    Ok(certificates)
}

fn unreadable(file: &Path) -> PostgresOpenError {
    PostgresOpenError::Certificate {
        file: file.to_owned(),
    }
}

/// Less than a whole check: without a look at the name.
#[derive(Debug)]
struct AnyName {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
