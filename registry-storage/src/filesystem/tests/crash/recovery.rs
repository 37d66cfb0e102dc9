//! What a registry makes of a disk after a power cut, and whether a client can go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::executor::block_on;
use registry_core::{Digest, Error, Reference, RepositoryName, Span, Tag, UploadId, layout};

use super::super::super::SyncMode;
use super::image::Image;
use super::log::Log;
use super::workload::{Process, Step, digest, frames};
use super::world::{Fact, Findings, World};
use super::{recorder, rules, states};

/// What the steps of a client are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    /// Everything that a client may ask for.
    pub(super) facts: BTreeSet<Fact>,
    /// What refers to what.
    pub(super) referrers: Vec<(RepositoryName, Digest, Digest)>,
    /// The blobs that are uploaded.
    pub(super) contents: Vec<Bytes>,
    /// What a client may do again at any time.
    pub(super) again: Vec<Step>,
    /// Whether a collector takes away what has no tag, if there is one.
    collects: Option<bool>,
    manifests: Vec<Bytes>,
    pub(super) mode: SyncMode,
}

impl Subject {
    /// Of what was there before, a client does nothing again.
    pub(super) fn of(setup: &[Step], steps: &[Step], mode: SyncMode) -> Self {
        let mut subject = Self { mode, ..Self::default() };
        let mut world = World::default();
        for step in setup.iter().chain(steps) {
            let effects = step.effects(&world);
            world.acknowledge(&effects);
            subject.facts.extend(effects.into_iter().map(|(fact, _)| fact));
            for step in [step].into_iter().chain(step.beside()) {
                match step {
                    Step::Push(_, content) => subject.contents.push(content.clone()),
                    Step::PushChunks(_, chunks) => subject.contents.push(chunks.concat().into()),
                    Step::Put(repository, manifest, _) => {
                        let of = subject_of(manifest);
                        subject.referrers.extend(of.map(|of| (repository.clone(), of, digest(manifest))));
                        subject.manifests.push(manifest.clone());
                    }
                    _ => {}
                }
            }
            if let Step::Collect { untagged_go, garbage, .. } = step {
                subject.facts.extend(garbage.iter().cloned());
                subject.collects = Some(*untagged_go || subject.collects == Some(true));
            }
        }
        for step in steps.iter().flat_map(|step| step.beside().iter().chain([step])).filter(|step| step.adds()) {
            if matches!(step, Step::Put(..)) || !subject.again.contains(step) {
                subject.again.push(step.clone());
            }
        }
        subject
    }
}

impl Subject {
    /// Runs of a collector, if there is one, where this was found: what no tag needs may be gone then.
    pub(super) fn collections(&self, findings: &Findings) -> Vec<Step> {
        let Some(untagged_go) = self.collects else { return Vec::new() };
        let rooted = self.rooted(findings);
        let is_garbage = |fact: &&Fact| !matches!(fact, Fact::Tag(..)) && !rooted.contains(fact);
        let garbage = self.facts.iter().filter(is_garbage).cloned().collect();
        vec![Step::Collect { untagged_go, garbage, beside: Vec::new(), seed: 0 }; 2]
    }

    /// What the tags that were found need: their manifests, and all that those name.
    fn rooted(&self, findings: &Findings) -> BTreeSet<Fact> {
        let mut rooted = BTreeSet::new();
        for (fact, found) in findings {
            let (Fact::Tag(repository, _), Some(target)) = (fact, found) else { continue };
            rooted.insert(Fact::Manifest(repository.clone(), *target));
            let manifest = self.manifests.iter().find(|manifest| digest(manifest) == *target);
            let text = manifest.map(|manifest| String::from_utf8_lossy(manifest)).unwrap_or_default();
            for named in text.split('"').filter_map(|word| word.parse::<Digest>().ok()) {
                rooted.extend([Fact::Blob(repository.clone(), named), Fact::Manifest(repository.clone(), named)]);
            }
        }
        rooted
    }
}

/// The digest behind `"subject"` in a manifest of these tests, where it stands last.
fn subject_of(manifest: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(manifest).unwrap();
    let (_, behind) = text.split_once("\"subject\"")?;
    let (_, behind) = behind.split_once("\"digest\":\"")?;
    Some(behind.split('"').next().unwrap().parse().unwrap())
}

/// Asks for everything.
///
/// # Errors
/// If an answer is neither the right bytes nor that there are none, or two answers do not fit together.
pub(super) fn ask(process: &Process, subject: &Subject) -> Result<Findings, String> {
    let mut findings = Findings::new();
    let mut tags: BTreeMap<&RepositoryName, BTreeSet<&str>> = BTreeMap::new();
    for fact in &subject.facts {
        let found = block_on(find(process, fact)).map_err(|error| format!("{fact:?}: {error:?}"))?;
        findings.insert(fact.clone(), found);
        if let Fact::Tag(repository, tag) = fact {
            let listed = tags.entry(repository).or_default();
            listed.extend(found.map(|_| tag.as_str()));
        }
    }
    for (repository, tags) in tags {
        let listed = match block_on(process.repository(repository).tags().list(None, 100)) {
            Ok(page) => page.tags,
            Err(Error::NameUnknown { .. }) => Vec::new(),
            Err(error) => return Err(format!("{error:?}")),
        };
        if !listed.iter().map(Tag::as_str).eq(tags.iter().copied()) {
            return Err(format!("the tags of {repository} are {tags:?}, and {listed:?} are listed"));
        }
    }
    for (repository, of, referrer) in &subject.referrers {
        let page = block_on(process.repository(repository).referrers().list(of, None, None, 100));
        let page = page.map_err(|error| format!("{error:?}"))?;
        let listed = page.referrers.iter().any(|listed| listed.digest == *referrer);
        let there = findings.get(&Fact::Manifest(repository.clone(), *referrer)).is_some_and(Option::is_some);
        if listed != there {
            return Err(format!("{referrer} is there: {there}, listed as a referrer: {listed}"));
        }
    }
    Ok(findings)
}

