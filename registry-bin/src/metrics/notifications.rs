//! Notifications, under Distribution's names.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use crate::notifications::NotificationCounts;

/// The numbers of all endpoints, read when somebody asks.
pub(super) struct NotificationNumbers {
    counts: NotificationCounts,
    events: IntCounterVec,
    pending: IntGaugeVec,
    statuses: IntCounterVec,
    dropped: IntCounterVec,
    /// Two that ask at once would both add what a counter lacks.
    turn: Mutex<()>,
}

impl NotificationNumbers {
    pub(super) fn new(counts: NotificationCounts) -> prometheus::Result<Self> {
        Ok(Self {
            counts,
            events: IntCounterVec::new(
                Opts::new("registry_notifications_events_total", "The number of total events"),
                &["type", "endpoint"],
            )?,
            pending: IntGaugeVec::new(
                Opts::new("registry_notifications_pending_total", "The gauge of pending events in queue"),
                &["endpoint"],
            )?,
            statuses: IntCounterVec::new(
                Opts::new("registry_notifications_status_total", "The number of status code"),
                &["code", "endpoint"],
            )?,
            dropped: IntCounterVec::new(
                Opts::new("registry_notifications_dropped_total", "Events that an endpoint never gets."),
                &["endpoint"],
            )?,
            turn: Mutex::default(),
        })
    }

    fn read(&self) {
        let raise = |counters: &IntCounterVec, labels: &[&str], value: u64| {
            let counter = counters.with_label_values(labels);
            counter.inc_by(value.saturating_sub(counter.get()));
        };
        for counts in self.counts.snapshot() {
            let name = counts.endpoint.as_str();
            for (kind, value) in [
                ("Events", counts.events),
                ("Successes", counts.successes),
                ("Failures", counts.failures),
                ("Errors", counts.errors),
            ] {
                raise(&self.events, &[kind, name], value);
            }
            for (status, value) in &counts.statuses {
                raise(&self.statuses, &[status, name], *value);
            }
            raise(&self.dropped, &[name], counts.dropped);
            self.pending.with_label_values(&[name]).set(i64::try_from(counts.pending).unwrap_or(i64::MAX));
        }
    }
}

impl Collector for NotificationNumbers {
    fn desc(&self) -> Vec<&Desc> {
        [self.events.desc(), self.pending.desc(), self.statuses.desc(), self.dropped.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.read();
        [self.events.collect(), self.pending.collect(), self.statuses.collect(), self.dropped.collect()].concat()
    }
}

impl fmt::Debug for NotificationNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotificationNumbers")
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;
    use crate::config;
    use crate::notifications;

    #[test]
    fn every_endpoint_is_there_from_the_start() {
        let document =
            "version: 0.1\nstorage: inmemory\nnotifications: {endpoints: [{name: a, url: 'http://localhost:1'}]}";
        let config = config::parse(Some(document), [], &mut |_| Ok(String::new())).unwrap().config;
        let prepared = notifications::prepare(&config.notifications).unwrap().unwrap();
        let registry = Registry::new();
        registry.register(Box::new(NotificationNumbers::new(prepared.counts()).unwrap())).unwrap();
        for _ in 0..2 {
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            for line in [
                "registry_notifications_events_total{endpoint=\"a\",type=\"Events\"} 0",
                "registry_notifications_events_total{endpoint=\"a\",type=\"Successes\"} 0",
                "registry_notifications_pending_total{endpoint=\"a\"} 0",
                "registry_notifications_dropped_total{endpoint=\"a\"} 0",
            ] {
                assert!(text.lines().any(|known| known == line), "{line} in {text}");
            }
        }
    }
}
