//! What clients do before the power is cut.

use bytes::Bytes;
use registry_core::{Digest, RepositoryName, Tag};

use super::super::super::SyncMode;
use super::recovery::Subject;
use super::states::Random;
use super::workload::{Step, digest};
use super::world::Fact;

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// What was there long before.
    pub(super) setup: Vec<Step>,
    pub(super) steps: Vec<Step>,
    pub(super) mode: SyncMode,
}

impl Scenario {
    pub(super) fn durability(mut self, mode: SyncMode) -> Self {
        self.mode = mode;
        self.name = format!("{}, {mode:?}", self.name);
        self
    }

    pub(super) fn subject(&self) -> Subject {
        Subject::of(&self.setup, &self.steps, self.mode)
    }
}

pub(super) fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

pub(super) fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

/// Bytes that are nowhere zero, and of which no two blocks are alike.
pub(super) fn content(seed: u64, length: usize) -> Bytes {
    let mut random = Random(seed);
    (0..length).map(|_| u8::try_from(1 + random.below(255)).unwrap()).collect()
}

fn descriptor(media_type: &str, content: &[u8]) -> String {
    format!(
        r#"{{"mediaType":"application/vnd.oci.{media_type}","digest":"{}","size":{}}}"#,
        digest(content),
        content.len(),
    )
}

const IMAGE: &str = "image.manifest.v1+json";

/// An image manifest; with a subject it refers to that.
pub(super) fn image(config: &[u8], layers: &[&[u8]], subject: Option<&[u8]>) -> Bytes {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor("image.layer.v1.tar", layer)).collect();
    let subject = subject.map_or(String::new(), |subject| format!(r#","subject":{}"#, descriptor(IMAGE, subject)));
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.{IMAGE}","config":{},"layers":[{}]{subject}}}"#,
        descriptor("image.config.v1+json", config),
        layers.join(","),
    )
    .into()
}

pub(super) fn index(images: &[&[u8]]) -> Bytes {
    let images: Vec<_> = images.iter().map(|image| descriptor(IMAGE, image)).collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        images.join(","),
    )
    .into()
}

/// A push of an image of two blobs.
pub(super) struct Image {
    pub(super) manifest: Bytes,
    blobs: [Bytes; 2],
}

impl Image {
    pub(super) fn new(seed: u64) -> Self {
        let blobs = [content(seed, 300), content(seed + 1, 1300)];
        Self { manifest: image(&blobs[0], &[&blobs[1]], None), blobs }
    }

    pub(super) fn digest(&self) -> Digest {
        digest(&self.manifest)
    }

    pub(super) fn push(&self, to: &str, tags: &[&str]) -> Vec<Step> {
        let blobs = self.blobs.iter().map(|blob| Step::Push(repository(to), blob.clone()));
        blobs.chain([self.put(to, tags)]).collect()
    }

    /// All that a client can find of it in a repository, but for tags.
    pub(super) fn facts(&self, at: &str) -> Vec<Fact> {
        let blobs = self.blobs.iter().map(|blob| Fact::Blob(repository(at), digest(blob)));
        blobs.chain([Fact::Manifest(repository(at), self.digest())]).collect()
    }

    pub(super) fn put(&self, to: &str, tags: &[&str]) -> Step {
        Step::Put(repository(to), self.manifest.clone(), tags.iter().map(|name| tag(name)).collect())
    }
}

/// A push of an image on an empty volume.
pub(super) fn image_push() -> Scenario {
    scenario("an image with a tag", Vec::new(), Image::new(10).push("a", &["v1"]))
}

pub(super) fn chunks() -> Scenario {
    let chunks = vec![content(20, 5000), content(21, 4500), content(22, 100)];
    scenario("a blob in chunks", Vec::new(), vec![Step::PushChunks(repository("a"), chunks)])
}

pub(super) fn deletes() -> Scenario {
    let (one, other) = (Image::new(30), Image::new(40));
    let setup = [one.push("a", &["v1", "v2", "v3"]), other.push("a", &["other"])].concat();
    let steps = vec![
        Step::DeleteTag(repository("a"), tag("v3")),
        Step::DeleteManifest(repository("a"), one.digest()),
        one.put("a", &["v2"]),
    ];
    scenario("deletes of a tag and of a manifest", setup, steps)
}

