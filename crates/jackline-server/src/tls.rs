//! HTTPS without a proxy: TLS 1.2 and 1.3 under the certificate that the settings name. The files are looked at again and again; a new
//! pair serves the connections that come after it, and those that are there go on under the old one. A pair that does not work is
//! complained of once, and the old one stays. No message holds what stands in the key's file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::config::TlsFiles;

/// How often the files are looked at. Not by inotify, which a file that is mounted or linked from elsewhere may escape.
const EVERY: Duration = Duration::from_secs(2);

/// A certificate that can be replaced under a running server.
pub(crate) struct Tls {
    files: TlsFiles,
    /// What is served.
    pair: Pair,
    served: Arc<Served>,
    config: Arc<ServerConfig>,
    trouble: Option<Trouble>,
}

/// A pair that does not work, and how often it was seen.
struct Trouble {
    what: String,
    looks: u32,
}

/// What a look at the files brought.
#[derive(Debug)]
enum News {
    /// Nothing, or nothing that would not have been said before.
    None,
    /// Another certificate is served.
    Renewed,
    /// There is another pair, and it does not work.
    Refused(TlsError),
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be read, or are not a certificate and its key.
    pub(crate) fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let pair = Pair::read(files)?;
        let served = Arc::new(Served(RwLock::new(Arc::new(pair.certified(&provider)?))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            files: files.clone(),
            pair,
            served,
            config: Arc::new(config),
            trouble: None,
        })
    }

    /// The certificate that is served.
    pub(crate) fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served)
    }

    /// What makes TLS of a connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Looks at the files until the server is told to stop.
    pub(crate) async fn follow(mut self, mut stopped: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                _ = every.tick() => {}
            }
            let looked = tokio::task::spawn_blocking(move || {
                let news = self.look();
                (self, news)
            });
            let Ok((tls, news)) = looked.await else {
                tracing::error!("the certificate is not followed any more; a restart mends it");
                return;
            };
            self = tls;
            match news {
                News::None => {}
                News::Renewed => tracing::info!("a new certificate is served"),
                News::Refused(error) => {
                    tracing::error!(%error, "the new certificate does not work; the old one stays")
                }
            }
        }
    }

    fn look(&mut self) -> News {
        match self.renew() {
            Ok(renewed) => {
                self.trouble = None;
                if renewed { News::Renewed } else { News::None }
            }
            Err(error) => {
                let what = error.to_string();
                let looks = match &self.trouble {
                    Some(trouble) if trouble.what == what => trouble.looks.saturating_add(1),
                    _ => 1,
                };
                self.trouble = Some(Trouble { what, looks });
                // Not at the first look: the two files are not written at the same moment.
                if looks == 2 {
                    News::Refused(error)
                } else {
                    News::None
                }
            }
        }
    }

    /// Serves what the files hold, if that is something else. Says whether it is.
    fn renew(&mut self) -> Result<bool, TlsError> {
        let pair = Pair::read(&self.files)?;
        if pair == self.pair {
            return Ok(false);
        }
        let certified = pair.certified(self.config.crypto_provider())?;
        self.served.replace(certified);
        self.pair = pair;
        Ok(true)
    }
}

/// The certificate that is shown to whoever connects next.
#[derive(Debug)]
pub(crate) struct Served(RwLock<Arc<CertifiedKey>>);

impl Served {
    /// When it runs out, in seconds since 1970. Read from the certificate at each asking: it is asked for once in a scrape.
    pub(crate) fn ends_secs(&self) -> Option<u64> {
        let current = self.current();
        let (_, certificate) = parse_x509_certificate(current.cert.first()?).ok()?;
        u64::try_from(certificate.validity().not_after.timestamp()).ok()
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, certified: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
    }
}

impl ResolvesServerCert for Served {
    /// One certificate, whatever name was asked for.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// What stands in the files.
#[derive(PartialEq)]
struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Pair {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read("JACKLINE_TLS_CERT_FILE", &files.certificate)?,
            key: Zeroizing::new(read("JACKLINE_TLS_KEY_FILE", &files.key)?),
        })
    }

    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        // The parser's own error quotes the line.
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::NoKey)?;
        CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unusable)
    }
}

fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Unreadable {
        variable,
        path: path.to_owned(),
        error,
    })
}

/// Why a certificate and its key cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read {}, which {variable} names: {error}", path.display())]
    Unreadable {
        variable: &'static str,
        path: PathBuf,
        // Not a source, which would be said twice: it is in the message, which is compared.
        error: io::Error,
    },
    #[error("the file that JACKLINE_TLS_CERT_FILE names holds no certificate in PEM")]
    NoCertificate,
    #[error(
        "the file that JACKLINE_TLS_KEY_FILE names holds no private key in PEM, or one that is encrypted"
    )]
    NoKey,
    #[error(
        "the certificate of JACKLINE_TLS_CERT_FILE and the key of JACKLINE_TLS_KEY_FILE do not work together: {0}"
    )]
    Unusable(rustls::Error),
}

#[cfg(test)]
mod tests {
    use testkit::certificates::Certificates;

    use super::*;

    struct Desk {
        folder: tempfile::TempDir,
        files: TlsFiles,
    }

    impl Desk {
        fn with(pair: &Certificates) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files = TlsFiles {
                certificate: folder.path().join("cert.pem"),
                key: folder.path().join("key.pem"),
            };
            let desk = Self { folder, files };
            let (certificate, key) = pair.server();
            std::fs::copy(certificate, &desk.files.certificate).unwrap();
            std::fs::copy(key, &desk.files.key).unwrap();
            desk
        }

        fn open(&self) -> Result<Tls, TlsError> {
            Tls::open(&self.files)
        }
    }

    fn shown(tls: &Tls) -> Vec<u8> {
        tls.served.current().cert.first().unwrap().to_vec()
    }

    // Proves: J11
    #[test]
    fn what_is_no_certificate_and_key_does_not_start_and_no_message_quotes_the_key() {
        let desk = Desk::with(&Certificates::make());
        assert!(desk.open().is_ok());
        let stranger = Certificates::make();
        let foreign = std::fs::read(stranger.server().1).unwrap();
        for (key, told) in [
            (&foreign[..], "do not work together"),
            (b"-----BEGIN PRIVATE KEY-----\nzqzqzqzq", "no private key"),
            (b"-----BEGIN zqzqzqzq", "no private key"),
            (b"", "no private key"),
        ] {
            std::fs::write(&desk.files.key, key).unwrap();
            let error = desk.open().err().unwrap().to_string();
            assert!(error.contains(told) && !error.contains("zqzq"), "{error}");
        }
        std::fs::write(&desk.files.certificate, "-----BEGIN nothing").unwrap();
        assert!(matches!(desk.open().err(), Some(TlsError::NoCertificate)));
        std::fs::remove_file(&desk.files.certificate).unwrap();
        let error = desk.open().err().unwrap().to_string();
        assert!(error.contains("JACKLINE_TLS_CERT_FILE"), "{error}");
        drop(desk.folder);
    }

    // Proves: J11
    #[test]
    fn a_pair_that_is_half_written_says_nothing_and_one_that_stays_so_is_complained_of_once() {
        let desk = Desk::with(&Certificates::make());
        let mut tls = desk.open().unwrap();
        let old = shown(&tls);
        assert!(matches!(tls.look(), News::None));

        let new = Certificates::make();
        let (certificate, key) = new.server();
        std::fs::copy(certificate, &desk.files.certificate).unwrap();
        assert!(matches!(tls.look(), News::None), "the key may follow");
        assert!(matches!(tls.look(), News::Refused(TlsError::Unusable(_))));
        assert!(matches!(tls.look(), News::None), "once");
        assert_eq!(shown(&tls), old);

        std::fs::copy(key, &desk.files.key).unwrap();
        assert!(matches!(tls.look(), News::Renewed));
        assert_ne!(shown(&tls), old);
        assert!(matches!(tls.look(), News::None));
    }
}
