//! What clients do.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use registry_benches::{Connection, Content, Layer, chunked};
use registry_core::MediaType;

use crate::row::{Place, Row, Work};
use crate::served::Door;

/// What one server did in one turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Bytes, requests or blobs.
    pub(crate) amount: f64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// Where everything is pushed to.
pub(crate) const REPOSITORY: &str = "compare/app";
const TAG: &str = "latest";

pub(crate) fn tag(number: usize) -> String {
    format!("t{number:06}")
}

/// Two hundred in each of as many namespaces as it takes.
pub(crate) fn repository(number: usize) -> String {
    format!("n{:03}/r{number:06}", number / 200)
}

/// What has to be there before the first turn.
#[derive(Debug)]
pub(crate) struct Prepared {
    blob: Option<Layer>,
    manifest: Option<Layer>,
}

/// Work that waits for the clock to run.
pub(crate) struct Ready<'a>(Box<dyn FnOnce() -> io::Result<f64> + 'a>);

impl Ready<'_> {
    /// Does it; gives the bytes, requests or blobs.
    pub(crate) fn run(self) -> io::Result<f64> {
        (self.0)()
    }
}

impl Prepared {
    pub(crate) fn new(row: &Row) -> Self {
        match row.work {
            Work::Pull { bytes, .. } => Self { blob: Some(Layer::new(bytes, 1)), manifest: None },
            Work::Request { path: Place::ManifestByTag | Place::ManifestByDigest | Place::Blob, .. } => {
                let blob = Layer::new(4096, 1);
                let manifest = manifest(&blob);
                Self { blob: Some(blob), manifest: Some(manifest) }
            }
            _ => Self { blob: None, manifest: None },
        }
    }

    /// Writes the blob as a plain file.
    pub(crate) fn write_blob(&self, path: &Path) -> io::Result<()> {
        self.blob.as_ref().map_or(Ok(()), |blob| fs::write(path, &blob.content))
    }

    /// Pushes all of it.
    pub(crate) fn push(&self, door: &Door) -> io::Result<()> {
        let mut connection = door.connect()?;
        if let Some(blob) = &self.blob {
            connection.push(REPOSITORY, &blob.digest, &chunked(&blob.content))?;
        }
        if let Some(manifest) = &self.manifest {
            let path = format!("/v2/{REPOSITORY}/manifests/{TAG}");
            connection.send("PUT", &path, Content::Typed(MediaType::OCI_MANIFEST, &manifest.content), 201)?;
        }
        Ok(())
    }

    fn path(&self, place: Place) -> io::Result<String> {
        let blob = self.blob.as_ref().map(|blob| blob.digest);
        let manifest = self.manifest.as_ref().map(|manifest| manifest.digest);
        let digest =
            |found: Option<registry_core::Digest>| found.ok_or_else(|| io::Error::other("nothing was prepared"));
        Ok(match place {
            Place::ManifestByTag => format!("/v2/{REPOSITORY}/manifests/{TAG}"),
            Place::ManifestByDigest => format!("/v2/{REPOSITORY}/manifests/{}", digest(manifest)?),
            Place::Blob => format!("/v2/{REPOSITORY}/blobs/{}", digest(blob)?),
            Place::Tags(count) => format!("/v2/{REPOSITORY}/tags/list?n=100&last={}", tag(count / 2)),
            Place::Catalog(count) => format!("/v2/_catalog?n=100&last={}", repository(count / 2)),
        })
    }
}

/// An image of one layer, which is its configuration too.
fn manifest(blob: &Layer) -> Layer {
    let descriptor = |media_type: &str| serde_json::json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.content.len() });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
    });
    Layer::of(manifest.to_string().into_bytes())
}

/// Makes everything that the clients need, so that while the clock runs they only send and receive.
pub(crate) fn ready<'a>(
    work: Work,
    door: &'a Door,
    prepared: &'a Prepared,
    round: u64,
    length: Duration,
) -> io::Result<Ready<'a>> {
    Ok(match work {
        Work::Push { clients, bytes, blobs } => {
            let seed = |client: usize, number: usize| ((round << 32) | (client << 16) as u64) + number as u64 + 1;
            let encoded = |client| {
                let blobs = (0..blobs).map(move |number| Layer::new(bytes, seed(client, number)));
                blobs.map(|blob| (blob.digest, chunked(&blob.content))).collect::<Vec<_>>()
            };
            let contents = (0..clients).map(|client| Ok((door.connect()?, encoded(client))));
            let clients = contents.collect::<io::Result<Vec<_>>>()?;
            Ready(Box::new(move || {
                together(clients, |(mut connection, blobs)| {
                    for (digest, encoded) in &blobs {
                        connection.push(REPOSITORY, digest, encoded)?;
                    }
                    Ok(amount(bytes * blobs.len()))
                })
            }))
        }
        Work::Pull { clients, bytes, pulls } => {
            let path = prepared.path(Place::Blob)?;
            let clients = connected(door, clients)?;
            Ready(Box::new(move || {
                together(clients, |mut connection| {
                    for _ in 0..pulls {
                        let answer = connection.send("GET", &path, Content::None, 200)?;
                        if answer.length != bytes as u64 {
                            return Err(io::Error::other(format!("{} bytes instead of {bytes}", answer.length)));
                        }
                    }
                    Ok(amount(bytes * pulls))
                })
            }))
        }
        Work::PushSmall { clients, bytes } => {
            let clients: Vec<_> = connected(door, clients)?.into_iter().enumerate().collect();
            Ready(Box::new(move || {
                together(clients, |(client, mut connection)| {
                    for_a_while(length, |number| {
                        let blob = Layer::new(bytes, (round << 48) | ((client as u64) << 32) | number | (1 << 63));
                        connection.push(REPOSITORY, &blob.digest, &chunked(&blob.content))
                    })
                })
            }))
        }
        Work::Request { clients, method, path } => {
            let path = prepared.path(path)?;
            let clients = connected(door, clients)?;
            Ready(Box::new(move || {
                together(clients, |mut connection| {
                    for_a_while(length, |_| connection.send(method, &path, Content::None, 200).map(drop))
                })
            }))
        }
        Work::Idle => Ready(Box::new(|| Ok(0.0))),
    })
}

fn connected(door: &Door, clients: usize) -> io::Result<Vec<Connection>> {
    (0..clients).map(|_| door.connect()).collect()
}

/// Each client in a thread of its own; the sum of what they did.
fn together<T: Send>(clients: Vec<T>, work: impl Fn(T) -> io::Result<f64> + Sync) -> io::Result<f64> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || work(client))).collect();
        let done = threads.into_iter().map(|done| done.join().map_err(|_| io::Error::other("a client broke"))?);
        done.sum()
    })
}

/// Again and again, at least once; how often.
#[expect(clippy::disallowed_methods, reason = "what is measured is the time of the machine")]
fn for_a_while(length: Duration, mut work: impl FnMut(u64) -> io::Result<()>) -> io::Result<f64> {
    let begun = Instant::now();
    let mut done = 0_u32;
    loop {
        work(done.into())?;
        done += 1;
        if begun.elapsed() >= length {
            return Ok(done.into());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no figure needs so many digits")]
fn amount(bytes: usize) -> f64 {
    bytes as f64
}
