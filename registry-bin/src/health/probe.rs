//! One look at something.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use registry_core::storage::{Key, Storage};
use registry_core::{Blocking, TokioBlocking, layout};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::causes::with_causes;
use crate::config::CheckTarget;

/// A look under way: what is wrong, if anything.
pub type Probing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Something to look at.
pub trait Probe: fmt::Debug + Send + Sync + 'static {
    /// Begins to look.
    fn probe(&self) -> Probing;
}

/// What it takes to look cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the health check of {host} cannot be made")]
pub struct ProbeError {
    /// Of what.
    host: String,
    #[source]
    source: reqwest::Error,
}

/// How to look at what is configured.
///
/// # Errors
/// If what it takes to look cannot be had, such as the certificates that others are verified by.
pub fn probe(target: &CheckTarget, storage: &Arc<dyn Storage>) -> Result<Box<dyn Probe>, ProbeError> {
    Ok(match target {
        CheckTarget::Storage(claim) => Box::new(StorageProbe { storage: Arc::clone(storage), claim: claim.clone() }),
        CheckTarget::File(path) => Box::new(FileProbe(path.clone())),
        CheckTarget::Http { uri, status, headers, timeout } => {
            let host = || uri.host_str().unwrap_or_default().to_owned();
            let client = client(uri, *timeout).map_err(|source| ProbeError { host: host(), source })?;
            Box::new(HttpProbe { client, uri: uri.clone(), status: *status, headers: headers.clone() })
        }
        CheckTarget::Tcp { addr, timeout } => Box::new(TcpProbe { addr: addr.clone(), timeout: *timeout }),
    })
}

/// A container may have no certificates to verify others by. What is asked without TLS needs none, as long as it does
/// not lead there.
fn client(uri: &Url, timeout: Duration) -> reqwest::Result<Client> {
    let builder = || Client::builder().timeout(timeout).user_agent(concat!("registry/", env!("CARGO_PKG_VERSION")));
    match builder().build() {
        Err(_) if uri.scheme() == "http" => {
            builder().redirect(Policy::none()).tls_danger_accept_invalid_certs(true).build()
        }
        built => built,
    }
}

/// The storage answers. That nothing lies there yet is an answer, unless something has to.
#[derive(Debug)]
struct StorageProbe {
    storage: Arc<dyn Storage>,
    claim: Option<Key>,
}

impl Probe for StorageProbe {
    fn probe(&self) -> Probing {
        let (storage, claim) = (Arc::clone(&self.storage), self.claim.clone());
        Box::pin(async move {
            let listed = storage.list(&layout::root(), None, 1).await;
            listed.map_err(|error| with_causes(&error))?;
            let Some(claim) = claim else { return Ok(()) };
            match storage.stat(&claim).await.map_err(|error| with_causes(&error))? {
                Some(_) => Ok(()),
                None => Err("the folder of the storage is gone, or another one is in its place".to_owned()),
            }
        })
    }
}

/// The file is not there.
#[derive(Debug)]
struct FileProbe(PathBuf);

impl Probe for FileProbe {
    fn probe(&self) -> Probing {
        let path = self.0.clone();
        Box::pin(async move {
            let blocking: &dyn Blocking = &TokioBlocking;
            match blocking.run(move || path.try_exists()).await {
                Ok(Ok(false)) => Ok(()),
                Ok(Ok(true)) => Err("file exists".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// The other server answers as it should.
struct HttpProbe {
    client: Client,
    uri: Url,
    status: StatusCode,
    headers: HeaderMap,
}

impl fmt::Debug for HttpProbe {
    /// Without what is sent, and the password that an address may have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpProbe({})", self.uri.host_str().unwrap_or_default())
    }
}

impl Probe for HttpProbe {
    fn probe(&self) -> Probing {
        let request = self.client.head(self.uri.clone()).headers(self.headers.clone());
        let expected = self.status;
        Box::pin(async move {
            let answer = request.send().await.map_err(|error| with_causes(&error.without_url()))?;
            let status = answer.status();
            if status == expected {
                Ok(())
            } else {
                Err(format!("downstream service returned unexpected status: {}", status.as_u16()))
            }
        })
    }
}

/// Somebody listens.
#[derive(Debug)]
struct TcpProbe {
    addr: String,
    timeout: Duration,
}

impl Probe for TcpProbe {
    fn probe(&self) -> Probing {
        let connecting = timeout(self.timeout, TcpStream::connect(self.addr.clone()));
        Box::pin(async move {
            match connecting.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(format!("connection failed: {error}")),
                Err(_) => Err("connection failed: timed out".to_owned()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use registry_core::storage::{Fault, Faulty, Memory, OperationKind};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn look(target: &CheckTarget) -> Result<(), String> {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        probe(target, &storage).unwrap().probe().await
    }

    #[tokio::test]
    async fn an_empty_storage_answers_and_a_failing_one_does_not() {
        let faulty = Arc::new(Faulty::new(Arc::new(Memory::new())));
        let storage: Arc<dyn Storage> = faulty.clone();
        let claimed = probe(&CheckTarget::Storage(Some("claim".parse().unwrap())), &storage).unwrap();
        assert!(claimed.probe().await.unwrap_err().contains("is gone"));
        let probe = probe(&CheckTarget::Storage(None), &storage).unwrap();
        assert_eq!(probe.probe().await, Ok(()));
        faulty.fail_next(OperationKind::List, Fault::Before);
        assert!(probe.probe().await.unwrap_err().contains("a fault was injected"));
        assert_eq!(probe.probe().await, Ok(()));
    }

    #[tokio::test]
    async fn a_file_takes_the_server_out_of_service() {
        let folder = tempfile::tempdir().unwrap();
        let target = CheckTarget::File(folder.path().join("down"));
        assert_eq!(look(&target).await, Ok(()));
        std::fs::write(folder.path().join("down"), "").unwrap();
        assert_eq!(look(&target).await, Err("file exists".into()));
    }

    #[tokio::test]
    async fn somebody_must_listen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = CheckTarget::Tcp { addr: listener.local_addr().unwrap().to_string(), timeout: PATIENCE };
        assert_eq!(look(&target).await, Ok(()));
        drop(listener);
        assert!(look(&target).await.unwrap_err().starts_with("connection failed: "));
    }

    #[tokio::test]
    async fn another_server_must_answer_as_it_should() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let uri: Url = format!("http://ann:hush@{}/x", listener.local_addr().unwrap()).parse().unwrap();
        let answering = tokio::spawn(async move {
            let mut heads = Vec::new();
            for status in ["204 No Content", "500 Internal Server Error"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                heads.push(String::from_utf8(head[..length].to_vec()).unwrap());
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            heads
        });
        let headers = HeaderMap::from_iter([("x-a".parse().unwrap(), "b".parse().unwrap())]);
        let target = CheckTarget::Http { uri, status: StatusCode::NO_CONTENT, headers, timeout: PATIENCE };
        assert_eq!(look(&target).await, Ok(()));
        assert_eq!(look(&target).await, Err("downstream service returned unexpected status: 500".into()));
        let heads = answering.await.unwrap();
        assert!(heads[0].starts_with("HEAD /x HTTP/1.1\r\n") && heads[0].contains("x-a: b\r\n"), "{heads:?}");
        let told = look(&target).await.unwrap_err();
        assert!(!told.contains("hush"), "{told}");
    }
}
