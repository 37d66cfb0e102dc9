//! `/ui/repositories/NAME`: the tags of a repository.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use askama::Template;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use registry_auth::Action;
use registry_core::{Digest, Error, Reference, Repository, RepositoryName, Tag};

use super::commands::Commands;
use super::config::ImageConfig;
use super::contents::{self, Document, Kind, What};
use super::order::natural;
use super::part::Part;
use super::route::encoded;
use super::shown::{Moment, Size};
use super::usage::{self, Usage, Usages};
use super::viewer::{Frame, html};
use super::{image, referrers, repositories};
use crate::access::{Authorized, permits_deletes};
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::route::TagsAt;

/// How many tags stand on a page.
const PAGE: usize = 50;

/// So many tags are sorted and searched at once; of a repository with more there are several such parts.
const PART: usize = 100_000;

/// So many tags are sorted by their age.
const AGED: usize = 10_000;

/// So many manifests are looked at for those without a tag.
const MOST_MANIFESTS: usize = 1_000;

/// How many tags are looked into side by side.
const CONCURRENCY: usize = 8;

#[derive(Template)]
#[template(path = "repository.html")]
struct RepositoryPage {
    frame: Frame,
    name: RepositoryName,
    usage: Usage,
    pushed: Option<Moment>,
    query: String,
    newest: bool,
    rows: Vec<Row>,
    /// How many tags there are, of those that were asked for.
    count: usize,
    previous: Option<String>,
    next: Option<String>,
    /// Tags behind those that were sorted.
    further: Option<String>,
    untagged: WithoutTag,
    may_delete: bool,
    deleted: Option<String>,
    commands: Commands,
}

impl RepositoryPage {
    fn link(&self, parameters: &str) -> String {
        format!("?q={}{parameters}", encoded(&self.query))
    }

    fn namespaces(&self) -> Vec<(String, String)> {
        namespaces(&self.frame, &self.name)
    }
}

/// The parts of a name that others may share, each with a link to those that do.
pub(super) fn namespaces(frame: &Frame, name: &RepositoryName) -> Vec<(String, String)> {
    let name = name.as_str();
    let ends = name.match_indices('/').map(|(end, _)| end);
    ends.map(|end| {
        let begin = name[..end].rfind('/').map_or(0, |slash| slash + 1);
        (name[begin..end].to_owned(), format!("{}?q={}", frame.links.home(), encoded(&name[..=end])))
    })
    .collect()
}

/// A tag, and what it points to.
struct Row {
    tag: Tag,
    digest: Digest,
    summary: Summary,
    pushed: Option<Moment>,
    pulled: Option<Moment>,
    badges: Vec<&'static str>,
    /// The pull command.
    command: String,
}

/// The manifests that neither a tag nor another manifest names.
enum WithoutTag {
    NotAsked,
    TooMany,
    Found(Vec<Untagged>),
}

struct Untagged {
    digest: Digest,
    what: What,
    size: Size,
    pushed: Option<Moment>,
}

pub(super) async fn show(call: &Call, at: Authorized<TagsAt>) -> Answer {
    let (repository, name) = (at.repository(call), at.at().repository.clone());
    let now = call.settings.registry.clock().now();
    let frame = Frame::new(call, Some(at.principal()));
    let Some(ui) = &call.settings.ui else { return Err(Refusal::no_page()) };
    let usage = ui.usages.of(&repository, now, std::time::Duration::ZERO).await?;
    if usage.manifests == 0 {
        return Err(Error::NameUnknown { name }.into());
    }
    let mut page = RepositoryPage {
        commands: Commands::new(&frame.host, name.as_str(), Some("TAG")),
        frame,
        usage,
        pushed: usage.pushed.map(|time| Moment::new(time, now)),
        query: call.query.get("q").unwrap_or_default().trim().to_owned(),
        newest: call.query.get("sort") == Some("newest"),
        rows: Vec::new(),
        count: 0,
        previous: None,
        next: None,
        further: None,
        untagged: WithoutTag::NotAsked,
        may_delete: permits_deletes(&call.settings) && at.may(call, &name, Action::Delete).await,
        deleted: repositories::deleted(call),
        name,
    };
    fill(call, &repository, &mut page, now).await?;
    if call.query.get("untagged").is_some() {
        page.untagged = untagged(&ui.usages, &repository, now).await?;
    }
    html(call, StatusCode::OK, &page)
}

async fn fill(call: &Call, repository: &Repository, page: &mut RepositoryPage, now: SystemTime) -> Result<(), Refusal> {
    let after = call.query.get("after");
    let listed = repository.tags().names(after, PART).await?;
    page.further = listed.tags.last().filter(|_| listed.more).map(|last| format!("?after={}", encoded(last.as_str())));
    let old_badges = old_badges(&listed.tags);
    let mut tags = listed.tags;
    tags.retain(|tag| tag.as_str().contains(&page.query));
    // Each has to be asked for its age.
    page.newest &= tags.len() <= AGED;
    if page.newest {
        tags = by_age(repository, tags).await?;
    } else {
        tags.sort_by(|a, b| natural(a.as_str(), b.as_str()));
    }
    page.count = tags.len();
    let part = Part::asked(call, page.count, PAGE);
    let host = page.frame.host.clone();
    let rows = stream::iter(tags.drain(part.range)).map(|tag| row(repository, tag, &host, now));
    let mut rows: Vec<Row> =
        rows.buffered(CONCURRENCY).try_filter_map(async |row| Ok(row)).boxed().try_collect().await?;
    for row in &mut rows {
        row.badges.extend(old_badges.get(&row.digest.hex()).into_iter().flatten());
        row.badges.sort_unstable();
        row.badges.dedup();
    }
    page.rows = rows;
    let sort = if page.newest { "&sort=newest" } else { "" };
    let after = after.map(|after| format!("&after={}", encoded(after))).unwrap_or_default();
    let link = |number: usize| page.link(&format!("{sort}{after}&page={number}"));
    (page.previous, page.next) = (part.previous.map(&link), part.next.map(&link));
    Ok(())
}

