//! What manifests need, as a graph of numbers: each manifest is read once, in however many repositories it is.

use std::collections::HashMap;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::digests::{Digests, Id};
use crate::document::{Content, Descriptor, Document};
use crate::storage::Error as StorageError;
use crate::{Algorithm, Digest, Error, References, Registry, Validation};

/// What was made of the bytes of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// An image or an artifact.
    Image,
    /// An index: what it needs are manifests.
    Index,
    /// Some other document, such as an old manifest; whatever it names by a digest counts as needed.
    Foreign,
    /// There are no bytes.
    Absent,
    /// The bytes are not those of the digest, or too many for a manifest.
    Corrupt,
}

#[derive(Debug)]
struct Node {
    reading: Reading,
    needs: std::ops::Range<usize>,
    /// So many of the needs must be there; the rest may lie elsewhere.
    required: usize,
    subject: Option<Id>,
}

/// The manifests that were read.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    nodes: HashMap<Id, Node>,
    needs: Vec<Id>,
    /// The sizes that manifests state of their needs, in the same order; `None` where nobody asks.
    sizes: Option<Vec<u64>>,
}

/// Stands for a size that is not stated.
const UNSTATED: u64 = u64::MAX;

/// How many manifests are read side by side. Each may have 4 MiB.
const CONCURRENCY: usize = 8;

impl Documents {
    /// Will also tell the sizes that manifests state.
    pub(crate) fn with_sizes() -> Self {
        Self { sizes: Some(Vec::new()), ..Self::default() }
    }

    /// Reads these manifests, and the children of those that are indexes, at any depth.
    pub(crate) async fn load(
        &mut self,
        registry: &Registry,
        digests: &mut Digests,
        roots: impl IntoIterator<Item = Id>,
    ) -> Result<(), Error> {
        let mut wanted: Vec<Id> = roots.into_iter().collect();
        while !wanted.is_empty() {
            wanted.sort_unstable();
            wanted.dedup();
            wanted.retain(|id| !self.nodes.contains_key(id));
            let level: Vec<(Id, Digest)> = wanted.iter().map(|id| (*id, digests.digest(*id))).collect();
            let mut parsed = stream::iter(level)
                .map(|(id, digest)| async move { Ok::<_, Error>((id, parse(registry, &digest).await?)) })
                .buffer_unordered(CONCURRENCY);
            let mut next = Vec::new();
            while let Some((id, parsed)) = parsed.try_next().await? {
                let needs = self.add(digests, id, &parsed);
                if self.reading(id) == Reading::Index {
                    next.extend_from_slice(&self.needs[needs]);
                }
            }
            wanted = next;
        }
        Ok(())
    }

    fn add(&mut self, digests: &mut Digests, id: Id, parsed: &Parsed) -> std::ops::Range<usize> {
        let first = self.needs.len();
        self.needs.extend(parsed.needs.iter().map(|digest| digests.id(digest)));
        if let Some(sizes) = &mut self.sizes {
            sizes.extend_from_slice(&parsed.sizes);
            sizes.resize(self.needs.len(), UNSTATED);
        }
        let needs = first..self.needs.len();
        let subject = parsed.subject.map(|subject| digests.id(&subject));
        let node = Node { reading: parsed.reading, needs: needs.clone(), required: parsed.required, subject };
        self.nodes.insert(id, node);
        needs
    }

    /// Reads one again that could not be read.
    pub(crate) fn forget(&mut self, id: Id) {
        self.nodes.remove(&id);
    }

    /// Whether it was asked for.
    pub(crate) fn is_known(&self, id: Id) -> bool {
        self.nodes.contains_key(&id)
    }

    /// What was made of a manifest; one that was not asked for has no bytes.
    pub(crate) fn reading(&self, id: Id) -> Reading {
        self.nodes.get(&id).map_or(Reading::Absent, |node| node.reading)
    }

    /// All that a manifest names, itself.
    pub(crate) fn needs(&self, id: Id) -> &[Id] {
        self.nodes.get(&id).map_or(&[], |node| &self.needs[node.needs.clone()])
    }

    /// What must be there for a manifest to be of use.
    pub(crate) fn required(&self, id: Id) -> &[Id] {
        self.nodes.get(&id).map_or(&[], |node| &self.needs[node.needs.clone()][..node.required])
    }

    /// The same, with the sizes that the manifest states.
    pub(crate) fn required_with_sizes(&self, id: Id) -> impl Iterator<Item = (Id, Option<u64>)> {
        let first = self.nodes.get(&id).map_or(0, |node| node.needs.start);
        let sizes = self.sizes.as_ref().and_then(|sizes| sizes.get(first..)).unwrap_or_default();
        let sizes = sizes.iter().copied().map(|size| (size != UNSTATED).then_some(size));
        self.required(id).iter().copied().zip(sizes.chain(std::iter::repeat(None)))
    }

