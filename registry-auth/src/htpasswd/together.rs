//! Checks that are under way, so that many requests with the same credentials wait for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::Code;

/// The answer to one check, once there is one. Whoever holds the lock is the one who checks.
type Answer = Arc<tokio::sync::Mutex<Option<bool>>>;

/// The checks that are under way, by their credentials.
#[derive(Default)]
pub(super) struct Together(Mutex<HashMap<Code, Answer>>);

impl Together {
    /// Takes part in the check of these credentials until what this gives is dropped.
    pub(super) fn join(&self, code: Code) -> Joined<'_> {
        let answer = Arc::clone(self.lock().entry(code).or_default());
        Joined { all: self, code, answer: Some(answer) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Code, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those who want the answer. The last one who leaves takes it along.
pub(super) struct Joined<'a> {
    all: &'a Together,
    code: Code,
    /// `None` when it is dropped.
    answer: Option<Answer>,
}

impl Joined<'_> {
    /// The answer of whoever checked before, or else that of `check`. Where `check` has none, because it failed or was
    /// cancelled, the next one tries.
    pub(super) async fn answer<E>(&self, check: impl Future<Output = Result<bool, E>>) -> Result<bool, E> {
        let Some(answer) = &self.answer else { return check.await };
        let mut answer = answer.lock().await;
        match *answer {
            Some(answer) => Ok(answer),
            None => Ok(*answer.insert(check.await?)),
        }
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut running = self.all.lock();
        // Nobody joins or leaves while the lock is held.
        drop(self.answer.take());
        if running.get(&self.code).is_some_and(|answer| Arc::strong_count(answer) == 1) {
            running.remove(&self.code);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn one_checks_for_all_and_nothing_is_left() {
        let together = Together::default();
        let (first, second) = (together.join([1; 32]), together.join([1; 32]));
        assert_eq!(first.answer(ready(Ok::<_, ()>(true))).await, Ok(true));
        assert_eq!(second.answer(pending::<Result<_, ()>>()).await, Ok(true));
        drop(first);
        assert_eq!(together.lock().len(), 1);
        drop(second);
        assert!(together.lock().is_empty());
        assert_eq!(together.join([1; 32]).answer(ready(Ok::<_, ()>(false))).await, Ok(false));
    }

    #[tokio::test]
    async fn who_fails_or_leaves_answers_for_nobody() {
        let together = Together::default();
        let (first, second) = (together.join([1; 32]), together.join([1; 32]));
        let mut left = Box::pin(first.answer(pending::<Result<_, ()>>()));
        assert!(futures::poll!(&mut left).is_pending());
        drop(left);
        assert_eq!(second.answer(ready(Err(()))).await, Err(()));
        assert_eq!(first.answer(ready(Ok::<_, ()>(true))).await, Ok(true));
    }
}
