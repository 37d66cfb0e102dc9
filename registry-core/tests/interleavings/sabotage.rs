//! Broken registries and collectors, made by a storage that does not do what it is asked to: each must be found out.

use std::time::Duration;

use registry_core::storage::{Metadata, OperationKind};

/// What the storage does otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A writer's link to a blob is not written.
    NoLayerLink,
    /// A writer's link to a manifest is not written.
    NoRevisionLink,
    /// A collector's copy of content is not made.
    NoFossil,
    /// A collector's copy of a link is not made.
    NoRetiredCopy,
    /// A collector sees no links of manifests.
    BlindToRevisions,
    /// A collector does not see what was taken away of the links.
    BlindToRetired,
    /// To a collector every earlier run is long over.
    NoQuarantine,
    /// A delete that will take effect later says that it is done.
    LateIsDone,
}

impl Sabotage {
    /// Whether an operation is one of those that are said to be done, and are not.
    pub(crate) fn skips(self, is_collector: bool, kind: OperationKind, key: &str) -> bool {
        use OperationKind::{Copy, List, Write};
        match self {
            Self::NoLayerLink => kind == Write && key.contains("/_layers/"),
            Self::NoRevisionLink => kind == Write && key.contains("/_manifests/revisions/"),
            Self::NoFossil => is_collector && kind == Copy && key.contains("/_gc/fossil/"),
            Self::NoRetiredCopy => is_collector && kind == Copy && key.contains("/_gc/links/"),
            Self::BlindToRevisions => is_collector && kind == List && is_below(key, "/_manifests/revisions"),
            Self::BlindToRetired => is_collector && kind == List && key.contains("/_gc/links"),
            Self::NoQuarantine | Self::LateIsDone => false,
        }
    }
}

fn is_below(key: &str, directory: &str) -> bool {
    key.contains("/repositories/") && key.contains(directory)
}

pub(crate) fn backdated(found: Metadata) -> Metadata {
    let month = Duration::from_hours(30 * 24);
    Metadata { modified: found.modified.map(|modified| modified - month), ..found }
}
