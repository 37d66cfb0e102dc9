//! What lies in the storage, as it is after every operation: for the checks to look at, and to tell states apart.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;
use std::time::SystemTime;

use bytes::Bytes;

use crate::universe::{ITEMS, Item, MARKS, Mark, REPOS, Repo};

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) content: Bytes,
    pub(crate) modified: SystemTime,
}

/// All objects, and what they mean.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mirror {
    objects: BTreeMap<String, Stored>,
    hash: u64,
    pub(crate) facts: Facts,
}

/// What the objects mean, as far as the checks care.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    /// What lies at the place of a content; `None` if nothing does.
    canon: [Option<bool>; ITEMS],
    /// How many fossils of it there are, and how many of them have other bytes.
    fossils: [(u8, u8); ITEMS],
    /// Whether the repository has a link to it.
    links: [[bool; ITEMS]; REPOS.len()],
    /// How many retired copies of that link there are which are not marked as deleted.
    retired: [[u8; ITEMS]; REPOS.len()],
    /// What the tag points to.
    current: [[Option<Item>; MARKS.len()]; REPOS.len()],
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Canon(Item),
    Link(Repo, Item),
    Current(Repo, Mark),
    /// Everything directly below this.
    Fossils(Item),
    /// Everything directly below this.
    Retired(Repo, Item),
}

/// Written down by hand, so that the checks do not rest on the code that they check.
static MEANINGS: LazyLock<HashMap<String, Meaning>> = LazyLock::new(|| {
    let mut meanings = HashMap::new();
    let root = "docker/registry/v2";
    for item in Item::all() {
        let hex = item.digest().hex();
        meanings.insert(format!("{root}/blobs/sha256/{}/{hex}/data", &hex[..2]), Meaning::Canon(item));
        meanings.insert(format!("{root}/_gc/fossil/sha256/{hex}"), Meaning::Fossils(item));
        let membership = if item.is_manifest() { "_manifests/revisions" } else { "_layers" };
        for repo in Repo::all() {
            let link = format!("{}/{membership}/sha256/{hex}", REPOS[repo.0]);
            meanings.insert(format!("{root}/_gc/links/{link}"), Meaning::Retired(repo, item));
            meanings.insert(format!("{root}/repositories/{link}/link"), Meaning::Link(repo, item));
        }
    }
    for repo in Repo::all() {
        for mark in Mark::all() {
            let tag = format!("{root}/repositories/{}/_manifests/tags/{}", REPOS[repo.0], MARKS[mark.0]);
            meanings.insert(format!("{tag}/current/link"), Meaning::Current(repo, mark));
        }
    }
    meanings
});

fn meaning(key: &str) -> Option<Meaning> {
    let (parent, _) = key.rsplit_once('/')?;
    let of_parent = MEANINGS.get(parent).filter(|it| matches!(it, Meaning::Fossils(_) | Meaning::Retired(..)));
    MEANINGS.get(key).or(of_parent).copied()
}

impl Mirror {
    /// Notes what lies at a key now; tells whether anything changed.
    pub(crate) fn set(&mut self, key: &str, now: Option<Stored>) -> bool {
        let meaning = meaning(key);
        let before = match now {
            Some(now) => {
                self.hash ^= fingerprint(key, &now);
                self.note(meaning, &now, true);
                self.objects.insert(key.to_owned(), now)
            }
            None => self.objects.remove(key),
        };
        let changed = before.is_some() || self.objects.contains_key(key);
        if let Some(before) = before {
            self.hash ^= fingerprint(key, &before);
            let replaced = self.objects.contains_key(key);
            self.forget(meaning, &before, replaced);
        }
        if let (Some(Meaning::Retired(repo, item)), Some((directory, _))) = (meaning, key.rsplit_once('/')) {
            self.facts.retired[repo.0][item.0] = self.unmarked(directory);
        }
        changed
    }

    /// How many copies in a directory have no mark beside them.
    fn unmarked(&self, directory: &str) -> u8 {
        let names = self.below(directory);
        let is_marked = |name: &String| names.contains(&format!("{name}.deleted"));
        let unmarked = names.iter().filter(|name| !name.ends_with(".deleted") && !is_marked(name));
        u8::try_from(unmarked.count()).unwrap()
    }

