//! The collector as a step of a workload, alone or beside a client.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use registry_core::gc::{Collector, GcOptions};
use registry_core::storage::Pace;
use registry_core::{Error, Registry};

use super::states::Random;
use super::workload::{Process, Step};

/// One run that spares nothing for its age: what it takes away, the next one purges.
fn collector(registry: Registry, untagged_go: bool) -> Collector {
    let mut options = GcOptions::default();
    (options.lease, options.quarantine, options.untagged_grace) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    (options.delete_untagged, options.max_condemned) = (untagged_go, None);
    (options.alone, options.only_process) = (true, true);
    Collector::new(registry, options)
}

/// # Errors
/// If the storage fails.
pub(super) async fn collect(registry: &Registry, untagged_go: bool) -> Result<(), Error> {
    collector(registry.clone(), untagged_go).run().await.map(drop)
}

/// A run and a client's steps at the same time: which of them goes on, by one operation of the storage, the seed decides.
///
/// # Errors
/// If the storage fails, or a step is not acknowledged.
pub(super) fn collect_beside(process: &Process, untagged_go: bool, steps: &[Step], seed: u64) -> Result<(), Error> {
    let registry = process.registry.paced(Arc::new(InTurns));
    let run = async { collect(&registry, untagged_go).await };
    let client = async {
        for step in steps {
            process.run_on(&registry, step).await?;
        }
        Ok(())
    };
    let (mut run, mut client) = (pin!(run), pin!(client));
    let (mut random, mut context) = (Random(seed), Context::from_waker(Waker::noop()));
    let (mut collected, mut served) = (None, None);
    while collected.is_none() || served.is_none() {
        // One of them may be ahead of the other by much.
        let is_run = random.below(4) < usize::try_from(1 + seed % 3).unwrap_or(1);
        if is_run && collected.is_none() || served.is_some() {
            if let Poll::Ready(done) = run.as_mut().poll(&mut context) {
                collected = Some(done);
            }
        } else if let Poll::Ready(done) = client.as_mut().poll(&mut context) {
            served = Some(done);
        }
    }
    collected.unwrap_or(Ok(())).and(served.unwrap_or(Ok(())))
}

/// Gives way before each operation.
#[derive(Debug)]
struct InTurns;

#[async_trait]
impl Pace for InTurns {
    async fn turn(&self) {
        let mut has_waited = false;
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