pub(super) fn all() -> Vec<Scenario> {
    let (one, other) = (Image::new(50), Image::new(60));
    let large = content(70, 9000);
    let push = |name: &str| Step::Push(repository(name), large.clone());
    let signature = [content(80, 200), content(81, 600)];
    let signed = image(&signature[0], &[&signature[1]], Some(&one.manifest));
    let both = index(&[&one.manifest, &other.manifest]);
    let put = |manifest: &Bytes, tags: Vec<Tag>| Step::Put(repository("a"), manifest.clone(), tags);
    let mount = Step::Mount { to: repository("b/c"), from: repository("a"), digest: digest(&large) };
    let mut all = vec![
        scenario("a blob", Vec::new(), vec![push("a")]),
        chunks(),
        image_push(),
        scenario(
            "a tag that moves",
            [one.push("a", &["v1"]), other.push("a", &[])].concat(),
            vec![other.put("a", &["v1"]), one.put("a", &["v1", "v2"])],
        ),
        deletes(),
        scenario("a mount", vec![push("a")], vec![mount]),
        scenario(
            "a blob that is deleted and comes back",
            vec![push("a")],
            vec![Step::DeleteBlob(repository("a"), digest(&large)), push("b"), push("a")],
        ),
        scenario(
            "an index of two images",
            one.push("a", &[]),
            [other.push("a", &[]), vec![put(&both, vec![tag("both")])]].concat(),
        ),
        scenario(
            "a referrer",
            one.push("a", &["v1"]),
            vec![
                Step::Push(repository("a"), signature[0].clone()),
                Step::Push(repository("a"), signature[1].clone()),
                put(&signed, Vec::new()),
                Step::DeleteManifest(repository("a"), digest(&signed)),
            ],
        ),
    ];
    all.push(mixed(2));
    all
}

/// The collector: what goes, what comes back, and who pushes meanwhile.
pub(super) fn collections() -> Vec<Scenario> {
    let (kept, gone, late) = (Image::new(110), Image::new(120), Image::new(130));
    let lone = content(140, 2500);
    let setup =
        [kept.push("a", &["v1"]), gone.push("a", &[]), vec![Step::Push(repository("a"), lone.clone())]].concat();
    let lone_garbage = || vec![Fact::Blob(repository("a"), digest(&lone))];
    let garbage = || [gone.facts("a"), gone.facts("b"), late.facts("a"), lone_garbage()].concat();
    let run = |untagged_go, beside: Vec<Step>, seed| Step::Collect { untagged_go, garbage: garbage(), beside, seed };
    let quiet = || run(true, Vec::new(), 0);
    let only_lone = Step::Collect { untagged_go: false, garbage: lone_garbage(), beside: Vec::new(), seed: 0 };
    vec![
        scenario("runs until nothing is left", setup.clone(), vec![quiet(), quiet(), quiet(), quiet()]),
        scenario(
            "an image that comes back between two runs",
            setup.clone(),
            [vec![quiet()], vec![gone.put("a", &["v2"])], vec![only_lone.clone(), only_lone.clone()]].concat(),
        ),
        scenario(
            "a push between two runs, and one that opens anew",
            setup.clone(),
            [
                vec![quiet(), Step::Reopen, quiet()],
                late.push("a", &["v3"]),
                vec![Step::DeleteTag(repository("a"), tag("v3"))],
            ]
            .concat(),
        ),
        scenario("a push beside a run", setup.clone(), vec![run(true, gone.push("a", &["v2"]), 3), only_lone.clone()]),
        scenario("another push beside a run", setup, vec![quiet(), run(true, gone.push("b", &["v2"]), 4)]),
    ]
}

/// A client pushes again what nothing needs, just while it is taken away.
pub(super) fn beside_a_run(seed: u64) -> Scenario {
    let gone = Image::new(150);
    let setup = gone.push("a", &[]);
    let garbage = || gone.facts("a");
    let quiet = || Step::Collect { untagged_go: true, garbage: garbage(), beside: Vec::new(), seed };
    let runs = usize::try_from(seed % 5).unwrap_or(0);
    let mut steps = vec![quiet(); runs];
    steps.push(Step::Collect { untagged_go: true, garbage: garbage(), beside: gone.push("a", &["v1"]), seed });
    scenario(&format!("a push beside run {runs} ({seed})"), setup, steps)
}

/// Anything, in an order that the seed chooses.
pub(super) fn mixed(seed: u64) -> Scenario {
    let images = [Image::new(90), Image::new(100)];
    let mut random = Random(seed);
    let mut steps = Vec::new();
    for round in 0..2 {
        let (image, name) = (&images[random.below(2)], ["a", "b/c"][random.below(2)]);
        steps.extend(image.push(name, &[["v1", "v2"][random.below(2)]]));
        match (round + usize::try_from(seed).unwrap()) % 4 {
            0 => steps.push(Step::DeleteManifest(repository(name), image.digest())),
            1 => steps.push(Step::DeleteBlob(repository(name), digest(&image.blobs[round % 2]))),
            2 => steps.push(Step::Reopen),
            _ => {}
        }
    }
    scenario(&format!("a mixture ({seed})"), Vec::new(), steps)
}

fn scenario(name: &str, setup: Vec<Step>, steps: Vec<Step>) -> Scenario {
    Scenario { name: name.to_owned(), setup, steps, mode: SyncMode::Strict }
}
