//! What clients do.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use registry_benches::{Connection, Content, Encoded, Layer, Repeated, image_manifest, together};
use registry_core::Digest;
use registry_core::MediaType;

use crate::row::{Place, Row, Work};
use crate::served::Door;

/// What one server did in one turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Bytes, requests, blobs or milliseconds.
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
    blob: Option<Repeated>,
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
            Work::Pull { bytes, .. }
            | Work::PushAndPull { bytes, .. }
            | Work::Request { path: Place::Blob { bytes, .. }, .. } => {
                Self { blob: Some(Repeated::new(bytes, 1)), manifest: None }
            }
            Work::Request { path: Place::ManifestByTag | Place::ManifestByDigest, .. } => {
                let blob = Repeated::new(4096, 1);
                // Its one layer is its configuration too.
                let manifest = image_manifest(blob.told(), &[blob.told()]);
                Self { blob: Some(blob), manifest: Some(Layer::of(manifest.into_bytes())) }
            }
            _ => Self { blob: None, manifest: None },
        }
    }

    /// Writes what is asked for as a plain file.
    pub(crate) fn write_file(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        match (&self.manifest, &self.blob) {
            (Some(manifest), _) => file.write_all(&manifest.content),
            (None, Some(blob)) => blob.write_to(&mut file),
            (None, None) => Ok(()),
        }
    }

    /// Pushes all of it.
    pub(crate) fn push(&self, door: &Door) -> io::Result<()> {
        let mut connection = door.connect()?;
        if let Some(blob) = &self.blob {
            connection.push(REPOSITORY, &blob.digest, &blob.encoded())?;
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
        let digest = |found: Option<Digest>| found.ok_or_else(|| io::Error::other("nothing was prepared"));
        Ok(match place {
            Place::ManifestByTag => format!("/v2/{REPOSITORY}/manifests/{TAG}"),
            Place::ManifestByDigest => format!("/v2/{REPOSITORY}/manifests/{}", digest(manifest)?),
            Place::Blob { .. } => format!("/v2/{REPOSITORY}/blobs/{}", digest(blob)?),
            Place::Tags(count) => format!("/v2/{REPOSITORY}/tags/list?n=100&last={}", tag(count / 2)),
            Place::Catalog(count) => format!("/v2/_catalog?n=100&last={}", repository(count / 2)),
        })
    }
}

/// Makes everything that the clients need, so that while the clock runs they only send and receive.
pub(crate) fn ready<'a>(
    work: Work,
    door: &'a Door,
    prepared: &'a Prepared,
    round: u64,
    length: Duration,
) -> io::Result<Ready<'a>> {
    match work {
        Work::Push { clients, bytes, blobs } => push(door, clients, bytes, blobs, round),
        Work::Pull { clients, bytes, pulls } => pull(door, prepared, clients, bytes, pulls),
        Work::PushOn { clients, bytes } => push_on(door, clients, bytes, round, length),
        Work::PushAndPull { clients, bytes } => push_and_pull(door, prepared, clients, bytes, round),
        Work::Request { clients, method, path } => request(door, clients, method, prepared.path(path)?, length),
        Work::Start { .. } | Work::Idle => Ok(Ready(Box::new(|| Ok(0.0)))),
    }
}

fn push<'a>(door: &Door, clients: usize, bytes: usize, blobs: usize, round: u64) -> io::Result<Ready<'a>> {
    let seed = |client: usize, number: usize| ((round << 32) | (client << 16) as u64) + number as u64 + 1;
    let encoded = |client| {
        let blobs = (0..blobs).map(move |number| Repeated::new(bytes, seed(client, number)));
        blobs.map(|blob| (blob.digest, blob.encoded())).collect::<Vec<_>>()
    };
    let contents = (0..clients).map(|client| Ok((door.connect()?, encoded(client))));
    let clients = contents.collect::<io::Result<Vec<_>>>()?;
    Ok(Ready(Box::new(move || {
        sum(clients, |(mut connection, blobs)| {
            for (digest, encoded) in &blobs {
                connection.push(REPOSITORY, digest, encoded)?;
            }
            Ok(amount(bytes * blobs.len()))
        })
    })))
}

fn pull<'a>(door: &Door, prepared: &Prepared, clients: usize, bytes: usize, pulls: usize) -> io::Result<Ready<'a>> {
    let path = prepared.path(Place::Blob { bytes, among: 0 })?;
    let clients = connected(door, clients)?;
    Ok(Ready(Box::new(move || {
        sum(clients, |mut connection| {
            (0..pulls).try_for_each(|_| pull_one(&mut connection, &path, bytes))?;
            Ok(amount(bytes * pulls))
        })
    })))
}

fn pull_one(connection: &mut Connection, path: &str, bytes: usize) -> io::Result<()> {
    let answer = connection.send("GET", path, Content::None, 200)?;
    if answer.length != bytes as u64 {
        return Err(io::Error::other(format!("{} bytes instead of {bytes}", answer.length)));
    }
    Ok(())
}

/// What one of many clients does.
enum Part {
    Push(Encoded),
    Pull(String),
}

/// Every second client pulls, the others push, and take back what they pushed, so that it needs no more of the disk.
fn push_and_pull<'a>(
    door: &Door,
    prepared: &Prepared,
    clients: usize,
    bytes: usize,
    round: u64,
) -> io::Result<Ready<'a>> {
    let path = prepared.path(Place::Blob { bytes, among: 0 })?;
    let part = |client: usize| match client % 2 {
        0 => Part::Pull(path.clone()),
        _ => Part::Push(Repeated::new(bytes, (round << 32) + client as u64 + 2).encoded()),
    };
    // That takes longer than a server waits for the first request of a connection.
    let parts: Vec<_> = (0..clients).map(part).collect();
    let clients: Vec<_> = connected(door, clients)?.into_iter().zip(parts).collect();
    Ok(Ready(Box::new(move || {
        sum(clients, |(mut connection, part)| {
            match part {
                Part::Pull(path) => pull_one(&mut connection, &path, bytes)?,
                Part::Push(encoded) => {
                    let upload = connection.upload(REPOSITORY, &encoded)?;
                    connection.send("DELETE", &upload, Content::None, 204)?;
                }
            }
            Ok(amount(bytes))
        })
    })))
}

fn push_on<'a>(door: &Door, clients: usize, bytes: usize, round: u64, length: Duration) -> io::Result<Ready<'a>> {
    let clients: Vec<_> = connected(door, clients)?.into_iter().enumerate().collect();
    Ok(Ready(Box::new(move || {
        sum(clients, |(client, mut connection)| {
            for_a_while(length, |number| {
                let blob = Repeated::new(bytes, (round << 48) | ((client as u64) << 32) | number | (1 << 63));
                connection.push(REPOSITORY, &blob.digest, &blob.encoded())
            })
        })
    })))
}

fn request<'a>(door: &Door, clients: usize, method: &'a str, path: String, length: Duration) -> io::Result<Ready<'a>> {
    let clients = connected(door, clients)?;
    Ok(Ready(Box::new(move || {
        sum(clients, |mut connection| {
            for_a_while(length, |_| connection.send(method, &path, Content::None, 200).map(drop))
        })
    })))
}

fn connected(door: &Door, clients: usize) -> io::Result<Vec<Connection>> {
    (0..clients).map(|_| door.connect()).collect()
}

/// What all clients did.
fn sum<C: Send>(clients: Vec<C>, work: impl Fn(C) -> io::Result<f64> + Sync) -> io::Result<f64> {
    Ok(together(clients, work)?.into_iter().sum())
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
