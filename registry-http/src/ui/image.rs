//! `/ui/repositories/NAME/-/images/REFERENCE`: one image, index, chart or artifact.

use std::collections::{BTreeMap, HashMap, HashSet};

use askama::Template;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use registry_core::{Digest, Error, Reference, Repository, RepositoryName, Tag};

use super::commands::Commands;
use super::config::ImageConfig;
use super::contents::{self, Descriptor, Document, Kind, What};
use super::referrers::{self, Node};
use super::repository::{Summary, namespaces, short};
use super::shown::{Moment, Size};
use super::usage;
use super::viewer::{Frame, html};
use crate::access::Authorized;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::route::ManifestAt;

/// So many layers, files, variables, labels or annotations are shown. What is more stands in the raw manifest.
const SHOWN: usize = 500;

/// So many manifests of a repository are compared with an image.
const COMPARED: usize = 1_000;

/// So many tags of a repository are looked at for those of an image.
const MOST_TAGS: usize = 5_000;

/// How many tags are looked at side by side.
const CONCURRENCY: usize = 16;

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    frame: Frame,
    name: RepositoryName,
    reference: Reference,
    document: Document,
    summary: Summary,
    /// What is there once, and what other images of the repository have too; `None` where that is too much to tell.
    sharing: Option<Sharing>,
    pushed: Option<Moment>,
    pulled: Option<Moment>,
    /// The tags of the same manifest.
    tags: Vec<Tag>,
    platforms: Vec<PlatformTab>,
    /// The image of the platform that is shown, or the image itself.
    shown: Option<Shown>,
    referrers: Vec<Node>,
    commands: Vec<(&'static str, String)>,
}

/// One platform of an index.
struct PlatformTab {
    label: String,
    digest: Digest,
    is_shown: bool,
}

/// How much of an image others need as well.
struct Sharing {
    unique: Size,
    shared: Size,
}

/// The insides of one manifest.
struct Shown {
    digest: Digest,
    size: Size,
    layers: Vec<Layer>,
    hidden_layers: usize,
    config: Option<ImageConfig>,
    config_digest: Option<Digest>,
    /// The plain fields of a configuration that is none of an image.
    fields: Vec<(String, String)>,
    annotations: BTreeMap<String, String>,
}

struct Layer {
    digest: Digest,
    media_type: String,
    size: Size,
    instruction: String,
    /// The name of a file.
    title: Option<String>,
    /// What part of the largest layer it is, in twentieths.
    bar: u64,
}

impl ImagePage {
    fn namespaces(&self) -> Vec<(String, String)> {
        namespaces(&self.frame, &self.name)
    }

    fn is_image(&self) -> bool {
        matches!(self.document.what(), What::Image | What::Index)
    }
}

pub(super) async fn show(call: &Call, at: Authorized<ManifestAt>) -> Answer {
    let (repository, reference) = (at.repository(call), at.at().reference.clone());
    let now = call.settings.registry.clock().now();
    let document = find(&repository, &reference).await?;
    let digest = document.digest;
    let frame = Frame::new(call, Some(at.principal()));
    let chosen = call.query.get("platform").and_then(|text| text.parse::<Digest>().ok());
    let chosen =
        chosen.or_else(|| document.children().iter().find(|child| child.machine().is_some()).map(|child| child.digest));
    let shown_document = match chosen.filter(|chosen| document.children().iter().any(|child| child.digest == *chosen)) {
        Some(chosen) => contents::document(&repository, &Reference::Digest(chosen)).await?,
        None => Some(document.clone()).filter(|document| document.children().is_empty()),
    };
    let shown = match &shown_document {
        Some(document) => Some(insides(&repository, document).await?),
        None => None,
    };
    let shown_digest = shown.as_ref().map(|shown| shown.digest);
    let tags = tags_by_digest(&repository).await?.and_then(|mut tags| tags.remove(&digest)).unwrap_or_default();
    let page = ImagePage {
        commands: commands(&frame, repository.name(), &reference, document.what()),
        platforms: document.children().iter().take(SHOWN).map(|child| tab(child, shown_digest)).collect(),
        summary: Summary::of(&repository, &document).await?,
        sharing: sharing(call, &repository, &document).await?,
        pushed: repository.manifests().pushed(&digest).await?.map(|time| Moment::new(time, now)),
        pulled: repository.manifests().pulled(&digest).await?.map(|time| Moment::new(time, now)),
        referrers: referrers::tree(&repository, &digest).await?,
        name: repository.name().clone(),
        tags,
        frame,
        reference,
        document,
        shown,
    };
    html(call, StatusCode::OK, &page)
}

/// A manifest that must be there.
pub(super) async fn find(repository: &Repository, reference: &Reference) -> Result<Document, Error> {
    let found = contents::document(repository, reference).await?;
    found.ok_or_else(|| Error::ManifestUnknown { reference: reference.clone() })
}

