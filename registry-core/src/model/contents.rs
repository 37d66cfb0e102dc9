//! What the registry has, as simple as can be.

use std::collections::{BTreeMap, BTreeSet};

use super::Answer;
use super::program::{Blob, Document, Step, names};
use crate::{Algorithm, Digest, Error, Registry, Repository, RepositoryName, Tag, UploadId};

/// The registry as simple as can be.
#[derive(Debug, Default)]
pub(super) struct Model {
    repositories: BTreeMap<RepositoryName, Contents>,
    uploads: Vec<(RepositoryName, Option<Vec<u8>>)>,
}

#[derive(Debug, Default)]
struct Contents {
    blobs: BTreeSet<Digest>,
    manifests: BTreeMap<Digest, Document>,
    tags: BTreeMap<Tag, Digest>,
}

impl Contents {
    /// What of a document's needs is not here.
    fn missing(&self, document: &Document) -> BTreeSet<Digest> {
        match document {
            Document::Image(layers, _) => {
                let config = Blob { number: 0, algorithm: Algorithm::Sha256 };
                let needs = layers.iter().copied().chain([config]).map(Blob::digest);
                needs.filter(|digest| !self.blobs.contains(digest)).collect()
            }
            Document::Index(children) => children
                .iter()
                .flat_map(|child| {
                    let digest = child.digest(Algorithm::Sha256);
                    if self.manifests.contains_key(&digest) { self.missing(child) } else { [digest].into() }
                })
                .collect(),
        }
    }

    fn put(&mut self, document: &Document, algorithm: Algorithm, tags: &[Tag]) -> Answer {
        let missing = self.missing(document);
        if !missing.is_empty() {
            return Answer::Missing(missing.into_iter().collect());
        }
        let digest = document.digest(algorithm);
        self.manifests.insert(digest, document.clone());
        self.tags.extend(tags.iter().map(|tag| (tag.clone(), digest)));
        Answer::Pushed(digest)
    }
}

impl Model {
    fn at(&mut self, name: &RepositoryName) -> &mut Contents {
        self.repositories.entry(name.clone()).or_default()
    }

    pub(super) fn run(&mut self, step: &Step) -> Answer {
        match step {
            Step::PushBlob(name, blob) => self.push(name, &blob.content(), &blob.digest()),
            Step::PushWrongBlob(name, blob, other) => self.push(name, &blob.content(), &other.digest()),
            Step::Mount(name, from, blob) => {
                if !self.at(from).blobs.contains(&blob.digest()) {
                    return Answer::NotMounted;
                }
                self.at(name).blobs.insert(blob.digest());
                Answer::Status(blob.content().len() as u64)
            }
            Step::DeleteBlob(name, blob) => {
                let digest = blob.digest();
                done(self.at(name).blobs.remove(&digest), Error::BlobUnknown { digest })
            }
            Step::Start(name) => {
                self.uploads.push((name.clone(), Some(Vec::new())));
                Answer::Status(0)
            }
            Step::Append(upload, ..) | Step::Finish(upload, _) | Step::Cancel(upload) => self.run_upload(*upload, step),
            Step::PutManifest(name, document, algorithm, tags) => self.at(name).put(document, *algorithm, tags),
            Step::PutTag(name, document, tag) => {
                self.at(name).put(document, Algorithm::Sha256, std::slice::from_ref(tag))
            }
            Step::DeleteManifest(name, document, algorithm) => {
                let digest = document.digest(*algorithm);
                let contents = self.at(name);
                let removed = contents.manifests.remove(&digest).is_some();
                contents.tags.retain(|_, target| *target != digest);
                done(removed, Error::ManifestUnknown { reference: digest.into() })
            }
            Step::DeleteTag(name, tag) => {
                let removed = self.at(name).tags.remove(tag).is_some();
                done(removed, Error::ManifestUnknown { reference: tag.clone().into() })
            }
            Step::Collect => Answer::Done,
        }
    }