    /// The manifest that a manifest refers to.
    pub(crate) fn subject(&self, id: Id) -> Option<Id> {
        self.nodes.get(&id).and_then(|node| node.subject)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }
}

struct Parsed {
    reading: Reading,
    needs: Vec<Digest>,
    /// The sizes of the needs, where they are stated.
    sizes: Vec<u64>,
    required: usize,
    subject: Option<Digest>,
}

impl Parsed {
    fn nothing(reading: Reading) -> Self {
        Self { reading, needs: Vec::new(), sizes: Vec::new(), required: 0, subject: None }
    }
}

async fn parse(registry: &Registry, digest: &Digest) -> Result<Parsed, Error> {
    let (storage, limit_bytes) = (registry.storage(), registry.limits().manifest_bytes);
    let read = |key| async move {
        match storage.read(&key, limit_bytes).await {
            Err(StorageError::TooLarge { .. }) => Ok(Some(None)),
            found => Ok(found?.map(Some)),
        }
    };
    let content: Bytes = match registry.find_content(digest, read).await? {
        None => return Ok(Parsed::nothing(Reading::Absent)),
        Some(None) => return Ok(Parsed::nothing(Reading::Corrupt)),
        Some(Some(content)) => content,
    };
    if content.len() <= INLINE_BYTES {
        return Ok(judge(digest, &content, registry.validation()));
    }
    let (digest, validation) = (*digest, registry.validation().clone());
    let _turn = registry.parsing().acquire().await;
    Ok(registry.blocking().run(move || judge(&digest, &content, &validation)).await?)
}

/// More than this is hashed and parsed off the async worker.
const INLINE_BYTES: usize = 64 * 1024;

fn judge(digest: &Digest, content: &[u8], validation: &Validation) -> Parsed {
    if Digest::of(digest.algorithm(), content) != *digest {
        return Parsed::nothing(Reading::Corrupt);
    }
    let Ok(document) = Document::parse_stored(content) else {
        return Parsed { needs: digests_in(content), ..Parsed::nothing(Reading::Foreign) };
    };
    let (reading, (mut needs, optional)) = match &document.content {
        Content::Image { config, layers } => {
            let elsewhere = |layer: &&Descriptor| layer.is_non_distributable() && !layer.urls.is_empty();
            let (optional, needs): (Vec<_>, Vec<_>) = layers.iter().partition(elsewhere);
            (Reading::Image, (needs.into_iter().chain([&**config]).collect::<Vec<_>>(), optional))
        }
        Content::Index { manifests } => {
            let is_required = |child: &&Descriptor| validation.platforms.require(child.platform.as_ref());
            (Reading::Index, manifests.iter().partition(is_required))
        }
    };
    let required = if validation.references == References::Sparse { 0 } else { needs.len() };
    needs.extend(optional);
    let (needs, sizes) = needs.into_iter().map(|descriptor| (descriptor.digest, descriptor.size)).unzip();
    Parsed { reading, needs, sizes, required, subject: document.subject }
}

/// Every digest that stands in some text.
fn digests_in(content: &[u8]) -> Vec<Digest> {
    let text = String::from_utf8_lossy(content);
    let mut digests = Vec::new();
    for algorithm in Algorithm::ALL {
        for (at, name) in text.match_indices(algorithm.as_str()) {
            let rest = &text[at + name.len()..];
            let hex = rest.strip_prefix(':').and_then(|rest| rest.get(..algorithm.hash_bytes() * 2));
            digests.extend(hex.and_then(|hex| Digest::from_parts(algorithm, hex).ok()));
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_foreign_document_names_is_needed() {
        let named = [Digest::of(Algorithm::Sha256, b"a"), Digest::of(Algorithm::Sha512, b"b")];
        let text =
            format!(r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{}"}}],"x":"{} sha256:44"}}"#, named[0], named[1]);
        let parsed = judge(&Digest::of(Algorithm::Sha256, text.as_bytes()), text.as_bytes(), &Validation::default());
        assert_eq!((parsed.reading, parsed.required), (Reading::Foreign, 0));
        assert_eq!(parsed.needs, named);
    }

    #[test]
    fn bytes_of_another_digest_say_nothing() {
        let parsed = judge(&Digest::of(Algorithm::Sha256, b"a"), b"{}", &Validation::default());
        assert_eq!((parsed.reading, parsed.needs.len()), (Reading::Corrupt, 0));
    }
}
