//! Content to push.

use registry_core::{Algorithm, Digest, MediaType};

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

    /// These bytes.
    #[must_use]
    pub fn of(content: Vec<u8>) -> Self {
        Self { digest: Digest::of(Algorithm::Sha256, &content), content }
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

/// The content as a body of unknown length goes over HTTP/1.1, in chunks of 32 KiB as docker sends them.
///
/// It is built beforehand, so that the client has nothing to do but to write it.
#[must_use]
pub fn chunked(content: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(content.len() + content.len() / 1024 + 16);
    for chunk in content.chunks(32 * 1024) {
        encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\n\r\n");
    encoded
}
