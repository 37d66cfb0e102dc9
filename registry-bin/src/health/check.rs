//! Looking again and again, and counting what failed.

use std::sync::Arc;
use std::time::Duration;

use registry_core::storage::Storage;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Health, Probe, ProbeError, probe};
use crate::config::CheckConfig;

/// How long a look may take. One that takes longer counts as failed, and is waited for: a disk that hangs does so for
/// one look and not for ever more of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// One thing that is looked at again and again.
#[derive(Debug)]
pub struct Check {
    name: String,
    probe: Box<dyn Probe>,
    interval: Duration,
    threshold: u32,
    health: Health,
}

impl Check {
    /// Will look at what is configured, and report to `health`.
    ///
    /// # Errors
    /// If what it takes to look cannot be had.
    pub fn new(config: &CheckConfig, storage: &Arc<dyn Storage>, health: &Health) -> Result<Self, ProbeError> {
        let CheckConfig { name, target, interval, threshold } = config;
        let probe = probe(target, storage)?;
        Ok(Self { name: name.clone(), probe, interval: *interval, threshold: *threshold, health: health.clone() })
    }

    /// Looks until it is dropped, at once for the first time.
    pub async fn run(self) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way = None;
        let mut failures = 0_u32;
        loop {
            ticks.tick().await;
            let probing = under_way.get_or_insert_with(|| self.probe.probe());
            let outcome = timeout(PATIENCE, probing).await;
            if outcome.is_ok() {
                under_way = None;
            }
            match outcome.unwrap_or_else(|_| Err("timed out".to_owned())) {
                Ok(()) => {
                    failures = 0;
                    self.health.set(&self.name, None);
                }
                Err(reason) => {
                    failures = failures.saturating_add(1);
                    tracing::debug!(check = self.name, reason, failures, "a health check failed");
                    if failures >= self.threshold {
                        self.health.set(&self.name, Some(reason));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use tokio::sync::oneshot;
    use tokio::time::sleep;

    use super::super::Probing;
    use super::*;

    /// Gives what it is told, one after another; when nothing is left, all is well.
    #[derive(Debug, Clone, Default)]
    struct Told(Arc<Mutex<VecDeque<Told1>>>);

    #[derive(Debug)]
    enum Told1 {
        Failing,
        Well,
        Hanging(oneshot::Receiver<()>),
    }

    impl Probe for Told {
        fn probe(&self) -> Probing {
            let next = self.0.lock().unwrap().pop_front().unwrap_or(Told1::Well);
            Box::pin(async move {
                match next {
                    Told1::Failing => Err("no".to_owned()),
                    Told1::Well => Ok(()),
                    Told1::Hanging(until) => until.await.map_err(|_| "gone".to_owned()),
                }
            })
        }
    }

    fn check(told: &Told, threshold: u32) -> Health {
        let health = Health::default();
        let check = Check {
            name: "it".into(),
            probe: Box::new(told.clone()),
            interval: Duration::from_secs(1),
            threshold,
            health: health.clone(),
        };
        tokio::spawn(check.run());
        health
    }

    /// Whether it is healthy between the looks.
    async fn states(health: &Health, looks: usize) -> Vec<bool> {
        sleep(Duration::from_millis(500)).await;
        let mut states = Vec::new();
        for _ in 0..looks {
            states.push(health.is_healthy());
            sleep(Duration::from_secs(1)).await;
        }
        states
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_count_and_one_success_ends_them() {
        use Told1::{Failing, Well};
        let told = Told::default();
        told.0.lock().unwrap().extend([Failing, Failing, Well, Failing, Failing, Failing, Failing, Well]);
        let health = check(&told, 3);
        assert_eq!(states(&health, 9).await, [true, true, true, true, true, false, false, true, true]);
        told.0.lock().unwrap().push_back(Failing);
        let health = check(&told, 1);
        assert_eq!(states(&health, 2).await, [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_fails_and_is_the_only_one() {
        let told = Told::default();
        let (release, until) = oneshot::channel();
        told.0.lock().unwrap().extend([Told1::Hanging(until), Told1::Failing, Told1::Failing]);
        let health = check(&told, 2);
        sleep(Duration::from_secs(15)).await;
        assert!(health.is_healthy(), "one failure is not two");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(health.failing()["it"], "timed out");
        assert_eq!(told.0.lock().unwrap().len(), 2, "nothing else was begun");
        release.send(()).unwrap();
        sleep(Duration::from_millis(100)).await;
        assert!(health.is_healthy());
    }
}
