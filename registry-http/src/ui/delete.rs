//! `/ui/repositories/NAME/-/delete`: asks whether that is meant, and does it.

use std::collections::{BTreeSet, HashMap, HashSet};

use askama::Template;
use http::StatusCode;
use registry_core::{Digest, Error, Repository, RepositoryName, Tag};

use super::contents::Document;
use super::route::encoded;
use super::shown::Size;
use super::viewer::{Frame, html, see_other};
use super::{form, image, usage};
use crate::access::{Authorized, permits_deletes};
use crate::call::Call;
use crate::content::Content;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::query::Query;
use crate::route::TagsAt;

/// So many manifests of a repository are looked at to tell what goes with an image.
const MOST_MANIFESTS: usize = 5_000;

/// What somebody wants to delete.
#[derive(Debug)]
enum Wanted {
    /// Tags, and manifests by their digest. With `images` also the manifests that no tag points to then.
    Some {
        tags: Vec<Tag>,
        digests: Vec<Digest>,
        images: bool,
    },
    Everything,
}

/// What goes with it.
#[derive(Debug, Default)]
struct Plan {
    /// Manifests, those before the ones that they name.
    manifests: Vec<Digest>,
    /// What nothing else in the repository needs; `None` where that was too much to tell.
    freed: Option<Size>,
}

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage {
    frame: Frame,
    name: RepositoryName,
    wanted: Wanted,
    plan: Plan,
    /// The name was typed wrong.
    mistyped: bool,
}

pub(super) async fn act(call: &Call, at: Authorized<TagsAt>, content: Content) -> Answer {
    if !permits_deletes(&call.settings) {
        return Err(Refusal::form("this registry lets nobody delete (storage.delete.enabled, or read-only)"));
    }
    let fields = form::read(call, content).await?;
    let repository = at.repository(call);
    let wanted = wanted(&fields)?;
    let plan = plan(call, &repository, &wanted).await?;
    let is_confirmed = fields.get("confirmed").is_some();
    let mistyped =
        is_confirmed && matches!(wanted, Wanted::Everything) && fields.get("name") != Some(repository.name().as_str());
    let frame = Frame::new(call, Some(at.principal()));
    if !is_confirmed || mistyped {
        let page = DeletePage { frame, name: repository.name().clone(), wanted, plan, mistyped };
        return html(call, StatusCode::OK, &page);
    }
    let done = delete(&repository, &wanted, &plan).await?;
    let home = match wanted {
        Wanted::Everything => frame.links.home(),
        // With its last manifest the repository is gone.
        Wanted::Some { .. } if repository.manifests().list(None, 1).await?.digests.is_empty() => frame.links.home(),
        Wanted::Some { .. } => frame.links.repository(repository.name()),
    };
    Ok(see_other(&format!("{home}?deleted={}", encoded(&done))))
}

fn wanted(fields: &Query) -> Result<Wanted, Refusal> {
    if fields.get("everything").is_some() {
        return Ok(Wanted::Everything);
    }
    let tags: BTreeSet<Tag> = fields.all("tag").map(str::parse).collect::<Result<_, _>>().map_err(Refusal::tag)?;
    let digests: BTreeSet<Digest> =
        fields.all("digest").map(str::parse).collect::<Result<_, _>>().map_err(Refusal::digest)?;
    if tags.is_empty() && digests.is_empty() {
        return Err(Refusal::form("nothing was chosen to be deleted"));
    }
    // On the first page nothing is said of it yet, and that page says yes.
    let images = fields.get("images").is_some() || fields.get("confirmed").is_none();
    Ok(Wanted::Some { tags: tags.into_iter().collect(), digests: digests.into_iter().collect(), images })
}