    fn run_upload(&mut self, upload: usize, step: &Step) -> Answer {
        let Some((name, bytes)) = self.uploads.get_mut(upload) else {
            return Answer::NoSuchUpload;
        };
        let Some(content) = bytes else {
            let id = UploadId::new(std::time::SystemTime::UNIX_EPOCH, [0; 10]);
            return Answer::of(Error::UploadUnknown { id });
        };
        match step {
            Step::Append(_, blob, true) => {
                content.extend_from_slice(&blob.content());
                Answer::Status(content.len() as u64)
            }
            Step::Append(_, _, false) => Answer::of(Error::OffsetMismatch { size: 0 }),
            Step::Finish(_, blob) => {
                let digest = blob.map_or_else(|| Digest::of(Algorithm::Sha256, b""), Blob::digest);
                let (name, content) = (name.clone(), std::mem::take(content));
                *bytes = None;
                self.push(&name, &content, &digest)
            }
            _ => {
                *bytes = None;
                Answer::Done
            }
        }
    }

    fn push(&mut self, name: &RepositoryName, content: &[u8], digest: &Digest) -> Answer {
        let computed = Digest::of(digest.algorithm(), content);
        if computed != *digest {
            return Answer::of(Error::DigestMismatch { stated: *digest, computed });
        }
        self.at(name).blobs.insert(*digest);
        Answer::Pushed(*digest)
    }

    /// The first difference between what the model has and what the registry shows.
    pub(super) async fn compare(&self, registry: &Registry) -> Result<Option<String>, Error> {
        let catalog = registry.catalog(None, 100).await?.repositories;
        let expected: Vec<_> = names().into_iter().filter(|name| self.has_manifests(name)).collect();
        if catalog != expected {
            return Ok(Some(format!("the catalog has {catalog:?} instead of {expected:?}")));
        }
        for (name, contents) in &self.repositories {
            let repository = registry.repository(name);
            if let Some(difference) = compare_contents(&repository, contents).await? {
                return Ok(Some(format!("{name}: {difference}")));
            }
        }
        Ok(None)
    }

    fn has_manifests(&self, name: &RepositoryName) -> bool {
        self.repositories.get(name).is_some_and(|contents| !contents.manifests.is_empty())
    }
}

fn done(done: bool, error: Error) -> Answer {
    if done { Answer::Done } else { Answer::of(error) }
}

async fn compare_contents(repository: &Repository, contents: &Contents) -> Result<Option<String>, Error> {
    let tags = match repository.tags().list(None, 100).await {
        Err(Error::NameUnknown { .. }) if contents.manifests.is_empty() => Vec::new(),
        listed => listed?.tags,
    };
    let expected: Vec<Tag> = contents.tags.keys().cloned().collect();
    if tags != expected {
        return Ok(Some(format!("it has the tags {tags:?} instead of {expected:?}")));
    }
    for (tag, digest) in &contents.tags {
        if repository.manifests().get(&tag.clone().into()).await?.digest != *digest {
            return Ok(Some(format!("the tag {tag} does not point to {digest}")));
        }
    }
    for (digest, document) in &contents.manifests {
        let manifest = repository.manifests().get(&(*digest).into()).await?;
        if manifest.content != document.content() || manifest.media_type.as_str() != document.media_type() {
            return Ok(Some(format!("the manifest {digest} is not what was pushed")));
        }
    }
    for (number, algorithm) in (0..3).flat_map(|number| Algorithm::ALL.map(|algorithm| (number, algorithm))) {
        let blob = Blob { number, algorithm };
        let found = match repository.blobs().stat(&blob.digest()).await {
            Ok(info) => Some(info.size),
            Err(Error::BlobUnknown { .. }) => None,
            Err(error) => return Err(error),
        };
        let expected = contents.blobs.contains(&blob.digest()).then(|| blob.content().len() as u64);
        if found != expected {
            return Ok(Some(format!("{blob:?} has the size {found:?} instead of {expected:?}")));
        }
    }
    let subject = Document::bare().digest(Algorithm::Sha256);
    let found = repository.referrers().list(&subject, None, None, 100).await?.referrers;
    let found: Vec<Digest> = found.into_iter().map(|referrer| referrer.digest).collect();
    let refers = contents.manifests.iter().filter(|(_, document)| document.subject() == Some(subject));
    let expected: Vec<Digest> = refers.map(|(digest, _)| *digest).collect();
    Ok((found != expected).then(|| format!("{subject} has the referrers {found:?} instead of {expected:?}")))
}
