//! What clients ask for, and what they do about the answer.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use registry_core::storage::Body;
use registry_core::{Algorithm, ContentStream, Error, Reference, Registry, Repository, Span};

use crate::ledger::{Kind, Outcome};
use crate::universe::{Item, Mark, Repo, Set, items};
use crate::world::World;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    /// Push a blob in one go.
    Push(Repo, Item),
    /// Push a blob in two chunks.
    Upload(Repo, Item),
    /// Mount a blob into the first repository from the second.
    Mount(Repo, Repo, Item),
    /// Look whether a content is there.
    Head(Repo, Item),
    /// Read a content by its digest.
    Fetch(Repo, Item),
    /// Push a manifest, by tag or by its digest.
    Put(Repo, Item, Option<Mark>),
    /// Read what a tag points to.
    Get(Repo, Mark),
    /// Delete a tag.
    DeleteTag(Repo, Mark),
    /// Delete a content by its digest.
    Delete(Repo, Item),
    /// Push an image or an index as clients do: of all that it needs, only what is not there.
    Ship(Repo, Item, Option<Mark>),
    /// Pull what a tag points to, with all that it needs.
    Pull(Repo, Mark),
}

/// A client of one process.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) registry: Registry,
    /// Which task it is.
    pub(crate) task: usize,
}

impl Client {
    /// Asks, one request after the other. What is answered wrongly is noted in the world.
    pub(crate) async fn run(self, requests: Vec<Request>) {
        for (place, request) in requests.into_iter().enumerate() {
            self.world.state().places[self.task] = place;
            self.perform(request).await;
        }
    }

    pub(crate) async fn perform(&self, request: Request) {
        match request {
            Request::Ship(repo, item, mark) => self.ship(repo, item, mark).await,
            Request::Pull(repo, mark) => self.pull(repo, mark).await,
            request => {
                self.ask(request).await;
            }
        }
    }

    /// Looks at all that must be there, and at every tag.
    pub(crate) async fn look_at_all(&self) {
        for repo in Repo::all() {
            let required = self.world.state().ledger.required(repo);
            for item in items(required) {
                self.ask(Request::Fetch(repo, item)).await;
            }
            let deleted = self.world.state().ledger.deleted(repo);
            for item in items(deleted) {
                self.ask(Request::Head(repo, item)).await;
            }
            for mark in Mark::all() {
                self.ask(Request::Get(repo, mark)).await;
            }
        }
    }

    async fn ship(&self, repo: Repo, item: Item, mark: Option<Mark>) {
        for needed in items(item.needs() & !item.bit()) {
            if self.ask(Request::Head(repo, needed)).await == Some(Outcome::Done) {
                continue;
            }
            let push =
                if needed.is_manifest() { Request::Put(repo, needed, None) } else { Request::Push(repo, needed) };
            self.ask(push).await;
        }
        self.ask(Request::Put(repo, item, mark)).await;
    }

    async fn pull(&self, repo: Repo, mark: Mark) {
        if let Some(Outcome::Found(item)) = self.ask(Request::Get(repo, mark)).await {
            for needed in items(item.needs() & !item.bit()) {
                self.ask(Request::Fetch(repo, needed)).await;
            }
        }
    }

    /// Asks, and notes what came of it.
    async fn ask(&self, request: Request) -> Option<Outcome> {
        let (kind, repo, item, mark) = request.parts();
        {
            let mut state = self.world.state();
            let now = state.seconds;
            let place = state.places[self.task];
            state.begin_anew((place, request));
            state.ledger.begin(self.task, kind, repo, item, mark, now);
        }
        self.world.note(|| format!("{}: {request:?} begins", self.task));
        let outcome = outcome(self.answer(request).await);
        self.world.note(|| format!("{}: {request:?}: {outcome:?}", self.task));
        let mut state = self.world.state();
        let now = state.seconds;
        state.dirty = true;
        match outcome {
            Ok(outcome) => {
                state.count(outcome);
                let in_place = item.is_none_or(|item| state.mirror.facts.is_in_place(repo, item));
                let is_firm = state.copies_promise || in_place;
                if let Err(wrong) = state.ledger.end(self.task, outcome, now, is_firm) {
                    state.violated(format!("{request:?} of task {}: {wrong}", self.task));
                }
                Some(outcome)
            }
            Err(error) => {
                state.violated(format!("{request:?} of task {}: {error}", self.task));
                None
            }
        }
    }

