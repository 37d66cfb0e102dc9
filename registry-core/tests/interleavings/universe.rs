//! The small world that every program is about: a few contents, two repositories, two tags.
//!
//! What needs what is written down here once more, by hand, so that the checks do not rest on the code that they check.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use registry_core::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};
use serde_json::{Value, json};

/// A set of contents, one bit each.
pub(crate) type Set = u32;

/// One of the contents that there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Item(pub(crate) usize);

pub(crate) const CONFIG: Item = Item(0);
pub(crate) const LAYER_A: Item = Item(1);
pub(crate) const LAYER_B: Item = Item(2);
pub(crate) const IMAGE_A: Item = Item(3);
pub(crate) const IMAGE_B: Item = Item(4);
/// Of both layers.
pub(crate) const IMAGE_AB: Item = Item(5);
/// Of both images.
pub(crate) const INDEX: Item = Item(6);
/// An index of the index.
pub(crate) const NEST: Item = Item(7);
/// An image without a layer whose subject is the first image.
pub(crate) const SIGNATURE: Item = Item(8);

const NAMES: [&str; 9] =
    ["config", "layer-a", "layer-b", "image-a", "image-b", "image-ab", "index", "nest", "signature"];

/// How many contents there are.
pub(crate) const ITEMS: usize = NAMES.len();

/// One of the repositories.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Repo(pub(crate) usize);

pub(crate) const APP: Repo = Repo(0);
pub(crate) const LIB: Repo = Repo(1);
/// The names of the repositories, by number.
pub(crate) const REPOS: [&str; 2] = ["app", "lib"];

/// One of the tags of a repository.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mark(pub(crate) usize);

pub(crate) const ONE: Mark = Mark(0);
pub(crate) const TWO: Mark = Mark(1);
/// The names of the tags, by number.
pub(crate) const MARKS: [&str; 2] = ["one", "two"];

/// What is known of one content.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
    pub(crate) media_type: Option<MediaType>,
    /// Everything that it needs, at any depth, and itself.
    pub(crate) needs: Set,
}

static CONTENTS: LazyLock<Vec<Content>> = LazyLock::new(|| {
    let mut contents: Vec<Content> = [&b"{}"[..], b"layer a", b"the layer b"].map(blob).into();
    for layers in [&[LAYER_A][..], &[LAYER_B], &[LAYER_A, LAYER_B]] {
        let image = image(&contents, layers);
        contents.push(manifest(&contents, &image, &[&[CONFIG], layers].concat()));
    }
    for children in [&[IMAGE_A, IMAGE_B][..], &[INDEX]] {
        let listed: Vec<Value> = children.iter().map(|child| descriptor(&contents[child.0])).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": listed });
        contents.push(manifest(&contents, &index, children));
    }
    let mut signature = image(&contents, &[]);
    signature["subject"] = descriptor(&contents[IMAGE_A.0]);
    contents.push(manifest(&contents, &signature, &[CONFIG]));
    for (number, content) in contents.iter_mut().enumerate() {
        content.needs |= Item(number).bit();
    }
    contents
});

fn blob(bytes: &'static [u8]) -> Content {
    let digest = Digest::of(Algorithm::Sha256, bytes);
    Content { digest, bytes: Bytes::from_static(bytes), media_type: None, needs: 0 }
}

fn descriptor(content: &Content) -> Value {
    let media_type = content.media_type.as_ref().map_or("application/octet-stream", MediaType::as_str);
    json!({ "mediaType": media_type, "digest": content.digest, "size": content.bytes.len() })
}

fn image(contents: &[Content], layers: &[Item]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(&contents[layer.0])).collect();
    let config = descriptor(&contents[CONFIG.0]);
    json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": layers })
}

fn manifest(contents: &[Content], document: &Value, direct: &[Item]) -> Content {
    let bytes: Bytes = document.to_string().into();
    let media_type = document["mediaType"].as_str().map(|text| text.parse().unwrap());
    let needs = direct.iter().fold(0, |needs, item| needs | item.bit() | contents[item.0].needs);
    Content { digest: Digest::of(Algorithm::Sha256, &bytes), bytes, media_type, needs }
}

impl Item {
    /// Each of them, blobs first, children before what needs them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..ITEMS).map(Self)
    }

    pub(crate) fn content(self) -> &'static Content {
        &CONTENTS[self.0]
    }

    pub(crate) fn digest(self) -> &'static Digest {
        &self.content().digest
    }

    pub(crate) fn is_manifest(self) -> bool {
        self >= IMAGE_A
    }

    /// Everything that it needs, at any depth, and itself.
    pub(crate) fn needs(self) -> Set {
        self.content().needs
    }

    pub(crate) const fn bit(self) -> Set {
        1 << self.0
    }

    pub(crate) fn of(digest: &Digest) -> Option<Self> {
        Self::all().find(|item| item.digest() == digest)
    }
}

/// The contents of a set.
pub(crate) fn items(set: Set) -> impl Iterator<Item = Item> {
    Item::all().filter(move |item| set & item.bit() != 0)
}

impl Repo {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..REPOS.len()).map(Self)
    }

    pub(crate) fn name(self) -> RepositoryName {
        REPOS[self.0].parse().unwrap()
    }
}

impl Mark {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..MARKS.len()).map(Self)
    }

    pub(crate) fn tag(self) -> Tag {
        MARKS[self.0].parse().unwrap()
    }

    pub(crate) fn reference(self) -> Reference {
        Reference::Tag(self.tag())
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[self.0])
    }
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REPOS[self.0])
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MARKS[self.0])
    }
}

/// A text with the digests of all contents replaced by their names, for people to read.
pub(crate) fn named(text: &str) -> String {
    let mut text = text.replace("docker/registry/v2/", "");
    for item in Item::all() {
        let hex = item.digest().hex();
        text = text.replace(&format!("{}/{hex}", &hex[..2]), &format!("{item:?}"));
        text = text.replace(&hex, &format!("{item:?}")).replace("sha256:", "");
    }
    text.replace("sha256/", "")
}
