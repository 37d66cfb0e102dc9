//! Where everything lies: the disk layout of CNCF Distribution, and what this registry keeps beside it.
//!
//! ```text
//! docker/registry/v2/
//!   blobs/ALG/HH/HEX/data                                     content
//!   repositories/NAME/_layers/ALG/HEX/link                    blob membership
//!   repositories/NAME/_manifests/revisions/ALG/HEX/link       manifest membership
//!   repositories/NAME/_manifests/tags/TAG/current/link        what the tag points to
//!   repositories/NAME/_manifests/tags/TAG/index/ALG/HEX/link  what it ever pointed to
//!   repositories/NAME/_uploads/UUID/{startedat,data}          uploads
//!   repositories/NAME/_uploads/UUID/state.json                ours: offset, hash state, owner
//!   repositories/NAME/_referrers/ALG/HEX/ALG/HEX/link         ours: referrers by subject, rebuildable
//!   _tmp/                                                     ours: files on their way
//!   _journal/                                                 ours: changes that may not be in their place yet
//!   _gc/runs/RUN.json                                         ours: runs of the collector
//!   _gc/fossil/ALG/HEX/RUN                                    ours: content that a run took away, until it is purged
//!   _gc/links/NAME/_layers/ALG/HEX/RUN                        ours: a link that a run took away
//!   _gc/links/NAME/_manifests/revisions/ALG/HEX/RUN           ours: likewise
//!   _gc/links/…/RUN.deleted                                   ours: the link was deleted meanwhile
//!   _gc/reserve/NUMBER                                        ours: room that a run can have when there is none
//!   _gc/corrupt/ALG/HEX/RUN                                   ours: what was found there that is not this content
//!   _pulled/NAME/_manifests/ALG/HEX                           ours: when a manifest was pulled
//!   _pulled/{since,until}                                     ours: from when to when that was noted
//!   _probe/ID                                                 ours: a look at whether a bucket does what it should
//! ```
//!
//! A link holds a digest as text, without a newline.

use std::fmt::{self, Write as _};

use bytes::Bytes;

use crate::digest::{InPath, LONGEST};
use crate::storage::Key;
use crate::{Algorithm, Digest, RepositoryName, RunId, Tag, UploadId};

const ROOT: &str = "docker/registry/v2";

/// No valid link is longer: `sha512:` and 128 digits.
pub(crate) const LINK_LIMIT_BYTES: u64 = 256;

/// Where backends keep files on their way; nothing in it outlives the process that wrote it.
#[must_use]
pub fn temporary() -> Key {
    key(format_args!("{ROOT}/_tmp"))
}

/// Where a backend keeps a journal of changes that a power cut may undo in their places.
#[must_use]
pub fn journal() -> Key {
    key(format_args!("{ROOT}/_journal"))
}

/// The root of everything.
#[must_use]
pub fn root() -> Key {
    key(format_args!("{ROOT}"))
}

/// Where the collector keeps what it needs.
#[must_use]
pub fn gc() -> Key {
    key(format_args!("{ROOT}/_gc"))
}

/// What a process holds that collects a folder.
#[must_use]
pub fn collecting_lock() -> Key {
    key(format_args!("{ROOT}/_gc/lock"))
}

/// The parent of what is of no use but that it can be deleted, when there is no room for a run of the collector.
pub(crate) fn reserve() -> Key {
    key(format_args!("{ROOT}/_gc/reserve"))
}

/// One piece of it.
pub(crate) fn reserve_piece(number: usize) -> Key {
    key(format_args!("{ROOT}/_gc/reserve/{number}"))
}

/// Where a bucket is tried out.
#[must_use]
pub fn probes() -> Key {
    key(format_args!("{ROOT}/_probe"))
}

/// The parent of the records of the collector's runs.
#[must_use]
pub fn runs() -> Key {
    key(format_args!("{ROOT}/_gc/runs"))
}

/// The record of a run.
#[must_use]
pub fn run(id: &RunId) -> Key {
    key(format_args!("{ROOT}/_gc/runs/{id}.json"))
}

/// The parent of all content that runs took away, of one algorithm.
#[must_use]
pub fn all_fossils(algorithm: Algorithm) -> Key {
    key(format_args!("{ROOT}/_gc/fossil/{algorithm}"))
}

/// The parent of what runs took away of the content with this digest.
#[must_use]
pub fn fossils(digest: &Digest) -> Key {
    key(format_args!("{ROOT}/_gc/fossil/{}", InPath(digest)))
}

