//! The files with the keys that tokens are signed with: read, and read again when they changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry_auth::{SkippedKey, Token, TokenKeys};

use crate::config::TokenConfig;
use crate::followed::{Content, Files};
use crate::reloads::Reloads;

/// The largest file that is read, in bytes: many more keys than are taken.
const MAX_BYTES: u64 = 1024 * 1024;

/// Logins by tokens, whose keys are kept as the files are.
#[derive(Debug)]
pub struct Tokens {
    certificates: Option<PathBuf>,
    jwks: Option<PathBuf>,
    opened: Files,
    token: Arc<Token>,
    reloads: Arc<Reloads>,
}

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the keys of tokens in {path}")]
pub struct TokensError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Tokens {
    /// Reads the files.
    ///
    /// # Errors
    /// If one of them cannot be read, or has no key that can be used.
    pub fn open(config: &TokenConfig) -> Result<Self, TokensError> {
        let (certificates, jwks) = (config.certificates.clone(), config.jwks.clone());
        let paths = certificates.iter().chain(&jwks).map(PathBuf::as_path);
        let (opened, contents) = Files::open(paths, MAX_BYTES);
        let keys = keys(certificates.as_deref(), jwks.as_deref(), contents)?;
        let builder = Token::builder(config.realm.clone(), &config.service, &config.issuer, keys);
        let token = Arc::new(builder.algorithms(config.algorithms.iter().copied()).build());
        Ok(Self { certificates, jwks, opened, token, reloads: Arc::default() })
    }

    /// Who checks tokens.
    #[must_use]
    pub fn authenticator(&self) -> Arc<Token> {
        Arc::clone(&self.token)
    }

    /// The files, as they were taken over at the start.
    #[must_use]
    pub fn files(&self) -> Files {
        self.opened.clone()
    }

    /// What became of the files.
    #[must_use]
    pub fn reloads(&self) -> Arc<Reloads> {
        Arc::clone(&self.reloads)
    }

    /// Takes over what the files say now. If one of them cannot be read, or has no key, all keys stay as they were.
    pub fn reload(&self, contents: Vec<Content>) {
        let fresh = keys(self.certificates.as_deref(), self.jwks.as_deref(), contents);
        let is_good = fresh.is_ok();
        match fresh {
            Ok(keys) => {
                let count = keys.len();
                self.token.reload(keys);
                tracing::info!(keys = count, "the keys of tokens were read again");
            }
            Err(TokensError { path, source }) => {
                let path = path.display();
                tracing::error!(error = %source, %path, "the keys of tokens cannot be used; they stay as they were");
            }
        }
        self.reloads.note(is_good);
    }
}

/// The keys in the files, whose contents come in this order.
fn keys(certificates: Option<&Path>, jwks: Option<&Path>, contents: Vec<Content>) -> Result<TokenKeys, TokensError> {
    let mut keys = TokenKeys::default();
    let mut contents = contents.into_iter();
    let mut next = || contents.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
    if let Some(path) = certificates {
        add(&mut keys, path, next(), |keys, text| keys.add_certificates(text.as_bytes()))?;
    }
    if let Some(path) = jwks {
        add(&mut keys, path, next(), TokenKeys::add_jwks)?;
    }
    Ok(keys)
}

fn add(
    keys: &mut TokenKeys,
    path: &Path,
    content: Content,
    read_keys: impl FnOnce(&mut TokenKeys, &str) -> Result<Vec<SkippedKey>, registry_auth::TokenKeysError>,
) -> Result<(), TokensError> {
    let failed = |source| TokensError { path: path.to_owned(), source };
    let before = keys.len();
    let content = content.map_err(failed)?;
    // Comments between the blocks of PEM may be in any encoding.
    let text = String::from_utf8_lossy(&content);
    for key in read_keys(keys, &text).map_err(|error| failed(io::Error::other(error)))? {
        tracing::warn!(path = %path.display(), "keys of tokens: {key}; it is skipped");
    }
    if keys.len() == before {
        return Err(failed(io::Error::other("no key that can be used")));
    }
    Ok(())
}
