//! Staged bytes whose operations fail when the plan says so.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::plan::{self, Fault, Plan};
use super::reading::cut_stream;
use crate::storage::{Error, Key, OperationKind, Staged};

pub(super) fn wrap(plan: Arc<Plan>, key: &Key, inner: Box<dyn Staged>) -> Box<dyn Staged> {
    Box::new(FaultyStaged { plan, key: key.clone(), inner })
}

#[derive(Debug)]
struct FaultyStaged {
    plan: Arc<Plan>,
    key: Key,
    inner: Box<dyn Staged>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Staged for FaultyStaged {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        match self.plan.begin(OperationKind::Append, &self.key).await {
            Some(Fault::Cut) => {
                self.inner.append(first_half(batch)).await?;
                Err(plan::unavailable(&self.key))
            }
            fault => plan::apply(fault, &self.key, self.inner.append(batch)).await,
        }
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.plan.around(OperationKind::Sync, &self.key, self.inner.sync()).await
    }

    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let keep = self.size().saturating_sub(offset) / 2;
        match self.plan.begin(OperationKind::ReadStaged, &self.key).await {
            Some(Fault::Cut) => Ok(cut_stream(&self.key, self.inner.read(offset).await?, keep)),
            fault => plan::apply(fault, &self.key, self.inner.read(offset)).await,
        }
    }

    async fn publish(&mut self, key: &Key) -> Result<(), Error> {
        self.plan.around(OperationKind::Publish, key, self.inner.publish(key)).await
    }

    fn objects(&self) -> Option<Vec<Key>> {
        self.inner.objects()
    }

    async fn discard(self: Box<Self>) -> Result<(), Error> {
        let Self { plan, key, inner } = *self;
        plan.around(OperationKind::Discard, &key, inner.discard()).await
    }
}

fn first_half(mut batch: Vec<Bytes>) -> Vec<Bytes> {
    let mut left = batch.iter().map(Bytes::len).sum::<usize>() / 2;
    for chunk in &mut batch {
        chunk.truncate(left);
        left -= chunk.len();
    }
    batch
}
