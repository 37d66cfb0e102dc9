//! Where a rule is tried out.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, TryStreamExt as _};

use crate::storage::{EntryKind, Error, Key, Listing, Object, StageMode, Staged, Storage, WriteOptions};
use crate::{Span, TokioBlocking};

/// A storage, and a prefix that belongs to one rule alone.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) root: Key,
}

impl Ground {
    pub(super) async fn clean(storage: Arc<dyn Storage>, rule: &str) -> Self {
        let ground = Self { storage, root: format!("contract-tests/{rule}").parse().unwrap() };
        ground.clear().await;
        ground
    }

    pub(super) async fn clear(&self) {
        self.storage.delete_all(&self.root).await.unwrap();
    }

    pub(super) fn key(&self, name: &str) -> Key {
        self.root.child(name).unwrap()
    }

    pub(super) async fn write(&self, name: &str, content: impl Into<Bytes>) {
        self.storage.write(&self.key(name), content.into(), WriteOptions::default()).await.unwrap();
    }

    pub(super) async fn read(&self, name: &str) -> Option<Bytes> {
        self.storage.read(&self.key(name), 64 * 1024 * 1024).await.unwrap()
    }

    pub(super) async fn exists(&self, name: &str) -> bool {
        self.storage.stat(&self.key(name)).await.unwrap().is_some()
    }

    pub(super) async fn open(&self, name: &str) -> Object {
        self.storage.open(&self.key(name)).await.unwrap().unwrap()
    }

    pub(super) async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Listing {
        self.storage.list(&self.key(prefix), after, limit).await.unwrap()
    }

    /// The first thousand names; prefixes end with a slash.
    pub(super) async fn names(&self, prefix: &str) -> Vec<String> {
        let listing = self.list(prefix, None, 1000).await;
        assert!(!listing.more);
        names(&listing)
    }

    pub(super) async fn create(&self, name: &str) -> Box<dyn Staged> {
        self.storage.stage(&self.key(name), StageMode::Create).await.unwrap().unwrap()
    }

    pub(super) async fn resume(&self, name: &str) -> Option<Box<dyn Staged>> {
        self.storage.stage(&self.key(name), StageMode::Resume).await.unwrap()
    }

    /// Staged bytes, appended and synced.
    pub(super) async fn staged(&self, name: &str, content: &Bytes) -> Box<dyn Staged> {
        let mut staged = self.create(name).await;
        staged.append(vec![content.clone()]).await.unwrap();
        staged.sync().await.unwrap();
        staged
    }

    pub(super) async fn staged_size(&self, name: &str) -> Option<u64> {
        self.storage.staged_size(&self.key(name)).await.unwrap()
    }
}

pub(super) fn names(listing: &Listing) -> Vec<String> {
    let name = |entry: &crate::storage::Entry| match entry.kind {
        EntryKind::Object => entry.name.clone(),
        EntryKind::Prefix => format!("{}/", entry.name),
    };
    listing.entries.iter().map(name).collect()
}

pub(super) async fn span(object: Object, offset: u64, length: u64) -> Result<Bytes, Error> {
    let body = object.read(Span::new(offset, length).unwrap()).await?;
    let promised = body.length();
    let content = collect(body.into_stream(Arc::new(TokioBlocking))).await?;
    assert_eq!(content.len() as u64, promised, "a body has as many bytes as it tells");
    Ok(content)
}

pub(super) async fn collect(frames: BoxStream<'static, Result<Bytes, Error>>) -> Result<Bytes, Error> {
    let join = |mut content: BytesMut, frame: Bytes| async move {
        content.extend_from_slice(&frame);
        Ok(content)
    };
    Ok(frames.try_fold(BytesMut::new(), join).await?.freeze())
}

/// What was staged, from `offset`.
pub(super) async fn staged_from(staged: &mut Box<dyn Staged>, offset: u64) -> Bytes {
    collect(staged.read(offset).await.unwrap()).await.unwrap()
}

/// `length` bytes that tell where a piece is missing or twice: they have no short period.
pub(super) fn content(length: usize, seed: u8) -> Bytes {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect::<Vec<u8>>().into()
}