async fn find(process: &Process, fact: &Fact) -> Result<Option<Digest>, Error> {
    let (repository, reference) = match fact {
        Fact::Blob(repository, digest) => return blob(process, repository, digest).await,
        Fact::Manifest(repository, digest) => (repository, Reference::Digest(*digest)),
        Fact::Tag(repository, tag) => (repository, Reference::Tag(tag.clone())),
    };
    match process.repository(repository).manifests().get(&reference).await {
        Ok(manifest) => whole(manifest.digest, &manifest.content).map(Some),
        Err(Error::ManifestUnknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blob(process: &Process, repository: &RepositoryName, digest: &Digest) -> Result<Option<Digest>, Error> {
    match process.repository(repository).blobs().open(digest).await {
        Ok(blob) => {
            let body = blob.read(Span::whole(u64::MAX)).await?;
            let stream = body.into_stream(std::sync::Arc::clone(process.registry.blocking()));
            let content: Vec<Bytes> = stream.try_collect().await?;
            whole(*digest, &content.concat()).map(Some)
        }
        Err(Error::BlobUnknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn whole(stated: Digest, content: &[u8]) -> Result<Digest, Error> {
    let computed = digest(content);
    if computed == stated { Ok(computed) } else { Err(Error::DigestMismatch { stated, computed }) }
}

/// What is certain once the registry serves again. A tag that was left without its manifest by a delete may come back
/// with it.
pub(super) fn world_after(image: &Image, findings: &Findings) -> World {
    let mut world = World::of(findings);
    for (fact, found) in findings {
        if let (Fact::Tag(repository, tag), None) = (fact, found) {
            let link = image.file(layout::tag_current(repository, tag).as_str());
            if let Some(target) = link.and_then(layout::parse_link) {
                world.begin(&[(fact.clone(), Some(target))]);
                world.deleted_in_part(repository, target);
            }
        }
    }
    world
}

/// Serves from a disk in this state: asks for everything, goes on with the uploads that are left, and has the client
/// do everything again.
///
/// # Errors
/// What went wrong.
pub(super) fn recover(image: &Image, root: &Path, subject: &Subject, world: &World) -> Result<Findings, String> {
    let process = Process::start(root, None, u8::MAX, subject.mode)?;
    let recovered;
    let image = if subject.mode == SyncMode::Strict {
        image
    } else {
        let before = recorder::scan(root);
        recovered = states::last(&Log { directories: before.directories.clone(), before, ops: Vec::new() });
        rules::check(&recovered, world).map_err(|wrong| format!("when it was opened: {wrong}"))?;
        &recovered
    };
    let findings = ask(&process, subject)?;
    let mut world = world_after(image, &findings);
    resume(&process, image, subject)?;
    for step in &subject.again {
        world.acknowledge(&step.effects(&world));
        process.run(step).map_err(|error| format!("cannot do {step:?} again: {error:?}"))?;
    }
    let done = ask(&process, subject)?;
    world.judge(&done).map_err(|wrong| format!("after doing everything again: {wrong}"))?;
    for step in &subject.collections(&done) {
        process.run(step).map_err(|error| format!("cannot collect: {error:?}"))?;
        world.begin(&step.losses());
        world.judge(&ask(&process, subject)?).map_err(|wrong| format!("after a collection: {wrong}"))?;
    }
    let left = fs::read_dir(root.join(layout::temporary().as_str())).map_or(0, Iterator::count);
    if left == 0 { Ok(findings) } else { Err(format!("{left} files on their way are left")) }
}

/// Goes on with every upload that is left, as a client that knows its content and asks how far it is. It may be refused,
/// but what is acknowledged is whole, which is for who asks next to see.
fn resume(process: &Process, image: &Image, subject: &Subject) -> Result<(), String> {
    for (path, data) in image.files() {
        let Some((repository, rest)) = rules::in_repository(path) else { continue };
        let ["_uploads", id, "data"] = rest.split('/').collect::<Vec<_>>()[..] else { continue };
        let id: UploadId = id.parse().map_err(|error| format!("{path}: {error:?}"))?;
        let alike = |content: &&Bytes| content.iter().zip(data).take_while(|(one, other)| one == other).count();
        let Some(content) = subject.contents.iter().max_by_key(alike) else { continue };
        match block_on(finish(process, &repository, &id, content)) {
            Ok(()) | Err(Error::UploadUnknown { .. } | Error::DigestMismatch { .. } | Error::OffsetMismatch { .. }) => {
            }
            Err(error) => return Err(format!("cannot go on with {path}: {error:?}")),
        }
    }
    Ok(())
}

async fn finish(process: &Process, name: &RepositoryName, id: &UploadId, content: &Bytes) -> Result<(), Error> {
    let repository = process.repository(name);
    let size = repository.uploads().status(id).await?.size;
    let rest = content.slice(usize::try_from(size).unwrap().min(content.len())..);
    repository.uploads().finish(id, &digest(content), Some(size), frames(&rest)).await?;
    Ok(())
}
