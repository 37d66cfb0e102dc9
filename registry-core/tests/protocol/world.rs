//! What exists in a scenario: a few digests, who needs whom, the links that repositories can have to them, the tags.

use crate::set::Set;

/// The digests of every world. A world has the first two, three or four of them.
pub(crate) const LAYER: u8 = 0;
pub(crate) const IMAGE: u8 = 1;
pub(crate) const INDEX: u8 = 2;
/// An index over the index.
pub(crate) const OUTER: u8 = 3;
/// A manifest without layers whose `subject` is the image.
pub(crate) const SIGNATURE: u8 = 2;

/// What a manifest says.
#[derive(Clone, Copy, Default, Debug)]
struct Content {
    /// What is listed, layers and children alike: for a collector that reads the manifest, and for the push of it.
    lists: Set,
    subject: Option<u8>,
}

/// The digests, the links and the tags of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct World {
    names: Vec<&'static str>,
    contents: Vec<Content>,
    /// needs(m), transitive, with m itself.
    needs: Vec<Set>,
    repositories: u8,
}

impl World {
    /// An image over a layer.
    pub(crate) fn image() -> Self {
        Self::build(&[("layer", &[], None), ("image", &[LAYER], None)])
    }

    /// An index over an image over a layer.
    pub(crate) fn index() -> Self {
        Self::build(&[("layer", &[], None), ("image", &[LAYER], None), ("index", &[IMAGE], None)])
    }

    /// An index over an index over an image over a layer.
    pub(crate) fn nested() -> Self {
        Self::build(&[
            ("layer", &[], None),
            ("image", &[LAYER], None),
            ("index", &[IMAGE], None),
            ("outer index", &[INDEX], None),
        ])
    }

    /// An image over a layer, and a signature that refers to the image.
    pub(crate) fn signed() -> Self {
        Self::build(&[("layer", &[], None), ("image", &[LAYER], None), ("signature", &[], Some(IMAGE))])
    }

    fn build(digests: &[(&'static str, &[u8], Option<u8>)]) -> Self {
        let mut world = Self { names: Vec::new(), contents: Vec::new(), needs: Vec::new(), repositories: 1 };
        for (number, (name, lists, subject)) in (0..).zip(digests) {
            let needs = lists.iter().fold(Set::one(number), |needs, item| needs.or(world.needs(*item)));
            world.names.push(name);
            world.contents.push(Content { lists: Set::of(lists), subject: *subject });
            world.needs.push(needs);
        }
        world
    }

    /// The same with a second repository. A tag belongs to the repository of the link that it names.
    pub(crate) fn with_second_repository(mut self) -> Self {
        self.repositories = 2;
        self
    }

    pub(crate) fn digests(&self) -> u8 {
        u8::try_from(self.names.len()).expect("a handful")
    }

    pub(crate) fn links(&self) -> u8 {
        self.digests() * self.repositories
    }

    pub(crate) fn all_digests(&self) -> Set {
        (0..self.digests()).fold(Set::EMPTY, Set::with)
    }

    pub(crate) fn all_links(&self) -> Set {
        (0..self.links()).fold(Set::EMPTY, Set::with)
    }

    pub(crate) fn layer_links(&self) -> Set {
        (0..self.links()).filter(|link| self.digest(*link) == LAYER).fold(Set::EMPTY, Set::with)
    }

    pub(crate) fn revision_links(&self) -> Set {
        self.all_links().minus(self.layer_links())
    }

    /// The link of a repository to a digest: a layer link or a revision link.
    pub(crate) fn link(&self, repository: u8, digest: u8) -> u8 {
        repository * self.digests() + digest
    }

    pub(crate) fn digest(&self, link: u8) -> u8 {
        link % self.digests()
    }

    pub(crate) fn repository(&self, link: u8) -> u8 {
        link / self.digests()
    }

    /// The links of the same repository to `digests`.
    pub(crate) fn links_beside(&self, link: u8, digests: Set) -> Set {
        let repository = self.repository(link);
        digests.into_iter().map(|digest| self.link(repository, digest)).fold(Set::EMPTY, Set::with)
    }

    /// What a manifest lists itself.
    pub(crate) fn lists(&self, digest: u8) -> Set {
        self.contents[usize::from(digest)].lists
    }

    pub(crate) fn subject(&self, digest: u8) -> Option<u8> {
        self.contents[usize::from(digest)].subject
    }

    /// needs(m): m itself, its layers, and what its children need.
    pub(crate) fn needs(&self, digest: u8) -> Set {
        self.needs[usize::from(digest)]
    }

    pub(crate) fn name(&self, digest: u8) -> &'static str {
        self.names[usize::from(digest)]
    }

    pub(crate) fn link_name(&self, link: u8) -> String {
        let repository = if self.repository(link) == 0 { "" } else { " in the second repository" };
        format!("link({}{repository})", self.name(self.digest(link)))
    }
}