async fn plan(call: &Call, repository: &Repository, wanted: &Wanted) -> Result<Plan, Error> {
    let documents = match &call.settings.ui {
        Some(ui) => ui.usages.documents(repository, MOST_MANIFESTS).await?,
        None => None,
    };
    let Wanted::Some { tags, digests, .. } = wanted else {
        let content: Option<HashMap<Digest, u64>> =
            documents.map(|documents| documents.iter().flat_map(Document::content).collect());
        return Ok(Plan { manifests: Vec::new(), freed: content.map(|content| usage::sum(&content)) });
    };
    let (Some(documents), Some(by_digest)) = (documents, image::tags_by_digest(repository).await?) else {
        // What else there is nobody can say; what was named is known.
        return Ok(Plan { manifests: digests.clone(), freed: None });
    };
    let chosen: HashSet<&Tag> = tags.iter().collect();
    let keeps_tag =
        |digest: &Digest| by_digest.get(digest).is_some_and(|tags| tags.iter().any(|tag| !chosen.contains(tag)));
    let untagged =
        by_digest.iter().filter(|(digest, tags)| tags.iter().any(|tag| chosen.contains(tag)) && !keeps_tag(digest));
    let first = untagged.map(|(digest, _)| *digest).chain(digests.iter().copied());
    Ok(Plan::beginning_with(first, &documents, |digest| by_digest.contains_key(digest)))
}

impl Plan {
    /// These manifests, what they name and nothing else does, and what refers to them.
    fn beginning_with(
        first: impl Iterator<Item = Digest>,
        documents: &[Document],
        is_tagged: impl Fn(&Digest) -> bool,
    ) -> Self {
        let known: HashMap<Digest, &Document> = documents.iter().map(|document| (document.digest, document)).collect();
        let mut manifests: Vec<Digest> = Vec::new();
        let mut gone: HashSet<Digest> = HashSet::new();
        let mut pending: Vec<Digest> = first.filter(|digest| known.contains_key(digest)).collect();
        // A child goes when the last that names it does.
        let mut names: HashMap<Digest, usize> = HashMap::new();
        for child in documents.iter().flat_map(unique_children) {
            *names.entry(child).or_default() += 1;
        }
        while let Some(digest) = pending.pop() {
            let Some(document) = known.get(&digest).filter(|_| gone.insert(digest)) else { continue };
            manifests.push(digest);
            for child in unique_children(document) {
                let left = names.entry(child).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 && !is_tagged(&child) {
                    pending.push(child);
                }
            }
            let referrers = documents.iter().filter(|other| other.subject == Some(digest) && !is_tagged(&other.digest));
            pending.extend(referrers.map(|other| other.digest));
        }
        let (leaving, staying): (Vec<_>, Vec<_>) =
            documents.iter().partition(|document| gone.contains(&document.digest));
        let kept: HashMap<Digest, u64> = staying.into_iter().flat_map(Document::content).collect();
        let content = leaving.into_iter().flat_map(Document::content);
        let freed = content.filter(|(digest, _)| !kept.contains_key(digest)).collect();
        Self { manifests, freed: Some(usage::sum(&freed)) }
    }
}

fn unique_children(document: &Document) -> HashSet<Digest> {
    document.children().iter().map(|child| child.digest).collect()
}

/// Does it, and says what was done.
async fn delete(repository: &Repository, wanted: &Wanted, plan: &Plan) -> Result<String, Error> {
    let (tags, images) = match wanted {
        Wanted::Everything => {
            let cleared = repository.clear().await?;
            return Ok(format!("{} with {}", repository.name(), count(cleared.tags, "tag")));
        }
        Wanted::Some { tags, images, .. } => (tags, *images),
    };
    let digests = match wanted {
        Wanted::Some { digests, .. } if !images => digests,
        _ => &plan.manifests,
    };
    let mut deleted = [0, 0];
    for tag in tags {
        deleted[0] += there(repository.tags().delete(tag).await.map(|()| true))?;
    }
    for digest in digests {
        // Somebody may have tagged it since the page was shown; then they need it.
        deleted[1] += there(repository.manifests().delete_untagged(digest).await)?;
    }
    Ok(format!("{}, {}", count(deleted[0], "tag"), count(deleted[1], "manifest")))
}

/// One, or none where somebody else was quicker.
fn there(deleted: Result<bool, Error>) -> Result<u64, Error> {
    match deleted {
        Ok(deleted) => Ok(deleted.into()),
        Err(Error::ManifestUnknown { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
