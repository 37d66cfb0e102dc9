//! Whether the server can do its work: what is looked at, what failed, and what clients are told then.

mod check;
mod gate;
mod probe;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use check::Check;
pub use gate::Gated;
pub use probe::{Probe, ProbeError, Probing, probe};

/// What fails at the moment. Clones are handles to the same state.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// By the name of the check, what it says.
    failing: Mutex<BTreeMap<String, String>>,
    /// Whether there is any, for each request to look at.
    any: AtomicBool,
}

impl Health {
    /// Whether nothing fails.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.0.any.load(Ordering::Acquire)
    }

    /// What fails, and why, by the names of the checks.
    #[must_use]
    pub fn failing(&self) -> BTreeMap<String, String> {
        self.0.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what a check says: `None` if all is well.
    fn set(&self, name: &str, failure: Option<String>) {
        let mut failing = self.0.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let was_failing = match &failure {
            Some(reason) => failing.insert(name.to_owned(), reason.clone()).is_some(),
            None => failing.remove(name).is_some(),
        };
        // Under the lock, or two checks could overtake each other.
        self.0.any.store(!failing.is_empty(), Ordering::Release);
        match (was_failing, failure) {
            (false, Some(reason)) => {
                tracing::error!(check = name, reason, "unhealthy: clients are refused until this passes");
            }
            (true, None) => tracing::info!(check = name, "healthy again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_healthy_when_nothing_fails_any_more() {
        let health = Health::default();
        let other = health.clone();
        assert!(health.is_healthy());
        health.set("a", Some("x".into()));
        health.set("b", Some("y".into()));
        health.set("a", Some("z".into()));
        assert!(!other.is_healthy());
        assert_eq!(other.failing(), BTreeMap::from([("a".into(), "z".into()), ("b".into(), "y".into())]));
        health.set("a", None);
        assert!(!other.is_healthy());
        health.set("b", None);
        health.set("c", None);
        assert!(other.is_healthy() && other.failing().is_empty());
    }
}
