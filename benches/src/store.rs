//! A store with much in it, written in the way that a collector looks at it.

use std::fs;
use std::io;
use std::path::Path;

use registry_core::storage::Key;
use registry_core::{Algorithm, Digest, RepositoryName, Tag, layout};

use crate::image_manifest;

/// How much is in a store: each manifest has a tag and ten layers that no other has.
#[derive(Debug, Clone, Copy)]
pub struct StoreSize {
    /// How many repositories.
    pub repositories: usize,
    /// How many manifests in each of them.
    pub manifests: usize,
}

impl StoreSize {
    /// How large the manifests say that everything is.
    const TOLD_BYTES: usize = 12_345_678;
    /// How many layers each manifest has.
    pub const LAYERS: usize = 10;

    /// How many manifests there are in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.repositories * self.manifests
    }

    /// Writes the links, and the bytes of the manifests; the layers are links only, which is all that is marked.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn fill(&self, root: &Path) -> io::Result<()> {
        let config = Digest::of(Algorithm::Sha256, b"{}");
        let mut serial = 0_u64;
        for number in 0..self.repositories {
            let name: RepositoryName =
                format!("group-{}/app-{number}", number % 10).parse().map_err(io::Error::other)?;
            for version in 0..self.manifests {
                let layers: Vec<Digest> = (0..Self::LAYERS)
                    .map(|_| {
                        serial += 1;
                        Digest::of(Algorithm::Sha256, &serial.to_be_bytes())
                    })
                    .collect();
                for layer in &layers {
                    write(root, &layout::layer_link(&name, layer), layer.to_string().as_bytes())?;
                }
                let told: Vec<_> = layers.iter().map(|layer| (layer, Self::TOLD_BYTES)).collect();
                let manifest = image_manifest((&config, Self::TOLD_BYTES), &told);
                let digest = Digest::of(Algorithm::Sha256, manifest.as_bytes());
                let tag: Tag = format!("v{version}").parse().map_err(io::Error::other)?;
                write(root, &layout::blob(&digest), manifest.as_bytes())?;
                write(root, &layout::revision_link(&name, &digest), digest.to_string().as_bytes())?;
                write(root, &layout::tag_current(&name, &tag), digest.to_string().as_bytes())?;
            }
        }
        Ok(())
    }
}

fn write(root: &Path, key: &Key, content: &[u8]) -> io::Result<()> {
    let path = root.join(key.as_str());
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    fs::write(path, content)
}
