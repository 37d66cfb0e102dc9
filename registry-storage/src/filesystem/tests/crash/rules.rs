//! What must hold on a disk after any power cut, looked at without the registry.

use registry_core::{Algorithm, Digest, RepositoryName, layout};

use super::image::Image;
use super::world::World;

/// Whatever lies here may be torn: nobody reads it as an object.
const ON_THE_WAY: [&str; 4] = ["/_tmp/", "/_uploads/", "/_gc/", "/_journal/"];

/// What is visible is whole, a link has its bytes, a tag its manifest, and nothing else is left behind.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(image: &Image, world: &World) -> Result<(), String> {
    for (path, content) in image.files() {
        let on_the_way = ON_THE_WAY.iter().any(|place| path.contains(place));
        if !on_the_way && path != layout::serving_lock().as_str() {
            check_file(image, world, path, content).map_err(|wrong| format!("{path} {wrong}"))?;
        }
    }
    Ok(())
}

fn check_file(image: &Image, world: &World, path: &str, content: &[u8]) -> Result<(), String> {
    if let Some(rest) = path.strip_prefix("docker/registry/v2/blobs/") {
        let [algorithm, _, hex, "data"] = rest.split('/').collect::<Vec<_>>()[..] else {
            return Err("is left behind".to_owned());
        };
        return if is_whole(&from_path(algorithm, hex)?, content) { Ok(()) } else { Err("is torn".to_owned()) };
    }
    let (repository, rest) = in_repository(path).ok_or("is left behind")?;
    let target = layout::parse_link(content).ok_or("is a torn link")?;
    match rest.split('/').collect::<Vec<_>>()[..] {
        ["_layers", algorithm, hex, "link"] | ["_manifests", "revisions", algorithm, hex, "link"] => {
            if from_path(algorithm, hex)? != target {
                return Err(format!("points to {target}"));
            }
            let place = layout::blob(&target);
            let bytes = image.file(place.as_str()).or_else(|| fossil(image, &target)).ok_or("points to nothing")?;
            if is_whole(&target, bytes) { Ok(()) } else { Err("points to torn bytes".to_owned()) }
        }
        ["_manifests", "tags", _, "current", "link"] => {
            let announced = image.file(layout::revision_link(&repository, &target).as_str()).is_some()
                || is_retired(image, &repository, &target);
            if announced || world.may_dangle(&repository, &target) {
                return Ok(());
            }
            Err(format!("points to {target}, which the repository does not have"))
        }
        ["_manifests", "tags", _, "index", algorithm, hex, "link"] | ["_referrers", _, _, algorithm, hex, "link"] => {
            if from_path(algorithm, hex)? == target {
                Ok(())
            } else {
                Err(format!("points to {target}"))
            }
        }
        _ => Err("is left behind".to_owned()),
    }
}

/// The bytes of content that a run of the collector took away: readers find them there.
fn fossil<'a>(image: &'a Image, digest: &Digest) -> Option<&'a [u8]> {
    below(image, &format!("docker/registry/v2/_gc/fossil/{}/{}/", digest.algorithm(), digest.hex())).next()
}

/// Whether the link of a manifest is among those that a run took away.
fn is_retired(image: &Image, repository: &RepositoryName, digest: &Digest) -> bool {
    let place = format!("{repository}/_manifests/revisions/{}/{}", digest.algorithm(), digest.hex());
    below(image, &format!("docker/registry/v2/_gc/links/{place}/")).next().is_some()
}

fn below<'a>(image: &'a Image, prefix: &str) -> impl Iterator<Item = &'a [u8]> {
    image.files().filter(move |(path, _)| path.starts_with(prefix)).map(|(_, content)| content)
}

fn from_path(algorithm: &str, hex: &str) -> Result<Digest, String> {
    format!("{algorithm}:{hex}").parse().map_err(|_| "has no digest in its name".to_owned())
}

fn is_whole(digest: &Digest, content: &[u8]) -> bool {
    Digest::of(Algorithm::Sha256, content) == *digest
}

/// The repository that a path lies in, and the path within it.
pub(super) fn in_repository(path: &str) -> Option<(RepositoryName, &str)> {
    let rest = path.strip_prefix("docker/registry/v2/repositories/")?;
    let at = rest.find("/_")?;
    Some((rest[..at].parse().ok()?, &rest[at + 1..]))
}
