//! Room that is kept for the collector, so that it can free more when there is none.
//!
//! To take something away needs almost no room: a record of the run, and on most filesystems a block for the directory of
//! each copy, which the directory of the original gives back. On a disk that is full to the last block there is not even
//! that. So a run leaves an object behind that is of no use but that it can be deleted.

use super::Collector;
use crate::storage::{self, Durability, WriteOptions};
use crate::{Algorithm, Digest, Error, layout};

impl Collector {
    /// Gives the room back that was kept; tells whether there was any.
    pub(super) async fn use_reserve(&self) -> Result<bool, Error> {
        let storage = self.registry().storage();
        let reserve = layout::reserve();
        if storage.stat(&reserve).await?.is_none() {
            return Ok(false);
        }
        self.registry().delete(&reserve).await?;
        Ok(true)
    }

    /// Keeps as much room as is asked for, if there is so much. What is kept otherwise is given back.
    pub(super) async fn keep_reserve(&self) -> Result<(), Error> {
        let storage = self.registry().storage();
        let (reserve, wanted) = (layout::reserve(), self.options().reserve_bytes);
        let kept = storage.stat(&reserve).await?.map(|found| found.size);
        if self.options().dry_run || kept == (wanted > 0).then_some(wanted as u64) {
            return Ok(());
        }
        self.use_reserve().await?;
        if wanted == 0 {
            return Ok(());
        }
        let options = WriteOptions { durability: Durability::Volatile, ..WriteOptions::default() };
        match storage.write(&reserve, filling(wanted).into(), options).await {
            Err(storage::Error::NoSpace { .. }) => {
                tracing::warn!(bytes = wanted, "there is no room to be kept for the collector");
                Ok(())
            }
            written => Ok(written?),
        }
    }
}

/// Bytes that no filesystem makes fewer of.
fn filling(bytes: usize) -> Vec<u8> {
    let mut filling = Vec::with_capacity(bytes + 64);
    let mut block = 0_u64;
    while filling.len() < bytes {
        filling.extend_from_slice(Digest::of(Algorithm::Sha512, &block.to_be_bytes()).hash());
        block += 1;
    }
    filling.truncate(bytes);
    filling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_does_not_repeat() {
        let filling = filling(1000);
        assert_eq!(filling.len(), 1000);
        let mut blocks: Vec<&[u8]> = filling.chunks(64).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), 16);
    }
}
