//! The pieces of work that are compared.

use registry_benches::MEBIBYTE;

use crate::work::Turn;

/// A piece of work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
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
    PushSmall { clients: usize, bytes: usize },
    /// Clients send one request again and again for a while.
    Request { clients: usize, method: &'static str, path: Place },
    /// Nothing.
    Idle,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    ManifestByTag,
    ManifestByDigest,
    Blob,
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
}

impl Work {
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Push { .. } | Self::Pull { .. } => Unit::Gigabyte,
            Self::PushSmall { .. } | Self::Request { .. } => Unit::Request,
            Self::Idle => Unit::Memory,
        }
    }
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gigabyte => "CPU-s/GB",
            Self::Request => "CPU-us each",
            Self::Memory => "MB",
        }
    }

    /// What is compared: the less the better.
    pub(crate) fn cost(self, turn: &Turn) -> f64 {
        match self {
            Self::Gigabyte => turn.cpu_seconds / (turn.amount / 1e9),
            Self::Request => turn.cpu_seconds * 1e6 / turn.amount,
            Self::Memory => turn.amount / 1e6,
        }
    }

    /// How fast it went, if that can be said.
    pub(crate) fn rate(self, turn: &Turn) -> Option<f64> {
        match self {
            Self::Gigabyte => Some(turn.amount / 1e9 / turn.seconds),
            Self::Request => Some(turn.amount / turn.seconds),
            Self::Memory => None,
        }
    }

    pub(crate) fn rate_name(self) -> &'static str {
        match self {
            Self::Gigabyte => "GB/s",
            Self::Request => "each second",
            Self::Memory => "",
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

fn request(name: &'static str, clients: usize, method: &'static str, path: Place) -> Row {
    plain(name, Work::Request { clients, method, path })
}

fn plain(name: &'static str, work: Work) -> Row {
    Row { name, work, tls: false, login: false, durability: "strict" }
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    let pull = Work::Pull { clients: 4, bytes: 256 * MEBIBYTE, pulls: 2 };
    let small = Work::PushSmall { clients: 8, bytes: 4096 };
    vec![
        plain("push of 128 MiB blobs", Work::Push { clients: 2, bytes: 128 * MEBIBYTE, blobs: 2 }),
        plain("pull of 256 MiB blobs", pull),
        Row { tls: true, ..plain("pull of 256 MiB blobs over TLS 1.3", pull) },
        request("manifest GET by tag", 32, "GET", Place::ManifestByTag),
        request("manifest HEAD by tag", 32, "HEAD", Place::ManifestByTag),
        request("manifest GET by digest", 32, "GET", Place::ManifestByDigest),
        request("manifest HEAD by digest", 32, "HEAD", Place::ManifestByDigest),
        Row { login: true, ..request("manifest GET by tag with a login", 32, "GET", Place::ManifestByTag) },
        request("blob HEAD", 32, "HEAD", Place::Blob),
        plain("push of 4 KiB blobs, durability strict", small),
        Row { durability: "group", ..plain("push of 4 KiB blobs, durability group", small) },
        Row { durability: "os", ..plain("push of 4 KiB blobs, durability os", small) },
        request("page of 100 of 100,000 tags", 1, "GET", Place::Tags(100_000)),
        request("page of 100 of 20,000 repositories", 1, "GET", Place::Catalog(20_000)),
        plain("memory after the start", Work::Idle),
    ]
}