/// The content with this digest that a run took away.
#[must_use]
pub fn fossil(digest: &Digest, run: &RunId) -> Key {
    key(format_args!("{ROOT}/_gc/fossil/{}/{run}", InPath(digest)))
}

/// Where what lay at the place of this content, and is something else, was set aside. Nothing is read from there.
#[must_use]
pub fn corrupt(digest: &Digest, run: &RunId) -> Key {
    key(format_args!("{ROOT}/_gc/corrupt/{}/{run}", InPath(digest)))
}

/// The parent of the links that runs took away, of the repository called `name` and those below it, or of all.
pub(crate) fn retired_directory(name: &str) -> Key {
    if name.is_empty() { key(format_args!("{ROOT}/_gc/links")) } else { key(format_args!("{ROOT}/_gc/links/{name}")) }
}

/// The parent of the copies that runs took of a link to a member of a repository.
pub(crate) fn retired(name: &RepositoryName, member: Member, digest: &Digest) -> Key {
    key(format_args!("{ROOT}/_gc/links/{name}/{}/{}", member.directory(), InPath(digest)))
}

/// The parent of the copies that runs took of links of one kind, by algorithm.
pub(crate) fn any_retired(name: &RepositoryName, member: Member) -> Key {
    key(format_args!("{ROOT}/_gc/links/{name}/{}", member.directory()))
}

/// The parent of the copies that runs took of links of one kind, to digests of one algorithm.
pub(crate) fn all_retired(name: &RepositoryName, member: Member, algorithm: Algorithm) -> Key {
    key(format_args!("{ROOT}/_gc/links/{name}/{}/{algorithm}", member.directory()))
}

/// The parent of a repository's links of one kind, to digests of one algorithm.
pub(crate) fn members(name: &RepositoryName, member: Member, algorithm: Algorithm) -> Key {
    repository(name, format_args!("{}/{algorithm}", member.directory()))
}

/// The link that makes something a member of a repository.
pub(crate) fn member_link(name: &RepositoryName, member: Member, digest: &Digest) -> Key {
    match member {
        Member::Layer => layer_link(name, digest),
        Member::Revision => revision_link(name, digest),
    }
}

/// What a link makes a member of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Member {
    /// A blob.
    Layer,
    /// A manifest.
    Revision,
}

impl Member {
    pub(crate) const ALL: [Self; 2] = [Self::Layer, Self::Revision];

    fn directory(self) -> &'static str {
        match self {
            Self::Layer => "_layers",
            Self::Revision => "_manifests/revisions",
        }
    }
}

/// Since when it is noted what is pulled.
pub(crate) fn pulls_noted_since() -> Key {
    key(format_args!("{ROOT}/_pulled/since"))
}

/// Until when it was noted, at least.
pub(crate) fn pulls_noted_until() -> Key {
    key(format_args!("{ROOT}/_pulled/until"))
}

/// Where the notes lie that belong to `name`, which has been parsed as that of a repository.
pub(crate) fn pulled_directory(name: &str) -> Key {
    if name.is_empty() { key(format_args!("{ROOT}/_pulled")) } else { key(format_args!("{ROOT}/_pulled/{name}")) }
}

/// The parent of the notes about a repository's manifests of one algorithm.
pub(crate) fn pulls(name: &RepositoryName, algorithm: Algorithm) -> Key {
    key(format_args!("{ROOT}/_pulled/{name}/_manifests/{algorithm}"))
}

/// When a manifest was pulled.
pub(crate) fn pulled(name: &RepositoryName, digest: &Digest) -> Key {
    key(format_args!("{ROOT}/_pulled/{name}/_manifests/{}", InPath(digest)))
}

/// What a process holds that serves from a folder.
#[must_use]
pub fn serving_lock() -> Key {
    key(format_args!("{ROOT}/_serving.lock"))
}

/// The parent of all repositories.
#[must_use]
pub fn repositories() -> Key {
    key(format_args!("{ROOT}/repositories"))
}

/// The content with this digest.
#[must_use]
pub fn blob(digest: &Digest) -> Key {
    let mut buffer = [0; LONGEST];
    let hex = digest.parts(&mut buffer).1;
    key(format_args!("{ROOT}/blobs/{}/{}/{hex}/data", digest.algorithm(), &hex[..2]))
}

