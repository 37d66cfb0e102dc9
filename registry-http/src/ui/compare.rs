//! `/ui/repositories/NAME/-/compare`: what is different in two images.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use askama::Template;
use http::StatusCode;
use registry_core::{Digest, Error, Reference, Repository, RepositoryName};

use super::config::ImageConfig;
use super::contents::{self, Descriptor, Document, Kind};
use super::image;
use super::repository::namespaces;
use super::shown::Size;
use super::viewer::{Frame, html};
use crate::access::Authorized;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::route::{TagsAt, parse_reference};

/// So many tags are offered to choose from.
const OFFERED: usize = 1_000;

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    frame: Frame,
    name: RepositoryName,
    tags: Vec<String>,
    from: String,
    to: String,
    platform: Option<String>,
    difference: Option<Difference>,
}

impl ComparePage {
    fn namespaces(&self) -> Vec<(String, String)> {
        namespaces(&self.frame, &self.name)
    }
}

/// What is different in two images.
struct Difference {
    removed: Vec<Descriptor>,
    added: Vec<Descriptor>,
    kept: Vec<Descriptor>,
    from: Size,
    to: Size,
    /// What changed, before and after.
    settings: Vec<(String, String, String)>,
}

impl Difference {
    fn of(from: &Side, to: &Side) -> Self {
        let digests = |side: &Side| side.layers.iter().map(|layer| layer.digest).collect::<HashSet<_>>();
        let (in_from, in_to) = (digests(from), digests(to));
        let those = |side: &Side, wanted: &dyn Fn(&Digest) -> bool| {
            side.layers.iter().filter(|layer| wanted(&layer.digest)).cloned().collect::<Vec<_>>()
        };
        let names: BTreeSet<&String> = from.settings.keys().chain(to.settings.keys()).collect();
        let value = |side: &Side, name: &str| side.settings.get(name).cloned().unwrap_or_default();
        let changed = names.into_iter().map(|name| (name.clone(), value(from, name), value(to, name)));
        Self {
            removed: those(from, &|digest| !in_to.contains(digest)),
            added: those(to, &|digest| !in_from.contains(digest)),
            kept: those(to, &|digest| in_from.contains(digest)),
            from: from.size(),
            to: to.size(),
            settings: changed.filter(|(_, before, after)| before != after).collect(),
        }
    }

    fn grown(&self) -> String {
        match self.to.0.checked_sub(self.from.0) {
            Some(0) => "as large as before".to_owned(),
            Some(more) => format!("{} larger", Size(more)),
            None => format!("{} smaller", Size(self.from.0 - self.to.0)),
        }
    }
}

/// One of two images.
#[derive(Default)]
struct Side {
    layers: Vec<Descriptor>,
    settings: BTreeMap<String, String>,
}

impl Side {
    fn size(&self) -> Size {
        Size(self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size)))
    }
}

pub(super) async fn show(call: &Call, at: Authorized<TagsAt>) -> Answer {
    let repository = at.repository(call);
    let page = repository.tags().names(None, OFFERED).await?;
    let asked = |name: &str| call.query.get(name).unwrap_or_default().to_owned();
    let mut page = ComparePage {
        frame: Frame::new(call, Some(at.principal())),
        name: repository.name().clone(),
        tags: page.tags.iter().map(ToString::to_string).collect(),
        from: asked("from"),
        to: asked("to"),
        platform: None,
        difference: None,
    };
    if !page.from.is_empty() && !page.to.is_empty() {
        let platform = call.query.get("platform").map(str::to_owned);
        let from = image::find(&repository, &parse_reference(&page.from).map_err(Refusal::from)?).await?;
        let to = image::find(&repository, &parse_reference(&page.to).map_err(Refusal::from)?).await?;
        page.platform = platform.or_else(|| first_platform(&from)).or_else(|| first_platform(&to));
        let from = side(&repository, from, page.platform.as_deref()).await?;
        let to = side(&repository, to, page.platform.as_deref()).await?;
        page.difference = Some(Difference::of(&from, &to));
    }
    html(call, StatusCode::OK, &page)
}

fn first_platform(document: &Document) -> Option<String> {
    document.children().iter().find_map(Descriptor::machine).map(ToString::to_string)
}

/// An image, or that of an index for a platform. One that has none for it has no layers.
async fn side(repository: &Repository, document: Document, platform: Option<&str>) -> Result<Side, Error> {
    let mut children = document.children().iter();
    let child = children.find(|child| child.machine().map(ToString::to_string).as_deref() == platform);
    let document = match child {
        Some(child) => contents::document(repository, &Reference::Digest(child.digest)).await?,
        None => Some(document),
    };
    let Some(Document { kind: Kind::Image { config, layers }, .. }) = document else { return Ok(Side::default()) };
    let json = contents::small_blob(repository, &config.digest).await?.unwrap_or_default();
    let settings = ImageConfig::parse(&json).map(|config| config.flat()).unwrap_or_default();
    Ok(Side { layers, settings })
}
