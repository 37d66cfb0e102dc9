//! What a rule keeps.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use crate::gc::is_older;
use crate::{Digest, RepositoryName, Tag, TagPattern, TagRule};

/// Says which tags are kept of those that it is about.
///
/// A tag of which no rule is about is kept. One goes if there are rules about it and none of them keeps it; so a further rule
/// about the same tags never lets more of them go.
///
/// ```
/// use std::time::Duration;
/// use registry_core::TagRule;
/// use registry_core::retention::RetentionRule;
///
/// // Of what CI builds the last ten stay, what was built within a month, and releases.
/// let mut rule = RetentionRule::new(TagRule::new(vec!["ci/**".parse()?], vec!["*".parse()?]));
/// rule.keep_newest = Some(10);
/// rule.keep_tags = vec!["v*".parse()?];
/// rule.keep_pushed_within = Some(Duration::from_hours(30 * 24));
/// # Ok::<(), registry_core::ParsePatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionRule {
    /// The tags that it is about.
    pub about: TagRule,
    /// Keeps so many tags of each repository: those that were pushed last.
    pub keep_newest: Option<usize>,
    /// Keeps the tags that one of these matches.
    pub keep_tags: Vec<TagPattern>,
    /// Keeps what was pushed no longer ago.
    pub keep_pushed_within: Option<Duration>,
    /// Keeps what was pulled no longer ago, by this tag or another one or by its digest.
    pub keep_pulled_within: Option<Duration>,
}

/// What is known of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    pub(super) pushed: Option<SystemTime>,
    /// At the latest; `None` if it may have been just now.
    pub(super) pulled: Option<SystemTime>,
}

impl RetentionRule {
    /// A rule that keeps nothing of what it is about, until it is told what to keep.
    #[must_use]
    pub fn new(about: TagRule) -> Self {
        Self { about, keep_newest: None, keep_tags: Vec::new(), keep_pushed_within: None, keep_pulled_within: None }
    }

    /// Whether the rule says to keep anything at all.
    #[must_use]
    pub fn keeps_anything(&self) -> bool {
        self.keep_newest.is_some_and(|count| count > 0)
            || !self.keep_tags.is_empty()
            || self.keep_pushed_within.is_some()
            || self.keep_pulled_within.is_some()
    }

    /// Whether it keeps a tag for what is known of this one alone.
    fn keeps(&self, known: &Known, now: SystemTime) -> bool {
        let within = |time, span: Option<Duration>| span.is_some_and(|span| !is_older(now, time, span));
        self.keep_tags.iter().any(|pattern| pattern.matches(&known.tag))
            || within(known.pushed, self.keep_pushed_within)
            || within(known.pulled, self.keep_pulled_within)
    }

    /// Those among the tags it is about that were pushed last. Of an unknown time is the same as just now.
    fn newest<'a>(&self, mut about: Vec<&'a Known>) -> impl Iterator<Item = &'a Tag> {
        let time = |known: &Known| (known.pushed.is_none(), known.pushed);
        about.sort_by(|one, other| (time(other), &other.tag).cmp(&(time(one), &one.tag)));
        about.into_iter().take(self.keep_newest.unwrap_or(0)).map(|known| &known.tag)
    }
}

