//! Certificates of an authority that speaks ACME (RFC 8555), such as Let's Encrypt.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use registry_core::{Blocking, TokioBlocking};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::ResolvesServerCert;
use rustls_acme::{AccountCache, AcmeConfig, AcmeState, CertCache};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::config::LetsEncryptConfig;

const CERTIFICATE: &str = LetsEncryptConfig::CERTIFICATE;
const ACCOUNT: &str = "account.pem";

/// Gets certificates, and gets them again before they end.
pub struct Acme {
    state: AcmeState<io::Error, io::Error>,
}

impl Acme {
    /// Nothing is asked for yet.
    ///
    /// # Errors
    /// If the authorities that this machine trusts cannot be had.
    pub fn new(config: &LetsEncryptConfig) -> Result<Self, rustls::Error> {
        // The directory is reached by https, and by nothing else.
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        let contact = config.email.iter().map(|email| format!("mailto:{email}"));
        let acme = AcmeConfig::new_with_client_config(&config.hosts, Arc::new(client))
            .contact(contact)
            .directory(&config.directory_url)
            .cache(Folder(config.folder.clone()));
        Ok(Self { state: acme.state() })
    }

    /// What answers the authority when it finds out whose the names are.
    #[must_use]
    pub fn challenges(&self) -> Arc<dyn ResolvesServerCert> {
        self.state.resolver()
    }

    /// Keeps a certificate in the folder, until it is dropped. What goes wrong is tried again, later each time.
    pub async fn run(mut self) {
        while let Some(event) = self.state.next().await {
            match event {
                Ok(event) => tracing::info!(event = ?event, "ACME"),
                Err(error) => tracing::error!(%error, "ACME: no certificate; it is tried again later"),
            }
        }
    }
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acme")
    }
}

/// Keeps account and certificate in files that nobody else reads. There is one of each: other names or another
/// authority stand for another folder.
struct Folder(PathBuf);

impl Folder {
    async fn load(&self, name: &'static str) -> io::Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        let blocking: &dyn Blocking = &TokioBlocking;
        let read = blocking.run(move || match fs::read(path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        read.await.map_err(io::Error::other)?
    }

    async fn store(&self, name: &'static str, content: &[u8]) -> io::Result<()> {
        let (folder, content) = (self.0.clone(), content.to_owned());
        let blocking: &dyn Blocking = &TokioBlocking;
        blocking.run(move || store(&folder, name, &content)).await.map_err(io::Error::other)?
    }
}

/// A file is there as a whole or not at all.
fn store(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let fresh = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[async_trait]
impl CertCache for Folder {
    type EC = io::Error;

    async fn load_cert(&self, _: &[String], _: &str) -> io::Result<Option<Vec<u8>>> {
        self.load(CERTIFICATE).await
    }

    async fn store_cert(&self, _: &[String], _: &str, content: &[u8]) -> io::Result<()> {
        self.store(CERTIFICATE, content).await
    }
}

#[async_trait]
impl AccountCache for Folder {
    type EA = io::Error;

    async fn load_account(&self, _: &[String], _: &str) -> io::Result<Option<Vec<u8>>> {
        self.load(ACCOUNT).await
    }

    async fn store_account(&self, _: &[String], _: &str, content: &[u8]) -> io::Result<()> {
        self.store(ACCOUNT, content).await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder(parent.path().join("a/b"));
        assert_eq!(folder.load_cert(&[], "").await.unwrap(), None);
        folder.store_cert(&[], "", b"one").await.unwrap();
        folder.store_cert(&[], "", b"two").await.unwrap();
        folder.store_account(&[], "", b"key").await.unwrap();
        assert_eq!(folder.load_cert(&[], "").await.unwrap().unwrap(), b"two");
        assert_eq!(folder.load_account(&[], "").await.unwrap().unwrap(), b"key");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.0), mode(&folder.0.join(CERTIFICATE))), (0o700, 0o600));
    }
}
