//! A certificate authority of a test's own, made when the test starts: nothing to expire, and nothing secret in the repository.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PublicKeyData as _,
};
use sha2::{Digest as _, Sha256};

/// An authority, and a server's and a client's certificate from it, as PEM files in a temporary folder.
#[derive(Debug)]
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// Makes all of them. The server's is good for `127.0.0.1` and `localhost`.
    #[must_use]
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, pem: String| std::fs::write(folder.path().join(name), pem).unwrap();

        let mut authority = CertificateParams::default();
        // Without a name each certificate would look as if it had signed itself.
        authority.distinguished_name = called("authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        write("ca.pem", authority.pem());
        for (name, reach) in [
            ("server", &["127.0.0.1", "localhost"][..]),
            ("client", &["client"][..]),
        ] {
            let names: Vec<String> = reach.iter().map(ToString::to_string).collect();
            let key = KeyPair::generate().unwrap();
            let mut certificate = CertificateParams::new(names).unwrap();
            certificate.distinguished_name = called(name);
            let certificate = certificate.signed_by(&key, &authority).unwrap();
            let pin = Sha256::digest(key.subject_public_key_info());
            write(&format!("{name}.pin"), BASE64.encode(pin));
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    /// The authority's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The server's certificate and key.
    #[must_use]
    pub fn server(&self) -> (PathBuf, PathBuf) {
        self.pair("server")
    }

    /// The hash of the server's public key, by which a browser can be told to believe its certificate.
    #[must_use]
    pub fn server_pin(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.pin")).unwrap()
    }

    /// The client's certificate and key.
    #[must_use]
    pub fn client(&self) -> (PathBuf, PathBuf) {
        self.pair("client")
    }

    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        let folder: &Path = self.folder.path();
        (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        )
    }
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}
