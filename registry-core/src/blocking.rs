//! The seam for work that blocks: file access, and what computes for long.

use std::fmt;

use futures::channel::oneshot;

/// Runs work that blocks or computes for long, off the async workers.
pub trait Blocking: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` once, now or later, on any thread.
    fn execute(&self, work: Box<dyn FnOnce() + Send>);
}

/// The work was dropped before it ran: the runtime is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the runtime stopped before the work ran")]
pub struct Stopped;

impl dyn Blocking {
    /// Runs `work` through the seam and waits for its result.
    ///
    /// Dropping the future does not stop work that has begun.
    ///
    /// # Errors
    /// [`Stopped`] if the seam dropped the work, or the work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        self.execute(Box::new(move || {
            // Nobody waits any more when the caller was cancelled; the work is done all the same.
            let _ = sender.send(work());
        }));
        receiver.await.map_err(|_| Stopped)
    }
}

/// Tokio's pool for blocking work.
///
/// # Panics
/// Running work outside a tokio runtime panics.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioBlocking;

impl Blocking for TokioBlocking {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn execute(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }
}

/// Runs the work at once on the calling thread: for tests that want one order of events.
#[derive(Debug, Clone, Copy, Default)]
pub struct InlineBlocking;

impl Blocking for InlineBlocking {
    fn execute(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Dropping;

    impl Blocking for Dropping {
        fn execute(&self, _: Box<dyn FnOnce() + Send>) {}
    }

    #[test]
    fn dropped_work_is_told() {
        let run = |seam: Box<dyn Blocking>| futures::executor::block_on(async move { seam.run(|| 7).await });
        assert_eq!(run(Box::new(InlineBlocking)), Ok(7));
        assert_eq!(run(Box::new(Dropping)), Err(Stopped));
    }

    #[tokio::test]
    async fn tokio_runs_it() {
        let seam: &dyn Blocking = &TokioBlocking;
        assert_eq!(seam.run(|| 7).await, Ok(7));
    }
}