/// What tags of old say of images: by the digest in them.
fn old_badges(tags: &[Tag]) -> HashMap<String, Vec<&'static str>> {
    let mut badges: HashMap<String, Vec<&'static str>> = HashMap::new();
    for (subject, badge) in tags.iter().filter_map(|tag| referrers::badge_of_tag(tag.as_str())) {
        badges.entry(subject.to_owned()).or_default().push(badge);
    }
    badges
}

/// The tags that were set last come first.
async fn by_age(repository: &Repository, tags: Vec<Tag>) -> Result<Vec<Tag>, Error> {
    let aged = stream::iter(tags).map(|tag| async move {
        let info = repository.tags().info(&tag).await?;
        Ok::<_, Error>((info.and_then(|info| info.pushed), tag))
    });
    let mut aged: Vec<_> = aged.buffered(CONCURRENCY).boxed().try_collect().await?;
    aged.sort_by(|(a, tag), (b, other)| {
        Reverse(a).cmp(&Reverse(b)).then_with(|| natural(tag.as_str(), other.as_str()))
    });
    Ok(aged.into_iter().map(|(_, tag)| tag).collect())
}

/// `None` if the tag went meanwhile.
async fn row(repository: &Repository, tag: Tag, host: &str, now: SystemTime) -> Result<Option<Row>, Error> {
    let Some(info) = repository.tags().info(&tag).await? else { return Ok(None) };
    let document = contents::document(repository, &Reference::Digest(info.digest)).await?;
    let Some(document) = document else { return Ok(None) };
    let summary = Summary::of(repository, &document).await?;
    let mut badges = referrers::badges(repository, &info.digest).await?;
    if document.children().iter().any(contents::Descriptor::is_attestation) {
        badges.push("attested");
    }
    let pulled = repository.manifests().pulled(&info.digest).await?;
    let commands = Commands::new(host, repository.name().as_str(), Some(tag.as_str()));
    let command = match document.what() {
        What::Image | What::Index => commands.docker(),
        What::Chart => commands.chart().remove(0).1,
        What::Artifact => commands.artifact().remove(0).1,
    };
    Ok(Some(Row {
        tag,
        digest: info.digest,
        summary,
        pushed: info.pushed.map(|time| Moment::new(time, now)),
        pulled: pulled.map(|time| Moment::new(time, now)),
        badges,
        command,
    }))
}

/// What a manifest is, in one line.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) what: What,
    pub(super) platforms: Vec<String>,
    /// What pulling all of it takes.
    pub(super) size: Size,
}

/// So many children of an index are looked into.
const CHILDREN: usize = 50;

impl Summary {
    pub(super) async fn of(repository: &Repository, document: &Document) -> Result<Self, Error> {
        let mut content: HashMap<Digest, u64> = document.content().collect();
        let mut platforms = Vec::new();
        for child in document.children().iter().take(CHILDREN) {
            platforms.extend(child.machine().map(ToString::to_string));
            if let Some(child) = contents::document(repository, &Reference::Digest(child.digest)).await? {
                content.extend(child.content());
            }
        }
        if let (What::Image, Kind::Image { config, .. }) = (document.what(), &document.kind) {
            let config = contents::small_blob(repository, &config.digest).await?;
            platforms.extend(config.and_then(|json| ImageConfig::parse(&json)).and_then(|config| config.machine()));
        }
        Ok(Self { what: document.what(), platforms, size: usage::sum(&content) })
    }
}

async fn untagged(usages: &Usages, repository: &Repository, now: SystemTime) -> Result<WithoutTag, Error> {
    let Some(documents) = usages.documents(repository, MOST_MANIFESTS).await? else { return Ok(WithoutTag::TooMany) };
    let Some(tagged) = image::tags_by_digest(repository).await? else { return Ok(WithoutTag::TooMany) };
    let children = documents.iter().flat_map(Document::children).map(|child| child.digest);
    let named: HashSet<Digest> = children.chain(tagged.into_keys()).collect();
    let there: HashSet<Digest> = documents.iter().map(|document| document.digest).collect();
    // What refers to something that is there belongs to that.
    let belongs = |document: &Document| document.subject.is_some_and(|subject| there.contains(&subject));
    let mut untagged = Vec::new();
    for document in documents.iter().filter(|document| !named.contains(&document.digest) && !belongs(document)) {
        let pushed = repository.manifests().pushed(&document.digest).await?;
        untagged.push(Untagged {
            digest: document.digest,
            what: document.what(),
            size: Summary::of(repository, document).await?.size,
            pushed: pushed.map(|time| Moment::new(time, now)),
        });
    }
    Ok(WithoutTag::Found(untagged))
}

/// The beginning of a digest, enough to know it by.
pub(super) fn short(digest: &Digest) -> String {
    format!("{}:{}", digest.algorithm().as_str(), &digest.hex()[..12])
}

/// The part of a name that only this repository has.
pub(super) fn last_part(name: &RepositoryName) -> &str {
    let name = name.as_str();
    name.rsplit('/').next().unwrap_or(name)
}
