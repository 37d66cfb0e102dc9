//! Manifests in memory.
//!
//! Bytes never change under their digest. Whether a repository has them is asked of the storage each time: what was deleted
//! is not answered from here.

use std::future::Future;

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::{Digest, Error, MediaType};

/// Manifests by the digest of their bytes.
#[derive(Debug)]
pub(crate) struct KnownManifests {
    most_bytes: usize,
    cache: Cache<Digest, Known, Weight>,
}

/// The bytes, which are what their digest says, and what they say they are.
pub(crate) type Known = (MediaType, Bytes);

#[derive(Debug, Clone)]
struct Weight;

/// What a manifest takes beside its bytes, about.
const OVERHEAD_BYTES: usize = 300;

/// Most are of about this size.
const USUAL_BYTES: usize = 2 * 1024;

impl Weighter<Digest, Known> for Weight {
    fn weight(&self, _: &Digest, (_, content): &Known) -> u64 {
        (OVERHEAD_BYTES + content.len()) as u64
    }
}

impl KnownManifests {
    /// Takes about so many bytes at most; `None` if that is too little to be of use.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let mut options = OptionsBuilder::new();
        options.shards(1).estimated_items_capacity(bytes / USUAL_BYTES).weight_capacity(bytes as u64);
        let options = options.build().ok().filter(|_| bytes > USUAL_BYTES)?;
        let cache = Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        // None pushes out all others.
        Some(Self { most_bytes: bytes / 8, cache })
    }

    /// A manifest from memory, or as `read` finds it; who asks for the same meanwhile waits for that. What is not found, and
    /// what is too large, is not kept.
    pub(crate) async fn get(
        &self,
        digest: &Digest,
        read: impl Future<Output = Result<Option<Known>, Error>>,
    ) -> Result<Option<Known>, Error> {
        let place = match self.cache.get_value_or_guard_async(digest).await {
            Ok(known) => return Ok(Some(known)),
            Err(place) => place,
        };
        let found = read.await?;
        if let Some(known) = &found
            && known.1.len() <= self.most_bytes
        {
            // It fails where somebody else put the same there.
            drop(place.insert(known.clone()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::Algorithm;

    fn manifest(content: &'static str) -> (Digest, Known) {
        let media_type = MediaType::OCI_MANIFEST.parse().unwrap();
        (Digest::of(Algorithm::Sha256, content.as_bytes()), (media_type, content.into()))
    }

    #[test]
    fn who_asks_for_the_same_waits_for_the_first_one() {
        let manifests = KnownManifests::new(64 * 1024).unwrap();
        let (digest, known) = manifest("{}");
        let (sender, receiver) = futures::channel::oneshot::channel();
        let first = manifests.get(&digest, async { Ok(receiver.await.ok()) });
        let second = manifests.get(&digest, async { panic!("it is read twice") });
        let (first, second, ()) = block_on(async {
            futures::join!(first, second, async {
                sender.send(known.clone()).unwrap();
            })
        });
        assert_eq!((first.unwrap(), second.unwrap()), (Some(known.clone()), Some(known)));
    }

    #[test]
    fn who_waits_for_one_that_gave_up_reads_it() {
        let manifests = KnownManifests::new(64 * 1024).unwrap();
        let (digest, known) = manifest("{}");
        let found = block_on(async {
            let mut first = Box::pin(manifests.get(&digest, futures::future::pending()));
            assert!(futures::poll!(&mut first).is_pending());
            let mut second = Box::pin(manifests.get(&digest, async { Ok(Some(known.clone())) }));
            assert!(futures::poll!(&mut second).is_pending());
            drop(first);
            second.await
        });
        assert_eq!(found.unwrap(), Some(known));
    }

    #[test]
    fn what_is_not_there_or_too_large_is_asked_for_again() {
        let manifests = KnownManifests::new(64 * 1024).unwrap();
        let (digest, known) = manifest("{}");
        assert_eq!(block_on(manifests.get(&digest, async { Ok(None) })).unwrap(), None);
        assert!(block_on(manifests.get(&digest, async { Err(Error::DeleteUnknown) })).is_err());
        let large = (known.0.clone(), Bytes::from(vec![0; 8 * 1024 + 1]));
        for _ in 0..2 {
            assert_eq!(
                block_on(manifests.get(&digest, async { Ok(Some(large.clone())) })).unwrap(),
                Some(large.clone())
            );
        }
        assert_eq!(block_on(manifests.get(&digest, async { Ok(Some(known.clone())) })).unwrap(), Some(known.clone()));
        assert_eq!(block_on(manifests.get(&digest, async { Ok(None) })).unwrap(), Some(known));
        assert!(KnownManifests::new(0).is_none());
    }
}
