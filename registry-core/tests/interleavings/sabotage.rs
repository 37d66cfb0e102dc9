//! Broken registries and collectors, made by a storage that does not do what it is asked to: each must be found out.

use std::time::SystemTime;

use registry_core::storage::{Error, Key, Metadata, OperationKind};

use crate::universe::Item;

/// What the storage does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The writers' second look sees everything.
    BlindConfirm,
    /// The writers' links to blobs are not written.
    NoLayerLink,
    /// The writers' links to manifests are not written.
    NoRevisionLink,
}

impl Sabotage {
    /// Whether an operation is one of those that are not done.
    pub(crate) fn applies(self, _task: usize, kind: OperationKind, key: &Key) -> bool {
        let key = key.as_str();
        match self {
            Self::BlindConfirm => kind == OperationKind::Confirm && size_of(key).is_some(),
            Self::NoLayerLink => kind == OperationKind::Write && key.contains("/_layers/"),
            Self::NoRevisionLink => kind == OperationKind::Write && key.contains("/_manifests/revisions/"),
        }
    }

    /// What a blind look sees.
    #[expect(clippy::unnecessary_wraps, reason = "it stands for an operation of the storage")]
    pub(crate) fn lie(key: &Key) -> Result<Option<Metadata>, Error> {
        let size = size_of(key.as_str());
        Ok(size.map(|size| Metadata { size, modified: Some(SystemTime::UNIX_EPOCH) }))
    }
}

/// The size of what a key holds, if it is the place of a content or a link.
fn size_of(key: &str) -> Option<u64> {
    let item = Item::all().find(|item| key.contains(&item.digest().hex().to_string()))?;
    let length = if key.ends_with("/link") { item.digest().to_string().len() } else { item.content().bytes.len() };
    Some(length as u64)
}