fn commands(frame: &Frame, name: &RepositoryName, reference: &Reference, what: What) -> Vec<(&'static str, String)> {
    let commands = Commands::new(&frame.host, name.as_str(), Some(&reference.to_string()));
    match what {
        What::Image | What::Index => commands.pulls(),
        What::Chart => commands.chart(),
        What::Artifact => commands.artifact(),
    }
}

fn tab(child: &Descriptor, shown: Option<Digest>) -> PlatformTab {
    let label = match child.machine() {
        Some(platform) => platform.to_string(),
        None if child.is_attestation() => "attestation".to_owned(),
        None => short(&child.digest),
    };
    PlatformTab { label, digest: child.digest, is_shown: shown == Some(child.digest) }
}

/// The tags of each manifest; `None` if there are too many to look at.
pub(super) async fn tags_by_digest(repository: &Repository) -> Result<Option<HashMap<Digest, Vec<Tag>>>, Error> {
    let page = repository.tags().names(None, MOST_TAGS).await?;
    if page.more {
        return Ok(None);
    }
    let pointing = stream::iter(page.tags).map(|tag| async move {
        let digest = repository.tags().resolve(&tag).await?;
        Ok::<_, Error>(digest.map(|digest| (digest, tag)))
    });
    let mut pointing = pointing.buffered(CONCURRENCY).boxed();
    let mut tags: HashMap<Digest, Vec<Tag>> = HashMap::new();
    while let Some(found) = pointing.try_next().await? {
        if let Some((digest, tag)) = found {
            tags.entry(digest).or_default().push(tag);
        }
    }
    Ok(Some(tags))
}

/// How much of an image no other manifest of the repository names.
async fn sharing(call: &Call, repository: &Repository, document: &Document) -> Result<Option<Sharing>, Error> {
    let Some(ui) = &call.settings.ui else { return Ok(None) };
    let Some(all) = ui.usages.documents(repository, COMPARED).await? else { return Ok(None) };
    let own: HashSet<Digest> = document.children().iter().map(|child| child.digest).chain([document.digest]).collect();
    let (inside, outside): (Vec<_>, Vec<_>) = all.iter().partition(|other| own.contains(&other.digest));
    let elsewhere: HashSet<Digest> =
        outside.into_iter().flat_map(Document::content).map(|(digest, _)| digest).collect();
    let content: HashMap<Digest, u64> = inside.into_iter().flat_map(Document::content).collect();
    let (shared, unique) = content.into_iter().partition(|(digest, _)| elsewhere.contains(digest));
    Ok(Some(Sharing { unique: usage::sum(&unique), shared: usage::sum(&shared) }))
}

async fn insides(repository: &Repository, document: &Document) -> Result<Shown, Error> {
    let content: HashMap<Digest, u64> = document.content().collect();
    let mut shown = Shown {
        digest: document.digest,
        size: usage::sum(&content),
        layers: Vec::new(),
        hidden_layers: 0,
        config: None,
        config_digest: None,
        fields: Vec::new(),
        annotations: document
            .annotations
            .iter()
            .take(SHOWN)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    let Kind::Image { config, layers } = &document.kind else { return Ok(shown) };
    shown.config_digest = Some(config.digest);
    let json = contents::small_blob(repository, &config.digest).await?.unwrap_or_default();
    if document.what() == What::Image {
        shown.config = ImageConfig::parse(&json);
    } else {
        shown.fields = fields(&json);
    }
    let instructions =
        shown.config.as_ref().map(|config| config.instructions_of_layers(layers.len())).unwrap_or_default();
    let largest = layers.iter().map(|layer| layer.size).max().unwrap_or_default().max(1);
    shown.hidden_layers = layers.len().saturating_sub(SHOWN);
    shown.layers = layers
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(index, layer)| Layer {
            digest: layer.digest,
            media_type: layer.media_type.clone(),
            size: Size(layer.size),
            instruction: instructions.get(index).cloned().unwrap_or_default(),
            title: layer.annotations.get("org.opencontainers.image.title").cloned(),
            bar: u64::try_from(u128::from(layer.size) * 20 / u128::from(largest)).unwrap_or(20).max(1),
        })
        .collect();
    Ok(shown)
}

/// The plain fields of some JSON.
fn fields(json: &[u8]) -> Vec<(String, String)> {
    let object: Option<BTreeMap<String, serde_json::Value>> = serde_json::from_slice(json).ok();
    let plain = object.into_iter().flatten().filter_map(|(name, value)| match value {
        serde_json::Value::String(text) => Some((name, text)),
        serde_json::Value::Number(number) => Some((name, number.to_string())),
        serde_json::Value::Bool(is) => Some((name, is.to_string())),
        _ => None,
    });
    plain.take(SHOWN).collect()
}
