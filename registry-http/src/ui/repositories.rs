//! `/ui/`: the repositories.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use askama::Template;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use registry_core::{Error, RepositoryName};

use super::commands::Commands;
use super::part::Part;
use super::route::encoded;
use super::shown::Moment;
use super::usage::Usage;
use super::viewer::{Frame, html};
use crate::access::Authorized;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;

/// How many repositories stand on a page.
const PAGE: usize = 50;

/// How many repositories are looked into side by side.
const CONCURRENCY: usize = 8;

/// So many names are looked through for those that are searched for or sorted.
const MOST_NAMES: usize = 100_000;

/// So many repositories are sorted by what is in them.
const MOST_SORTED: usize = 20_000;

/// The names of all repositories, for a short while.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Option<(SystemTime, Arc<[RepositoryName]>)>>);

/// How old may be what a page tells of many repositories. Those that take long to look at may be older.
fn patience(repositories: usize) -> Duration {
    Duration::from_millis(2_000 + 2 * repositories as u64)
}

impl Names {
    async fn all(&self, call: &Call) -> Result<Arc<[RepositoryName]>, Error> {
        let (registry, now) = (&call.settings.registry, call.settings.registry.clock().now());
        if let Some((seen, names)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && now.duration_since(*seen).is_ok_and(|age| age < patience(names.len()))
        {
            return Ok(Arc::clone(names));
        }
        let names: Arc<[_]> = registry.catalog(None, MOST_NAMES).await?.repositories.into();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&names)));
        Ok(names)
    }
}

#[derive(Template)]
#[template(path = "repositories.html")]
struct RepositoriesPage {
    frame: Frame,
    query: String,
    sort: Sort,
    rows: Vec<Row>,
    /// How many there are, where that was counted.
    count: Option<usize>,
    first: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    deleted: Option<String>,
    commands: Commands,
}

struct Row {
    name: RepositoryName,
    usage: Usage,
    pushed: Option<Moment>,
}

impl Row {
    /// The part of the name before its last component, with the slash.
    fn namespace(&self) -> &str {
        let name = self.name.as_str();
        name.rfind('/').map_or("", |slash| &name[..=slash])
    }

    fn own_name(&self) -> &str {
        &self.name.as_str()[self.namespace().len()..]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Tags,
    Size,
    Pushed,
}

impl Sort {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("tags") => Self::Tags,
            Some("size") => Self::Size,
            Some("pushed") => Self::Pushed,
            _ => Self::Name,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Tags => "tags",
            Self::Size => "size",
            Self::Pushed => "pushed",
        }
    }
}

impl RepositoriesPage {
    fn sorted(&self, sort: &str) -> String {
        format!("?q={}&sort={sort}", encoded(&self.query))
    }

    /// What the header of a column says of the order.
    fn order(&self, sort: &str) -> &'static str {
        match (self.sort.as_str() == sort, self.sort) {
            (false, _) => "none",
            (true, Sort::Name) => "ascending",
            (true, _) => "descending",
        }
    }

    fn is_empty_registry(&self) -> bool {
        self.rows.is_empty() && self.query.is_empty() && self.first.is_none()
    }
}

pub(super) async fn show(call: &Call, at: Authorized<()>) -> Answer {
    let query = call.query.get("q").unwrap_or_default().trim().to_lowercase();
    let sort = Sort::parse(call.query.get("sort"));
    let frame = Frame::new(call, Some(at.principal()));
    let commands = Commands::new(&frame.host, "my-image", Some("1.0"));
    let mut page = RepositoriesPage {
        frame,
        query,
        sort,
        rows: Vec::new(),
        count: None,
        first: None,
        previous: None,
        next: None,
        deleted: deleted(call),
        commands,
    };
    if page.query.is_empty() && sort == Sort::Name {
        in_order(call, &at, &mut page).await?;
    } else {
        found(call, &at, &mut page).await?;
    }
    html(call, StatusCode::OK, &page)
}

/// What was deleted, as the page says that was asked to do it.
pub(super) fn deleted(call: &Call) -> Option<String> {
    // Anybody may have made the link.
    let is_plain = |text: &&str| {
        text.len() < 300 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || " ,._-/".contains(letter))
    };
    call.query.get("deleted").filter(is_plain).map(str::to_owned)
}

/// A page of all repositories in their order. Only what stands on it is looked at.
async fn in_order(call: &Call, at: &Authorized<()>, page: &mut RepositoriesPage) -> Result<(), Refusal> {
    let after = call.query.get("after");
    let may_list = |name: RepositoryName| async move { at.may_list(call, &name).await };
    let listed = call.settings.registry.catalog_of(after, PAGE, may_list).await?;
    let last = listed.repositories.last().cloned();
    page.rows = rows(call, listed.repositories, patience(0)).await?;
    page.first = after.map(|_| "?".to_owned());
    page.next = last.filter(|_| listed.more).map(|last| format!("?after={}", encoded(last.as_str())));
    Ok(())
}

/// A page of those whose names have what was searched for, in any order.
async fn found(call: &Call, at: &Authorized<()>, page: &mut RepositoriesPage) -> Result<(), Refusal> {
    let Some(ui) = &call.settings.ui else { return Ok(()) };
    let all = ui.names.all(call).await?;
    let matching = all.iter().filter(|name| name.as_str().contains(&page.query));
    let mut names = Vec::new();
    for name in matching {
        // Others get their turn between many that are not found.
        tokio::task::consume_budget().await;
        if at.may_list(call, name).await {
            names.push(name.clone());
        }
    }
    let count = names.len();
    let part = Part::asked(call, count, PAGE);
    // Each has to be looked at for that.
    if count > MOST_SORTED {
        page.sort = Sort::Name;
    }
    page.rows = if page.sort == Sort::Name {
        rows(call, names[part.range.clone()].to_vec(), patience(0)).await?
    } else {
        let mut rows = rows(call, names, patience(count)).await?;
        match page.sort {
            Sort::Name => {}
            Sort::Tags => rows.sort_by_key(|row| Reverse(row.usage.tags)),
            Sort::Size => rows.sort_by_key(|row| Reverse(row.usage.unique)),
            Sort::Pushed => rows.sort_by_key(|row| Reverse(row.usage.pushed)),
        }
        rows.drain(part.range.clone()).collect()
    };
    page.count = Some(count);
    let link = |number: usize| format!("?q={}&sort={}&page={number}", encoded(&page.query), page.sort.as_str());
    page.previous = part.previous.map(link);
    page.next = part.next.map(link);
    Ok(())
}

async fn rows(call: &Call, names: Vec<RepositoryName>, patience: Duration) -> Result<Vec<Row>, Refusal> {
    let (Some(ui), registry) = (&call.settings.ui, &call.settings.registry) else { return Ok(Vec::new()) };
    let now = registry.clock().now();
    let rows = stream::iter(names).map(|name| async move {
        let usage = ui.usages.of(&registry.repository(&name), now, patience).await?;
        Ok::<_, Error>(Row { name, usage, pushed: usage.pushed.map(|time| Moment::new(time, now)) })
    });
    Ok(rows.buffered(CONCURRENCY).try_collect().await?)
}
