//! Sends requests of one kind to a registry without a socket, on one thread, for `.ci/instructions` to count what they
//! cost: `instructions KIND COUNT`.
//!
//! All that is not part of the requests is done outside of `measured`, which is the function to be watched.

use std::hint::black_box;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use registry_auth::Anonymous;
use registry_benches::{Layer, MEBIBYTE, image_manifest};
use registry_core::{Blocking, PullTimes, Registry};
use registry_http::{Activity, RegistryService, Ui, service};
use registry_storage::filesystem::{Filesystem, SyncMode};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

const REPOSITORY: &str = "/v2/library/app";

/// What a small blob has.
const SMALL_BYTES: usize = 4096;

/// So many requests go ahead, so that what happens once has happened.
const AHEAD: usize = 20;

/// Does the work of others where it is asked to: with one thread a request always takes the same steps.
#[derive(Debug)]
struct Here;

impl Blocking for Here {
    fn execute(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (kind, count) = match &arguments[..] {
        [kind, count] => (kind, count.parse()),
        _ => return usage(),
    };
    let Ok(count) = count else { return usage() };
    match run(kind, count) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => usage(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("instructions manifest-by-tag|manifest-by-digest|blob-head|small-push COUNT");
    ExitCode::from(2)
}

/// Whether there is such a kind.
fn run(kind: &str, count: usize) -> io::Result<bool> {
    let directory = tempfile::tempdir()?;
    let storage = Filesystem::builder(directory.path()).durability(SyncMode::Os).blocking(Arc::new(Here)).open();
    let storage = Arc::new(storage.map_err(io::Error::other)?);
    // As the program has it: with pages, for which it is noted what happens.
    let activity = Activity::new();
    let registry = Registry::builder(storage)
        .blocking(Arc::new(Here))
        .manifest_cache(8 * MEBIBYTE)
        .events(Arc::new(activity.clone()))
        .events(Arc::new(PullTimes::default()))
        .build();
    let target = Target {
        service: service(registry).authenticator(Arc::new(Anonymous)).ui(Ui::new().activity(activity)).build(),
        runtime: Builder::new_current_thread().enable_all().build()?,
    };
    let blob = Layer::new(SMALL_BYTES, 1);
    target.push(&blob)?;
    let manifest = Layer::of(image_manifest(blob.told(), &[blob.told()]).into_bytes());
    target.put_manifest("latest", &manifest)?;
    let (method, path) = match kind {
        "manifest-by-tag" => (Method::GET, format!("{REPOSITORY}/manifests/latest")),
        "manifest-by-digest" => (Method::GET, format!("{REPOSITORY}/manifests/{}", manifest.digest)),
        "blob-head" => (Method::HEAD, format!("{REPOSITORY}/blobs/{}", blob.digest)),
        "small-push" => {
            let blobs: Vec<_> = (0..AHEAD + count).map(|number| Layer::new(SMALL_BYTES, 2 + number as u64)).collect();
            let (ahead, rest) = blobs.split_at(AHEAD);
            ahead.iter().try_for_each(|blob| target.push(blob))?;
            return measured(|| rest.iter().try_for_each(|blob| target.push(blob))).map(|()| true);
        }
        _ => return Ok(false),
    };
    let ask = |_| target.send(&method, &path, Bytes::new(), StatusCode::OK).map(drop);
    (0..AHEAD).try_for_each(ask)?;
    measured(|| (0..count).try_for_each(ask)).map(|()| true)
}

/// What is counted.
#[inline(never)]
fn measured(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    black_box(work())
}

struct Target {
    service: RegistryService,
    runtime: Runtime,
}

impl Target {
    fn push(&self, blob: &Layer) -> io::Result<()> {
        let start = format!("{REPOSITORY}/blobs/uploads/");
        let upload = location(&self.send(&Method::POST, &start, Bytes::new(), StatusCode::ACCEPTED)?)?;
        let written = self.send(&Method::PATCH, &upload, blob.content.clone().into(), StatusCode::ACCEPTED)?;
        let upload = location(&written)?;
        let separator = if upload.contains('?') { '&' } else { '?' };
        let end = format!("{upload}{separator}digest={}", blob.digest);
        self.send(&Method::PUT, &end, Bytes::new(), StatusCode::CREATED).map(drop)
    }

    fn put_manifest(&self, tag: &str, manifest: &Layer) -> io::Result<()> {
        let path = format!("{REPOSITORY}/manifests/{tag}");
        self.send(&Method::PUT, &path, manifest.content.clone().into(), StatusCode::CREATED).map(drop)
    }

    /// Sends a request and takes the whole answer.
    fn send(&self, method: &Method, path: &str, body: Bytes, expected: StatusCode) -> io::Result<Response<()>> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "registry.test");
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        self.runtime.block_on(async {
            let Ok(response) = self.service.clone().oneshot(request).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            if head.status == expected {
                return Ok(Response::from_parts(head, ()));
            }
            let body = String::from_utf8_lossy(&body);
            Err(io::Error::other(format!("{method} {path}: {} instead of {expected}: {body}", head.status)))
        })
    }
}

/// The path of a Location, which names the host as well.
fn location(answer: &Response<()>) -> io::Result<String> {
    let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let path = location
        .and_then(|location| location.parse::<http::Uri>().ok())
        .and_then(|uri| uri.path_and_query().map(ToString::to_string));
    path.ok_or_else(|| io::Error::other("no Location"))
}
