//! A server that is ready for its turns.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use registry_benches::Connection;
use registry_core::{Algorithm, Digest};
use rustls::{ClientConfig, RootCertStore};

use crate::peer::{Command, Peer, Programs, Setting};
use crate::process::Running;
use crate::row::{Place, Row, Work};
use crate::work::{self, Prepared, Turn};

/// A server with what a row needs of it.
#[derive(Debug)]
pub(crate) struct Served {
    peer: Peer,
    commands: Vec<Command>,
    log: PathBuf,
    processes: Vec<Running>,
    door: Door,
    prepared: Prepared,
}

/// How clients come in.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    login: bool,
}

const USER: &str = "someone";
const PASSWORD: &str = "a password of some length";
/// What docker asks for, as far as this work goes.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json";
const READY: Duration = Duration::from_mins(1);

impl Door {
    pub(crate) fn connect(&self) -> io::Result<Connection> {
        let connection = match &self.tls {
            Some(tls) => Connection::open_tls(self.address, Arc::clone(tls))?,
            None => Connection::open(self.address)?,
        };
        let connection = connection.accepting(ACCEPTED);
        Ok(if self.login { connection.logged_in(USER, PASSWORD) } else { connection })
    }
}

impl Served {
    /// Starts it in a folder of its own in `parent`, and makes it ready for a row. It has a volume of its own there, unless
    /// there is one that was filled for all, who only read it.
    pub(crate) fn start(peer: Peer, row: &Row, programs: &Programs, parent: &Path) -> io::Result<Self> {
        let parent = parent.canonicalize()?;
        let folder = parent.join(peer.id());
        fs::create_dir(&folder)?;
        let volume = if is_filled(row) { parent.join(VOLUME) } else { folder.join(VOLUME) };
        let tls = row.tls.then(|| certify(&folder)).transpose()?;
        if row.login {
            let hash = bcrypt::hash(PASSWORD, 12).map_err(io::Error::other)?;
            fs::write(folder.join("htpasswd"), format!("{USER}:{hash}\n"))?;
        }
        let prepared = Prepared::new(row);
        if peer == Peer::Nginx {
            prepared.write_file(&folder.join("file"))?;
        }
        let (port, inner_port) = (free_port()?, free_port()?);
        let setting = Setting { row, folder: &folder, volume: &volume, port, inner_port };
        let log = folder.join("log");
        let commands = peer.configure(programs, &setting)?;
        let door = Door { address: (Ipv4Addr::LOCALHOST, port).into(), tls, login: row.login };
        let mut served = Self { peer, commands, log, processes: Vec::new(), door, prepared };
        served.restart()?;
        if peer != Peer::Nginx {
            served.prepared.push(&served.door)?;
        }
        Ok(served)
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Does the work once.
    #[expect(clippy::disallowed_methods, reason = "what is measured is the time of the machine")]
    pub(crate) fn turn(&mut self, row: &Row, round: u64, seconds: f64) -> io::Result<Turn> {
        let only = |amount| Turn { amount, seconds: 0.0, cpu_seconds: 0.0 };
        match row.work {
            Work::Idle => return Ok(only(self.sum(Running::resident_bytes)?)),
            Work::Start { .. } => {
                self.processes.clear();
                let begun = Instant::now();
                self.restart()?;
                return Ok(only(begun.elapsed().as_secs_f64() * 1e3));
            }
            Work::PushAndPull { .. } => self.processes.iter().try_for_each(Running::forget_peak)?,
            _ => {}
        }
        let work = work::ready(row.work, &self.door, &self.prepared, round, Duration::from_secs_f64(seconds))?;
        let (cpu, begun) = (self.cpu_seconds()?, Instant::now());
        let amount = work.run()?;
        if matches!(row.work, Work::PushAndPull { .. }) {
            return Ok(only(self.sum(Running::peak_bytes)?));
        }
        Ok(Turn { amount, seconds: begun.elapsed().as_secs_f64(), cpu_seconds: self.cpu_seconds()? - cpu })
    }

    fn cpu_seconds(&self) -> io::Result<f64> {
        self.sum(Running::cpu_seconds)
    }

    fn sum(&self, of: fn(&Running) -> io::Result<f64>) -> io::Result<f64> {
        self.processes.iter().map(of).sum()
    }

    /// Starts its programs, and waits for an answer.
    fn restart(&mut self) -> io::Result<()> {
        let processes = self.commands.iter().map(|command| Running::start(command, &self.log));
        self.processes = processes.collect::<io::Result<_>>()?;
        self.wait_until_ready()
    }

    #[expect(clippy::disallowed_methods, reason = "nobody tells when another program is ready")]
    fn wait_until_ready(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < READY {
            if self.processes.iter_mut().any(Running::has_ended) {
                break;
            }
            // Behind a proxy the registry may come later than the port.
            let answered = self.door.connect().and_then(|mut door| door.status("GET", "/v2/"));
            if answered.is_ok_and(|status| status < 500) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        Err(io::Error::other(format!("{} did not start: {said}", self.peer.name())))
    }
}

const VOLUME: &str = "volume";

/// Whether a row is of more than can be pushed in good time.
fn is_filled(row: &Row) -> bool {
    row.work.filled() > 0
}

/// Writes what the servers of such a row read, and no more, into a volume in `parent`.
pub(crate) fn fill(row: &Row, parent: &Path) -> io::Result<()> {
    let repositories = parent.join(VOLUME).join("docker/registry/v2/repositories");
    match row.work {
        Work::Request { path: Place::Tags(count), .. } => {
            let repository = repositories.join(work::REPOSITORY);
            begin_repository(&repository)?;
            (0..count).try_for_each(|number| {
                let current = repository.join("_manifests/tags").join(work::tag(number)).join("current");
                write_link(&current)
            })
        }
        Work::Request { path: Place::Catalog(count), .. } => {
            (0..count).try_for_each(|number| begin_repository(&repositories.join(work::repository(number))))
        }
        _ => begin_blobs(&parent.join(VOLUME).join("docker/registry/v2/blobs/sha256"), row.work.blobs()),
    }
}

/// So many blobs without content.
fn begin_blobs(blobs: &Path, count: usize) -> io::Result<()> {
    for number in 0..count {
        let hash = Digest::of(Algorithm::Sha256, &number.to_le_bytes()).hex();
        let blob = blobs.join(&hash[..2]).join(&hash);
        fs::create_dir_all(&blob)?;
        fs::File::create(blob.join("data"))?;
    }
    Ok(())
}

/// A repository with a manifest and no tags.
fn begin_repository(repository: &Path) -> io::Result<()> {
    fs::create_dir_all(repository.join("_layers"))?;
    fs::create_dir_all(repository.join("_manifests/tags"))?;
    write_link(&repository.join(format!("_manifests/revisions/sha256/{HASH}")))
}

/// Nothing that is measured looks where it leads.
const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn write_link(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("link"), format!("sha256:{HASH}"))
}

/// Makes a certificate, and clients that believe it.
fn certify(folder: &Path) -> io::Result<Arc<ClientConfig>> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
    fs::write(folder.join("certificate.pem"), made.cert.pem())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13]);
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