    /// Every key below a prefix.
    pub(crate) fn below(&self, prefix: &str) -> Vec<String> {
        let prefix = format!("{prefix}/");
        let from = self.objects.range(prefix.clone()..);
        from.take_while(|(key, _)| key.starts_with(&prefix)).map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn objects(&self) -> &BTreeMap<String, Stored> {
        &self.objects
    }

    /// Equal for equal contents.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    fn note(&mut self, meaning: Option<Meaning>, now: &Stored, there: bool) {
        let facts = &mut self.facts;
        match meaning {
            Some(Meaning::Canon(item)) => {
                facts.canon[item.0] = there.then(|| now.content == item.content().bytes);
            }
            Some(Meaning::Link(repo, item)) => {
                facts.links[repo.0][item.0] = there && now.content == item.digest().to_string();
            }
            Some(Meaning::Current(repo, mark)) => {
                let target = std::str::from_utf8(&now.content).ok().and_then(|text| text.parse().ok());
                facts.current[repo.0][mark.0] = target.filter(|_| there).and_then(|digest| Item::of(&digest));
            }
            Some(Meaning::Fossils(item)) => {
                facts.fossils[item.0].0 += 1;
                facts.fossils[item.0].1 += u8::from(now.content != item.content().bytes);
            }
            Some(Meaning::Retired(..)) | None => {}
        }
    }

    /// Counts are taken back; what is either there or not was noted already when something took its place.
    fn forget(&mut self, meaning: Option<Meaning>, before: &Stored, replaced: bool) {
        match meaning {
            Some(Meaning::Fossils(item)) => {
                self.facts.fossils[item.0].0 -= 1;
                self.facts.fossils[item.0].1 -= u8::from(before.content != item.content().bytes);
            }
            _ if replaced => {}
            _ => self.note(meaning, before, false),
        }
    }
}

fn fingerprint(key: &str, stored: &Stored) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, &stored.content, stored.modified).hash(&mut hasher);
    hasher.finish()
}

impl Facts {
    /// Whether the bytes of a content can be had, at their place or as a fossil.
    pub(crate) fn has_bytes(&self, item: Item) -> bool {
        self.canon[item.0] == Some(true) || self.has_fossil(item)
    }

    pub(crate) fn has_fossil(&self, item: Item) -> bool {
        self.fossils[item.0].0 > 0
    }

    /// Whether every copy of a content has its bytes.
    pub(crate) fn is_whole(&self, item: Item) -> bool {
        self.canon[item.0] != Some(false) && self.fossils[item.0].1 == 0
    }

    /// Whether a content is a member of a repository, by a live link or a retired one.
    pub(crate) fn is_member(&self, repo: Repo, item: Item) -> bool {
        self.is_live(repo, item) || self.is_retired(repo, item)
    }

    pub(crate) fn is_live(&self, repo: Repo, item: Item) -> bool {
        self.links[repo.0][item.0]
    }

    /// Whether a content and its link are where they belong, not only among what was taken away.
    pub(crate) fn is_in_place(&self, repo: Repo, item: Item) -> bool {
        self.is_live(repo, item) && self.canon[item.0] == Some(true)
    }

    pub(crate) fn is_retired(&self, repo: Repo, item: Item) -> bool {
        self.retired[repo.0][item.0] > 0
    }

    /// What a tag points to, whether that can be read or not.
    pub(crate) fn current(&self, repo: Repo, mark: Mark) -> Option<Item> {
        self.current[repo.0][mark.0]
    }

    /// What whoever reads a tag is given.
    pub(crate) fn reads(&self, repo: Repo, mark: Mark) -> Option<Item> {
        self.current(repo, mark).filter(|item| self.is_member(repo, *item) && self.has_bytes(*item))
    }

    /// Whether anything of a content is left, at its place or as a fossil.
    pub(crate) fn takes_space(&self, item: Item) -> bool {
        self.canon[item.0].is_some() || self.has_fossil(item)
    }
}
