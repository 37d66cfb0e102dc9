//! What tags pointed to a moment ago, in memory.
//!
//! Who pulls by a tag asks where it points, and whether the manifest is there, each time. Where many pull the same and asking is
//! slow, an answer may count for a while: for as long as the embedder says, and no longer. What this process changes is forgotten
//! at once.

use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::remembered::{Look, Remembered, cache};
use crate::{Digest, RepositoryName, Tag, TagPage};

/// A page of tags, by what was asked for: of which repository, behind what, at most how many.
pub(crate) type Asked = (RepositoryName, Option<String>, usize);

/// A manifest that a tag points to, and the digest of its content.
pub(crate) type Target = (Digest, Digest);

/// What tags pointed to.
#[derive(Debug)]
pub(crate) struct KnownTags(Remembered<Kept>);

struct Kept {
    targets: Cache<(RepositoryName, Tag), (Target, SystemTime), Weight>,
    pages: Cache<Asked, (TagPage, SystemTime), Weight>,
}

#[derive(Debug, Clone)]
struct Weight;

/// What a tag takes beside its name and that of the repository, about.
const OVERHEAD_BYTES: usize = 250;

/// Most are of about this size.
const USUAL_BYTES: usize = OVERHEAD_BYTES + 40;

/// A page has a hundred tags, unless somebody asks for more.
const USUAL_PAGE_BYTES: usize = 8_000;

impl Weighter<(RepositoryName, Tag), (Target, SystemTime)> for Weight {
    fn weight(&self, (name, tag): &(RepositoryName, Tag), _: &(Target, SystemTime)) -> u64 {
        (OVERHEAD_BYTES + name.as_str().len() + tag.as_str().len()) as u64
    }
}

impl Weighter<Asked, (TagPage, SystemTime)> for Weight {
    fn weight(&self, (name, last, _): &Asked, (page, _): &(TagPage, SystemTime)) -> u64 {
        // Each tag is a text of its own.
        let tags: usize = page.tags.iter().map(|tag| 40 + tag.as_str().len()).sum();
        (OVERHEAD_BYTES + name.as_str().len() + last.as_ref().map_or(0, String::len) + tags) as u64
    }
}

impl KnownTags {
    /// Takes about so many bytes at most, half of them for pages, and counts an answer for `patience`; `None` if that is too
    /// little to be of use.
    pub(crate) fn new(bytes: usize, patience: Duration) -> Option<Self> {
        let targets = cache(bytes / 2, USUAL_BYTES, Weight)?;
        let pages = cache(bytes / 2, USUAL_PAGE_BYTES, Weight)?;
        Remembered::new(patience, Kept { targets, pages }).map(Self)
    }

    /// What the tag pointed to, if that was seen not too long ago.
    pub(crate) fn get(&self, name: &RepositoryName, tag: &Tag, now: SystemTime) -> Option<Target> {
        let tag = (name.clone(), tag.clone());
        self.0.get(now, |kept| kept.targets.get(&tag))
    }

    /// The page, if it was put together not too long ago.
    pub(crate) fn page(&self, asked: &Asked, now: SystemTime) -> Option<TagPage> {
        self.0.get(now, |kept| kept.pages.get(asked))
    }

    /// To be called before the storage is asked for what is to be [learnt](Self::learn).
    pub(crate) fn look(&self, now: SystemTime) -> Look {
        self.0.look(now)
    }

    /// Keeps what a look found, unless this process changed something meanwhile.
    pub(crate) fn learn(&self, name: &RepositoryName, tag: &Tag, target: Target, look: Look) {
        self.0.learn(look, |kept, seen| kept.targets.insert((name.clone(), tag.clone()), (target, seen)));
    }

    /// The same for a page, which must not be put together from what was remembered: it would become too old.
    pub(crate) fn learn_page(&self, asked: Asked, page: TagPage, look: Look) {
        self.0.learn(look, |kept, seen| kept.pages.insert(asked, (page, seen)));
    }

    /// To be called after a tag was moved or deleted, or that was tried.
    pub(crate) fn tag_changed(&self, name: &RepositoryName, tag: &Tag) {
        self.0.change(|kept| {
            kept.targets.remove(&(name.clone(), tag.clone()));
            kept.pages.retain(|(known, ..), _| known != name);
        });
    }

