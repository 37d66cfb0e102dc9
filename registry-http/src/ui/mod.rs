//! Pages for people, below `/ui/`: what is in the registry, and deleting it.
//!
//! A page is made on the server out of the same registry that the API has, and of what the same access check lets its
//! reader see. Whatever was pushed is text here, never markup; scripts and styles are those of this crate alone.

mod activity;
mod assets;
mod collection;
mod commands;
mod compare;
mod config;
mod contents;
mod delete;
mod figures;
mod form;
mod image;
mod login;
mod monitoring;
mod order;
mod part;
mod raw;
mod referrers;
mod repositories;
mod repository;
mod route;
mod session;
mod shown;
mod usage;
mod viewer;

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use http::request::Parts;
use http::{Method, Response};
use registry_auth::{Access, Action};
use registry_core::RepositoryName;

use crate::about::About;
use crate::access::{self, Authorized, InRepository};
use crate::body::ResponseBody;
use crate::call::Call;
use crate::content::Content;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::limits::Full;
use crate::service::Settings;
pub use activity::Activity;
pub use collection::{Collect, CollectionEnd, CollectionRun, Reclaimable, RunUnderWay};
pub use figures::{DiskSpace, Figures, ReadFigures};
pub(crate) use monitoring::{Noticed, Traffic};
use repositories::Names;
use route::Page;
use session::Sessions;
use usage::Usages;
use viewer::{refused, see_other};

/// The pages, for [`ServiceBuilder::ui`](crate::ServiceBuilder::ui).
///
/// ```
/// use std::sync::Arc;
/// use registry_auth::Anonymous;
/// use registry_core::{Registry, storage::Memory};
/// use registry_http::Ui;
///
/// let registry = Registry::builder(Arc::new(Memory::new())).build();
/// let ui = Ui::new().title("Images of the harbour");
/// let service = registry_http::service(registry).authenticator(Arc::new(Anonymous)).ui(ui).build();
/// ```
#[derive(Debug)]
#[must_use]
pub struct Ui {
    title: String,
    sessions: Sessions,
    usages: Usages,
    names: Names,
    activity: Option<Activity>,
    figures: Option<Arc<dyn ReadFigures>>,
    collect: Option<Arc<dyn Collect>>,
}

impl Ui {
    /// How long a login holds.
    pub const DEFAULT_SESSION: Duration = Duration::from_hours(12);

    /// Pages with the usual title.
    pub fn new() -> Self {
        Self {
            title: "Registry".into(),
            sessions: Sessions::new(Self::DEFAULT_SESSION),
            usages: Usages::default(),
            names: Names::default(),
            activity: None,
            figures: None,
            collect: None,
        }
    }

    /// What stands above every page.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Shows what happens, too. `activity` must be a sink of the registry's events.
    pub fn activity(mut self, activity: Activity) -> Self {
        self.activity = Some(activity);
        self
    }

    /// Shows how the server does, too: to those with a name, and to whoever may do everything without one.
    pub fn figures(mut self, figures: Arc<dyn ReadFigures>) -> Self {
        self.figures = Some(figures);
        self
    }

    /// Lets those who may [maintain](Access::Maintenance) the registry have its garbage collected, and look beforehand at
    /// what would go.
    pub fn collect(mut self, collect: Arc<dyn Collect>) -> Self {
        self.collect = Some(collect);
        self
    }

    /// How long a login holds; 12 hours by default. It ends earlier when its password no longer holds, and with the
    /// process.
    pub fn session(mut self, life: Duration) -> Self {
        self.sessions = Sessions::new(life);
        self
    }
}