/// Those of the tags of a repository that go.
pub(super) fn expired<'a>(
    rules: &[RetentionRule],
    name: &RepositoryName,
    tags: &'a [Known],
    now: SystemTime,
) -> Vec<&'a Known> {
    let mut judged: HashSet<&Tag> = HashSet::new();
    let mut kept: HashSet<&Tag> = HashSet::new();
    for rule in rules.iter().filter(|rule| rule.about.is_about_repository(name)) {
        let about: Vec<&Known> = tags.iter().filter(|known| rule.about.is_about(name, &known.tag)).collect();
        judged.extend(about.iter().map(|known| &known.tag));
        kept.extend(about.iter().filter(|known| rule.keeps(known, now)).map(|known| &known.tag));
        kept.extend(rule.newest(about));
    }
    tags.iter().filter(|known| judged.contains(&known.tag) && !kept.contains(&known.tag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    const DAY: Duration = Duration::from_hours(24);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    /// A tag, and how many days ago it was pushed and pulled.
    fn known(tag: &str, pushed: u32, pulled: u32) -> Known {
        Known {
            tag: tag.parse().unwrap(),
            digest: Digest::of(Algorithm::Sha256, tag.as_bytes()),
            pushed: Some(now() - pushed * DAY),
            pulled: Some(now() - pulled * DAY),
        }
    }

    fn about(repositories: &str, tags: &str) -> RetentionRule {
        RetentionRule::new(TagRule::new(vec![repositories.parse().unwrap()], vec![tags.parse().unwrap()]))
    }

    fn gone(rules: &[RetentionRule], tags: &[Known]) -> Vec<String> {
        let name = "ci/app".parse().unwrap();
        expired(rules, &name, tags, now()).iter().map(|known| known.tag.to_string()).collect()
    }

    fn tags() -> Vec<Known> {
        vec![known("a", 1, 1), known("b", 2, 9), known("c", 3, 0), known("v1", 40, 40), known("v2", 4, 50)]
    }

    #[test]
    fn the_newest_stay() {
        let mut rule = about("ci/**", "*");
        rule.keep_newest = Some(2);
        assert_eq!(gone(&[rule.clone()], &tags()), ["c", "v1", "v2"]);
        rule.keep_newest = Some(0);
        assert_eq!(gone(&[rule.clone()], &tags()).len(), 5);
        rule.keep_newest = Some(9);
        assert_eq!(gone(&[rule.clone()], &tags()), [""; 0]);
        // They are counted among those that the rule is about.
        rule.about.tags = vec!["v*".parse().unwrap()];
        rule.keep_newest = Some(1);
        assert_eq!(gone(&[rule], &tags()), ["v1"]);
    }

    #[test]
    fn of_those_pushed_at_once_the_last_by_name_is_the_newest() {
        let mut rule = about("ci/**", "*");
        rule.keep_newest = Some(1);
        assert_eq!(gone(&[rule], &[known("b", 1, 1), known("c", 1, 1), known("a", 1, 1)]), ["b", "a"]);
    }

    #[test]
    fn what_matches_or_was_pushed_or_pulled_since_stays() {
        let mut rule = about("ci/**", "*");
        rule.keep_tags = vec!["v1".parse().unwrap(), "x*".parse().unwrap()];
        assert_eq!(gone(&[rule.clone()], &tags()), ["a", "b", "c", "v2"]);
        rule.keep_tags.clear();
        rule.keep_pushed_within = Some(3 * DAY);
        assert_eq!(gone(&[rule.clone()], &tags()), ["c", "v1", "v2"]);
        rule.keep_pulled_within = Some(10 * DAY);
        assert_eq!(gone(&[rule.clone()], &tags()), ["v1", "v2"]);
        rule.keep_pushed_within = None;
        assert_eq!(gone(&[rule], &tags()), ["v1", "v2"]);
    }

    #[test]
    fn a_tag_goes_only_if_every_rule_about_it_lets_it_go() {
        let mut newest = about("ci/**", "*");
        newest.keep_newest = Some(1);
        let mut releases = about("ci/app", "v*");
        releases.keep_newest = Some(1);
        assert_eq!(gone(&[newest.clone(), releases.clone()], &tags()), ["b", "c", "v1"]);
        assert_eq!(gone(&[releases.clone(), newest], &tags()), ["b", "c", "v1"]);
        assert_eq!(gone(&[releases], &tags()), ["v1"], "no rule is about the others");
        assert_eq!(gone(&[about("other/**", "*")], &tags()), [""; 0]);
        assert_eq!(gone(&[], &tags()), [""; 0]);
    }

    #[test]
    fn a_time_that_cannot_be_believed_is_young() {
        let mut rule = about("ci/**", "*");
        rule.keep_pushed_within = Some(DAY);
        let unknown = Known { pushed: None, ..known("unknown", 0, 0) };
        let future = Known { pushed: Some(now() + DAY), ..known("future", 0, 0) };
        let lost = Known { pushed: Some(SystemTime::UNIX_EPOCH), ..known("lost", 0, 0) };
        assert_eq!(gone(&[rule.clone()], &[unknown.clone(), future, lost]), [""; 0]);
        rule.keep_pushed_within = None;
        rule.keep_newest = Some(1);
        assert_eq!(gone(&[rule.clone()], &[unknown, known("a", 1, 1)]), ["a"]);
        rule.keep_newest = None;
        rule.keep_pulled_within = Some(DAY);
        let just_now = Known { pulled: None, ..known("b", 50, 50) };
        assert_eq!(gone(&[rule], &[just_now, known("a", 50, 50)]), ["a"]);
    }
}
