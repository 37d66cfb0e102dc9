//! Content to push.

use std::io::{self, Write};

use bytes::Bytes;
use registry_core::{Algorithm, Digest, Hasher, MediaType};

/// Content and its digest.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The SHA-256.
    pub digest: Digest,
    /// The bytes.
    pub content: Vec<u8>,
}

impl Layer {
    /// `bytes` bytes that do not compress, another sequence for each `seed`.
    #[must_use]
    pub fn new(bytes: usize, seed: u64) -> Self {
        // SplitMix64: quick, and any sequence of numbers gives another.
        let mut state = seed;
        let mut content = Vec::with_capacity(bytes + 8);
        while content.len() < bytes {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            content.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        content.truncate(bytes);
        Self::of(content)
    }

    /// As a manifest tells of it.
    #[must_use]
    pub fn told(&self) -> (&Digest, usize) {
        (&self.digest, self.content.len())
    }

    /// The content in frames of so many bytes.
    #[must_use]
    pub fn frames(&self, bytes: usize) -> Vec<Bytes> {
        let content = Bytes::from(self.content.clone());
        (0..content.len()).step_by(bytes).map(|at| content.slice(at..content.len().min(at + bytes))).collect()
    }

    /// These bytes.
    #[must_use]
    pub fn of(content: Vec<u8>) -> Self {
        Self { digest: Digest::of(Algorithm::Sha256, &content), content }
    }
}

/// A block again and again: large content that needs little memory.
#[derive(Debug, Clone)]
pub struct Repeated {
    /// The SHA-256 of all of it.
    pub digest: Digest,
    block: Vec<u8>,
    count: usize,
}

/// Large enough that nobody notices where one ends.
const BLOCK_BYTES: usize = 1024 * 1024;

impl Repeated {
    /// `bytes` bytes that do not compress in themselves, rounded down to whole blocks of 1 MiB if they are more than one;
    /// another sequence for each `seed`.
    #[must_use]
    pub fn new(bytes: usize, seed: u64) -> Self {
        let block = Layer::new(bytes.min(BLOCK_BYTES), seed).content;
        let count = (bytes / BLOCK_BYTES).max(1);
        let mut hasher = Hasher::new(Algorithm::Sha256);
        (0..count).for_each(|_| hasher.update(&block));
        Self { digest: hasher.finish(), block, count }
    }

    /// How many bytes it is in all.
    #[must_use]
    pub fn size(&self) -> usize {
        self.block.len() * self.count
    }

    /// As a manifest tells of it.
    #[must_use]
    pub fn told(&self) -> (&Digest, usize) {
        (&self.digest, self.size())
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        (0..self.count).try_for_each(|_| writer.write_all(&self.block))
    }

    /// How it goes over HTTP/1.1.
    #[must_use]
    pub fn encoded(&self) -> Encoded {
        Encoded { block: chunks(&self.block), count: self.count }
    }
}

/// Content in the chunks of HTTP/1.1, made beforehand, so that a client has nothing to do but to write it.
#[derive(Debug, Clone)]
pub struct Encoded {
    block: Vec<u8>,
    count: usize,
}

impl Encoded {
    /// Writes the chunks and the end of the body.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_to(&self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        (0..self.count).try_for_each(|_| writer.write_all(&self.block))?;
        writer.write_all(LAST_CHUNK)
    }
}

/// The manifest of an image, of a configuration and layers that are told by digest and size.
#[must_use]
pub fn image_manifest(config: (&Digest, usize), layers: &[(&Digest, usize)]) -> String {
    let descriptor = |(digest, size): (&Digest, usize), media_type: &str| serde_json::json!({ "mediaType": media_type, "digest": digest, "size": size });
    let layer = |layer: &(&Digest, usize)| descriptor(*layer, "application/vnd.oci.image.layer.v1.tar+gzip");
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
    .to_string()
}

/// The content as a body of unknown length goes over HTTP/1.1.
#[must_use]
pub fn chunked(content: &[u8]) -> Encoded {
    Encoded { block: chunks(content), count: 1 }
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// In chunks of 32 KiB, as docker sends them.
fn chunks(content: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(content.len() + content.len() / 1024 + 16);
    for chunk in content.chunks(32 * 1024) {
        encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded
}