    async fn answer(&self, request: Request) -> Result<Outcome, Error> {
        let at = |repo: Repo| self.registry.repository(&repo.name());
        match request {
            Request::Push(repo, item) => {
                at(repo).uploads().push(item.digest(), frame(item.content().bytes.clone())).await?;
            }
            Request::Upload(repo, item) => upload(&at(repo), item).await?,
            Request::Mount(to, from, item) => {
                let mounted = at(to).blobs().mount(item.digest(), &from.name()).await?;
                return Ok(if mounted.is_some() { Outcome::Done } else { Outcome::Missing });
            }
            Request::Head(repo, item) if !item.is_manifest() => {
                at(repo).blobs().stat(item.digest()).await?;
            }
            Request::Fetch(repo, item) if !item.is_manifest() => fetch(&at(repo), item).await?,
            Request::Head(repo, item) | Request::Fetch(repo, item) => {
                at(repo).manifests().get(&Reference::Digest(*item.digest())).await?;
            }
            Request::Put(repo, item, mark) => put(&at(repo), item, mark).await?,
            Request::Get(repo, mark) => {
                let manifest = at(repo).manifests().get(&mark.reference()).await?;
                return Ok(Item::of(&manifest.digest).map_or(Outcome::Missing, Outcome::Found));
            }
            Request::DeleteTag(repo, mark) => at(repo).tags().delete(&mark.tag()).await?,
            Request::Delete(repo, item) if item.is_manifest() => {
                at(repo).manifests().delete(&Reference::Digest(*item.digest())).await?;
            }
            Request::Delete(repo, item) => at(repo).blobs().delete(item.digest()).await?,
            Request::Ship(..) | Request::Pull(..) => unreachable!("it is made of others"),
        }
        Ok(Outcome::Done)
    }
}

impl Request {
    fn parts(self) -> (Kind, Repo, Option<Item>, Option<Mark>) {
        match self {
            Self::Push(repo, item) | Self::Upload(repo, item) => (Kind::Push, repo, Some(item), None),
            Self::Mount(to, from, item) => (Kind::Mount(from), to, Some(item), None),
            Self::Head(repo, item) | Self::Fetch(repo, item) => (Kind::Look, repo, Some(item), None),
            Self::Put(repo, item, mark) | Self::Ship(repo, item, mark) => (Kind::Put, repo, Some(item), mark),
            Self::Get(repo, mark) | Self::Pull(repo, mark) => (Kind::Resolve, repo, None, Some(mark)),
            Self::DeleteTag(repo, mark) => (Kind::DeleteTag, repo, None, Some(mark)),
            Self::Delete(repo, item) => (Kind::Delete, repo, Some(item), None),
        }
    }
}

/// What a client learns from an answer; an error that no client should ever see stays one.
fn outcome(answer: Result<Outcome, Error>) -> Result<Outcome, String> {
    match answer {
        Ok(outcome) => Ok(outcome),
        Err(Error::Contended) => Ok(Outcome::Contended),
        Err(Error::BlobUnknown { .. } | Error::ManifestUnknown { .. }) => Ok(Outcome::Missing),
        Err(Error::ReferencesUnknown { digests }) => {
            let missing = digests.iter().filter_map(Item::of).fold(0, |set: Set, item| set | item.bit());
            Ok(Outcome::Refused(missing))
        }
        Err(error) => Err(format!("{error} ({error:?})")),
    }
}

fn frame(bytes: Bytes) -> ContentStream<'static> {
    stream::once(async { Ok(bytes) }).boxed()
}

async fn upload(repository: &Repository, item: Item) -> Result<(), Error> {
    let (mut first, uploads) = (item.content().bytes.clone(), repository.uploads());
    let second = first.split_off(first.len() / 2);
    let id = uploads.start(Algorithm::Sha256).await?.id;
    let size = uploads.append(&id, Some(0), frame(first)).await?.size;
    uploads.finish(&id, item.digest(), Some(size), frame(second)).await?;
    Ok(())
}

async fn fetch(repository: &Repository, item: Item) -> Result<(), Error> {
    let blob = repository.blobs().open(item.digest()).await?;
    let whole = Span::whole(blob.info().size);
    match blob.read(whole).await? {
        Body::Bytes(bytes) if bytes == item.content().bytes => Ok(()),
        _ => Err(Error::BlobUnknown { digest: *item.digest() }),
    }
}

async fn put(repository: &Repository, item: Item, mark: Option<Mark>) -> Result<(), Error> {
    let content = item.content();
    let reference = mark.map_or(Reference::Digest(content.digest), Mark::reference);
    repository.manifests().put(&reference, content.media_type.as_ref(), content.bytes.clone(), &[]).await?;
    Ok(())
}