/// Whose content lies at a key; `None` if that is no place of content.
///
/// ```
/// use registry_core::{Algorithm, Digest, layout};
///
/// let digest = Digest::of(Algorithm::Sha256, b"");
/// assert_eq!(layout::blob_digest(&layout::blob(&digest)), Some(digest));
/// assert_eq!(layout::blob_digest(&layout::root()), None);
/// ```
#[must_use]
pub fn blob_digest(key: &Key) -> Option<Digest> {
    let place = key.as_str().strip_prefix(ROOT)?.strip_prefix("/blobs/")?.strip_suffix("/data")?;
    let (algorithm, place) = place.split_once('/')?;
    let (directory, hex) = place.split_once('/')?;
    let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == algorithm)?;
    Digest::from_parts(algorithm, hex).ok().filter(|_| hex.starts_with(directory) && directory.len() == 2)
}

/// The parent of all content of one algorithm, spread over directories named after the first byte of the hash.
pub(crate) fn blobs(algorithm: Algorithm) -> Key {
    key(format_args!("{ROOT}/blobs/{algorithm}"))
}

/// The directory of the repository called `name`, which has been parsed as one.
pub(crate) fn repository_directory(name: &str) -> Key {
    key(format_args!("{ROOT}/repositories/{name}"))
}

/// What belongs to a name, or all repositories if that is empty.
pub(crate) fn repository_place(name: &str) -> Key {
    if name.is_empty() { repositories() } else { repository_directory(name) }
}

fn repository(name: &RepositoryName, rest: fmt::Arguments<'_>) -> Key {
    key(format_args!("{ROOT}/repositories/{name}/{rest}"))
}

/// The parent of a repository's layer links.
#[must_use]
pub fn layers(name: &RepositoryName) -> Key {
    repository(name, format_args!("_layers"))
}

/// The link that makes a blob a member of a repository.
#[must_use]
pub fn layer_link(name: &RepositoryName, digest: &Digest) -> Key {
    repository(name, format_args!("_layers/{}/link", InPath(digest)))
}

/// The parent of all of a repository's manifest links.
pub(crate) fn all_revisions(name: &RepositoryName) -> Key {
    repository(name, format_args!("_manifests/revisions"))
}

/// Whether a path below [`all_revisions`] is a manifest link.
pub(crate) fn is_revision(path: &str) -> bool {
    let parts = path.strip_suffix("/link").and_then(|path| path.split_once('/'));
    parts.is_some_and(|(algorithm, hex)| algorithm.parse().is_ok_and(|it| Digest::from_parts(it, hex).is_ok()))
}

/// The parent of a repository's index of referrers.
pub(crate) fn all_referrers(name: &RepositoryName) -> Key {
    repository(name, format_args!("_referrers"))
}

/// The parent of a repository's manifest links of one algorithm.
#[must_use]
pub fn revisions(name: &RepositoryName, algorithm: Algorithm) -> Key {
    repository(name, format_args!("_manifests/revisions/{algorithm}"))
}

/// The link that makes a manifest a member of a repository.
#[must_use]
pub fn revision_link(name: &RepositoryName, digest: &Digest) -> Key {
    repository(name, format_args!("_manifests/revisions/{}/link", InPath(digest)))
}

/// The parent of a repository's tags.
#[must_use]
pub fn tags(name: &RepositoryName) -> Key {
    repository(name, format_args!("_manifests/tags"))
}

/// All of one tag.
#[must_use]
pub fn tag(name: &RepositoryName, tag: &Tag) -> Key {
    repository(name, format_args!("_manifests/tags/{tag}"))
}

/// The link from a tag to its manifest.
#[must_use]
pub fn tag_current(name: &RepositoryName, tag: &Tag) -> Key {
    repository(name, format_args!("_manifests/tags/{tag}/current/link"))
}

/// The parent of the links from a tag to manifests of one algorithm that it points or pointed to.
pub(crate) fn tag_indexes(name: &RepositoryName, tag: &Tag, algorithm: Algorithm) -> Key {
    repository(name, format_args!("_manifests/tags/{tag}/index/{algorithm}"))
}

/// The link from a tag to a manifest that it points or pointed to.
#[must_use]
pub fn tag_index(name: &RepositoryName, tag: &Tag, digest: &Digest) -> Key {
    repository(name, format_args!("_manifests/tags/{tag}/index/{}/link", InPath(digest)))
}

/// The parent of a repository's uploads.
#[must_use]
pub fn uploads(name: &RepositoryName) -> Key {
    repository(name, format_args!("_uploads"))
}

/// All of one upload.
#[must_use]
pub fn upload(name: &RepositoryName, id: &UploadId) -> Key {
    repository(name, format_args!("_uploads/{id}"))
}