impl Default for Ui {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads bytes in each of the ways in which pages read what strangers send and push; tells the page that they name.
#[doc(hidden)]
#[must_use]
pub fn read(bytes: &[u8]) -> Option<String> {
    if let Some(config) = config::ImageConfig::parse(bytes) {
        let _ = (config.flat(), config.dockerfile(), config.instructions_of_layers(3));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let _ = shown::web_link(text);
    let links = route::Links::new("");
    let link = match Page::parse(text)? {
        Page::Repositories => links.home(),
        Page::Repository(at) => links.repository(&at.repository),
        Page::Compare(at) => links.compare(&at.repository),
        Page::Delete(at) => links.delete(&at.repository),
        Page::Blob(at) => links.blob(&at.repository, &at.digest),
        _ => return None,
    };
    link.strip_prefix("/ui").map(str::to_owned)
}

/// What a request has to do with the pages.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A browser came to the root.
    Front,
    /// The page at this path, behind the prefix and `/ui`.
    Path(String),
}

/// Whether a request is for a page. The root is one for browsers alone: others ask whether somebody is alive.
pub(crate) fn asked_for(settings: &Settings, parts: &Parts) -> Option<Asked> {
    settings.ui.as_ref()?;
    let path = parts.uri.path();
    let within = settings.prefix.strip(path);
    if (path == "/" || within == Some("/")) && accepts_pages(parts) {
        return Some(Asked::Front);
    }
    let rest = within?.strip_prefix("/ui")?;
    (rest.is_empty() || rest.starts_with('/')).then(|| Asked::Path(rest.to_owned()))
}

fn accepts_pages(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    (parts.method == Method::GET || parts.method == Method::HEAD) && accept.contains("text/html")
}

/// Answers with a page, or with what one needs.
pub(crate) async fn answer(
    settings: Arc<Settings>,
    parts: Parts,
    content: Content,
    asked: Asked,
    about: &About,
) -> Response<ResponseBody> {
    let here = parts.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let mut call = Call::new(settings, parts, about.clone());
    let mut response = match route_of(&asked) {
        Ok(None) => see_other(&format!("{}/ui/", call.settings.prefix.as_str())),
        Ok(Some(Page::Asset(name))) => {
            assets::get(&call, &name).unwrap_or_else(|refusal| refused(&call, refusal, &here))
        }
        Ok(Some(page)) => {
            call.login = session::of(&call);
            match call.settings.requests.enter(&call.requester()) {
                Ok(place) => {
                    let answer = handle(&mut call, page, content).await;
                    let mut response = answer.unwrap_or_else(|refusal| refused(&call, refusal, &here));
                    response.body_mut().hold(place);
                    response
                }
                Err(Full) => refused(&call, Refusal::too_many(), &here),
            }
        }
        Err(refusal) => refused(&call, refusal, &here),
    };
    viewer::guard(&mut response);
    response
}

fn route_of(asked: &Asked) -> Result<Option<Page>, Refusal> {
    match asked {
        Asked::Front => Ok(None),
        Asked::Path(path) if path.is_empty() => Ok(None),
        Asked::Path(path) => Page::parse(path).map(Some).ok_or_else(Refusal::no_page),
    }
}

async fn handle(call: &mut Call, page: Page, content: Content) -> Answer {
    let allowed: &[&str] = match page {
        Page::Logout | Page::Collect | Page::Delete(_) => &["POST"],
        Page::Login => &["GET", "HEAD", "POST"],
        _ => &["GET", "HEAD"],
    };
    let method = call.method.as_str();
    if !allowed.contains(&method) {
        return Err(Refusal::method(&allowed.join(", ")));
    }
    if method == "POST" {
        form::check_origin(call)?;
    }
    let pull = |name: &RepositoryName| Access::repository(name.clone(), [Action::Pull]);
    match page {
        Page::Login if method == "POST" => login::log_in(call, content).await,
        Page::Login => login::show(call),
        Page::Logout => Ok(login::log_out(call)),
        Page::Asset(name) => assets::get(call, &name),
        Page::Repositories => repositories::show(call, access::admit_to(call, (), Access::Catalog).await?).await,
        Page::Activity => activity::show(call, access::admit_to(call, (), Access::Catalog).await?).await,
        Page::ActivityStream => activity::watch(call, &access::admit_to(call, (), Access::Catalog).await?),
        Page::Monitoring => monitoring::show(call, &access::admit_insider(call).await?),
        Page::Collect => {
            collection::begin(call, &access::admit_to(call, (), Access::Maintenance).await?, content).await
        }
        Page::Repository(at) => repository::show(call, admit(call, at, pull).await?).await,
        Page::Image(at) => image::show(call, admit(call, at, pull).await?).await,
        Page::Manifest(at) => raw::manifest(call, admit(call, at, pull).await?).await,
        Page::Config(at) => raw::config(call, admit(call, at, pull).await?).await,
        Page::Blob(at) => raw::blob(call, admit(call, at, pull).await?).await,
        Page::Compare(at) => compare::show(call, admit(call, at, pull).await?).await,
        Page::Delete(at) => {
            let delete = |name: &RepositoryName| Access::repository(name.clone(), [Action::Pull, Action::Delete]);
            delete::act(call, admit(call, at, delete).await?, content).await
        }
    }
}

async fn admit<T: InRepository>(
    call: &Call,
    at: T,
    access: impl Fn(&RepositoryName) -> Access,
) -> Result<Authorized<T>, Refusal> {
    let access = access(at.repository());
    access::admit_to(call, at, access).await
}
