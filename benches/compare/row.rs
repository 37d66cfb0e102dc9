//! The pieces of work that are compared.

use registry_benches::MEBIBYTE;

use crate::work::Turn;

/// A piece of work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) work: Work,
    /// Over TLS 1.3.
    pub(crate) tls: bool,
    /// With a password that bcrypt hashed at cost 12.
    pub(crate) login: bool,
    /// What this registry promises of what it answered.
    pub(crate) durability: &'static str,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Each client pushes `blobs` blobs of so many bytes, as docker does.
    Push { clients: usize, bytes: usize, blobs: usize },
    /// Each client pulls one and the same blob `pulls` times.
    Pull { clients: usize, bytes: usize, pulls: usize },
    /// Clients push blobs of so many bytes for a while.
    PushOn { clients: usize, bytes: usize },
    /// Half of the clients push a blob of so many bytes, the others pull one; what counts is the memory that this takes.
    PushAndPull { clients: usize, bytes: usize },
    /// Clients send one request again and again for a while.
    Request { clients: usize, method: &'static str, path: Place },
    /// The server starts, with so many blobs in its volume, and answers.
    Start { blobs: usize },
    /// Nothing.
    Idle,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    ManifestByTag,
    ManifestByDigest,
    /// A blob of so many bytes, in a volume that has `among` others.
    Blob {
        bytes: usize,
        among: usize,
    },
    /// A page of 100 in the middle of so many tags.
    Tags(usize),
    /// A page of 100 in the middle of so many repositories.
    Catalog(usize),
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// CPU seconds for 10^9 bytes.
    Gigabyte,
    /// CPU microseconds for a request, or a blob.
    Request,
    /// Resident memory, in 10^6 bytes.
    Memory,
    /// Thousandths of a second.
    Time,
}

impl Work {
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Push { .. } | Self::Pull { .. } => Unit::Gigabyte,
            Self::PushOn { .. } | Self::Request { .. } => Unit::Request,
            Self::PushAndPull { .. } | Self::Idle => Unit::Memory,
            Self::Start { .. } => Unit::Time,
        }
    }

    /// How many blobs are in the volume before the servers start; none of them is asked for.
    pub(crate) fn blobs(self) -> usize {
        match self {
            Self::Start { blobs } | Self::Request { path: Place::Blob { among: blobs, .. }, .. } => blobs,
            _ => 0,
        }
    }

    /// How many things are written into the volume before the servers start.
    pub(crate) fn filled(self) -> usize {
        match self {
            Self::Request { path: Place::Tags(count) | Place::Catalog(count), .. } => count,
            _ => self.blobs(),
        }
    }

    /// About how much of the disk it takes, if that is much.
    pub(crate) fn disk_bytes(self) -> usize {
        // A directory and a file.
        const BLOB: usize = 5_000;
        match self {
            Self::PushAndPull { clients, bytes } => clients.div_ceil(2) * bytes,
            // Of two servers, in three rounds.
            Self::PushOn { clients, bytes } => 6 * clients * bytes,
            _ => self.blobs() * BLOB,
        }
    }
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gigabyte => "CPU-s/GB",
            Self::Request => "CPU-us each",
            Self::Memory => "MB",
            Self::Time => "ms",
        }
    }

    /// What is compared: the less the better.
    pub(crate) fn cost(self, turn: &Turn) -> f64 {
        match self {
            Self::Gigabyte => turn.cpu_seconds / (turn.amount / 1e9),
            Self::Request => turn.cpu_seconds * 1e6 / turn.amount,
            Self::Memory => turn.amount / 1e6,
            Self::Time => turn.amount,
        }
    }

    /// How fast it went, if that can be said.
    pub(crate) fn rate(self, turn: &Turn) -> Option<f64> {
        match self {
            Self::Gigabyte => Some(turn.amount / 1e9 / turn.seconds),
            Self::Request => Some(turn.amount / turn.seconds),
            Self::Memory | Self::Time => None,
        }
    }

    pub(crate) fn rate_name(self) -> &'static str {
        match self {
            Self::Gigabyte => "GB/s",
            Self::Request => "each second",
            Self::Memory | Self::Time => "",
        }
    }

    pub(crate) fn show(self, turn: &Turn) -> String {
        let cost = self.cost(turn);
        match self.rate(turn) {
            Some(rate) => format!("{cost:10.3} {:12} {rate:10.2} {}", self.name(), self.rate_name()),
            None => format!("{cost:10.3} {}", self.name()),
        }
    }
}

pub(crate) fn request(name: &str, clients: usize, method: &'static str, path: Place) -> Row {
    plain(name, Work::Request { clients, method, path })
}

pub(crate) fn plain(name: &str, work: Work) -> Row {
    Row { name: name.to_owned(), work, tls: false, login: false, durability: "strict" }
}

/// All of them, in the order of the table. Where the most memory counts, the blobs have so many mebibytes.
pub(crate) fn all(peak_mebibytes: usize) -> Vec<Row> {
    let pull = Work::Pull { clients: 4, bytes: 256 * MEBIBYTE, pulls: 2 };
    let small = Work::PushOn { clients: 8, bytes: 4096 };
    vec![
        plain("push of 128 MiB blobs", Work::Push { clients: 2, bytes: 128 * MEBIBYTE, blobs: 2 }),
        plain("pull of 256 MiB blobs", pull),
        Row { tls: true, ..plain("pull of 256 MiB blobs over TLS 1.3", pull) },
        request("manifest GET by tag", 32, "GET", Place::ManifestByTag),
        request("manifest HEAD by tag", 32, "HEAD", Place::ManifestByTag),
        request("manifest GET by digest", 32, "GET", Place::ManifestByDigest),
        request("manifest HEAD by digest", 32, "HEAD", Place::ManifestByDigest),
        Row { login: true, ..request("manifest GET by tag with a login", 32, "GET", Place::ManifestByTag) },
        request("blob HEAD", 32, "HEAD", Place::Blob { bytes: 4096, among: 0 }),
        plain("push of 4 KiB blobs, durability strict", small),
        Row { durability: "group", ..plain("push of 4 KiB blobs, durability group", small) },
        Row { durability: "os", ..plain("push of 4 KiB blobs, durability os", small) },
        request("page of 100 of 100,000 tags", 1, "GET", Place::Tags(100_000)),
        request("page of 100 of 20,000 repositories", 1, "GET", Place::Catalog(20_000)),
        plain("memory after the start", Work::Idle),
        plain(
            "memory at most, 64 clients push and pull",
            Work::PushAndPull { clients: 64, bytes: peak_mebibytes * MEBIBYTE },
        ),
        plain("first answer after the start, 1,000,000 layers", Work::Start { blobs: 1_000_000 }),
    ]
}
