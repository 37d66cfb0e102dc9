//! A registry as simple as can be, and random programs that a real one must answer like it.
//!
//! Any registry, and with it its storage, can be put to this test: draw a program from [`programs`] and hand it to
//! [`check`].

mod contents;
mod program;

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};

use crate::gc::{Collector, GcOptions};
use crate::{
    Algorithm, Digest, Error, MediaType, Pushed, Reference, Registry, Repository, RepositoryName, Tag, UploadId,
};
use contents::Model;

pub use program::{Blob, Document, Step, programs};

/// Runs a program on a registry whose storage is empty, and compares every answer with that of the model, and after
/// every step all that can be seen.
///
/// # Errors
/// Which step was answered otherwise, and how.
pub async fn check(registry: &Registry, program: &[Step]) -> Result<(), String> {
    let mut model = Model::default();
    let mut uploads = Vec::new();
    for (number, step) in program.iter().enumerate() {
        let expected = model.run(step);
        let found = run(registry, &mut uploads, step).await;
        if expected != found {
            return Err(format!("step {number}, {step:?}: expected {expected:?}, found {found:?}"));
        }
        let differences = model.compare(registry).await.map_err(|error| format!("step {number}: {error}"))?;
        if let Some(difference) = differences {
            return Err(format!("after step {number}, {step:?}: {difference}"));
        }
    }
    Ok(())
}

/// What a step says: how it ended, and what it named.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Pushed(Digest),
    Status(u64),
    NotMounted,
    NoSuchUpload,
    Missing(Vec<Digest>),
    Refused(Discriminant<Error>),
}

impl Answer {
    fn of(error: Error) -> Self {
        match error {
            Error::ReferencesUnknown { digests } => Self::Missing(digests),
            error => Self::Refused(discriminant(&error)),
        }
    }
}

async fn run(registry: &Registry, uploads: &mut Vec<(RepositoryName, UploadId)>, step: &Step) -> Answer {
    let at = |name: &RepositoryName| registry.repository(name);
    let content = |bytes: Bytes| stream::iter(frames(&bytes)).boxed();
    let outcome = match step {
        Step::PushBlob(name, blob) => at(name)
            .uploads()
            .push(&blob.digest(), content(blob.content()))
            .await
            .map(|info| Answer::Pushed(info.digest)),
        Step::PushWrongBlob(name, blob, other) => at(name)
            .uploads()
            .push(&other.digest(), content(blob.content()))
            .await
            .map(|info| Answer::Pushed(info.digest)),
        Step::Mount(name, from, blob) => {
            let mounted = at(name).blobs().mount(&blob.digest(), from).await;
            mounted.map(|info| info.map_or(Answer::NotMounted, |info| Answer::Status(info.size)))
        }
        Step::DeleteBlob(name, blob) => at(name).blobs().delete(&blob.digest()).await.map(|()| Answer::Done),
        Step::Start(name) => at(name).uploads().start(Algorithm::Sha256).await.map(|upload| {
            uploads.push((name.clone(), upload.id));
            Answer::Status(upload.size)
        }),
        Step::Append(upload, ..) | Step::Finish(upload, _) | Step::Cancel(upload) => match uploads.get(*upload) {
            Some((name, id)) => run_upload(&at(name), id, step).await,
            None => Ok(Answer::NoSuchUpload),
        },
        Step::PutManifest(name, document, algorithm, tags) => {
            put(&at(name), &document.digest(*algorithm).into(), document, tags).await
        }
        Step::PutTag(name, document, tag) => put(&at(name), &tag.clone().into(), document, &[]).await,
        Step::DeleteManifest(name, document, algorithm) => {
            at(name).manifests().delete(&document.digest(*algorithm).into()).await.map(|()| Answer::Done)
        }
        Step::DeleteTag(name, tag) => {
            at(name).manifests().delete(&Reference::Tag(tag.clone())).await.map(|()| Answer::Done)
        }
        Step::Collect => collect(registry).await.map(|()| Answer::Done),
    };
    outcome.unwrap_or_else(Answer::of)
}

/// Takes away the links of blobs that no manifest needs, and content without links, however young; manifests stay.
async fn collect(registry: &Registry) -> Result<(), Error> {
    let options = GcOptions {
        lease: Duration::ZERO,
        max_condemned: None,
        alone: true,
        delete_untagged: true,
        untagged_grace: Duration::from_hours(1000),
        ..GcOptions::default()
    };
    Collector::new(registry.clone(), options).run().await.map(drop)
}

async fn run_upload(repository: &Repository, id: &UploadId, step: &Step) -> Result<Answer, Error> {
    let uploads = repository.uploads();
    let size = uploads.status(id).await?.size;
    match step {
        Step::Append(_, blob, right) => {
            let offset = if *right { size } else { size + 1 };
            let content = stream::iter(frames(&blob.content())).boxed();
            uploads.append(id, Some(offset), content).await.map(|upload| Answer::Status(upload.size))
        }
        Step::Finish(_, blob) => {
            // The model says which digest the bytes have; any other is that of a blob.
            let digest = blob.map_or_else(|| Digest::of(Algorithm::Sha256, b""), Blob::digest);
            let finished = uploads.finish(id, &digest, None, stream::empty().boxed()).await;
            finished.map(|info| Answer::Pushed(info.digest))
        }
        _ => uploads.cancel(id).await.map(|()| Answer::Done),
    }
}

/// Content comes in frames that cut it anywhere.
fn frames(bytes: &Bytes) -> Vec<Result<Bytes, crate::BodyError>> {
    bytes.chunks(700).map(|frame| Ok(Bytes::copy_from_slice(frame))).collect()
}

async fn put(
    repository: &Repository,
    reference: &Reference,
    document: &Document,
    tags: &[Tag],
) -> Result<Answer, Error> {
    let media_type: Option<MediaType> = document.media_type().parse().ok();
    let pushed: Pushed = repository.manifests().put(reference, media_type.as_ref(), document.content(), tags).await?;
    debug_assert_eq!(pushed.subject, document.subject());
    Ok(Answer::Pushed(pushed.digest))
}
