//! Backends that forget a part of the discipline. A sync that is left out of the record is one that was never made.

/// What is forgotten. Places are paths below the root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// Syncs that are never made.
    pub(super) drops: fn(&str) -> bool,
    /// Syncs that are made later than they should be...
    pub(super) holds_back: fn(&str) -> bool,
    /// ...that is, behind these.
    pub(super) lets_go: fn(&str) -> bool,
    /// Whether a storage is opened without a sync of what earlier processes left.
    pub(super) trusts_earlier: bool,
}

const SOUND: Mutant =
    Mutant { name: "", drops: |_| false, holds_back: |_| false, lets_go: |_| false, trusts_earlier: false };

/// Those that a client's push of an image meets.
pub(super) const IN_A_PUSH: [Mutant; 8] = [
    Mutant { name: "the bytes of an upload are not synced", drops: is_upload, ..SOUND },
    Mutant { name: "the bytes of links are not synced", drops: |at| at.contains("/_tmp/"), ..SOUND },
    Mutant { name: "the directory of a blob is not synced", drops: is_blob_directory, ..SOUND },
    Mutant { name: "new directories above are not synced", drops: |at| at.ends_with("v2/blobs/sha256"), ..SOUND },
    Mutant { name: "the directory of a layer link is not synced", drops: is_layer_directory, ..SOUND },
    Mutant { name: "the directory of a revision is not synced", drops: is_revision_directory, ..SOUND },
    Mutant { name: "the directory of a tag is not synced", drops: |at| at.ends_with("/current"), ..SOUND },
    Mutant {
        name: "the directory of a blob is synced after that of its link",
        holds_back: is_blob_directory,
        lets_go: is_layer_directory,
        ..SOUND
    },
];

/// One that a delete meets.
pub(super) const IN_A_DELETE: [Mutant; 2] = [
    Mutant { name: "the delete of a revision is not synced", drops: is_revision_directory, ..SOUND },
    Mutant { name: "the delete of a tag is not synced", drops: |at| at.ends_with("/current"), ..SOUND },
];

/// Those that a run of the collector meets, and who pushes beside it.
pub(super) const IN_A_COLLECTION: [Mutant; 4] = [
    Mutant { name: "the copies that a run takes are not synced", drops: |at| at.contains("v2/_gc/"), ..SOUND },
    Mutant { name: "layer links that come back are not synced", drops: is_layer_directory, ..SOUND },
    Mutant { name: "revisions that come back are not synced", drops: is_revision_directory, ..SOUND },
    Mutant { name: "content that comes back is not synced", drops: is_blob_directory, ..SOUND },
];

/// Those that small changes and large ones meet where there is a journal.
pub(super) const IN_A_JOURNAL: [Mutant; 3] = [
    Mutant { name: "records are not synced", drops: |at| at.contains("/_journal/"), ..SOUND },
    Mutant { name: "a checkpoint syncs nothing", trusts_earlier: true, ..SOUND },
    Mutant { name: "large content is not synced before it has its place", drops: is_upload, ..SOUND },
];

/// The hash of an upload vouches for bytes that may be lost.
pub(super) const IN_CHUNKS: Mutant = Mutant { name: "chunks are not synced", drops: is_upload, ..SOUND };

/// What another process left counts as durable.
pub(super) const AFTER_ANOTHER: Mutant = Mutant { name: "opening syncs nothing", trusts_earlier: true, ..SOUND };

fn is_upload(place: &str) -> bool {
    place.contains("/_uploads/") && place.ends_with("/data")
}

fn is_blob_directory(place: &str) -> bool {
    // …/blobs/sha256/HH/HEX
    place.strip_prefix("docker/registry/v2/blobs/").is_some_and(|rest| rest.matches('/').count() == 2)
}

fn is_layer_directory(place: &str) -> bool {
    place.contains("/_layers/sha256/")
}

fn is_revision_directory(place: &str) -> bool {
    place.contains("/_manifests/revisions/sha256/")
}
