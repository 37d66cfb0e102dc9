//! Pushes images from several clients at once, and tells how long one took.
//!
//!     push_images ADDRESS SEED CLIENTS SECONDS
//!
//! Each client has a connection and a repository of its own, and pushes one image after another as docker does: of each
//! blob it asks whether it is there, and sends it in three requests; then the manifest by a tag. An image has ten layers
//! of 4 KiB and a configuration, of content that no other image has; `SEED` makes it another than that of the last run.
//! Clients begin no image after `SECONDS`. Prints the number of images, and the milliseconds that one took its client:
//! the mean, the median, and the 99th percentile.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use registry_benches::{Connection, Content, Encoded, Layer, chunked, image_manifest, together};
use registry_core::MediaType;

const LAYERS: u64 = 10;
const LAYER_BYTES: usize = 4 * 1024;

fn main() -> ExitCode {
    match arguments().ok_or_else(|| io::Error::other("usage: push_images ADDRESS SEED CLIENTS SECONDS")).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("push_images: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Load {
    address: SocketAddr,
    seed: u64,
    clients: u64,
    length: Duration,
}

fn arguments() -> Option<Load> {
    let mut arguments = std::env::args().skip(1);
    let load = Load {
        address: arguments.next()?.parse().ok()?,
        seed: arguments.next()?.parse().ok()?,
        clients: arguments.next()?.parse().ok().filter(|clients| *clients > 0)?,
        length: Duration::from_secs(arguments.next()?.parse().ok()?),
    };
    arguments.next().is_none().then_some(load)
}

fn run(load: Load) -> io::Result<()> {
    let clients = (0..load.clients).collect();
    let mut times = together(clients, |client| push_all(load, client))?.concat();
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let total: Duration = times.iter().sum();
    let at = |share: usize| times.get(times.len() * share / 100).copied().map(milliseconds).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "there are not that many images")]
    let mean = milliseconds(total) / times.len() as f64;
    println!("{} {mean:.3} {:.3} {:.3}", times.len(), at(50), at(99));
    Ok(())
}

/// Gives the time that each image took.
#[expect(clippy::disallowed_methods, reason = "what is measured is the time of the machine")]
fn push_all(load: Load, client: u64) -> io::Result<Vec<Duration>> {
    let mut connection = Connection::open(load.address)?;
    let repository = format!("load/client{client}");
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < load.length {
        let number = times.len() as u64;
        let image = Image::new(((load.seed * load.clients + client) << 32) + number * (LAYERS + 1));
        let start = Instant::now();
        image.push(&mut connection, &repository, &format!("{}-{number}", load.seed))?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// An image, made before the clock runs.
struct Image {
    blobs: Vec<(Layer, Encoded)>,
    manifest: String,
}

impl Image {
    fn new(seed: u64) -> Self {
        let layers = (0..=LAYERS).map(|number| Layer::new(LAYER_BYTES, seed + number));
        let blobs: Vec<_> =
            layers.map(|layer| (chunked(&layer.content), layer)).map(|(body, layer)| (layer, body)).collect();
        let told: Vec<_> = blobs.iter().map(|(layer, _)| layer.told()).collect();
        let manifest = image_manifest(told[0], &told[1..]);
        Self { blobs, manifest }
    }

    fn push(&self, connection: &mut Connection, repository: &str, tag: &str) -> io::Result<()> {
        for (layer, body) in &self.blobs {
            connection.send("HEAD", &format!("/v2/{repository}/blobs/{}", layer.digest), Content::None, 404)?;
            connection.push(repository, &layer.digest, body)?;
        }
        let path = format!("/v2/{repository}/manifests/{tag}");
        connection.send("PUT", &path, Content::Typed(MediaType::OCI_MANIFEST, self.manifest.as_bytes()), 201)?;
        Ok(())
    }
}
