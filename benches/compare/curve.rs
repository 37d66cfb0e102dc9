//! How costs grow: the same work with more clients, larger blobs, more tags, more blobs in the volume.

use registry_benches::MEBIBYTE;

use crate::row::{Place, Row, Work, plain, request};

/// One piece of work in several sizes.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// What grows.
    pub(crate) axis: &'static str,
    pub(crate) points: Vec<Point>,
}

/// The work in one size.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) size: usize,
    pub(crate) row: Row,
}

const KIBIBYTE: usize = 1024;
const GIBIBYTE: usize = 1024 * MEBIBYTE;
const CLIENTS: [usize; 5] = [1, 4, 16, 64, 256];
const BLOB_BYTES: [usize; 7] =
    [KIBIBYTE, 16 * KIBIBYTE, 256 * KIBIBYTE, 4 * MEBIBYTE, 64 * MEBIBYTE, GIBIBYTE, 4 * GIBIBYTE];
const TAGS: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
const BLOBS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// All of them, in the order in which they are drawn.
pub(crate) fn all() -> Vec<Curve> {
    let small = 4 * KIBIBYTE;
    vec![
        curve("manifest GET by tag", "clients", &CLIENTS, |clients, name| {
            request(name, clients, "GET", Place::ManifestByTag)
        }),
        curve("pull of 16 MiB blobs", "clients", &CLIENTS, |clients, name| {
            plain(name, Work::Pull { clients, bytes: 16 * MEBIBYTE, pulls: (256 / clients).max(2) })
        }),
        curve("push of 4 KiB blobs", "clients", &CLIENTS, |clients, name| {
            plain(name, Work::PushOn { clients, bytes: small })
        }),
        curve("pull of a blob", "bytes", &BLOB_BYTES, |bytes, name| {
            request(name, 2, "GET", Place::Blob { bytes, among: 0 })
        }),
        curve("push of a blob", "bytes", &BLOB_BYTES, |bytes, name| plain(name, Work::PushOn { clients: 2, bytes })),
        curve("page of 100 tags", "tags in the repository", &TAGS, |tags, name| {
            request(name, 1, "GET", Place::Tags(tags))
        }),
        curve("blob HEAD", "blobs in the volume", &BLOBS, |among, name| {
            request(name, 32, "HEAD", Place::Blob { bytes: small, among })
        }),
        curve("first answer after the start", "blobs in the volume", &BLOBS, |blobs, name| {
            plain(name, Work::Start { blobs })
        }),
    ]
}

fn curve(name: &'static str, axis: &'static str, sizes: &[usize], row: impl Fn(usize, &str) -> Row) -> Curve {
    let point = |&size: &usize| Point { size, row: row(size, &format!("{name}, {} {axis}", told(axis, size))) };
    Curve { name, axis, points: sizes.iter().map(point).collect() }
}

/// A size as people say it.
pub(crate) fn told(axis: &str, size: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(GIBIBYTE, "Gi"), (MEBIBYTE, "Mi"), (KIBIBYTE, "Ki")];
    const THOUSANDS: [(usize, &str); 2] = [(1_000_000, "M"), (1_000, "k")];
    let units = if axis == "bytes" { &UNITS[..] } else { &THOUSANDS[..] };
    match units.iter().find(|(unit, _)| size.is_multiple_of(*unit) && size > 0) {
        Some((unit, name)) => format!("{}{name}", size / unit),
        None => size.to_string(),
    }
}