/// When an upload started: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn upload_started_at(name: &RepositoryName, id: &UploadId) -> Key {
    repository(name, format_args!("_uploads/{id}/startedat"))
}

/// The staged bytes of an upload.
#[must_use]
pub fn upload_data(name: &RepositoryName, id: &UploadId) -> Key {
    repository(name, format_args!("_uploads/{id}/data"))
}

/// The state of an upload: owner, offset, hash.
#[must_use]
pub fn upload_state(name: &RepositoryName, id: &UploadId) -> Key {
    repository(name, format_args!("_uploads/{id}/state.json"))
}

/// The parent of the links to the referrers of a subject that have one algorithm.
#[must_use]
pub fn referrers(name: &RepositoryName, subject: &Digest, algorithm: Algorithm) -> Key {
    repository(name, format_args!("_referrers/{}/{algorithm}", InPath(subject)))
}

/// The link from a subject to one of its referrers.
#[must_use]
pub fn referrer_link(name: &RepositoryName, subject: &Digest, referrer: &Digest) -> Key {
    repository(name, format_args!("_referrers/{}/{}/link", InPath(subject), InPath(referrer)))
}

/// What a link to `digest` holds.
#[must_use]
pub fn link(digest: &Digest) -> Bytes {
    digest.to_string().into()
}

/// What a link points to; `None` if it is empty or torn, as other registries leave them after a crash.
///
/// ```
/// use registry_core::{Algorithm, Digest, layout};
///
/// let digest = Digest::of(Algorithm::Sha256, b"");
/// assert_eq!(layout::parse_link(&layout::link(&digest)), Some(digest));
/// assert_eq!(layout::parse_link(b""), None);
/// ```
#[must_use]
pub fn parse_link(content: &[u8]) -> Option<Digest> {
    std::str::from_utf8(content).ok()?.parse().ok()
}

/// Nearly all keys are shorter.
const KEY_BYTES: usize = 256;

fn key(parts: fmt::Arguments<'_>) -> Key {
    let mut text = String::with_capacity(KEY_BYTES);
    // A String takes whatever it is given.
    let _ = text.write_fmt(parts);
    Key::of_parts(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_layout_of_distribution() {
        let name: RepositoryName = "library/alpine".parse().unwrap();
        let at: Tag = "3.20".parse().unwrap();
        let digest = Digest::of(Algorithm::Sha256, b"");
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let repository = "docker/registry/v2/repositories/library/alpine";
        for (key, path) in [
            (blob(&digest), format!("docker/registry/v2/blobs/sha256/e3/{hex}/data")),
            (layer_link(&name, &digest), format!("{repository}/_layers/sha256/{hex}/link")),
            (revision_link(&name, &digest), format!("{repository}/_manifests/revisions/sha256/{hex}/link")),
            (tag_current(&name, &at), format!("{repository}/_manifests/tags/3.20/current/link")),
            (tag_index(&name, &at, &digest), format!("{repository}/_manifests/tags/3.20/index/sha256/{hex}/link")),
        ] {
            assert_eq!(key.as_str(), path);
        }
    }

    #[test]
    fn places_of_content_tell_whose_it_is() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"");
            assert_eq!(blob_digest(&blob(&digest)), Some(digest));
        }
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for other in [
            format!("docker/registry/v2/blobs/sha256/e4/{hex}/data"),
            format!("docker/registry/v2/blobs/sha256/e3b/{hex}/data"),
            format!("docker/registry/v2/blobs/sha512/e3/{hex}/data"),
            format!("docker/registry/v2/blobs/sha256/e3/{}/data", &hex[2..]),
            format!("docker/registry/v2/blobs/sha256/e3/{hex}"),
            format!("docker/registry/v2/_gc/fossil/sha256/{hex}/01J0000000000000000000000A"),
        ] {
            assert_eq!(blob_digest(&other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn the_longest_key_fits() {
        let name: RepositoryName = "a".repeat(255).parse().unwrap();
        let long = Digest::of(Algorithm::Sha512, b"");
        assert!(referrer_link(&name, &long, &long).as_str().len() <= Key::MAX_BYTES);
    }

    #[test]
    fn torn_links_are_none() {
        for torn in [&b""[..], b"sha256:", b"sha256:abc", b"\0\0\0", b"\xff\xfe"] {
            assert_eq!(parse_link(torn), None);
        }
        let newline = format!("{}\n", Digest::of(Algorithm::Sha256, b""));
        assert_eq!(parse_link(newline.as_bytes()), None);
    }
}