    /// To be called after a manifest of the repository came or went.
    pub(crate) fn manifest_changed(&self, name: &RepositoryName) {
        self.0.change(|kept| {
            kept.targets.retain(|(known, _), _| known != name);
            kept.pages.retain(|(known, ..), _| known != name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn known() -> KnownTags {
        KnownTags::new(64 * 1024, Duration::from_secs(2)).unwrap()
    }

    fn target() -> Target {
        let digest = Digest::of(Algorithm::Sha256, b"manifest");
        (digest, digest)
    }

    #[test]
    fn an_answer_counts_for_a_while_from_when_it_was_asked_for() {
        let (known, name, tag) = (known(), "a/b".parse().unwrap(), "1".parse().unwrap());
        let look = known.look(at(1_000));
        assert_eq!(known.get(&name, &tag, at(1_000)), None);
        known.learn(&name, &tag, target(), look);
        assert_eq!(known.get(&name, &tag, at(2_999)), Some(target()));
        assert_eq!(known.get(&name, &tag, at(3_000)), None);
        assert_eq!(known.get(&name, &tag, at(999)), None);
        assert_eq!(known.get(&name, &"2".parse().unwrap(), at(1_000)), None);
        assert_eq!(known.get(&"a".parse().unwrap(), &tag, at(1_000)), None);
    }

    #[test]
    fn changes_are_forgotten_and_what_was_asked_before_them_is_not_learnt() {
        let (known, name, tag): (_, _, Tag) = (known(), "a/b".parse().unwrap(), "1".parse().unwrap());
        let (other, second) = ("a/c".parse().unwrap(), "2".parse().unwrap());
        let learn = |name: &RepositoryName, tag: &Tag| known.learn(name, tag, target(), known.look(at(0)));
        let has = |name: &RepositoryName, tag: &Tag| known.get(name, tag, at(0)).is_some();
        for name in [&name, &other] {
            learn(name, &tag);
            learn(name, &second);
        }
        known.tag_changed(&name, &tag);
        assert!(!has(&name, &tag) && has(&name, &second) && has(&other, &tag));
        known.manifest_changed(&name);
        assert!(!has(&name, &second) && has(&other, &tag) && has(&other, &second));

        let look = known.look(at(0));
        known.tag_changed(&other, &second);
        known.learn(&name, &tag, target(), look);
        assert!(!has(&name, &tag));
    }

    #[test]
    fn pages_count_as_long_and_go_with_any_tag_of_the_repository() {
        let (known, name, tag) = (known(), "a/b".parse().unwrap(), "1".parse().unwrap());
        let page = TagPage { tags: vec!["2".parse().unwrap()], more: true };
        let (first, behind) =
            ((RepositoryName::clone(&name), None, 1), (RepositoryName::clone(&name), Some("1".into()), 1));
        let elsewhere = ("a/c".parse().unwrap(), None, 1);
        let learn = |asked: &Asked| known.learn_page(asked.clone(), page.clone(), known.look(at(0)));
        for change in [
            |known: &KnownTags, name, tag| known.tag_changed(name, tag),
            |known: &KnownTags, name, _| known.manifest_changed(name),
        ] {
            for asked in [&first, &behind, &elsewhere] {
                learn(asked);
                assert_eq!(known.page(asked, at(1_999)).as_ref(), Some(&page));
                assert_eq!(known.page(asked, at(2_000)), None);
            }
            assert_eq!(known.page(&(RepositoryName::clone(&name), None, 2), at(0)), None);
            change(&known, &name, &tag);
            assert_eq!((known.page(&first, at(0)), known.page(&behind, at(0))), (None, None));
            assert!(known.page(&elsewhere, at(0)).is_some());
        }
    }

    #[test]
    fn takes_no_more_than_it_may() {
        let known = known();
        for number in 0..10_000 {
            let tag = format!("v{number}").parse().unwrap();
            known.learn(&"a".parse().unwrap(), &tag, target(), known.look(at(0)));
        }
        let kept = known.0.inspect(|kept| kept.targets.len());
        assert!((50..=32 * 1024 / OVERHEAD_BYTES).contains(&kept), "{kept}");
        let page = TagPage { tags: vec!["a-tag".parse().unwrap(); 100], more: true };
        for number in 0..1_000 {
            let asked = ("a".parse().unwrap(), Some(number.to_string()), 100);
            known.learn_page(asked, page.clone(), known.look(at(0)));
        }
        assert!(
            (1..=32 * 1024 / 4_500).contains(&known.0.inspect(|kept| kept.pages.len())),
            "{}",
            known.0.inspect(|kept| kept.pages.len())
        );
        assert!(KnownTags::new(0, Duration::from_secs(2)).is_none());
        assert!(KnownTags::new(64 * 1024, Duration::ZERO).is_none());
    }
}
