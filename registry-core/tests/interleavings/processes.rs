//! The processes of a program, and what goes on in them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use registry_core::storage::Storage;
use registry_core::{Clock, InlineBlocking, Random, Registry};

use crate::program::{Program, Task};
use crate::request::Client;
use crate::storage::Scheduled;
use crate::world::{Seams, World};

/// A process over the storage.
pub(crate) fn process(world: &Arc<World>, storage: &Arc<Scheduled>) -> Registry {
    let seams = Arc::new(Seams(Arc::clone(world)));
    Registry::builder(Arc::clone(storage) as Arc<dyn Storage>)
        .recent_blobs(if storage.capabilities().durable_reads { Duration::from_mins(1) } else { Duration::ZERO })
        .clock(Arc::clone(&seams) as Arc<dyn Clock>)
        .random(seams as Arc<dyn Random>)
        .blocking(Arc::new(InlineBlocking))
        .build()
}

/// The futures of a program's tasks.
pub(crate) fn tasks(
    program: &Program,
    world: &Arc<World>,
    storage: &Arc<Scheduled>,
) -> Vec<Option<BoxFuture<'static, ()>>> {
    let mut processes: HashMap<usize, Registry> = HashMap::new();
    let mut futures = Vec::new();
    for (task, plan) in program.tasks.iter().enumerate() {
        world.state().current = task;
        let future = match plan {
            Task::Client(number, requests) => {
                let registry = processes.entry(*number).or_insert_with(|| process(world, storage)).clone();
                Client { world: Arc::clone(world), registry, task }.run(requests.clone()).boxed()
            }
            Task::Collector(of, collect) => {
                let own = || process(world, storage);
                let registry = of.map_or_else(own, |number| processes.entry(number).or_insert_with(own).clone());
                let world = Arc::clone(world);
                let (collect, may_be_late) = (collect.clone(), program.late > 0);
                async move {
                    // A run whose delete was not answered may give up; what it left is for others.
                    if let Err(error) = collect.0(registry).await
                        && !(may_be_late && error == registry_core::Error::DeleteUnknown.to_string())
                    {
                        world.state().violated(format!("the collector of task {task}: {error}"));
                    }
                }
                .boxed()
            }
        };
        futures.push(Some(future));
    }
    futures
}
